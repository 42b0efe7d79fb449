"""Confusion matrix, precision, recall, F1 and AUROC of a classifier of several classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate, auroc
from mammo_tf.evaluation.bootstrap import (
    draw_patients,
    number_patients,
    percentile_estimate,
    tally,
)

_CELLS_AT_ONCE = 4_000_000  # bounds the memory of one block of resamples to some 100 MB


@dataclass(frozen=True, eq=False)
class MulticlassScores:
    """Scores of a classifier of k classes.

    Attributes:
        class_names: The names, in the order of the confusion matrix.
        confusion: (k, k) int; rows are the truth, columns the prediction.
        precision: Per class; NaN for a class that is never predicted.
        recall: Per class; NaN for a class without cases.
        f1: Per class; NaN for a class that has no cases and is never predicted.
        auroc: Per class against the rest; NaN for a class without cases.
        accuracy: Share of cases predicted right.
        balanced_accuracy: Mean recall of the classes that have cases.
        macro_auroc: Mean AUROC of the classes that have cases.
    """

    class_names: tuple[str, ...]
    confusion: np.ndarray
    precision: dict[str, Estimate]
    recall: dict[str, Estimate]
    f1: dict[str, Estimate]
    auroc: dict[str, Estimate]
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate


def multiclass_scores(
    labels,
    probabilities,
    groups,
    *,
    class_names: Sequence[str],
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> MulticlassScores:
    """Scores a classifier of several classes on one test set.

    The predicted class is the likeliest, the first of equals. The AUROC of a class has DeLong's
    interval, clustered by patient; all other intervals come from a bootstrap over patients, where a
    resample that lacks a class that has cases is drawn again, and one in which a score is not
    defined (a class never predicted) is left out of that score's interval.

    To pool the test sets of several folds, concatenate them first, each case once. A pooled AUROC
    compares scores of different models, which may not be on one scale; `mean_auroc` over folds
    does not.

    Args:
        labels: (n,) int, true class, counted from 0.
        probabilities: (n, k) float within 0..1, each row adding up to 1.
        groups: (n,) patient of each case.
        class_names: k names, two or more.
        confidence: Coverage of the intervals.
        num_resamples: Number of resamples; 0 gives NaN intervals.
        seed: Seed of the resampling.

    Returns:
        The scores.

    Raises:
        UserError: If shapes do not fit, a label has no name, or a probability is not one.

    Reference:
        Obuchowski, Biometrics 53 (1997), for the clustered AUROC; Efron and Tibshirani, An
        Introduction to the Bootstrap, 1993, for the rest.
    """
    labels, class_names = np.asarray(labels), tuple(class_names)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    _check(labels, probabilities, groups, class_names)
    patients, num_patients = number_patients(groups)
    num_classes = len(class_names)
    cells = labels * num_classes + probabilities.argmax(axis=1)
    confusions = tally(patients, cells, (num_patients, num_classes**2))
    cases = tally(patients, labels, (num_patients, num_classes))
    present = cases.sum(axis=0) > 0
    draws = draw_patients(cases[:, present] > 0, num_resamples, seed)
    values, resamples = (
        _from_confusion((weights @ confusions).reshape(-1, num_classes, num_classes))
        for weights in (np.ones((1, num_patients)), draws)
    )
    by_class: dict[str, Any] = {
        score: {
            name: percentile_estimate(values[score][0, i], resamples[score][:, i], confidence)
            for i, name in enumerate(class_names)
        }
        for score in ("precision", "recall", "f1")
    }
    overall: dict[str, Any] = {
        score: percentile_estimate(values[score][0], resamples[score], confidence)
        for score in ("accuracy", "balanced_accuracy")
    }
    areas = _areas(labels, probabilities, groups, confidence)
    macro = resampled_macro_auroc(labels, probabilities, draws[:, patients])
    known = [area.value for area in areas if np.isfinite(area.value)]
    macro_value = float(np.mean(known or [np.nan]))
    return MulticlassScores(
        class_names=class_names,
        confusion=confusions.sum(axis=0).reshape(num_classes, num_classes).astype(np.int64),
        auroc=dict(zip(class_names, areas, strict=True)),
        macro_auroc=percentile_estimate(macro_value, macro, confidence),
        **by_class,
        **overall,
    )


def _from_confusion(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the scores of (resamples, k, k) confusion matrices; NaN where not defined."""
    right = np.diagonal(confusion, axis1=1, axis2=2)  # (resamples, k)
    actual, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    recall = _ratio(right, actual)
    return {
        "precision": _ratio(right, predicted),
        "recall": recall,
        "f1": _ratio(2 * right, actual + predicted),
        "accuracy": right.sum(axis=1) / confusion.sum(axis=(1, 2)),
        "balanced_accuracy": np.nanmean(recall, axis=1),
    }


