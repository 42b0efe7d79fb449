"""Reads studies.csv, the table of a screening set that a hospital can write by hand or script."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.errors import DataError
from mammo_tf.files import leaves_by_link, resolve_inside
from mammo_tf.ingest import ImageFile

FILE_NAME = "studies.csv"
FINDINGS = ("normal", "benign", "malignant")
VIEWS = ("left_cc", "left_mlo", "right_cc", "right_mlo")
REQUIRED_COLUMNS = ("patient_id", "laterality", "view", "path", "finding")
OPTIONAL_COLUMNS = ("study_id", "birads", "age", "vendor", "mask")
MAX_FILE_BYTES = 256 << 20
MAX_ID_CHARACTERS = 256
MAX_AGE = 90  # stands for 90 and above: higher ages identify a person

_SIDES = {"L": "left", "LEFT": "left", "R": "right", "RIGHT": "right"}


@dataclass(frozen=True)
class Study:
    """One four-view study, as the table has it.

    Attributes:
        patient_id, study_id: The hospital's own ids; they never enter a record.
        row: The study's first row in studies.csv; the header is row 1.
        findings, birads: By side, "left" and "right"; BI-RADS is -1 where unknown.
        age: Years, at most 90, or -1.
        vendor: "" where unknown.
        views: The four files by name, see `VIEWS`.
    """

    patient_id: str
    study_id: str
    row: int
    findings: dict[str, str]
    birads: dict[str, int]
    age: int
    vendor: str
    views: dict[str, ImageFile]

    @property
    def worst_finding(self) -> int:
        """Index in `FINDINGS` of the worse breast."""
        return max(FINDINGS.index(finding) for finding in self.findings.values())


@dataclass(frozen=True)
class BadStudy:
    """A study that the table itself rules out."""

    patient_id: str
    study_id: str
    row: int
    reason: str


class _RowError(Exception):
    def __init__(self, row: int, message: str):
        super().__init__(message)
        self.row = row


def read_studies(
    folder: Path, *, follow_links: bool = False
) -> tuple[tuple[Study, ...], tuple[BadStudy, ...]]:
    """Reads `folder`/studies.csv.

    Separated by comma, semicolon or tab; UTF-8, with or without byte-order mark; the header's
    case, spaces and order do not matter, and further columns are ignored.

    Returns:
        The studies in the order of their first rows, and those that cannot be used.

    Raises:
        DataError: If the file is missing, no such table, or names a path outside `folder`.
    """
    rows: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = {}
    bad = []
    for number, row in _read_rows(folder / FILE_NAME):
        _check_paths(folder, number, row, follow_links)
        patient = row["patient_id"]
        if not patient or len(patient) > MAX_ID_CHARACTERS:
            bad.append(BadStudy("", "", number, "patient_id is empty or too long"))
            continue
        rows.setdefault((patient, row.get("study_id") or patient), []).append((number, row))
    used: dict[str, int] = {}
    studies = []
    for (patient, study), lines in rows.items():
        try:
            studies.append(_study(patient, study, lines, used))
        except _RowError as error:
            bad.append(BadStudy(patient, study, error.row, str(error)))
    return tuple(studies), tuple(bad)


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    text = _read_text(path)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 1
    try:
        header = [cell.strip() for cell in next(lines, [])]
        columns = _columns(header)
        for number, cells in enumerate(lines, start=2):
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield number, _row(cells, columns, width=len(header))
    except csv.Error as error:
        raise DataError(f"{FILE_NAME} row {number + 1}: {error}. Save it as CSV again.") from None


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise DataError(
            f"Expected {FILE_NAME} in {path.parent}. Give its folder as --manual-dir; "
            "docs/data-formats.md describes the table."
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{FILE_NAME} is larger than {MAX_FILE_BYTES} bytes. Split the data set.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{FILE_NAME} is not UTF-8. Save it as 'CSV UTF-8' in the spreadsheet program."
        ) from None


def _columns(cells: list[str]) -> dict[str, int]:
    names = ["_".join(cell.lower().split()) for cell in cells]
    known = [name for name in names if name in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    missing = [name for name in REQUIRED_COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{FILE_NAME} has no column {', '.join(missing)}. It needs "
            f"{', '.join(REQUIRED_COLUMNS)}. Received: {', '.join(n for n in names if n)[:300]}."
        )
    if len(set(known)) != len(known):
        twice = sorted({name for name in known if known.count(name) > 1})
        raise DataError(f"{FILE_NAME} has the column {', '.join(twice)} twice. Remove one.")
    return {name: names.index(name) for name in known}


def _row(cells: list[str], columns: dict[str, int], *, width: int) -> dict[str, str]:
    row = {name: cells[index] if index < len(cells) else "" for name, index in columns.items()}
    if len(cells) != width:
        row["error"] = f"the row has {len(cells)} cells, the header {width}"
    return row


def _check_paths(folder: Path, number: int, row: dict[str, str], follow_links: bool) -> None:
    """Stops at a path that leaves the folder: such a table is hostile or badly wrong."""
    for column in ("path", "mask"):
        if not row.get(column):
            continue
        try:
            resolve_inside(folder, row[column], follow_links=follow_links)
        except DataError:
            remedy = "Paths must be relative to that folder and stay in it."
            how = ", or is no path"
            if leaves_by_link(folder, row[column]):
                how = " through a symbolic link"
                remedy = "If that is meant, allow it with --follow-links."
            raise DataError(
                f"{FILE_NAME} row {number}: the {column} leaves the data folder {folder}{how}. "
                f"{remedy}"
            ) from None


def _study(patient: str, study: str, lines, used: dict[str, int]) -> Study:
    views: dict[str, ImageFile] = {}
    findings: dict[str, tuple[int, str]] = {}
    birads: dict[str, tuple[int, int]] = {}
    ages: dict[str, tuple[int, int]] = {}
    vendors: dict[str, tuple[int, str]] = {}
    for number, row in lines:
        if "error" in row:
            raise _RowError(number, row["error"])
        side, view = _side_and_view(number, row)
        name = f"{side}_{view.lower()}"
        if name in views:
            raise _RowError(number, f"{name} is there twice, also in row {views[name].row}")
        views[name] = _view_file(number, row, side, view, used)
        _agree(findings, side, number, _finding(number, row), "finding")
        _agree(birads, side, number, _whole(number, row, "birads", 6), "birads")
        _agree(ages, "age", number, min(_whole(number, row, "age", 130), MAX_AGE), "age")
        _agree(vendors, "vendor", number, row.get("vendor", "")[:64], "vendor")
    first = lines[0][0]
    if missing := [name for name in VIEWS if name not in views]:
        raise _RowError(first, f"the study has no {', '.join(missing)}")
    return Study(
        patient_id=patient,
        study_id=study,
        row=first,
        findings={side: value for side, (_, value) in findings.items()},
        birads={side: value for side, (_, value) in birads.items()},
        age=ages["age"][1],
        vendor=vendors["vendor"][1],
        views={name: views[name] for name in VIEWS},
    )


def _view_file(number: int, row: dict[str, str], side: str, view: str, used) -> ImageFile:
    if not row["path"]:
        raise _RowError(number, "the path is empty")
    for path in filter(None, (row["path"], row.get("mask"))):
        other = used.setdefault(path, number)
        if other != number:
            raise _RowError(number, f"its file is also that of row {other}")
    return ImageFile(
        row=number,
        path=row["path"],
        view=view,
        laterality=side[0].upper(),
        mask=row.get("mask", ""),
    )


def _side_and_view(number: int, row: dict[str, str]) -> tuple[str, str]:
    side = _SIDES.get(row["laterality"].upper())
    if side is None:
        raise _RowError(number, "laterality must be L or R")
    view = row["view"].upper()
    if view not in ("CC", "MLO"):
        raise _RowError(number, "view must be CC or MLO")
    return side, view


def _finding(number: int, row: dict[str, str]) -> str:
    finding = row["finding"].lower()
    if finding not in FINDINGS:
        raise _RowError(number, f"finding must be one of {', '.join(FINDINGS)}")
    return finding


def _whole(number: int, row: dict[str, str], column: str, greatest: int) -> int:
    text = row.get(column, "")
    if not text:
        return -1
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > greatest:
        raise _RowError(number, f"{column} must be empty or a whole number from 0 to {greatest}")
    return int(text)


def _agree(known: dict, key: str, number: int, value, column: str) -> None:
    """Keeps a value, which may stand in one row or in all, but not differ."""
    row, before = known.setdefault(key, (number, value))
    if before in (-1, ""):
        known[key] = (number, value)
    elif value not in (-1, "", before):
        raise _RowError(number, f"{column} differs from that of row {row}")
