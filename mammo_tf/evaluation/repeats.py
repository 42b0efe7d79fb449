"""Means over folds and over repeated trainings: intervals that hold cases and seeds alike.

`repeats[r][k]` is fold k, scored by the model that was trained on it with seed r. The test cases of
a fold are the same in all repeats. Each training must have drawn random numbers of its own: two
folds of one repeat may share a seed's name, not its draws.

The trainings are the readers of a multi-reader multi-case study: random readers, random cases.
Within a fold, the area of a training is that of the fold plus a part of the training plus a part of
the cases, which the trainings of a fold share. The variance of the mean over R of them is estimated
as (MS + R · max(Cov2, 0)) / R, from

* MS, the variance of the areas between the repeats, and
* Cov2, the mean covariance of two repeats over samples of patients (DeLong, clustered by patient).

Folds share no patient and no training, so both are sums over folds, divided by the square of their
number. The interval is that of Student's t with
(MS + R · max(Cov2, 0))² / Σ MS_k² / (R − 1) degrees of freedom, MS_k the part of fold k. With one
fold that is Hillis' formula; with more it is the same reasoning (Satterthwaite's), and assumes
neither that folds vary alike nor that the seeds of different folds go together.

With one repeat nothing can be known of the seeds, and the interval holds the cases only.

Reference:
    Obuchowski and Rockette, Communications in Statistics: Simulation and Computation 24 (1995).
    Hillis, Statistics in Medicine 26 (2007), section 5.3, the degrees of freedom of one condition;
    Hillis, Statistics in Medicine 33 (2014), the formulas in one place. A paired difference of two
    conditions is one condition of differences: MS is then 2 MS(T·R), Cov2 is 2 (Cov2 − Cov3).
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auprc import mean_auprc, resampled_auprc
from mammo_tf.evaluation.auroc import (
    Estimate,
    ScoredFold,
    areas_and_covariance,
    check_same_cases,
    mean_auroc,
    mean_auroc_difference,
    placements,
)

Repeats = Sequence[Sequence[ScoredFold]]


def mean_auroc_over_repeats(repeats: Repeats, *, confidence: float = 0.95) -> Estimate:
    """Averages the AUROC over folds and repeats.

    Args:
        repeats: R repeats of K folds.
        confidence: Coverage of the interval.

    Returns:
        The mean. With one repeat it is `mean_auroc`; with more, the interval is also one over
        seeds, see this module.

    Raises:
        UserError: If the repeats do not hold the same cases, or as `mean_auroc`.
    """
    check_repeats(repeats)
    if len(repeats) == 1:
        return mean_auroc(repeats[0], confidence=confidence)
    parts = [
        areas_and_covariance(fold[0], *_stacked_placements(fold))
        for fold in zip(*repeats, strict=True)
    ]
    return combine_repeats(*_stacked(parts), confidence=confidence, bounds=(0.0, 1.0))


def mean_auroc_difference_over_repeats(
    repeats: Repeats, reference: Repeats, *, confidence: float = 0.95
) -> Estimate:
    """Averages over folds and repeats how much the AUROC differs from that of a reference.

    Args:
        repeats: R repeats of K folds, scored by the models of interest.
        reference: The same, scored by the reference: the same cases in the same order, and repeat
            r of both from the same seed.
        confidence: Coverage of the interval.

    Returns:
        Mean of (AUROC − reference AUROC). With one repeat it is `mean_auroc_difference`.

    Raises:
        UserError: If the two do not hold the same cases, or differ in their number of repeats.
    """
    if len(repeats) != len(reference):
        raise UserError(
            "A paired comparison needs as many repeats of both. "
            f"Received: {len(repeats)} and {len(reference)}."
        )
    check_repeats([*repeats, *reference])
    if len(repeats) == 1:
        return mean_auroc_difference(repeats[0], reference[0], confidence=confidence)
    parts = []
    for fold, other in zip(zip(*repeats, strict=True), zip(*reference, strict=True), strict=True):
        pairs = zip(_stacked_placements(fold), _stacked_placements(other), strict=True)
        parts.append(areas_and_covariance(fold[0], *(ours - theirs for ours, theirs in pairs)))
    return combine_repeats(*_stacked(parts), confidence=confidence, bounds=(-1.0, 1.0))


def mean_auprc_over_repeats(
    repeats: Repeats, *, num_resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Averages the AUPRC over folds and repeats.

    The covariance of two repeats over samples of patients is that of their values in the same
    bootstrap resamples of patients; the rest is as for the AUROC.

    Args:
        repeats: R repeats of K folds.
        num_resamples: Number of bootstrap resamples, at least 2; 0 for no interval.
        seed: Seed of the resampling.
        confidence: Coverage of the interval.

    Returns:
        The mean. With one repeat it is `mean_auprc`, with its percentile interval.

    Raises:
        UserError: If the repeats do not hold the same cases, or as `mean_auprc`.
    """
    check_repeats(repeats)
    options = {"num_resamples": num_resamples, "seed": seed}
    if len(repeats) == 1:
        return mean_auprc(repeats[0], confidence=confidence, **options)
    if num_resamples < 2:
        values = [mean_auprc(folds, **options).value for folds in repeats]
        return Estimate(float(np.mean(values)), float("nan"), float("nan"))
    parts = []
    for index, fold in enumerate(zip(*repeats, strict=True)):
        each = [resampled_auprc(scored, num_resamples, [seed, index]) for scored in fold]
        values, resamples = zip(*each, strict=True)
        parts.append((np.array(values), np.cov(np.stack(resamples))))
    return combine_repeats(*_stacked(parts), confidence=confidence, bounds=(0.0, 1.0))


