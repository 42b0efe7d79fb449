"""AUROC and AUPRC against hand-computed values, scikit-learn and brute force."""

import itertools

import numpy as np
import pytest
from sklearn import metrics

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    ScoredFold,
    auprc,
    auroc,
    mean_auprc,
    mean_auroc,
    mean_auroc_difference,
)

LABELS = np.array([1, 1, 1, 0, 0, 0, 0])
SCORES = np.array([0.9, 0.6, 0.3, 0.8, 0.3, 0.2, 0.1])


def random_fold(seed, count=200, patients=60):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    scores = np.round(labels + rng.normal(scale=1.5, size=count), 1)  # with ties
    return ScoredFold(labels, scores, rng.integers(0, patients, count))


def test_delong_by_hand():
    # Share of negatives below each positive, ties half: 4/4, 3/4, (2 + 1/2)/4.
    # Share of positives above each negative: 1/3, (2 + 1/2)/3, 3/3, 3/3.
    below = np.array([1, 0.75, 0.625])
    above = np.array([1 / 3, 2.5 / 3, 1, 1])
    error = np.sqrt(below.var(ddof=1) / 3 + above.var(ddof=1) / 4)
    estimate = auroc(LABELS, SCORES)
    assert estimate.value == pytest.approx(9.5 / 12)
    assert estimate.standard_error == pytest.approx(error)
    assert estimate.low == pytest.approx(9.5 / 12 - 1.959964 * error)
    assert estimate.high == 1.0


def test_agrees_with_scikit_learn():
    fold = random_fold(3)
    assert auroc(fold.labels, fold.scores).value == pytest.approx(
        metrics.roc_auc_score(fold.labels, fold.scores)
    )
    assert auprc(fold.labels, fold.scores, num_resamples=10).value == pytest.approx(
        metrics.average_precision_score(fold.labels, fold.scores)
    )


def test_delong_variance_near_the_jackknife():
    fold = random_fold(4)
    count = len(fold.labels)
    left_out = [
        metrics.roc_auc_score(np.delete(fold.labels, i), np.delete(fold.scores, i))
        for i in range(count)
    ]
    jackknife = np.sqrt((count - 1) * np.var(left_out))
    assert auroc(fold.labels, fold.scores).standard_error == pytest.approx(jackknife, rel=0.02)


def test_clustered_variance_near_the_jackknife_over_patients():
    fold = random_fold(5)
    patients = np.unique(fold.groups)
    left_out = [
        metrics.roc_auc_score(fold.labels[fold.groups != p], fold.scores[fold.groups != p])
        for p in patients
    ]
    jackknife = np.sqrt((len(patients) - 1) * np.var(left_out))
    clustered = auroc(fold.labels, fold.scores, fold.groups)
    assert clustered.standard_error == pytest.approx(jackknife, rel=0.05)


def test_every_case_twice_widens_the_clustered_interval_only():
    fold = random_fold(6)
    groups = np.arange(len(fold.labels))
    twice = [np.tile(values, 2) for values in (fold.labels, fold.scores, groups)]
    once = auroc(fold.labels, fold.scores)
    assert auroc(*twice).standard_error == pytest.approx(once.standard_error, rel=0.02)
    assert auroc(*twice[:2]).standard_error == pytest.approx(once.standard_error / 2**0.5, rel=0.02)


def test_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    truth = 0.7602  # two normals one standard deviation apart: Phi(1 / sqrt(2))
    covered = 0
    for _ in range(400):
        labels = np.repeat([0, 1], 60)
        estimate = auroc(labels, rng.normal(size=120) + labels)
        covered += estimate.low <= truth <= estimate.high
    assert 0.92 <= covered / 400 <= 0.98


def test_mean_over_folds():
    folds = [random_fold(seed) for seed in (1, 2)]
    single = [auroc(fold.labels, fold.scores, fold.groups) for fold in folds]
    mean = mean_auroc(folds)
    assert mean.value == pytest.approx(np.mean([estimate.value for estimate in single]))
    assert mean.standard_error == pytest.approx(
        np.hypot(single[0].standard_error, single[1].standard_error) / 2
    )


def test_paired_difference_is_tighter_than_two_intervals():
    fold = random_fold(7)
    worse = ScoredFold(fold.labels, fold.scores + 0.1 * np.sin(np.arange(200)), fold.groups)
    difference = mean_auroc_difference([worse], [fold])
    expected = auroc(worse.labels, worse.scores).value - auroc(fold.labels, fold.scores).value
    assert difference.value == pytest.approx(expected)
    assert difference.standard_error < mean_auroc([fold]).standard_error / 3
    same = mean_auroc_difference([fold], [fold])
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_paired_difference_refuses_other_cases():
    fold = random_fold(7)
    other = ScoredFold(fold.labels[::-1], fold.scores, fold.groups)
    with pytest.raises(UserError, match="same cases"):
        mean_auroc_difference([fold], [other])


def test_bootstrap_equals_all_resamples_of_a_tiny_set():
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.4, 0.1])
    values = []
    for drawn in itertools.product(range(4), repeat=4):
        drawn = list(drawn)
        if labels[drawn].any():
            values.append(metrics.average_precision_score(labels[drawn], scores[drawn]))
    estimate = auprc(labels, scores, num_resamples=20000, seed=1)
    assert estimate.standard_error == pytest.approx(np.std(values), rel=0.03)
    assert estimate.low == pytest.approx(np.quantile(values, 0.025), abs=1e-9)


def test_bootstrap_is_seeded():
    folds = [random_fold(1), random_fold(2)]
    assert mean_auprc(folds, seed=1) == mean_auprc(folds, seed=1)
    assert mean_auprc(folds, seed=1) != mean_auprc(folds, seed=2)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 1], [0.2, 0.3], "both classes"),
        ([0, 1], [0.2, np.nan], "finite"),
        ([0, 1], [0.2], "equally long"),
    ],
)
def test_what_cannot_be_scored_is_said(labels, scores, message):
    with pytest.raises(UserError, match=message):
        auroc(labels, scores)


def test_no_resamples_give_the_same_auprc_without_an_interval():
    labels, scores = [0, 1, 0, 1, 1], [0.2, 0.9, 0.6, 0.5, 0.7]
    plain, full = auprc(labels, scores, num_resamples=0), auprc(labels, scores, num_resamples=50)
    assert plain.value == full.value
    assert np.isnan([plain.low, plain.high, plain.standard_error]).all()
    assert full.low <= full.value <= full.high
