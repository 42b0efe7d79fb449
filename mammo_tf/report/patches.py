"""The figure of one patch at each compression ratio."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Circle, Rectangle

from mammo_tf.report.style import INK, data_uri_of, new_figure, styled

_COLUMNS = 4
# A patch with more than this share of its pixels beyond the common grey scale says so.
_MAX_CLIPPED = 0.5


@styled
def patches_figure(
    whole: np.ndarray,
    box: tuple[int, int, int, int],
    patches: Sequence[tuple[str, np.ndarray]],
    marked: tuple[float, float, float] | None = None,
) -> str:
    """Draws a mammogram with a rectangle, and the patch in it at each compression ratio.

    Each patch has a frame, so that one without any structure is seen to be a patch; its title says
    when it is of one grey value, or mostly beyond the grey scale.

    Args:
        whole: (height, width) image, any integer or float type.
        box: (top, left, height, width) of the patch in pixels of `whole`.
        patches: (caption, patch) pairs; all are shown with the first one's grey scale.
        marked: (row, column, radius) in pixels of `whole` of a lesion to circle, or None.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Fig. 1.
    """
    columns = min(_COLUMNS, max(1, -(-len(patches) // 2)))
    rows = -(-len(patches) // columns)
    figure = new_figure(1.75 * (columns + 1.6), max(3.2, 1.95 * rows))
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[1.6] + [1] * columns)
    axes = figure.add_subplot(grid[:, 0])
    _show(axes, whole, 0, max(np.percentile(whole, 99.5), 1))
    top, left, height, width = box
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor="white"))
    if marked is not None:
        row, column, radius = marked
        axes.add_patch(Circle((column, row), radius, fill=False, edgecolor="#ffb000"))
    low, high = np.percentile(patches[0][1], [0.5, 99.5])
    high = max(high, low + 1)
    for index, (caption, patch) in enumerate(patches):
        axes = figure.add_subplot(grid[index // columns, 1 + index % columns])
        _show(axes, patch, low, high)
        axes.set_title("\n".join([caption, *_remark(patch, low, high)]), fontsize=9)
    return data_uri_of(figure)


def _show(axes, image: np.ndarray, low: float, high: float) -> None:
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="none")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=INK, linewidth=1)


def _remark(patch: np.ndarray, low: float, high: float) -> list[str]:
    if np.min(patch) == np.max(patch):
        return ["one grey value"]
    if np.mean((patch < low) | (patch > high)) > _MAX_CLIPPED:
        return ["beyond the grey scale"]
    return []
