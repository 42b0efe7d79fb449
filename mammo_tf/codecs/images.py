"""Reads one grey image to be measured: DICOM, PNG, TIFF or PGM. Every file may be hostile."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs import png
from mammo_tf.codecs.pgm import read_pgm
from mammo_tf.codecs.tiff import is_tiff, parse_tiff
from mammo_tf.errors import DataError
from mammo_tf.limits import HEADER_ALLOWANCE_BYTES, MAX_PIXELS
from mammo_tf.signatures import SIGNATURE_BYTES, describe_signature

_EXPECTED = "Expected a grey DICOM, PNG, TIFF or PGM image of 8 or 16 bits"
_PNG_COLOURS = {2: "a colour image (RGB)", 3: "a palette image", 6: "a colour image (RGBA)"}


@dataclass(frozen=True)
class GreyImage:
    """Pixels as stored, and the largest value that the file's format allows for them.

    Attributes:
        pixels: (height, width) uint8 or uint16.
        max_stored: 2^BitsStored − 1 of a DICOM file, the maximum value of a PGM, and what the bits
            of a sample allow otherwise: 255, 4095 (TIFF of 12 bits) or 65535.
        padding: (height, width) bool, where a DICOM file says that there is no image; or None.
    """

    pixels: np.ndarray
    max_stored: int
    padding: np.ndarray | None = None


def read_grey_image(path: str | Path) -> GreyImage:
    """Reads a grey image.

    Args:
        path: A file; what it is is told from its content, not its name.

    Returns:
        The image. DICOM pixels are the raw stored values, as `mammo_tf.dicom` gives them. A TIFF in
        which 0 is white is inverted: larger is brighter.

    Raises:
        DataError: If the file is cut off, too large, in colour, of floating point, or no image.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would never end
        raise DataError(f"{path.name}: no such file, or not an ordinary one.")
    if is_dicom(path):
        return _read_dicom(path)
    with path.open("rb") as file:
        start = file.read(SIGNATURE_BYTES)
    if start[:2] in (b"P5", b"P2"):
        with path.open("rb") as file:
            return GreyImage(*read_pgm(file, path.name, MAX_PIXELS))
    if is_tiff(start):
        return _read_tiff(path)
    if start.startswith(png.SIGNATURE):
        _check_png(path, start)
        png.check_png(path)
    elif (kind := describe_signature(start)) is not None:
        raise DataError(f"{_EXPECTED}. {path.name} is {kind}.")
    pixels = _read_with_pillow(path, path)
    return GreyImage(pixels, int(np.iinfo(pixels.dtype).max))


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
    max_stored = 2**mammogram.metadata.bits_stored - 1
    return GreyImage(mammogram.pixels, max_stored, mammogram.padding)


def _read_tiff(path: Path) -> GreyImage:
    limit = 2 * MAX_PIXELS + HEADER_ALLOWANCE_BYTES
    if path.stat().st_size > limit:
        raise DataError(f"{path.name} has more than {limit:,} bytes, the most that we read.")
    content = path.read_bytes()
    facts = parse_tiff(content, path.name)
    if (problem := facts.problem()) is not None:
        raise DataError(f"{_EXPECTED}. {path.name} {problem}.")
    max_stored = 2**facts.bits - 1
    if not facts.is_white_zero:
        return GreyImage(_read_with_pillow(path, io.BytesIO(content)), max_stored)
    pixels = _read_with_pillow(path, io.BytesIO(facts.as_black_is_zero(content)))
    return GreyImage(pixels.dtype.type(max_stored) - pixels, max_stored)


def _check_png(path: Path, start: bytes) -> None:
    """Refuses what Pillow would stretch to 8 bits or take for colour (PNG, 11.2.2 IHDR)."""
    if len(start) < 26:
        return
    bits, colour = start[24:26]
    if colour == 4:
        kind = f"grey with transparency (alpha), of {bits} bits"
    elif colour != 0:
        kind = _PNG_COLOURS.get(colour, "of an unknown colour type")
    elif bits == 1:
        kind = "black and white (1 bit)"
    elif bits not in (8, 16):
        kind = f"of {bits}-bit numbers"
    else:
        return
    raise DataError(f"{_EXPECTED}. {path.name} is {kind}.")


def _read_with_pillow(path: Path, source: Path | io.BytesIO) -> np.ndarray:
    """Returns the pixels of `source`, the file at `path` or its content."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Our own limit follows, before a pixel is read; Pillow's is lower and only warns.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(source, formats=("PNG", "TIFF", "PPM"))
        with opened as image:
            _check_size(path, image.height, image.width)
            if image.mode not in ("L", "I;16", "I;16L", "I;16B"):
                raise DataError(f"{_EXPECTED}. {path.name} is {_describe(image.mode)}.")
            if (num_frames := getattr(image, "n_frames", 1)) != 1:
                raise DataError(f"{_EXPECTED}. {path.name} holds {num_frames} images.")
            pixels = np.array(image)
    except DataError:
        raise
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{_EXPECTED}. {path.name} is none of these, or damaged.") from error
    # Pillow's readers raise many kinds of errors on damaged files.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path.name} is cut off or damaged: {reason}.") from error
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _check_size(path: Path, height: int, width: int) -> None:
    if not 0 < height * width <= MAX_PIXELS:
        raise DataError(
            f"Expected at most {MAX_PIXELS:,} pixels. {path.name} says {height}×{width}."
        )


def _describe(mode: str) -> str:
    known = {
        "1": "black and white (1 bit)",
        "F": "of floating-point numbers",
        "I": "of 32-bit numbers",
    }
    return known.get(mode, f"a colour image ({mode})")
