"""One file of all that a training needs to go on: weights, optimisers, where it was."""

import io
import json
import os
import zipfile
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from mammo_tf.config import differences
from mammo_tf.errors import DataError, UserError
from mammo_tf.files import write_bytes

NAME = "checkpoint.npz"


def save_checkpoint(folder: str | os.PathLike, variables, progress, settings: dict):
    """Writes all in one file, which replaces the last one in one step.

    Args:
        folder: Folder of the training.
        variables: Keras variables, always in the same order.
        progress: Where the training is, a dataclass.
        settings: Plain values that decide its numbers.
    """
    arrays = {f"v{k}": keras.ops.convert_to_numpy(value) for k, value in enumerate(variables)}
    about = json.dumps({"settings": settings, "progress": asdict(progress)})
    stream = io.BytesIO()
    np.savez(stream, about=np.array(about), **arrays)
    write_bytes(Path(folder) / NAME, stream.getvalue())


def load_checkpoint(folder: str | os.PathLike, variables, settings: dict, *, begin):
    """Sets the variables to those kept, and returns where the training was.

    Args:
        folder: Folder of the training; without a checkpoint it begins.
        variables: Keras variables, always in the same order.
        settings: Plain values that decide its numbers.
        begin: The dataclass of the progress; without arguments, that of a training that begins.

    Raises:
        UserError: If the checkpoint was made with other settings, such as another patch size.
        DataError: If it is damaged.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return begin()
    about, arrays = read_checkpoint(path)
    changed = differences(about["settings"], json.loads(json.dumps(settings)))
    if changed:
        raise UserError(
            f"{path} was trained with other settings ({'; '.join(changed[:3])}). "
            "Take another folder, or the same settings."
        )
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in arrays] != shapes:
        raise DataError(f"{path} holds weights of other networks than its settings say.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return begin(**about["progress"])


def read_checkpoint(path: str | os.PathLike) -> tuple[dict, list[np.ndarray]]:
    """Returns what a checkpoint says of itself, and its arrays in order.

    Raises:
        DataError: If it is damaged; each part carries a checksum.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = [file[f"v{k}"] for k in range(len(file.files) - 1)]
        about["settings"], about["progress"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is damaged ({' '.join(str(error).split())}). Delete it to train anew."
        ) from error
    return about, arrays
