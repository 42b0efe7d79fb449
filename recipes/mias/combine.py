"""The poster's future work: the detector proposes, the patch classifier scores again."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo_tf.evaluation import froc
from mammo_tf.files import write_json
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.mias_films import Films
from mammo_tf.pipelines.mias_patches import CLASSES
from mammo_tf.progress import progress
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig
from mammo_tf.recipes.mias.classify_places import classify_places
from mammo_tf.recipes.mias.classify_store import load_classifier
from mammo_tf.recipes.mias.config import CombineConfig
from mammo_tf.recipes.mias.detect import DetectedFold
from mammo_tf.recipes.mias.detect_scores import RATES, Scores, images_of, score_detections

TIMED_FILMS = 4
STRIDE_PX = 32  # of the sliding window that the combination is timed against
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Combined:
    """Detector alone and both together, on the same test films.

    Attributes:
        before: The detector alone, its proposals cut to as many as the classifier sees.
        after: Scored again.
        fold_weights: The classifier's weight that each fold's validation films chose.
        detector_ms: Time of the detector for a film.
        classifier_ms: Time of the classifier for a film's proposals.
        sliding_ms: Time of the classifier sliding over a whole film in steps of 32 pixels.
        sliding_places: Number of places it looks at then.
    """

    before: Scores
    after: Scores
    fold_weights: tuple[float, ...]
    detector_ms: float
    classifier_ms: float
    sliding_ms: float
    sliding_places: int


def combine(
    films: Films,
    detected: Sequence[DetectedFold],
    config: CombineConfig,
    classify_config: ClassifyConfig,
    run_dir: Path,
    *,
    num_resamples: int,
    seed: int,
) -> Combined:
    """Scores each test film's proposals again by the classifier of the same fold.

    Neither network has seen the women of the fold's test part. How much the classifier counts is
    decided on the fold's validation films: the weight with the highest mean sensitivity.

    Args:
        films: All films.
        detected: What the detectors of the split by woman found.
        config: Proposals and weights.
        classify_config: Of the classifiers trained in the same run folder.
        run_dir: The run folder.
        num_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    folds = [_first(fold, config.proposals) for fold in detected if fold.split == "woman"]
    judged = [_judge(films, fold, config, classify_config, run_dir) for fold in folds]
    chosen = tuple(_choose(fold, said, config) for fold, said in zip(folds, judged, strict=True))
    by_fold = {
        fold.cell.fold: (said, weight)
        for fold, said, weight in zip(folds, judged, chosen, strict=True)
    }

    def rescore(fold: DetectedFold, index: int, detections: Detections) -> Detections:
        said, weight = by_fold[fold.cell.fold]
        return rescored(detections, said.probabilities[index], weight)

    options = {"num_resamples": num_resamples, "seed": seed}
    names = folds[0].examples.class_names
    before = images_of(folds, "lesion"), _by_class(folds, None)
    after = images_of(folds, "lesion", change=rescore), _by_class(folds, rescore)
    first = by_fold[folds[0].cell.fold][0]
    sliding_ms, places = _kept_sliding_time(films, config, classify_config, run_dir, folds[0])
    return Combined(
        before=score_detections("detector alone", *before, names, **options),
        after=score_detections("detector and classifier", *after, names, **options),
        fold_weights=chosen,
        detector_ms=1000 * float(np.mean([fold.facts["seconds_an_image"] for fold in folds])),
        classifier_ms=first.milliseconds,
        sliding_ms=sliding_ms,
        sliding_places=places,
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


@dataclass(frozen=True)
class _Judged:
    """(m, 3) probabilities for the proposals of each image, and the time that an image took."""

    probabilities: dict[int, np.ndarray]
    milliseconds: float


def _first(fold: DetectedFold, count: int) -> DetectedFold:
    """Keeps the surest detections of each image."""
    kept = {index: found.take(slice(count)) for index, found in fold.found["lesion"].items()}
    return replace(fold, found=fold.found | {"lesion": kept})


def _judge(
    films: Films, fold: DetectedFold, config: CombineConfig, classify_config, run_dir: Path
) -> _Judged:
    """Lets the fold's classifier look at every proposal; kept, so that it is done once."""
    path = Path(run_dir) / "combine" / f"{fold.cell.name}-{config.variant}.json"
    rows = {film.image_id: row for row, film in enumerate(films.films)}
    wanted = {
        fold.examples.image_ids[index]: found for index, found in fold.found["lesion"].items()
    }
    kept = _kept(path, wanted)
    if kept is None:
        model = load_classifier(run_dir, config.variant, fold.cell.fold)
        size, input_size = CUTS[config.variant].patch_size, classify_config.input_size
        _look(films, 0, np.full((config.proposals, 2), 512), model, size, input_size)  # compiles
        said, started = {}, time.monotonic()
        for name, found in progress(wanted.items(), description="Scoring again", unit="film"):
            places = _middles(found, films.pixels.shape[1:])
            said[name] = _look(films, rows[name], places, model, size, input_size).tolist()
        kept = {"milliseconds": 1000 * (time.monotonic() - started) / len(wanted), "said": said}
        write_json(path, kept)
    return _Judged(
        {
            index: np.reshape(kept["said"][fold.examples.image_ids[index]], (-1, len(CLASSES)))
            for index in fold.found["lesion"]
        },
        float(kept["milliseconds"]),
    )


def _kept(path: Path, wanted: dict[str, Detections]) -> dict | None:
    try:
        kept = json.loads(path.read_bytes())
        whole = all(len(kept["said"][name]) == len(found) for name, found in wanted.items())
        whole = whole and float(kept["milliseconds"]) >= 0
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if whole else None


def _look(films: Films, row: int, places, model, patch_size: int, input_size: int) -> np.ndarray:
    mirrored = films.films[row].laterality == "R"
    pixels = np.asarray(films.pixels[row])
    return classify_places(model, pixels, places, patch_size, input_size, mirrored)


def _middles(found: Detections, shape: tuple[int, int]) -> np.ndarray:
    boxes = np.asarray(found.boxes_yxyx).reshape(-1, 4)
    return (boxes[:, :2] + boxes[:, 2:]) / 2 * (np.array(shape) - 1)


def _choose(fold: DetectedFold, said: _Judged, config: CombineConfig) -> float:
    """The weight that finds most in the fold's validation films; of equal ones the smallest."""

    def sensitivity(weight: float) -> float:
        images = images_of(
            [fold],
            "lesion",
            ("validation",),
            lambda _, index, found: rescored(found, said.probabilities[index], weight),
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


def _kept_sliding_time(films, config, classify_config, run_dir, fold: DetectedFold):
    """`_sliding_time`, measured once and kept, so that a finished run gives the same report."""
    path = Path(run_dir) / "combine" / f"sliding-{config.variant}.json"
    try:
        kept = json.loads(path.read_bytes())
        return float(kept["milliseconds"]), int(kept["places"])
    except (OSError, ValueError, KeyError, TypeError):
        milliseconds, places = _sliding_time(
            films, config, classify_config, run_dir, fold.cell.fold
        )
        write_json(path, {"milliseconds": milliseconds, "places": places})
        return milliseconds, places


def _sliding_time(films, config: CombineConfig, classify_config, run_dir, fold: int):
    """Milliseconds a film, and places, of the classifier alone sliding over whole films."""
    model = load_classifier(run_dir, config.variant, fold)
    size, input_size = CUTS[config.variant].patch_size, classify_config.input_size
    steps = [np.arange(size // 2, side, STRIDE_PX) for side in films.pixels.shape[1:]]
    places = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
    _look(films, 0, places, model, size, input_size)
    started = time.monotonic()
    for row in range(TIMED_FILMS):
        _look(films, row, places, model, size, input_size)
    return 1000 * (time.monotonic() - started) / TIMED_FILMS, len(places)
