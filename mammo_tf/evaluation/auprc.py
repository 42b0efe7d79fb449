"""Area under the precision-recall curve, with a bootstrap over patients."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.evaluation.auroc import Estimate, ScoredFold, check_scored
from mammo_tf.evaluation.bootstrap import number_patients, percentile_estimate

_CELLS_AT_ONCE = 4_000_000  # bounds the memory of one block of resamples to some 100 MB


def mean_auprc(
    folds: Sequence[ScoredFold],
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Averages the AUPRC (average precision) over folds, with a percentile bootstrap interval.

    Each resample draws patients, not cases, with replacement within each fold; a draw without a
    positive case is drawn again.

    Args:
        folds: The test cases of each fold.
        confidence: Coverage of the interval.
        num_resamples: Number of bootstrap resamples; 0 for no interval.
        seed: Seed of the resampling; the same seed gives the same interval.

    Returns:
        Mean over folds with its interval and the bootstrap standard error.

    Raises:
        UserError: If a fold lacks a class or a score is not finite.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Which interval
        the paper used is not stated in it.
    """
    values, resamples = [], []
    for index, fold in enumerate(folds):
        value, drawn = resampled_auprc(fold, num_resamples, [seed, index])
        values.append(value)
        resamples.append(drawn)
    return percentile_estimate(float(np.mean(values)), np.mean(resamples, axis=0), confidence)


def resampled_auprc(
    fold: ScoredFold, num_resamples: int, seed: int | Sequence[int]
) -> tuple[float, np.ndarray]:
    """Computes the AUPRC of one fold, and of resamples of its patients.

    Args:
        fold: The test cases.
        num_resamples: Number of resamples.
        seed: Seed of the drawing. Two scorings of the same cases get the same patients.

    Returns:
        The AUPRC, and (num_resamples,) float.
    """
    labels, scores = np.asarray(fold.labels), np.asarray(fold.scores, dtype=np.float64)
    check_scored(labels, scores)
    value = _average_precision(labels, scores, np.ones((1, len(labels))))[0]
    rng = np.random.default_rng(seed)
    return value, _resampled(labels, scores, fold.groups, num_resamples, rng)


def auprc(labels, scores, groups=None, **options) -> Estimate:
    """Computes the AUPRC of one test set; see `mean_auprc` for arguments and method.

    Examples:
        >>> round(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 4)
        0.8333
    """
    labels = np.asarray(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    return mean_auprc([ScoredFold(labels, np.asarray(scores), groups)], **options)


def _resampled(labels, scores, groups, num_resamples: int, rng) -> np.ndarray:
    cluster, num_clusters = number_patients(groups)
    has_positive = np.bincount(cluster, labels == 1, num_clusters) > 0
    block = max(1, _CELLS_AT_ONCE // len(labels))
    values = [np.zeros(0)]
    for start in range(0, num_resamples, block):
        count = min(block, num_resamples - start)
        draws = np.stack([_draw_patients(has_positive, rng) for _ in range(count)])
        values.append(_average_precision(labels, scores, draws[:, cluster]))
    return np.concatenate(values)


def _draw_patients(has_positive: np.ndarray, rng) -> np.ndarray:
    """How often each patient is drawn; always at least one with a positive case.

    `bootstrap.draw_patients` draws the same distribution from other random numbers. This one stays,
    so that a run computed again has the intervals that it was published with.
    """
    count = len(has_positive)
    while True:
        drawn = rng.integers(count, size=count)
        if has_positive[drawn].any():
            return np.bincount(drawn, minlength=count).astype(np.float64)


def _average_precision(labels, scores, weights) -> np.ndarray:
    """Average precision for each row of case weights; tied scores share one threshold."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    weights = weights[:, order]
    hits = np.cumsum(weights * labels[order], axis=1)[:, last_of_tie]
    calls = np.cumsum(weights, axis=1)[:, last_of_tie]
    precision = np.divide(hits, calls, out=np.zeros_like(hits), where=calls > 0)
    gained = np.diff(hits, axis=1, prepend=0)
    return (precision * gained).sum(axis=1) / hits[:, -1]
