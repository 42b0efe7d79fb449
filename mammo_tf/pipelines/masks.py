"""Masks of findings: those of the record, and ellipses where only a box or circle is known."""

import numpy as np

from mammo_tf.record import ImageInfo


def draw_masks(info: ImageInfo, masks: np.ndarray | None) -> np.ndarray:
    """Returns (height, width) uint16, bit k set where finding k is.

    A finding whose place is a box or circle gives the ellipse that its box holds; one without a
    place gives nothing.

    Args:
        info: The image.
        masks: The record's masks, (height, width) uint16; None where there are none.
    """
    drawn = np.zeros(info.shape, np.uint16) if masks is None else masks.copy()
    for number, finding in enumerate(info.findings):
        if finding.mark in ("box", "circle"):
            drawn |= ellipse(info.shape, finding.box_yxyx_px).astype(np.uint16) << np.uint16(number)
    return drawn


def ellipse(shape: tuple[int, int], box_yxyx_px) -> np.ndarray:
    """Returns (height, width) bool: the pixels whose middle lies in the ellipse that a box holds.

    Examples:
        >>> ellipse((3, 6), (0, 0, 3, 5)).astype(int).tolist()
        [[0, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0]]
    """
    top, left, bottom, right = box_yxyx_px
    rows = (np.arange(shape[0]) + 0.5 - (top + bottom) / 2) / max((bottom - top) / 2, 0.5)
    columns = (np.arange(shape[1]) + 0.5 - (left + right) / 2) / max((right - left) / 2, 0.5)
    return rows[:, np.newaxis] ** 2 + columns[np.newaxis] ** 2 <= 1
