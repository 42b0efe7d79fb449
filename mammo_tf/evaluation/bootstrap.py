"""Resampling of patients, for scores whose interval has no closed form."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate

_MOST_ROUNDS = 1000


def number_patients(groups) -> tuple[np.ndarray, int]:
    """Gives each case the number of its patient, and how many patients there are."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    return numbers.reshape(-1), len(names)


def tally(patients, columns, shape: tuple[int, int]) -> np.ndarray:
    """Counts items by patient and column.

    Args:
        patients: (n,) int, the patient of each item.
        columns: (n,) int, the column of each item.
        shape: Number of patients and of columns.

    Returns:
        (patients, columns) float.
    """
    cells = np.asarray(patients, dtype=np.int64) * shape[1] + np.asarray(columns, dtype=np.int64)
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)


def draw_patients(needed: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """Draws patients with replacement, as many as there are.

    Args:
        needed: (patients, conditions) bool, what each patient contributes. A resample in which
            some condition is met by no patient is drawn again.
        num_resamples: Number of resamples, at least 2, or 0 for none.
        seed: Seed of the drawing.

    Returns:
        (num_resamples, patients) float, how often each patient is drawn. No row where there is one
        patient only: all resamples would be alike and their spread would say nothing.

    Raises:
        UserError: If `num_resamples` is 1 or negative, or if usable resamples are too rare.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if num_resamples < 0 or num_resamples == 1:
        raise UserError(
            f"`num_resamples` must be at least 2, or 0 for none. Received: {num_resamples}."
        )
    num_patients = len(needed)
    rng = np.random.default_rng(seed)
    kept, missing = [np.zeros((0, num_patients))], num_resamples if num_patients > 1 else 0
    for _ in range(_MOST_ROUNDS):
        if missing <= 0:
            return np.concatenate(kept)[:num_resamples]
        counts = rng.multinomial(num_patients, np.full(num_patients, 1 / num_patients), missing)
        counts = counts.astype(np.float64)
        usable = ((counts @ needed) > 0).all(axis=1)
        kept.append(counts[usable])
        missing -= usable.sum()
    raise UserError(
        "Too few patients for a bootstrap: resamples with a case of every class are too rare. "
        f"Received: {num_patients} patients. Pass `num_resamples=0` for no interval."
    )


def percentile_estimate(value: float, resamples, confidence: float) -> Estimate:
    """Joins a value with the percentile interval of its resamples.

    Resamples in which the score is not defined (NaN) are left out. The interval is NaN where the
    value is, or where fewer than two resamples are left.

    Args:
        value: The point estimate.
        resamples: (resamples,) float, the score of each resample.
        confidence: Coverage of the interval, between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise UserError(f"`confidence` must be between 0 and 1. Received: {confidence}.")
    resamples = np.asarray(resamples, dtype=np.float64)
    resamples = resamples[np.isfinite(resamples)]
    if not np.isfinite(value) or len(resamples) < 2:
        return Estimate(float(value), float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), float(resamples.std(ddof=1)))
