"""Calibration and operating points against scikit-learn, brute force and known distributions."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold, mean_auroc
from mammo_tf.evaluation.calibration import (
    calibration_against,
    expected_calibration_error,
    threshold_at_specificity,
)


def draw_fold(seed, count=120, patients=None, offset=0):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(count)
    labels = (rng.random(count) < probabilities).astype(int)
    groups = np.arange(count) if patients is None else rng.integers(0, patients, count)
    return ScoredFold(labels, probabilities, offset + groups)


def rescored(fold, scores):
    return dataclasses.replace(fold, scores=scores)


FOLDS = [draw_fold(1), draw_fold(2, 90, offset=1000)]
# Halved: the same ranks, so the same AUROC, and nothing else the same.
HALVED = [rescored(fold, fold.scores / 2) for fold in FOLDS]


def test_ece_agrees_with_scikit_learn():
    fold = draw_fold(3, 300)
    truth, mean = calibration_curve(fold.labels, fold.scores**2, n_bins=15, strategy="quantile")
    ece = expected_calibration_error(fold.labels, fold.scores**2)
    assert ece == pytest.approx(np.abs(truth - mean).mean())


def test_equal_scores_share_a_bin_whatever_their_order():
    labels, scores = np.array([0, 1] * 30), np.full(60, 0.5)
    assert expected_calibration_error(labels, scores) == 0
    assert expected_calibration_error(np.sort(labels), scores) == 0
    assert expected_calibration_error(np.sort(labels), np.full(60, 0.75)) == pytest.approx(0.25)


def test_threshold_by_hand():
    negatives = np.array([0.5, 0.1, 0.3, 0.2, 0.4])
    for specificity, expected in ((0.8, 0.4), (0.81, 0.5), (0.2, 0.1), (0.6, 0.3), (0.95, 0.5)):
        assert threshold_at_specificity(negatives, specificity) == expected
    # 0.1 three times and 0.4 once: three quarters are not above 0.1.
    weights = np.array([[0, 3, 0, 0, 1], [1, 1, 1, 1, 1]])
    assert threshold_at_specificity(negatives, 0.75, weights).tolist() == [0.1, 0.4]
    tied = threshold_at_specificity([0.2, 0.2, 0.2, 0.9], 0.5)
    assert tied == 0.2


def test_values_by_another_library_and_by_hand():
    got = calibration_against(HALVED, FOLDS, specificity=0.9, num_resamples=0)
    labels = np.concatenate([fold.labels for fold in FOLDS])
    halved = np.concatenate([fold.scores for fold in HALVED])
    assert got.brier.value == pytest.approx(metrics.brier_score_loss(labels, halved))
    assert got.brier_change.value == pytest.approx(
        metrics.brier_score_loss(labels, halved) - metrics.brier_score_loss(labels, 2 * halved)
    )
    assert got.ece.value == pytest.approx(expected_calibration_error(labels, halved))
    assert got.ece_change.value == pytest.approx(
        expected_calibration_error(labels, halved) - expected_calibration_error(labels, 2 * halved)
    )
    found, spared, found_there, spared_there, thresholds = 0, 0, 0, 0, []
    for fold, half in zip(FOLDS, HALVED, strict=True):
        negatives = np.sort(fold.scores[fold.labels == 0])
        # Brute force: the lowest that at least 90 % of the negatives do not pass.
        thresholds.append(next(t for t in negatives if np.mean(negatives <= t) >= 0.9))
        for scores, is_half in ((half.scores, True), (fold.scores, False)):
            called = scores > thresholds[-1]
            hits, passes = np.sum(called & (fold.labels == 1)), np.sum(~called & (fold.labels == 0))
            if is_half:
                found, spared = found + hits, spared + passes
            else:
                found_there, spared_there = found_there + hits, spared_there + passes
    positives, negatives = np.sum(labels == 1), np.sum(labels == 0)
    assert got.sensitivity.value == pytest.approx(found / positives)
    assert got.specificity.value == pytest.approx(spared / negatives)
    assert got.sensitivity_change.value == pytest.approx((found - found_there) / positives)
    assert got.specificity_change.value == pytest.approx((spared - spared_there) / negatives)
    assert got.threshold.value == pytest.approx(np.mean(thresholds) / 2)
    assert got.threshold_shift.value == pytest.approx(-np.mean(thresholds) / 2)
    assert np.isnan(got.brier.low)


def test_auroc_kept_and_operating_point_lost():
    assert mean_auroc(HALVED) == mean_auroc(FOLDS)
    got = calibration_against(HALVED, FOLDS, num_resamples=200)
    assert got.sensitivity.value == 0 and got.specificity.value == 1
    assert got.threshold_shift.high < -0.3
    assert got.sensitivity_change.high < 0 < got.specificity_change.low
    assert got.ece_change.low > 0 and got.brier_change.low > 0


def test_reference_against_itself():
    got = calibration_against(FOLDS, FOLDS, num_resamples=200)
    for name in ("ece_change", "brier_change", "threshold_shift", "sensitivity_change"):
        change = getattr(got, name)
        assert (change.value, change.low, change.high) == (0, 0, 0)
    assert got.specificity.value >= 0.95
    assert got.ece.low <= got.ece.value <= got.ece.high
    assert got == calibration_against(FOLDS, FOLDS, num_resamples=200)
    assert got != calibration_against(FOLDS, FOLDS, num_resamples=200, seed=1)


def test_bootstrap_error_is_the_known_one():
    fold = draw_fold(4, 400)
    squares = (fold.scores - fold.labels) ** 2
    got = calibration_against([fold], [fold], num_resamples=3000)
    assert got.brier.standard_error == pytest.approx(squares.std() / 20, rel=0.06)
    # Each patient with two like cases: the same, not smaller by the root of two.
    twice = ScoredFold(*(np.tile(v, 2) for v in (fold.labels, fold.scores, fold.groups)))
    got = calibration_against([twice], [twice], num_resamples=3000)
    assert got.brier.standard_error == pytest.approx(squares.std() / 20, rel=0.06)


def test_sensitivity_and_its_interval_hold_the_threshold_too():
    """Positives N(2, 1), negatives N(0, 1): at 1.645 the sensitivity is 0.639."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        labels = np.repeat([0, 1], [200, 100])
        scores = 1 / (1 + np.exp(-(rng.normal(size=300) + 2 * labels)))
        fold = ScoredFold(labels, scores, np.arange(300))
        found = calibration_against([fold], [fold], num_resamples=200).sensitivity
        held += found.low <= 0.6387 <= found.high
    assert 0.88 <= held / 100 <= 0.99


@pytest.mark.parametrize(
    ("folds", "options", "message"),
    [
        ([rescored(FOLDS[0], FOLDS[0].scores * 3)], {}, "probabilities"),
        ([rescored(FOLDS[0], FOLDS[0].scores - 0.5)], {}, "probabilities"),
        ([FOLDS[1]], {}, "same cases"),
        (FOLDS, {}, "as many folds"),
        ([FOLDS[0]], {"specificity": 1.0}, "specificity"),
        ([FOLDS[0]], {"num_bins": 0}, "num_bins"),
    ],
)
def test_what_cannot_be_calibrated_is_said(folds, options, message):
    with pytest.raises(UserError, match=message):
        calibration_against(folds, [FOLDS[0]], **options)
