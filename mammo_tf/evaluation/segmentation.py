"""How well maps cover lesions: Dice, its threshold, the pointing game; with intervals."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate
from mammo_tf.evaluation.bootstrap import draw_patients, number_patients, percentile_estimate, tally
from mammo_tf.evaluation.repeats import combine_repeats

_NUM_THRESHOLDS = 100
_MOST_VALUES = 1_000_000  # of all maps together, from which thresholds are drawn


def dice(marked: np.ndarray, lesion: np.ndarray) -> float:
    """Returns 2 |A ∩ B| / (|A| + |B|) of two areas; 1 where both are empty.

    Args:
        marked: (height, width) bool.
        lesion: (height, width) bool.

    Raises:
        UserError: If the shapes differ.

    Examples:
        >>> dice(np.array([[True, True, False]]), np.array([[False, True, False]]))
        0.6666666666666666

    Reference:
        Dice, Ecology 26 (1945); the measure of Liu et al. 2021.
    """
    if marked.shape != lesion.shape:
        raise UserError(f"Areas must be of one shape. Received: {marked.shape}, {lesion.shape}.")
    total = int(marked.sum()) + int(lesion.sum())
    return 2 * int((marked & lesion).sum()) / total if total else 1.0


def pointing(values: np.ndarray, lesion: np.ndarray) -> float:
    """Returns 1 where a map's highest value lies in the lesion, else 0; of several, their share.

    Args:
        values: (height, width) float.
        lesion: (height, width) bool.

    Reference:
        Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016.
    """
    highest = values == values.max()
    return float(lesion[highest].mean())


def choose_threshold(maps: Sequence[np.ndarray], lesions: Sequence[np.ndarray]) -> float:
    """Returns the threshold with the highest mean Dice; of equal ones the lowest.

    A pixel is marked where its value is at least the threshold. Candidates are a hundred quantiles
    of the maps' values, closer together the higher they are.

    Args:
        maps: n of (height, width) float, of validation images.
        lesions: n of (height, width) bool.

    Raises:
        UserError: If there is none, or the shapes differ.
    """
    if not len(maps) or len(maps) != len(lesions):
        raise UserError(
            f"A threshold needs maps and as many lesions. Received: {len(maps)} and {len(lesions)}."
        )
    step = max(1, sum(values.size for values in maps) // _MOST_VALUES)
    values = np.concatenate([np.ravel(each)[::step] for each in maps])
    shares = 1 - np.geomspace(1, 1e-4, _NUM_THRESHOLDS)
    candidates = np.unique(np.quantile(values, shares))
    found = [
        np.mean([dice(one >= level, lesion) for one, lesion in zip(maps, lesions, strict=True)])
        for level in candidates
    ]
    return float(candidates[int(np.argmax(found))])


def mean_over_cases(
    repeats: Sequence[Sequence[np.ndarray]],
    groups: Sequence[np.ndarray],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    num_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """Averages a measure of single images over folds and repeats.

    With one repeat the interval is a bootstrap's over patients; with more it is one over trainings
    too, see `mammo_tf.evaluation.repeats`. For a paired comparison give differences.

    Args:
        repeats: R repeats of K folds, each (n_k,) float, the same images in all repeats.
        groups: K of (n_k,), the patient of each image.
        bounds: Ends that the interval cannot pass.
        num_resamples: Number of resamples, at least 2; 0 for no interval.
        seed: Seed of the resampling.
        confidence: Coverage of the interval.

    Returns:
        The mean over folds of their means; NaN without interval where there is no image.

    Raises:
        UserError: If repeats and groups do not fit together.
    """
    for folds in repeats:
        if [len(fold) for fold in folds] != [len(fold) for fold in groups]:
            raise UserError("Every repeat needs a value for each image of each fold.")
    used = [index for index, fold in enumerate(groups) if len(fold)]
    if not used:
        return Estimate(float("nan"), float("nan"), float("nan"))
    parts = [
        [_resampled_means(folds[index], groups[index], num_resamples, [seed, index])
         for folds in repeats]
        for index in used
    ]  # fmt: skip
    values = np.array([[mean for mean, _ in part] for part in parts])
    resamples = [np.stack([found for _, found in part]) for part in parts]
    if min(found.shape[1] for found in resamples) < 2:
        return Estimate(float(values.mean()), float("nan"), float("nan"))
    if len(repeats) == 1:
        return percentile_estimate(
            float(values.mean()), np.mean([found[0] for found in resamples], axis=0), confidence
        )
    covariances = np.stack([np.cov(found) for found in resamples])
    return combine_repeats(values, covariances, confidence=confidence, bounds=bounds)


def _resampled_means(values, groups, num_resamples: int, seed) -> tuple[float, np.ndarray]:
    """The mean, and that of each resample of patients."""
    patients, count = number_patients(groups)
    cases = tally(patients, np.zeros(len(patients), int), (count, 1))[:, 0]
    draws = draw_patients(cases[:, np.newaxis] > 0, num_resamples, seed)
    sums = np.bincount(patients, np.asarray(values, np.float64), count)
    return float(np.mean(values)), draws @ sums / np.maximum(draws @ cases, 1)
