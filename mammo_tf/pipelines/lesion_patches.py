"""Lesion patches and the normal patches that go with them; pure functions on lists and arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.pipelines.matching import match_normals

PATCH_SIZE = 128
NORMALS_PER_LESION = 2
TISSUE_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Patch:
    """A place on a film.

    Attributes:
        example_id: Name of the example.
        film: The film's id.
        row: Row of the middle, from the top.
        column: Column of the middle, from the left.
        label: 1 for a lesion.
        evaluated: False for a patch that only trains.
    """

    example_id: str
    film: str
    row: int
    column: int
    label: int
    evaluated: bool = True


def choose_patches(
    films: Sequence[dict],
    shares: Sequence[Sequence[float]],
    *,
    seed: int = 0,
    extra: int = 0,
    copies: int = 0,
) -> tuple[Patch, ...]:
    """Chooses the patches of the lesion task.

    Args:
        films: Dictionaries with "id", "side" ("L" or "R"), "finding" ("normal" or another) and
            "circles", a list of (row, column).
        shares: (lesions, films) share of tissue of the patch at each lesion's place in each film;
            the lesions in the order of the films' circles.
        seed: Seed of the choice of normal films.
        extra: Further normal patches for each lesion that only train; see `match_normals`.
        copies: Copies of each lesion's patch that only train.

    Returns:
        The lesions, then `NORMALS_PER_LESION` for each, then the extra ones, then the copies.

    Raises:
        DataError: If there is no lesion, or one finds too few normal films.
    """
    owners = np.array([number for number, film in enumerate(films) for _ in film["circles"]], int)
    if not owners.size:
        raise DataError("Expected films with lesions. Received none with a circle.")
    sides = np.array([film["side"] for film in films])
    normal = np.array([film["finding"] == "normal" for film in films])
    shares = np.asarray(shares, float)
    chosen, extras = match_normals(
        shares[np.arange(len(owners)), owners],
        shares,
        normal[np.newaxis] & (sides[np.newaxis] == sides[owners][:, np.newaxis]),
        per_lesion=NORMALS_PER_LESION,
        extra=extra,
        tolerance=TISSUE_TOLERANCE,
        seed=seed,
    )
    lesions = [
        Patch(example_id=f"{film['id']}-{number}", film=film["id"], row=row, column=column, label=1)
        for film in films
        for number, (row, column) in enumerate(film["circles"], start=1)
    ]
    normals = _normals(films, lesions, chosen, evaluated=True)
    further = _normals(films, lesions, extras, evaluated=False)
    repeated = [
        replace(lesion, example_id=f"{lesion.example_id}-copy{number}", evaluated=False)
        for lesion in lesions
        for number in range(1, copies + 1)
    ]
    return (*lesions, *normals, *further, *repeated)


def _normals(films, lesions, chosen, *, evaluated: bool) -> list[Patch]:
    """For each lesion, the patches at its place in the films of the numbers chosen."""
    return [
        Patch(
            example_id=f"{films[number]['id']}-at-{lesion.example_id}",
            film=films[number]["id"],
            row=lesion.row,
            column=lesion.column,
            label=0,
            evaluated=evaluated,
        )
        for lesion, numbers in zip(lesions, chosen, strict=True)
        for number in numbers
    ]
