"""Trained networks of a run folder, ready to use from Python."""

import hashlib
import importlib
import json
import warnings
from pathlib import Path

import keras

from mammo_tf.errors import DataError, UserError
from mammo_tf.found import models
from mammo_tf.models.base import KeywordModel

RECORD, WEIGHTS, DETECTOR = "cell.json", "model.weights.h5", "detector.json"
_MAX_RECORD_BYTES = 4 << 20


def load_cell(folder: str | Path) -> keras.Model:
    """Returns the network that a run keeps in one folder of `cells/`, with its trained weights.

    Input is what it was trained on: (batch, height, width, 1) float32, each image standardised; for
    an SSD see `mammo_tf.pipelines.detection.detector.load_detector`, which also prepares images and
    reads boxes.

    Args:
        folder: E.g. "runs/compression-ncc/cells/cnn3-cr1-fold0".

    Raises:
        UserError: If the folder is no such one, or was written by a version that kept too little.
        DataError: If its files are damaged.

    Examples:
        ```python
        from mammo_tf.models.saved import load_cell

        model = load_cell("runs/compression-ncc/cells/cnn3-cr1-fold0")
        ```
    """
    folder = Path(folder)
    if (folder / DETECTOR).is_file():
        from mammo_tf.pipelines.detection.detector import load_detector

        return load_detector(folder / WEIGHTS).model
    record = _read_record(folder)
    if "model_config" not in record:
        raise UserError(f"{folder} does not say what its network is like. Train it again.")
    _check_weights(folder, record)
    make = _class_of(record.get("model"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of layers left as made
            model = make.from_config(record["model_config"])
            model.load_weights(folder / WEIGHTS)
    except (TypeError, ValueError, KeyError, OSError, UserWarning) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{folder}: the weights are not those of its network ({reason}).") from None
    return model


def _read_record(folder: Path) -> dict:
    path = folder / RECORD
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise ValueError("it is too large")
        record = json.loads(path.read_text("utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it is no object")
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no trained network: expected {RECORD} in it. Give a folder below "
            "cells/ of a run folder."
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({error}).") from None
    return record


def _check_weights(folder: Path, record: dict) -> None:
    try:
        with (folder / WEIGHTS).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(f"{folder} has no {WEIGHTS}. Train it again.") from None
    if found != record.get("sha256", {}).get(WEIGHTS):
        raise DataError(f"{folder / WEIGHTS} is damaged: its checksum differs.")


def _class_of(name: object) -> type[KeywordModel]:
    """The class of a model's file, or of a family's folder, by the cell's name for it."""
    if name in models():
        return getattr(importlib.import_module(f"mammo_tf.models.{name}"), models()[name])
    if isinstance(name, str) and name.isidentifier():
        try:
            family = importlib.import_module(f"mammo_tf.models.{name}")
        except ImportError:
            family = None
        for public in getattr(family, "__all__", ()):
            made = getattr(family, public)
            if isinstance(made, type) and issubclass(made, KeywordModel) and public.lower() == name:
                return made
    raise UserError(f"There is no network {name!r} in this version.")
