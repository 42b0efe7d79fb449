"""The numbers of a run: each row's measures, and what each addition changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Comparison,
    Estimate,
    compare_with_reference,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
    mean_rate_over_repeats,
    two_sided_p,
)
from mammo_tf.recipes.cigan.arms import Arm, table_arm
from mammo_tf.recipes.cigan.classify import Scored
from mammo_tf.recipes.cigan.config import CiganRecipeConfig

MEASURES = ("accuracy", "recall", "auroc")


@dataclass(frozen=True, eq=False)
class Versus:
    """What one row has more than another, in AUROC.

    Attributes:
        arm: The row.
        reference: The other one.
        comparison: The change, with its p-value.
    """

    arm: Arm
    reference: Arm
    comparison: Comparison


@dataclass(frozen=True, kw_only=True, eq=False)
class Summary:
    """All numbers of the classifiers.

    Attributes:
        rows: Accuracy, recall and AUROC of each row, by `MEASURES`.
        primary: The change by ciGAN in the paper's last row, chosen beforehand.
        primary_p: Its p-value, of one test.
        additions: Each addition against the same network without; Holm's correction over them.
        controls: ciGAN against pasted lesions and oversampling of the same share; likewise.
        repeats: Trainings of each row.
    """

    rows: dict[Arm, dict[str, Estimate]]
    primary: Estimate
    primary_p: float
    additions: Sequence[Versus]
    controls: Sequence[Versus]
    repeats: int


def summarise(scored: Scored, config: CiganRecipeConfig) -> Summary:
    """Computes every number from the scored test parts."""
    rows = {
        arm: {
            "accuracy": _known(mean_rate_over_repeats, repeats, "accuracy"),
            "recall": _known(mean_rate_over_repeats, repeats, "recall"),
            "auroc": _known(mean_auroc_over_repeats, repeats),
        }
        for arm, repeats in scored.items()
    }
    added = [arm for arm in scored if arm.kind]
    pairs = [(arm, arm.without) for arm in added]
    rivals = [
        (arm, Arm(arm.network, arm.traditional, kind, arm.share))
        for arm in added
        if arm.kind == "cigan"
        for kind in config.classify.kinds
        if kind != "cigan"
    ]
    primary = table_arm(config.classify)
    change = _change(scored, primary, primary.without)
    return Summary(
        rows=rows,
        primary=change,
        primary_p=two_sided_p(change),
        additions=_versus(scored, pairs, config.margin),
        controls=_versus(scored, [pair for pair in rivals if pair[1] in scored], config.margin),
        repeats=len(scored[primary]),
    )


def _versus(scored: Scored, pairs: Sequence[tuple[Arm, Arm]], margin: float) -> list[Versus]:
    changes = [_change(scored, *pair) for pair in pairs]
    found = compare_with_reference(changes, margin=margin)
    return [Versus(*pair, comparison) for pair, comparison in zip(pairs, found, strict=True)]


def _change(scored: Scored, arm: Arm, reference: Arm) -> Estimate:
    return _known(mean_auroc_difference_over_repeats, scored[arm], scored[reference])


def _known(measure, *arguments) -> Estimate:
    """The estimate, or none where the test part is too small for one."""
    try:
        return measure(*arguments)
    except UserError:
        return Estimate(np.nan, np.nan, np.nan)


def plain(estimate: Estimate) -> dict[str, float | None]:
    """As JSON holds it; a number that there is not is None."""
    numbers = {name: getattr(estimate, name) for name in ("value", "low", "high")}
    return {
        name: round(float(number), 6) if np.isfinite(number) else None
        for name, number in numbers.items()
    }


def plain_versus(versus: Versus, config: CiganRecipeConfig) -> dict:
    """One comparison as JSON holds it."""
    p_value = versus.comparison.adjusted_p_value
    return {
        "row": versus.arm.title(config.classify),
        "against": versus.reference.title(config.classify),
        "auroc_change": plain(versus.comparison.change),
        "adjusted_p_value": round(float(p_value), 6) if np.isfinite(p_value) else None,
    }
