"""Probabilities and operating points against a reference: a model may keep its AUROC and lose both.

Two models that rank the cases alike have one AUROC, whatever their scores mean. In use a score is
read as a probability, or held against a threshold that was fixed on the reference; this module says
what becomes of either.

All values are of the cases of all folds together, each scored by a model that was not trained on
it; a threshold is a model's own, so each fold has its own. Intervals come from a bootstrap over
patients in which condition and reference are drawn alike; the thresholds are found anew in every
resample. They hold the cases, not the seeds. Repeats can be passed as further folds: a patient is
then drawn in all of them together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate, ScoredFold, check_same_cases, check_scored
from mammo_tf.evaluation.bootstrap import draw_patients, number_patients, percentile_estimate

NUM_BINS = 15
_CELLS_AT_ONCE = 4_000_000  # bounds the memory of one block of resamples to some 100 MB


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a condition's probabilities and operating points are, beside those of a reference.

    Attributes:
        ece: Expected calibration error. It cannot be below 0, so that few cases make it too large;
            `ece_change` is less concerned. Resamples have it larger still, so the interval of
            either is the percentile one, moved so that its resamples' mean is the value.
        brier: Brier score, the mean squared distance of probability and class.
        ece_change: ECE minus that of the reference; above 0 is worse.
        brier_change: Brier score minus that of the reference; above 0 is worse.
        threshold: The mean over folds of the lowest threshold of this condition with at least the
            specificity asked for; a case above it is called positive.
        threshold_shift: `threshold` minus that of the reference.
        sensitivity: Share of positives above the threshold of the *reference*.
        specificity: Share of negatives not above it.
        sensitivity_change: `sensitivity` minus that of the reference, at the same threshold.
        specificity_change: The same of `specificity`.
    """

    ece: Estimate
    brier: Estimate
    ece_change: Estimate
    brier_change: Estimate
    threshold: Estimate
    threshold_shift: Estimate
    sensitivity: Estimate
    specificity: Estimate
    sensitivity_change: Estimate
    specificity_change: Estimate


