"""Reads and encodes one film of CBIS-DDSM with the masks of its abnormalities: a worker process.

What is a mask and what a crop is told from what is in the files: column, file name and
SeriesDescription are wrong in places. Never imports TensorFlow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mammo_tf.codecs.jpeg import read_grey_jpeg
from mammo_tf.codecs.png_writer import encode_png
from mammo_tf.errors import DataError
from mammo_tf.files import resolve_inside
from mammo_tf.ingest import Rejection, encode_image, mask_finding, reason_of
from mammo_tf.limits import MAX_PIXELS
from mammo_tf.record import NO_BOX
from mammo_tf.time_limit import time_limit

AS_STORED, RESIZED, NO_MASK = "as stored", "resized", "none"
MASK_STATES = (AS_STORED, RESIZED, NO_MASK)
MAX_RESIZE = 1.25
"""A mask of another size is taken for the image's if neither side differs by more; known: 1.149."""
MAX_STRETCH = 1.02
"""And if height and width differ by nearly the same factor; known: 1.004."""
CLEAR_EVIDENCE = 0.1  # of `chest_wall_evidence`, as in `mammo_tf.dicom.orientation`


@dataclass(frozen=True)
class FindingFiles:
    """Where the mask and the crop of one abnormality are.

    Attributes:
        row: Its row in the label file.
        files: Maps each series that should be there to its files, relative to the job's folder.
    """

    row: int
    files: dict[str, tuple[str, ...]] = field(repr=False)


@dataclass(frozen=True)
class CbisJob:
    """One film.

    Attributes:
        record: Its id.
        table: The label file's name.
        row: Its first row there.
        laterality: "L" or "R".
        folder: The archive's folder; no path may leave it.
        image: Maps the series that hold the film to its files; the first usable one is taken.
        findings: Its abnormalities.
        cratios: Compression ratios of the ladder, or None for a plain PNG.
    """

    record: str
    table: str
    row: int
    laterality: str
    folder: str = field(repr=False)
    image: dict[str, tuple[str, ...]] = field(repr=False)
    findings: tuple[FindingFiles, ...] = field(repr=False)
    cratios: tuple[float, ...] | None


@dataclass(frozen=True)
class Place:
    """Where an abnormality is.

    Attributes:
        state: One of `MASK_STATES`.
        box_yxyx_px: Of the mask, in the image's pixels; all -1 where there is none.
        note: What is missing or doubtful, in one line; "" for nothing.
    """

    state: str
    box_yxyx_px: tuple[float, float, float, float] = NO_BOX
    note: str = ""


@dataclass(frozen=True)
class EncodedFilm:
    """One encoded film.

    Attributes:
        image: `Ladder.to_bytes()`, or a PNG where the job has no `cratios`.
        shape: (height, width) in pixels.
        bits_stored: Bits that carry the image.
        is_canonical: Whether the pixels put the chest wall where the laterality has it.
        masks: PNG of (height, width) uint16, bit k set where finding k is; None without a mask.
        places: Of the findings, in the job's order.
        note: What was wrong with a copy of the film that was passed over; "" for nothing.
    """

    image: bytes = field(repr=False)
    shape: tuple[int, int]
    bits_stored: int
    is_canonical: bool
    masks: bytes | None = field(repr=False)
    places: tuple[Place, ...]
    note: str = ""


def ingest_cbis_film(job: CbisJob) -> EncodedFilm | Rejection:
    """Reads and encodes one film.

    Returns:
        The film; or a `Rejection` if its image cannot be used. A mask that cannot be used leaves
        its finding without a place, and a note.
    """
    try:
        with time_limit():
            pixels, bits_stored, note = _read_image(job)
        masks = np.zeros(pixels.shape, np.uint16)
        places = []
        for bit, finding in enumerate(job.findings):
            with time_limit():
                place, mask = _find_mask(job.folder, finding.files, pixels.shape)
            if mask is not None:
                top, left, bottom, right = map(int, place.box_yxyx_px)
                box = np.s_[top:bottom, left:right]
                masks[box] |= mask[box].astype(np.uint16) << np.uint16(bit)
            places.append(place)
        has_masks = any(place.state != NO_MASK for place in places)
        return EncodedFilm(
            image=encode_image(_as_uint16(pixels), job.cratios),
            shape=pixels.shape,
            bits_stored=bits_stored,
            is_canonical=is_canonical(pixels, job.laterality),
            masks=encode_png(masks) if has_masks else None,
            places=tuple(places),
            note=note,
        )
    except Exception as error:
        return _rejection(job, error, job.folder)


def _rejection(job, error: Exception, *private: str) -> Rejection:
    return Rejection(job.record, job.row, f"{job.table}: {reason_of(error, *private)}")


def is_canonical(pixels: np.ndarray, laterality: str) -> bool:
    """Whether the breast clearly touches the left edge, if a left one, or the right, if a right.

    Args:
        pixels: (height, width), tissue brighter than air.
        laterality: "L" or "R".
    """
    from mammo_tf.dicom import chest_wall_evidence

    evidence = chest_wall_evidence(pixels)
    return (evidence if laterality == "L" else -evidence) >= CLEAR_EVIDENCE


