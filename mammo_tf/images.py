"""Reads one mammogram, of any format we know, as a viewer would show it. No TensorFlow."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mammo_tf.codecs.images import GreyImage, is_dicom, read_grey_image
from mammo_tf.dicom import read_mammogram
from mammo_tf.dicom.orientation import AS_STORED, UNTURNED, UPRIGHT, Orientation
from mammo_tf.dicom.safety import safe_name
from mammo_tf.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class DisplayImage:
    """One grey image to look at.

    Attributes:
        pixels: (height, width) uint8 or uint16.
        pixel_spacing_mm: (row, column) distance between pixels; None where the file is silent.
        orientation: "canonical" for DICOM that could be turned: head up, the chest wall of a left
            breast at the left edge, of a right breast at the right edge; "upright, side unknown"
            for DICOM that was turned but does not say which breast it is; else "as stored".
        turn: How the stored image was turned to become this one.
        notes: What the file has and was left out, one line each; see `MammogramMetadata`.
    """

    pixels: np.ndarray = field(repr=False)
    pixel_spacing_mm: tuple[float, float] | None
    orientation: str
    turn: Orientation = UNTURNED
    notes: tuple[str, ...] = ()

    @property
    def file_shape(self) -> tuple[int, int]:
        """(rows, columns) of the image as the file stores it."""
        height, width = self.pixels.shape
        return (width, height) if self.turn.transpose else (height, width)


def read_display_image(
    path: str | os.PathLike, *, allow_for_processing: bool = False
) -> DisplayImage:
    """Reads a DICOM, PNG, TIFF or PGM file; what it is is told from its content.

    A DICOM file goes through its modality and VOI transformations and is rounded to 8 bits. The
    others keep their values, of 8 or 16 bits (a PGM with a maximum below 255 is brightened so that
    white is 255), and have no pixel spacing: what a PNG or TIFF says about its resolution is meant
    for printers.

    Args:
        path: The file.
        allow_for_processing: Whether to show images whose intent is FOR PROCESSING, too.

    Returns:
        The image.

    Raises:
        ForProcessingError: If the image is FOR PROCESSING and that is not allowed.
        UserError: If the file cannot be used: missing, cut off, too large, in colour, no
            mammogram, or with display values that cannot be worked out.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{safe_name(path)}: no such file, or not an ordinary one.")
    if not is_dicom(path):
        grey = read_grey_image(path)
        return DisplayImage(pixels=_spread(grey), pixel_spacing_mm=None, orientation=AS_STORED)
    mammogram = read_mammogram(path, allow_for_processing=allow_for_processing)
    facts = mammogram.metadata
    pixels = np.rint(mammogram.display() * 255).astype(np.uint8)
    is_canonical = facts.orientation_source not in (AS_STORED, UPRIGHT)
    return DisplayImage(
        pixels=pixels,
        pixel_spacing_mm=facts.pixel_spacing_mm,
        orientation="canonical" if is_canonical else facts.orientation_source,
        turn=mammogram.turn,
        notes=facts.notes,
    )


def _spread(grey: GreyImage) -> np.ndarray:
    if grey.max_stored >= 255:
        return grey.pixels
    return np.rint(grey.pixels * 255.0 / grey.max_stored).astype(np.uint8)
