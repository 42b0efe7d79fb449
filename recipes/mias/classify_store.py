"""The classifier's predictions on disk, beside the weights that made them."""

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from mammo_tf.errors import UserError
from mammo_tf.files import write_text
from mammo_tf.models import DepthwiseCNN
from mammo_tf.pipelines.mias_patches import CLASSES
from mammo_tf.training.store import RECORD, Cell, CellStore

KEYS = ("example_id", "group", "label")
PROBABILITIES = tuple(f"p_{name}" for name in CLASSES)


@dataclass(frozen=True, eq=False)
class ClassifyFold:
    """The scored test part of one fold.

    Attributes:
        labels: (n,) int, 0 normal, 1 benign, 2 malignant.
        probabilities: (n, 3) float64; 1 − the first column scores lesions against normal tissue.
        groups: (n,) str, the women.
        example_ids: (n,) str.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    example_ids: np.ndarray


def cell_of(variant: str, split: str, fold: int) -> Cell:
    """The cell of one model; it names its folder."""
    return Cell(f"depthwise_cnn_{variant}_{split}", (1,), fold)


def predictions_path(store: CellStore, cell: Cell) -> Path:
    """Where a cell's predictions are kept."""
    return store.folder / cell.name / "predictions" / "test.csv"


def save_predictions(store: CellStore, cell: Cell, fold: ClassifyFold) -> None:
    """Keeps the predictions of a cell's test part as a CSV, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*KEYS, *PROBABILITIES])
    rows = zip(fold.example_ids, fold.groups, fold.labels, fold.probabilities, strict=True)
    for example, group, label, values in rows:
        writer.writerow([example, group, int(label), *(repr(float(value)) for value in values)])
    write_text(predictions_path(store, cell), text.getvalue())


def load_predictions(store: CellStore, cell: Cell, expected: ClassifyFold) -> ClassifyFold | None:
    """Reads predictions, or returns None where there are none or, said on stderr, damaged ones.

    Args:
        store: The store.
        cell: The cell.
        expected: The test part; its `probabilities` are not read.

    Returns:
        `expected` with the probabilities kept, exactly as they were saved.
    """
    path = predictions_path(store, cell)
    if not path.exists():
        return None
    try:
        text = path.read_text("utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
        keys = [tuple(row[name] for name in KEYS) for row in rows]
        values = np.array([[float(row[name]) for name in PROBABILITIES] for row in rows])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        return _say_damaged(path, str(error))
    wanted = zip(expected.example_ids, expected.groups, expected.labels, strict=True)
    if not text.endswith("\n") or keys != [(str(e), str(g), str(int(k))) for e, g, k in wanted]:
        return _say_damaged(path, "its cases are not those of the fold's test part")
    # A NaN fails both comparisons.
    if not ((values >= 0).all() and (np.abs(values.sum(axis=1) - 1) < 1e-9).all()):
        return _say_damaged(path, "its probabilities do not add up to 1")
    return ClassifyFold(expected.labels, values, expected.groups, expected.example_ids)


def read_record(store: CellStore, cell: Cell) -> dict:
    """Reads a finished cell's cell.json."""
    return json.loads((store.folder / cell.name / RECORD).read_text("utf-8"))


def load_classifier(
    run_dir: str | Path, variant: str, fold: int, *, split: str = "woman"
) -> keras.Model:
    """Returns a trained network of a run.

    Args:
        run_dir: The run folder that `classify` was given.
        variant: As "centred128".
        fold: Number of the fold.
        split: "woman", or "poster", whose networks know the test women.

    Returns:
        A `DepthwiseCNN` with the weights kept.

    Raises:
        UserError: If there is no such model, or its files are damaged.
    """
    cell = cell_of(variant, split, fold)
    folder = Path(run_dir) / "cells" / cell.name
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        settings, model_config = record["settings"], record["model_config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no whole classifier ({type(error).__name__}). Train it first: "
            f"variant {variant!r}, split {split!r}, fold {fold}."
        ) from None
    store = CellStore(run_dir, settings)
    if not store.is_finished(cell):
        raise UserError(f"{folder} is damaged. Train it again; it will be made anew.")
    model = DepthwiseCNN.from_config(model_config)
    store.load_weights(cell, model)
    return model


def _say_damaged(path: Path, reason: str) -> None:
    tqdm.write(f"Damaged, made anew: {path} ({reason})", file=sys.stderr)
