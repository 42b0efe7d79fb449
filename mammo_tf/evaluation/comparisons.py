"""What a change says: p-values and their correction for several comparisons."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate


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
    p_values = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p_values))
    if ((p_values[known] < 0) | (p_values[known] > 1)).any():
        raise UserError(f"p-values must be in [0, 1]. Received: {p_values.tolist()}.")
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p_values[order]
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
