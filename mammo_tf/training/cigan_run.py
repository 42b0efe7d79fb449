"""A run of ciGAN: patches of a data set, a network for each fold's training part, lesions of it."""

import dataclasses
from pathlib import Path

import keras
import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.models.cigan import (
    CiganDiscriminator,
    CiganGenerator,
    perceptual_network,
)
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import gan_patches
from mammo_tf.progress import progress
from mammo_tf.training.checkpoint import NAME, read_checkpoint
from mammo_tf.training.cigan_config import CiganConfig, CiganTrainingConfig
from mammo_tf.training.cigan_steps import CiganSteps
from mammo_tf.training.fit import seed_everything
from mammo_tf.training.fit_cigan import CiganPatches, fit_cigan
from mammo_tf.training.folds import Fold, divide
from mammo_tf.training.seeds import derive_seed


def cut_patches(config: CiganConfig, data: OpenData) -> tuple[Task, tuple[Fold, ...]]:
    """Returns the patches of a data set, in three classes, and their division by patient.

    Raises:
        UserError: If the data set lacks what is needed.
    """
    options = dataclasses.asdict(config.patches)
    del options["zoom_range"]
    plan = gan_patches(
        data.catalog, data.builder, cache_dir=data.cache_dir, seed=config.seed, **options
    )
    task = make_task(plan, data.catalog, data.builder, cratios=(1,), cache_dir=data.cache_dir)
    folds = divide(
        (task.labels == 2).astype(int),
        task.groups,
        task.split,
        config.split,
        has_official_splits=task.has_official_splits,
        seed=config.seed,
    )
    return task, folds


def count_classes(task: Task, fold: Fold) -> dict[str, dict[str, int]]:
    """Returns the number of patches of each class in each part of a fold."""
    parts = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    return {
        part: {
            name: int(np.sum(task.labels[rows] == label))
            for label, name in enumerate(task.class_names)
        }
        for part, rows in parts.items()
    }


def train_fold(config: CiganConfig, task: Task, fold: Fold, run_dir: str | Path) -> list[dict]:
    """Trains a fold's networks on its training part, or goes on where that stopped.

    Args:
        config: Of the run.
        task: See `cut_patches`.
        fold: Which part is trained on.
        run_dir: The run folder; `gan/fold<index>` in it is used.

    Returns:
        See `fit_cigan`.

    Raises:
        UserError: If weights of the perceptual network cannot be had, or training diverges.
    """
    seed, size = derive_seed(config.seed, "cigan", fold.index), config.patches.patch_size
    seed_everything(seed)
    steps = CiganSteps(
        CiganGenerator(patch_size=size),
        CiganDiscriminator(patch_size=size, class_map_joined=config.gan.class_map_joined),
        perceptual_network(config.perceptual, size),
        config.gan,
    )
    lesions = fold.train[task.labels[fold.train] > 0]
    normals = fold.train[task.labels[fold.train] == 0]
    images = task.images(1)
    patches = CiganPatches(
        images=np.stack([images[row] for row in lesions]),
        masks=np.stack([task.masks[row] for row in lesions]),
        malignant=task.labels[lesions] == 2,
        normals=np.stack([images[row] for row in normals]),
    )
    with progress(
        description=f"ciGAN, fold {fold.index}", total=config.gan.num_epochs, unit="epoch"
    ) as bar:
        return fit_cigan(
            steps,
            patches,
            seed=seed,
            folder=fold_folder(run_dir, fold.index),
            on_epoch=lambda entry: (bar.update(entry["epoch"] - bar.n), bar.refresh()),
        )


def load_generator(run_dir: str | Path, fold: int) -> keras.Model:
    """Returns the trained generator of a fold.

    Raises:
        UserError: If it is not there, or its training has not ended.
        DataError: If its file is damaged.
    """
    path = fold_folder(run_dir, fold) / NAME
    if not path.exists():
        raise UserError(f"{run_dir} has no network of fold {fold}. Train it first.")
    about, arrays = read_checkpoint(path)
    training = CiganTrainingConfig(**about["settings"]["training"])
    if about["progress"]["epoch"] < training.num_epochs:
        raise UserError(
            f"The training of fold {fold} in {run_dir} stopped after epoch "
            f"{about['progress']['epoch']} of {training.num_epochs}. The same command ends it."
        )
    generator = CiganGenerator.from_config(about["settings"]["generator"])
    for variable, array in zip(generator.variables, arrays, strict=False):
        variable.assign(array)
    return generator


def fold_folder(run_dir: str | Path, index: int) -> Path:
    """The folder of a fold's networks."""
    return Path(run_dir) / "gan" / f"fold{index}"
