"""Checks the paths of a table: none may leave the data folder."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from mammo_tf.errors import DataError
from mammo_tf.files import leaves_by_link, resolve_inside, resolve_path

_MAX_PATH_CHARACTERS = 4096  # file systems take no more
_MAX_DEPTH = 100  # deeper ones are looked at as a whole


class PathChecker:
    """Says of each path whether it stays in the data folder.

    Folders are looked at once, however many files they hold; a path without any link or `..` needs
    one more look at the file itself.

    Args:
        folder: The data folder.
        follow_links: Whether a symbolic link in it may lead out of it.
    """

    def __init__(self, folder: Path, *, follow_links: bool):
        self._folder = folder
        self._root = os.fspath(resolve_path(folder))
        self._follow_links = follow_links
        self._is_plain = {"": True}

    def problem(self, path: str) -> str:
        """Returns why a path cannot be allowed, for "the path …"; "" if it can."""
        if len(path) > _MAX_PATH_CHARACTERS:
            return f"is no path: it has more than {_MAX_PATH_CHARACTERS} characters"
        if path.count("/") <= _MAX_DEPTH and self._plain(path):
            return ""
        try:
            resolve_inside(self._folder, path, follow_links=self._follow_links)
        except DataError as error:
            if "loop" in str(error):
                return "is in a loop of symbolic links"
            if "is no path" in str(error):
                return "is no path"
            by_link = " through a symbolic link" if leaves_by_link(self._folder, path) else ""
            return f"leaves the data folder {self._folder}{by_link}"
        return ""

    def _plain(self, path: str) -> bool:
        """Whether a path has no link, no `..` and no root of its own, and so stays inside."""
        head, _, tail = path.rpartition("/")
        if tail == ".." or "\0" in tail or path.startswith("/"):
            return False
        is_plain = self._is_plain.get(head)
        if is_plain is None:
            is_plain = self._is_plain[head] = self._plain(head)
        return is_plain and not self._is_link(path)

    def _is_link(self, path: str) -> bool:
        try:
            return stat.S_ISLNK(os.lstat(f"{self._root}/{path}").st_mode)
        except OSError:  # not there, or a name too long: whoever opens it says so
            return False


MISSING = -1
NO_FILE = -2


def file_sizes(folder: Path, studies: Iterable) -> dict[str, int]:
    """Returns the size of every file that some studies name, by its path in the table.

    Args:
        folder: The data folder.
        studies: See `mammo_tf.datasets.ncc.studies.Study`.

    Returns:
        Bytes; `MISSING`, or `NO_FILE` for what is no file or may not be looked at.
    """
    root = os.fspath(folder)
    views = (view for study in studies for view in study.views.values())
    return {
        path: _size(os.path.join(root, path))
        for view in views
        for path in (view.path, view.mask)
        if path
    }


def _size(path: str) -> int:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except (OSError, ValueError):
        return NO_FILE
    return status.st_size if stat.S_ISREG(status.st_mode) else NO_FILE
