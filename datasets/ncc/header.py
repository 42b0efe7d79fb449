"""Finds the columns of studies.csv in its first row, and says what is wrong with that row.

The row is shown only when it is a header beyond doubt: without one it is the first patient's.
"""

import re
from collections.abc import Callable

from mammo_tf.errors import DataError

FILE_NAME = "studies.csv"
REQUIRED_COLUMNS = ("patient_id", "laterality", "view", "path", "finding")
OPTIONAL_COLUMNS = ("study_id", "birads", "age", "vendor", "mask", "sha256")
COLUMNS = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
MAX_CELLS = 1000
_MAX_SHOWN = 300

_LOOKS_LIKE = {
    "accession": "study_id",
    "accessionnumber": "study_id",
    "biradscategory": "birads",
    "biradsscore": "birads",
    "checksum": "sha256",
    "examid": "study_id",
    "file": "path",
    "filename": "path",
    "filepath": "path",
    "hash": "sha256",
    "label": "finding",
    "manufacturer": "vendor",
    "maskfile": "mask",
    "maskpath": "mask",
    "patient": "patient_id",
    "patientage": "age",
    "sha": "sha256",
    "sha256sum": "sha256",
    "side": "laterality",
    "study": "study_id",
    "viewposition": "view",
    "visitid": "study_id",
}


def find_columns(
    header: list[str], next_row: Callable[[], list[str]], note: Callable[[str], None]
) -> dict[str, int]:
    """Finds the columns of a table by the names in its first row.

    Args:
        header: The cells of the first row.
        next_row: Gives the cells of the second row.
        note: Called with one line for the user about columns that are not used.

    Returns:
        Maps the names of `COLUMNS` that are there to their places.

    Raises:
        DataError: If a required column is missing, or one is there twice.
    """
    if len(header) > MAX_CELLS:
        raise DataError(f"{FILE_NAME} has more than {MAX_CELLS} columns. Remove some.")
    names = [_normalize(cell) for cell in header]
    known = [name for name in names if name in COLUMNS]
    if missing := [name for name in REQUIRED_COLUMNS if name not in names]:
        raise _no_header(header, names, missing, next_row)
    if len(set(known)) != len(known):
        twice = sorted({name for name in known if known.count(name) > 1})
        raise DataError(f"{FILE_NAME} has the column {', '.join(twice)} twice. Remove one.")
    if unused := [cell for cell, name in zip(header, names, strict=True) if name not in COLUMNS]:
        _note_unused([cell for cell in unused if cell], known, note)
    return {name: names.index(name) for name in known}


def _normalize(cell: str) -> str:
    return "_".join(cell.lower().split())


def _no_header(header, names, missing, next_row) -> DataError:
    """Says what is wrong with the first row, and shows it only if it is a header."""
    needs = f"It needs {', '.join(REQUIRED_COLUMNS)}."
    looks = [_looks_like(cell) for cell in header]
    num_known = sum(name in COLUMNS or _letters(name) in _BY_LETTERS for name in names)
    what = f"{FILE_NAME} has no column {', '.join(missing)}. {needs}"
    if num_known >= 2:
        shown = ", ".join(_printable(cell) for cell in header if cell)[:_MAX_SHOWN]
        hints = [
            f"{_printable(cell)} must be called {look}"
            for cell, look in zip(header, looks, strict=True)
            if look in missing
        ]
        hint = f" ({'; '.join(hints)})" if hints else ""
        return DataError(f"{what} Received: {shown}.{hint}")
    first = ",".join(header)
    if not header:
        reason = "The file is empty."
    elif not any(header):
        reason = "Its first row is empty: delete it, the header must come first."
    elif re.fullmatch(r"sep=.?,?", first, re.IGNORECASE):
        reason = "Its first row is a spreadsheet's 'sep=' line: delete it."
    elif len(header) == 1 and sum(name in first.lower() for name in REQUIRED_COLUMNS) >= 2:
        reason = "Its columns are not separated by comma, semicolon or tab: save it as CSV again."
    elif {_normalize(cell) for cell in next_row()} >= set(REQUIRED_COLUMNS):
        reason = "Its header is in row 2: delete the row above it."
    else:
        reason = "Its first row is no header; it is not shown here, since it may name a patient."
    return DataError(f"{what} {reason}")


def _letters(text: str) -> str:
    """Lower-case letters and digits only, a remark in brackets and a plural's s left out."""
    text = re.sub(r"[^a-z0-9]", "", text.partition("(")[0].lower())
    return text[:-1] if text.endswith("s") and text != "birads" else text


_BY_LETTERS = {_letters(name): name for name in COLUMNS}


def _looks_like(cell: str) -> str:
    """The column that a heading may be meant as, or ""."""
    letters = _letters(cell)
    return _BY_LETTERS.get(letters) or _LOOKS_LIKE.get(letters, "")


def _note_unused(unused: list[str], known: list[str], note: Callable[[str], None]) -> None:
    parts = []
    for cell in unused:
        look = _looks_like(cell)
        meant = f" (is {look} meant?)" if look and look not in known else ""
        parts.append((not meant, f"{_printable(cell)}{meant}"))
    if parts:
        more = len(parts) - 8
        shown = ", ".join(text for _, text in sorted(parts, key=lambda part: part[0])[:8])
        note(
            f"{FILE_NAME}: not used: column{'s' * (len(parts) > 1)} {shown}"
            + (f" and {more} more." if more > 0 else ".")
        )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:40]
