"""The numbers of a run: each method's measures, and GLAM against the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Comparison,
    Estimate,
    ScoredFold,
    compare_with_reference,
    mean_auroc_over_repeats,
)
from mammo_tf.evaluation.segmentation import mean_over_cases
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.recipes.glam.data import ANY, CLASSES
from mammo_tf.recipes.glam.measure import KINDS

MEASURES = ("dice", "pointing", "auroc")
RIVALS = ("gradcam", "glam_global")
Measured = dict[str, list[list[dict]]]  # {kind of network: repeats of folds of `measure`'s}


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One method on the lesions of one class.

    Attributes:
        method: Of `METHOD_NAMES`.
        kind: "benign", "malignant" or `ANY`.
        cratio: Compression ratio of the test images.
        num_lesions: Test images with a marked lesion of the class.
        measures: Dice, pointing and AUROC; an estimate without value where there is none.
    """

    method: str
    kind: str
    cratio: float
    num_lesions: int
    measures: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True, eq=False)
class Versus:
    """What GLAM has more than a rival, or at one compression ratio more than at CR 1."""

    measure: str
    kind: str
    cratio: float
    rival: str
    comparison: Comparison


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """All numbers of a run.

    Attributes:
        rows: Of each method, class and ratio.
        versus: GLAM against its rivals at CR 1; p-values with Holm's correction over them.
        by_cratio: GLAM at each ratio against itself at CR 1; likewise.
        repeats: Trainings of each network.
    """

    rows: Sequence[Row]
    versus: Sequence[Versus]
    by_cratio: Sequence[Versus]
    repeats: int


def summarise(measured: dict[float, Measured], config: GlamConfig) -> Summary:
    """Computes every number.

    Args:
        measured: For each compression ratio and kind of network what `measure` gave.
        config: Of the run.
    """
    rows = [
        _row(found, method, kind, cratio, config)
        for cratio, networks in measured.items()
        for found in networks.values()
        for method in _methods(found)
        for kind in KINDS
    ]
    rows = [row for row in rows if _is_known(row)]
    first = measured[1]
    repeats = len(next(iter(first.values())))
    pairs = [
        (measure, kind, 1, rival, _change(first, first, ("glam", rival), measure, kind, config))
        for measure in ("dice", "pointing")
        for kind in KINDS
        for rival in RIVALS
    ]
    falls = [
        (
            "dice",
            kind,
            cratio,
            "CR 1",
            _change(networks, first, ("glam", "glam"), "dice", kind, config),
        )
        for cratio, networks in measured.items()
        if cratio != 1
        for kind in KINDS
    ]
    return Summary(rows=rows, versus=_compared(pairs), by_cratio=_compared(falls), repeats=repeats)


def _compared(pairs) -> list[Versus]:
    pairs = [pair for pair in pairs if pair[-1] is not None]
    found = compare_with_reference([pair[-1] for pair in pairs])
    return [
        Versus(measure=measure, kind=kind, cratio=cratio, rival=rival, comparison=comparison)
        for (measure, kind, cratio, rival, _), comparison in zip(pairs, found, strict=True)
    ]


def _methods(found: list[list[dict]]) -> list[str]:
    return list(found[0][0]["cases"][0]["methods"])


def _is_known(row: Row) -> bool:
    return any(np.isfinite(one.value) for one in row.measures.values())


def _row(found, method: str, kind: str, cratio: float, config: GlamConfig) -> Row:
    values = {name: _values(found, method, name, kind) for name in ("dice", "pointing")}
    measures = {name: _mean(*each, config) for name, each in values.items()}
    measures["auroc"] = _auroc(found, method, kind)
    return Row(
        method=method,
        kind=kind,
        cratio=cratio,
        num_lesions=sum(map(len, values["pointing"][1])),
        measures=measures,
    )


def _values(found, method: str, measure: str, kind: str):
    """R repeats of K folds of values, and the patients of each fold's images."""
    repeats, groups = [], []
    for folds in found:
        cases = [
            [case for case in fold["cases"] if kind in case["methods"][method][measure]]
            for fold in folds
        ]
        repeats.append(
            [np.array([case["methods"][method][measure][kind] for case in each]) for each in cases]
        )
        groups = [np.array([case["group"] for case in each]) for each in cases]
    return repeats, groups


def _mean(repeats, groups, config: GlamConfig, bounds=(0.0, 1.0)) -> Estimate:
    return mean_over_cases(
        repeats, groups, bounds=bounds, num_resamples=config.num_resamples, seed=config.seed
    )


def _change(networks, reference, methods, measure: str, kind: str, config: GlamConfig):
    """GLAM minus another, paired by image; None where one of them is not there."""
    ours, theirs = _found_of(networks, methods[0]), _found_of(reference, methods[1])
    if ours is None or theirs is None:
        return None
    (first, groups), (second, _) = (
        _values(found, method, measure, kind)
        for found, method in zip((ours, theirs), methods, strict=True)
    )
    if not any(map(len, groups)):
        return None
    differences = [
        [one - other for one, other in zip(folds, others, strict=True)]
        for folds, others in zip(first, second, strict=True)
    ]
    return _mean(differences, groups, config, bounds=(-1.0, 1.0))


def _found_of(networks: Measured, method: str):
    return next((found for found in networks.values() if method in _methods(found)), None)


def _auroc(found, method: str, kind: str) -> Estimate:
    """Of the image scores: images with a finding of the class, marked or not, against the rest."""
    try:
        return mean_auroc_over_repeats(
            [[_scored(fold, method, kind) for fold in folds] for folds in found]
        )
    except UserError:  # a fold's test part has one class only
        return Estimate(np.nan, np.nan, np.nan)


def _scored(fold: dict, method: str, kind: str) -> ScoredFold:
    labels = np.array([case["labels"] for case in fold["cases"]])
    scores = np.array([case["methods"][method]["scores"] for case in fold["cases"]])
    if kind == ANY:
        labels, scores = labels.max(axis=1), scores.max(axis=1)
    else:
        column = CLASSES.index(kind)
        labels, scores = labels[:, column], scores[:, column]
    return ScoredFold(
        labels=labels,
        scores=scores,
        groups=np.array([case["group"] for case in fold["cases"]]),
        example_ids=np.array([case["example_id"] for case in fold["cases"]]),
    )


def plain(estimate: Estimate) -> dict[str, float | None]:
    """As JSON holds it; a number that there is not is None."""
    return {
        name: round(float(number), 6) if np.isfinite(number) else None
        for name in ("value", "low", "high")
        for number in [getattr(estimate, name)]
    }


def relative_gain(summary: Summary, kind: str, rival: str) -> float | None:
    """Returns GLAM's Dice over a rival's, less 1, as the paper states gains; None if unknown."""
    values = {
        row.method: row.measures["dice"].value
        for row in summary.rows
        if row.kind == kind and row.cratio == 1
    }
    if not values.get(rival) or not np.isfinite(values.get("glam", np.nan)):
        return None
    return float(values["glam"] / values[rival] - 1)
