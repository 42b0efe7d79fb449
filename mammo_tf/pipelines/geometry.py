"""The paper's steps on arrays: resize, crop, mirror, pair; and square patches."""

import math

import numpy as np
from PIL import Image

from mammo_tf.breast import darkest_level
from mammo_tf.errors import UserError

VIEWS = ("CC", "MLO")
LATERALITIES = ("L", "R")


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes with a triangle filter that widens when shrinking, so that nothing aliases.

    The filter is not stated in the paper; this is Pillow's "bilinear", the usual one for the
    paper's PyTorch 1.2.

    Args:
        image: (height, width) uint8 or uint16.
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Returns:
        (height, width) of the same dtype, rounded to the nearest value, halves to even.

    Raises:
        UserError: If `image` is not a greyscale image of these types, or a size is below 1.

    Examples:
        >>> resize(np.array([[1, 3], [5, 7]], np.uint8), 1, 1)
        array([[4]], dtype=uint8)
    """
    _check_image(image)
    if height < 1 or width < 1:
        raise UserError(f"The new size must be at least 1×1. Received: {height}×{width}.")
    if image.shape == (height, width):
        return image
    resized = Image.fromarray(image.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.rint(np.asarray(resized)).astype(image.dtype)  # a mean never leaves the range


def resize_nearest(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes by taking the pixel at the same relative place, so that no value is mixed.

    Args:
        image: (height, width), any dtype, e.g. masks.
        height: New height in pixels, at least 1.
        width: New width in pixels, at least 1.

    Returns:
        (height, width) of the same dtype.
    """
    rows = (np.arange(height) + 0.5) * (image.shape[0] / height)
    columns = (np.arange(width) + 0.5) * (image.shape[1] / width)
    return image[np.ix_(rows.astype(int), columns.astype(int))]


def resized_shape(shape: tuple[int, int], fraction: float) -> tuple[int, int]:
    """The (height, width) after `resize_fraction`: rounded, halves up, at least 1."""
    if not 0 < fraction <= 1:
        raise UserError(f"`fraction` must be above 0 and at most 1. Received: {fraction}.")
    height, width = (max(1, math.floor(size * fraction + 0.5)) for size in shape)
    return height, width


def resize_fraction(image: np.ndarray, fraction: float) -> np.ndarray:
    """Resizes to a share of height and width; see `resize`.

    Args:
        image: (height, width) uint8 or uint16.
        fraction: Above 0, at most 1; 0.3 in the paper.

    Returns:
        The shape that `resized_shape` gives, same dtype.

    Reference:
        Jo et al. 2021, "Model development and evaluation".
    """
    return resize(image, *resized_shape(image.shape, fraction))


