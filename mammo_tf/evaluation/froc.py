"""Free-response ROC: sensitivity against false positives per image, with a bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mammo_tf.boxes import middles_inside, pairwise_iou
from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate
from mammo_tf.evaluation.bootstrap import (
    draw_patients,
    number_patients,
    percentile_estimate,
    tally,
)
from mammo_tf.evaluation.scored_image import ScoredImage, check_images, check_same_truth


@dataclass(frozen=True, eq=False)
class Froc:
    """Sensitivities at given rates of false positives, and the curve.

    Attributes:
        sensitivities: Sensitivity at each rate of false positives per image.
        mean_sensitivity: Mean over those rates.
        curve_rates: (points,) false positives per image, rising from 0.
        curve_sensitivities: (points,) sensitivity at each of them; a step curve, never falling.
    """

    sensitivities: dict[float, Estimate]
    mean_sensitivity: Estimate
    curve_rates: np.ndarray
    curve_sensitivities: np.ndarray


def froc(
    images: Sequence[ScoredImage],
    *,
    rates: Sequence[float] = (0.25, 0.5, 1, 2, 4),
    criterion: Literal["centre", "iou"] = "centre",
    iou: float = 0.5,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Froc:
    """Computes the sensitivity at given false positives per image, whatever the classes.

    A lesion counts once, at the score of the surest detection that hits it. A further hit on it is
    neither a true nor a false positive, and one detection inside two overlapping lesions finds
    both; so scored the LUNA16 challenge. A detection that hits nothing is a false positive. False
    positives are counted over all images, normal ones included.

    The sensitivity at a rate is the largest of the score thresholds whose false positives per image
    are at most that rate; detections of equal score are taken or left together. Where a detector
    never makes that many false positives, it is the sensitivity of all its detections.

    The intervals come from a bootstrap over patients, the thresholds found anew in each resample; a
    resample without a lesion is drawn again.

    Args:
        images: The images of a test set, normal ones included. Labels are not looked at.
        rates: False positives per image, above 0.
        criterion: "centre": the middle of the detection lies in the true box, edges included;
            "iou": they overlap by at least `iou`.
        iou: Least intersection over union, above 0 and at most 1; for criterion "iou" only.
        confidence: Coverage of the intervals.
        num_resamples: Number of resamples; 0 gives NaN intervals.
        seed: Seed of the resampling.

    Returns:
        Sensitivities and curve; all sensitivities are NaN where no image has a lesion.

    Raises:
        UserError: If there is no image, an image comes twice, or an option is out of range.

    Reference:
        Bunch et al., A free response approach to the measurement and characterization of
        radiographic observer performance, Proc. SPIE 127 (1977); Setio et al., Validation,
        comparison, and combination of algorithms for automatic detection of pulmonary nodules,
        Medical Image Analysis 42 (2017), for LUNA16.
    """
    images = list(images)
    check_images(images)
    rates = _checked_rates(rates, criterion, iou)
    hits = _find_hits(images, criterion, iou)
    values, resamples = _resampled(hits, rates, num_resamples, seed)
    estimates = _estimates(rates, values, resamples, confidence)
    mean = percentile_estimate(values.mean(), resamples.mean(axis=1), confidence)
    return Froc(estimates, mean, *_curve(hits, len(images)))


def froc_change(
    images: Sequence[ScoredImage],
    reference: Sequence[ScoredImage],
    *,
    rates: Sequence[float] = (0.25, 0.5, 1, 2, 4),
    criterion: Literal["centre", "iou"] = "centre",
    iou: float = 0.5,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[float, Estimate]:
    """Computes the change of sensitivity between two sets of detections on the same images.

    Both are resampled alike, patient by patient, so what they share falls out of the interval.

    Args:
        images: Images with the detections in question.
        reference: The same images, in the same order, with other detections.
        rates: As in `froc`, and so the options below.
        criterion: As in `froc`.
        iou: As in `froc`.
        confidence: Coverage of the intervals.
        num_resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        Sensitivity of `images` minus that of `reference` at each rate.

    Raises:
        UserError: As `froc`, and if the two are not the same images with the same lesions.
    """
    images, reference = list(images), list(reference)
    check_images(images)
    check_same_truth(images, reference)
    rates = _checked_rates(rates, criterion, iou)
    ours, theirs = (
        _resampled(_find_hits(each, criterion, iou), rates, num_resamples, seed)
        for each in (images, reference)
    )
    return _estimates(rates, ours[0] - theirs[0], ours[1] - theirs[1], confidence)


def _resampled(hits: "_Hits", rates, num_resamples: int, seed: int):
    """Returns (rates,) sensitivities and (resamples, rates) those of each resample."""
    lesions = tally(hits.lesion_patients, 0 * hits.lesion_patients, (hits.num_patients, 1))
    if len(hits.lesion_scores) == 0:
        return np.full(len(rates), np.nan), np.zeros((0, len(rates)))
    draws = draw_patients(lesions > 0, num_resamples, seed)
    values = _sensitivities(hits, rates, np.ones((1, hits.num_patients)))[0]
    return values, _sensitivities(hits, rates, draws)


def _estimates(rates, values, resamples, confidence: float) -> dict[float, Estimate]:
    return {
        rate: percentile_estimate(values[index], resamples[:, index], confidence)
        for index, rate in enumerate(rates)
    }


@dataclass(frozen=True, eq=False)
class _Hits:
    """Lesions with the score of their surest hit (−inf if missed), and the false positives."""

    lesion_scores: np.ndarray  # (lesions,)
    lesion_patients: np.ndarray  # (lesions,)
    false_scores: np.ndarray  # (false positives,)
    false_patients: np.ndarray  # (false positives,)
    image_patients: np.ndarray  # (images,)
    num_patients: int


def _find_hits(images, criterion: str, iou: float) -> _Hits:
    patients, num_patients = number_patients([image.group for image in images])
    lesion_scores, false_scores = [], []
    for image in images:
        if criterion == "centre":
            hit = middles_inside(image.boxes_px, image.truth_boxes_px)
        else:
            hit = pairwise_iou(image.boxes_px, image.truth_boxes_px) >= iou
        scores = np.where(hit, image.scores[:, None], -np.inf)  # (detections, lesions)
        lesion_scores.append(scores.max(axis=0, initial=-np.inf))
        false_scores.append(image.scores[~hit.any(axis=1)])
    return _Hits(
        np.concatenate(lesion_scores),
        np.repeat(patients, [len(scores) for scores in lesion_scores]),
        np.concatenate(false_scores),
        np.repeat(patients, [len(scores) for scores in false_scores]),
        patients,
        num_patients,
    )


def _sensitivities(hits: _Hits, rates, draws: np.ndarray) -> np.ndarray:
    """Computes (resamples, rates) sensitivities; thresholds are the scores that find a lesion."""
    found = np.isfinite(hits.lesion_scores)
    falling = -np.unique(-hits.lesion_scores[found])
    shape = hits.num_patients, len(falling) + 1  # the last column: below every threshold
    lesion_step = np.searchsorted(-falling, -hits.lesion_scores[found])
    false_step = np.searchsorted(-falling, -hits.false_scores)
    lesions_found = tally(hits.lesion_patients[found], lesion_step, shape)
    false_made = tally(hits.false_patients, false_step, shape)
    lesions_found = draws @ np.cumsum(lesions_found, axis=1)[:, :-1]
    false_made = draws @ np.cumsum(false_made, axis=1)[:, :-1]
    num_images = draws @ np.bincount(hits.image_patients, minlength=hits.num_patients)
    num_lesions = draws @ np.bincount(hits.lesion_patients, minlength=hits.num_patients)
    columns = []
    for rate in rates:
        # In floating point 0.29 × 100 is less than 29.
        allowed = false_made <= (rate * num_images + 1e-9)[:, None]
        best = np.where(allowed, lesions_found, 0).max(axis=1, initial=0)
        columns.append(best / num_lesions)
    return np.stack(columns, axis=1)


def _curve(hits: _Hits, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    found = hits.lesion_scores[np.isfinite(hits.lesion_scores)]
    falling = -np.unique(-np.concatenate([found, hits.false_scores]))
    false_made = np.searchsorted(np.sort(-hits.false_scores), -falling, side="right")
    lesions_found = np.searchsorted(np.sort(-found), -falling, side="right")
    num_lesions = len(hits.lesion_scores)
    sensitivities = np.append(0, lesions_found) / (num_lesions or np.nan)
    return np.append(0, false_made) / num_images, sensitivities


def _checked_rates(rates, criterion: str, iou: float) -> tuple[float, ...]:
    rates = tuple(float(rate) for rate in rates)
    if not rates or len(set(rates)) != len(rates) or not all(0 < r < np.inf for r in rates):
        raise UserError(f"`rates` must be distinct and above 0. Received: {rates}.")
    if criterion not in ("centre", "iou"):
        raise UserError(f'`criterion` must be "centre" or "iou". Received: {criterion!r}.')
    if not 0 < iou <= 1:
        raise UserError(f"`iou` must be above 0 and at most 1. Received: {iou}.")
    return rates
