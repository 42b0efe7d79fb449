"""From what the detectors found to average precision and FROC."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.boxes import middles_inside
from mammo_tf.evaluation import (
    DetectionScores,
    Froc,
    ScoredImage,
    average_precision,
    class_agnostic,
    froc,
)
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.scores import common_scale, scored_image
from mammo_tf.recipes.mias.detect import DetectedFold

RATES = (0.25, 0.5, 1, 2, 4)
# What is scored; the report's rows.
HONEST = "by patient"
HONEST_LESIONS = "by patient, with lesions"
LEAKY = "poster's kind, test"
LEAKY_ALL = "poster's kind, all sets"


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
    """

    name: str
    num_images: int
    num_lesions: int
    lesion: DetectionScores
    froc_centre: Froc
    froc_iou: Froc
    per_class: DetectionScores


def score_detections(
    name: str,
    lesion_images: Sequence[ScoredImage],
    class_images: Sequence[ScoredImage],
    class_names: Sequence[str],
    *,
    num_resamples: int,
    seed: int,
) -> Scores:
    """Scores detections, with intervals from a bootstrap over patients.

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
    )


def images_of(
    folds: Sequence[DetectedFold],
    mode: str,
    parts: Sequence[str] = ("test",),
    change: Callable[[DetectedFold, int, Detections], Detections] | None = None,
) -> list[ScoredImage]:
    """Collects the images of some parts of all folds with their detections.

    One fold's detector is surer of itself than another's. So with several folds each score is
    replaced by the share of detections of its class, on the fold's own validation images, that
    score lower (`common_scale`); the order within a fold stays, and nothing of the test images
    is used.

    Args:
        folds: What the detectors found.
        mode: "lesion" or "by_class".
        parts: Which parts of each fold.
        change: Called with fold, index and detections; gives the detections to score instead.
    """
    found = []
    for fold in folds:
        scale = _scale(fold, mode, change) if len(folds) > 1 else None
        for index in np.concatenate([fold.parts[part] for part in parts]):
            detections = _detections(fold, mode, int(index), change)
            if scale is not None:
                detections = scale(detections)
            name = f"{fold.cell.fold}/{fold.task.example_ids[index]}"
            found.append(scored_image(fold.task, int(index), detections, name))
    return found


def score_at_rate(images: Sequence[ScoredImage], rate: float = 1.0) -> float:
    """The score above which there are `rate` false positives an image.

    Args:
        images: Images with class-agnostic detections. A false positive is one whose middle lies
            in no lesion's box.
        rate: False positives an image, above 0.

    Returns:
        The score of the first detection that would be one too many, rounded up to four digits; 0
        where there are too few.
    """
    wrong = []
    for image in images:
        inside = middles_inside(image.boxes_px, image.truth_boxes_px).any(axis=1)
        wrong += image.scores[~inside].tolist()
    allowed = math.floor(rate * len(images))
    if len(wrong) <= allowed:
        return 0.0
    return min(1.0, math.ceil(1e4 * sorted(wrong, reverse=True)[allowed]) / 1e4)


def _scale(fold: DetectedFold, mode: str, change) -> Callable[[Detections], Detections]:
    """What puts a fold's scores on the scale of all, from its validation images alone."""
    return common_scale(
        [_detections(fold, mode, int(index), change) for index in fold.parts["validation"]]
    )


def _detections(fold: DetectedFold, mode: str, index: int, change) -> Detections:
    detections = fold.found[mode][index]
    return detections if change is None else change(fold, index, detections)
