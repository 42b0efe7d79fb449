"""Reads one grey image to be measured: DICOM, PNG, TIFF or PGM. Every file may be hostile."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.limits import MAX_PIXELS

_EXPECTED = "Expected a grey DICOM, PNG, TIFF or PGM image of 8 or 16 bits"
_PGM_HEADER = re.compile(
    rb"P5(?:\s+|\s*#[^\n]*\n)+(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s"
)


@dataclass(frozen=True)
class GreyImage:
    """Pixels as stored, and the largest value that the file's format allows for them.

    Attributes:
        pixels: (height, width) uint8 or uint16.
        max_stored: 2^BitsStored − 1 of a DICOM file, the maximum value of a PGM, and the
            container's (255 or 65535) otherwise.
    """

    pixels: np.ndarray
    max_stored: int


def read_grey_image(path: str | Path) -> GreyImage:
    """Reads a grey image.

    Args:
        path: A file; what it is is told from its content, not its name.

    Returns:
        The image. DICOM pixels are the raw stored values, as `mammo_tf.dicom` gives them.

    Raises:
        DataError: If the file is cut off, too large, in colour, of floating point, or no image.
    """
    path = Path(path)
    if is_dicom(path):
        return _read_dicom(path)
    with path.open("rb") as file:
        start = file.read(2)
    if start[:2] == b"P5":
        return _read_pgm(path)
    return _read_with_pillow(path)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its content, with or without preamble, or by its name."""
    from mammo_tf.dicom import part10

    with path.open("rb") as file:
        start = file.read(part10.SNIFF_BYTES)
    by_content = part10.find_first_element(start) is not None
    return by_content or path.suffix.lower() in (".dcm", ".dicom")


def _read_dicom(path: Path) -> GreyImage:
    from mammo_tf.dicom import read_mammogram

    mammogram = read_mammogram(path, allow_for_processing=True)
    return GreyImage(mammogram.pixels, 2**mammogram.metadata.bits_stored - 1)


def _read_pgm(path: Path) -> GreyImage:
    """Pillow stretches a 12-bit PGM to 16 bits; here the values stay as they are."""
    with path.open("rb") as file:
        start = file.read(4096)
        header = _PGM_HEADER.match(start)
        if not header:
            raise DataError(f"{_EXPECTED}. The PGM header of {path.name} cannot be read.")
        width, height, maximum = map(int, header.groups())
        if not 1 <= maximum <= 65535:
            raise DataError(f"A PGM's maximum must be 1 to 65535. {path.name} has {maximum}.")
        _check_size(path, height, width)
        dtype = np.dtype(np.uint8 if maximum < 256 else ">u2")
        file.seek(header.end())
        num_bytes = height * width * dtype.itemsize
        content = file.read(num_bytes)
    if len(content) != num_bytes:
        raise DataError(
            f"{path.name} is cut off: expected {num_bytes} bytes of pixels, "
            f"received {len(content)}."
        )
    pixels = np.frombuffer(content, dtype).reshape(height, width)
    return GreyImage(pixels.astype(dtype.newbyteorder("=")), maximum)


def _read_with_pillow(path: Path) -> GreyImage:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Our own limit follows, before a pixel is read; Pillow's is lower and only warns.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=("PNG", "TIFF", "PPM"))
        with opened as image:
            _check_size(path, image.height, image.width)
            if image.mode not in ("L", "I;16", "I;16L", "I;16B"):
                raise DataError(f"{_EXPECTED}. {path.name} is {_describe(image.mode)}.")
            if getattr(image, "n_frames", 1) != 1:
                raise DataError(f"{_EXPECTED}. {path.name} holds {image.n_frames} images.")
            pixels = np.array(image)
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{_EXPECTED}. {path.name} is none of these, or damaged.") from error
    # Pillow's readers raise many kinds of errors on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path.name} is cut off or damaged: {reason}.") from error
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return GreyImage(pixels, int(np.iinfo(pixels.dtype).max))


def _check_size(path: Path, height: int, width: int) -> None:
    if not 0 < height * width <= MAX_PIXELS:
        raise DataError(
            f"Expected at most {MAX_PIXELS:,} pixels. {path.name} says {height}×{width}."
        )


def _describe(mode: str) -> str:
    known = {
        "1": "black and white (1 bit)",
        "F": "of floating-point numbers",
        "I": "of 32-bit numbers, or a plain-text PGM of more than 8 bits",
        "LA": "grey with transparency",
        "P": "a palette image",
    }
    return known.get(mode, f"a colour image ({mode})")
