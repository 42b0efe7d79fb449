"""Who is in a phantom data set: findings, ages, vendors, all from the seed."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError

FINDINGS = ("normal", "benign", "malignant")
VENDORS = ("PHANTOM-A", "PHANTOM-B", "PHANTOM-C")
LATERALITIES = ("L", "R")

AGE_BANDS = ((32, 39), (40, 49), (50, 59), (60, 69), (70, 79), (80, 86))
"""Years, both ends included."""
AGE_COUNTS = {
    "normal": (22, 1217, 2175, 1569, 640, 49),
    "benign": (50, 475, 735, 327, 97, 2),
    "malignant": (144, 607, 594, 279, 110, 19),
}
"""Women of each age band (Jo et al. 2021, Table 3)."""
BOTH_BREASTS = {"benign": 0.328, "malignant": 0.006}
"""Share of women with a finding whose both breasts have one (Jo et al. 2021, Table 3)."""
BENIGN_BESIDE_MALIGNANT = 0.15
"""Share of women with a cancer who have a benign mass in the other breast (not in the paper)."""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """One study: what the table says of it.

    Attributes:
        index: Number in the data set, from 0.
        patient_id: The (invented) patient's id.
        finding: The worst of the two breasts.
        findings: "L" and "R" to "normal", "benign" or "malignant".
        birads: "L" and "R" to 1 (normal), 2 or 3 (benign), 4 or 5 (malignant).
        age: Years.
        vendor: One of `VENDORS`.
    """

    index: int
    patient_id: str
    finding: str
    findings: dict[str, str]
    birads: dict[str, int]
    age: int
    vendor: str


def plan_studies(
    *, num_studies: int, seed: int, malignant_fraction: float, benign_fraction: float
) -> tuple[StudyPlan, ...]:
    """Plans the studies of a data set.

    Args:
        num_studies: At least 1.
        seed: At least 0.
        malignant_fraction: Share of women with a cancer, rounded to whole women.
        benign_fraction: Share of women with a benign mass and no cancer.

    Raises:
        UserError: If an argument is out of its range, or the fractions sum to more than 1.
    """
    _check(num_studies, seed, malignant_fraction, benign_fraction)
    rng = np.random.default_rng([seed, 0])
    malignant = round(num_studies * malignant_fraction)
    benign = min(round(num_studies * benign_fraction), num_studies - malignant)
    worst = np.repeat(FINDINGS, [num_studies - malignant - benign, benign, malignant])
    rng.shuffle(worst)
    vendors = np.resize(VENDORS, num_studies)
    rng.shuffle(vendors)
    return tuple(
        _plan_study(rng, index, str(finding), str(vendor))
        for index, (finding, vendor) in enumerate(zip(worst, vendors, strict=True))
    )


def _check(num_studies, seed, malignant_fraction, benign_fraction) -> None:
    if num_studies < 1:
        raise UserError(f"The number of studies must be at least 1. Received: {num_studies}.")
    if seed < 0:
        raise UserError(f"The seed must be at least 0. Received: {seed}.")
    fractions = (malignant_fraction, benign_fraction)
    if not all(0 <= fraction <= 1 for fraction in fractions) or sum(fractions) > 1 + 1e-9:
        raise UserError(
            "The malignant and the benign fraction must be between 0 and 1 and sum to at most 1. "
            f"Received: {malignant_fraction:g} and {benign_fraction:g}."
        )


def _plan_study(rng, index: int, finding: str, vendor: str) -> StudyPlan:
    findings = dict.fromkeys(LATERALITIES, "normal")
    if finding != "normal":
        side, other = rng.permutation(LATERALITIES)
        findings[str(side)] = finding
        if rng.random() < BOTH_BREASTS[finding]:
            findings[str(other)] = finding
        elif finding == "malignant" and rng.random() < BENIGN_BESIDE_MALIGNANT:
            findings[str(other)] = "benign"
    counts = np.array(AGE_COUNTS[finding], float)
    band = AGE_BANDS[rng.choice(len(AGE_BANDS), p=counts / counts.sum())]
    levels = {"normal": (1, 1), "benign": (2, 3), "malignant": (4, 5)}
    birads = {
        side: int(rng.integers(levels[found][0], levels[found][1] + 1))
        for side, found in findings.items()
    }
    return StudyPlan(
        index=index,
        patient_id=f"PHANTOM-{index + 1:05d}",
        finding=finding,
        findings=findings,
        birads=birads,
        age=int(rng.integers(band[0], band[1] + 1)),
        vendor=vendor,
    )
