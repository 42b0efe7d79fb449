"""What ciGAN is fed with: patches in [0, 1], corrupted where the lesion is, and its boundary."""

import numpy as np
from scipy import ndimage

BACKGROUND = 20 / 255  # as `mammo_tf.pipelines.matching.tissue_mask` has it


def unit_range(patches: np.ndarray) -> np.ndarray:
    """Returns uint8 or uint16 patches as float32 from 0 to 1, by the type's whole range."""
    return patches.astype(np.float32) / np.float32(np.iinfo(patches.dtype).max)


def from_unit_range(patches: np.ndarray, dtype: type) -> np.ndarray:
    """Returns [0, 1] patches as uint8 or uint16; what lies outside is clipped.

    Examples:
        >>> from_unit_range(np.array([0.0, 0.5, 1.2]), np.uint8).tolist()
        [0, 128, 255]
    """
    return np.rint(np.clip(patches, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def corrupt(patch: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replaces the pixels of a mask by noise, uniform in [0, 1).

    Args:
        patch: (height, width) float32 in [0, 1].
        mask: (height, width) bool.
        rng: Draws one number a pixel of the patch, so that the mask does not shift what follows.

    Returns:
        (height, width) float32, a new array.

    Reference:
        Peterka et al. 2020, sections 3.3 and 4.1.
    """
    noise = rng.random(patch.shape, np.float32)
    return np.where(mask, noise, patch).astype(np.float32)


def boundary_weights(mask: np.ndarray, sigma_px: float = 10.0) -> np.ndarray:
    """Returns how near each pixel is to the lesion's edge: the edge blurred by a Gaussian.

    The edge is the mask's outermost pixels and those that touch them outside by a side. The
    highest weight is 1. Pixels beyond the patch count as the nearest ones in it, so a lesion that
    the patch cuts has no edge there.

    Args:
        mask: (height, width) bool.
        sigma_px: Standard deviation in pixels of the patch; 10 in the paper, on 256.

    Returns:
        (height, width) float32; all 0 for a mask without an edge.

    Reference:
        Peterka et al. 2020, section 4.2, "mask with Gaussian filter".
    """
    edge = ndimage.binary_dilation(mask) ^ ndimage.binary_erosion(mask, border_value=1)
    if not edge.any():
        return np.zeros(mask.shape, np.float32)
    blurred = ndimage.gaussian_filter(edge.astype(np.float32), sigma_px, mode="nearest")
    return blurred / blurred.max()


def zoom_mask(mask: np.ndarray, factor: float) -> np.ndarray:
    """Returns a mask magnified about the middle of what it marks; nearest pixels, the same shape.

    Args:
        mask: (height, width) bool with at least one pixel.
        factor: Above 0; 1 changes nothing.
    """
    return zoom_about(mask, mask, factor)


def zoom_about(image: np.ndarray, mask: np.ndarray, factor: float) -> np.ndarray:
    """Returns an image magnified as `zoom_mask` magnifies its mask; 0 where there is no pixel.

    Args:
        image: (height, width) of any type.
        mask: (height, width) bool with at least one pixel.
        factor: Above 0; 1 changes nothing.
    """
    places = np.argwhere(mask)
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    rows, columns = (
        np.rint((np.arange(length) - centre) / factor + centre).astype(int)
        for length, centre in zip(mask.shape, middle, strict=True)
    )
    inside = [
        (axis >= 0) & (axis < length)
        for axis, length in zip((rows, columns), mask.shape, strict=True)
    ]
    zoomed = image[np.ix_(rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1))]
    return np.where(np.outer(*inside), zoomed, np.zeros((), image.dtype))


def fit_lesion(
    normal: np.ndarray,
    masks: np.ndarray,
    rng: np.random.Generator,
    *,
    zoom_range: tuple[float, float] = (0.9, 1.1),
    least_level: float = BACKGROUND,
    tries: int = 50,
) -> tuple[int, np.ndarray, float] | None:
    """Chooses a lesion's mask that lies on tissue of a normal patch, zoomed a little.

    Args:
        normal: (height, width) float32 in [0, 1].
        masks: (n, height, width) bool, the lesions to choose from.
        rng: Draws lesions, and their zoom.
        zoom_range: (lowest, highest) magnification; "a small factor" in the paper.
        least_level: Darkest tissue; every pixel of the mask must be above it.
        tries: Lesions drawn before the patch is given up.

    Returns:
        The number of the lesion, its mask there and its zoom, or None where none fits.

    Reference:
        Peterka et al. 2020, section 4.1.
    """
    tissue = normal > least_level
    for _ in range(tries):
        index = int(rng.integers(len(masks)))
        zoom = float(rng.uniform(*zoom_range))
        mask = zoom_mask(np.asarray(masks[index], bool), zoom)
        if mask.any() and tissue[mask].all():
            return index, mask, zoom
    return None
