"""Repeated trainings: published values of the method, brute force, and coverage by simulation."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    ScoredFold,
    between_seed_sd,
    mean_auprc,
    mean_auprc_over_repeats,
    mean_auroc,
    mean_auroc_difference,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
)
from mammo_tf.evaluation.comparisons import two_sided_p
from mammo_tf.evaluation.repeats import combine_repeats

# Van Dyke et al. 1993, areas of five readers; and what MRMCaov 0.1.5 (Smith and Hillis) prints for
# `mrmc(empirical_auc(truth, rating), treatment, reader, case, data = VanDyke)`.
VAN_DYKE = (
    np.array([0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066]),
    np.array([0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169]),
)


def covariance(error, shared, count=5):
    return shared + (error - shared) * np.eye(count)


def draw_repeats(seed, repeats=3, folds=2, shift=0.0, patients=40):
    """Folds of patients with two or three cases; trainings that differ."""
    cases = np.random.default_rng(seed)
    own = np.random.default_rng([seed, int(100 * shift)])
    drawn = [[] for _ in range(repeats)]
    for fold in range(folds):
        groups = np.sort(cases.integers(0, patients, 2 * patients)) + patients * fold
        labels = (cases.random(2 * patients) < 0.4).astype(int)
        latent = labels + cases.normal(size=2 * patients)
        ids = np.array([f"{fold}-{index}" for index in range(2 * patients)])
        for repeat in drawn:
            scores = latent - shift * labels + own.normal(size=2 * patients)
            repeat.append(ScoredFold(labels, np.round(scores, 1), groups, ids))
    return drawn


@pytest.mark.parametrize(
    ("treatment", "shared", "error", "freedom", "low", "high"),
    [
        (0, 0.0004839618, 0.03317360, 12.74465, 0.8252236, 0.9688505),
        (1, 0.0002041879, 0.02156637, 12.71019, 0.8941378, 0.9875369),
    ],
)
def test_one_condition_as_published(treatment, shared, error, freedom, low, high):
    areas = VAN_DYKE[treatment]
    got = combine_repeats([areas], [covariance(0.0008, shared)], confidence=0.95, bounds=(0, 1))
    assert got.value == pytest.approx([0.8970370, 0.9408374][treatment], abs=1e-7)
    assert got.standard_error == pytest.approx(error, abs=1e-7)
    assert got.degrees_of_freedom == pytest.approx(freedom, abs=1e-4)
    assert (got.low, got.high) == pytest.approx((low, high), abs=1e-6)


def test_difference_as_published():
    differences = VAN_DYKE[0] - VAN_DYKE[1]
    error, shared = 2 * (0.0008022883 - 0.0003466137), 2 * (0.0003440748 - 0.0002390284)
    got = combine_repeats(
        [differences], [covariance(error, shared)], confidence=0.95, bounds=(-1, 1)
    )
    assert got.value == pytest.approx(-0.04380032, abs=1e-7)
    assert got.standard_error == pytest.approx(0.02074862, abs=1e-7)
    assert got.degrees_of_freedom == pytest.approx(15.25967, abs=1e-4)
    assert (got.low, got.high) == pytest.approx((-0.0879594986, 0.0003588544), abs=1e-6)
    assert two_sided_p(got) == pytest.approx(0.05166569, abs=1e-6)
    assert got.seed_variance == pytest.approx(2 * 0.0002004025 / 5, rel=1e-4)


def test_several_folds_by_hand():
    areas = np.array([[0.8, 0.9], [0.7, 0.74], [0.6, 0.6]])
    covariances = np.stack([covariance(0.004, c, 2) for c in (0.001, 0.002, 0.003)])
    got = combine_repeats(areas, covariances, confidence=0.95, bounds=(0, 1))
    squares = np.array([0.005, 0.0008, 0.0]) / 9
    shared = 0.006 / 9
    assert got.value == pytest.approx(4.34 / 6)
    assert got.standard_error**2 == pytest.approx(squares.sum() / 2 + shared)
    assert got.degrees_of_freedom == pytest.approx(
        (squares.sum() + 2 * shared) ** 2 / (squares**2).sum()
    )
    # Between trainings 0.0058 / 9; the cases alone would give (0.003 + 0.002 + 0.001) / 9 of it.
    assert got.seed_variance == 0.0
    covariances = np.stack([covariance(0.003, 0.003, 2)] * 3)
    got = combine_repeats(areas, covariances, confidence=0.95, bounds=(0, 1))
    assert got.seed_variance == pytest.approx(0.0058 / 9 / 2)


def test_one_repeat_is_the_plain_mean_exactly():
    folds, reference = draw_repeats(1, 1)[0], draw_repeats(1, 1, shift=0.3)[0]
    assert mean_auroc_over_repeats([folds]) == mean_auroc(folds)
    options = {"num_resamples": 50, "seed": 3}
    assert mean_auprc_over_repeats([folds], **options) == mean_auprc(folds, **options)
    assert mean_auroc_difference_over_repeats(
        [folds], [reference], confidence=0.9
    ) == mean_auroc_difference(folds, reference, confidence=0.9)
    assert np.isnan(between_seed_sd([folds]))


def left_out(scored, score):
    """The score without each patient in turn."""
    return np.array(
        [
            score(scored.labels[scored.groups != p], scored.scores[scored.groups != p])
            for p in np.unique(scored.groups)
        ]
    )


def jackknifed(repeats, reference=None, score=metrics.roc_auc_score):
    """Areas (K, R) and their jackknife covariances over patients, by another library's areas."""
    areas, covariances = [], []
    for fold in range(len(repeats[0])):
        values, without = [], []
        for repeat in range(len(repeats)):
            ours = repeats[repeat][fold]
            values.append(score(ours.labels, ours.scores))
            without.append(left_out(ours, score))
            if reference is not None:
                theirs = reference[repeat][fold]
                values[-1] -= score(theirs.labels, theirs.scores)
                without[-1] = without[-1] - left_out(theirs, score)
        count = len(without[0])
        covariances.append((count - 1) ** 2 / count * np.cov(without))
        areas.append(values)
    return np.array(areas), np.array(covariances)


