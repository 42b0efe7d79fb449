"""Which cells an experiment needs, and its scores."""

import functools
from collections.abc import Mapping
from pathlib import Path

import keras

from mammo_tf.evaluation import ScoredFold
from mammo_tf.models import CNN3
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import make_folds
from mammo_tf.training.grid import run_grid
from mammo_tf.training.store import Cell

# {(train_crs, test_cr): the scored test cases of each fold}
Scored = Mapping[tuple[tuple[float, ...], float], tuple[ScoredFold, ...]]


def score(config: CompressionConfig, task: Task, experiment: str, run_dir: Path) -> Scored:
    """Trains and tests all cells of an experiment; finished ones are only read.

    Args:
        config: The run's configuration.
        task: The run's task.
        experiment: "single" (a model is tested at its own CR: Table 1) or "cross" (at every CR:
            Table 2).
        run_dir: The run folder.

    Returns:
        The scored test folds for each (train_crs, test_cr), the reference first.
    """
    folds = make_folds(
        task.labels,
        task.groups,
        num_folds=config.num_folds,
        seed=config.seed,
        validation_fraction=config.validation_fraction,
        evaluated=task.evaluated,
    )
    test_crs = {
        Cell(config.model, (cratio,), fold.index): (
            (cratio,) if experiment == "single" else config.cratios
        )
        for cratio in config.cratios
        for fold in folds
    }
    scores = run_grid(
        task,
        test_crs,
        folds=folds,
        make_model=functools.partial(_make_model, config.training),
        config=config.training,
        run_dir=run_dir,
        seed=config.seed,
    )
    rows: dict[tuple[tuple[float, ...], float], list[ScoredFold]] = {}
    for (cell, test_cr), scored in scores.items():
        rows.setdefault((cell.train_crs, test_cr), []).append(scored)
    return {key: tuple(folds) for key, folds in rows.items()}


def _make_model(training: TrainingConfig, image_shape: tuple[int, int, int]) -> keras.Model:
    return CNN3(
        image_shape=image_shape,
        stackwise_num_filters=training.stackwise_num_filters,
        dense_units=training.dense_units,
        head_pooling=training.head_pooling,
        dropout=training.dropout,
    )
