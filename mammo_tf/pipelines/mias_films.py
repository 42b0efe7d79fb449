"""All films of mini-MIAS with their lesions, memory-mapped; the mias recipe starts from them.

Imports no TensorFlow by itself; reading the records does.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.cache import ImageCache, fingerprint

VERSION = 1  # raise it when the cached pixels change
SPACING_MM = 0.2  # mini-MIAS was reduced to 200 µm
SEVERITIES = ("benign", "malignant")


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """A finding whose place is known.

    Attributes:
        row: Row of the circle's middle in pixels from the top.
        column: Column of the circle's middle in pixels from the left.
        radius_px: Radius of the circle in pixels.
        severity: "benign" or "malignant".
        abnormality: Its class, as "CIRC".
    """

    row: int
    column: int
    radius_px: int
    severity: str
    abnormality: str

    @property
    def box_yxyx_px(self) -> tuple[float, float, float, float]:
        """(ymin, xmin, ymax, xmax) round the circle in pixels; it may leave the film."""
        reach = self.radius_px + 0.5
        row, column = self.row + 0.5, self.column + 0.5
        return row - reach, column - reach, row + reach, column + reach


@dataclass(frozen=True, kw_only=True)
class Film:
    """One film of one breast, as distributed: neither turned nor mirrored.

    Attributes:
        image_id: As "mdb001".
        patient_id: The woman, as "p001".
        laterality: "L" or "R" after the database's note, which its markers contradict in places.
        tissue: "F", "G" or "D".
        finding: The worst one: "normal", "benign" or "malignant".
        lesions: Findings with a circle, in the order of Info.txt.
        num_unplaced: Findings without a circle.
    """

    image_id: str
    patient_id: str
    laterality: str
    tissue: str
    finding: str
    lesions: tuple[Lesion, ...]
    num_unplaced: int


@dataclass(frozen=True, kw_only=True)
class Films:
    """All films, sorted by id.

    Attributes:
        films: n films.
        pixels: (n, height, width) uint8, memory-mapped when there is a cache folder.
        is_phantom: True when the pixels are synthetic.
    """

    films: tuple[Film, ...]
    pixels: np.ndarray = field(repr=False)
    is_phantom: bool = False

    @property
    def patients(self) -> np.ndarray:
        """(n,) str, the woman of each film."""
        return np.array([film.patient_id for film in self.films])

    @property
    def has_lesion(self) -> np.ndarray:
        """(n,) bool, whether a film has a finding with a circle."""
        return np.array([bool(film.lesions) for film in self.films])


def load_films(
    builder, *, cache_dir: str | os.PathLike | None, workers: int | None = None
) -> Films:
    """Reads every film of a built `mini_mias` data set, uncompressed.

    Args:
        builder: The TFDS builder `mini_mias`, built with ladders that include CR 1.
        cache_dir: Folder of the cache, so that the films are decoded once; None keeps them in
            memory.
        workers: Decoding threads; None means one per available core.

    Returns:
        The films.

    Raises:
        UserError: If the data set holds no uncompressed films.
        DataError: If a record is damaged, or a circle's middle lies outside its film.
    """
    records.check_cratios(builder, (1,))
    features = builder.info.features
    found = sorted(
        (_film(record, features) for record in records.iterate_records(builder)),
        key=lambda film: film.image_id,
    )
    shape = tuple(features["image"].shape[:2])
    _check_places(found, shape)
    rows = {film.image_id: number for number, film in enumerate(found)}
    cache = ImageCache(
        cache_dir,
        name="films",
        key=fingerprint(version=VERSION, source=records.source_fingerprint(builder)),
        shape=(len(found), *shape),
        dtype=np.uint8,
    )

    def make_rows(record: dict, _missing) -> Sequence:
        name = record["image_id"].decode()
        ladder = records.read_ladder(record["image"], f"Film {name}")
        return [(rows[name], {1: records.decode(ladder, 1, f"Film {name}")})]

    cache.fill(
        (1,),
        lambda _missing: records.iterate_records(builder),
        make_rows,
        workers=workers,
        total=len(found),
        description="Decoding films",
    )
    return Films(films=tuple(found), pixels=cache.images(1), is_phantom=records.is_phantom(builder))


def _film(record: dict, features) -> Film:
    found = record["abnormalities"]
    names = features["abnormalities"]
    lesions = tuple(
        Lesion(
            row=int(found["row"][index]),
            column=int(found["column"][index]),
            radius_px=int(found["radius_px"][index]),
            severity=names["severity"].names[int(found["severity"][index])],
            abnormality=names["abnormality"].names[int(found["abnormality"][index])],
        )
        for index, has_circle in enumerate(found["has_circle"])
        if has_circle
    )
    return Film(
        image_id=record["image_id"].decode(),
        patient_id=record["patient_id"].decode(),
        laterality=features["laterality"].names[int(record["laterality"])],
        tissue=features["tissue"].names[int(record["tissue"])],
        finding=features["finding"].names[int(record["finding"])],
        lesions=lesions,
        num_unplaced=len(found["has_circle"]) - len(lesions),
    )


def _check_places(films: Sequence[Film], shape: tuple[int, int]) -> None:
    for film in films:
        for lesion in film.lesions:
            if not (0 <= lesion.row < shape[0] and 0 <= lesion.column < shape[1]):
                raise DataError(
                    f"Film {film.image_id} has a circle whose middle, row {lesion.row} and column "
                    f"{lesion.column}, lies outside its {shape[0]}×{shape[1]} pixels. "
                    "Correct Info.txt and build the data set again."
                )
