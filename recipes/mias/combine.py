"""The poster's future work: the detector proposes, the patch classifier scores again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.evaluation import froc
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.sliding import window_middles
from mammo_tf.pipelines.tasks import patches
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig
from mammo_tf.recipes.mias.config import CombineConfig
from mammo_tf.recipes.mias.detect import DetectedFold
from mammo_tf.recipes.mias.detect_scores import RATES, Scores, images_of, score_detections
from mammo_tf.recipes.mias.proposals import Judged, judge, middles_px

TIMED_IMAGES = 4
STRIDE = 32  # pixels of 0.2 mm, of the sliding window that the combination is timed against
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Combined:
    """Detector alone and both together, on the same test images.

    Attributes:
        before: The detector alone, its proposals cut to as many as the classifier sees.
        after: Scored again.
        fold_weights: The classifier's weight that each fold's validation images chose.
        detector_ms: Time of the detector for an image.
        classifier_ms: Time of the classifier's network for an image's proposals.
        sliding_ms: Time of the classifier's network sliding over a whole image in steps of 6.4 mm.
        sliding_places: Number of places in an image that it looks at then.
    """

    before: Scores
    after: Scores
    fold_weights: tuple[float, ...]
    detector_ms: float
    classifier_ms: float
    sliding_ms: float
    sliding_places: int


def combine(
    opened: OpenData,
    detected: Sequence[DetectedFold],
    classified: ClassifyResult,
    config: CombineConfig,
    classify_config: ClassifyConfig,
    run_dir: Path,
    *,
    num_resamples: int,
    seed: int,
) -> Combined:
    """Scores each test image's proposals again by the classifier of the same fold.

    Neither network has seen the patients of the fold's test part. How much the classifier counts
    is decided on the fold's validation images: the weight with the highest mean sensitivity.

    Args:
        opened: The data set.
        detected: What the detectors of the split by patient found.
        classified: The classifiers of that split.
        config: Proposals and weights.
        classify_config: How their patches were cut.
        run_dir: The run folder.
        num_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    sizes = {
        "patch_size": CUTS[config.variant].patch_size,
        "input_size": classify_config.input_size,
    }
    folder = Path(run_dir) / "combine"
    folds = [_first(fold, config.proposals) for fold in detected if fold.split == "patient"]
    judged = [_judge(opened, fold, classified, folder, config.variant, sizes) for fold in folds]
    chosen = tuple(_choose(fold, said, config) for fold, said in zip(folds, judged, strict=True))
    by_fold = {
        fold.cell.fold: (said, weight)
        for fold, said, weight in zip(folds, judged, chosen, strict=True)
    }

    def rescore(fold: DetectedFold, index: int, detections: Detections) -> Detections:
        said, weight = by_fold[fold.cell.fold]
        return rescored(detections, said.probabilities[fold.task.example_ids[index]], weight)

    options = {"num_resamples": num_resamples, "seed": seed}
    names = folds[0].task.box_class_names
    before = images_of(folds, "lesion"), _by_class(folds, None)
    after = images_of(folds, "lesion", change=rescore), _by_class(folds, rescore)
    sliding, num_places = _slide(opened, folds[0], classified, folder, config.variant, sizes)
    return Combined(
        before=score_detections("detector alone", *before, names, **options),
        after=score_detections("detector and classifier", *after, names, **options),
        fold_weights=chosen,
        detector_ms=1000 * float(np.mean([fold.facts["seconds_an_image"] for fold in folds])),
        classifier_ms=float(np.mean([said.milliseconds for said in judged])),
        sliding_ms=sliding.milliseconds,
        sliding_places=num_places,
    )


