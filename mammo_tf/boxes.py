"""How boxes lie to each other. Boxes are (n, 4) in the format "yxyx"; NumPy only."""

import numpy as np


def pairwise_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of each box with each other one.

    Args:
        boxes: (n, 4) in the format "yxyx", in any unit.
        others: (m, 4) likewise.

    Returns:
        (n, m) float64; 0 where both are empty.
    """
    boxes, others = np.asarray(boxes, np.float64), np.asarray(others, np.float64)
    low = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = _areas(boxes)[:, np.newaxis] + _areas(others)[np.newaxis] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(-1)


def middles_inside(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether the middle of each box lies in each other one, edges included.

    Args:
        boxes: (n, 4) in the format "yxyx", in any unit.
        others: (m, 4) likewise.

    Returns:
        (n, m) bool.
    """
    boxes, others = np.reshape(boxes, (-1, 4)), np.reshape(others, (-1, 4))
    middles = (boxes[:, np.newaxis, :2] + boxes[:, np.newaxis, 2:]) / 2
    return ((middles >= others[:, :2]) & (middles <= others[:, 2:])).all(axis=-1)
