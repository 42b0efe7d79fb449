"""Which cells an experiment needs, and its scores."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from mammo_tf.evaluation import ScoredFold
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.experiments import EXPERIMENTS
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import divide_task
from mammo_tf.training.grid import GridCell, run_grid

# {(train_crs, test_cr): for each repeat, the scored test cases of each fold}
Scored = Mapping[tuple[tuple[float, ...], float], tuple[tuple[ScoredFold, ...], ...]]


def score(
    config: CompressionConfig,
    task: Task,
    experiment: str,
    run_dir: Path,
    *,
    network: ModelConfig | None = None,
    repeats: int = 1,
) -> Scored:
    """Trains and tests all cells of an experiment; finished ones are only read.

    Args:
        config: The run's configuration.
        task: The run's task.
        experiment: A key of `EXPERIMENTS`.
        run_dir: The run folder.
        network: Which of the configuration's networks; None for the first.
        repeats: Trainings of each cell, which differ in their random numbers alone; the folds are
            the same in all.

    Returns:
        For each (train_crs, test_cr), the reference first, the scored test folds of each repeat.
    """
    folds = divide_task(task, config.split, seed=config.seed)
    cells = [
        GridCell(train_crs, fold.index, test_crs, repeat)
        for repeat in range(repeats)
        for train_crs, test_crs in EXPERIMENTS[experiment].tests_of(config.cratios).items()
        for fold in folds
    ]
    scores = run_grid(
        task,
        cells,
        folds=folds,
        model=network or config.model,
        config=_training(config, experiment),
        run_dir=run_dir,
        seed=config.seed,
    )
    rows: dict[tuple[tuple[float, ...], float], list[list[ScoredFold]]] = {}
    for (cell, test_cr), scored in scores.items():
        row = rows.setdefault((cell.train_crs, test_cr), [[] for _ in range(repeats)])
        row[cell.repeat].append(scored)
    return {key: tuple(map(tuple, of_repeats)) for key, of_repeats in rows.items()}


def _training(config: CompressionConfig, experiment: str) -> TrainingConfig:
    if not EXPERIMENTS[experiment].draws:
        return config.training
    augment = dataclasses.replace(config.training.augment, cratios=config.cratios)
    return dataclasses.replace(config.training, augment=augment)
