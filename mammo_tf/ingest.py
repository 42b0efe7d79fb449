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

import numpy as np

from mammo_tf.codecs.pgm import parse_pgm_header, read_pgm
from mammo_tf.errors import DataError, UserError
from mammo_tf.files import resolve_inside
from mammo_tf.limits import MAX_PIXELS

MAX_REASON_CHARACTERS = 300


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be used, and why.

    Attributes:
        record: Salted key of the study, or public id of the film; "" if there is none.
        row: Row of the table (studies.csv, Info.txt), counted from 1 with the header.
        reason: One line without patient identity.
    """

    record: str
    row: int
    reason: str


@dataclass(frozen=True)
class FilmJob:
    """One mini-MIAS film to encode.

    Attributes:
        image_id: E.g. "mdb001".
        row: Line of Info.txt.
        content: The PGM file, or None when it is missing.
        cratios: Compression ratios of the ladder, or None for a plain PNG.
    """

    image_id: str
    row: int
    content: bytes | None = field(repr=False)
    cratios: tuple[float, ...] | None


@dataclass(frozen=True)
class ViewFile:
    """One row of studies.csv: where one view is. Paths are relative to the data folder.

    Attributes:
        row: The row; the header is row 1.
        view: "CC" or "MLO".
        laterality: "L" or "R".
        path: The DICOM file.
        mask: The PNG of its lesion, or "".
        sha256: The DICOM file's checksum as 64 hex digits, or "" for none.
    """

    row: int
    view: str
    laterality: str
    path: str = field(repr=False)
    mask: str = field(default="", repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class StudyJob:
    """One four-view study to read and encode.

    Attributes:
        record: The study's salted key.
        row: Its first row in studies.csv.
        folder: The data folder; no path may leave it.
        views: Maps "left_cc", "left_mlo", "right_cc", "right_mlo" to their files.
        cratios: Compression ratios of the ladder, or None for plain PNGs.
        follow_links: Whether a path may leave the folder through a symbolic link.
        allow_burned_in: Whether to take images that say that text is burned into their pixels.
    """

    record: str
    row: int
    folder: str = field(repr=False)
    views: dict[str, ViewFile] = field(repr=False)
    cratios: tuple[float, ...] | None
    follow_links: bool = False
    allow_burned_in: bool = False


@dataclass(frozen=True)
class EncodedView:
    """One encoded view.

    Attributes:
        image: `Ladder.to_bytes()`, or a PNG where the job has no `cratios`.
        bits_stored: Bits per sample of the source.
        pixel_spacing_mm: (row, column) spacing; 0 where unknown.
        mask: 8-bit PNG, 255 = lesion; b"" where there is none.
        age_years: From the file; -1 where unknown.
        vendor: From the file; "" where unknown.
    """

    image: bytes = field(repr=False)
    bits_stored: int = 8
    pixel_spacing_mm: tuple[float, float] = (0.0, 0.0)
    mask: bytes = field(default=b"", repr=False)
    age_years: int = -1
    vendor: str = ""


def ingest_film(job: FilmJob) -> bytes | Rejection:
    """Encodes one mini-MIAS film.

    Returns:
        `Ladder.to_bytes()` or, without `cratios`, a PNG; or a `Rejection`.
    """
    try:
        if job.content is None:
            raise DataError("its .pgm file is missing")
        return encode_image(parse_pgm(job.content, shape=(1024, 1024)), job.cratios)
    except Exception as error:
        return Rejection(job.image_id, job.row, _reason(error))


def ingest_study(job: StudyJob) -> dict[str, EncodedView] | Rejection:
    """Reads and encodes the four views of one study.

    Returns:
        The views by name; or a `Rejection` for the first view that cannot be used.
    """
    views = {}
    for name, file in job.views.items():
        try:
            views[name] = _ingest_view(job, file)
        except Exception as error:
            reason = f"{name}: {_reason(error, file.path, file.mask, job.folder)}"
            return Rejection(job.record, file.row, reason)
    return views


def _ingest_view(job: StudyJob, file: ViewFile) -> EncodedView:
    from mammo_tf.dicom import read_mammogram

    path = resolve_inside(job.folder, file.path, follow_links=job.follow_links)
    if file.sha256:
        _check_sha256(path, file.sha256)
    mammogram = read_mammogram(
        path, view=file.view, laterality=file.laterality, max_pixels=MAX_PIXELS
    )
    metadata, pixels = mammogram.metadata, mammogram.pixels
    if metadata.burned_in_annotation and not job.allow_burned_in:
        raise DataError(
            "the file says that text is burned into its pixels (BurnedInAnnotation YES), which may "
            "be a name; export it without, or look at it and allow such files: mammo-tf data build "
            "ncc --allow-burned-in"
        )
    if job.cratios is None:
        pixels = pixels.astype(np.uint16)  # an 8-bit PNG read as 16 bits would be rescaled
    mask = b""
    if file.mask:
        mask_path = resolve_inside(job.folder, file.mask, follow_links=job.follow_links)
        mask = _read_mask(mask_path, pixels.shape)
    return EncodedView(
        image=encode_image(pixels, job.cratios),
        bits_stored=int(metadata.bits_stored),
        pixel_spacing_mm=tuple(map(float, metadata.pixel_spacing_mm or (0.0, 0.0))),
        mask=mask,
        age_years=-1 if metadata.age_years is None else int(metadata.age_years),
        vendor=metadata.vendor or "",
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


def encode_png(image: np.ndarray) -> bytes:
    """Encodes a (height, width) uint8 or uint16 image as greyscale PNG of the same depth."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()


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


def _read_mask(path: Path, shape: tuple[int, int]) -> bytes:
    """Reads a mask, checks it and writes it anew, so that no text chunk of the file survives."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if (image.height, image.width) != shape:  # known before any pixel is decoded
                raise DataError(
                    f"the mask has {image.height}×{image.width} pixels, "
                    f"its image {shape[0]}×{shape[1]} in canonical orientation"
                )
            if image.mode not in ("1", "L"):
                raise DataError("the mask is not an 8-bit greyscale PNG")
            mask = np.asarray(image) > 0
    except (UnidentifiedImageError, SyntaxError):
        raise DataError("the mask is not a PNG that can be read") from None
    return encode_png(mask.astype(np.uint8) * 255)


def _reason(error: Exception, *private: str) -> str:
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
