"""Decision curves: whether acting on a model's probabilities does more good than harm.

Net benefit at threshold t is TP/n − FP/n · t/(1 − t): true positives, less false ones at the rate
at which whoever acts from t on is ready to trade them. "All" acts on everyone, "none" has 0.

Reference:
    Vickers and Elkin, Medical Decision Making 26 (2006).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate, ScoredFold
from mammo_tf.evaluation.bootstrap import draw_patients, number_patients, percentile_estimate, tally

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, kw_only=True)
class DecisionPoint:
    """The net benefit at one threshold.

    Attributes:
        threshold: A case of at least this probability is acted on.
        model: Net benefit of acting on the model's probabilities.
        all_cases: Net benefit of acting on every case.
        gain: `model` less the better of `all_cases` and 0, in each resample anew.
    """

    threshold: float
    model: Estimate
    all_cases: Estimate
    gain: Estimate


def decision_curve(
    folds: Sequence[ScoredFold],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    num_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[DecisionPoint, ...]:
    """Computes the net benefit at each threshold, all folds' test cases together.

    Args:
        folds: The test cases of each fold; scores are (n,) probabilities of class 1.
        thresholds: Between 0 and 1, the ends excluded.
        num_resamples: Bootstrap resamples of patients, at least 2, or 0 for no intervals.
        seed: Seed of the resampling.
        confidence: Coverage of the intervals.

    Returns:
        One point a threshold. Intervals are percentile ones over patients.

    Raises:
        UserError: If a score is no probability, or an argument is out of range.

    Examples:
        >>> fold = ScoredFold(np.array([1, 0]), np.array([0.9, 0.1]), np.array(["a", "b"]))
        >>> decision_curve([fold], thresholds=[0.5], num_resamples=0)[0].model.value
        0.5
    """
    levels = np.asarray(thresholds, np.float64)
    if not levels.size or not ((levels > 0) & (levels < 1)).all():
        raise UserError(f"`thresholds` must be between 0 and 1. Received: {levels.tolist()}.")
    if not len(folds):
        raise UserError("A decision curve needs at least one fold.")
    labels = np.concatenate([fold.labels for fold in folds])
    scores = np.concatenate([fold.scores for fold in folds]).astype(np.float64)
    if scores.ndim != 1 or not ((scores >= 0) & (scores <= 1)).all():
        raise UserError("A decision curve needs one probability a case, from 0 to 1.")
    patients, count = number_patients(np.concatenate([fold.groups for fold in folds]))
    # (patients, 2): negatives and positives; (patients, thresholds, 2): those acted on.
    cases = tally(patients, labels, (count, 2))
    acted = np.stack(
        [tally(patients[scores >= t], labels[scores >= t], (count, 2)) for t in levels], axis=1
    )
    values = _net_benefits(np.ones((1, count)), cases, acted, levels)[0]
    draws = draw_patients(np.ones((count, 1), bool), num_resamples, seed)
    resamples = _net_benefits(draws, cases, acted, levels)

    def estimate(place: int, kind: int) -> Estimate:
        return percentile_estimate(values[place, kind], resamples[:, place, kind], confidence)

    return tuple(
        DecisionPoint(
            threshold=float(threshold),
            model=estimate(place, 0),
            all_cases=estimate(place, 1),
            gain=estimate(place, 2),
        )
        for place, threshold in enumerate(levels)
    )


def decision_csv(points: Sequence[DecisionPoint]) -> str:
    """Returns a decision curve as a CSV table, a row a threshold; no interval is an empty cell."""
    names = ("model", "all_cases", "gain")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["threshold", *(f"{n}{end}" for n in names for end in ("", "_low", "_high"))])
    for point in points:
        found = [getattr(point, name) for name in names]
        numbers = [value for one in found for value in (one.value, one.low, one.high)]
        cells = [f"{value:.6g}" if np.isfinite(value) else "" for value in numbers]
        writer.writerow([f"{point.threshold:g}", *cells])
    return text.getvalue()


def _net_benefits(draws, cases, acted, levels) -> np.ndarray:
    """(resamples, thresholds, 3): of the model, of acting on all, and what the model gains."""
    odds = levels / (1 - levels)
    negatives, positives = (draws @ cases).T
    total = (negatives + positives)[:, np.newaxis]
    hits = np.tensordot(draws, acted, axes=1)  # (resamples, thresholds, 2)
    model = (hits[..., 1] - odds * hits[..., 0]) / total
    everyone = (positives[:, np.newaxis] - odds * negatives[:, np.newaxis]) / total
    return np.stack([model, everyone, model - np.maximum(everyone, 0)], axis=-1)
