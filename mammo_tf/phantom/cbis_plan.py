"""What is in a CBIS-DDSM phantom: patients, films, abnormalities, and what is odd about each."""

import itertools
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.phantom.plan import LATERALITIES

MIN_PATIENTS = 12
TABLES = (("mass", "train"), ("calc", "train"), ("mass", "test"), ("calc", "test"))
IN_BOTH = 4
"""Number of the patient with a mass that is training and a calcification that is test."""

ODDITIES = ("swapped", "two series", "other size")
"""What can be odd about an abnormality's files: the columns name crop and mask the wrong way
round; crop and mask are in series of their own; the mask is 1.149 times as large as its image."""
ODD_SHARES = (0.3, 0.05, 0.02)
DAMAGES = ("no image", "no mask", "cut off mask")

_SHAPES = ("OVAL", "ROUND", "LOBULATED", "IRREGULAR", "IRREGULAR-ARCHITECTURAL_DISTORTION", "NA")
_MARGINS = (
    "CIRCUMSCRIBED",
    "OBSCURED",
    "ILL_DEFINED",
    "SPICULATED",
    "ILL_DEFINED-SPICULATED",
    "NA",
)
_CALC_TYPES = ("PLEOMORPHIC", "AMORPHOUS", "PUNCTATE-PLEOMORPHIC", "FINE_LINEAR_BRANCHING", "NA")
_DISTRIBUTIONS = ("CLUSTERED", "SEGMENTAL", "CLUSTERED-LINEAR", "NA")


@dataclass(frozen=True, kw_only=True)
class AbnormalityPlan:
    """One abnormality of a breast, which all of its films show.

    Attributes:
        type: "mass" or "calc".
        number: From 1 in the breast, within its type.
        pathology: As in the label files.
        assessment, subtlety: As in the label files.
        texts: Shape and margins, or type and distribution.
    """

    type: str
    number: int
    pathology: str
    assessment: int
    subtlety: int
    texts: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """One image file and the row of each of its abnormalities.

    Attributes:
        type, split: Which label file it is in.
        view: "CC" or "MLO".
        oddity: One of `ODDITIES`, or "", for the files of all its abnormalities.
        damage: One of `DAMAGES`, or "", for the last of them.
    """

    type: str
    split: str
    view: str
    oddity: str = ""
    damage: str = ""


@dataclass(frozen=True, kw_only=True)
class PatientPlan:
    """One patient: one breast with abnormalities.

    Attributes:
        index: Number in the data set, from 0.
        laterality: "L" or "R".
        density: 1 to 4; 0 where the label files lack it.
        abnormalities: All of them; a film's file lists those of its own type.
        films: The image files.
    """

    index: int
    laterality: str
    density: int
    abnormalities: tuple[AbnormalityPlan, ...]
    films: tuple[FilmPlan, ...] = field(repr=False)

    @property
    def patient_id(self) -> str:
        """E.g. "P_90001"; the archive's own numbers end at P_02033."""
        return f"P_{90001 + self.index:05d}"


def plan_patients(*, num_patients: int, seed: int, damaged: bool) -> tuple[PatientPlan, ...]:
    """Plans a data set in which every oddity of the archive is there at least once.

    Args:
        num_patients: At least `MIN_PATIENTS`.
        seed: At least 0.
        damaged: Whether an image and a mask are missing and a mask's file is cut off.

    Raises:
        UserError: If an argument is out of its range.
    """
    if not MIN_PATIENTS <= num_patients <= 9000:
        raise UserError(
            f"The number of patients must be from {MIN_PATIENTS} to 9000. Received: {num_patients}."
        )
    if seed < 0:
        raise UserError(f"The seed must be at least 0. Received: {seed}.")
    rng = np.random.default_rng([seed, 3])
    counters = {table: itertools.count() for table in TABLES}
    last = {table: index for index in range(num_patients) for table in _tables(index)}
    damages = dict(zip((TABLES[2], TABLES[1], TABLES[0]), DAMAGES, strict=True)) if damaged else {}
    return tuple(
        _plan_patient(
            rng, index, counters, {t: damages.get(t, "") for t in TABLES if last[t] == index}
        )
        for index in range(num_patients)
    )


def _tables(index: int) -> tuple[tuple[str, str], ...]:
    return (TABLES[0], TABLES[3]) if index == IN_BOTH else (TABLES[index % 4],)


def _plan_patient(rng, index: int, counters, damages) -> PatientPlan:
    abnormalities: list[AbnormalityPlan] = []
    films: list[FilmPlan] = []
    for kind, split in _tables(index):
        several = 1 + (index in (5, 6)) + (index == 5) + (rng.random() < 0.1)
        for number in range(1, several + 1):
            abnormalities.append(_plan_abnormality(rng, kind, number, index))
        for view in ("CC", "MLO"):
            count = next(counters[kind, split])
            odd = rng.choice((*ODDITIES, ""), p=(*ODD_SHARES, 1 - sum(ODD_SHARES)))
            if count < 4:  # the first four films of every table have one of each
                odd = ("", *ODDITIES)[count]
            damage = damages.get((kind, split), "") if view == "MLO" else ""
            films.append(
                FilmPlan(type=kind, split=split, view=view, oddity=str(odd), damage=damage)
            )
    return PatientPlan(
        index=index,
        laterality=str(rng.choice(LATERALITIES)),
        density=0 if index == 1 else int(rng.integers(1, 5)),
        abnormalities=tuple(abnormalities),
        films=tuple(films),
    )


def _plan_abnormality(rng, kind: str, number: int, index: int) -> AbnormalityPlan:
    """The first four patients have cancers, the next four none first; then it is drawn."""
    malignant = rng.random() < 0.45
    if index < 8:
        malignant = (number == 1 and index < 4) or (number == 2 and index == 6)
    pathology = "MALIGNANT" if malignant else "BENIGN"
    if not malignant and (index in (5, 7) or rng.random() < 0.2):
        pathology = "BENIGN_WITHOUT_CALLBACK"
    first, second = (_SHAPES, _MARGINS) if kind == "mass" else (_CALC_TYPES, _DISTRIBUTIONS)
    return AbnormalityPlan(
        type=kind,
        number=number,
        pathology=pathology,
        assessment=int(rng.integers(4, 6) if malignant else rng.choice((0, 2, 3, 4))),
        subtlety=0 if index == 3 else int(rng.integers(1, 6)),
        texts=(str(rng.choice(first)), str(rng.choice(second))),
    )
