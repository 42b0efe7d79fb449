"""Cross-validation folds that keep each patient in one part."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class Fold:
    """The three parts of one fold, as indices into the task's examples, ascending.

    Attributes:
        index: Number of the fold, from 0.
        train: (n_train,) int64.
        validation: (n_validation,) int64.
        test: (n_test,) int64.
    """

    index: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def make_folds(
    labels,
    groups,
    *,
    num_folds: int = 5,
    seed: int = 0,
    validation_fraction: float = 0.125,
    evaluated=None,
) -> tuple[Fold, ...]:
    """Divides examples into folds, stratified by label and grouped by patient.

    Every evaluated example is in the test part of exactly one fold. With the defaults the parts
    are 7:1:2: a fifth for testing, and an eighth of the rest for validation. Where there are too
    few patients for so small a validation part it grows, so that both classes are in it.

    Args:
        labels: (n,) int, 0 or 1.
        groups: (n,) patient of each example; any type that compares.
        num_folds: Number of folds, at least 2.
        seed: Seed of the division.
        validation_fraction: Share of the examples outside the test part, above 0 and up to 0.5.
        evaluated: (n,) bool, or None for all True. An example that is False is in no test or
            validation part, and trains only where its patient is in neither.

    Returns:
        `num_folds` folds.

    Raises:
        UserError: If a value is out of range, or if some part would lack a class.

    Example:
        >>> folds = make_folds([0, 1] * 20, np.repeat(np.arange(20), 2), num_folds=2)
        >>> [len(fold.test) for fold in folds]
        [20, 20]

    Reference:
        Jo et al. 2021, "Model development and evaluation": five folds, 7:1:2. Grouping by patient
        and stratification are not stated in the paper.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    evaluated = np.ones(len(labels), bool) if evaluated is None else np.asarray(evaluated, bool)
    _check(labels, groups, evaluated, num_folds, validation_fraction)
    candidates = np.flatnonzero(evaluated)
    extras = np.flatnonzero(~evaluated)
    patients = _count_patients(labels[candidates], groups[candidates])
    if min(patients) < num_folds:
        raise UserError(_too_few(patients, num_folds))

    folds = []
    for index, rest, test in _split(labels, groups, candidates, num_folds, seed):
        # Training needs at least one patient of each class beside the validation part's.
        few = min(_count_patients(labels[rest], groups[rest]))
        if few < 2:
            raise UserError(_too_few(patients, num_folds))
        parts = min(max(2, round(1 / validation_fraction)), few)
        _, train, validation = next(_split(labels, groups, rest, parts, seed + 1 + index))
        held_out = np.concatenate([groups[validation], groups[test]])
        train = np.sort(np.concatenate([train, extras[~np.isin(groups[extras], held_out)]]))
        for part in (train, validation, test):
            if len(np.unique(labels[part])) < 2:
                raise UserError(_too_few(patients, num_folds))
        folds.append(Fold(index, train, validation, test))
    return tuple(folds)


def _split(labels, groups, candidates, num_parts: int, seed: int):
    """Yields (number, the other indices, this part's indices), all ascending."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(num_parts, shuffle=True, random_state=seed % 2**32)
    names = np.unique(groups, return_inverse=True)[1]
    parts = splitter.split(candidates, labels[candidates], names[candidates])
    for index, (others, part) in enumerate(parts):
        yield index, candidates[others], candidates[part]


def _count_patients(labels, groups) -> tuple[int, int]:
    """Returns the numbers of patients with a negative and with a positive example."""
    return tuple(len(np.unique(groups[labels == value])) for value in (0, 1))


def _too_few(patients: tuple[int, int], num_folds: int) -> str:
    return (
        f"{num_folds} folds need patients of both classes in each training, validation and test "
        f"part: at least {num_folds}, and two outside every test part. Received: {patients[1]} "
        f"patients with a positive and {patients[0]} with a negative example. Add patients or "
        "take fewer folds."
    )


def _check(labels, groups, evaluated, num_folds, validation_fraction) -> None:
    if labels.ndim != 1 or not (len(labels) == len(groups) == len(evaluated)):
        raise UserError(
            "`labels`, `groups` and `evaluated` must be lists of one length. Received shapes: "
            f"{labels.shape}, {groups.shape}, {evaluated.shape}."
        )
    if not np.isin(labels, (0, 1)).all():
        raise UserError(f"`labels` must be 0 or 1. Received: {np.unique(labels)[:5].tolist()}.")
    if num_folds < 2:
        raise UserError(f"`num_folds` must be at least 2. Received: {num_folds}.")
    if not 0 < validation_fraction <= 0.5:
        raise UserError(
            "`validation_fraction` must be above 0 and at most 0.5. "
            f"Received: {validation_fraction}."
        )
