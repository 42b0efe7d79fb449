"""The cases of one subgroup, so that it can be scored as the whole is."""

from collections.abc import Mapping, Sequence

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import ScoredFold

MIN_PATIENTS = 10
NO_VALUE = ("unknown", "none")


def subgroup_folds(
    folds: Sequence[ScoredFold], values: Mapping[str, str], *, min_patients: int = MIN_PATIENTS
) -> dict[str, list[ScoredFold] | None]:
    """Divides the test cases by a property.

    A subgroup has the positives of its value. Of the negatives it has those of the value and those
    to which the property does not apply ("none": normal tissue has no lesion size); where the value
    of no negative is known, all of them. Positives of unknown value are in no subgroup. A fold in
    which the subgroup lacks a class is left out of it.

    What comes out depends on the cases alone, not on the scores: two conditions, and all repeats,
    are divided alike and stay comparable case by case.

    Args:
        folds: The test cases of each fold, with `example_ids`.
        values: Maps each example to its value, "unknown" or "none"; e.g.
            `dict(zip(task.example_ids, task.subgroups["density"]))`.
        min_patients: Fewest patients of either class, over all folds, that are worth a number.

    Returns:
        {value: folds}, sorted; None where there are fewer than `min_patients` patients with a
        positive case, or with a negative one.

    Raises:
        UserError: If a fold has no `example_ids`, or one that `values` lacks.
    """
    known = [_values_of(fold, values) for fold in folds]
    found = sorted({value for each in known for value in each.tolist()} - set(NO_VALUE))
    return {value: _restricted(folds, known, value, min_patients) for value in found}


def _values_of(fold: ScoredFold, values: Mapping[str, str]) -> np.ndarray:
    if fold.example_ids is None:
        raise UserError("Subgroups need folds with `example_ids`.")
    ids = [str(name) for name in fold.example_ids]
    missing = [name for name in ids if name not in values]
    if missing:
        raise UserError(
            f"Subgroups need a value for every case. {len(missing)} have none, e.g. {missing[0]}."
        )
    return np.array([values[name] for name in ids])


def _restricted(folds, known, value: str, min_patients: int) -> list[ScoredFold] | None:
    negatives_are_known = any(
        not set(of[np.asarray(fold.labels) == 0].tolist()) <= set(NO_VALUE)
        for fold, of in zip(folds, known, strict=True)
    )
    kept: list[ScoredFold] = []
    patients: dict[int, set] = {0: set(), 1: set()}
    for fold, of in zip(folds, known, strict=True):
        labels = np.asarray(fold.labels)
        fitting = (of == value) | (of == "none") if negatives_are_known else True
        chosen = np.where(labels == 1, of == value, fitting)
        if set(labels[chosen].tolist()) != {0, 1}:
            continue
        kept.append(_take(fold, chosen))
        for label, seen in patients.items():
            seen |= set(np.asarray(fold.groups)[chosen & (labels == label)].tolist())
    return kept if min(map(len, patients.values())) >= min_patients else None


def _take(fold: ScoredFold, chosen: np.ndarray) -> ScoredFold:
    return ScoredFold(
        labels=np.asarray(fold.labels)[chosen],
        scores=np.asarray(fold.scores)[chosen],
        groups=np.asarray(fold.groups)[chosen],
        example_ids=np.asarray(fold.example_ids)[chosen],
    )
