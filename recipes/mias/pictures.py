"""Detections drawn over images, hits and misses, for the report and TensorBoard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.boxes import middles_inside
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.examples import boxes_of, image_of
from mammo_tf.recipes.mias.detect import DetectedFold
from mammo_tf.report.overlay import draw_detections
from mammo_tf.training.tensorboard_log import CellLog

SHOWN_BOXES = 3
LOGGED_IMAGES = 6


@dataclass(frozen=True)
class Picture:
    """An image with what was found in it.

    Attributes:
        name: The image.
        pixels: (height, width, 3) uint8.
        hits: Lesions found by one of the boxes shown.
        lesions: Lesions there are.
    """

    name: str
    pixels: np.ndarray
    hits: int
    lesions: int


def draw(fold: DetectedFold, index: int, *, max_boxes: int = SHOWN_BOXES) -> Picture:
    """Draws the surest detections of one image, and its lesions."""
    image, truths = image_of(fold.task, index), boxes_of(fold.task, index)
    found: Detections = fold.found["lesion"][index]
    boxes = found.boxes_yxyx[:max_boxes]
    inside = middles_inside(boxes, truths)
    scale = np.array([*image.shape, *image.shape])
    pixels = draw_detections(
        image,
        boxes_px=boxes * scale,
        captions=[f"{score:.2f}" for score in found.scores[:max_boxes]],
        truths_px=truths * scale,
        hits=inside.any(axis=1),
    )
    return Picture(fold.task.example_ids[index], pixels, int(inside.any(axis=0).sum()), len(truths))


def choose_pictures(folds: Sequence[DetectedFold], *, each: int = 4) -> dict[str, list[Picture]]:
    """Chooses test images to show: found, missed, and the surest false alarms without a lesion.

    Found and missed images are the first of each fold in the data set's order, not the best.
    """
    groups: dict[str, list[Picture]] = {"found": [], "missed": [], "normal": []}
    sure = []
    for fold in folds:
        for index in fold.parts["test"]:
            index = int(index)
            if not len(fold.task.boxes[index]):
                sure.append((-fold.found["lesion"][index].scores.max(initial=0), fold, index))
                continue
            if min(len(groups["found"]), len(groups["missed"])) >= each:
                continue
            picture = draw(fold, index)
            group = groups["found" if picture.hits else "missed"]
            if len(group) < each:
                group.append(picture)
    sure.sort(key=lambda item: item[0])
    groups["normal"] = [draw(fold, index) for _, fold, index in sure[:each]]
    return groups


def log_pictures(folder: Path, detected: Sequence[DetectedFold]) -> None:
    """Writes test images with detections into each detector's TensorBoard run, once."""
    for fold in detected:
        log_dir = Path(folder) / "tensorboard" / fold.cell.name
        done = log_dir / ".pictures"
        if done.exists():
            continue
        with CellLog(log_dir) as log:
            lesions = [int(i) for i in fold.parts["test"] if len(fold.task.boxes[int(i)])]
            for number, index in enumerate(lesions[:LOGGED_IMAGES]):
                log.image(f"test/image{number + 1}", draw(fold, index).pixels, step=0)
        done.touch()
