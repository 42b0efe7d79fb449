"""Reads and writes boxes.csv: CBIS-DDSM's masses as squares of one size with boxes, no masks."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.datasets.cbis_ddsm import labels, tables
from mammo_tf.errors import DataError

FILE_NAME = "boxes.csv"
AMBIGUOUS = "AMBIGUOUS"
HEADER = (
    *("split", "file", "patient_id", "side", "view", "x", "y", "w", "h", "csv_rows"),
    *("pathology", "abnormality_ids"),
)
_SIDES = {"LEFT": "L", "RIGHT": "R"}
_SIDE_NAMES = {letter: name for name, letter in _SIDES.items()}


@dataclass(frozen=True, kw_only=True)
class Box:
    """One box.

    Attributes:
        row: Row of boxes.csv, counted from 1 with the header.
        box_yxyx_px: (top, left, bottom, right) in pixels of the square.
        pathology: One of `labels.PATHOLOGIES`; `AMBIGUOUS` where the image has several rows in
            the label file, of benign and of malignant, and it is not known which is the box's.
        abnormality_ids: The label file's numbers that it may have.
    """

    row: int
    box_yxyx_px: tuple[float, float, float, float]
    pathology: str
    abnormality_ids: tuple[int, ...]

    @property
    def label(self) -> str:
        """ "benign", "malignant" or, where it is ambiguous, "unknown"."""
        if self.pathology == AMBIGUOUS:
            return "unknown"
        return "malignant" if self.pathology == "MALIGNANT" else "benign"


@dataclass(frozen=True, kw_only=True)
class Square:
    """One image and its boxes.

    Attributes:
        split: "train" or "test".
        patient_id: E.g. "P_00001".
        laterality: "L" or "R".
        view: "CC" or "MLO".
        boxes: At least one, in the file's order.
    """

    split: str
    patient_id: str
    laterality: str
    view: str
    boxes: tuple[Box, ...]

    @property
    def image_id(self) -> str:
        """E.g. "P_00001_LEFT_CC", as `labels.Film` has it."""
        return f"{self.patient_id}_{_SIDE_NAMES[self.laterality]}_{self.view}"

    @property
    def path(self) -> str:
        """The image file, relative to boxes.csv."""
        return f"{self.split}/{self.image_id.removeprefix('P_')}.jpg"

    @property
    def label(self) -> str:
        """The worst of the boxes: malignant where they are ambiguous, since one of them is."""
        pathologies = {box.pathology for box in self.boxes}
        return "malignant" if pathologies & {"MALIGNANT", AMBIGUOUS} else "benign"


def read_boxes(path: Path, size: int) -> tuple[Square, ...]:
    """Reads boxes.csv.

    Args:
        path: The file.
        size: Height and width of the images in pixels.

    Returns:
        The images, in the order of their first rows.

    Raises:
        DataError: If the file is not as described: one line that names the row.
    """
    squares: dict[str, Square] = {}
    split_of: dict[str, str] = {}
    for number, row in tables.read_rows(path, HEADER):
        try:
            square = _square(number, row, size)
            if split_of.setdefault(square.patient_id, square.split) != square.split:
                raise DataError("the patient is in another split above")
            if first := squares.get(square.image_id):
                square = dataclasses.replace(first, boxes=(*first.boxes, *square.boxes))
            if len(square.boxes) > labels.MAX_ABNORMALITIES:
                raise DataError(f"the image has more than {labels.MAX_ABNORMALITIES} boxes")
        except DataError as error:
            raise DataError(f"{FILE_NAME} row {number}: {error}. {tables.AGAIN}") from None
        squares[square.image_id] = square
    if not squares:
        raise DataError(f"{FILE_NAME} has no row. {tables.AGAIN}")
    return tuple(squares.values())


def format_boxes(squares: Iterable[Square]) -> str:
    """Writes images as the text of boxes.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for square in squares:
        for box in square.boxes:
            top, left, bottom, right = box.box_yxyx_px
            writer.writerow(
                [
                    *(square.split, square.path.partition("/")[2], square.patient_id),
                    *(_SIDE_NAMES[square.laterality], square.view),
                    *(f"{value:.2f}" for value in (left, top, right - left, bottom - top)),
                    *(len(box.abnormality_ids), box.pathology),
                    "|".join(map(str, box.abnormality_ids)),
                ]
            )
    return text.getvalue()


def _square(number: int, row: dict[str, str], size: int) -> Square:
    if not labels.PATIENT.fullmatch(row["patient_id"]):
        raise DataError("patient_id must be P_ and five digits")
    x, y, width, height = (_number(row, name, size) for name in "xywh")
    if width <= 0 or height <= 0:
        raise DataError("a box must have some width and height")
    box = Box(
        row=number,
        box_yxyx_px=(y, x, y + height, x + width),
        pathology=tables.choice(row, "pathology", (*labels.PATHOLOGIES, AMBIGUOUS)),
        abnormality_ids=_ids(row["abnormality_ids"]),
    )
    square = Square(
        split=tables.choice(row, "split", labels.SPLITS),
        patient_id=row["patient_id"],
        laterality=_SIDES[tables.choice(row, "side", tuple(_SIDES))],
        view=tables.choice(row, "view", labels.VIEWS),
        boxes=(box,),
    )
    if row["file"] != square.path.partition("/")[2]:
        raise DataError("the file's name is not that of patient, side and view")
    return square


def _number(row: dict[str, str], name: str, size: int) -> float:
    try:
        value = float(row[name]) if len(row[name]) <= 32 else math.nan
    except ValueError:
        value = math.nan
    if not -size <= value <= 2 * size:
        raise DataError(f"{name} must be a number of pixels, received {row[name][:20]!r}")
    return value


def _ids(text: str) -> tuple[int, ...]:
    parts = text.split("|")
    if not all(part.isascii() and part.isdigit() and len(part) <= 2 for part in parts):
        raise DataError("abnormality_ids must be whole numbers with | between them")
    return tuple(map(int, parts))
