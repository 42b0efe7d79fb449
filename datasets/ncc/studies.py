"""Reads studies.csv, the table of a screening set that a hospital can write by hand or script."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.datasets.ncc.grouping import group_rows
from mammo_tf.datasets.ncc.header import FILE_NAME
from mammo_tf.datasets.ncc.paths import MISSING, PathChecker
from mammo_tf.datasets.ncc.table import Row, is_missing, read_rows
from mammo_tf.datasets.quarantine import rows_text
from mammo_tf.errors import DataError
from mammo_tf.ingest import ImageFile

FINDINGS = ("normal", "benign", "malignant")
VIEWS = ("left_cc", "left_mlo", "right_cc", "right_mlo")
MAX_ID_CHARACTERS = 256
MAX_AGE = 90  # stands for 90 and above: higher ages identify a person
MAX_VENDOR_CHARACTERS = 64

_SIDES = {"L": "left", "LEFT": "left", "R": "right", "RIGHT": "right"}
_WHOLE = re.compile(r"(\d{1,4})(?:[.,]0*)?", re.ASCII)  # pandas writes 52.0 beside an empty cell
_SUSPICIOUS = re.compile(r"4\s*[abc]", re.ASCII | re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class BadStudy:
    """A row for which the table itself rules out its study; a study may have several."""

    patient_id: str
    study_id: str
    row: int
    reason: str


class _RowError(Exception):
    """What is wrong with one row."""


def print_note(line: str) -> None:
    """Prints a line for the user on stderr."""
    print(f"Note: {line}", file=sys.stderr)


def read_studies(
    folder: Path,
    *,
    follow_links: bool = False,
    join_ids: bool = False,
    note: Callable[[str], None] = print_note,
) -> tuple[tuple[Study, ...], tuple[BadStudy, ...]]:
    """Reads `folder`/studies.csv; see `read_rows` for its form.

    Args:
        folder: The data folder.
        follow_links: Whether a symbolic link in `folder` may lead out of it.
        join_ids: Whether ids that differ in their spelling only are one patient, see
            `mammo_tf.datasets.ncc.ids.spelling_key`.
        note: Called with a line for the user: columns that are not used, ids that are probably
            one patient's.

    Returns:
        The studies in the order of their first rows, and every row that cannot be used, in order.

    Raises:
        DataError: If the file is missing, no such table, or names a path outside `folder`.
    """
    usable, bad = [], []
    outside: dict[str, list[int]] = {}
    checker = PathChecker(folder, follow_links=follow_links)
    for row in read_rows(folder / FILE_NAME, note):
        for column in ("path", "mask"):
            path = getattr(row, column)
            if path and (problem := checker.problem(path)):
                outside.setdefault(f"the {column} {problem}", []).append(row.number)
        if is_missing(row.patient_id) or len(row.patient_id) > MAX_ID_CHARACTERS:
            bad.append(BadStudy("", "", row.number, "patient_id is empty or too long"))
        else:
            usable.append(row)
    if outside:
        raise _outside(outside)
    studies = []
    used: dict[str, int] = {}
    for (patient, study), lines in group_rows(usable, join_ids, note).items():
        made, errors = _make_study(patient, study, lines, used)
        studies += [] if made is None else [made]
        bad += [BadStudy(patient, study, number, reason) for number, reason in errors]
    return tuple(studies), tuple(sorted(bad, key=lambda row: row.row))


def put_aside_missing(
    studies: Iterable[Study], sizes: Mapping[str, int]
) -> tuple[tuple[Study, ...], tuple[BadStudy, ...]]:
    """Puts the studies aside that name a file which is not there.

    Args:
        studies: The studies.
        sizes: See `file_sizes`.

    Returns:
        The other studies, and every row whose file is missing.
    """
    good, bad = [], []
    for study in studies:
        missing = [
            (view.row, f"{name}: {_missing_text(path, is_mask=path is view.mask)}")
            for name, view in study.views.items()
            for path in (view.path, view.mask)
            if sizes.get(path) == MISSING
        ]
        bad += [BadStudy(study.patient_id, study.study_id, *row) for row in missing]
        good += [] if missing else [study]
    return tuple(good), tuple(bad)


def _missing_text(path: str, *, is_mask: bool) -> str:
    remedy = "write / instead of \\" if "\\" in path else "check the path and its case"
    return f"{'No such file as the mask' if is_mask else 'no such file'}; {remedy}"


def _outside(found: dict[str, list[int]]) -> DataError:
    """Stops at paths that leave the folder: such a table is hostile or badly wrong."""
    parts = [f"{rows_text(rows)}: {problem}" for problem, rows in list(found.items())[:4]]
    remedy = "Paths must be relative to that folder and stay in it."
    if all("link" in problem and "loop" not in problem for problem in found):
        remedy = "If that is meant: mammo-tf data build ncc --follow-links."
    return DataError(f"{FILE_NAME} {'; '.join(parts)}. {remedy}")


def _make_study(
    patient: str, study: str, lines: list[Row], used: dict[str, int]
) -> tuple[Study | None, list[tuple[int, str]]]:
    """The study of some rows, or None; and what is wrong with which of them."""
    views: dict[str, ImageFile] = {}
    facts: dict[tuple[str, str], tuple[int, object]] = {}
    errors = []
    for row in lines:
        try:
            _add_row(row, views, facts, used)
        except _RowError as error:
            errors.append((row.number, str(error)))
    first = lines[0].number
    missing = [name for name in VIEWS if name not in views]
    if missing and not errors:
        errors.append((first, f"the study has no {', '.join(missing)}"))
    if errors:
        shifted = next(
            (
                f" (row {row.number} has more cells than the header)"
                for row in lines
                if row.surplus and not row.error
            ),
            "",
        )
        return None, [(number, reason + shifted) for number, reason in errors]
    made = Study(
        patient_id=patient,
        study_id=study,
        row=first,
        findings={side: facts["finding", side][1] for side in ("left", "right")},
        birads={side: facts["birads", side][1] for side in ("left", "right")},
        age=facts["age", ""][1],
        vendor=facts["vendor", ""][1],
        views={name: views[name] for name in VIEWS},
    )
    return made, []


def _add_row(row: Row, views: dict[str, ImageFile], facts: dict, used: dict[str, int]) -> None:
    if row.error:
        raise _RowError(row.error)
    side, view = _side_and_view(row)
    name = f"{side}_{view.lower()}"
    if name in views:
        remedy = "" if row.study_id else "; the column study_id tells a patient's studies apart"
        raise _RowError(f"{name} is there twice, also in row {views[name].row}{remedy}")
    views[name] = _view_file(row, side, view, used)
    _agree(facts, ("finding", side), row.number, _finding(row))
    _agree(facts, ("birads", side), row.number, _birads(row))
    _agree(facts, ("age", ""), row.number, min(_whole(row, "age", 130), MAX_AGE))
    _agree(facts, ("vendor", ""), row.number, _vendor(row))


def _view_file(row: Row, side: str, view: str, used: dict[str, int]) -> ImageFile:
    if is_missing(row.path):
        raise _RowError("the path is empty")
    for path in filter(None, (row.path, row.mask)):
        other = used.setdefault(path, row.number)
        if other != row.number:
            raise _RowError(f"its file is also that of row {other}")
    sha256 = row.sha256.lower()
    if sha256 and not _SHA256.fullmatch(sha256):
        raise _RowError("sha256 must be empty or 64 hex digits")
    return ImageFile(
        row=row.number,
        path=row.path,
        view=view,
        laterality=side[0].upper(),
        mask=row.mask,
        sha256=sha256,
    )


def _side_and_view(row: Row) -> tuple[str, str]:
    side = _SIDES.get(row.laterality.upper())
    if side is None:
        raise _RowError("laterality must be L or R")
    view = row.view.upper()
    if view not in ("CC", "MLO"):
        raise _RowError("view must be CC or MLO")
    return side, view


def _finding(row: Row) -> str:
    finding = row.finding.lower()
    if finding not in FINDINGS:
        raise _RowError(f"finding must be one of {', '.join(FINDINGS)}")
    return finding


def _vendor(row: Row) -> str:
    text = row.vendor
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable())
    return text[:MAX_VENDOR_CHARACTERS]


def _birads(row: Row) -> int:
    """BI-RADS 0 to 6; 4A, 4B and 4C are kept as 4."""
    if _SUSPICIOUS.fullmatch(row.birads):
        return 4
    return _whole(row, "birads", 6, also=", or 4A, 4B, 4C")


def _whole(row: Row, column: str, greatest: int, *, also: str = "") -> int:
    text = getattr(row, column)
    if not text:
        return -1
    match = _WHOLE.fullmatch(text)
    if not match or int(match[1]) > greatest:
        raise _RowError(f"{column} must be empty or a whole number from 0 to {greatest}{also}")
    return int(match[1])


def _agree(facts: dict, key: tuple[str, str], number: int, value) -> None:
    """Keeps a value, which may stand in one row or in all, but not differ."""
    row, before = facts.setdefault(key, (number, value))
    if before in (-1, ""):
        facts[key] = (number, value)
    elif before is not None and value not in (-1, "", before):
        facts[key] = (row, None)  # said once for a study
        raise _RowError(f"{key[0]} differs from that of row {row}")
