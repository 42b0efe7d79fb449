"""Temperature scaling: one number, fitted on validation cases, that mends too sure probabilities.

Reference:
    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017.
"""

import numpy as np
from scipy import optimize, special

from mammo_tf.errors import UserError

LEAST, GREATEST = 0.05, 20.0
_LEAST_PROBABILITY = 1e-12


def fit_temperature(labels, scores) -> float:
    """Returns the temperature with the least cross-entropy on validation cases.

    Args:
        labels: (n,) int, 0 or 1, both present. Never test cases.
        scores: (n,) float, probabilities of class 1.

    Returns:
        The temperature: above 1 where the scores are too sure, below where too unsure. It changes
        neither the order of the cases nor which side of 0.5 they are on.

    Raises:
        UserError: If a class is missing, a score is no probability, or no temperature between 0.05
            and 20 is best: the scores part the classes wholly, or not at all.

    Examples:
        >>> fit_temperature([1, 1, 1, 0], [0.9, 0.9, 0.9, 0.9]) > 1
        True
    """
    labels, logits = np.asarray(labels), _logits(scores)
    if labels.shape != logits.shape or set(np.unique(labels).tolist()) != {0, 1}:
        raise UserError("A temperature needs validation cases of both classes, labelled 0 or 1.")
    signed = np.where(labels == 1, logits, -logits)

    def loss(log_temperature: float) -> float:
        return float(-special.log_expit(signed / np.exp(log_temperature)).mean())

    bounds = np.log([LEAST, GREATEST])
    options = {"xatol": 1e-9}
    best = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options=options).x
    if np.min(np.abs(bounds - best)) < 1e-3:
        raise UserError(
            f"No temperature from {LEAST} to {GREATEST} is best on these {len(labels)} validation "
            "cases: the scores part the classes wholly, or not at all. Use more cases."
        )
    return float(np.exp(best))


def apply_temperature(scores, temperature: float) -> np.ndarray:
    """Returns (n,) float64, probabilities whose logits are divided by a temperature.

    Args:
        scores: (n,) float, probabilities of class 1.
        temperature: Above 0, see `fit_temperature`.

    Raises:
        UserError: If a score is no probability, or the temperature not above 0.
    """
    if not temperature > 0:
        raise UserError(f"`temperature` must be above 0. Received: {temperature}.")
    return special.expit(_logits(scores) / temperature)


def _logits(scores) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not ((scores >= 0) & (scores <= 1)).all():
        raise UserError("A temperature needs one probability a case, from 0 to 1.")
    return special.logit(np.clip(scores, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY))
