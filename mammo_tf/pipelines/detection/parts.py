"""Which images a detector learned from, chose by and was tested on: parts.json beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.files import read_checked_json, write_checked_json
from mammo_tf.pipelines.task import Task

PARTS_FILE = "parts.json"


def keep_parts(folder: Path, split: str, task: Task, parts: Mapping[str, np.ndarray]) -> None:
    """Writes the ids of each part's images, where they are not written yet.

    Args:
        folder: The detector's.
        split: Kind of the division, such as "patient".
        task: The images.
        parts: Indices into `task` by name: "train", "validation", "test".
    """
    if (folder / PARTS_FILE).exists():
        return
    names = {
        name: [str(task.image_ids[index]) for index in indices] for name, indices in parts.items()
    }
    write_checked_json(folder / PARTS_FILE, {"split": split, **names})


def read_parts(folder: Path) -> tuple[str, dict[str, Sequence[str]]] | None:
    """Returns the kind of the division, and the ids of each part; None where nothing is said.

    Raises:
        DataError: If the file is damaged.
    """
    path = folder / PARTS_FILE
    if not path.exists():
        return None
    try:
        content = dict(read_checked_json(path))
        split = str(content.pop("split"))
        parts = {name: tuple(map(str, content[name])) for name in ("train", "validation", "test")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}. Train the detector again.") from error
    return split, parts
