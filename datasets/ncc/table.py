"""Reads the rows of studies.csv as spreadsheets, pandas and people write them.

What a table may hold of a patient never enters a message: rows are told by their number.
"""

import csv
import string
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from mammo_tf.datasets.ncc.header import (
    COLUMNS,
    FILE_NAME,
    MAX_CELLS,
    REQUIRED_COLUMNS,
    find_columns,
)
from mammo_tf.errors import DataError

DELIMITERS = ",;\t"

MAX_FILE_BYTES = 256 << 20
MAX_ROWS = 1 << 20  # as many as a spreadsheet has
MAX_LINE_CHARACTERS = 64 << 10
_MAX_KEPT = 10_000
_NUM_REQUIRED = len(REQUIRED_COLUMNS)

# What pandas, Excel and R write where there is no value.
MISSING = frozenset(
    ("nan", "-nan", "na", "n/a", "<na>", "#n/a", "#n/a n/a", "#na", "nat", "null", "none", "nil")
)
# Not seen, and no part of a value: byte-order mark, DOS's end of file, zero-width characters.
_INVISIBLE = "\0\x1a\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad"
_EDGES = frozenset(_INVISIBLE)
_BLANKS = _INVISIBLE + string.whitespace + "\u00a0\u2007\u202f\u3000"


class Row(NamedTuple):
    """One row: its number, the header being 1; its cells as `COLUMNS` names them, "" for no value.

    `surplus` is how many empty cells stand behind the last column: most often a spreadsheet's, but
    it may come from a comma in a cell that is not quoted. `error` says why the row cannot be used,
    or is "".
    """

    number: int
    patient_id: str
    laterality: str
    view: str
    path: str
    finding: str
    study_id: str
    birads: str
    age: str
    vendor: str
    mask: str
    sha256: str
    surplus: int = 0
    error: str = ""


def read_rows(path: Path, note: Callable[[str], None]) -> Iterator[Row]:
    """Yields the rows of a table that are not blank.

    Separated by comma, semicolon or tab; UTF-8, with or without byte-order mark. Cells that are
    missing at a row's end are empty, as Excel leaves them out; further ones must be empty.

    Args:
        path: The table.
        note: Called with one line for the user about columns that are not used.

    Raises:
        DataError: If the file is missing, too large, not UTF-8 or no such table.
    """
    _check_file(path)
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _Lines(file)
            delimiter = max(DELIMITERS, key=lines.first.count)
            reader = csv.reader(lines, delimiter=delimiter)
            header = _cleaned(next(reader, [])) or ([""] if lines.first else [])
            columns = find_columns(header, lambda: _cleaned(next(reader, [])), note)
            make_row = _RowMaker(columns, len(header), delimiter)
            for number, cells in enumerate(reader, start=2):
                if number > MAX_ROWS:
                    raise DataError(f"{FILE_NAME} has more than {MAX_ROWS} rows. Split the set.")
                if lines.ended:  # the reader went on in search of the end of a cell
                    raise DataError(f"{FILE_NAME} row {number}: {_OPEN_QUOTE}")
                if row := make_row(number, cells):
                    yield row
    except UnicodeDecodeError:
        raise DataError(
            f"{FILE_NAME} is not UTF-8. Save it as 'CSV UTF-8' in the spreadsheet program."
        ) from None
    except csv.Error as error:
        problem = _OPEN_QUOTE if "field limit" in str(error) else f"{error}. Save it as CSV again."
        raise DataError(f"{FILE_NAME} row {number + 1}: {problem}") from None


_OPEN_QUOTE = 'a quotation mark (") is opened and not closed. Close or remove it.'


def clean(cell: str) -> str:
    """Strips spaces and characters that cannot be seen from both ends."""
    cell = cell.strip()
    if cell and (cell[0] in _EDGES or cell[-1] in _EDGES):
        return cell.strip(_BLANKS)
    return cell


def _cleaned(cells: list[str]) -> list[str]:
    return [clean(cell) for cell in cells]


def is_missing(cell: str) -> bool:
    """Whether a cell has no value: it is empty, NaN, NA, null, None or the like."""
    return not cell or (len(cell) <= 8 and cell.casefold() in MISSING)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"Expected {FILE_NAME} in {path.parent}. Give its folder as --manual-dir; "
            "docs/data-formats.md describes the table."
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{FILE_NAME} is larger than {MAX_FILE_BYTES} bytes. Split the data set.")
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or (
        len(start) == 4 and (start[0] == 0) != (start[1] == 0)
    ):
        raise DataError(
            f"{FILE_NAME} is UTF-16, not UTF-8. Save it as 'CSV UTF-8' in the spreadsheet program."
        )


class _Lines:
    """The lines of a text file, none of them without end."""

    def __init__(self, file):
        self._file = file
        self._number = 0
        self.ended = False
        self.first = self._read()
        self._is_new = True

    def __iter__(self):
        return self

    def __next__(self) -> str:
        line = self.first if self._is_new else self._read()
        self._is_new = False
        if not line:
            self.ended = True
            raise StopIteration
        return line

    def _read(self) -> str:
        line = self._file.readline(MAX_LINE_CHARACTERS + 1)
        self._number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise DataError(
                f"{FILE_NAME} line {self._number} is longer than {MAX_LINE_CHARACTERS} characters; "
                "that is no table of studies. Save it as CSV again."
            )
        return line


class _Values(dict):
    """Maps a cell of an optional column to its value, "" where it says that there is none."""

    def __missing__(self, cell: str) -> str:
        value = "" if is_missing(cell) else cell
        if len(self) < _MAX_KEPT:  # most columns have few values, each of them kept once
            self[cell] = value
        return value


class _RowMaker:
    """Turns a list of cells into a `Row`."""

    def __init__(self, columns: dict[str, int], width: int, delimiter: str):
        self._pick = itemgetter(*(columns.get(name, width) for name in COLUMNS))
        self._width = width
        self._delimiter = delimiter
        self._values = _Values()

    def __call__(self, number: int, cells: list[str]) -> Row | None:
        if len(cells) > MAX_CELLS:
            raise DataError(
                f"{FILE_NAME} row {number} has more than {MAX_CELLS} cells; that is no table of "
                "studies. Save it as CSV again."
            )
        cells = [cell.strip() for cell in cells]
        text = "".join(cells)
        if not (text.isascii() and text.isprintable()):
            cells = _cleaned(cells)
        if not any(cells):
            return None
        width = self._width
        error, surplus = "", max(len(cells) - width, 0)
        if surplus and any(cells[width:]):
            error = f"the row has {len(cells)} cells, the header {width}"
        elif "\n" in text and any(self._is_row(cell) for cell in cells):
            error = 'a cell holds a whole row: a quotation mark (") is not closed before it'
        cells = cells[:width] + [""] * (width + 1 - min(len(cells), width))
        cells = self._pick(cells)
        required, optional = cells[:_NUM_REQUIRED], cells[_NUM_REQUIRED:]
        return Row(number, *required, *map(self._values.__getitem__, optional), surplus, error)

    def _is_row(self, cell: str) -> bool:
        return "\n" in cell and cell.count(self._delimiter) >= self._width - 2
