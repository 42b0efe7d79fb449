"""Detections as plain values, in pixels and millimetres. NumPy only."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.models.ssd import Detections

ANY_CLASS = "lesion"
BACKGROUND = "background"


def describe_findings(
    detections: Detections,
    class_names: Sequence[str],
    *,
    shape: tuple[int, int],
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> list[dict]:
    """Turns the detections of one image into values that JSON can hold.

    Args:
        detections: What was found, the surest first.
        class_names: Name of class 1, 2, ….
        shape: (height, width) of the image in pixels.
        pixel_spacing_mm: (row, column) distance between pixels; None if unknown.

    Returns:
        One dict a detection:
        "score", 0 to 1;
        "label", the class's name, or "lesion" where the class was not asked for;
        "probabilities", of "background" and each class by name;
        "box_px", the edges "top", "left", "bottom" and "right": 0 is the outer edge of the first
        row or column, the height or width that of the last;
        "box_mm", "height" and "width" of the box and "center_row" and "center_column", counted
        from the image's upper left corner; None without a spacing.
    """
    height, width = shape
    boxes_px = detections.boxes_yxyx.astype(np.float64) * (height, width, height, width)
    names = (BACKGROUND, *class_names)
    columns = (detections.scores, detections.labels, detections.probabilities, boxes_px)
    return [
        {
            "score": round(float(score), 4),
            "label": names[label] if label else ANY_CLASS,
            "probabilities": {
                name: round(float(value), 4) for name, value in zip(names, values, strict=True)
            },
            "box_px": _in_pixels(*map(float, box)),
            "box_mm": None if pixel_spacing_mm is None else _in_mm(box, pixel_spacing_mm),
        }
        for score, label, values, box in zip(*columns, strict=True)
    ]


def _in_pixels(top: float, left: float, bottom: float, right: float) -> dict[str, float]:
    edges = {"top": top, "left": left, "bottom": bottom, "right": right}
    return {name: round(edge, 2) for name, edge in edges.items()}


def _in_mm(box_px: np.ndarray, spacing_mm: tuple[float, float]) -> dict[str, float]:
    top, left, bottom, right = (float(edge) for edge in box_px * np.tile(spacing_mm, 2))
    lengths = {
        "height": bottom - top,
        "width": right - left,
        "center_row": (top + bottom) / 2,
        "center_column": (left + right) / 2,
    }
    return {name: round(length, 2) for name, length in lengths.items()}
