"""From what the detectors found to average precision and FROC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.evaluation import (
    DetectionScores,
    Froc,
    ScoredImage,
    average_precision,
    class_agnostic,
    froc,
)
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.examples import DetectionExamples
from mammo_tf.recipes.mias.detect import DetectedFold

FILM_PX = 1024  # boxes are scored in pixels of the films
RATES = (0.25, 0.5, 1, 2, 4)
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Scores:
    """How well lesions were found in a set of images.

    Attributes:
        name: What was scored.
        num_images: Number of images.
        num_lesions: Number of lesions in them.
        lesion: Average precision at IoU 0.5 whatever the class.
        froc_centre: FROC where the middle of a detection must lie in the lesion's box.
        froc_iou: FROC where the boxes must overlap by 0.5.
        per_class: Average precision of each class at IoU 0.5, and their mean, mAP.
        lesion_images: The images with class-agnostic detections, as they were scored.
    """

    name: str
    num_images: int
    num_lesions: int
    lesion: DetectionScores
    froc_centre: Froc
    froc_iou: Froc
    per_class: DetectionScores
    lesion_images: Sequence[ScoredImage] = field(repr=False)


def score_detections(
    name: str,
    lesion_images: Sequence[ScoredImage],
    class_images: Sequence[ScoredImage],
    class_names: Sequence[str],
    *,
    num_resamples: int,
    seed: int,
) -> Scores:
    """Scores detections, with intervals from a bootstrap over women.

    Args:
        name: What is scored.
        lesion_images: Images with class-agnostic detections.
        class_images: The same images with detections of each class.
        class_names: Names of the classes.
        num_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    options = {"num_resamples": num_resamples, "seed": seed}
    lesions = class_agnostic(lesion_images)
    return Scores(
        name=name,
        num_images=len(lesions),
        num_lesions=sum(len(image.truth_boxes_px) for image in lesions),
        lesion=average_precision(lesions, class_names=("lesion",), **options),
        froc_centre=froc(lesions, rates=RATES, criterion="centre", **options),
        froc_iou=froc(lesions, rates=RATES, criterion="iou", **options),
        per_class=average_precision(class_images, class_names=class_names, **options),
        lesion_images=lesions,
    )


def images_of(
    folds: Sequence[DetectedFold],
    mode: str,
    parts: Sequence[str] = ("test",),
    change: Callable[[DetectedFold, int, Detections], Detections] | None = None,
) -> list[ScoredImage]:
    """Collects the images of some parts of all folds with their detections.

    Scores of different folds' detectors are put on one scale, as they are; the average precision
    of the whole suffers if one fold's detector is surer of itself than another's.

    Args:
        folds: What the detectors found.
        mode: "lesion" or "by_class".
        parts: Which parts of each fold.
        change: Called with fold, index and detections; gives the detections to score instead.
    """
    found = []
    for fold in folds:
        for index in np.concatenate([fold.parts[part] for part in parts]):
            detections = fold.found[mode][int(index)]
            if change is not None:
                detections = change(fold, int(index), detections)
            name = f"{fold.cell.fold}/{fold.examples.image_ids[index]}"
            found.append(scored_image(fold.examples, int(index), detections, name))
    return found


def scored_image(
    examples: DetectionExamples, index: int, detections: Detections, name: str
) -> ScoredImage:
    """Puts the truth of an image and its detections side by side, in pixels of the film."""
    truths = np.clip(np.asarray(examples.boxes[index], float), 0, 1) * FILM_PX
    boxes = np.asarray(detections.boxes_yxyx, float).reshape(-1, 4) * FILM_PX
    return ScoredImage(
        image_id=name,
        group=str(examples.groups[index]),
        truth_boxes_px=truths,
        truth_labels=np.asarray(examples.labels[index], int) - 1,
        boxes_px=boxes,
        labels=np.maximum(np.asarray(detections.labels, int) - 1, 0),
        scores=np.clip(np.asarray(detections.scores, float), 0, 1),
    )
