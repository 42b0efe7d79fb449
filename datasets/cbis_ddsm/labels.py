"""Reads the four label files of CBIS-DDSM, `mass_case_description_train_set.csv` and its like."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mammo_tf.datasets.cbis_ddsm import tables
from mammo_tf.errors import DataError

TYPES = ("mass", "calc")
SPLITS = ("train", "test")
PATHOLOGIES = ("BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT")
MAX_ABNORMALITIES = 16  # of one image; the real ones have 7 at most

_COLUMNS = (
    *("patient_id", "breast_density", "left_or_right_breast", "image_view", "abnormality_id"),
    *("abnormality_type", "assessment", "pathology", "subtlety", "image_file_path"),
    *("cropped_image_file_path", "roi_mask_file_path"),
)
TYPE_COLUMNS = {
    "mass": ("mass_shape", "mass_margins"),
    "calc": ("calc_type", "calc_distribution"),
}
_TYPE_NAMES = {"mass": "mass", "calc": "calcification"}
_SIDES = {"LEFT": "L", "RIGHT": "R"}
VIEWS = ("CC", "MLO")
PATIENT = re.compile(r"P_\d{5}", re.ASCII)
_UID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+", re.ASCII)
_MAX_UID_CHARACTERS = 64


@dataclass(frozen=True, kw_only=True)
class Abnormality:
    """One row of a label file.

    Attributes:
        table: Name of the file.
        row: Counted from 1 with the header; a row may go over several lines.
        number: The file's "abnormality id", from 1 in each image.
        type: "mass" or "calc".
        pathology: One of `PATHOLOGIES`.
        assessment: BI-RADS, 0 to 5 (0: incomplete).
        subtlety: 1 (subtle) to 5 (obvious); 0 where not given.
        texts: `mass_shape` and `mass_margins`, or `calc_type` and `calc_distribution`, as given.
        series: SeriesInstanceUIDs in which its mask and its crop are: one or two. Which column
            names which is left out on purpose, since it is wrong in places.
    """

    table: str
    row: int
    number: int
    type: str
    pathology: str
    assessment: int
    subtlety: int
    texts: dict[str, str]
    series: tuple[str, ...] = field(repr=False)

    @property
    def label(self) -> str:
        """ "benign" or "malignant"; benign without callback is benign."""
        return "malignant" if self.pathology == "MALIGNANT" else "benign"


@dataclass(frozen=True, kw_only=True)
class Film:
    """One image file with its abnormalities; or, once merged, a film with those of both types.

    Attributes:
        patient_id: E.g. "P_00001"; public, and nobody's name.
        laterality: "L" or "R".
        view: "CC" or "MLO".
        density: BI-RADS density, 1 to 4; 0 where not given.
        official_split: "train" or "test", as published for the first of its files.
        split: The same, unless `merge_types` had to move the patient.
        series: SeriesInstanceUID of the image; of each type's file, once merged.
        abnormalities: In the order of the table.
    """

    patient_id: str
    laterality: str
    view: str
    density: int
    official_split: str
    split: str
    series: tuple[str, ...] = field(repr=False)
    abnormalities: tuple[Abnormality, ...]

    @property
    def image_id(self) -> str:
        """E.g. "P_00001_LEFT_CC": unique within a type, and once the types are merged."""
        side = "LEFT" if self.laterality == "L" else "RIGHT"
        return f"{self.patient_id}_{side}_{self.view}"

    @property
    def table(self) -> str:
        """The label file of its first row."""
        return self.abnormalities[0].table

    @property
    def row(self) -> int:
        """Its first row in `table`."""
        return self.abnormalities[0].row


def table_name(kind: str, split: str) -> str:
    """The name of a label file; `kind` is "mass" or "calc", `split` "train" or "test"."""
    return f"{kind}_case_description_{split}_set.csv"


def read_films(folder: Path, kinds: Iterable[str] = TYPES) -> tuple[Film, ...]:
    """Reads the label files of some types: training and test, each one as published.

    Args:
        folder: Where the files are.
        kinds: "mass", "calc" or both.

    Returns:
        One film an image file, in the order of the tables. A patient's split may differ between
        the types; `merge_types` mends that.

    Raises:
        DataError: If a file is missing or is not as published: one line that names file and row.
    """
    films = []
    for kind in kinds:
        split_of: dict[str, Film] = {}
        for split in SPLITS:
            for film in _read_table(folder / table_name(kind, split), kind, split):
                first = split_of.setdefault(film.patient_id, film)
                if first.split != split:
                    raise DataError(
                        f"{film.table} row {film.row}: the patient is in training and test, also "
                        f"in {first.table} row {first.row}. {tables.AGAIN}"
                    )
                films.append(film)
    return tuple(films)


def merge_types(films: Iterable[Film]) -> tuple[Film, ...]:
    """Makes one set of both types in which no patient is on both sides of the split.

    A film that both types have (same patient, side and view) becomes one with the abnormalities
    of both. A patient with a test image of either type is test altogether: so nothing that is
    published as test is ever trained on.

    Args:
        films: What `read_films` returned for both types.

    Returns:
        The films in the order in which they first came.
    """
    films = tuple(films)
    test = {film.patient_id for film in films if film.split == "test"}
    merged: dict[str, Film] = {}
    for film in films:
        first = merged.get(film.image_id)
        split = "test" if film.patient_id in test else "train"
        merged[film.image_id] = dataclasses.replace(film, split=split)
        if first:
            merged[film.image_id] = dataclasses.replace(
                first,
                density=first.density or film.density,
                series=(*first.series, *film.series),
                abnormalities=(*first.abnormalities, *film.abnormalities),
            )
    for film in merged.values():
        _check_count(film)
    return tuple(merged.values())


def _read_table(path: Path, kind: str, split: str) -> list[Film]:
    films: dict[str, Film] = {}
    used: dict[str, int] = {}
    for number, row in tables.read_rows(path, (*_COLUMNS, *TYPE_COLUMNS[kind])):
        try:
            film = _film(path.name, number, row, kind, split)
            for name in (row["cropped_image_file_path"], row["roi_mask_file_path"]):
                if used.setdefault(name.strip(), number) != number:
                    raise DataError(f"its file is also that of row {used[name.strip()]}")
            films[film.image_id] = _join(films.get(film.image_id), film)
        except DataError as error:
            raise DataError(f"{path.name} row {number}: {error}. {tables.AGAIN}") from None
    if not films:
        raise DataError(f"{path.name} has no row. {tables.AGAIN}")
    return list(films.values())


def _join(first: Film | None, film: Film) -> Film:
    """Adds a row's abnormality to the image's earlier ones, with which it must agree."""
    if first is None:
        return film
    if first.series != film.series:
        raise DataError(f"its image is another than that of row {first.row}")
    if first.density != film.density:
        raise DataError(f"the breast density differs from that of row {first.row}")
    added = film.abnormalities[0]
    if any(added.number == other.number for other in first.abnormalities):
        raise DataError(f"the image has abnormality {added.number} twice")
    joined = dataclasses.replace(first, abnormalities=(*first.abnormalities, added))
    _check_count(joined)
    return joined


def _check_count(film: Film) -> None:
    if len(film.abnormalities) > MAX_ABNORMALITIES:
        raise DataError(f"the image has more than {MAX_ABNORMALITIES} abnormalities")


def _film(table: str, number: int, row: dict[str, str], kind: str, split: str) -> Film:
    if not PATIENT.fullmatch(row["patient_id"]):
        raise DataError("patient_id must be P_ and five digits")
    if row["abnormality_type"] != _TYPE_NAMES[kind]:
        raise DataError(f"abnormality type must be {_TYPE_NAMES[kind]}")
    crop, mask = (_series(row[f"{name}_file_path"]) for name in ("cropped_image", "roi_mask"))
    abnormality = Abnormality(
        table=table,
        row=number,
        number=tables.whole(row, "abnormality_id", 1, 99),
        type=kind,
        pathology=tables.choice(row, "pathology", PATHOLOGIES),
        assessment=tables.whole(row, "assessment", 0, 6),
        subtlety=tables.whole(row, "subtlety", 0, 5),
        texts={name: tables.words(row, name) for name in TYPE_COLUMNS[kind]},
        series=tuple(dict.fromkeys((crop, mask))),
    )
    return Film(
        patient_id=row["patient_id"],
        laterality=_SIDES[tables.choice(row, "left_or_right_breast", tuple(_SIDES))],
        view=tables.choice(row, "image_view", VIEWS),
        density=tables.whole(row, "breast_density", 0, 4),
        official_split=split,
        split=split,
        series=(_series(row["image_file_path"]),),
        abnormalities=(abnormality,),
    )


def _series(path: str) -> str:
    """The SeriesInstanceUID of folder/StudyUID/SeriesUID/file, the form of the archive's paths."""
    parts = path.strip().replace("\\", "/").split("/")
    uid = parts[-2] if len(parts) == 4 else ""
    if not _UID.fullmatch(uid) or len(uid) > _MAX_UID_CHARACTERS:
        raise DataError("a file path must be folder/StudyUID/SeriesUID/file")
    return uid
