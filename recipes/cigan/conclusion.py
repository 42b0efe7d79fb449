"""Whether ciGAN helped, in one sentence, and what the controls make of it."""

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.recipes.cigan.arms import KIND_NAMES
from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.recipes.cigan.paper_numbers import AUROC_GAIN
from mammo_tf.recipes.cigan.summary import Summary

LEAST_REPEATS = 3  # with fewer, an interval knows little or nothing of the seeds


def text_of(change: Estimate) -> str:
    """A change with its sign, three digits and interval."""
    if not np.isfinite(change.low):
        return f"{change.value:+.3f} (no interval)"
    return f"{change.value:+.3f} (95 % CI {change.low:+.3f} to {change.high:+.3f})"


def verdict(change: Estimate, margin: float, repeats: int) -> str:
    """Returns "helped", "did not help" or "cannot be told".

    Args:
        change: AUROC with the patches minus without, with its 95 % interval.
        margin: A gain below it is no help.
        repeats: Trainings of each; with fewer than three nothing can be told.

    Examples:
        >>> verdict(Estimate(0.05, 0.01, 0.09), 0.02, 5)
        'helped'
        >>> verdict(Estimate(0.0, -0.01, 0.01), 0.02, 5)
        'did not help'
        >>> verdict(Estimate(0.01, -0.02, 0.04), 0.02, 5)
        'cannot be told'
    """
    if repeats < LEAST_REPEATS:
        return "cannot be told"
    if change.low > 0:
        return "helped"
    if change.high < margin:
        return "did not help"
    return "cannot be told"


def sentence(change: Estimate, margin: float, network: str, share: float, repeats: int) -> str:
    """Returns the answer: ciGAN helped, did not help, or cannot be told, by this much."""
    by = f"AUROC {text_of(change)} with {share:.0%} more patches, painted, in {network}"
    found = verdict(change, margin, repeats)
    if found == "helped":
        return f"ciGAN helped: {by}."
    if found == "did not help":
        return f"ciGAN did not help: {by}; a gain of {margin:g} is ruled out."
    few = "" if repeats >= LEAST_REPEATS else ", from too few trainings (--repeats) to say more"
    return f"Whether ciGAN helped cannot be told: {by}{few}."


def answer(summary: Summary, config: CiganRecipeConfig) -> list[str]:
    """Returns the sentences that a report begins with."""
    classify = config.classify
    network = classify.pretrained.model.name
    said = [
        sentence(summary.primary, config.margin, network, classify.table_share, summary.repeats),
        f"The paper's change is {AUROC_GAIN:+.3f}, from one training each and without an interval.",
    ]
    for versus in summary.additions:
        arm = versus.arm
        if arm.kind == "cigan" and arm.network in classify.extras_on:
            name = getattr(classify, arm.network).model.name
            found = verdict(versus.comparison.change, config.margin, summary.repeats)
            change = text_of(versus.comparison.change)
            said.append(f"{name}, {arm.share:.0%} more by ciGAN: {change}: {found}.")
    return [*said, *_controls(summary)]


def _controls(summary: Summary) -> list[str]:
    said = []
    for kind, name in KIND_NAMES.items():
        found = [one.comparison for one in summary.controls if one.reference.kind == kind]
        if not found:
            continue
        better = sum(one.change.value > 0 and one.adjusted_p_value < 0.05 for one in found)
        worse = sum(one.change.value < 0 and one.adjusted_p_value < 0.05 for one in found)
        said.append(
            f"Against as many patches by {name}, ciGAN is better in {better} and worse in {worse} "
            f"of {len(found)} comparisons (p below 0.05 after Holm's correction)."
        )
    return said
