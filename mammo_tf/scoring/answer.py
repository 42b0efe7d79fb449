"""What a scorer may answer, and what of it becomes a score between 0 and 1."""

from typing import Any

import numpy as np

from mammo_tf.errors import UserError


def read_answer(answer: Any, who: str) -> float:
    """Reads a function's answer: one number, or boxes.

    Args:
        answer: A number or an array of one; or boxes, (n, 5), each (top, left, bottom, right,
            score), of which the highest score counts, 0 where there is none.
        who: The scorer and the case, for errors.

    Raises:
        UserError: If it is neither.
    """
    try:
        values = np.asarray(answer, np.float64)
    except (TypeError, ValueError):
        values = np.full((2,), np.nan)  # refused below
    if values.ndim == 2 and values.shape[1] == 5:
        return float(values[:, 4].max()) if len(values) else 0.0
    if answer is not None and values.size == 0:
        return 0.0
    if answer is None or values.size != 1:
        shape = "" if answer is None else f" of shape {values.shape}"
        raise UserError(
            f"{who}: expected one probability, or boxes as (n, 5). "
            f"Received: {type(answer).__name__}{shape}."
        )
    return float(values.reshape(()))


def to_probability(value: float, output: str, who: str) -> float:
    """Checks a score, after a sigmoid where the scorer gives logits.

    Args:
        value: What the scorer gave.
        output: "probability" or "logit".
        who: The scorer and the case, for errors.

    Raises:
        UserError: If it is not finite, or no probability.
    """
    if not np.isfinite(value):
        raise UserError(f"{who}: a score must be finite. Received: {value}.")
    if output == "logit":
        return float(0.5 * (1 + np.tanh(value / 2)))
    if not 0 <= value <= 1:
        raise UserError(
            f"{who}: a score must be a probability between 0 and 1. Received: {value:.6g}. "
            "If the scorer gives logits, add --set scorer.output=logit."
        )
    return float(value)


def pick_class(outputs: np.ndarray, output_index: int | None, output: str, who: str) -> np.ndarray:
    """Takes the positive class of a network's outputs for n images.

    Args:
        outputs: (n, K) float.
        output_index: Which of K; None where K is 1.
        output: "probability" or "logit"; a softmax is taken of several logits.
        who: The scorer and the case, for errors.

    Returns:
        (n,) float: a probability, or the logit where K is 1 and `output` says so. Of several
        classes' logits it is the log-odds of the class, so that a sigmoid gives the softmax's.

    Raises:
        UserError: If it is not clear which class is meant.
    """
    count = outputs.shape[1]
    if count == 1 and output_index in (None, 0):
        return outputs[:, 0]
    if output_index is None or output_index >= count:
        raise UserError(
            f"{who}: the model gives {count} values for an image; say which is the positive class "
            f"by --set scorer.output_index=K, 0 to {count - 1}. Received: {output_index}."
        )
    if output == "probability":
        return outputs[:, output_index]
    others = np.delete(outputs, output_index, axis=1)
    highest = others.max(axis=1)
    return outputs[:, output_index] - (
        highest + np.log(np.exp(others - highest[:, None]).sum(axis=1))
    )
