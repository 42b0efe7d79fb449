"""Sample patches at each compression ratio, as in the paper's Fig. 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.breast import breast_mask
from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.codecs.measure import psnr
from mammo_tf.report.figures import cratio_name


@dataclass(frozen=True)
class Sample:
    """A mammogram, and one patch of it at each compression ratio.

    Attributes:
        whole: (height, width) uint8 or uint16, made smaller for the page.
        box: (top, left, height, width) of the patch in pixels of `whole`.
        patches: (caption, (height, width) patch) for each compression ratio.
        caption: What is to be seen.
        marked: (row, column, radius) of the lesion in pixels of `whole`, or None.
        flat_share: {cratio: share of the breast that has one and the same grey value, 0 to 1}.
    """

    whole: np.ndarray
    box: tuple[int, int, int, int]
    patches: Sequence[tuple[str, np.ndarray]]
    caption: str
    marked: tuple[float, float, float] | None = None
    flat_share: Mapping[float, float] = field(default_factory=dict)


def make_sample(
    ladder: Ladder,
    cratios: Sequence[float],
    *,
    centre: tuple[int, int],
    caption: str,
    radius_px: float | None = None,
    patch_size: int = 256,
) -> Sample:
    """Cuts the same patch out of an image at each compression ratio.

    Args:
        ladder: The layered codestream of the whole image.
        cratios: Compression ratios, ascending; the first is the PSNR's reference.
        centre: (row, column) of the patch in pixels of the whole image.
        caption: What is to be seen.
        radius_px: Radius of the lesion at `centre`, or None for no mark.
        patch_size: Side of the patch in pixels, made smaller for small images.

    Returns:
        The sample; the patches' captions carry CR and PSNR of the patch in dB.
    """
    height, width = ladder.shape
    side = min(patch_size, height // 3, width // 3)
    top = int(np.clip(centre[0] - side // 2, 0, height - side))
    left = int(np.clip(centre[1] - side // 2, 0, width - side))
    reference = ladder.decode(cratios[0])
    breast = breast_mask(reference)
    peak = np.iinfo(ladder.dtype).max
    cut = np.s_[top : top + side, left : left + side]
    patches, flat_share = [], {}
    for cratio in cratios:
        decoded = ladder.decode(cratio)
        flat_share[cratio] = _flat_share(decoded[breast])
        patch = decoded[cut]
        decibels = psnr(reference[cut], patch, max_value=peak)
        patches.append((f"{cratio_name(cratio)} ({decibels:.0f})", patch))
    step = max(1, height // 700)
    marked = None
    if radius_px is not None:
        marked = (centre[0] / step, centre[1] / step, radius_px / step)
    box = tuple(value // step for value in (top, left, side, side))
    return Sample(reference[::step, ::step], box, patches, caption, marked, flat_share)


def _flat_share(values: np.ndarray) -> float:
    """The share of the most frequent value; 0 where there are none."""
    if not values.size:
        return 0.0
    return float(np.unique(values, return_counts=True)[1].max() / values.size)
