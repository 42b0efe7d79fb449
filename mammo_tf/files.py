"""Files that are never half written, and paths that never leave their folder."""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mammo_tf.errors import DataError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a temporary path beside `path` to write to, and moves it there if all went well.

    A reader sees the old file or the new one, never a part. On an error nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 `text` to `path` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_checked_json(path: str | os.PathLike, value: Any, **about: Any) -> None:
    """Writes plain values so that `read_checked_json` notices any later change.

    Args:
        path: The file.
        value: What JSON can hold.
        **about: Further entries that the reader must ask for alike, such as what it was made from.
    """
    value = json.loads(json.dumps(value))
    write_json(path, {**about, "checksum": _checksum(value), "value": value})


def read_checked_json(path: str | os.PathLike, **about: Any) -> Any:
    """Reads what `write_checked_json` wrote.

    Raises:
        ValueError: If the file is damaged or changed, or was written with other entries.
        OSError: If it cannot be read.
    """
    kept = json.loads(Path(path).read_text("utf-8"))
    if not isinstance(kept, dict) or {"checksum", "value"} - kept.keys():
        raise ValueError("it has no checksum")
    if any(kept.get(name) != value for name, value in about.items()):
        raise ValueError("it was made from something else")
    if kept["checksum"] != _checksum(kept["value"]):
        raise ValueError("its checksum does not fit")
    return kept["value"]


def _checksum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()


def resolve_inside(
    folder: str | os.PathLike, relative: str | os.PathLike, *, follow_links: bool = False
) -> Path:
    """Resolves `relative` below `folder`, symbolic links included.

    Args:
        folder: The data folder.
        relative: A path from an untrusted file, e.g. a cell of studies.csv.
        follow_links: Whether a symbolic link in the folder may lead out of it; `..` never may.

    Returns:
        The absolute path; the file itself need not exist.

    Raises:
        DataError: If the path leaves `folder`, is in a loop of links, or is no path.
    """
    root = resolve_path(folder)
    target = resolve_path(root / relative)
    if target.is_relative_to(root):
        return target
    by_link = leaves_by_link(folder, relative)
    if by_link and follow_links:
        return target
    how = " through a symbolic link" if by_link else ""
    raise DataError(f"Path leaves the data folder {root}{how}. Received: {str(relative)!r}.")


def leaves_by_link(folder: str | os.PathLike, relative: str | os.PathLike) -> bool:
    """Whether a path that leaves `folder` is written as one that stays in it."""
    if ".." in Path(relative).parts:
        return False
    folders = {os.path.abspath(folder), os.path.realpath(folder)}
    written = {os.path.normpath(os.path.join(name, relative)) for name in folders}
    return any(Path(path).is_relative_to(name) for path in written for name in folders)


def resolve_path(path: str | os.PathLike) -> Path:
    """Resolves a path, which need not exist, and its symbolic links.

    Raises:
        DataError: If it is in a loop of links, or is no path (a NUL, too long a name).
    """
    try:
        return Path(path).resolve()
    except RuntimeError:  # Python before 3.13
        problem = "is in a loop of symbolic links"
    except (OSError, ValueError) as error:
        problem = "is in a loop of symbolic links"
        if getattr(error, "errno", None) != errno.ELOOP:
            problem = "is no path"
    raise DataError(f"The path {problem}. Received: {os.fspath(path)!r}.")