def between_seed_sd(repeats: Repeats) -> float:
    """Returns the standard deviation between repeats of the AUROC, averaged over folds.

    It is how far the number moves when nothing but the seed changes, on these test cases. NaN with
    one repeat.

    Args:
        repeats: R repeats of K folds.
    """
    check_repeats(repeats)
    if len(repeats) == 1:
        return float("nan")
    return float(np.std([mean_auroc(folds).value for folds in repeats], ddof=1))


def combine_repeats(
    areas, covariances, *, confidence: float, bounds: tuple[float, float]
) -> Estimate:
    """Joins the areas of R trainings of each of K folds into the mean and its interval.

    Args:
        areas: (K, R) float, or differences of areas.
        covariances: (K, R, R) float, over samples of patients.
        confidence: Coverage of the interval.
        bounds: Ends that the interval cannot pass.

    Returns:
        The mean, see this module for its interval. `seed_variance` is what MS has beyond what the
        cases alone would give it, at least 0.

    Reference:
        Hillis (2007), section 5.3; Hillis (2014).
    """
    areas, covariances = np.asarray(areas, np.float64), np.asarray(covariances, np.float64)
    num_folds, num_repeats = areas.shape
    own = np.einsum("kii->k", covariances) / num_repeats
    shared = (covariances.sum(axis=(1, 2)) / num_repeats - own) / (num_repeats - 1)
    squares = areas.var(axis=1, ddof=1) / num_folds**2
    case_part = num_repeats * np.maximum(shared.sum() / num_folds**2, 0.0)
    total = squares.sum() + case_part
    freedom = _ratio(total**2, np.sum(squares**2) / (num_repeats - 1))
    from_cases = (own - shared).sum() / num_folds**2
    value, error = float(areas.mean()), float(np.sqrt(total / num_repeats))
    reach = stats.t.ppf(0.5 + confidence / 2, freedom) * error
    low, high = np.clip([value - reach, value + reach], *bounds)
    return Estimate(
        value,
        float(low),
        float(high),
        error,
        freedom,
        float(np.maximum(squares.sum() - from_cases, 0.0) / num_repeats),
    )


def check_repeats(repeats: Repeats) -> None:
    """Raises UserError unless there are repeats, all of the same cases in the same order."""
    if not len(repeats) or not all(len(folds) for folds in repeats):
        raise UserError("A mean over repeats needs at least one repeat with a fold.")
    for folds in repeats[1:]:
        if len(folds) != len(repeats[0]):
            raise UserError(
                "Every repeat must have the same folds. "
                f"Received: {len(repeats[0])} and {len(folds)} folds."
            )
        for fold, other in zip(repeats[0], folds, strict=True):
            check_same_cases(fold, other)


def _stacked_placements(fold: Sequence[ScoredFold]) -> tuple[np.ndarray, np.ndarray]:
    """(R, positives) and (R, negatives), the placements of one fold in each repeat."""
    positive, negative = zip(
        *(placements(scored.labels, scored.scores) for scored in fold), strict=True
    )
    return np.stack(positive), np.stack(negative)


def _stacked(parts) -> tuple[np.ndarray, np.ndarray]:
    areas, covariances = zip(*parts, strict=True)
    return np.stack(areas), np.stack(covariances)


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else float("inf")
