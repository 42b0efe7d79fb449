"""Trains the detectors of the recipe, fold by fold, and keeps what they find."""

import functools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np

from mammo_tf.config import to_plain
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.models.efficientnet_lite0 import find_weights, load_backbone
from mammo_tf.models.ssd import SSD, Detections
from mammo_tf.models.ssd.vgg16_weights import load_vgg16_weights
from mammo_tf.pipelines.detection.batches import DetectionBatches, make_detection_feed
from mammo_tf.pipelines.detection.detector import Detector, load_detector
from mammo_tf.pipelines.detection.parts import keep_parts
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import detection
from mammo_tf.recipes.mias.detect_config import DetectConfig
from mammo_tf.recipes.mias.detect_found import keep_found, look, read_found
from mammo_tf.recipes.mias.division import Division
from mammo_tf.training.cells import CellJob, run_cells
from mammo_tf.training.classifier_cells import data_and_folds
from mammo_tf.training.detector_checkpoint import DetectorCheckpoint
from mammo_tf.training.detector_config import DetectorTrainingConfig
from mammo_tf.training.fit_detector import fit_detector
from mammo_tf.training.folds import Fold
from mammo_tf.training.seeds import derive_seed
from mammo_tf.training.store import WEIGHTS, Cell, CellStore
from mammo_tf.training.tensorboard_log import CellLog

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class DetectedFold:
    """What one detector found.

    Attributes:
        split: "patient" or "poster".
        cell: The trained cell.
        task: The images of the split.
        parts: Indices into `task`: "train", "validation", "test".
        found: For each mode, "lesion" (class-agnostic) and "by_class", {index: detections}. The
            poster's split has all images, since the poster scores them all; the other's training
            images are left out. Boxes are relative to the image.
        facts: Plain values: seconds, seconds an image, parameters.
    """

    split: str
    cell: Cell
    task: Task = field(repr=False)
    parts: dict[str, np.ndarray]
    found: dict[str, dict[int, Detections]] = field(repr=False)
    facts: dict


def detect(
    opened: OpenData, division: Division, config: DetectConfig, run_dir: Path, seed: int
) -> list[DetectedFold]:
    """Trains every detector that is missing and returns what all of them found.

    Args:
        opened: A data set with placed findings.
        division: Its images, divided.
        config: How to train.
        run_dir: The run folder; finished detectors in `cells` are only read.
        seed: Seed of the run.

    Returns:
        One `DetectedFold` for each split and fold, in order.

    Raises:
        UserError: If no finding's place is known, a kept detector was trained with other
            settings, or a training diverges.
        DataError: If a record is damaged.
    """
    plan = detection(opened.catalog, size=2 * config.shape[0])
    cratios = sorted({1, *config.training.augment.cratios})
    task = make_task(
        plan, opened.catalog, opened.builder, cratios=cratios, cache_dir=opened.cache_dir
    )
    return train_and_look(list_jobs(task, division, config, seed), config, run_dir, seed)


@dataclass(frozen=True, eq=False)
class Job:
    """One detector to train."""

    split: str
    cell: Cell
    task: Task = field(repr=False)
    fold: Fold

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """Indices into `task` by the part's name."""
        return {name: getattr(self.fold, name) for name in PARTS}

    @property
    def scored(self) -> np.ndarray:
        """Indices of the images that are looked at after training."""
        kept = PARTS if self.split == "poster" else ("validation", "test")
        return np.concatenate([self.parts[name] for name in kept])

    def training(self, config: DetectConfig) -> DetectorTrainingConfig:
        """How it is trained; the poster's split has its own number of epochs."""
        training = config.training
        if self.split == "patient":
            return training
        epochs = config.poster_epochs
        return replace(training, epochs=epochs, warmup_epochs=min(training.warmup_epochs, epochs))


def list_jobs(task: Task, division: Division, config: DetectConfig, seed: int) -> list[Job]:
    """Lists the detectors to train, with their images and parts."""
    jobs = []
    for split in division.splits(config.splits):
        images, folds = task, ()
        if split == "patient":
            folds = division.folds_of(task)
        else:
            images, folds = division.like_poster(
                task.take(np.flatnonzero(task.has_box)),
                repeats=config.poster_repeats,
                seed=derive_seed(seed, "detection"),
            )
        name = f"{config.variant}_{config.backbone}_{split}"
        jobs += [Job(split, Cell(name, fold.index), images, fold) for fold in folds]
    return jobs


def train_and_look(
    jobs: Sequence[Job], config: DetectConfig, run_dir: Path, seed: int
) -> list[DetectedFold]:
    """Trains the detectors that are missing, and returns what each job's finds."""

    def cell_job(job: Job) -> CellJob:
        store = CellStore(run_dir, _settings(job, config, seed))
        return CellJob(
            cell=job.cell,
            store=store,
            epochs=job.training(config).epochs,
            train=functools.partial(_train, job, config, store, Path(run_dir), seed),
            test=functools.partial(_read, job, config, store),
        )

    return run_cells([cell_job(job) for job in jobs], description="Training detectors")


