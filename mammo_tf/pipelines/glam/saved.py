"""GLAM from a file: what `mammo-tf recipe glam` and `mammo-tf weights import` write."""

import json
import os
import zipfile
from pathlib import Path

from mammo_tf.errors import DataError, UserError
from mammo_tf.limits import MAX_PIXELS
from mammo_tf.models.glam import GLAM

CELL = "cell.json"
WEIGHTS = "model.weights.h5"
KERAS_SUFFIX = ".keras"
MAX_WEIGHTS_BYTES = 2 << 30
_MAX_TEXT_BYTES = 1 << 20


def find_glam(weights: str | os.PathLike) -> Path:
    """Returns the file of a GLAM.

    Args:
        weights: A .keras file; a model.weights.h5 with a cell.json beside it; the folder of both;
            or the folder of a run with one GLAM.

    Raises:
        UserError: If there is none, or there are several.
    """
    path = Path(weights)
    if path.is_dir():
        folders = [path] if (path / CELL).exists() else sorted(path.glob("cells/glam-*"))
        if len(folders) > 1:
            raise UserError(
                f"{path} has {len(folders)} networks: give one of them, e.g. {folders[0]}."
            )
        path = (folders[0] if folders else path) / WEIGHTS
    is_known = path.name == WEIGHTS or path.suffix == KERAS_SUFFIX
    if not is_known or not path.is_file():
        raise UserError(
            "WEIGHTS must be a .keras file of GLAM, or a folder of `mammo-tf recipe glam`. "
            f"None is at {path}."
        )
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise DataError(f"{path} is larger than {MAX_WEIGHTS_BYTES} bytes; that is no GLAM.")
    return path


def load_glam(weights: str | os.PathLike) -> GLAM:
    """Loads a GLAM. Nothing in the files is executed: they are JSON and arrays.

    Args:
        weights: See `find_glam`.

    Raises:
        UserError: If a file is missing.
        DataError: If a file is damaged or another network's.
    """
    path = find_glam(weights)
    if path.suffix == KERAS_SUFFIX:
        about = _read_archive(path)
        kind, config = about.get("registered_name"), about.get("config")
        expected, load = "mammo_tf>GLAM", _load_archive
    else:
        about = _read_cell(path.with_name(CELL))
        kind, config = about.get("model"), about.get("model_config")
        expected, load = "glam", GLAM.load_weights
    if kind != expected or not isinstance(config, dict):
        raise DataError(f"{path} is not GLAM's but another network's. Received: {str(kind)[:80]}.")
    model = _build(path, config)
    try:
        load(model, path)
    except Exception as error:  # h5py and Keras raise many kinds on damaged files
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged, or of another GLAM: {reason}") from error
    return model


def _build(path: Path, config: dict) -> GLAM:
    try:
        height, width = config["image_shape"]
        if height * width > MAX_PIXELS:
            raise DataError(f"An image of {height}×{width} pixels is too large.")
        lists = {name: value for name, value in config.items() if isinstance(value, list)}
        return GLAM.from_config(config | {name: tuple(value) for name, value in lists.items()})
    except Exception as error:  # whatever a description that was changed leads to
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} describes no GLAM that can be built: {reason}") from error


def _read_cell(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path.name} must lie beside {WEIGHTS}; it says how GLAM is built.")
    with path.open("rb") as file:
        return _parse(path, file.read(_MAX_TEXT_BYTES))


def _read_archive(path: Path) -> dict:
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            return _parse(path, file.read(_MAX_TEXT_BYTES))
    except (zipfile.BadZipFile, KeyError, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} is no file that Keras wrote, or is damaged.") from error


def _parse(path: Path, content: bytes) -> dict:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path} is damaged: it is not JSON.") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} describes no network.")
    return found


def _load_archive(model: GLAM, path: Path) -> None:
    """Loads the weights of a .keras file, which holds them as a .weights.h5 file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        if archive.getinfo(WEIGHTS).file_size > MAX_WEIGHTS_BYTES:
            raise DataError("its weights are larger than any GLAM's")
        model.load_weights(archive.extract(WEIGHTS, folder))
