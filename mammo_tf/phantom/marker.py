"""The file that marks a folder as a phantom, says what it was made from and whether it is whole."""

import json
from pathlib import Path

from mammo_tf.errors import UserError
from mammo_tf.files import write_json

MARKER = "PHANTOM.json"


def claim(root: Path, parameters: dict) -> None:
    """Makes a folder a phantom's.

    Args:
        root: A new or empty folder, or one that was claimed with the same parameters before.
        parameters: What the phantom is made from.

    Raises:
        UserError: If the folder is someone else's or holds another phantom.
    """
    if root.exists() and not root.is_dir():
        raise UserError(f"Expected a folder to write to. Received a file: {root}.")
    if (root / MARKER).is_file():
        found = read_marker(root)
        different = [name for name, value in parameters.items() if found.get(name) != value]
        if different:
            name = different[0]
            raise UserError(
                f"{root} holds a phantom with {name}={found.get(name)!r}, asked for "
                f"{name}={parameters[name]!r}; choose another folder or delete that one."
            )
        return
    if root.exists() and any(root.iterdir()):
        raise UserError(
            f"{root} is not empty and holds no phantom; nothing is overwritten: choose a new one."
        )
    write_json(root / MARKER, {**parameters, "complete": False})


def read_marker(root: Path) -> dict:
    """Reads what a phantom in `root` was made from.

    Raises:
        UserError: If the marker cannot be read.
    """
    path = root / MARKER
    try:
        if path.stat().st_size > 100_000:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise UserError(
            f"{path} is not a phantom's marker ({error}); choose another folder."
        ) from error
    return found
