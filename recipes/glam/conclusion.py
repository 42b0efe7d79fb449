"""Whether GLAM outlines lesions better than its rivals, in sentences."""

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.recipes.glam.data import ANY
from mammo_tf.recipes.glam.maps import METHOD_NAMES
from mammo_tf.recipes.glam.summary import Summary, Versus, relative_gain

PAPER_GAINS = {"benign": 0.396, "malignant": 0.200}  # relative Dice, the paper's abstract


def text_of(change: Estimate) -> str:
    """A change with its sign, three digits and interval."""
    if not np.isfinite(change.low):
        return f"{change.value:+.3f} (no interval)"
    return f"{change.value:+.3f} (95 % CI {change.low:+.3f} to {change.high:+.3f})"


def verdict(change: Estimate) -> str:
    """Returns "better", "worse" or "cannot be told", by the 95 % interval of a difference.

    Examples:
        >>> verdict(Estimate(0.1, 0.02, 0.18))
        'better'
        >>> verdict(Estimate(0.1, -0.02, 0.22))
        'cannot be told'
    """
    if change.low > 0:
        return "better"
    return "worse" if change.high < 0 else "cannot be told"


def answer(summary: Summary) -> list[str]:
    """Returns the sentences that a report begins with."""
    dice = [one for one in summary.versus if one.measure == "dice"]
    said = [_sentence(one) for one in dice if one.kind != ANY or len(dice) <= 2]
    said = said or [_sentence(one) for one in dice]
    if not said:
        return ["No test image has a marked lesion and a threshold: Dice is not known."]
    for kind, paper in PAPER_GAINS.items():
        gain = relative_gain(summary, kind, "gradcam")
        if gain is not None:
            said.append(
                f"Relative to Grad-CAM's, GLAM's Dice of {kind} lesions is {gain:+.1%}; the paper "
                f"has {paper:+.1%} against the best earlier method, on other images."
            )
    if summary.repeats < 3:
        said.append(
            "Each network was trained once or twice, so that the intervals hold patients, not what "
            "another seed would change (--repeats)."
        )
    return said


def _sentence(one: Versus) -> str:
    change, rival = one.comparison.change, METHOD_NAMES[one.rival]
    found = {
        "better": f"GLAM outlines lesions ({one.kind}) better than {rival}",
        "worse": f"GLAM outlines lesions ({one.kind}) worse than {rival}",
        "cannot be told": f"Whether GLAM outlines lesions ({one.kind}) better than {rival} cannot "
        "be told",
    }[verdict(change)]
    return f"{found}: Dice {text_of(change)}."
