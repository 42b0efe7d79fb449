"""From detections on a task's images to what is scored."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mammo_tf.evaluation import ScoredImage
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.examples import boxes_of
from mammo_tf.pipelines.task import Task


def common_scale(found: Sequence[Detections]) -> Callable[[Detections], Detections]:
    """Returns what puts the scores of one of several detectors on a scale that all share.

    One fold's detector is surer of itself than another's. Of n detections of a class on its
    validation images, k score lower than s: the new score is (k + s) / (n + 1). The s keeps apart
    what lies above all of them. The order within a fold stays.

    Args:
        found: What the detector found on its own validation images.
    """
    labels = np.concatenate([np.zeros(0, int), *(each.labels for each in found)])
    scores = np.concatenate([np.zeros(0), *(each.scores for each in found)])
    known = {int(label): np.sort(scores[labels == label]) for label in np.unique(labels)}

    def scale(detections: Detections) -> Detections:
        new = np.array(detections.scores, float)
        for label in np.unique(detections.labels):
            mine, others = detections.labels == label, known.get(int(label), np.zeros(0))
            lower = np.searchsorted(others, new[mine])
            new[mine] = (lower + new[mine]) / (len(others) + 1)
        return replace(detections, scores=new)

    return scale


def scored_image(task: Task, index: int, detections: Detections, name: str) -> ScoredImage:
    """Puts the truth of an image and its detections side by side, in pixels of the image."""
    scale = np.tile(task.shapes[index], 2)
    return ScoredImage(
        image_id=name,
        group=str(task.groups[index]),
        truth_boxes_px=boxes_of(task, index) * scale,
        truth_labels=task.box_labels[index] - 1,
        boxes_px=np.asarray(detections.boxes_yxyx, float).reshape(-1, 4) * scale,
        labels=np.maximum(np.asarray(detections.labels, int) - 1, 0),
        scores=np.clip(np.asarray(detections.scores, float), 0, 1),
    )
