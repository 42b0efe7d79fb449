"""A split as CSV files tell it: which image is whose, and in which part."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.errors import DataError, UserError

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True, order=True)
class SplitImage:
    """One image of a split.

    Attributes:
        image: Its id or path, as the split gives it.
        patient: Its patient, as the split gives it.
        part: E.g. "train".
    """

    image: str
    patient: str
    part: str


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns, compared in lower case and with "_" for each space."""

    image: str = "image"
    patient: str = "patient"
    part: str = "part"


def read_split(path: str | Path, columns: Columns | None = None) -> tuple[SplitImage, ...]:
    """Reads a split from one table, such as image, patient, part.

    Args:
        path: A CSV file in UTF-8. Further columns are passed over; an image that has several rows,
            such as one for each of its lesions, is one image.
        columns: Names of the columns.

    Returns:
        The images in their order; an image comes once for each part that it is in.

    Raises:
        UserError: If the file is missing or no such table, a cell is empty, an image has two
            patients, or there are fewer than two parts.
    """
    columns = columns or Columns()
    names = (columns.image, columns.patient, columns.part)
    return _checked(SplitImage(*cells) for cells in _read_cells(Path(path), names))


def read_parts(
    files: Sequence[tuple[str, str | Path]], columns: Columns | None = None
) -> tuple[SplitImage, ...]:
    """Reads a split whose parts are files of their own.

    Args:
        files: (part, CSV file); a part may have several files.
        columns: Names of the columns; that of the part is not used.

    Returns:
        As `read_split`.

    Raises:
        UserError: As `read_split`.
    """
    columns = columns or Columns()
    names = (columns.image, columns.patient)
    return _checked(
        SplitImage(*cells, part) for part, path in files for cells in _read_cells(Path(path), names)
    )


def count_parts(images: Iterable[SplitImage]) -> dict[str, int]:
    """Returns the number of images of each part, in the order in which the parts first came."""
    counts: dict[str, int] = {}
    for image in images:
        counts[image.part] = counts.get(image.part, 0) + 1
    return counts


def _checked(images: Iterable[SplitImage]) -> tuple[SplitImage, ...]:
    kept = tuple(dict.fromkeys(images))
    patients: dict[str, str] = {}
    for image in kept:
        if patients.setdefault(image.image, image.patient) != image.patient:
            raise DataError(
                f"Every image has one patient. Received two of image {image.image[:80]!r}."
            )
    if len(parts := count_parts(kept)) < 2:
        raise UserError(
            f"A split needs two parts or more. Received: {', '.join(parts) or 'no image'}."
        )
    return kept


def _read_cells(path: Path, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if not path.is_file():
        raise DataError(f"{path}: no such file, or not an ordinary one.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_FILE_BYTES} bytes.")
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            headers = _headers(path, rows.fieldnames or (), names)
            for number, row in enumerate(rows, start=2):
                cells = tuple((row[headers[name]] or "").strip() for name in names)
                if not all(cells):
                    empty = names[cells.index("")]
                    raise DataError(f"{path.name} row {number}: {empty} is empty.")
                yield cells
    except (csv.Error, UnicodeDecodeError) as error:
        what = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(f"{path.name} after row {number}: {what}. Save it as CSV UTF-8.") from None


def _headers(path: Path, given: Sequence[str], names: Sequence[str]) -> Mapping[str, str]:
    """Maps each name to the header of the file that is written like it."""
    found = {}
    for name in names:
        same = [header for header in given if _folded(header) == _folded(name)]
        if len(same) != 1:
            raise DataError(
                f"{path.name} must have one column {name!r}. Received: "
                f"{', '.join(given)[:200] or 'no header'}. Name it with --image-column, "
                "--patient-column or --part-column."
            )
        found[name] = same[0]
    return found


def _folded(header: str) -> str:
    return "_".join((header or "").lower().split())
