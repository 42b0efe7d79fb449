"""What a detector finds in the images of a task, and how that is kept."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_tf.files import read_checked_json, write_checked_json
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.detector import DESCRIPTION, Detector, describe_detector
from mammo_tf.pipelines.detection.examples import image_of
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress

FOUND = "detections.json"
MAX_BOXES = 50
MODES = ("lesion", "by_class")
IMAGES_AT_ONCE = 8


def look(task: Task, indices: Sequence[int], detector: Detector) -> tuple[dict, float]:
    """Finds lesions in images.

    Returns:
        For each mode {name: one list a detection: four edges relative to the image, label, score,
        probabilities}; and the seconds that an image takes without the second mode.
    """
    found = {mode: {} for mode in MODES}
    detector.outputs([image_of(task, indices[0])])  # compiles
    seconds = 0.0
    parts = [indices[k : k + IMAGES_AT_ONCE] for k in range(0, len(indices), IMAGES_AT_ONCE)]
    for part in progress(parts, description="Finding lesions", unit="batch"):
        images = [image_of(task, index) for index in part]
        started = time.monotonic()
        outputs = detector.outputs(images)
        lesions = detector.find(outputs, images, max_boxes=MAX_BOXES)
        seconds += time.monotonic() - started
        classes = detector.find(outputs, images, by_class=True, max_boxes=MAX_BOXES)
        for mode, every in zip(MODES, (lesions, classes), strict=True):
            names = (task.example_ids[index] for index in part)
            found[mode] |= dict(zip(names, map(plain, every), strict=True))
    return found, round(seconds / len(indices), 5)


def keep_found(folder: Path, detector: Detector, facts: dict, found: dict) -> None:
    """Keeps what a detector found, and its description, beside its weights."""
    describe_detector(detector, folder)
    write_checked_json(folder / FOUND, {"facts": facts, "found": found})


def read_found(folder: Path, task: Task, indices: Sequence[int]) -> tuple[dict, dict] | None:
    """Returns detections by mode and index, and the facts; None where a file is damaged."""
    names = [task.example_ids[index] for index in indices]
    try:
        content = read_checked_json(folder / FOUND)
        json.loads((folder / DESCRIPTION).read_bytes())
        if any(list(content["found"][mode]) != names for mode in MODES):
            return None
        found = {
            mode: {
                int(index): unplain(content["found"][mode][name], len(task.box_class_names))
                for index, name in zip(indices, names, strict=True)
            }
            for mode in MODES
        }
        return found, content["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def plain(detections: Detections) -> list[list[float]]:
    """Returns one list a detection: four edges, label, score, probabilities."""
    columns = (
        detections.boxes_yxyx,
        detections.labels[:, np.newaxis],
        detections.scores[:, np.newaxis],
        detections.probabilities,
    )
    return np.round(np.concatenate(columns, axis=1).astype(float), 6).tolist()


def unplain(rows: list[list[float]], num_classes: int) -> Detections:
    """Returns the detections that `plain` wrote; ValueError for rows of another length."""
    table = np.array(rows, np.float64).reshape(len(rows), 7 + num_classes)
    return Detections(
        boxes_yxyx=table[:, :4],
        labels=table[:, 4].astype(int),
        scores=table[:, 5],
        probabilities=table[:, 6:],
    )
