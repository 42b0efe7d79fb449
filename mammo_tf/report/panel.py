"""Sheets of small patches, numbered, for a report."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure

from mammo_tf.report.figures import data_uri_of


def numbered_sheet(patches: Sequence[np.ndarray], *, columns: int = 6) -> str:
    """Draws patches in a grid, numbered from 1, each with the grey scale of its type.

    Args:
        patches: At least one (height, width) uint8 or uint16.
        columns: Patches a row.

    Returns:
        A PNG data URI.
    """
    return _sheet([(str(number), one) for number, one in enumerate(patches, start=1)], columns)


def rows_sheet(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[str]) -> str:
    """Draws a row of patches a case, with a caption over each column.

    Args:
        rows: Cases, each as many patches as there are captions.
        captions: Of the columns.

    Returns:
        A PNG data URI.
    """
    cells = [
        (captions[column] if number == 0 else "", patch)
        for number, row in enumerate(rows)
        for column, patch in enumerate(row)
    ]
    return _sheet(cells, len(captions))


def _sheet(cells: Sequence[tuple[str, np.ndarray]], columns: int) -> str:
    lines = -(-len(cells) // columns)
    figure = MatplotlibFigure(figsize=(1.4 * columns, 1.55 * lines), layout="constrained")
    for index, (caption, patch) in enumerate(cells):
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.imshow(patch, cmap="gray", vmin=0, vmax=_highest(patch))
        if caption:
            axes.set_title(caption, fontsize=8)
        axes.set_axis_off()
    return data_uri_of(figure)


def _highest(patch: np.ndarray) -> float:
    return 1 if patch.dtype == bool else np.iinfo(patch.dtype).max
