"""Measures of synthetic images and rates over repeats, by hand and by other ways to compute."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold, mean_rate_over_repeats
from mammo_tf.evaluation.synthetic import (
    kernel_distance,
    nearest_reference,
    share_nearer,
    two_sample_auroc,
)


def features(count, seed, shift=0.0, size=6):
    return np.random.default_rng(seed).normal(shift, 1, (count, size))


def test_the_kernel_distance_is_that_of_sums_over_pairs():
    first, second = features(7, 0), features(5, 1, 0.4)
    expected = 0.0
    for one in (first, second):
        kernel = polynomial_kernel(one, degree=3, gamma=1 / 6, coef0=1)
        pairs = [kernel[i, j] for i in range(len(one)) for j in range(len(one)) if i != j]
        expected += np.mean(pairs)
    expected -= 2 * polynomial_kernel(first, second, degree=3, gamma=1 / 6, coef0=1).mean()
    assert kernel_distance(first, second) == pytest.approx(expected)
    # (1 + 1)³ + (0 + 1)³ − 2 · (0 + 1)³
    assert kernel_distance([[1.0], [1.0]], [[0.0], [0.0]]) == 7


def test_sets_of_one_distribution_are_0_apart_on_average():
    found = [kernel_distance(features(20, k), features(30, 500 + k)) for k in range(200)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(200) and min(found) < 0
    assert kernel_distance(features(50, 1), features(50, 2, 1.0)) > 1


def test_a_classifier_tells_apart_what_differs_and_nothing_else():
    groups = np.repeat(np.arange(40), 3)
    apart = two_sample_auroc(features(120, 1), features(120, 2, 0.8), groups, groups + 100)
    alike = two_sample_auroc(features(120, 3), features(120, 4), groups, groups + 100)
    assert apart.low > 0.8 and alike.low < 0.5 < alike.high
    # Patients are never divided: what tells a patient does not tell the sets apart.
    marks = np.random.default_rng(5).normal(size=(80, 30))
    marked = [np.repeat(part, 3, axis=0) for part in (marks[:40], marks[40:])]
    same = two_sample_auroc(*marked, groups, groups + 100)
    assert same.low < 0.5 < same.high
    with pytest.raises(UserError, match="5 patients in each"):
        two_sample_auroc(features(9, 1), features(9, 2), np.zeros(9), np.arange(9))


def test_neighbours_are_those_of_another_library_and_copies_are_told():
    images, references = features(9, 1), features(20, 2)
    distances, indices = NearestNeighbors(n_neighbors=1).fit(references).kneighbors(images)
    found = nearest_reference(images, references)
    assert np.array_equal(found.indices, indices[:, 0])
    assert np.allclose(found.distances, distances[:, 0])
    copies = nearest_reference(references[:5] + 1e-3, references)
    assert copies.indices.tolist() == [0, 1, 2, 3, 4]
    assert share_nearer(copies.distances, found.distances) == 1
    assert share_nearer([2, 4], [1, 2]) == pytest.approx((0 + 0.5 + 0 + 0) / 4)
    for wrong in (features(3, 0, size=5), features(0, 0), features(3, 0) * np.nan):
        with pytest.raises(UserError, match="Features must be"):
            nearest_reference(wrong, references)


LABELS = np.array([1, 1, 1, 0, 0])


def fold(scores, groups=range(5)):
    return ScoredFold(LABELS, np.array(scores, float), np.array(groups))


def test_rates_by_hand():
    scored = fold([0.9, 0.5, 0.1, 0.2, 0.8])  # two of three found, one false alarm
    recall = mean_rate_over_repeats([[scored]], "recall")
    assert recall.value == pytest.approx(2 / 3)
    assert recall.standard_error**2 == pytest.approx(2 / 3 * 1 / 3 / 2)  # p (1 − p) / (n − 1)
    accuracy = mean_rate_over_repeats([[scored]], "accuracy")
    assert accuracy.value == pytest.approx(3 / 5)
    assert accuracy.standard_error**2 == pytest.approx(0.6 * 0.4 / 4)
    assert mean_rate_over_repeats([[scored]], "recall", threshold=0.6).value == pytest.approx(1 / 3)
    # Of two patients, one right on two cases of two, the other on one of three: 2 · 0.8² / 5².
    two = mean_rate_over_repeats([[fold(scored.scores, [0, 0, 1, 1, 1])]], "accuracy")
    assert two.standard_error**2 == pytest.approx(2 * (0.8**2 + 0.8**2) / 25)


def test_rates_over_folds_and_repeats():
    good, bad = fold([0.9, 0.9, 0.9, 0.1, 0.1]), fold([0.9, 0.1, 0.1, 0.1, 0.1])
    # Two folds: the variance is the sum over folds by four.
    folds = mean_rate_over_repeats([[good, bad]], "recall")
    assert folds.value == pytest.approx((1 + 1 / 3) / 2)
    assert folds.standard_error**2 == pytest.approx((1 / 3 * 2 / 3 / 2) / 4)
    repeats = mean_rate_over_repeats([[good], [bad]], "recall")
    assert repeats.value == pytest.approx(2 / 3)
    # MS is the variance between the two; the cases that they share vary together not at all.
    assert repeats.standard_error**2 == pytest.approx((2 / 3) ** 2 / 2 / 2)
    with pytest.raises(UserError, match="accuracy, recall"):
        mean_rate_over_repeats([[good]], "precision")
