"""What changes against a reference say: p-values, non-inferiority, and how many patients it takes.

Two questions are kept apart. "Is there a difference?" is asked of every condition, and Holm's
correction keeps the chance of a false yes at 5 % over all of them. "Is it at most a little worse?"
is non-inferiority at a margin, asked of the mildest condition first and on until one fails; each
is then tested at the full level (`largest_non_inferior`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What one change says.

    Attributes:
        change: Value minus that of the reference; negative is worse.
        p_value: Two-sided, against no change; NaN where `change` has no standard error.
        adjusted_p_value: The same after Holm's correction for all comparisons.
        non_inferior: Whether the interval of `change` lies above minus the margin.
        margin: The loss that is still acceptable.
    """

    change: Estimate
    p_value: float
    adjusted_p_value: float
    non_inferior: bool
    margin: float


def compare_with_reference(
    changes: Sequence[Estimate], *, margin: float = 0.02
) -> tuple[Comparison, ...]:
    """Compares several conditions with one reference.

    Args:
        changes: Value of each condition minus that of the reference, with the 95 % interval of a
            paired comparison. The reference itself is none of them.
        margin: The loss that is still acceptable, above 0; 0.02 of AUROC is a choice, not a
            standard.

    Returns:
        One comparison a change, in their order.

    Raises:
        UserError: If `margin` is not above 0.

    Reference:
        Blackwelder, Controlled Clinical Trials 3 (1982); the two-sided 95 % interval tests at a
        one-sided level of 2.5 %, as ICH E9, section 3.3.2, asks for.
    """
    _check_margin(margin)
    p_values = [two_sided_p(change) for change in changes]
    return tuple(
        Comparison(
            change=change,
            p_value=p_value,
            adjusted_p_value=float(adjusted),
            non_inferior=bool(change.low > -margin),
            margin=margin,
        )
        for change, p_value, adjusted in zip(changes, p_values, holm(p_values), strict=True)
    )


def largest_non_inferior(comparisons: Sequence[Comparison]) -> int | None:
    """Finds how far one may go: the last condition before the first that is not non-inferior.

    The order is fixed beforehand, and a condition counts only if all before it do. So the chance
    that the answer goes too far is at most that of one test, 2.5 %, without further correction.

    Args:
        comparisons: From the mildest condition to the strongest, e.g. by rising compression ratio.

    Returns:
        Its index, or None if not even the first is non-inferior.

    Reference:
        Maurer, Hothorn and Lehmacher 1995 (in Biometrie in der chemisch-pharmazeutischen Industrie
        6); Hsu and Berger, Journal of the American Statistical Association 94 (1999).
    """
    passed = None
    for index, comparison in enumerate(comparisons):
        if not comparison.non_inferior:
            break
        passed = index
    return passed


def patients_needed(
    change: Estimate,
    num_patients: int,
    *,
    margin: float = 0.02,
    true_change: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.025,
) -> int | None:
    """Computes how many test patients would show non-inferiority.

    The part of the variance that comes from the cases is taken to fall as one over the number of
    patients, with as many positives among them and as many cases each. The part that comes from the
    seeds of the trainings, `Estimate.seed_variance`, stays: only more repeats shrink it. With one
    repeat it is not known and counts as 0, so the answer is then a lower bound. The degrees of
    freedom are kept as they are.

    Args:
        change: The change that was observed, with its standard error.
        num_patients: Patients behind it.
        margin: The loss that is still acceptable, above 0.
        true_change: What the true change is assumed to be; pass `change.value` for "as observed".
        power: Chance of showing it, between 0 and 1.
        alpha: One-sided level of the test.

    Returns:
        The number of patients, at least 2; None if no number is enough: the true change is not
        above minus the margin, the seeds alone are too uncertain, or there is no standard error.

    Raises:
        UserError: If an argument is out of range.

    Reference:
        Blackwelder (1982); Chow, Shao and Wang, Sample Size Calculations in Clinical Research
        (2008), section 3.2, with t in place of normal quantiles.
    """
    _check_margin(margin)
    for name, value in (("power", power), ("alpha", alpha)):
        if not 0 < value < 1:
            raise UserError(f"`{name}` must be between 0 and 1. Received: {value}.")
    if num_patients < 1:
        raise UserError(f"`num_patients` must be at least 1. Received: {num_patients}.")
    room = margin + true_change
    quantiles = stats.t.ppf([1 - alpha, power], change.degrees_of_freedom).sum()
    if not room > 0 or not np.isfinite(change.standard_error):
        return None
    if quantiles <= 0:
        return 2
    left_for_cases = (room / quantiles) ** 2 - change.seed_variance
    from_cases = max(change.standard_error**2 - change.seed_variance, 0.0)
    if left_for_cases <= 0:
        return None
    return max(2, math.ceil(num_patients * from_cases / left_for_cases))


def two_sided_p(estimate: Estimate, null: float = 0.0) -> float:
    """Returns the two-sided p-value of an estimate against a true value of `null`.

    It is below 0.05 where the 95 % interval does not hold `null`: both come from the same t or
    normal distribution. NaN where the estimate has no standard error.
    """
    distance = abs(estimate.value - null)
    if distance == 0 or estimate.standard_error == 0:
        return 1.0 if distance == 0 else 0.0
    statistic = distance / estimate.standard_error
    return float(2 * stats.t.sf(statistic, estimate.degrees_of_freedom))


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Returns Holm's adjusted p-values, in the order given.

    A comparison is significant at level α, with all of them together wrong in at most α of studies,
    where its adjusted p-value is at most α; the tests may depend on each other.

    Args:
        p_values: (m,) float in [0, 1]. A comparison without one (NaN) is not counted.

    Returns:
        (m,) float; NaN where `p_values` is.

    Raises:
        UserError: If a p-value is outside [0, 1].

    Examples:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]

    Reference:
        Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of
        Statistics 6 (1979); as adjusted p-values Wright, Biometrics 48 (1992).
    """
    values = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    if ((values[known] < 0) | (values[known] > 1)).any():
        raise UserError(f"p-values must be in [0, 1]. Received: {values.tolist()}.")
    order = known[np.argsort(values[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * values[order]
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise UserError(f"`margin` must be above 0. Received: {margin}.")
