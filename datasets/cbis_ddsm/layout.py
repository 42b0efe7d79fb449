"""Finds the files of each series, however the archive's downloaders have named the folders.

Three ways are known, and one rule finds the files of all of them, mixed or not:

* `Folder/StudyUID/SeriesUID/000000.dcm`
* `<collection>/<PatientID>/<StudyUID>/MG_<SeriesUID>/<uuid>.dcm`; a PatientID may end in ".dcm"
* `Folder/MM-DD-YYYY-DDSM-NA-<5>/1.000000-<description>-<5>/1-1.dcm`, with the last five characters
  of the UIDs

The rule: a folder whose name is, or ends in "_" and, a SeriesInstanceUID holds that series. Of any
other .dcm file the head is read, and its own SeriesInstanceUID decides; only where the folder is
named in the third way, and no wanted series ends in its five characters, is that reading spared.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mammo_tf.dicom.series import read_series_uid
from mammo_tf.errors import DataError
from mammo_tf.progress import progress

SUFFIX = ".dcm"
MAX_FILES = 1_000_000
MAX_DEPTH = 32

_NAMED_BY_UID = re.compile(r"(?:[A-Za-z]{1,8}_)?(\d[\d.]{8,63})", re.ASCII)
_NAMED_BY_ENDING = re.compile(r"\d{1,6}\.\d{1,9}-.{0,200}-([\d.]{5})", re.ASCII)


@dataclass(frozen=True)
class Tree:
    """Where the wanted series are.

    Attributes:
        folder: The root.
        files: Maps a SeriesInstanceUID to its files, relative to `folder` and sorted; series
            that are not there are absent.
        num_unreadable: .dcm files that do not say to which series they belong.
        num_second_copies: Series that are there in two folders or more; the fullest is used.
    """

    folder: Path
    files: dict[str, tuple[str, ...]] = field(repr=False)
    num_unreadable: int = 0
    num_second_copies: int = 0

    def has_any(self, series: Iterable[str]) -> bool:
        """Whether one of some series is there."""
        return any(uid in self.files for uid in series)


def find_series(folder: Path, wanted: Iterable[str]) -> Tree:
    """Finds the files of some series below a folder.

    Symbolic links are not followed. Hidden files and folders are passed over.

    Args:
        folder: The root; links in its own path are followed.
        wanted: SeriesInstanceUIDs.

    Returns:
        What is there of them.

    Raises:
        DataError: If the folder holds far more files than the archive.
    """
    folder = folder.resolve()
    wanted = frozenset(wanted)
    by_ending: dict[str, set[str]] = {}
    for uid in wanted:
        by_ending.setdefault(uid[-5:], set()).add(uid)
    found: dict[str, dict[str, list[str]]] = {}  # series, folder, files
    unreadable = 0
    for place, names in _folders(folder):
        named = _NAMED_BY_UID.fullmatch(Path(place).name)
        if named and named[1] in wanted:
            found.setdefault(named[1], {})[place] = [os.path.join(place, name) for name in names]
        else:
            ending = _NAMED_BY_ENDING.fullmatch(Path(place).name)
            candidates = by_ending.get(ending[1], set()) if ending else wanted
            for name in names if candidates else ():
                path = os.path.join(place, name)
                uid = read_series_uid(folder / path)
                if not uid and ending and len(candidates) == 1:
                    (uid,) = candidates  # damaged; whoever reads it whole will say how
                unreadable += not uid
                if uid in wanted:
                    found.setdefault(uid, {}).setdefault(place, []).append(path)
    files = {uid: _fullest(places) for uid, places in found.items()}
    second = sum(len(places) > 1 for places in found.values())
    return Tree(folder, files, unreadable, second)


def _fullest(places: dict[str, list[str]]) -> tuple[str, ...]:
    place = min(places, key=lambda place: (-len(places[place]), place))
    return tuple(sorted(places[place]))


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields (folder relative to `root`, names of its .dcm files), sorted, top down."""
    count = 0
    with progress(description="Looking for series", unit="folder") as bar:
        for place, folders, names in os.walk(root, onerror=_unreadable):
            bar.update()
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            relative = os.path.relpath(place, root)
            if relative.count(os.sep) >= MAX_DEPTH:
                raise DataError(f"{root} has folders more than {MAX_DEPTH} deep; it is no archive.")
            names = sorted(name for name in names if _is_wanted(place, name))
            count += len(names)
            if count > MAX_FILES:
                raise DataError(
                    f"{root} has more than {MAX_FILES} .dcm files; CBIS-DDSM has 10,239. Give its "
                    "own folder."
                )
            if names:
                yield relative, names


def _is_wanted(place: str, name: str) -> bool:
    if name.startswith(".") or not name.lower().endswith(SUFFIX):
        return False
    return not os.path.islink(os.path.join(place, name))


def _unreadable(error: OSError) -> None:
    raise DataError(f"A folder of the archive cannot be read ({error.strerror}): {error.filename}.")