def rescored(detections: Detections, judged: np.ndarray, weight: float) -> Detections:
    """Joins what detector and classifier say of the same places.

    The score is the geometric mean, weighted, of both networks' probability that there is a
    lesion; the classes' shares of it are joined alike.

    Args:
        detections: m class-agnostic detections.
        judged: (m, 3) the classifier's probabilities of normal, benign, malignant.
        weight: The classifier's weight, 0 to 1.

    Returns:
        The detections with new scores and probabilities, the surest first.
    """
    ours, theirs = np.asarray(detections.probabilities, float), np.asarray(judged, float)
    lesion = _mean(1 - ours[:, 0], 1 - theirs[:, 0], weight)
    shares = _mean(_shares(ours), _shares(theirs), weight)
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-lesion, kind="stable")
    probabilities = np.concatenate([1 - lesion[:, np.newaxis], lesion[:, np.newaxis] * shares], 1)
    return replace(detections, scores=lesion, probabilities=probabilities).take(order)


def _shares(probabilities: np.ndarray) -> np.ndarray:
    """Benign and malignant as shares of lesion."""
    lesion = np.maximum(probabilities[:, 1:], _SMALLEST)
    return lesion / lesion.sum(axis=1, keepdims=True)


def _mean(ours, theirs, weight: float):
    return np.maximum(ours, _SMALLEST) ** (1 - weight) * np.maximum(theirs, _SMALLEST) ** weight


def _first(fold: DetectedFold, count: int) -> DetectedFold:
    """Keeps the surest detections of each image."""
    kept = {index: found.take(slice(count)) for index, found in fold.found["lesion"].items()}
    return replace(fold, found=fold.found | {"lesion": kept})


def _judge(
    opened: OpenData,
    fold: DetectedFold,
    classified: ClassifyResult,
    folder: Path,
    variant: str,
    sizes: dict,
) -> Judged:
    """Lets the fold's own classifier look at every proposal."""
    places = {
        fold.task.example_ids[index]: middles_px(found, tuple(fold.task.shapes[index].tolist()))
        for index, found in fold.found["lesion"].items()
    }
    path = folder / f"{fold.cell.name}-{variant}.json"
    return judge(opened, places, lambda: classified.model_of(fold.cell.fold), path, **sizes)


def _slide(
    opened: OpenData,
    fold: DetectedFold,
    classified: ClassifyResult,
    folder: Path,
    variant: str,
    sizes: dict,
) -> tuple[Judged, int]:
    """Lets a classifier slide over the first test images, to be timed. Returns places an image."""
    rows, places = opened.catalog.rows(), {}
    for index in fold.parts["test"][:TIMED_IMAGES]:
        name = fold.task.example_ids[index]
        info = opened.catalog.images[rows[name]]
        side, step = (patches.size_px(info, size) for size in (sizes["patch_size"], STRIDE))
        places[name] = window_middles(info.shape, side, step)
    path = folder / f"sliding-{variant}.json"
    judged = judge(opened, places, lambda: classified.model_of(fold.cell.fold), path, **sizes)
    return judged, round(np.mean([len(found) for found in places.values()]))


def _choose(fold: DetectedFold, said: Judged, config: CombineConfig) -> float:
    """The weight that finds most in the fold's validation images; of equal ones the smallest."""

    def sensitivity(weight: float) -> float:
        images = images_of(
            [fold],
            "lesion",
            ("validation",),
            lambda _, index, found: rescored(
                found, said.probabilities[fold.task.example_ids[index]], weight
            ),
        )
        return froc(images, rates=RATES, num_resamples=0).mean_sensitivity.value

    return max(sorted(config.weights), key=sensitivity)


def _by_class(folds: Sequence[DetectedFold], change):
    """Each class-agnostic detection once for each class, scored by the class's probability."""

    def split(fold: DetectedFold, index: int, found: Detections) -> Detections:
        found = change(fold, index, found) if change else found
        count = found.probabilities.shape[1] - 1
        return Detections(
            boxes_yxyx=np.tile(found.boxes_yxyx, (count, 1)),
            labels=np.repeat(np.arange(1, count + 1), len(found)),
            scores=np.asarray(found.probabilities)[:, 1:].T.ravel(),
            probabilities=np.tile(found.probabilities, (count, 1)),
        )

    return images_of(folds, "lesion", change=split)
