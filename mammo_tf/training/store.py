"""Finished cells of a run, kept so that nothing half-done or damaged is ever taken for whole."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from mammo_tf.config import differences
from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold
from mammo_tf.files import write_json, write_text
from mammo_tf.training.seeds import derive_seed

WEIGHTS = "model.weights.h5"
HISTORY = "history.json"
RECORD = "cell.json"
KEYS = ("example_id", "group", "label")
# One of a cell's settings, so that cells of a revision with other seeds are never mixed in.
SEEDS_FOLLOW_FROM = "fold and repeat"


@dataclass(frozen=True, order=True)
class Cell:
    """One model to train: its name, its fold, and what else tells it from others.

    Attributes:
        model: Name of the model; letters, digits and "_".
        fold: Index of the fold.
        tags: Short texts, such as "cr1_15" for the compression ratios it learns from.
        repeat: Which of several trainings that differ in their random numbers alone, from 0.
    """

    model: str
    fold: int
    tags: tuple[str, ...] = ()
    repeat: int = 0

    @property
    def name(self) -> str:
        """Name of the cell's folders, e.g. "cnn3-cr1_15-fold0", "cnn3-cr1_15-fold0-repeat2"."""
        repeat = [f"repeat{self.repeat}"] if self.repeat else []
        return "-".join([self.model, *self.tags, f"fold{self.fold}", *repeat])

    def seed(self, run_seed: int) -> int:
        """Returns the seed of its training, which follows from the run's, fold and repeat alone.

        Cells that differ in the network's data or make, such as in the compression ratio, start
        from the same weights and see the examples in the same order: what they differ by is then
        less blurred by chance (common random numbers). Another fold or repeat draws anew.
        """
        return derive_seed(run_seed, "training", self.fold, self.repeat)


class CellStore:
    """The folder `cells` of a run: for each cell weights, history and predictions.

    A cell's folder appears whole, by one rename, when its training is done. Predictions join it
    one file for each test CR. What is damaged is said on stderr and made anew.

    Args:
        run_dir: The run folder.
        settings: Plain values that decide a cell's numbers, the same for all cells. A cell that
            was made with others is refused, never mixed in.
    """

    def __init__(self, run_dir: str | Path, settings: dict):
        self.folder = Path(run_dir) / "cells"
        self.settings = settings
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def is_finished(self, cell: Cell) -> bool:
        """Tells whether the cell is trained and its files are whole.

        Raises:
            UserError: If the cell was trained with other settings.
        """
        folder = self.folder / cell.name
        if not folder.exists():
            return False
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
            changed = differences(record["settings"], self.settings)
            digests = record["sha256"]
            whole = all(digests[name] == _digest(folder / name) for name in (WEIGHTS, HISTORY))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return self._say_damaged(folder, str(error))
        if changed:
            raise UserError(
                f"{folder} was trained with other settings ({'; '.join(changed[:3])}). "
                "Take another run folder, or delete this one."
            )
        return whole or self._say_damaged(folder, "a checksum differs")

    def save(self, cell: Cell, model: keras.Model, history: list[dict], **facts) -> None:
        """Keeps a trained cell, all at once.

        Args:
            cell: The cell.
            model: Its model, with the weights to keep.
            history: One dict an epoch.
            facts: Further plain values for cell.json.

        Raises:
            OSError: If the disk is full or not writable.
        """
        partial = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".partial-{cell.name}-"))
        try:
            with _without_optimizer(model):
                _save_weights(model, partial / WEIGHTS)
            write_json(partial / HISTORY, history)
            record = {
                "model": cell.model,
                "tags": list(cell.tags),
                "fold": cell.fold,
                "repeat": cell.repeat,
                **facts,
                "settings": self.settings,
                "sha256": {name: _digest(partial / name) for name in (WEIGHTS, HISTORY)},
            }
            write_json(partial / RECORD, record)
            partial.chmod(0o755)
            final = self.folder / cell.name
            if final.exists():
                shutil.rmtree(final)
            os.replace(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def load_weights(self, cell: Cell, model: keras.Model) -> None:
        """Puts a finished cell's weights into a model of the same make."""
        with _without_optimizer(model):
            model.load_weights(self.folder / cell.name / WEIGHTS)

    def best_epoch(self, cell: Cell) -> int:
        """Returns the epoch, from 1, whose weights were kept."""
        return self.read_record(cell)["best_epoch"]

    def read_record(self, cell: Cell) -> dict:
        """Reads a finished cell's cell.json."""
        return json.loads((self.folder / cell.name / RECORD).read_text("utf-8"))

    def save_scores(
        self, cell: Cell, name: str, fold: ScoredFold, columns: Sequence[str] = ("score",)
    ) -> None:
        """Keeps the predictions of a cell's test part as a CSV, atomically, with its checksum.

        Args:
            cell: The cell.
            name: Of the file, such as "cr100".
            fold: The scored test part.
            columns: Name of each score, one where `fold.scores` is (n,).
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*KEYS, *columns])
        scores = np.reshape(fold.scores, (len(fold.labels), len(columns)))
        rows = zip(fold.example_ids, fold.groups, fold.labels, scores, strict=True)
        for example, group, label, values in rows:
            writer.writerow([example, group, int(label), *(repr(float(v)) for v in values)])
        path = self.scores_path(cell, name)
        write_text(path, text.getvalue())
        write_text(_checksum_path(path), f"{_digest(path)}  {path.name}\n")

    def load_scores(
        self, cell: Cell, name: str, expected: ScoredFold, columns: Sequence[str] = ("score",)
    ) -> ScoredFold | None:
        """Reads predictions, or returns None where there are none or they are damaged.

        Args:
            cell: The cell.
            name: As in `save_scores`.
            expected: The test part; of its `scores` the shape alone is read.
            columns: As in `save_scores`.

        Returns:
            `expected` with the scores kept, exactly as they were saved.
        """
        path = self.scores_path(cell, name)
        if not path.exists():
            return None
        try:
            if _checksum_path(path).read_text("utf-8").split()[0] != _digest(path):
                raise ValueError("its checksum does not fit")
            with path.open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines))
            scores = np.array([[float(row[column]) for column in columns] for row in rows])
            keys = [tuple(row[key] for key in KEYS) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
            self._say_damaged(path, str(error))
            return None
        wanted = zip(expected.example_ids, expected.groups, expected.labels, strict=True)
        if keys != [(str(e), str(g), str(int(label))) for e, g, label in wanted]:
            self._say_damaged(path, "its cases are not those of the fold's test part")
            return None
        if not ((scores >= 0) & (scores <= 1)).all():
            self._say_damaged(path, "a score is not between 0 and 1")
            return None
        return replace(expected, scores=scores.reshape(np.shape(expected.scores)))

    def scores_path(self, cell: Cell, name: str) -> Path:
        """Where the predictions of a cell are kept."""
        return self.folder / cell.name / "predictions" / f"{name}.csv"

    def _say_damaged(self, path: Path, reason: str) -> bool:
        tqdm.write(f"Damaged, made anew: {path} ({reason})", file=sys.stderr)
        return False


@contextlib.contextmanager
def _without_optimizer(model: keras.Model) -> Iterator[None]:
    """Keras writes the optimiser's state beside the weights, and then wants it on loading."""
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _save_weights(model: keras.Model, path: Path) -> None:
    """Saves weights; a full disk is an OSError with its number, which HDF5 does not give."""
    needed = sum(np.prod(weight.shape) * 4 for weight in model.weights) + (1 << 20)
    if shutil.disk_usage(path.parent).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
    try:
        model.save_weights(path)
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) is None and "No space left" in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent)) from error
        raise


def _checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
