"""Reads a published CSV file strictly: it never changes, so what differs is damage."""

import re
from collections.abc import Iterator
from pathlib import Path

from mammo_tf.datasets import tables
from mammo_tf.errors import DataError

AGAIN = "Use the file as published; download it again if it was not changed on purpose."
ABSENT = (
    "Download CBIS-DDSM's four label files (CSV) from The Cancer Imaging Archive into that folder."
)
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
            f"{tables.shown(column)} must be a whole number from {least} to {greatest}, received "
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
            f"{tables.shown(column)} must be one of {', '.join(choices)}, received "
            f"{row[column][:40]!r}"
        )
    return row[column]


def words(row: dict[str, str], column: str) -> str:
    """Returns a cell of plain words, such as "ROUND_AND_REGULAR-EGGSHELL" or "N/A".

    Raises:
        DataError: If it holds anything else; says nothing of file and row.
    """
    if not _WORDS.fullmatch(row[column]):
        raise DataError(f"{tables.shown(column)} must be words of letters, at most 200 characters")
    return row[column]


def read_rows(path: Path, wanted: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields (row number, cells by column) of a table; see `mammo_tf.datasets.tables.read_rows`.

    Raises:
        DataError: If the file is missing, no such table or damaged.
    """
    return tables.read_rows(path, wanted, delimiters=",", absent=ABSENT, advice=AGAIN)