def _as_uint16(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.uint16, copy=False)  # an 8-bit PNG read as 16 bits would be rescaled


def _read_image(job: CbisJob) -> tuple[np.ndarray, int, str]:
    """Returns the film's pixels and BitsStored, and why an earlier copy of it was passed over."""
    notes = []
    for series, paths in job.image.items():
        copies, errors = _read_series(job.folder, series, paths)
        if len({(c[0].shape, c[0].tobytes() if len(copies) > 1 else b"") for c in copies}) == 1:
            return *copies[0], "; ".join(notes)
        notes.append("; ".join(errors) if not copies else "its series holds different images")
    raise DataError("; ".join(notes) or "its file is missing")


def _read_series(
    folder: str, series: str, paths: Sequence[str]
) -> tuple[list[tuple[np.ndarray, int]], list[str]]:
    """Reads the files of one series: (pixels, BitsStored) of each, and what is wrong with others.

    A file must say itself that it is of the series: folders are renamed by hand.
    """
    from mammo_tf.dicom.reader import read_stored

    images, errors = [], []
    for path in paths:
        try:
            pixels, header = read_stored(resolve_inside(folder, path), max_pixels=MAX_PIXELS)
            if header.get("SeriesInstanceUID") != series:
                raise DataError("the file is of another series than its folder")
            images.append((pixels, header.get("BitsStored")))
        except Exception as error:
            errors.append(reason_of(error, path, folder))
    return images, errors


def _find_mask(
    folder: str, files: dict[str, tuple[str, ...]], shape: tuple[int, int]
) -> tuple[Place, np.ndarray | None]:
    """Tells mask from crop; returns the place, and the mask as (height, width) bool or None."""
    images, errors = [], []
    for series, paths in files.items():
        found, wrong = _read_series(folder, series, paths)
        images += [pixels for pixels, _ in found]
        errors += wrong
    candidates = [image for image in images if image.shape == shape and _is_binary(image)]
    state, note = AS_STORED, ""
    if not candidates:
        candidates = [image for image in images if _may_be_resized(image, shape)]
        state = RESIZED
    if len(candidates) > 1 and not all(np.array_equal(candidates[0], c) for c in candidates[1:]):
        return Place(NO_MASK, note="two files may be its mask, and they differ"), None
    if not candidates:
        return Place(NO_MASK, note=_why_none(files, images, errors)), None
    mask = candidates[0] > 0
    if state == RESIZED:
        note = f"its mask has {_size(mask.shape)} pixels, its image {_size(shape)}: resized"
        mask = _resize(mask, shape)
    found = mask_finding(mask)
    if found is None:
        return Place(NO_MASK, note="its mask is empty once resized"), None
    return Place(state, found.box_yxyx_px, note), mask


def _is_binary(image: np.ndarray) -> bool:
    """Whether an image holds 0 and one other value, and both of them."""
    highest = image.max()
    if highest == 0:
        return False
    num_high = np.count_nonzero(image)
    return num_high < image.size and num_high == np.count_nonzero(image == highest)


def _may_be_resized(image: np.ndarray, shape: tuple[int, int]) -> bool:
    factors = [side / wanted for side, wanted in zip(image.shape, shape, strict=True)]
    if max(*factors, 1 / min(factors)) > MAX_RESIZE:
        return False
    return max(factors) / min(factors) <= MAX_STRETCH and _is_binary(image)


def _resize(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resizes to the nearest pixel, centres on centres."""
    rows, columns = (
        np.minimum(((np.arange(wanted) + 0.5) * side / wanted).astype(int), side - 1)
        for side, wanted in zip(mask.shape, shape, strict=True)
    )
    return mask[rows[:, np.newaxis], columns]


def _why_none(files: dict, images: list[np.ndarray], errors: list[str]) -> str:
    if errors:
        return f"its mask may be in a file that cannot be used: {errors[0]}"
    if not any(files.values()):
        return "its mask is missing: the series is not there"
    sizes = ", ".join(_size(image.shape) for image in images)
    return f"none of its files is a mask that fits the image: received {sizes} pixels"


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"


@dataclass(frozen=True)
class JpegJob:
    """One image of the folder of JPEG files.

    Attributes:
        record: Its id.
        table: The name of the table that lists it.
        row: Its first row there.
        laterality: "L" or "R".
        path: The file.
        size: Height and width that it must have.
        cratios: Compression ratios of the ladder, or None for a plain PNG.
    """

    record: str
    table: str
    row: int
    laterality: str
    path: str = field(repr=False)
    size: int
    cratios: tuple[float, ...] | None


def ingest_cbis_jpeg(job: JpegJob) -> EncodedFilm | Rejection:
    """Decodes one JPEG file and encodes its pixels without further loss.

    Returns:
        The image, without places; or a `Rejection` if it cannot be used.
    """
    try:
        with time_limit():
            pixels = read_grey_jpeg(Path(job.path), shape=(job.size, job.size))
        return EncodedFilm(
            image=encode_image(pixels, job.cratios),
            shape=pixels.shape,
            bits_stored=8,
            is_canonical=is_canonical(pixels, job.laterality),
            masks=None,
            places=(),
        )
    except Exception as error:
        return _rejection(job, error, job.path)
