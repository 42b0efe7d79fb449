"""Reads one mammogram, of any format we know, as a viewer would show it. No TensorFlow."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mammo_tf.codecs.images import read_grey_image
from mammo_tf.dicom import read_mammogram
from mammo_tf.dicom.safety import safe_name
from mammo_tf.errors import DataError

# A pixel of a mammogram has 0.05 to 0.2 mm; thumbnails have more.
MIN_SPACING_MM, MAX_SPACING_MM = 0.001, 10.0


@dataclass(frozen=True, kw_only=True, eq=False)
class DisplayImage:
    """One grey image to look at.

    Attributes:
        pixels: (height, width) uint8 or uint16.
        pixel_spacing_mm: (row, column) distance between pixels; None where the file is silent.
        is_canonical: True for DICOM, which is turned: head up, the chest wall of a left breast at
            the left edge, of a right breast at the right edge. Other files stay as stored.
    """

    pixels: np.ndarray = field(repr=False)
    pixel_spacing_mm: tuple[float, float] | None
    is_canonical: bool


def read_display_image(path: str | os.PathLike) -> DisplayImage:
    """Reads a DICOM, PNG, TIFF or PGM file; what it is is told from its content.

    A DICOM file goes through its modality and VOI transformations and is rounded to 8 bits. The
    others keep their values, of 8 or 16 bits, and have no pixel spacing: what a PNG or TIFF says
    about its resolution is meant for printers.

    Args:
        path: The file.

    Returns:
        The image.

    Raises:
        UserError: If the file cannot be used: missing, cut off, too large, in colour, no
            mammogram, FOR PROCESSING, or with a pixel spacing that no mammogram has.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{safe_name(path)}: no such file, or not an ordinary one.")
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] != b"DICM" and path.suffix.lower() not in (".dcm", ".dicom"):
        grey = read_grey_image(path)
        return DisplayImage(pixels=grey.pixels, pixel_spacing_mm=None, is_canonical=False)
    mammogram = read_mammogram(path)
    spacing = mammogram.metadata.pixel_spacing_mm
    if spacing and not all(MIN_SPACING_MM <= side <= MAX_SPACING_MM for side in spacing):
        raise DataError(
            f"{safe_name(path)}: the pixel spacing must be {MIN_SPACING_MM:g} to "
            f"{MAX_SPACING_MM:g} mm. Received: {spacing[0]:g} and {spacing[1]:g}."
        )
    pixels = np.rint(mammogram.display() * 255).astype(np.uint8)
    return DisplayImage(pixels=pixels, pixel_spacing_mm=spacing, is_canonical=True)
