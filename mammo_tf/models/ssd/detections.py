"""From SSD's output to detections: softmax, decoding, non-maximum suppression. NumPy."""

from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import softmax

from mammo_tf.boxes import pairwise_iou
from mammo_tf.errors import UserError
from mammo_tf.models.ssd.loss import decode_boxes


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What was found in one image, the surest first.

    Attributes:
        boxes_yxyx: (m, 4) float32, relative to the image and within it.
        labels: (m,) int, class from 1; 0 where the class was not asked for.
        scores: (m,) float32 in [0, 1].
        probabilities: (m, num_classes + 1) float32, background first.
    """

    boxes_yxyx: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen) -> "Detections":
        """Returns some of the detections: a slice, a mask or indices."""
        return Detections(
            boxes_yxyx=self.boxes_yxyx[chosen],
            labels=self.labels[chosen],
            scores=self.scores[chosen],
            probabilities=self.probabilities[chosen],
        )


def non_maximum_suppression(
    boxes: np.ndarray, scores: np.ndarray, *, iou: float = 0.45, max_boxes: int = 200
) -> np.ndarray:
    """Keeps a box only if no better one overlaps it by more than `iou`.

    Keras has no such function, keras-hub's needs a thousand times as much to install, and
    TensorFlow's runs on TensorFlow only; the tests compare with the last.

    Args:
        boxes: (n, 4) in the format "yxyx".
        scores: (n,) float.
        iou: Overlap above which the worse box goes; 0.45 in the paper.
        max_boxes: Most boxes to keep; 200 in the paper.

    Returns:
        Indices of the boxes kept, the best first; of equal scores the first comes first.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while len(order) and len(kept) < max_boxes:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[pairwise_iou(boxes[best][np.newaxis], boxes[order])[0] <= iou]
    return np.array(kept, int)


def find_detections(
    model: keras.Model,
    outputs: np.ndarray,
    *,
    by_class: bool = False,
    min_score: float = 0.01,
    iou: float = 0.45,
    max_boxes: int = 200,
    max_candidates: int = 400,
) -> list[Detections]:
    """Turns SSD's raw output into detections.

    Args:
        model: The `SSD` that gave the output; its default boxes are needed.
        outputs: (batch, num_boxes, num_classes + 5), as `model.predict` returns it.
        by_class: True as in the paper: each class by itself, so that a place may be found once
            for each. False: a place is a lesion of whatever class; the score is 1 minus the
            background's probability.
        min_score: Least score; 0.01 in the paper.
        iou: See `non_maximum_suppression`.
        max_boxes: Most detections an image, and of a class.
        max_candidates: Most boxes that go into the suppression, of a class.

    Returns:
        One `Detections` an image.

    Raises:
        UserError: If an output is not finite.

    Reference:
        Liu et al. 2016, section 3.1 ("Inference time") and 3.7.
    """
    outputs = np.asarray(outputs, np.float32)
    if not np.isfinite(outputs).all():
        raise UserError(
            "The detector's output is not finite; its weights are damaged or its training diverged."
        )
    probabilities = softmax(outputs[..., :-4], axis=-1)
    boxes = np.clip(np.nan_to_num(decode_boxes(model.default_boxes, outputs[..., -4:])), 0, 1)
    options = {"min_score": min_score, "iou": iou, "max_boxes": max_boxes}
    options["max_candidates"] = max_candidates
    return [
        _find_in_image(image_boxes, image_probabilities, by_class, options)
        for image_boxes, image_probabilities in zip(boxes, probabilities, strict=True)
    ]


def _find_in_image(boxes, probabilities, by_class: bool, options: dict) -> Detections:
    if by_class:
        columns = {label: probabilities[:, label] for label in range(1, probabilities.shape[1])}
    else:
        columns = {0: 1 - probabilities[:, 0]}
    found = []
    for label, scores in columns.items():
        kept = _suppress(boxes, scores, **options)
        found += [(scores[index], label, index) for index in kept]
    found = sorted(found, key=lambda item: -item[0])[: options["max_boxes"]]
    indices = np.array([index for _, _, index in found], int)
    return Detections(
        boxes_yxyx=boxes[indices],
        labels=np.array([label for _, label, _ in found], int),
        scores=np.array([score for score, _, _ in found], np.float32),
        probabilities=probabilities[indices],
    )


def _suppress(boxes, scores, *, min_score, iou, max_boxes, max_candidates) -> np.ndarray:
    candidates = np.flatnonzero(scores >= min_score)
    best = np.argsort(-scores[candidates], kind="stable")[:max_candidates]
    candidates = candidates[best]
    kept = non_maximum_suppression(
        boxes[candidates], scores[candidates], iou=iou, max_boxes=max_boxes
    )
    return candidates[kept]