def build_model(config: DetectConfig, class_names: Sequence[str]) -> SSD:
    """Makes the untrained network; all but the light one start from the weights asked for."""
    height, width = config.shape
    model = SSD(
        num_classes=len(class_names),
        variant=config.variant,
        backbone=config.backbone,
        image_shape=(height, width, 3),
        dropout=config.dropout,
    )
    if config.start is not None:
        start_from(model, config.start)
        return model
    if config.backbone == "vgg16" and config.weights != "none":
        load_vgg16_weights(model, config.weights)
    if config.backbone == "efficientnet_lite0" and config.weights != "none":
        load_backbone(model, find_weights(config.weights))
    return model


def start_from(model: SSD, folder: str) -> None:
    """Puts the weights of a trained detector into a new one.

    Raises:
        UserError: If there is none, or it is of another make.
        DataError: If it is damaged.
    """
    known = load_detector(folder).model
    for name in ("variant", "backbone", "image_shape", "num_classes"):
        mine, its = getattr(model, name), getattr(known, name)
        if mine != its:
            raise UserError(
                f"`detect.start` must be a detector of the same make. Received: {folder}, whose "
                f"{name} is {its}; this one's is {mine}."
            )
    model.set_weights(known.get_weights())


def weights_path(run_dir: Path, detected: DetectedFold) -> Path:
    """Where a detector's weights are; `mammo-tf predict` takes them."""
    return Path(run_dir) / "cells" / detected.cell.name / WEIGHTS


def _train(
    job: Job,
    config: DetectConfig,
    store: CellStore,
    run_dir: Path,
    seed: int,
    on_epoch: Callable[[], object],
) -> int:
    """Trains a detector, looks at its images, and keeps both. Returns the number of epochs."""
    folder = run_dir / "checkpoints" / job.cell.name
    checkpoint = DetectorCheckpoint(folder, store.settings | {"keras": keras.backend.backend()})
    cell_seed = derive_seed(seed, job.cell.name)
    log_dir = run_dir / "tensorboard" / job.cell.name
    if not checkpoint.epoch:
        shutil.rmtree(log_dir, ignore_errors=True)
    keras.utils.clear_session()
    keras.utils.set_random_seed(cell_seed)
    model = build_model(config, job.task.box_class_names)
    training = job.training(config)
    batches = DetectionBatches(
        job.task.take(job.fold.train),
        model.default_boxes,
        shape=config.shape,
        batch_size=training.batch_size,
        seed=cell_seed,
        augment=training.augment,
        lesion_copies=training.lesion_copies,
        normals_per_lesion=training.normals_per_lesion,
        ignore_iou=training.ignore_iou,
        mosaic_epochs=round(training.mosaic_share * training.epochs),
        first_epoch=checkpoint.epoch,
    )
    with CellLog(log_dir) as log:

        def note(entry: dict) -> None:
            values = {"train/loss": entry["loss"], "train/learning_rate": entry["learning_rate"]}
            log.scalars(values, step=entry["epoch"])
            on_epoch()

        for _ in range(checkpoint.epoch):
            on_epoch()
        feed = make_detection_feed(batches)
        history = fit_detector(
            model, feed, training, seed=cell_seed, on_epoch=note, checkpoint=checkpoint
        )
    seconds = checkpoint.seconds
    detector = Detector(model, job.task.box_class_names, config.num_symmetries)
    found, seconds_an_image = look(job.task, job.scored, detector)
    facts = {
        "seconds": round(seconds, 1),
        "images_an_epoch": batches.num_images,
        "seconds_an_image": seconds_an_image,
        "parameters": model.count_params(),
    }
    store.save(job.cell, model, history, best_epoch=training.epochs, **facts)
    checkpoint.delete()
    keep_found(store.folder / job.cell.name, detector, facts, found)
    return training.epochs


def _read(job: Job, config: DetectConfig, store: CellStore) -> DetectedFold:
    """Reads what a finished detector found; where that is damaged, looks again."""
    folder = store.folder / job.cell.name
    names = job.task.box_class_names
    keep_parts(folder, job.split, job.task, job.parts)
    kept = read_found(folder, job.task, job.scored)
    if kept is None:
        model = build_model(replace(config, weights="none", start=None), names)
        store.load_weights(job.cell, model)
        detector = Detector(model, names, config.num_symmetries)
        plain, seconds = look(job.task, job.scored, detector)
        facts = {"seconds_an_image": seconds, "parameters": model.count_params()}
        keep_found(folder, detector, facts, plain)
        kept = read_found(folder, job.task, job.scored)
    found, facts = kept
    return DetectedFold(job.split, job.cell, job.task, job.parts, found, facts)


def _settings(job: Job, config: DetectConfig, seed: int) -> dict:
    """What decides a detector's numbers, in plain values."""
    plain = to_plain(config)
    settings = {key: plain[key] for key in plain if key not in ("splits", "poster_repeats")}
    return {
        "task": job.task.name,
        "input_shape": list(job.task.input_shape),
        "data_and_folds": data_and_folds(job.task, [job.fold]),
        "seed": seed,
        "training": settings,
    }
