"""Reads grey 8-bit JPEG files, as some published data sets hold."""

from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.limits import MAX_PIXELS

MAX_BYTES_PER_PIXEL = 2
ALLOWANCE_BYTES = 1 << 20  # headers


def read_grey_jpeg(path: Path, *, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Returns the (height, width) uint8 pixels of a grey JPEG file.

    Args:
        path: The file.
        shape: (height, width) that it must have; None for any.

    Raises:
        DataError: If the file is of another kind or size, too large, cut off or damaged.
        OSError: If it cannot be opened.
    """
    from PIL import Image

    if shape is not None:
        _check_bytes(path, shape[0] * shape[1])
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            found = (image.height, image.width)  # known before any pixel is decoded
            if shape is not None and found != tuple(shape):
                raise DataError(f"expected {_size(shape)} pixels, received {_size(found)}")
            if found[0] * found[1] > MAX_PIXELS:
                raise DataError(f"expected at most {MAX_PIXELS} pixels, received {_size(found)}")
            _check_bytes(path, found[0] * found[1])
            if image.mode != "L":
                raise DataError("expected a grey JPEG file, received one in colour")
            return np.array(image)
    except DataError:
        raise
    except (Image.UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        raise DataError("it is no JPEG file, or damaged") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError("the JPEG file is cut off or damaged") from None  # Pillow's word for it


def _check_bytes(path: Path, num_pixels: int) -> None:
    if path.stat().st_size > MAX_BYTES_PER_PIXEL * num_pixels + ALLOWANCE_BYTES:
        raise DataError("the JPEG file is larger than its pixels can need")


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
