"""Decision curves and temperatures against values worked out by hand."""

import csv
import io
import math

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    ScoredFold,
    apply_temperature,
    decision_csv,
    decision_curve,
    fit_temperature,
)

LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
SCORES = np.array([0.9, 0.6, 0.1, 0.8, 0.3, 0.2, 0.1, 0.1, 0.0, 0.0])
FOLD = ScoredFold(LABELS, SCORES, np.arange(10))


@pytest.mark.parametrize(
    ("threshold", "model", "all_cases"),
    [
        # At 0.2: 2 hits, 3 false ones (0.2 itself counts) at 1/4; all: 3 less 7/4.
        (0.2, (2 - 3 / 4) / 10, (3 - 7 / 4) / 10),
        # At 0.5: 2 hits, 1 false one at 1; all: 3 less 7.
        (0.5, (2 - 1) / 10, (3 - 7) / 10),
        # At 0.75: 1 hit, 1 false one at 3; all: 3 less 21.
        (0.75, (1 - 3) / 10, (3 - 21) / 10),
    ],
)
def test_net_benefit_by_hand(threshold, model, all_cases):
    (point,) = decision_curve([FOLD], thresholds=[threshold], num_resamples=0)
    assert point.model.value == pytest.approx(model)
    assert point.all_cases.value == pytest.approx(all_cases)
    assert point.gain.value == pytest.approx(model - max(all_cases, 0))
    assert math.isnan(point.model.low)


def test_folds_are_pooled_and_patients_drawn_whole():
    halves = [
        ScoredFold(LABELS[part], SCORES[part], np.arange(10)[part])
        for part in (slice(0, 5), slice(5, 10))
    ]
    one, two = (decision_curve(f, num_resamples=200, seed=3) for f in ([FOLD], halves))
    assert one == two
    assert len(one) == 19
    # Ten patients of one case, and the same cases twice over in the same ten patients: the same
    # resamples. Were cases drawn, twice as many would have narrower intervals.
    double = ScoredFold(np.tile(LABELS, 2), np.tile(SCORES, 2), np.tile(np.arange(10), 2))
    for single, twice in zip(one, decision_curve([double], num_resamples=200, seed=3), strict=True):
        assert single.model.low == pytest.approx(twice.model.low)
        assert single.model.low <= single.model.value <= single.model.high


def test_the_table_has_a_row_a_threshold():
    points = decision_curve([FOLD], thresholds=[0.2, 0.5], num_resamples=0)
    rows = list(csv.DictReader(io.StringIO(decision_csv(points))))
    assert [row["threshold"] for row in rows] == ["0.2", "0.5"]
    assert float(rows[0]["model"]) == pytest.approx(0.125)
    assert float(rows[1]["all_cases"]) == pytest.approx(-0.4)
    assert rows[0]["gain_low"] == ""


@pytest.mark.parametrize("thresholds", [[], [0.0], [1.0]])
def test_impossible_thresholds_are_refused(thresholds):
    with pytest.raises(UserError, match="`thresholds` must be between 0 and 1"):
        decision_curve([FOLD], thresholds=thresholds)


def test_scores_that_are_no_probabilities_are_refused():
    fold = ScoredFold(LABELS, SCORES * 2, np.arange(10))
    with pytest.raises(UserError, match="one probability"):
        decision_curve([fold])
    with pytest.raises(UserError, match="one probability"):
        fit_temperature(LABELS, SCORES * 2)


def test_a_temperature_by_hand():
    """All logits are 2 and three of four are right: sigmoid(2 / T) = 3/4, so T = 2 / ln 3."""
    sure = 1 / (1 + math.exp(-2))
    labels, scores = [1, 1, 1, 0, 0, 0, 0, 1], [sure] * 4 + [1 - sure] * 4
    temperature = fit_temperature(labels, scores)
    assert temperature == pytest.approx(2 / math.log(3), rel=1e-4)
    np.testing.assert_allclose(
        apply_temperature(scores, temperature), [0.75] * 4 + [0.25] * 4, rtol=1e-4
    )


def test_a_temperature_of_one_changes_nothing():
    np.testing.assert_allclose(apply_temperature(SCORES, 1), SCORES, atol=1e-9)


@pytest.mark.parametrize("scores", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1]])
def test_no_best_temperature_is_said(scores):
    with pytest.raises(UserError, match="No temperature"):
        fit_temperature([0, 0, 1, 1], scores)


def test_a_temperature_needs_both_classes():
    with pytest.raises(UserError, match="both classes"):
        fit_temperature([1, 1], [0.4, 0.6])
    with pytest.raises(UserError, match="above 0"):
        apply_temperature([0.5], 0)
