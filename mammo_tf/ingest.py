"""Turns raw files of one study or film into encoded images: the builders' worker processes.

Workers are started with "spawn" and import this module only, never TensorFlow. Everything that
goes in or out is small, plain and picklable. A file that cannot be used comes back as a
`Rejection` without any name or path, since those may hold a patient's identity.
"""

import hashlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf.codecs.jpeg import read_grey_jpeg
from mammo_tf.codecs.pgm import parse_pgm_header, read_pgm
from mammo_tf.codecs.png import check_png
from mammo_tf.codecs.png_writer import encode_png
from mammo_tf.errors import DataError, UserError
from mammo_tf.files import resolve_inside
from mammo_tf.limits import MAX_PIXELS
from mammo_tf.record import Finding
from mammo_tf.time_limit import time_limit

MAX_REASON_CHARACTERS = 300
JPEG_SUFFIXES = (".jpg", ".jpeg")


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be used, and why.

    Attributes:
        record: Salted key of the study, or public id of the film; "" if there is none.
        row: Row of the table (studies.csv, Info.txt), counted from 1 with the header.
        reason: One line without patient identity.
        is_note: True where the record can be used all the same, or was never there: it is listed,
            but does not count as unusable.
    """

    record: str
    row: int
    reason: str
    is_note: bool = False


@dataclass(frozen=True)
class ImageFile:
    """One raw image: where it is, or its bytes, and what the table says of it.

    Attributes:
        row: Row of the table, counted from 1 with the header.
        path: Relative to the job's folder, of a DICOM file or, by its name, a grey JPEG file; ""
            where `content` is given.
        content: A PGM file of mini-MIAS' kind; None where `path` is given.
        shape: (height, width) that `content` must have.
        view: As the table says; "" leaves it to the file.
        laterality: Likewise.
        mask: Path of a mask in canonical orientation, of a JPEG file as that lies; "" for none.
        sha256: Checksum of the file at `path` as 64 hex digits; "" for none.
    """

    row: int
    path: str = field(default="", repr=False)
    content: bytes | None = field(default=None, repr=False)
    shape: tuple[int, int] = (0, 0)
    view: str = ""
    laterality: str = ""
    mask: str = field(default="", repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class Job:
    """Images to read and encode together: one that cannot be used rejects them all.

    Attributes:
        record: Id of the images' study or image, without patient identity.
        images: Maps a name, such as "left_cc", to its file.
        cratios: Compression ratios of the ladders, or None for plain PNGs.
        folder: The data folder; no path may leave it.
        follow_links: Whether a path may leave the folder through a symbolic link.
        allow_burned_in: Whether to take images that say that text is burned into their pixels.
    """

    record: str
    images: dict[str, ImageFile] = field(repr=False)
    cratios: tuple[float, ...] | None
    folder: str = field(default="", repr=False)
    follow_links: bool = False
    allow_burned_in: bool = False


@dataclass(frozen=True)
class EncodedImage:
    """One encoded image and what its file says of it.

    Attributes:
        image: `Ladder.to_bytes()`, or a PNG where the job has no `cratios`.
        shape: (height, width) in pixels.
        bits_stored: Bits per sample of the source.
        pixel_spacing_mm: (row, column) spacing; 0 where unknown.
        masks: (height, width) uint16, bit 0 set in the lesion; None where no mask is given.
        age_years: From the file; -1 where unknown.
        vendor: From the file; "" where unknown.
        device: What else the file says of how it was taken, see `DEVICE_NAMES`; empty for a PGM.
    """

    image: bytes = field(repr=False)
    shape: tuple[int, int]
    bits_stored: int = 8
    pixel_spacing_mm: tuple[float, float] = (0.0, 0.0)
    masks: np.ndarray | None = field(default=None, repr=False)
    age_years: int = -1
    vendor: str = ""
    device: dict[str, Any] = field(default_factory=dict)


def ingest(job: Job) -> dict[str, EncodedImage] | Rejection:
    """Reads and encodes the images of one job.

    Returns:
        The images by name; or a `Rejection` for the first one that cannot be used.
    """
    images = {}
    for name, file in job.images.items():
        try:
            images[name] = _ingest_image(job, file)
        except Exception as error:
            reason = reason_of(error, file.path, file.mask, job.folder)
            prefix = f"{name}: " if len(job.images) > 1 else ""
            return Rejection(job.record, file.row, f"{prefix}{reason}")
    return images


def _ingest_image(job: Job, file: ImageFile) -> EncodedImage:
    if file.path.lower().endswith(JPEG_SUFFIXES):
        return _ingest_jpeg(job, file)
    if file.path:
        return _ingest_dicom(job, file)
    if file.content is None:
        raise DataError("its file is missing")
    pixels = parse_pgm(file.content, shape=file.shape)
    return EncodedImage(image=encode_image(pixels, job.cratios), shape=pixels.shape)


def _ingest_jpeg(job: Job, file: ImageFile) -> EncodedImage:
    with time_limit():
        pixels = read_grey_jpeg(
            resolve_inside(job.folder, file.path, follow_links=job.follow_links)
        )
    return EncodedImage(
        image=encode_image(pixels, job.cratios),
        shape=pixels.shape,
        masks=_read_own_mask(job, file, pixels.shape),
    )


def _read_own_mask(job: Job, file: ImageFile, shape: tuple[int, int]) -> np.ndarray | None:
    if not file.mask:
        return None
    with time_limit():
        path = resolve_inside(job.folder, file.mask, follow_links=job.follow_links)
        return read_mask(path, shape)


def _ingest_dicom(job: Job, file: ImageFile) -> EncodedImage:
    from mammo_tf.dicom import read_mammogram

    path = resolve_inside(job.folder, file.path, follow_links=job.follow_links)
    if file.sha256:
        _check_sha256(path, file.sha256)
    with time_limit():
        mammogram = read_mammogram(
            path,
            view=file.view or None,
            laterality=file.laterality or None,
            max_pixels=MAX_PIXELS,
        )
    metadata, pixels = mammogram.metadata, mammogram.pixels
    if metadata.burned_in_annotation and not job.allow_burned_in:
        raise DataError(
            "the file says that text is burned into its pixels (BurnedInAnnotation YES), which may "
            "be a name; export it without, or look at it and allow such files: mammo-tf data build "
            "NAME --allow-burned-in"
        )
    if job.cratios is None:
        pixels = pixels.astype(np.uint16)  # an 8-bit PNG read as 16 bits would be rescaled
    return EncodedImage(
        image=encode_image(pixels, job.cratios),
        shape=pixels.shape,
        bits_stored=int(metadata.bits_stored),
        pixel_spacing_mm=tuple(map(float, metadata.pixel_spacing_mm or (0.0, 0.0))),
        masks=_read_own_mask(job, file, pixels.shape),
        age_years=-1 if metadata.age_years is None else int(metadata.age_years),
        vendor=metadata.vendor or "",
        device=_device(metadata),
    )


def _check_sha256(path: Path, expected: str) -> None:
    if not path.is_file():
        return  # the reader says so
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received != expected:
        raise DataError(
            "the file does not have the SHA-256 that the table gives: it was damaged or changed; "
            "copy it again"
        )


def _device(metadata) -> dict[str, Any]:
    return {
        "model": metadata.model or "",
        "implant": {None: "unknown", False: "no", True: "yes"}[metadata.implant_present],
        "view_modifiers": " ".join(metadata.view_modifiers),
        "is_lossy": bool(metadata.lossy),
        "orientation_source": metadata.orientation_source,
    }


def mask_finding(masks: np.ndarray, bit: int = 0, **known) -> Finding | None:
    """Returns the finding of one bit of `masks`, or None where no pixel has it.

    Args:
        masks: (height, width) uint16; or bool, of one bit.
        bit: 0 to 15.
        **known: Other attributes of the `Finding`.
    """
    is_set = masks if masks.dtype == bool else masks & masks.dtype.type(1 << bit) != 0
    rows, columns = np.flatnonzero(is_set.any(axis=1)), np.flatnonzero(is_set.any(axis=0))
    if not rows.size:
        return None
    box = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    return Finding(mark="mask", box_yxyx_px=tuple(map(float, box)), **known)


def encode_image(image: np.ndarray, cratios: tuple[float, ...] | None) -> bytes:
    """Encodes `image` as a ladder, or as PNG when `cratios` is None.

    Args:
        image: (height, width) uint8 or uint16.
        cratios: Compression ratios, or None.

    Returns:
        `Ladder.to_bytes()` or a PNG of the image's own depth.
    """
    if cratios is None:
        return encode_png(image)
    from mammo_tf.codecs.jpeg2000 import encode_ladder

    return encode_ladder(image, cratios).to_bytes()


def parse_pgm(content: bytes, *, shape: tuple[int, int]) -> np.ndarray:
    """Parses an 8-bit binary greyscale PGM of known size.

    Args:
        content: The file.
        shape: (height, width) that the image must have.

    Returns:
        (height, width) uint8.

    Raises:
        DataError: If the file is of another kind, depth or size, or cut off.
    """
    if content[:2] in (b"P3", b"P6"):
        raise DataError("expected a greyscale PGM (P5), received a colour PPM")
    header = parse_pgm_header(content)
    if header is None or header.magic != b"P5":
        raise DataError("expected a binary greyscale PGM, which starts with P5 and its size")
    if not 1 <= header.maximum <= 255:
        raise DataError(f"expected 8-bit pixels, received a PGM with maximum {header.maximum}")
    if (header.height, header.width) != shape:
        size = f"{header.height}×{header.width}"
        raise DataError(f"expected {shape[0]}×{shape[1]} pixels, received {size}")
    return read_pgm(io.BytesIO(content), "the file", MAX_PIXELS)[0]


def read_mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Reads a lesion mask.

    Args:
        path: A black-and-white or 8-bit greyscale PNG.
        shape: (height, width) that it must have.

    Returns:
        (height, width) uint16, 1 in the lesion.

    Raises:
        DataError: If it is damaged, of another kind or another size.
        OSError: If the file cannot be opened.
    """
    from PIL import Image

    try:
        check_png(path)
        with Image.open(path, formats=["PNG"]) as image:
            if (image.height, image.width) != shape:  # known before any pixel is decoded
                raise DataError(
                    f"the mask has {image.height}×{image.width} pixels, "
                    f"its image {shape[0]}×{shape[1]} in canonical orientation"
                )
            if image.mode not in ("1", "L"):
                raise DataError("the mask is not an 8-bit greyscale PNG")
            mask = np.asarray(image) > 0
    except Exception as error:  # of many kinds: Pillow's for damaged chunks, streams and texts
        if isinstance(error, DataError) or getattr(error, "errno", None) is not None:
            raise
        raise DataError("the mask is not a PNG that can be read; save it again") from None
    return mask.astype(np.uint16)


def reason_of(error: Exception, *private: str) -> str:
    """Says in one line what went wrong, without paths or file names."""
    if isinstance(error, UserError):
        text = str(error)
    elif isinstance(error, OSError):
        text = error.strerror or type(error).__name__
    else:  # its text might quote the file
        text = f"unexpected {type(error).__name__} while reading"
    for secret in sorted((s for s in private if s), key=len, reverse=True):
        for form in (secret, Path(secret).name):
            printable = "".join(c if c.isprintable() else "?" for c in form)
            text = re.sub(rf"(?<!\w){re.escape(printable)}(?!\w)", "<file>", text)
    return " ".join(text.split())[:MAX_REASON_CHARACTERS]
