"""The patches that are added to training: as many of each kind, as balanced as they can make it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.controls import copy_paste, join_patches, oversample
from mammo_tf.pipelines.synthesis import SyntheticPatches, synthesize
from mammo_tf.pipelines.synthetic_set import read_synthetic, write_synthetic
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress
from mammo_tf.recipes.cigan.arms import Arm
from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.training.cigan_run import load_generator
from mammo_tf.training.folds import Fold
from mammo_tf.training.seeds import derive_seed

Extras = dict[str, list[SyntheticPatches]]  # by kind, one a fold, as many as the largest share


def added_counts(benign: int, malignant: int, share: float) -> dict[str, int]:
    """Returns how many patches of each class are added.

    First the rarer class is filled up, as the paper balances its set; the rest is halved.

    Args:
        benign: Benign patches trained on.
        malignant: Malignant ones.
        share: What is added, against both together.

    Examples:
        >>> added_counts(60, 40, 0.25)
        {'benign': 2, 'malignant': 23}
    """
    count = round(share * (benign + malignant))
    first = min(abs(benign - malignant), count)
    half = (count - first) // 2
    few, many = first + (count - first) - half, half
    if malignant <= benign:
        return {"benign": many, "malignant": few}
    return {"benign": few, "malignant": many}


def make_extras(
    config: CiganRecipeConfig, task: Task, folds: Sequence[Fold], arms: Sequence[Arm], run_dir: Path
) -> Extras:
    """Makes the patches of every kind for every fold, from its training part alone.

    What ciGAN paints is kept in `synthetic/foldN` of the run folder and read from there afterwards.
    All trainings of a fold are given the same patches; a smaller share is the first ones of a
    larger.

    Args:
        config: Of the run.
        task: See `cut_patches`.
        folds: Its division; each has a trained generator.
        arms: The rows; kinds and shares are taken from them.
        run_dir: The run folder.
    """
    extras: Extras = {}
    kinds = dict.fromkeys(arm.kind for arm in arms if arm.kind)
    with progress(description="Patches to add", total=len(kinds) * len(folds), unit="set") as bar:
        for kind in kinds:
            most = max(arm.share for arm in arms if arm.kind == kind)
            extras[kind] = []
            for fold in folds:
                extras[kind].append(_make(config, task, fold, kind, most, run_dir))
                bar.update()
    return extras


def take_share(patches: SyntheticPatches, task: Task, fold: Fold, share: float) -> SyntheticPatches:
    """Returns the first patches of each class, as many as a share asks for."""
    counts = _counts(task, fold, share)
    rows = [np.flatnonzero(patches.labels == label)[:number] for label, number in counts.items()]
    return patches.take(np.concatenate(rows))


def _counts(task: Task, fold: Fold, share: float) -> dict[str, int]:
    labels = task.labels[fold.train]
    return added_counts(int(np.sum(labels == 1)), int(np.sum(labels == 2)), share)


def _make(config, task, fold: Fold, kind: str, share: float, run_dir: Path) -> SyntheticPatches:
    folder = run_dir / "synthetic" / f"fold{fold.index}"
    if kind == "cigan" and folder.exists():
        return _enough(read_synthetic(folder), _counts(task, fold, share), folder)
    options = {}
    if kind != "oversampling":
        options["zoom_range"] = config.patches.zoom_range
    if kind == "cigan":
        generator = load_generator(run_dir, fold.index)

    def paint(task, train, **given):
        return synthesize(generator, task, train, **given)

    make = {"cigan": paint, "copy_paste": copy_paste, "oversampling": oversample}[kind]
    parts = [
        make(
            task,
            fold.train,
            count=number,
            label=label,
            seed=derive_seed(config.seed, "extras", fold.index, label),
            **options,
        )
        for label, number in _counts(task, fold, share).items()
        if number
    ]
    made = join_patches(parts)
    if kind == "cigan":
        write_synthetic(made, folder)
        return read_synthetic(folder)
    return made


def _enough(patches: SyntheticPatches, counts: dict[str, int], folder: Path) -> SyntheticPatches:
    """Returns the patches.

    Raises:
        UserError: If an earlier run with smaller shares painted too few.
    """
    for label, number in counts.items():
        found = int(np.sum(patches.labels == label))
        if found < number:
            raise UserError(
                f"{folder} has {found} {label} patches and the largest of `classify.shares` needs "
                f"{number}: a run can be given shares up to the largest it began with. Nothing was "
                "lost; take smaller shares, or another --run-dir."
            )
    return patches
