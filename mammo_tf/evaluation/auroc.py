"""Area under the ROC curve with DeLong confidence intervals, also for several cases a patient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mammo_tf.errors import UserError


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: The point estimate.
        low: Lower end of the interval.
        high: Upper end of the interval.
        standard_error: Standard error of `value`, or NaN where the method gives none.
        degrees_of_freedom: Of the t distribution behind the interval; infinite for the normal one.
        seed_variance: The part of `standard_error`² that comes from the seeds of the trainings,
            which more patients would not shrink; 0 where each training was done once, because
            then nothing is known of it.
    """

    value: float
    low: float
    high: float
    standard_error: float = float("nan")
    degrees_of_freedom: float = float("inf")
    seed_variance: float = 0.0

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "–"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.2f} (no interval)"
        return f"{self.value:.2f} ({self.low:.2f}, {self.high:.2f})"


@dataclass(frozen=True)
class ScoredFold:
    """The test cases of one fold.

    Attributes:
        labels: (n,) int, the class; 1 for positive and 0 for negative where there are two.
        scores: (n,) float, higher means more likely positive; or (n, K), the probability of each
            of K classes.
        groups: (n,) patient of each case; cases of one patient are not independent.
        example_ids: (n,) id of each case, so that two models can be compared case by case.
    """

    labels: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    example_ids: np.ndarray | None = None


def auroc(labels, scores, groups=None, *, confidence: float = 0.95) -> Estimate:
    """Computes the AUROC of one test set with its DeLong interval.

    Args:
        labels: (n,) int, 0 or 1, both present.
        scores: (n,) float, finite.
        groups: (n,) patient of each case, or None when every case is a patient of its own. With
            groups the variance is the clustered one, which is DeLong's when each case is alone.
        confidence: Coverage of the interval, between 0 and 1.

    Returns:
        The estimate; the interval is the normal one, cut to [0, 1].

    Raises:
        UserError: If a class is missing, a score is not finite or the lengths differ.

    Examples:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value
        0.75

    Reference:
        DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); Obuchowski, Biometrics 53 (1997)
        for clustered data.
    """
    return mean_auroc([_fold(labels, scores, groups)], confidence=confidence)


def mean_auroc(folds: Sequence[ScoredFold], *, confidence: float = 0.95) -> Estimate:
    """Averages the AUROC over cross-validation folds.

    The folds' test sets share no patient, so their variances add; that the folds' models share
    training data is not in the interval.

    Args:
        folds: The test cases of each fold.
        confidence: Coverage of the interval.

    Returns:
        Mean over folds with its interval.

    Reference:
        LeDell, Petersen and van der Laan, Electronic Journal of Statistics 9 (2015).
    """
    parts = [_area_and_variance(fold, *placements(fold.labels, fold.scores)) for fold in folds]
    return _combine(parts, confidence, bounds=(0.0, 1.0))


def mean_auroc_difference(
    folds: Sequence[ScoredFold], reference: Sequence[ScoredFold], *, confidence: float = 0.95
) -> Estimate:
    """Averages over folds how much the AUROC differs from that of a reference, paired by case.

    Args:
        folds: The test cases of each fold, scored by the model of interest.
        reference: The same cases in the same order, scored by the reference.
        confidence: Coverage of the interval.

    Returns:
        Mean of (AUROC − reference AUROC) with the paired DeLong interval, within [−1, 1].

    Raises:
        UserError: If the two do not hold the same cases.
    """
    parts = []
    for fold, other in zip(folds, reference, strict=True):
        check_same_cases(fold, other)
        positive, negative = placements(fold.labels, fold.scores)
        other_positive, other_negative = placements(other.labels, other.scores)
        difference = positive - other_positive, negative - other_negative
        parts.append(_area_and_variance(fold, *difference))
    return _combine(parts, confidence, bounds=(-1.0, 1.0))


def _fold(labels, scores, groups) -> ScoredFold:
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    return ScoredFold(labels, np.asarray(scores, dtype=np.float64), groups)