def crop_box(shape: tuple[int, int], view: str, laterality: str) -> tuple[int, int, int, int]:
    """Where `crop_view` cuts: (top, bottom, left, right), the ends exclusive.

    An odd middle column is kept; a fifth is rounded down, so a row in doubt is kept too.
    """
    if view not in VIEWS or laterality not in LATERALITIES:
        raise UserError(
            f"Expected a view of {VIEWS} and a laterality of {LATERALITIES}. "
            f"Received: {view!r}, {laterality!r}."
        )
    height, width = shape
    top, bottom = (height // 5, height) if view == "MLO" else (0, height - height // 5)
    left, right = (0, width - width // 2) if laterality == "L" else (width // 2, width)
    return top, bottom, left, right


def crop_view(image: np.ndarray, *, view: str, laterality: str) -> np.ndarray:
    """Keeps the half at the chest wall, without the top fifth of MLO or the bottom fifth of CC.

    Args:
        image: (height, width) in canonical orientation: the chest wall of a left breast at the
            left edge, of a right breast at the right edge.
        view: "CC" or "MLO".
        laterality: "L" or "R".

    Returns:
        A view of `image`: (height − height // 5, width − width // 2).

    Raises:
        UserError: If `view` or `laterality` is another one.

    Reference:
        Jo et al. 2021, "Model development and evaluation".
    """
    top, bottom, left, right = crop_box(image.shape, view, laterality)
    return image[top:bottom, left:right]


def mirror(image: np.ndarray) -> np.ndarray:
    """Reverses the columns, so that a right breast faces as a left one does."""
    return image[:, ::-1]


def fit_and_pad(
    image: np.ndarray, shape: tuple[int, int], resize=resize, outside: int | None = None
) -> np.ndarray:
    """Scales an image into `shape`, keeping its aspect, and fills the rest.

    The scaled image touches the top left corner, where the chest wall is after `mirror`. How the
    paper brought detectors of different sizes to one input is not stated there.

    Args:
        image: (height, width) uint8 or uint16.
        shape: (height, width) wanted.
        resize: How to scale; `resize_nearest` for masks.
        outside: The grey level of the rest; None for `level_outside`.

    Returns:
        An array of `shape` and the image's dtype.
    """
    _check_image(image)
    height, width = fitted_shape(image.shape, shape)
    scaled = resize(image, height, width)
    if (height, width) == tuple(shape):
        return scaled.copy()
    level = level_outside(scaled, resize) if outside is None else outside
    padded = np.full(shape, level, image.dtype)
    padded[:height, :width] = scaled
    return padded


def fitted_shape(shape: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """The largest (height, width) with the aspect of `shape` that `box` holds, at least 1×1."""
    scale = min(box[0] / shape[0], box[1] / shape[1])
    height, width = (
        max(1, min(most, math.floor(size * scale + 0.5)))
        for size, most in zip(shape, box, strict=True)
    )
    return height, width


def level_outside(image: np.ndarray, resize=resize) -> int:
    """Returns what stands where an image ends: as dark as its own air.

    A machine's air need not be 0, and an edge that is not in the image would decide its mean and
    standard deviation.

    Args:
        image: (height, width) uint8 or uint16, or a mask.
        resize: How it is scaled; `resize_nearest` tells a mask.

    Returns:
        `mammo_tf.breast.darkest_level`; 0 for masks, bool ones too.
    """
    is_mask = resize is resize_nearest or image.dtype == bool
    return 0 if is_mask else darkest_level(image)


def extract_patch(
    image: np.ndarray, row: int, column: int, size: int | tuple[int, int], resize=resize
) -> np.ndarray:
    """Cuts a window whose middle is a given pixel; outside the image stands `level_outside`.

    Args:
        image: (height, width) uint8 or uint16, or a mask.
        row: Row of the middle; the window begins `height // 2` rows above it.
        column: Column of the middle, likewise. Neither need lie inside the image.
        size: Side of a square in pixels, or (height, width).
        resize: How it will be scaled; `resize_nearest` tells a mask.

    Returns:
        (size, size), or (height, width): a new array.
    """
    height, width = (size, size) if isinstance(size, int) else size
    top, left = row - height // 2, column - width // 2
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    if (rows.stop - rows.start, columns.stop - columns.start) == (height, width):
        return image[rows, columns].copy()
    patch = np.full((height, width), level_outside(image, resize), image.dtype)
    if rows.start < rows.stop and columns.start < columns.stop:
        patch[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = (
            image[rows, columns]
        )
    return patch


def to_full_range(image: np.ndarray, bits_stored: int) -> np.ndarray:
    """Spreads stored values over 16 bits, so that 12-bit and 16-bit detectors are comparable.

    Multiplies by 2^(16 − bits_stored). What lossy compression has put above the detector's range
    is clipped. Done before resizing, so that a 12-bit image keeps fractions when averaged.

    Args:
        image: (height, width) uint8 or uint16, stored values.
        bits_stored: 1 to 16.

    Returns:
        (height, width) uint16.

    Raises:
        UserError: If `bits_stored` is out of range.
    """
    if not 1 <= bits_stored <= 16:
        raise UserError(f"`bits_stored` must be from 1 to 16. Received: {bits_stored}.")
    clipped = np.minimum(image, np.uint16(2**bits_stored - 1)).astype(np.uint16, copy=False)
    return clipped << np.uint16(16 - bits_stored)


def spread_to_8_bits(image: np.ndarray) -> np.ndarray:
    """Spreads an image's own range over 0 to 255, as digitised films have it.

    The range of a uint16 image begins at its darkest level (`mammo_tf.breast.darkest_level`), so
    that a dead pixel does not leave a few levels to the tissue.

    Args:
        image: (height, width) uint8, which is returned as it is, or uint16 or float.

    Returns:
        (height, width) uint8.
    """
    if image.dtype == np.uint8:
        return image
    values = np.asarray(image, np.float32)
    low = float(darkest_level(image) if image.dtype == np.uint16 else values.min())
    spread = np.maximum(values - low, 0) * (255 / max(float(values.max()) - low, 1e-6))
    return np.rint(spread).astype(np.uint8)


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 2 or not image.size or image.dtype not in (np.uint8, np.uint16):
        raise UserError(
            "Expected a (height, width) image of uint8 or uint16. "
            f"Received: shape {image.shape}, {image.dtype}."
        )
