"""Does a saliency map lie on the lesion? Two numbers for what is usually only looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate
from mammo_tf.evaluation.bootstrap import draw_patients, number_patients, percentile_estimate, tally


@dataclass(frozen=True, kw_only=True)
class SaliencyScores:
    """How well maps lie on lesions.

    Attributes:
        share: Mean share of a map's values that lies inside the lesion.
        pointing: Share of maps whose highest value lies inside it (the pointing game).
        area: Mean share of the image that the lesion covers: what a flat map would have for both.
        num_maps: Maps that count.
        num_blank: Maps without any value above 0; they are in neither number.
    """

    share: Estimate
    pointing: Estimate
    area: float
    num_maps: int
    num_blank: int


def score_saliency(
    maps: Sequence[np.ndarray],
    lesions: Sequence[np.ndarray],
    groups,
    *,
    num_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> SaliencyScores:
    """Scores maps against lesions.

    Args:
        maps: n of (height, width) float, at least 0.
        lesions: n of (height, width) bool, each with a pixel set.
        groups: (n,) the patient of each.
        num_resamples: Bootstrap resamples over patients; 0 for no intervals.
        seed: Seed of the bootstrap.
        confidence: Coverage of the intervals.

    Returns:
        The scores; NaN where no map counts.

    Raises:
        UserError: If shapes do not fit, a lesion has no pixel or a map has a negative value.

    Reference:
        Pointing game: Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016;
        where several pixels share the highest value, their share inside the lesion counts.
    """
    if not len(maps) == len(lesions) == len(groups):
        raise UserError(
            "Maps, lesions and groups must be as many. "
            f"Received: {len(maps)}, {len(lesions)}, {len(groups)}."
        )
    shares, hits, areas, kept = [], [], [], []
    for index, (values, lesion) in enumerate(zip(maps, lesions, strict=True)):
        values, lesion = np.asarray(values, np.float64), np.asarray(lesion, bool)
        _check(values, lesion)
        total = values.sum()
        if total <= 0:
            continue
        highest = values == values.max()
        shares.append(values[lesion].sum() / total)
        hits.append(highest[lesion].sum() / highest.sum())
        areas.append(lesion.mean())
        kept.append(index)
    num_blank = len(maps) - len(kept)
    if not kept:
        nothing = Estimate(float("nan"), float("nan"), float("nan"))
        return SaliencyScores(
            share=nothing, pointing=nothing, area=float("nan"), num_maps=0, num_blank=num_blank
        )
    patients, count = number_patients(np.asarray(groups)[kept])
    cases = tally(patients, np.zeros(len(kept), int), (count, 1))[:, 0]
    draws = draw_patients(cases[:, np.newaxis] > 0, num_resamples, seed)

    def estimate(values) -> Estimate:
        sums = np.bincount(patients, values, count)
        resamples = draws @ sums / np.maximum(draws @ cases, 1)
        return percentile_estimate(float(np.mean(values)), resamples, confidence)

    return SaliencyScores(
        share=estimate(shares),
        pointing=estimate(hits),
        area=float(np.mean(areas)),
        num_maps=len(kept),
        num_blank=num_blank,
    )


def _check(values: np.ndarray, lesion: np.ndarray) -> None:
    if values.shape != lesion.shape or values.ndim != 2 or not lesion.any():
        raise UserError(
            "A map and its lesion must be of one (height, width), and the lesion have a pixel. "
            f"Received: {values.shape}, {lesion.shape}, {int(lesion.sum())} pixels."
        )
    if not np.isfinite(values).all() or values.min() < 0:
        raise UserError("A saliency map must be finite and at least 0.")
