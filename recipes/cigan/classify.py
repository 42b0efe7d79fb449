"""Trains and tests the classifiers: each row of the table, fold and repeat is one cell."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_tf.config import to_plain
from mammo_tf.evaluation import ScoredFold
from mammo_tf.models.registry import build_model
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.controls import extend_task
from mammo_tf.pipelines.synthesis import SyntheticPatches
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.cigan.arms import Arm
from mammo_tf.recipes.cigan.config import CiganRecipeConfig, NetworkConfig
from mammo_tf.recipes.cigan.extras import Extras, take_share
from mammo_tf.recipes.cigan.lesions import lesion_task, resized
from mammo_tf.training.cells import CellJob, run_cells
from mammo_tf.training.classifier_cells import ClassifierCells, data_and_folds
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.store import SEEDS_FOLLOW_FROM, Cell, CellStore

Scored = dict[Arm, list[list[ScoredFold]]]  # repeats of folds


def make_network(config: NetworkConfig, side: int):
    """Builds an untrained classifier for patches of this side.

    Raises:
        UserError: If its weights cannot be had, or it refuses an option.
    """
    side = config.input_size or side
    return build_model(config.model, image_shape=(side, side, 1))


def classify(
    config: CiganRecipeConfig,
    task: Task,
    folds: Sequence[Fold],
    arms: Sequence[Arm],
    extras: Extras,
    run_dir: Path,
    repeats: int,
) -> Scored:
    """Trains a network for each row, fold and repeat, and scores the fold's test part.

    Validation and test parts are real patches alone, and the same in every row. Repeat r of every
    row has the same seed. Called again, after a kill too, it does only what is missing.

    Args:
        config: Of the run.
        task: See `mammo_tf.training.cigan_run.cut_patches`.
        folds: Its division.
        arms: The rows.
        extras: What they add, see `make_extras`.
        run_dir: The run folder.
        repeats: Trainings of each.

    Returns:
        The scored test parts of each row.

    Raises:
        UserError: If a part lacks a class, a kept cell was trained with other settings, or a
            training diverges.
    """
    lesions, divided = lesion_task(task, folds)
    groups = []
    for network in dict.fromkeys(arm.network for arm in arms):
        settings: NetworkConfig = getattr(config.classify, network)
        base = resized(lesions, settings.input_size)
        make = functools.partial(make_network, settings, task.input_shape[0])
        reused = ReusedModel(make, settings.training)
        for arm in arms:
            if arm.network == network:
                added = _added(arm, task, folds, extras)
                groups.append(_Group(config, arm, base, divided, added, run_dir, reused))
    # One repeat of every row before the next: a run that is stopped has whole ones.
    keys = [(group, fold, repeat) for repeat in range(repeats) for group in groups
            for fold in range(len(folds))]  # fmt: skip
    scored = dict(zip(keys, run_cells([g.job(f, r) for g, f, r in keys]), strict=True))
    return {
        group.arm: [
            [scored[group, fold, repeat] for fold in range(len(folds))] for repeat in range(repeats)
        ]
        for group in groups
    }


def _added(arm: Arm, task: Task, folds: Sequence[Fold], extras: Extras) -> list[SyntheticPatches]:
    if arm.kind is None:
        return []
    return [
        take_share(patches, task, fold, arm.share)
        for patches, fold in zip(extras[arm.kind], folds, strict=True)
    ]


class _Group:
    """The cells of one row."""

    def __init__(
        self,
        config: CiganRecipeConfig,
        arm: Arm,
        task: Task,
        folds: Sequence[Fold],
        added: Sequence[SyntheticPatches],
        run_dir: Path,
        reused: ReusedModel,
    ):
        self.arm, self.folds = arm, folds
        network: NetworkConfig = getattr(config.classify, arm.network)
        self.model = network.model.name
        augment = config.classify.augment if arm.traditional else AugmentConfig()
        training = dataclasses.replace(network.training, augment=augment)
        if added:
            task, self.folds = extend_task(task, folds, added, arm.kind)
        settings = {
            "task": task.name,
            "input_shape": list(task.input_shape),
            "data_and_folds": data_and_folds(task, self.folds),
            "added": _digest(added),
            "seed": config.seed,
            "seeds_follow_from": SEEDS_FOLLOW_FROM,
            "model": to_plain(network.model),
            "training": to_plain(training),
        }
        self.cells = ClassifierCells(
            task=task,
            config=training,
            run_dir=run_dir,
            seed=config.seed,
            store=CellStore(run_dir, settings),
            reused=reused,
        )

    def job(self, fold: int, repeat: int) -> CellJob:
        """What is to be done for one fold and repeat."""
        cell = Cell(self.model, fold, self.arm.tags, repeat)
        return CellJob(
            cell=cell,
            store=self.cells.store,
            epochs=self.cells.config.epochs,
            train=lambda on_epoch: self.cells.train(cell, self.folds[fold], (1,), on_epoch),
            test=lambda: self.cells.test(cell, self.folds[fold], 1, train_crs=(1,), name="test"),
        )


def _digest(added: Sequence[SyntheticPatches]) -> str:
    """16 hexadecimal digits that change with what is added."""
    found = hashlib.sha256()
    for patches in added:
        found.update(np.ascontiguousarray(patches.images))
        found.update("\n".join(patches.labels).encode())
    return found.hexdigest()[:16]
