"""Windows that slide over a film, and what each shows of the lesions; pure functions on arrays."""

import numpy as np

NORMAL, LEFT_OUT = 0, -1
LESION_SHARE = 0.5


def window_middles(shape: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """The middles of the windows that lie in a film, row by row.

    They start at the top left corner; the last of a row or column ends at the film's edge, which
    may be less than a stride further on.

    Args:
        shape: (height, width) of the film in pixels.
        size: Side of the square window in pixels, at most the film's.
        stride: Pixels from one window to the next.

    Returns:
        (m, 2) int, (row, column); a window begins `size // 2` pixels above and left of it.

    Examples:
        >>> window_middles((4, 7), 4, 2).tolist()
        [[2, 2], [2, 4], [2, 5]]
    """
    starts = [np.unique([*range(0, length - size + 1, stride), length - size]) for length in shape]
    rows, columns = np.meshgrid(*starts, indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()], axis=1) + size // 2


def label_windows(
    middles: np.ndarray,
    size: int,
    boxes_yxyx_px: np.ndarray,
    labels: np.ndarray,
    *,
    break_lesions: bool,
) -> np.ndarray:
    """Says for each window which label it has, and which are left out as neither one nor other.

    With `break_lesions` a window has a lesion's label if it shows at least half of the area of
    the lesion's box, or lies in that box altogether. Without, only if it holds the whole box; of a
    lesion larger than the window, if the window's middle lies in the ellipse that the box holds
    (the lesion's circle, where the film does not cut it off). A window that shows less of a
    lesion, but some, is left out, unless another lesion gives it a label. Of several the highest
    label wins: malignant over benign.

    Args:
        middles: (m, 2) int, see `window_middles`.
        size: Side of the square window in pixels.
        boxes_yxyx_px: (k, 4) boxes of the lesions in pixels, as far as the film shows them.
        labels: (k,) int, above 0.
        break_lesions: Whether a window may show a part of a lesion.

    Returns:
        (m,) int: `NORMAL` where no lesion is seen, `LEFT_OUT`, or a lesion's label.
    """
    boxes = np.asarray(boxes_yxyx_px, float).reshape(-1, 4)
    start = np.asarray(middles, float)[:, np.newaxis] - size // 2  # (m, 1, 2)
    lowest, highest = boxes[np.newaxis, :, :2], boxes[np.newaxis, :, 2:]  # (1, k, 2)
    overlap = np.minimum(start + size, highest) - np.maximum(start, lowest)
    seen = np.clip(overlap, 0, None).prod(axis=2)  # (m, k)
    sides = highest - lowest
    if break_lesions:
        shown = (seen >= LESION_SHARE * sides.prod(axis=2)) | (seen >= size**2)
    else:
        holds = ((start <= lowest) & (highest <= start + size)).all(axis=2)
        offset = (start + size / 2 - (lowest + highest) / 2) / (sides / 2)
        inside = (offset**2).sum(axis=2) <= 1
        shown = np.where((sides > size).any(axis=2), inside, holds)
    best = np.where(shown, np.asarray(labels, int)[np.newaxis], NORMAL).max(axis=1, initial=NORMAL)
    touched = (seen > 0).any(axis=1)
    return np.where(touched & (best == NORMAL), LEFT_OUT, best)
