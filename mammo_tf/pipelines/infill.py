"""What ciGAN is fed with: patches in [0, 1], corrupted where the lesion is, and its boundary."""

import numpy as np
from scipy import ndimage


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