def test_auroc_near_the_jackknife_over_patients():
    repeats = draw_repeats(5)
    got = mean_auroc_over_repeats(repeats)
    expected = combine_repeats(*jackknifed(repeats), confidence=0.95, bounds=(0, 1))
    assert got.value == pytest.approx(expected.value)
    assert got.standard_error == pytest.approx(expected.standard_error, rel=0.05)
    assert got.degrees_of_freedom == pytest.approx(expected.degrees_of_freedom, rel=0.2)
    means = [mean_auroc(folds).value for folds in repeats]
    assert between_seed_sd(repeats) == pytest.approx(np.std(means, ddof=1))


def test_difference_near_the_jackknife_over_patients():
    repeats, reference = draw_repeats(5), draw_repeats(5, shift=0.4)
    got = mean_auroc_difference_over_repeats(repeats, reference)
    jackknife = jackknifed(repeats, reference)
    expected = combine_repeats(*jackknife, confidence=0.95, bounds=(-1, 1))
    assert got.value == pytest.approx(expected.value)
    assert got.standard_error == pytest.approx(expected.standard_error, rel=0.05)


def test_auprc_near_the_jackknife_over_patients():
    repeats = draw_repeats(5, patients=80)
    got = mean_auprc_over_repeats(repeats, num_resamples=400, seed=1)
    jackknife = jackknifed(repeats, score=metrics.average_precision_score)
    expected = combine_repeats(*jackknife, confidence=0.95, bounds=(0, 1))
    assert got.value == pytest.approx(expected.value)
    assert got.standard_error == pytest.approx(expected.standard_error, rel=0.15)
    plain = mean_auprc_over_repeats(repeats, num_resamples=0)
    assert plain.value == got.value and np.isnan(plain.low)


def test_the_same_training_twice_adds_nothing_to_the_cases():
    folds, reference = draw_repeats(2, 1)[0], draw_repeats(2, 1, shift=0.4)[0]
    once = mean_auroc_difference(folds, reference)
    twice = mean_auroc_difference_over_repeats([folds] * 2, [reference] * 2)
    assert twice.standard_error == pytest.approx(once.standard_error)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))
    assert twice.seed_variance == pytest.approx(0, abs=1e-12)
    same = mean_auroc_difference_over_repeats([folds] * 2, [folds] * 2)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_repeats_are_paired_in_their_order():
    repeats, reference = draw_repeats(3), draw_repeats(3, shift=0.2)
    worse = [
        [ScoredFold(f.labels, f.scores - (1 + r) * f.labels, f.groups) for f in folds]
        for r, folds in enumerate(repeats)
    ]
    paired = mean_auroc_difference_over_repeats(worse, reference)
    crossed = mean_auroc_difference_over_repeats(worse[::-1], reference)
    assert paired.value == pytest.approx(crossed.value)
    assert paired.standard_error != pytest.approx(crossed.standard_error, rel=1e-6)


def test_what_cannot_be_compared_is_said():
    repeats = draw_repeats(1)
    with pytest.raises(UserError, match="same cases"):
        mean_auroc_over_repeats([repeats[0], draw_repeats(2)[0]])
    with pytest.raises(UserError, match="same cases"):
        mean_auroc_difference_over_repeats(repeats, draw_repeats(2))
    with pytest.raises(UserError, match="3 and 2"):
        mean_auroc_difference_over_repeats(repeats, repeats[:2])
    with pytest.raises(UserError, match="same folds"):
        mean_auroc_over_repeats([repeats[0], repeats[1][:1]])
    with pytest.raises(UserError, match="at least one"):
        mean_auroc_over_repeats([])


@pytest.fixture(scope="module")
def coverage():
    path = Path(__file__).parents[1] / "tools" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_tool", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.coverage


@pytest.mark.parametrize(
    ("repeats", "spread", "low", "high"),
    [
        (1, 0.0, 0.93, 0.97),
        (1, 0.3, 0.0, 0.7),  # the interval that does not know of seeds
        (3, 0.0, 0.93, 0.99),
        (3, 0.3, 0.93, 0.97),
    ],
)
def test_interval_of_no_change_holds_zero(coverage, repeats, spread, low, high):
    held = coverage(runs=400, seed=2, repeats=repeats, folds=2, spread=spread)
    assert low <= held <= high


def test_interval_of_the_auroc_holds_the_mean_over_seeds(coverage):
    held = coverage(of="auroc", runs=300, seed=3, repeats=3, folds=5, spread=0.3)
    assert 0.915 <= held <= 0.985
