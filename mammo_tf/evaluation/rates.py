"""Accuracy and recall at a threshold, over folds and repeated trainings, by patient."""

import numpy as np
from scipy import stats

from mammo_tf.config import check_choice
from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate, ScoredFold
from mammo_tf.evaluation.repeats import Repeats, check_repeats, combine_repeats

RATES = ("accuracy", "recall")


def mean_rate_over_repeats(
    repeats: Repeats, rate: str, *, threshold: float = 0.5, confidence: float = 0.95
) -> Estimate:
    """Averages accuracy or recall over folds and repeats.

    Recall is the share of the positive cases that are called positive: true positives by true
    positives and false negatives. (Peterka et al. 2020 write false positives there, which would be
    precision.) A rate is a ratio of sums over patients, so its variance is that of a ratio
    estimator; repeats are joined as in `mammo_tf.evaluation.repeats`.

    Args:
        repeats: R repeats of K folds of two classes.
        rate: "accuracy" or "recall".
        threshold: Cases with this score or more are called positive.
        confidence: Coverage of the interval.

    Returns:
        The mean. With one repeat the interval is one over patients alone.

    Raises:
        UserError: For another rate, repeats that do not hold the same cases, or a fold without
            cases to count.

    Reference:
        Cochran, Sampling Techniques, 3rd ed. 1977, section 6.3, for ratios.
    """
    check_choice("rate", rate, RATES)
    check_repeats(repeats)
    folds = list(zip(*repeats, strict=True))
    parts = [_rates_and_covariance(fold, rate, threshold) for fold in folds]
    values, covariances = (np.stack(part) for part in zip(*parts, strict=True))
    if len(repeats) > 1:
        return combine_repeats(values, covariances, confidence=confidence, bounds=(0.0, 1.0))
    error = float(np.sqrt(covariances.sum()) / len(folds))
    value, reach = float(values.mean()), stats.norm.ppf(0.5 + confidence / 2) * error
    return Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0), error)


def _rates_and_covariance(
    fold: tuple[ScoredFold, ...], rate: str, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(R,) rates of one fold's trainings, and (R, R) their covariance over samples of patients."""
    labels = np.asarray(fold[0].labels)
    counted = labels == 1 if rate == "recall" else np.ones(len(labels), bool)
    if not counted.any():
        raise UserError(f"The {rate} needs a positive case in every fold's test part.")
    called = np.stack([np.asarray(one.scores) >= threshold for one in fold])[:, counted]
    right = (called == (labels[counted] == 1)).astype(np.float64)
    values = right.mean(axis=1)
    patients = np.unique(np.asarray(fold[0].groups)[counted], return_inverse=True)[1].reshape(-1)
    num_patients = patients.max() + 1
    rows = [np.bincount(patients, row) for row in right - values[:, np.newaxis]]
    totals = np.stack(rows) / counted.sum()
    unbiased = num_patients / (num_patients - 1) if num_patients > 1 else np.nan
    return values, unbiased * totals @ totals.T
