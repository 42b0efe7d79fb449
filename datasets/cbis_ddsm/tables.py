"""Reads a published CSV file strictly: it never changes, so what differs is damage."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from mammo_tf.errors import DataError

AGAIN = "Use the file as published; download it again if it was not changed on purpose."
MAX_FILE_BYTES = 64 << 20  # the largest has 0.9 MB
_WORDS = re.compile(r"[A-Za-z_ /-]{0,200}", re.ASCII)


def whole(row: dict[str, str], column: str, least: int, greatest: int) -> int:
    """Returns a cell that must be a whole number.

    Raises:
        DataError: If it is none, or out of range; says nothing of file and row.
    """
    text = row[column]
    if not (text.isascii() and text.isdigit() and len(text) < 4) or not (
        least <= int(text) <= greatest
    ):
        raise DataError(
            f"{_shown(column)} must be a whole number from {least} to {greatest}, received "
            f"{text[:20]!r}"
        )
    return int(text)


def choice(row: dict[str, str], column: str, choices: tuple[str, ...]) -> str:
    """Returns a cell that must be one of some words.

    Raises:
        DataError: If it is none of them; says nothing of file and row.
    """
    if row[column] not in choices:
        raise DataError(
            f"{_shown(column)} must be one of {', '.join(choices)}, received {row[column][:40]!r}"
        )
    return row[column]


def words(row: dict[str, str], column: str) -> str:
    """Returns a cell of plain words, such as "ROUND_AND_REGULAR-EGGSHELL" or "N/A".

    Raises:
        DataError: If it holds anything else; says nothing of file and row.
    """
    if not _WORDS.fullmatch(row[column]):
        raise DataError(f"{_shown(column)} must be words of letters, at most 200 characters")
    return row[column]


def _shown(column: str) -> str:
    return column.replace("_", " ")


def read_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the rows of a table.

    Args:
        path: The file: UTF-8, separated by commas.
        wanted: Columns, in lower case and with "_" for each space; others are passed over.

    Returns:
        (row number, cells by column): rows are counted from 1 with the header, however many lines
        each has; cells lose the spaces and newlines round them.

    Raises:
        DataError: If the file is missing, no such table or damaged.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    number = 1
    try:
        names = ["_".join(cell.lower().split()) for cell in next(lines, [])]
        if missing := [name for name in wanted if names.count(name) != 1]:
            raise DataError(
                f"{path.name} has no column {', '.join(map(_shown, missing))}, or has it twice. "
                f"{AGAIN}"
            )
        for number, cells in enumerate(lines, start=2):
            if any(cell.strip() for cell in cells):
                if len(cells) != len(names):
                    raise DataError(
                        f"{path.name} row {number} has {len(cells)} cells, the header "
                        f"{len(names)}. {AGAIN}"
                    )
                row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
                yield number, {name: row[name] for name in wanted}
    except csv.Error as error:
        raise DataError(f"{path.name} row {number + 1}: {error}. {AGAIN}") from None


def read_text(path: Path) -> str:
    """Reads a table whole, if it is no larger than one can be.

    Raises:
        DataError: If it is missing, too large or not UTF-8.
    """
    if not path.is_file():
        raise DataError(
            f"Expected {path.name} in {path.parent}. Download CBIS-DDSM's four label files (CSV) "
            "from The Cancer Imaging Archive into that folder."
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes. {AGAIN}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8. {AGAIN}") from None
    if "\0" in text:
        raise DataError(f"{path.name} holds a NUL character. {AGAIN}")
    return text
