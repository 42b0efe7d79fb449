"""Which cells an experiment needs, and its scores."""

from collections.abc import Mapping
from pathlib import Path

from mammo_tf.evaluation import ScoredFold
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.training.folds import divide_task
from mammo_tf.training.grid import GridCell, run_grid

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
    folds = divide_task(task, config.split, seed=config.seed)
    cells = [
        GridCell((cratio,), fold.index, (cratio,) if experiment == "single" else config.cratios)
        for cratio in config.cratios
        for fold in folds
    ]
    scores = run_grid(
        task,
        cells,
        folds=folds,
        model=config.model,
        config=config.training,
        run_dir=run_dir,
        seed=config.seed,
    )
    rows: dict[tuple[tuple[float, ...], float], list[ScoredFold]] = {}
    for (cell, test_cr), scored in scores.items():
        rows.setdefault((cell.train_crs, test_cr), []).append(scored)
    return {key: tuple(folds) for key, folds in rows.items()}
