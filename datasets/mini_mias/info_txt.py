"""Reads mini-MIAS' Info.txt: tissue, class, severity and circles of 322 films."""

import re
from dataclasses import dataclass

from mammo_tf.errors import DataError
from mammo_tf.ingest import Rejection

IMAGE_SIZE = 1024
TISSUES = ("F", "G", "D")
ABNORMALITIES = ("CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM")
FINDINGS = ("normal", "benign", "malignant")

MAX_INFO_BYTES = 1_000_000
_SEVERITY_OF_LETTER = {"B": "benign", "M": "malignant"}
_ROW = re.compile(r"mdb\d", re.ASCII)
_IMAGE_ID = re.compile(r"mdb(\d{3})", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,6}", re.ASCII)


@dataclass(frozen=True)
class Abnormality:
    """One finding in one film, with its circle in pixels from the top-left corner.

    Attributes:
        abnormality: One of `ABNORMALITIES`.
        severity: "benign" or "malignant".
        row, column, radius_px: Circle in pixels; all -1 when Info.txt gives none (mdb059, where
            it is blank, and mdb216, 233, 245, whose calcifications are widely spread).
    """

    abnormality: str
    severity: str
    row: int = -1
    column: int = -1
    radius_px: int = -1

    @property
    def has_circle(self) -> bool:
        """Whether Info.txt gives a circle."""
        return self.radius_px >= 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(ymin, xmin, ymax, xmax) round the circle, as shares of the image, clipped to it.

        All 0 without a circle.
        """
        if not self.has_circle:
            return 0.0, 0.0, 0.0, 0.0
        edges = (
            self.row - self.radius_px,
            self.column - self.radius_px,
            self.row + self.radius_px + 1,
            self.column + self.radius_px + 1,
        )
        return tuple(min(max(edge, 0), IMAGE_SIZE) / IMAGE_SIZE for edge in edges)


@dataclass(frozen=True)
class Film:
    """One film of Info.txt.

    Attributes:
        image_id: "mdb001" to "mdb322".
        row: Line of its first row in Info.txt, counted from 1.
        tissue: "F" fatty, "G" fatty-glandular, "D" dense-glandular.
        abnormalities: Empty for a normal film.
    """

    image_id: str
    row: int
    tissue: str
    abnormalities: tuple[Abnormality, ...]

    @property
    def number(self) -> int:
        """The number in `image_id`."""
        return int(self.image_id[3:])

    @property
    def patient_id(self) -> str:
        """ "p001" to "p161": an odd film and the next even one are one woman's (note 1)."""
        return f"p{(self.number + 1) // 2:03d}"

    @property
    def laterality(self) -> str:
        """ "R" for odd film numbers, "L" for even ones (note 1)."""
        return "R" if self.number % 2 else "L"

    @property
    def finding(self) -> str:
        """The worst finding: "normal", "benign" or "malignant"."""
        severities = [abnormality.severity for abnormality in self.abnormalities]
        return max(["normal", *severities], key=FINDINGS.index)


def parse_info(text: str) -> tuple[tuple[Film, ...], tuple[Rejection, ...]]:
    """Parses Info.txt.

    Every line that starts like a film ("mdb" and a digit) is a row. A film one of whose rows
    cannot be understood is rejected as a whole, since its label could be wrong.

    Args:
        text: The file's content.

    Returns:
        The films in order of their first row, and the rejected ones.

    Raises:
        DataError: If no line is a row, so that it is no Info.txt of mini-MIAS.
    """
    rows: dict[str, list[tuple[int, list[str]]]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if _ROW.match(line):
            cells = line.split()
            rows.setdefault(cells[0], []).append((number, cells[1:]))
    if not rows:
        raise DataError(
            "Info.txt has no row such as 'mdb001 G CIRC B 535 425 197'. "
            "Use the Info.txt that comes with mini-MIAS, unchanged."
        )
    films, rejected = [], []
    for image_id, lines in rows.items():
        try:
            films.append(_film(image_id, lines))
        except _RowError as error:
            name = image_id if _IMAGE_ID.fullmatch(image_id) else ""
            rejected.append(Rejection(record=name, row=error.row, reason=str(error)))
    return tuple(films), tuple(rejected)


class _RowError(Exception):
    def __init__(self, row: int, message: str):
        super().__init__(message)
        self.row = row


def _film(image_id: str, lines: list[tuple[int, list[str]]]) -> Film:
    first = lines[0][0]
    match = _IMAGE_ID.fullmatch(image_id)
    if not match or not int(match[1]):
        raise _RowError(first, "the first column is not a film such as mdb001")
    tissues, abnormalities = set(), []
    for row, cells in lines:
        if len(cells) < 2 or cells[0] not in TISSUES:
            raise _RowError(row, "expected a tissue (F, G or D) and a class after the film")
        tissues.add(cells[0])
        if cells[1] == "NORM":
            if len(cells) > 2 or len(lines) > 1:
                raise _RowError(row, "a NORM row must stand alone and have nothing after NORM")
        else:
            abnormalities.append(_abnormality(row, cells[1:]))
    if len(tissues) > 1:
        raise _RowError(first, "its rows disagree on the tissue")
    return Film(image_id, first, tissues.pop(), tuple(abnormalities))


def _abnormality(row: int, cells: list[str]) -> Abnormality:
    name, letter, place = cells[0], "".join(cells[1:2]), cells[2:]
    if name not in ABNORMALITIES:
        raise _RowError(row, f"the class is not one of {', '.join(ABNORMALITIES)} or NORM")
    if letter not in _SEVERITY_OF_LETTER:
        raise _RowError(row, "the severity is not B or M")
    severity = _SEVERITY_OF_LETTER[letter]
    if not place or " ".join(place) == "*NOTE 3*":
        return Abnormality(name, severity)
    if len(place) != 3 or not all(_NUMBER.fullmatch(cell) for cell in place):
        raise _RowError(row, "expected x, y and radius as three whole numbers")
    x, y, radius = (int(cell) for cell in place)
    circle = Abnormality(name, severity, IMAGE_SIZE - y, x, radius)
    if radius < 1:
        raise _RowError(row, "the radius is not positive")
    if not (0 <= circle.row < IMAGE_SIZE and 0 <= x < IMAGE_SIZE):
        raise _RowError(row, "the circle's centre is outside the 1024×1024 image")
    return circle