def _ratio(count, of) -> np.ndarray:
    return np.divide(count, of, out=np.full(count.shape, np.nan), where=of > 0)


def _areas(labels, probabilities, groups, confidence: float) -> list[Estimate]:
    nan = float("nan")
    return [
        auroc(positive.astype(np.int64), scores, groups, confidence=confidence)
        if positive.any() and not positive.all()
        else Estimate(nan, nan, nan)
        for positive, scores in (
            (labels == index, column) for index, column in enumerate(probabilities.T)
        )
    ]


def resampled_macro_auroc(labels, probabilities, weights) -> np.ndarray:
    """Averages the one-against-rest AUROC over classes, for each row of case weights.

    Args:
        labels: (n,) int.
        probabilities: (n, k) float.
        weights: (resamples, n) float, how often each case counts.

    Returns:
        (resamples,) float, over the classes that have both cases and others among `labels`.
    """
    areas = [
        _weighted_auroc(labels == index, scores, weights)
        for index, scores in enumerate(probabilities.T)
        if (labels == index).any() and (labels != index).any()
    ]
    return np.mean(areas, axis=0) if areas else np.full(len(weights), np.nan)


def _weighted_auroc(positive, scores, weights) -> np.ndarray:
    order = np.argsort(scores, kind="stable")
    ties = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))  # where each begins
    positive = positive[order]
    block, areas = max(1, _CELLS_AT_ONCE // len(scores)), [np.zeros(0)]
    for start in range(0, len(weights), block):
        drawn = weights[start : start + block, order]
        hits = np.add.reduceat(drawn * positive, ties, axis=1)
        others = np.add.reduceat(drawn * ~positive, ties, axis=1)
        below = np.cumsum(others, axis=1) - others / 2  # half of those that tie
        pairs = hits.sum(axis=1) * others.sum(axis=1)
        areas.append(_ratio((hits * below).sum(axis=1), pairs))
    return np.concatenate(areas)


def _check(labels, probabilities, groups, class_names: tuple[str, ...]) -> None:
    if len(class_names) < 2 or len(set(class_names)) != len(class_names):
        raise UserError(f"`class_names` must be two or more names. Received: {class_names}.")
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            "`labels` must be a row of whole numbers, at least one. "
            f"Received: shape {labels.shape}, {labels.dtype}."
        )
    if np.shape(probabilities) != (len(labels), len(class_names)):
        raise UserError(
            f"`probabilities` must have the shape {(len(labels), len(class_names))}: one row a "
            f"case, one column a class. Received: {np.shape(probabilities)}."
        )
    if np.shape(groups) != labels.shape:
        raise UserError(
            f"`groups` must name one patient a case, {len(labels)}. Received: {np.shape(groups)}."
        )
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise UserError(
            f"`labels` must be within 0..{len(class_names) - 1}. "
            f"Received: {labels.min()}..{labels.max()}."
        )
    sums = probabilities.sum(axis=1)
    wrong = ~((probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= 1e-3))
    if wrong.any():
        raise UserError(
            "Each row of `probabilities` must be finite, within 0..1 and add up to 1. "
            f"Received in row {wrong.argmax()}: {probabilities[wrong.argmax()].tolist()}."
        )
