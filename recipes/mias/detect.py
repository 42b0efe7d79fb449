"""Trains the detectors of the recipe, fold by fold, and keeps what they find."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np

from mammo_tf.config import to_plain
from mammo_tf.files import write_json
from mammo_tf.models.ssd import SSD, Detections, find_detections
from mammo_tf.models.ssd.vgg16_weights import load_vgg16_weights
from mammo_tf.pipelines.detection.batches import DetectionBatches, make_detection_feed
from mammo_tf.pipelines.detection.detector import Detector, describe_detector
from mammo_tf.pipelines.detection.examples import DetectionExamples, turned_copies
from mammo_tf.pipelines.detection.films import examples_of_films
from mammo_tf.pipelines.mias_films import Films
from mammo_tf.progress import progress
from mammo_tf.recipes.mias.detect_config import DetectConfig
from mammo_tf.training.fit_detector import fit_detector
from mammo_tf.training.folds import Fold
from mammo_tf.training.patch_splits import divide_at_random
from mammo_tf.training.store import WEIGHTS, Cell, CellStore, derive_seed
from mammo_tf.training.tensorboard_log import CellLog

FOUND = "detections.json"
MAX_BOXES = 50
MODES = ("lesion", "by_class")
PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class DetectedFold:
    """What one detector found.

    Attributes:
        split: "woman" or "poster".
        cell: The trained cell.
        examples: The images of the split.
        parts: Indices into `examples`: "train", "validation", "test".
        found: For each mode, "lesion" (class-agnostic) and "by_class", {index: detections}. The
            poster's split has all images, since the poster scores them all; the other's training
            images are left out.
        facts: Plain values: seconds, seconds an image, parameters.
    """

    split: str
    cell: Cell
    examples: DetectionExamples = field(repr=False)
    parts: dict[str, np.ndarray]
    found: dict[str, dict[int, Detections]] = field(repr=False)
    facts: dict


def detect(
    films: Films, folds: Sequence[Fold], config: DetectConfig, run_dir: Path, seed: int
) -> list[DetectedFold]:
    """Trains every detector that is missing and returns what all of them found.

    Args:
        films: All films.
        folds: Folds over the films, by woman.
        config: How to train.
        run_dir: The run folder; finished detectors in `cells` are only read.
        seed: Seed of the run.

    Returns:
        One `DetectedFold` for each split and fold, in order.
    """
    jobs = plan(films, folds, config, seed)
    store = CellStore(run_dir, _settings(jobs, config, seed))
    missing = [job for job in jobs if not store.is_finished(job.cell)]
    total = sum(job.epochs(config) for job in missing)
    with progress(description="Training detectors", total=total, unit="epoch") as bar:
        for number, job in enumerate(missing, start=1):
            bar.set_description(f"Training detector {number}/{len(missing)}")
            _train(job, config, store, run_dir, seed, bar.update)
    return [_read(job, config, store) for job in jobs]


@dataclass(frozen=True, eq=False)
class Job:
    """One detector to train."""

    split: str
    cell: Cell
    examples: DetectionExamples = field(repr=False)
    parts: dict[str, np.ndarray]

    def epochs(self, config: DetectConfig) -> int:
        """Passes over the training images."""
        return config.poster_epochs if self.split == "poster" else config.training.epochs

    @property
    def scored(self) -> np.ndarray:
        """Indices of the images that are looked at after training."""
        kept = PARTS if self.split == "poster" else ("validation", "test")
        return np.concatenate([self.parts[name] for name in kept])


def plan(films: Films, folds: Sequence[Fold], config: DetectConfig, seed: int) -> list[Job]:
    """Lists the detectors to train, with their images and parts."""
    examples = examples_of_films(films, size=2 * config.shape[0])
    name = f"{config.variant}_{config.backbone}"
    jobs = []
    if "woman" in config.splits:
        rows = {image_id: row for row, image_id in enumerate(examples.image_ids)}
        for fold in folds:
            parts = {part: _rows_of(films, getattr(fold, part), rows) for part in PARTS}
            jobs.append(Job("woman", Cell(f"{name}_woman", (1,), fold.index), examples, parts))
    if "poster" in config.splits:
        copies = turned_copies(examples.take(np.flatnonzero(examples.has_lesion)))
        for repeat in range(config.poster_repeats):
            fold = divide_at_random(len(copies), derive_seed(seed, "poster split", repeat))
            parts = {part: getattr(fold, part) for part in PARTS}
            jobs.append(Job("poster", Cell(f"{name}_poster", (1,), repeat), copies, parts))
    return jobs


def build_model(config: DetectConfig, class_names: Sequence[str]) -> SSD:
    """Makes the untrained network; VGG-16 starts from the weights asked for."""
    height, width = config.shape
    model = SSD(
        num_classes=len(class_names),
        variant=config.variant,
        backbone=config.backbone,
        image_shape=(height, width, 3),
        dropout=config.dropout,
    )
    if config.backbone == "vgg16" and config.weights != "none":
        load_vgg16_weights(model, config.weights)
    return model


def _rows_of(films: Films, indices, rows: dict[str, int]) -> np.ndarray:
    names = (films.films[index].image_id for index in indices)
    return np.array([rows[name] for name in names if name in rows], int)


def _train(
    job: Job,
    config: DetectConfig,
    store: CellStore,
    run_dir: Path,
    seed: int,
    on_epoch: Callable[[], object],
) -> None:
    """Trains a detector, looks at its images, and keeps both."""
    started = time.monotonic()
    cell_seed = derive_seed(seed, job.cell.name)
    log_dir = Path(run_dir) / "tensorboard" / job.cell.name
    shutil.rmtree(log_dir, ignore_errors=True)
    keras.utils.clear_session()
    keras.utils.set_random_seed(cell_seed)
    model = build_model(config, job.examples.class_names)
    training = replace(config.training, epochs=job.epochs(config))
    if training.warmup_epochs > training.epochs:
        training = replace(training, warmup_epochs=training.epochs)
    batches = DetectionBatches(
        job.examples.take(job.parts["train"]),
        model.default_boxes,
        shape=config.shape,
        batch_size=training.batch_size,
        seed=cell_seed,
        augment=training.augment,
        lesion_copies=training.lesion_copies,
        normals_per_lesion=training.normals_per_lesion,
        ignore_iou=training.ignore_iou,
        mosaic_epochs=round(training.mosaic_share * training.epochs),
    )
    with CellLog(log_dir) as log:

        def note(entry: dict) -> None:
            values = {"train/loss": entry["loss"], "train/learning_rate": entry["learning_rate"]}
            log.scalars(values, step=entry["epoch"])
            on_epoch()

        feed = make_detection_feed(batches)
        history = fit_detector(model, feed, training, seed=cell_seed, on_epoch=note)
    seconds = time.monotonic() - started
    detector = Detector(model, job.examples.class_names, config.num_views)
    found, seconds_an_image = _look(job, detector)
    facts = {
        "seconds": round(seconds, 1),
        "images_an_epoch": batches.num_images,
        "seconds_an_image": seconds_an_image,
        "parameters": model.count_params(),
    }
    store.save(job.cell, model, history, best_epoch=training.epochs, **facts)
    folder = store.folder / job.cell.name
    describe_detector(detector, folder)
    write_json(folder / FOUND, {"facts": facts, "found": found})


def _look(job: Job, detector: Detector) -> tuple[dict, float]:
    """Finds lesions in the scored images. Returns plain values, and the time an image takes."""
    images = [job.examples.images[index] for index in job.scored]
    detector.outputs(images[:8])  # the first call compiles
    started = time.monotonic()
    outputs = detector.outputs(images)
    lesions = find_detections(detector.model, outputs, max_boxes=MAX_BOXES)
    seconds = (time.monotonic() - started) / len(images)
    classes = find_detections(detector.model, outputs, by_class=True, max_boxes=MAX_BOXES)
    found = {
        mode: {
            job.examples.image_ids[index]: _plain(detections)
            for index, detections in zip(job.scored, every, strict=True)
        }
        for mode, every in zip(MODES, (lesions, classes), strict=True)
    }
    return found, round(seconds, 5)


def _plain(detections: Detections) -> list[list[float]]:
    """One list a detection: four edges, label, score, probabilities."""
    columns = (
        detections.boxes_yxyx,
        detections.labels[:, np.newaxis],
        detections.scores[:, np.newaxis],
        detections.probabilities,
    )
    return np.round(np.concatenate(columns, axis=1).astype(float), 6).tolist()


def _unplain(rows: list[list[float]], num_classes: int) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 7 + num_classes)
    return Detections(
        boxes_yxyx=table[:, :4],
        labels=table[:, 4].astype(int),
        scores=table[:, 5],
        probabilities=table[:, 6:],
    )


def _read(job: Job, config: DetectConfig, store: CellStore) -> DetectedFold:
    """Reads what a finished detector found; where that is damaged, looks again."""
    folder = store.folder / job.cell.name
    try:
        content = json.loads((folder / FOUND).read_bytes())
        found, facts = _found_in(content["found"], job), content["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        model = build_model(replace(config, weights="none"), job.examples.class_names)
        store.load_weights(job.cell, model)
        detector = Detector(model, job.examples.class_names, config.num_views)
        describe_detector(detector, folder)
        plain, seconds = _look(job, detector)
        facts = {"seconds_an_image": seconds, "parameters": model.count_params()}
        write_json(folder / FOUND, {"facts": facts, "found": plain})
        found = _found_in(plain, job)
    return DetectedFold(job.split, job.cell, job.examples, job.parts, found, facts)


def _found_in(plain: dict, job: Job) -> dict[str, dict[int, Detections]]:
    """Detections by mode and index from plain values; a ValueError if they are not the job's."""
    names = [job.examples.image_ids[index] for index in job.scored]
    if any(list(plain[mode]) != names for mode in MODES):
        raise ValueError("other images")
    return {
        mode: {
            int(index): _unplain(plain[mode][name], len(job.examples.class_names))
            for index, name in zip(job.scored, names, strict=True)
        }
        for mode in MODES
    }


def weights_path(run_dir: Path, detected: DetectedFold) -> Path:
    """Where a detector's weights are; `mammo-tf predict` takes them."""
    return Path(run_dir) / "cells" / detected.cell.name / WEIGHTS


def _settings(jobs: Sequence[Job], config: DetectConfig, seed: int) -> dict:
    data = hashlib.sha256()
    for job in jobs:
        data.update("\n".join(job.examples.image_ids).encode() + b"\0")
        for part in job.parts.values():
            data.update(np.asarray(part, np.int64).tobytes() + b"\0")
    return {
        "task": "detection",
        "data_and_folds": data.hexdigest()[:16],
        "seed": seed,
        "training": to_plain(config),
    }
