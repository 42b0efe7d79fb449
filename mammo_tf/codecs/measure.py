"""What compression costs: PSNR and RMSE of each compression ratio of a ladder."""

import math
from dataclasses import dataclass

import numpy as np

from mammo_tf.breast import breast_mask
from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.errors import UserError

LOSSLESS_PSNR_DB = 100.0
_CHUNK_PIXELS = 1 << 20  # sums of squares of 16-bit differences stay exact in a double


@dataclass(frozen=True)
class Measurement:
    """One row of the table: see `mammo_tf.codecs.jpeg2000.LadderEntry` for the first four.

    Attributes:
        psnr_db: Peak signal-to-noise ratio against the original image, in dB.
        rmse: Root mean square error against the original image, in grey levels.
        breast_psnr_db: PSNR over the pixels of the breast alone; None where there is no breast.
        breast_rmse: RMSE over the same pixels; None likewise.
        ssim: Structural similarity, see `structural_similarity`; None where it was not asked for.
    """

    cratio: float
    achieved_cratio: float
    num_bytes: int
    source: str
    psnr_db: float
    rmse: float
    breast_psnr_db: float | None
    breast_rmse: float | None
    ssim: float | None = None


def psnr(
    image: np.ndarray,
    other: np.ndarray,
    max_value: float | None = None,
    *,
    mask: np.ndarray | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB; 100 for identical images.

    Args:
        image: (height, width) uint8 or uint16, the original.
        other: The same shape and dtype, e.g. after compression.
        max_value: The peak, MAX in Eq. 1. None is the container's: 65535 for uint16, the paper's
            choice even where 12 bits are in use, 255 for uint8. With 4095 the PSNR of a 12-bit
            image is 24.1 dB lower.
        mask: (height, width) bool, the pixels that count, at least one; None for all.

    Returns:
        10·log10(MAX² / MSE). The paper labels identical images, whose PSNR is infinite, 100;
        images that differ in next to nothing can lie above that.

    Raises:
        UserError: If shapes or dtypes differ, `mask` has no pixel, or `max_value` is not a
            positive number.

    Reference:
        Jo et al. 2021, Eq. 1.
    """
    return _psnr_and_rmse(image, other, max_value, mask)[0]


def rmse(image: np.ndarray, other: np.ndarray, *, mask: np.ndarray | None = None) -> float:
    """Root mean square error in grey levels.

    Args:
        image: (height, width) uint8 or uint16, the original.
        other: The same shape and dtype, e.g. after compression.
        mask: (height, width) bool, the pixels that count, at least one; None for all.

    Raises:
        UserError: If shapes or dtypes differ, or `mask` has no pixel.
    """
    return _psnr_and_rmse(image, other, None, mask)[1]


def structural_similarity(
    image: np.ndarray, other: np.ndarray, max_value: float | None = None
) -> float:
    """Mean structural similarity (SSIM), 1 for identical images; TensorFlow's.

    Args:
        image: (height, width) uint8 or uint16, the original, at least 11 pixels each way.
        other: The same shape and dtype, e.g. after compression.
        max_value: As in `psnr`.

    Raises:
        UserError: If shapes or dtypes differ, or the image is too small.

    Reference:
        Wang et al., IEEE Transactions on Image Processing 13 (2004): Gaussian window of 11×11, σ
        1.5, K₁ = 0.01, K₂ = 0.03; the borders that the window leaves are not counted.
    """
    image, other = np.asarray(image), np.asarray(other)
    if image.shape != other.shape or image.dtype != other.dtype or min(image.shape) < 11:
        raise UserError(
            "SSIM compares images of one shape and dtype, of at least 11×11 pixels. "
            f"Received: {image.shape} {image.dtype} and {other.shape} {other.dtype}."
        )
    import tensorflow as tf

    peak = float(np.iinfo(image.dtype).max if max_value is None else max_value)
    pair = [part[..., np.newaxis].astype(np.float32) / np.float32(peak) for part in (image, other)]
    return float(tf.image.ssim(*pair, max_val=1.0))


def _psnr_and_rmse(image, other, max_value, mask) -> tuple[float, float]:
    """Returns both, from one pass over the pixels; see `psnr`."""
    image, other = np.asarray(image), np.asarray(other)
    if image.shape != other.shape or image.dtype != other.dtype:
        raise UserError(
            "PSNR compares images of one shape and dtype. "
            f"Received: {image.shape} {image.dtype} and {other.shape} {other.dtype}."
        )
    if image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise UserError(
            f"PSNR takes uint8 or uint16 images. Received: {image.shape} {image.dtype}."
        )
    if max_value is None:
        max_value = np.iinfo(image.dtype).max
    if not (math.isfinite(max_value) and max_value > 0):
        raise UserError(f"`max_value` must be a positive number. Received: {max_value!r}.")
    mean_square = _mean_square(image, other, mask)
    decibels = LOSSLESS_PSNR_DB if not mean_square else 10 * math.log10(max_value**2 / mean_square)
    return decibels, math.sqrt(mean_square)


def _mean_square(image: np.ndarray, other: np.ndarray, mask: np.ndarray | None) -> float:
    if mask is None:
        return _sum_of_squares(image.ravel(), other.ravel()) / image.size
    if mask.shape != image.shape or mask.dtype != bool or not mask.any():
        raise UserError(
            f"`mask` must be bool, {image.shape}, with a pixel in it. "
            f"Received: {mask.dtype}, {mask.shape}, {np.count_nonzero(mask)} pixels."
        )
    chosen = image[mask]
    return _sum_of_squares(chosen, other[mask]) / chosen.size


def measure_one(
    image: np.ndarray,
    ladder: Ladder,
    cratio: float,
    max_value: float | None = None,
    *,
    breast: np.ndarray,
    ssim: bool = False,
    threads: int = 1,
) -> Measurement:
    """Decodes one compression ratio and compares it with the original.

    Args:
        image: (height, width) uint8 or uint16, the original.
        ladder: `encode_ladder(image, …)`.
        cratio: One of the ladder's.
        max_value: As in `psnr`.
        breast: (height, width) bool, see `mammo_tf.breast.breast_mask`; it may be empty.
        ssim: Whether to measure structural similarity too, which takes some seconds.
        threads: Threads inside OpenJPEG.
    """
    decoded = ladder.decode(cratio, threads=threads)
    entry = next(entry for entry in ladder.entries if entry.cratio == cratio)
    decibels, error = _psnr_and_rmse(image, decoded, max_value, None)
    in_breast = _psnr_and_rmse(image, decoded, max_value, breast) if breast.any() else (None, None)
    return Measurement(
        cratio=entry.cratio,
        achieved_cratio=entry.achieved_cratio,
        num_bytes=entry.num_bytes,
        source=entry.source,
        psnr_db=decibels,
        rmse=error,
        breast_psnr_db=in_breast[0],
        breast_rmse=in_breast[1],
        ssim=structural_similarity(image, decoded, max_value) if ssim else None,
    )


def measure(
    image: np.ndarray, ladder: Ladder, max_value: float | None = None
) -> tuple[Measurement, ...]:
    """Measures every compression ratio of a ladder against the image it was made from.

    Args:
        image: (height, width) uint8 or uint16, the original.
        ladder: `encode_ladder(image, …)`.
        max_value: As in `psnr`.

    Returns:
        One measurement for each compression ratio, in the ladder's order.

    Raises:
        UserError: If the image is not the ladder's in shape or dtype.

    Examples:
        >>> from mammo_tf.codecs.jpeg2000 import encode_ladder
        >>> image = np.zeros((64, 48), np.uint16)
        >>> [row.psnr_db for row in measure(image, encode_ladder(image, (1,)))]
        [100.0]
    """
    breast = breast_mask(image)
    return tuple(
        measure_one(image, ladder, cratio, max_value, breast=breast) for cratio in ladder.cratios
    )


def _sum_of_squares(first: np.ndarray, second: np.ndarray) -> float:
    total = 0.0
    for start in range(0, first.size, _CHUNK_PIXELS):
        chunk = slice(start, start + _CHUNK_PIXELS)
        difference = first[chunk].astype(np.float64) - second[chunk]
        total += float(difference @ difference)
    return total
