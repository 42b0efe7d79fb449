"""A mammogram as GLAM's training saw it: stored values, and which way the breast faces."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mammo_tf.codecs.images import is_dicom, read_grey_image
from mammo_tf.codecs.jpeg import read_grey_jpeg
from mammo_tf.dicom import read_mammogram
from mammo_tf.dicom.orientation import (
    AS_STORED,
    DECIDED,
    UNTURNED,
    UPRIGHT,
    Orientation,
    chest_wall_evidence,
)
from mammo_tf.dicom.safety import safe_name
from mammo_tf.errors import DataError
from mammo_tf.pipelines.geometry import to_full_range

_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One mammogram.

    Attributes:
        pixels: (height, width) uint8 or uint16, larger is brighter; more than 8 bits are spread
            over 16.
        shown: (height, width) uint8 or uint16: the same as a viewer shows it.
        is_right: Whether it faces as right breasts do, its chest wall at the right edge.
        orientation: As in `mammo_tf.images.DisplayImage`.
        turn: How the stored image was turned to become this one.
        notes: What is to be said about it, one line each.
    """

    pixels: np.ndarray = field(repr=False)
    shown: np.ndarray = field(repr=False)
    is_right: bool
    orientation: str = AS_STORED
    turn: Orientation = UNTURNED
    notes: tuple[str, ...] = ()

    @property
    def file_shape(self) -> tuple[int, int]:
        """(rows, columns) of the image as the file stores it."""
        return self.pixels.shape[::-1] if self.turn.transpose else self.pixels.shape


def read_view(path: str | os.PathLike, *, allow_for_processing: bool = False) -> View:
    """Reads a DICOM, PNG, TIFF, PGM or grey JPEG file; what it is is told from its content.

    DICOM says which breast it shows. Of the others, and of DICOM that does not, the pixels tell at
    which edge the chest wall is.

    Args:
        path: The file.
        allow_for_processing: Whether to take DICOM images that are FOR PROCESSING, too.

    Raises:
        UserError: If the file cannot be used.
    """
    path = Path(path)
    if path.is_file() and is_dicom(path):
        return _read_dicom(path, allow_for_processing)
    pixels = _read_pixels(path)
    is_right, notes = _faces_right(pixels, None)
    return View(pixels=pixels, shown=pixels, is_right=is_right, notes=notes)


def _read_dicom(path: Path, allow_for_processing: bool) -> View:
    mammogram = read_mammogram(path, allow_for_processing=allow_for_processing)
    facts = mammogram.metadata
    notes: tuple[str, ...] = ()
    is_turned = facts.orientation_source not in (AS_STORED, UPRIGHT)
    if is_turned:
        is_right = facts.laterality == "R"
    else:
        is_right, notes = _faces_right(mammogram.pixels, mammogram.padding)
    return View(
        pixels=_spread(mammogram.pixels, 2**facts.bits_stored - 1),
        shown=np.rint(mammogram.display() * 255).astype(np.uint8),
        is_right=is_right,
        orientation="canonical" if is_turned else facts.orientation_source,
        turn=mammogram.turn,
        notes=(*facts.notes, *notes),
    )


def _read_pixels(path: Path) -> np.ndarray:
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(len(_JPEG_START))
        if start == _JPEG_START:
            try:
                return read_grey_jpeg(path)
            except DataError as error:
                raise DataError(f"{safe_name(path)}: {error}.") from None
    grey = read_grey_image(path)
    return _spread(grey.pixels, grey.max_stored)


def _spread(pixels: np.ndarray, max_stored: int) -> np.ndarray:
    bits = max_stored.bit_length()
    return pixels.astype(np.uint8) if bits <= 8 else to_full_range(pixels, bits)


def _faces_right(pixels: np.ndarray, padding) -> tuple[bool, tuple[str, ...]]:
    evidence = chest_wall_evidence(pixels, padding)
    if abs(evidence) < DECIDED:
        return False, ("the side of the chest wall is not clear; taken to be the left",)
    return evidence < 0, ()
