"""Where a mammogram shows breast and where air, from its grey levels alone. Pure functions."""

import numpy as np
from scipy import ndimage

_SAMPLES = 512  # along the longer side, to find the region; its outline is drawn at full size
_FEW_PIXELS = 16  # fewer do not tell a dead pixel from an image
_DARK_SHARE = 200  # one pixel in so many may be dead: a line or two, or scattered ones
_GAP_SHARE = 4
_CHUNK_PIXELS = 1 << 20
_FLAT_SHARE = 0.95  # of the dark part, so that the skin's rim alone does not make it uneven
_LITTLE_AIR = 0.25  # less of the image proper is dark: the rim, and dark tissue
_NOISE_WIDTHS = 5.0  # air reaches this many standard deviations above its middle
_DEVIATIONS_PER_MAD = 1.4826  # of a normal distribution


def darkest_level(values: np.ndarray) -> int:
    """Returns the darkest grey level of an image, dead pixels left out: what stands beside tissue.

    Whatever has to be put where there is no image (padding, a margin, a turned image's corners)
    takes this level, so that it adds no edge that the image has not.

    Let q be the level below which half a percent of the pixels lie (at least one pixel), and m the
    median. From q the darkest level goes down to the last one before a gap wider than a quarter of
    m − q. So a few dead pixels far below the rest do not count, and the noise of air or the thin
    rim of the skin does. With fewer than 16 pixels it is the minimum.

    Args:
        values: uint8 or uint16, any shape, at least one.

    Returns:
        One of the values.
    """
    counts = np.zeros(np.iinfo(values.dtype).max + 1, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _CHUNK_PIXELS):
        counts += np.bincount(flat[start : start + _CHUNK_PIXELS], minlength=counts.size)
    present = np.flatnonzero(counts)
    if flat.size < _FEW_PIXELS:
        return int(present[0])
    ranks = [max(1, flat.size // _DARK_SHARE), flat.size // 2]
    dark, middle = np.searchsorted(np.cumsum(counts), ranks, side="right")
    downwards = present[present <= dark][::-1]
    gaps = np.flatnonzero(-np.diff(downwards) > (middle - dark) / _GAP_SHARE)
    return int(downwards[gaps[0] if len(gaps) else -1])


def breast_mask(image: np.ndarray, padding: np.ndarray | None = None) -> np.ndarray:
    """Returns where an image shows the breast: (height, width) bool, False in air and padding.

    Air is the darker part of the image (`otsu_level`). Where nearly all of it is flat, it ends
    five standard deviations above its median; else, as in films with a mount and fog, halfway from
    its median to Otsu's threshold. Padding is air too; where it is known and little else is dark,
    it is all the air there is. The breast is the largest connected region of the rest; labels and
    the bright bands of films lie apart from it. Dark pixels inside the breast belong to it.

    Args:
        image: (height, width) uint8 or uint16, tissue brighter than air.
        padding: (height, width) bool, True where there is no image; or None. Without it, padding
            that `mammo_tf.dicom` has filled counts as flat air, which comes to the same but for
            single pixels at the outline.

    Returns:
        The mask; all False where the image is flat.
    """
    step, sampled = sample_evenly(image.shape, _SAMPLES)
    small_padding = None if padding is None else padding[sampled]
    limit = _air_limit(image[sampled].astype(np.float32), small_padding)
    if limit is None:
        return np.zeros(image.shape, bool)
    bright = image > limit
    if padding is not None:
        bright &= ~padding
    solid = ndimage.binary_fill_holes(largest_region(bright[sampled]))
    reach = ndimage.binary_dilation(solid, iterations=2)
    core = ndimage.binary_erosion(solid, iterations=2, border_value=1)
    mask = bright & _enlarged(reach, step, image.shape) | _enlarged(core, step, image.shape)
    return mask if padding is None else mask & ~padding


def sample_evenly(shape: tuple[int, int], most: int) -> tuple[int, tuple[slice, slice]]:
    """Returns a step and the (rows, columns) that take at most `most` pixels along each side.

    A side shorter than half a step still gives its middle.
    """
    step = max(1, -(-max(shape) // most))
    rows, columns = (slice(min(step // 2, (side - 1) // 2), None, step) for side in shape)
    return step, (rows, columns)


def largest_region(bright: np.ndarray) -> np.ndarray:
    """Returns the largest connected region of a (height, width) bool mask, specks left out."""
    labels, count = ndimage.label(ndimage.binary_opening(bright, iterations=1))
    if count == 0:
        return np.zeros(bright.shape, bool)
    return labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1


def otsu_level(image: np.ndarray) -> float | None:
    """Returns Otsu's threshold, after the square root that parts thin tissue from air.

    Args:
        image: (height, width) float32.

    Returns:
        The grey level; None where the image is flat from its first to its 99th percentile.
    """
    low, high = np.percentile(image, (1, 99))
    if not high > low:
        return None
    scaled = np.sqrt(np.clip((image - low) / (high - low), 0.0, 1.0))
    counts, edges = np.histogram(scaled, bins=64, range=(0.0, 1.0))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    best = edges[int(np.nanargmax(np.nan_to_num(between))) + 1]
    return float(low + best**2 * (high - low))


def _air_limit(small: np.ndarray, padding: np.ndarray | None) -> float | None:
    """Returns the highest grey level of air; None in a flat image."""
    level = otsu_level(small)
    if level is None:
        return None
    dark = small[small <= level]
    if padding is not None:
        image = small[~padding]
        if not image.size:
            return None
        dark = image[image <= level]
        if dark.size < _LITTLE_AIR * image.size:
            return float(small.min()) - 1
    middle = float(np.median(dark))
    deviation = _DEVIATIONS_PER_MAD * float(np.median(np.abs(dark - middle)))
    limit = middle + _NOISE_WIDTHS * deviation
    if np.mean(dark <= limit) < _FLAT_SHARE:
        limit = (middle + level) / 2
    return min(limit, level)


def _enlarged(small: np.ndarray, step: int, shape: tuple[int, int]) -> np.ndarray:
    rows = np.minimum(np.arange(shape[0]) // step, small.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1]) // step, small.shape[1] - 1)
    return small[rows[:, np.newaxis], columns[np.newaxis, :]]