def check_scored(labels: np.ndarray, scores: np.ndarray) -> None:
    """Raises UserError unless both classes are present and every score is finite."""
    if labels.shape != scores.shape or labels.ndim != 1:
        raise UserError(
            "`labels` and `scores` must be one-dimensional and equally long. "
            f"Received shapes: {labels.shape} and {scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise UserError(
            f"Scores must be finite. Received {np.sum(~np.isfinite(scores))} that are not."
        )
    values, counts = np.unique(labels, return_counts=True)
    if not np.array_equal(values, [0, 1]):
        received = dict(zip(values.tolist(), counts.tolist(), strict=True))
        raise UserError(f"A test set needs cases of both classes, 0 and 1. Received: {received}.")


def placements(labels, scores) -> tuple[np.ndarray, np.ndarray]:
    """Computes how each case lies among the cases of the other class.

    Args:
        labels: (n,) int, 0 or 1, both present.
        scores: (n,) float, finite.

    Returns:
        (positives,) float, the share of negatives below each positive, and (negatives,) float, the
        share of positives above each negative; ties count half. The mean of either is the AUROC.

    Raises:
        UserError: As `auroc`.
    """
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    check_scored(labels, scores)
    positive, negative = scores[labels == 1], scores[labels == 0]
    below = _rank_among(positive, negative) / len(negative)
    above = 1 - _rank_among(negative, positive) / len(positive)
    return below, above


def areas_and_covariance(fold: ScoredFold, positive, negative) -> tuple[np.ndarray, np.ndarray]:
    """Computes the areas of several scorings of the same cases, and how they vary together.

    Args:
        fold: The cases; its scores are not read.
        positive: (m, positives) float, see `placements`, or differences of two of them.
        negative: (m, negatives) float.

    Returns:
        (m,) float, the area of each scoring, and (m, m) float, their covariance over samples of
        patients.

    Reference:
        DeLong et al. (1988), equation 5; Obuchowski (1997) for several cases a patient.
    """
    areas = positive.mean(axis=1)
    _, cluster = np.unique(np.asarray(fold.groups), return_inverse=True)
    is_positive = np.asarray(fold.labels) == 1
    num_clusters = cluster.max() + 1
    of_positive = _summed(positive - areas[:, None], cluster[is_positive], num_clusters)
    of_negative = _summed(negative - areas[:, None], cluster[~is_positive], num_clusters)
    with_positive = len(np.unique(cluster[is_positive]))
    with_negative = len(np.unique(cluster[~is_positive]))
    crossed = of_positive @ of_negative.T
    covariance = (
        _unbiased(with_positive) * of_positive @ of_positive.T
        + _unbiased(with_negative) * of_negative @ of_negative.T
        + _unbiased(num_clusters) * (crossed + crossed.T)
    )
    return areas, covariance


def check_same_cases(fold: ScoredFold, other: ScoredFold) -> None:
    """Raises UserError unless both hold the same cases in the same order."""
    same = np.array_equal(fold.labels, other.labels) and np.array_equal(fold.groups, other.groups)
    if fold.example_ids is not None and other.example_ids is not None:
        same = same and np.array_equal(fold.example_ids, other.example_ids)
    if not same:
        raise UserError("A paired comparison needs the same cases in the same order.")


def _area_and_variance(fold: ScoredFold, positive, negative) -> tuple[float, float]:
    areas, covariance = areas_and_covariance(fold, positive[None], negative[None])
    return float(areas[0]), max(float(covariance[0, 0]), 0.0)


def _rank_among(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How many of `others` are below each value; those that equal it count half."""
    others = np.sort(others)
    below, not_above = (np.searchsorted(others, values, side) for side in ("left", "right"))
    return (below + not_above) / 2


def _summed(centred: np.ndarray, cluster: np.ndarray, num_clusters: int) -> np.ndarray:
    """(m, patients) float, what each patient adds to the mean over (m, cases)."""
    totals = np.stack([np.bincount(cluster, row, num_clusters) for row in centred])
    return totals / centred.shape[1]


def _unbiased(count: int) -> float:
    return count / (count - 1) if count > 1 else float("nan")


def _combine(parts, confidence: float, bounds: tuple[float, float]) -> Estimate:
    areas, variances = np.array(parts).T
    value = float(areas.mean())
    error = float(np.sqrt(variances.sum()) / len(areas))
    reach = stats.norm.ppf(0.5 + confidence / 2) * error
    low, high = np.clip([value - reach, value + reach], *bounds)
    return Estimate(value, float(low), float(high), error)