def calibration_against(
    folds: Sequence[ScoredFold],
    reference: Sequence[ScoredFold],
    *,
    specificity: float = 0.95,
    num_bins: int = NUM_BINS,
    num_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Calibration:
    """Computes calibration and operating points of a condition.

    The ECE has bins of equal numbers of cases: it is less biased than with bins of equal width,
    most of which are nearly empty where one class is rare. Equal scores share a bin. The bins are
    those of the whole sample, in all resamples.

    Args:
        folds: The test cases of each fold, scored by the condition's models; scores are
            probabilities of class 1.
        reference: The same cases in the same order, scored by the reference's; pass `folds` for
            the reference itself.
        specificity: Specificity that the threshold must have on the reference, between 0 and 1.
        num_bins: Bins of the ECE, at least 1.
        num_resamples: Number of bootstrap resamples, at least 2, or 0 for no intervals.
        seed: Seed of the resampling.
        confidence: Coverage of the intervals.

    Returns:
        The values with their intervals.

    Raises:
        UserError: If a score is no probability, a fold lacks a class, the two do not hold the same
            cases, or an argument is out of range.

    Reference:
        ECE: Naeini, Cooper and Hauskrecht, AAAI 2015; 15 bins as Guo et al., ICML 2017; bins of
        equal mass and the bias: Roelofs et al., AISTATS 2022. Brier, Monthly Weather Review 78
        (1950). Bootstrap: Efron and Tibshirani 1993, chapter 13.
    """
    if not 0 < specificity < 1 or num_bins < 1:
        raise UserError(
            "`specificity` must be between 0 and 1 and `num_bins` at least 1. "
            f"Received: {specificity} and {num_bins}."
        )
    if not len(folds) or len(folds) != len(reference):
        raise UserError(
            f"Calibration needs as many folds of both. Received: {len(folds)}, {len(reference)}."
        )
    measure = _Measure(folds, reference, specificity, num_bins)
    value = measure(np.ones((1, measure.num_patients)))
    draws = draw_patients(measure.needed(), num_resamples, seed)
    blocks = [measure(block) for block in _blocks(draws, measure.num_cases)]
    resampled = {
        name: np.concatenate([np.zeros(0), *(block[name] for block in blocks)]) for name in value
    }
    for name, least in (("ece", 0.0), ("ece_change", -1.0)):
        if len(draws):
            excess = resampled[name].mean() - value[name][0]
            resampled[name] = np.maximum(resampled[name] - excess, least)
    return Calibration(
        **{name: percentile_estimate(value[name][0], resampled[name], confidence) for name in value}
    )


def expected_calibration_error(labels, probabilities, *, num_bins: int = NUM_BINS) -> float:
    """Returns the ECE of one set of cases, with bins of equal numbers of cases.

    Args:
        labels: (n,) int, 0 or 1.
        probabilities: (n,) float in [0, 1], of class 1.
        num_bins: Number of bins.

    Examples:
        >>> expected_calibration_error([0, 1, 1, 1], [0.25, 0.25, 0.75, 0.75], num_bins=2)
        0.25
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    excess = _binned(probabilities, num_bins) * (probabilities - labels)[:, None]
    return float(np.abs(excess.sum(axis=0)).sum() / len(labels))


def threshold_at_specificity(negatives, specificity: float, weights=None) -> np.ndarray:
    """Finds the lowest score of a negative that leaves at least this share of negatives uncalled.

    A case is called positive when its score is above the threshold.

    Args:
        negatives: (n,) float, scores of the negatives.
        specificity: Share of them that must not be called.
        weights: (m, n) float, how often each counts in each of m resamples; None for once.

    Returns:
        (m,) float.

    Examples:
        >>> threshold_at_specificity([0.1, 0.2, 0.3, 0.4], 0.75).tolist()
        [0.3]
    """
    negatives = np.asarray(negatives, np.float64)
    weights = np.ones((1, len(negatives))) if weights is None else np.asarray(weights)
    order = np.argsort(negatives, kind="stable")
    kept = np.cumsum(weights[:, order], axis=1)
    enough = kept >= specificity * kept[:, -1:] - 1e-9
    return negatives[order][enough.argmax(axis=1)]


class _Measure:
    """From (m, patients), how often each patient counts, to m values of everything."""

    def __init__(self, folds, reference, specificity: float, num_bins: int):
        self.specificity = specificity
        self.labels, self.cluster, self.num_patients, self.fold = _joined(folds)
        self.ours, self.theirs = _probabilities(folds), _probabilities(reference)
        for fold, other in zip(folds, reference, strict=True):
            check_same_cases(fold, other)
        self.num_cases, self.num_folds = len(self.labels), len(folds)
        self.bins = [_binned(scores, num_bins) for scores in (self.ours, self.theirs)]

    def needed(self) -> np.ndarray:
        """(patients, conditions) bool: some positive, and a negative in every fold."""
        cells = [self.labels == 1]
        cells += [(self.labels == 0) & (self.fold == k) for k in range(self.num_folds)]
        counts = [np.bincount(self.cluster, cell, self.num_patients) > 0 for cell in cells]
        return np.stack(counts, axis=1)

    def __call__(self, draws: np.ndarray) -> dict[str, np.ndarray]:
        weights = draws[:, self.cluster]  # (m, cases)
        ece, brier = self._errors(self.ours, self.bins[0], weights)
        ece_there, brier_there = self._errors(self.theirs, self.bins[1], weights)
        own, fixed = self._thresholds(self.ours, weights), self._thresholds(self.theirs, weights)
        found, spared = self._shares(self.ours, fixed, weights)
        found_there, spared_there = self._shares(self.theirs, fixed, weights)
        return {
            "ece": ece,
            "brier": brier,
            "ece_change": ece - ece_there,
            "brier_change": brier - brier_there,
            "threshold": own.mean(axis=1),
            "threshold_shift": (own - fixed).mean(axis=1),
            "sensitivity": found,
            "specificity": spared,
            "sensitivity_change": found - found_there,
            "specificity_change": spared - spared_there,
        }

    def _errors(self, scores, bins, weights) -> tuple[np.ndarray, np.ndarray]:
        distance, total = scores - self.labels, weights.sum(axis=1)
        excess = weights @ (bins * distance[:, None])  # (m, bins)
        return np.abs(excess).sum(axis=1) / total, weights @ distance**2 / total

    def _thresholds(self, scores, weights) -> np.ndarray:
        """(m, folds), each fold's own."""
        cells = [(self.labels == 0) & (self.fold == k) for k in range(self.num_folds)]
        columns = [
            threshold_at_specificity(scores[cell], self.specificity, weights[:, cell])
            for cell in cells
        ]
        return np.stack(columns, axis=1)

    def _shares(self, scores, thresholds, weights) -> tuple[np.ndarray, np.ndarray]:
        """Shares of positives called, and of negatives not called."""
        called = scores > thresholds[:, self.fold]  # (m, cases)
        positive = weights * self.labels
        negative = weights - positive
        found = (positive * called).sum(axis=1) / positive.sum(axis=1)
        return found, (negative * ~called).sum(axis=1) / negative.sum(axis=1)


def _joined(folds) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Labels, number of the patient, how many patients, and number of the fold."""
    labels = np.concatenate([np.asarray(fold.labels) for fold in folds])
    cluster, num_patients = number_patients(np.concatenate([fold.groups for fold in folds]))
    fold = np.repeat(np.arange(len(folds)), [len(fold.labels) for fold in folds])
    return labels, cluster, num_patients, fold


def _probabilities(folds) -> np.ndarray:
    scores = [np.asarray(fold.scores, np.float64) for fold in folds]
    for fold, values in zip(folds, scores, strict=True):
        check_scored(np.asarray(fold.labels), values)
        if values.min() < 0 or values.max() > 1:
            raise UserError(
                "Calibration needs probabilities, from 0 to 1. "
                f"Received scores from {values.min():g} to {values.max():g}."
            )
    return np.concatenate(scores)


def _binned(probabilities: np.ndarray, num_bins: int) -> np.ndarray:
    """(n, bins) float, 1 where a case is in a bin; bins have about as many cases each."""
    shares = np.arange(1, num_bins) / num_bins
    edges = np.quantile(probabilities, shares, method="inverted_cdf")
    return np.eye(num_bins)[np.searchsorted(edges, probabilities, side="left")]


def _blocks(draws: np.ndarray, num_cases: int) -> Iterator[np.ndarray]:
    size = max(1, _CELLS_AT_ONCE // num_cases)
    for start in range(0, len(draws), size):
        yield draws[start : start + size]
