"""Trains and tests the three-class classifier: each way to cut, each way to split, each fold."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from mammo_tf.config import to_plain
from mammo_tf.data_source import OpenData
from mammo_tf.evaluation import ScoredFold
from mammo_tf.models.registry import build_model
from mammo_tf.pipelines.mixing import synthetic_settings
from mammo_tf.pipelines.tasks import patches
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig
from mammo_tf.recipes.mias.cut import cut_patches
from mammo_tf.recipes.mias.division import Division
from mammo_tf.training.cells import CellJob, run_cells
from mammo_tf.training.classifier_cells import ClassifierCells, data_and_folds
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.seeds import derive_seed
from mammo_tf.training.store import SEEDS_FOLLOW_FROM, Cell, CellStore


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassifyResult:
    """The scored test parts of one variant under one split.

    Attributes:
        variant: As "centred128".
        split: "patient", or "poster", whose scores are not to be believed.
        folds: One a fold, or a random division; labels 0 normal, 1 benign, 2 malignant, and
            scores (n, 3) probabilities: 1 − the first column tells lesions from normal tissue.
        num_patches: Patches cut: (normal, benign, malignant), those that only train among them.
        num_parameters: Of the network.
        seconds: What training took, all folds together; kept from the run that did it.
        validation: The validation parts, scored alike; what is chosen is chosen on them.
        subgroups: {property: {example: value}}, see `Task.subgroups`.
        notes: What a report must say of the patches.
        model_of: Returns the network of a fold, by its number, until the next call.
    """

    variant: str
    split: str
    folds: tuple[ScoredFold, ...]
    num_patches: tuple[int, ...]
    num_parameters: int
    seconds: float
    validation: tuple[ScoredFold, ...] = ()
    subgroups: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    model_of: Callable[[int], keras.Model] | None = None


def classify(
    opened: OpenData, division: Division, config: ClassifyConfig, run_dir: str | Path, seed: int
) -> list[ClassifyResult]:
    """Trains a network for each variant, split and fold, and scores its test part.

    The run folder keeps `cells/<name>/` (weights, history.json, cell.json, predictions/test.csv)
    and `tensorboard/<name>/`. Called again, after a kill too, it does only what is missing and
    ends with the same numbers: a model's seed follows from `seed` and its name.

    Args:
        opened: A data set with placed findings.
        division: Its images, divided.
        config: What to cut and how to train.
        run_dir: The run folder, of one process at a time.
        seed: Seed of the run.

    Returns:
        The results by variant, then split.

    Raises:
        UserError: If the data set lacks what is needed, a kept model was trained with other
            settings, or a training diverges.
        DataError: If a record is damaged.
    """
    reused = ReusedModel(functools.partial(make_classifier, config), config.training)
    groups = [
        group
        for variant in config.variants
        for group in _groups(opened, division, config, Path(run_dir), seed, variant, reused)
    ]
    jobs = [group.job(number) for group in groups for number in range(len(group.folds))]
    tested = iter(run_cells(jobs, description="Training patches"))
    return [group.result([next(tested) for _ in group.folds]) for group in groups]


def make_classifier(config: ClassifyConfig) -> keras.Model:
    """Builds the untrained network.

    Raises:
        UserError: If the model has no `num_classes`, or refuses an option.
    """
    shape = (config.input_size, config.input_size, 1)
    return build_model(config.model, image_shape=shape, num_outputs=len(patches.CLASSES))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """The cells of one variant under one split; all groups share one model."""

    variant: str
    split: str
    model: str
    cells: ClassifierCells
    folds: Sequence[Fold]  # of patches

    def cell(self, number: int) -> Cell:
        return Cell(f"{self.model}_{self.variant}_{self.split}", number)

    def job(self, number: int) -> CellJob:
        cell, fold = self.cell(number), self.folds[number]
        return CellJob(
            cell=cell,
            store=self.cells.store,
            epochs=self.cells.config.epochs,
            train=lambda on_epoch: self.cells.train(cell, fold, (1,), on_epoch),
            test=lambda: tuple(
                self.cells.test(cell, fold, 1, train_crs=(1,), name=part, part=part)
                for part in ("test", "validation")
            ),
        )

    def load(self, number: int) -> keras.Model:
        return self.cells.reused.load(self.cells.store, self.cell(number))

    def result(self, scored: Sequence[tuple[ScoredFold, ScoredFold]]) -> ClassifyResult:
        task = self.cells.task
        records = [self.cells.store.read_record(self.cell(k)) for k in range(len(self.folds))]
        return ClassifyResult(
            variant=self.variant,
            split=self.split,
            folds=tuple(test for test, _ in scored),
            validation=tuple(validation for _, validation in scored),
            subgroups={
                name: dict(zip(task.example_ids, map(str, values), strict=True))
                for name, values in task.subgroups.items()
            },
            num_patches=tuple(np.bincount(task.labels, minlength=len(task.class_names)).tolist()),
            num_parameters=records[0]["num_parameters"],
            seconds=round(sum(record["seconds"] for record in records), 1),
            notes=task.notes,
            model_of=self.load,
        )


def _groups(opened, division, config, run_dir, seed, variant, reused) -> list[_Group]:
    task = cut_patches(opened, variant, config, seed=derive_seed(seed, "patches", variant))
    divided = {}
    for split in division.splits(config.splits):
        if split == "patient":
            divided[split] = task, division.folds_of(task)
        elif variant in config.poster_variants:
            divided[split] = division.like_poster(task, repeats=config.poster_repeats, seed=seed)
    return [
        _Group(
            variant=variant,
            split=split,
            model=config.model.name,
            folds=folds,
            cells=ClassifierCells(
                task=examples,
                config=config.training,
                run_dir=run_dir,
                seed=seed,
                store=CellStore(
                    run_dir, _settings(examples, folds, config, seed, CUTS[variant].patch_size)
                ),
                reused=reused,
            ),
        )
        for split, (examples, folds) in divided.items()
    ]


def _settings(task, folds, config: ClassifyConfig, seed: int, patch_size: int) -> dict:
    """What decides the numbers of every cell of a variant and split, in plain values."""
    return {
        "task": task.name,
        "patch_size": patch_size,
        "input_shape": list(task.input_shape),
        "data_and_folds": data_and_folds(task, folds),
        "seed": seed,
        "seeds_follow_from": SEEDS_FOLLOW_FROM,
        "model": to_plain(config.model),
        "training": to_plain(config.training),
        **synthetic_settings(task, folds, config.training.augment),
    }
