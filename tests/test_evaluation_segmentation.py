"""Dice, thresholds and means of single images, against values worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from mammo_tf.errors import UserError
from mammo_tf.evaluation.segmentation import choose_threshold, dice, mean_over_cases, pointing


def test_dice_of_areas_drawn_by_hand():
    lesion = np.zeros((4, 4), bool)
    lesion[:2, :2] = True
    half = np.zeros((4, 4), bool)
    half[:2, 1:3] = True
    assert dice(lesion, lesion) == 1
    assert dice(half, lesion) == 0.5  # 2 · 2 / (4 + 4)
    assert dice(~lesion, lesion) == 0
    assert dice(np.ones((4, 4), bool), lesion) == pytest.approx(8 / 20)
    assert dice(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 1
    with pytest.raises(UserError, match="one shape"):
        dice(lesion, lesion[:3])


def test_the_highest_value_points():
    lesion = np.array([[True, False], [False, True]])
    assert pointing(np.array([[0.1, 0.2], [0.3, 0.4]]), lesion) == 1
    assert pointing(np.array([[0.1, 0.9], [0.3, 0.4]]), lesion) == 0
    assert pointing(np.array([[0.9, 0.9], [0.3, 0.4]]), lesion) == 0.5


def test_the_threshold_is_that_of_the_best_mean_dice():
    rng = np.random.default_rng(1)
    lesions = [np.zeros((20, 20), bool) for _ in range(3)]
    maps = []
    for number, lesion in enumerate(lesions):
        lesion[3 : 6 + number, 4:9] = True
        maps.append(np.where(lesion, rng.uniform(0.6, 0.9, lesion.shape), rng.uniform(0, 0.5)))
    level = choose_threshold(maps, lesions)
    assert 0.5 < level < 0.65
    assert (
        np.mean([dice(one >= level, lesion) for one, lesion in zip(maps, lesions, strict=True)])
        > 0.95
    )
    # of maps that know nothing the best is to mark what a flat map marks: everything
    flat = [np.full((20, 20), 0.3)] * 3
    assert choose_threshold(flat, lesions) == 0.3
    with pytest.raises(UserError, match="maps and as many lesions"):
        choose_threshold([], [])


def test_the_interval_of_one_repeat_is_that_of_patients():
    rng = np.random.default_rng(3)
    values = rng.normal(0.5, 0.1, 200)
    found = mean_over_cases([[values]], [np.arange(200)], num_resamples=4000)
    assert found.value == pytest.approx(values.mean())
    reach = 1.96 * values.std(ddof=1) / np.sqrt(200)
    assert found.low == pytest.approx(values.mean() - reach, abs=0.002)
    assert found.high == pytest.approx(values.mean() + reach, abs=0.002)
    # twenty images a patient that are all alike tell no more than one
    groups = np.repeat(np.arange(10), 20)
    clustered = mean_over_cases([[np.repeat(values[:10], 20)]], [groups], num_resamples=4000)
    alone = mean_over_cases([[values[:10]]], [np.arange(10)], num_resamples=4000)
    assert clustered.high - clustered.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_folds_count_alike_and_empty_ones_not_at_all():
    values = [np.array([0.2, 0.4]), np.array([]), np.array([0.8, 0.8, 0.8, 0.8])]
    groups = [np.array([1, 2]), np.array([]), np.array([3, 4, 5, 6])]
    assert mean_over_cases([values], groups).value == pytest.approx((0.3 + 0.8) / 2)
    assert np.isnan(mean_over_cases([[np.array([])]], [np.array([])]).value)
    assert np.isnan(mean_over_cases([[np.array([0.5])]], [np.array([1])]).low)
    with pytest.raises(UserError, match="a value for each image"):
        mean_over_cases([[np.array([0.5])]], [np.array([1, 2])])


def test_repeats_add_what_the_seed_changes():
    rng = np.random.default_rng(5)
    groups = [np.arange(400)]
    case = rng.normal(0.5, 0.05, 400)
    repeats = [[case + shift] for shift in (-0.05, 0.0, 0.05)]
    found = mean_over_cases(repeats, groups, bounds=(-1, 1))
    assert found.value == pytest.approx(case.mean())
    # the seeds' standard deviation alone, 0.05, over three trainings
    error = np.hypot(0.05 / np.sqrt(3), case.std(ddof=1) / 20)
    assert found.standard_error == pytest.approx(error, rel=0.03)
    assert found.high - found.value == pytest.approx(
        stats.t.ppf(0.975, found.degrees_of_freedom) * found.standard_error
    )
