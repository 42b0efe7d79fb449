"""Reads a CSV table row by row, and cells that must be of some kind. No pandas, no guessing."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from mammo_tf.errors import DataError

MAX_FILE_BYTES = 64 << 20


def read_rows(
    path: Path,
    wanted: Sequence[str],
    *,
    delimiters: str = ",;\t",
    absent: str = "Give its folder as --manual-dir.",
    advice: str = "Save it as 'CSV UTF-8' again.",
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the rows of a table that are not blank.

    The table is UTF-8. A column's name is compared in lower
    case, with "_" for each space; columns that are not wanted are passed over.

    Args:
        path: The file.
        wanted: Columns that must be there.
        delimiters: What may stand between cells; the commonest in the header does.
        absent: What to do where the file is missing.
        advice: What to do where it is damaged.

    Returns:
        (number, cells by column): rows are counted from 1 with the header, however many lines each
        has; cells lose the spaces round them.

    Raises:
        DataError: If the file is missing, no such table or damaged; no cell is quoted, since it may
            hold an identity.
    """
    text = _read_text(path, absent, advice)
    delimiter = max(delimiters, key=text.partition("\n")[0].count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        names = ["_".join(cell.lower().split()) for cell in next(lines, [])]
        if missing := [name for name in wanted if names.count(name) != 1]:
            raise DataError(
                f"{path.name} has no column {', '.join(map(shown, missing))}, or has it twice. "
                f"It needs {', '.join(map(shown, wanted))}. {advice}"
            )
        for number, cells in enumerate(lines, start=2):
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{path.name} row {number} has {len(cells)} cells, the header "
                    f"{len(names)}. {advice}"
                )
            row = dict(zip(names, map(str.strip, cells), strict=True))
            yield number, {name: row[name] for name in wanted}
    except csv.Error as error:
        raise DataError(f"{path.name} row {number + 1}: {error}. {advice}") from None


def shown(column: str) -> str:
    """A column's name as people write it."""
    return column.replace("_", " ")


def whole(row: dict[str, str], column: str, least: int, greatest: int) -> int:
    """Returns a cell that must be a whole number from `least` to `greatest`.

    Raises:
        DataError: If it is none; says nothing of file and row.
    """
    text = row[column]
    if text.isascii() and text.isdigit() and len(text) < 8 and least <= int(text) <= greatest:
        return int(text)
    raise DataError(f"{shown(column)} must be a whole number from {least} to {greatest}")


def choice(row: dict[str, str], column: str, choices: Sequence[str]) -> str:
    """Returns a cell that must be one of some words.

    Raises:
        DataError: If it is none of them; says nothing of file and row.
    """
    if row[column] not in choices:
        raise DataError(f"{shown(column)} must be one of {', '.join(choices)}")
    return row[column]


def numbers(row: dict[str, str], column: str, count: int) -> tuple[float, ...]:
    """Returns a cell of numbers with spaces between; () where it is empty.

    Raises:
        DataError: If it holds anything else, or not `count` of them; says nothing of file and row.
    """
    try:
        values = tuple(map(float, row[column].split()))
    except ValueError:
        values = (math.nan,)
    if len(values) not in (0, count) or not all(map(math.isfinite, values)):
        raise DataError(f"{shown(column)} must be empty or {count} numbers with spaces between")
    return values


def _read_text(path: Path, absent: str, advice: str) -> str:
    if not path.is_file():
        raise DataError(f"Expected {path.name} in {path.parent}. {absent}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes. {advice}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8. {advice}") from None
    if "\0" in text:
        raise DataError(f"{path.name} holds a NUL character. {advice}")
    return text
