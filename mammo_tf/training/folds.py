"""Cross-validation folds that keep each patient in one part."""

from dataclasses import dataclass, replace

import numpy as np

from mammo_tf.config import check_choice, check_range
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

    Examples:
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


def official_fold(
    labels,
    groups,
    split,
    *,
    seed: int = 0,
    validation_fraction: float = 0.125,
    evaluated=None,
) -> Fold:
    """Takes a data set's own split: what is labelled test is the test part, and trains nothing.

    The validation part is the data set's own "validation" split; where it has none, patients of
    the training split are set aside, stratified by label.

    Args:
        labels: (n,) int, 0 or 1.
        groups: (n,) patient of each example.
        split: (n,) str, the split of each example: "train", "test" and perhaps "validation".
        seed: Seed of the patients set aside.
        validation_fraction: Share of the training examples set aside, above 0 and up to 0.5.
        evaluated: (n,) bool, or None for all True; see `make_folds`.

    Returns:
        The fold, number 0.

    Raises:
        UserError: If a part would lack a class, or a patient is both in test and in training.
    """
    labels, groups, split = np.asarray(labels), np.asarray(groups), np.asarray(split)
    evaluated = np.ones(len(labels), bool) if evaluated is None else np.asarray(evaluated, bool)
    _check(labels, groups, evaluated, 2, validation_fraction)
    own = {name: np.flatnonzero((split == name) & evaluated) for name in ("validation", "test")}
    train = np.flatnonzero(split == "train")
    validation = own["validation"]
    if not validation.size:
        candidates = train[evaluated[train]]
        few = min(_count_patients(labels[candidates], groups[candidates]))
        if few < 2:
            raise UserError(
                "The data set's own split leaves too few training patients of one class "
                f"({few}) to set some aside for validation. Use --folds with a number."
            )
        parts = min(max(2, round(1 / validation_fraction)), few)
        validation = next(_split(labels, groups, candidates, parts, seed))[2]
        train = train[~np.isin(groups[train], groups[validation])]
    fold = Fold(0, train, validation, own["test"])
    for name in ("train", "validation", "test"):
        if len(np.unique(labels[getattr(fold, name)])) < 2:
            raise UserError(
                f"The data set's own split has no example of one class in its {name} part. "
                "Use --folds with a number."
            )
    shared = set(groups[fold.test].tolist()) & set(groups[fold.train].tolist())
    if shared:
        raise UserError(
            f"The data set's own split has {len(shared)} patients both in test and in training. "
            "Use --folds with a number."
        )
    return fold


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How examples are divided.

    Attributes:
        official: "yes" for the data set's own split, "no" for cross-validation over everything,
            its test images included; "auto" for the former where there is one.
        num_folds: Cross-validation folds; 5 in the compression paper.
        validation_fraction: Share of the non-test examples for validation; 7:1:2 there.

    Raises:
        UserError: If a value is out of its range.
    """

    official: str = "auto"
    num_folds: int = 5
    validation_fraction: float = 0.125

    def __post_init__(self):
        check_choice("split.official", self.official, ("auto", "yes", "no"))
        check_range("split.num_folds", self.num_folds, 2, 20)
        check_range("split.validation_fraction", self.validation_fraction, 0.01, 0.5)

    def with_folds(self, folds: int | str | None) -> "SplitConfig":
        """Returns a copy changed as `--folds` says: a number, "official" or None for no change."""
        if folds is None:
            return self
        if folds == "official":
            return replace(self, official="yes")
        return replace(self, official="no", num_folds=folds)

    def is_official(self, has_official_splits: bool) -> bool:
        """Tells whether the data set's own split is used.

        Raises:
            UserError: If it is asked for and there is none.
        """
        if self.official == "yes" and not has_official_splits:
            raise UserError(
                "--folds official needs a data set with a split of its own into training and "
                "test; this one has none. Give a number of folds."
            )
        return self.official != "no" and has_official_splits

    def describe(self, has_official_splits: bool) -> str:
        """Returns the division in words, for a report."""
        if self.is_official(has_official_splits):
            return "the data set's own split; no patient in two parts"
        text = f"{self.num_folds} folds, stratified, no patient in two parts"
        if has_official_splits:
            text += "; the data set's own split is not used"
        return text


def divide(
    labels,
    groups,
    split,
    config: SplitConfig,
    *,
    has_official_splits: bool,
    seed: int,
    evaluated=None,
) -> tuple[Fold, ...]:
    """Divides examples as a configuration says: `official_fold` alone, or `make_folds`."""
    options = {
        "seed": seed,
        "validation_fraction": config.validation_fraction,
        "evaluated": evaluated,
    }
    if config.is_official(has_official_splits):
        return (official_fold(labels, groups, split, **options),)
    return make_folds(labels, groups, num_folds=config.num_folds, **options)


def divide_task(task, config: SplitConfig, *, seed: int) -> tuple[Fold, ...]:
    """Divides the examples of a `Task` of two classes; see `divide`."""
    return divide(
        task.labels,
        task.groups,
        task.split,
        config,
        has_official_splits=task.has_official_splits,
        seed=seed,
        evaluated=task.evaluated,
    )


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
