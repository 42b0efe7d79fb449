"""The one loop that trains, keeps and tests cells; whatever is finished is never done again."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mammo_tf import interrupt
from mammo_tf.progress import progress
from mammo_tf.training.store import Cell, CellStore


@dataclass(frozen=True, eq=False)
class CellJob:
    """One cell and what to do with it.

    Attributes:
        cell: The cell; its name is its folder's.
        store: Where it is kept.
        epochs: Most epochs of its training, for the progress bar.
        train: Trains and keeps the cell; called with what is to be called after each epoch.
            Returns the number of epochs it took.
        test: Scores the cell, or reads the scores kept; called after training too, while the
            model is at hand.
    """

    cell: Cell
    store: CellStore
    epochs: int
    train: Callable[[Callable[[], object]], int]
    test: Callable[[], Any]


def run_cells(jobs: Sequence[CellJob], *, description: str = "Training") -> list[Any]:
    """Trains the cells that are missing, then returns what each one's `test` gives, in order.

    Args:
        jobs: The cells.
        description: Text of the progress bar, which counts epochs and knows the time left.

    Raises:
        UserError: If a kept cell was trained with other settings, or a training diverges.
    """
    missing = [job for job in jobs if not job.store.is_finished(job.cell)]
    if missing:
        total = sum(job.epochs for job in missing)
        with progress(description=description, total=total, unit="epoch") as bar:
            for number, job in enumerate(missing, start=1):
                bar.set_description(f"{description} {number}/{len(missing)}")
                # Epochs saved by stopping early are no work left.
                bar.total -= job.epochs - job.train(functools.partial(_after_epoch, bar))
                bar.refresh()
                interrupt.check()
                job.test()
    with progress(jobs, description="Testing", unit="model") as bar:
        return [job.test() for job in bar]


def _after_epoch(bar) -> None:
    bar.update()
    interrupt.check()
