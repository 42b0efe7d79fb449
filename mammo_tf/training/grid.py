"""Trains one classifier per (training compression ratios, fold, repeat), tests it at several."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.config import to_plain
from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold
from mammo_tf.models.registry import ModelConfig, build_model
from mammo_tf.pipelines.mixing import synthetic_settings
from mammo_tf.pipelines.task import Task
from mammo_tf.training.cells import CellJob, run_cells
from mammo_tf.training.classifier_cells import ClassifierCells, data_and_folds
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.store import SEEDS_FOLLOW_FROM, Cell, CellStore


@dataclass(frozen=True)
class GridCell:
    """A cell of the grid: which ratios it learns from, and which it is tested at.

    Attributes:
        train_crs: Compression ratios of the training images; training takes their union, or where
            `TrainingConfig.augment` has ratios draws from those.
        fold: Index of the fold.
        test_crs: Compression ratios of the test images.
        repeat: Which of several trainings that differ in their random numbers alone, from 0.
    """

    train_crs: tuple[float, ...]
    fold: int
    test_crs: tuple[float, ...]
    repeat: int = 0


def run_grid(
    task: Task,
    cells: Sequence[GridCell],
    *,
    folds: Sequence[Fold],
    model: ModelConfig,
    config: TrainingConfig,
    run_dir: str | Path,
    seed: int,
) -> dict[tuple[GridCell, float], ScoredFold]:
    """Trains every cell, and scores its fold's test part at every CR asked for.

    The run folder keeps, for each cell, `cells/<name>/` (weights, history.json, cell.json and
    predictions/cr<CR>.csv) and `tensorboard/<name>/`. Called again, after a kill too, it does only
    what is missing and ends with the same numbers: a cell's seed follows from `seed`, its fold and
    its repeat, not from the order. Cells trained for one experiment serve the next.

    Args:
        task: Examples and images.
        cells: What to train and test.
        folds: The folds that the cells' `fold` counts.
        model: The network.
        config: How to train.
        run_dir: The run folder, of one process at a time.
        seed: Seed of the run.

    Returns:
        The scored test parts by (cell, test CR), in the order of `cells`.

    Raises:
        UserError: If a kept cell was trained with other settings, or a training diverges.
    """
    _check(cells, folds)
    num_outputs = 1 if len(task.class_names) == 2 else len(task.class_names)
    shape = (*task.input_shape, 1)
    make_model = functools.partial(build_model, model, image_shape=shape, num_outputs=num_outputs)
    shared = ClassifierCells(
        task=task,
        config=config,
        run_dir=Path(run_dir),
        seed=seed,
        store=CellStore(run_dir, _settings(task, folds, model, config, seed)),
        reused=ReusedModel(make_model, config),
    )
    scores = run_cells([_job(shared, cell, folds[cell.fold], model.name) for cell in cells])
    return {
        (cell, cratio): scored
        for cell, by_cratio in zip(cells, scores, strict=True)
        for cratio, scored in by_cratio.items()
    }


def _job(shared: ClassifierCells, grid_cell: GridCell, fold: Fold, model: str) -> CellJob:
    drawn = ("any",) if shared.config.augment.cratios else ()
    tag = f"cr{'_'.join(map(format_cratio, grid_cell.train_crs))}"
    cell = Cell(model, grid_cell.fold, (*drawn, tag), grid_cell.repeat)

    def test() -> dict[float, ScoredFold]:
        scored = {}
        for cratio in grid_cell.test_crs:
            name = f"cr{format_cratio(cratio)}"
            scored[cratio] = shared.test(
                cell, fold, cratio, train_crs=grid_cell.train_crs, name=name
            )
        return scored

    return CellJob(
        cell=cell,
        store=shared.store,
        epochs=shared.config.epochs,
        train=lambda on_epoch: shared.train(cell, fold, grid_cell.train_crs, on_epoch),
        test=test,
    )


def _settings(
    task: Task, folds: Sequence[Fold], model: ModelConfig, config: TrainingConfig, seed: int
) -> dict:
    """What decides the numbers of every cell, in plain values."""
    return {
        "task": task.name,
        "input_shape": list(task.input_shape),
        "data_and_folds": data_and_folds(task, folds),
        "seed": seed,
        "seeds_follow_from": SEEDS_FOLLOW_FROM,
        "model": to_plain(model),
        "training": to_plain(config),
        **synthetic_settings(task, folds, config.augment),
    }


def _check(cells: Sequence[GridCell], folds: Sequence[Fold]) -> None:
    for cell in cells:
        if not 0 <= cell.fold < len(folds):
            raise UserError(
                f"A cell's fold must be from 0 to {len(folds) - 1}. Received: {cell.fold}."
            )
        if not cell.train_crs or not cell.test_crs:
            raise UserError(f"A cell needs training and test ratios. Received: {cell}.")
