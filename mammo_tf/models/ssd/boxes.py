"""SSD's default boxes, and which of them a true box is matched with. NumPy only."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.boxes import pairwise_iou
from mammo_tf.errors import UserError


@dataclass(frozen=True, kw_only=True)
class BoxLayout:
    """Where the default boxes stand and how large they are.

    Attributes:
        feature_shapes: (height, width) of each feature map.
        scales: Side of the square box on each map as a share of the image, and one more for the
            larger square of the last map: one longer than `feature_shapes`.
        aspect_ratios: For each map the ratios width : height above 1; each stands for a box
            and its transpose.
    """

    feature_shapes: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple[tuple[float, ...], ...]

    def __post_init__(self):
        maps = len(self.feature_shapes)
        if len(self.scales) != maps + 1 or len(self.aspect_ratios) != maps:
            raise UserError(
                f"`scales` must have one entry more than the {maps} maps, `aspect_ratios` as many. "
                f"Received: {len(self.scales)} and {len(self.aspect_ratios)}."
            )

    @property
    def boxes_per_cell(self) -> tuple[int, ...]:
        """Number of default boxes at each place of each map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.aspect_ratios)

    @property
    def num_boxes(self) -> int:
        """Number of default boxes in all."""
        return sum(
            height * width * count
            for (height, width), count in zip(self.feature_shapes, self.boxes_per_cell, strict=True)
        )


# Scales as in the authors' released configurations; the paper's Eq. 4 gives nearly the same
# (0.375 where they have 0.37), and its text the ratios and the 8,732 boxes.
SSD300_SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
SSD300_RATIOS = ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))
SSD512_SCALES = (0.07, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05)
SSD512_RATIOS = ((2.0,), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0, 3.0), (2.0,), (2.0,))


def default_boxes(layout: BoxLayout) -> np.ndarray:
    """Lists the default boxes: by map, row, column, then kind.

    The kinds at a place are the square of the map's scale, the square of the geometric mean of
    this scale and the next, then for each aspect ratio the wide and the tall box.

    Args:
        layout: Maps, scales and ratios.

    Returns:
        (num_boxes, 4) float32 in the format "yxyx", relative to the image; boxes may leave it.

    Reference:
        Liu et al. 2016, section 2.2, "Choosing scales and aspect ratios for default boxes".
    """
    found = []
    for index, (height, width) in enumerate(layout.feature_shapes):
        sizes = _kinds(layout.scales[index], layout.scales[index + 1], layout.aspect_ratios[index])
        rows, columns = np.meshgrid(
            (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij"
        )
        centres = np.stack([rows, columns], axis=-1).reshape(-1, 1, 2)
        halves = np.asarray(sizes)[np.newaxis] / 2
        found.append(np.concatenate([centres - halves, centres + halves], -1).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def _kinds(scale: float, next_scale: float, ratios: tuple[float, ...]) -> list[tuple]:
    """(height, width) of the boxes at one place."""
    mean = (scale * next_scale) ** 0.5
    sizes = [(scale, scale), (mean, mean)]
    for ratio in ratios:
        root = ratio**0.5
        sizes += [(scale / root, scale * root), (scale * root, scale / root)]
    return sizes


def match_boxes(defaults: np.ndarray, truths: np.ndarray, *, iou: float = 0.5) -> np.ndarray:
    """Matches default boxes with true ones.

    First each true box gets the default box that overlaps it most, the best pair first and no
    default box twice; one that overlaps none gets none. Then every other default box that
    overlaps some true box by at least `iou` gets the one it overlaps most.

    Args:
        defaults: (n, 4) in the format "yxyx".
        truths: (k, 4) in the format "yxyx", same unit; k may be 0.
        iou: Overlap from which a default box is matched, 0 to 1.

    Returns:
        (n,) int64, the index of the true box, or −1 for background.

    Reference:
        Liu et al. 2016, section 2.2, "Matching strategy".
    """
    truths = np.asarray(truths, np.float64).reshape(-1, 4)
    matches = np.full(len(defaults), -1)
    if not len(truths):
        return matches
    overlaps = pairwise_iou(defaults, truths)
    best = overlaps.argmax(1)
    close = overlaps[np.arange(len(defaults)), best] >= iou
    matches[close] = best[close]
    free = overlaps.copy()
    for _ in range(min(len(truths), len(defaults))):
        default, truth = np.unravel_index(free.argmax(), free.shape)
        if free[default, truth] <= 0:
            break
        matches[default] = truth
        free[default, :] = -1
        free[:, truth] = -1
    return matches


def make_targets(
    defaults: np.ndarray,
    truths: np.ndarray,
    labels: np.ndarray,
    *,
    iou: float = 0.5,
    ignore_iou: float | None = None,
) -> np.ndarray:
    """Says for each default box what `MultiBoxLoss` wants to hear.

    Args:
        defaults: (n, 4) in the format "yxyx", relative to the image.
        truths: (k, 4) likewise; k may be 0.
        labels: (k,) int class of each true box, from 1; 0 is the background.
        iou: See `match_boxes`.
        ignore_iou: Unmatched default boxes that overlap a true box by at least this much are
            neither lesion nor background; None, as in the paper, for none. The hardest negatives
            are else the neighbours of true boxes, which no network can tell from them where the
            true boxes are as rough as circles drawn by hand.

    Returns:
        (n, 5) float32: the class, then the matched true box; for background 0, for what is to be
        left out −1, and the default box itself, so that its offsets are 0.
    """
    truths = np.asarray(truths, np.float32).reshape(-1, 4)
    labels = np.asarray(labels).reshape(-1)
    if len(labels) != len(truths) or (labels < 1).any():
        raise UserError(
            "`labels` must be one class from 1 for each true box. "
            f"Received: {labels.tolist()} for {len(truths)} boxes."
        )
    matches = match_boxes(defaults, truths, iou=iou)
    matched = matches >= 0
    near = np.zeros(len(defaults), bool)
    if ignore_iou is not None and len(truths):
        near = pairwise_iou(defaults, truths).max(axis=1) >= ignore_iou
    targets = np.concatenate([np.zeros((len(defaults), 1)), defaults], 1).astype(np.float32)
    targets[near, 0] = -1
    targets[matched, 0] = labels[matches[matched]]
    targets[matched, 1:] = truths[matches[matched]]
    return targets
