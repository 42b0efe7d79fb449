"""p-values, Holm, non-inferiority and the number of patients: by hand, and by simulation."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Estimate,
    compare_with_reference,
    holm,
    largest_non_inferior,
    mean_auroc_difference_over_repeats,
    patients_needed,
    two_sided_p,
)


def normal(value, error, **more):
    return Estimate(value, value - 1.959964 * error, value + 1.959964 * error, error, **more)


def holm_by_definition(p_values, alpha):
    """Holm 1979: reject the smallest while p(i) <= alpha / (m + 1 - i)."""
    rejected = np.zeros(len(p_values), bool)
    for step, index in enumerate(np.argsort(p_values)):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


def test_holm_rejects_as_holm_defined_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = rng.random(6) ** 3
        for alpha in (0.01, 0.05, 0.2):
            np.testing.assert_array_equal(
                holm(p_values) <= alpha, holm_by_definition(p_values, alpha)
            )


def test_holm_by_hand():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([0.02, math.nan, 0.01]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert len(holm([])) == 0
    with pytest.raises(UserError, match="p-values"):
        holm([0.1, 1.2])


def test_p_value_by_hand():
    assert two_sided_p(normal(0.0196, 0.01)) == pytest.approx(0.05, abs=1e-4)
    few = Estimate(0.02, -0.01, 0.05, 0.01, degrees_of_freedom=2)
    assert two_sided_p(few) == pytest.approx(0.18350, abs=1e-5)  # table of Student's t
    assert two_sided_p(few, null=0.02) == 1
    assert two_sided_p(Estimate(0.1, 0.1, 0.1, 0.0)) == 0
    assert math.isnan(two_sided_p(Estimate(0.1, math.nan, math.nan)))


def test_non_inferior_is_not_the_same_as_no_difference():
    sure, unsure, worse, lost = [
        normal(-0.005, 0.002),
        normal(-0.005, 0.02),
        normal(-0.01, 0.004),
        Estimate(0.1, math.nan, math.nan),
    ]
    changes = [sure, worse, unsure, sure, lost]
    found = compare_with_reference(changes)
    assert [one.non_inferior for one in found] == [True, True, False, True, False]
    assert [one.change for one in found] == changes
    # 2.5 standard errors three times: 0.012419, of four tests.
    p_values, adjusted = zip(*((one.p_value, one.adjusted_p_value) for one in found), strict=True)
    assert p_values[:4] == pytest.approx([0.012419, 0.012419, 0.802587, 0.012419], abs=1e-6)
    assert adjusted[:4] == pytest.approx([0.049677, 0.049677, 0.802587, 0.049677], abs=1e-6)
    assert math.isnan(p_values[4]) and math.isnan(adjusted[4])
    assert largest_non_inferior(found) == 1  # index 3 passes, but 2 does not
    assert largest_non_inferior(found[2:]) is None
    assert largest_non_inferior(found[3:4]) == 0
    assert largest_non_inferior([]) is None
    strict = compare_with_reference(changes, margin=0.01)
    assert [one.non_inferior for one in strict] == [True, False, False, True, False]
    with pytest.raises(UserError, match="margin"):
        compare_with_reference(changes, margin=0)


def test_patients_by_hand():
    # (1.959964 + 0.841621)^2 = 7.84888; 100 patients at a standard error of 0.02 are 0.04 of
    # variance a patient, and 0.02 of room.
    change = normal(-0.01, 0.02)
    assert patients_needed(change, 100) == math.ceil(7.84888 * 0.04 / 0.02**2)
    assert patients_needed(change, 100, true_change=-0.01) == math.ceil(7.84888 * 0.04 / 0.01**2)
    assert patients_needed(change, 100, margin=0.05) == math.ceil(7.84888 * 0.04 / 0.05**2)
    assert patients_needed(change, 100, power=0.9) == math.ceil(10.50742 * 0.04 / 0.02**2)
    assert patients_needed(change, 100, alpha=0.05) == math.ceil(6.18256 * 0.04 / 0.02**2)
    assert patients_needed(change, 100, true_change=-0.02) is None
    assert patients_needed(Estimate(0.0, math.nan, math.nan), 100) is None


def test_more_patients_do_not_shrink_what_the_seeds_add():
    # 0.02^2 / 7.84888 = 5.0963e-5 is all the variance that there may be.
    some = normal(0.0, 0.02, seed_variance=1e-5)
    assert patients_needed(some, 100) == math.ceil(100 * 39e-5 / 4.0963e-5)
    much = normal(0.0, 0.02, seed_variance=6e-5)
    assert patients_needed(much, 100) is None
    few = normal(0.0, 0.02, degrees_of_freedom=4)
    room = 0.02 / (stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4))
    assert patients_needed(few, 100) == math.ceil(100 * 0.02**2 / room**2)


@pytest.mark.parametrize("wrong", [{"power": 1.0}, {"alpha": 0.0}, {"margin": -0.1}])
def test_patients_out_of_range(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        patients_needed(normal(0.0, 0.02), 100, **wrong)
    with pytest.raises(UserError, match="num_patients"):
        patients_needed(normal(0.0, 0.02), 0)


@pytest.fixture(scope="module")
def draw_pair():
    path = Path(__file__).parents[1] / "tools" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_tool", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.draw_pair


@pytest.mark.parametrize(
    ("repeats", "folds", "spread", "margin"), [(1, 1, 0.0, 0.05), (3, 2, 0.05, 0.05)]
)
def test_that_many_patients_show_it_in_four_of_five_studies(
    draw_pair, repeats, folds, spread, margin
):
    rng = np.random.default_rng(1)
    options = {"repeats": repeats, "folds": folds, "spread": spread}

    def study(patients):
        return mean_auroc_difference_over_repeats(*draw_pair(rng, patients=patients, **options))

    pilots = [study(60) for _ in range(200)]
    typical = Estimate(
        0.0,
        0.0,
        0.0,
        np.sqrt(np.mean([pilot.standard_error**2 for pilot in pilots])),
        np.median([pilot.degrees_of_freedom for pilot in pilots]),
        np.mean([pilot.seed_variance for pilot in pilots]),
    )
    needed = patients_needed(typical, 60, margin=margin)
    assert 75 < needed < 400
    shown = [study(needed).low > -margin for _ in range(300)]
    assert 0.74 <= np.mean(shown) <= 0.88
