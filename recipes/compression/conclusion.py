"""What a run says, in words: the answer first, then what it rests upon."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.evaluation import between_seed_sd, largest_non_inferior, patients_needed
from mammo_tf.recipes.compression.summarise import Row
from mammo_tf.report.figures import cratio_name

LEVEL = 0.05


def conclusion(rows: Sequence[Row]) -> list[str]:
    """Says in words what rows of one model can and cannot show.

    Args:
        rows: Rows of one experiment by rising compression ratio, the reference first.

    Returns:
        Sentences, the answer first; each number in them comes from `rows`.
    """
    reference, *others = rows
    name = cratio_name(reference.test_cr)
    level = f"At {name} the AUROC is {reference.auroc} and the AUPRC {reference.auprc}."
    if np.isnan([row.auroc.low for row in rows]).any():
        return [
            "This run can show nothing about compression: a test part has fewer than two positive "
            "or two negative patients, so the AUROC has no interval. Take fewer --folds, or more "
            "patients.",
            f"At {name} the AUROC is {reference.auroc.value:.2f}, whatever that is worth.",
        ]
    if reference.auroc.low <= 0.5:
        return [
            f"This run can show nothing about compression: at {name} the interval of the AUROC "
            "covers 0.5, a coin's toss, so there is nothing to lose.",
            level,
        ]
    said = _answer(others) if others else []
    said += [level, *_differences(others), *_hidden(others)]
    # Another's model was trained before, so that no seed of ours is part of what is open.
    return [*said, *_caveat(reference)] if reference.train_crs else said


def _answer(others: Sequence[Row]) -> list[str]:
    """How far one may go, and what stands in the way of going further."""
    margin = others[0].comparison.margin
    passed = largest_non_inferior([row.comparison for row in others])
    if passed is None:
        answer = [
            f"Not even at {cratio_name(others[0].test_cr)} is a loss of AUROC of more than "
            f"{margin:g} ruled out."
        ]
    else:
        answer = [
            f"Up to {cratio_name(others[passed].test_cr)} the loss of AUROC is shown to be at most "
            f"{margin:g} (non-inferior at 95 %)."
        ]
    blocking = others[0 if passed is None else passed + 1 :]
    if not blocking:
        return answer
    alone = [cratio_name(row.test_cr) for row in blocking if row.comparison.non_inferior]
    if alone:
        answer.append(
            f"(Taken alone {', '.join(alone)} would pass; as ratios are tested in order, from the "
            "mildest on, that does not count.)"
        )
    return [answer[0], _why_not(blocking[0]), *answer[1:]]


def _why_not(row: Row) -> str:
    name, change, margin = cratio_name(row.test_cr), row.change, row.comparison.margin
    if change.high < -margin:
        return f"At {name} the loss is shown to be larger."
    if change.high < 0:
        return f"At {name} the loss may be larger: the AUROC is {_by(row)}."
    here = row.num_patients
    needed = patients_needed(change, here, margin=margin)
    if needed is None:
        return (
            f"At {name} no number of patients could show it: what the seeds of training leave open "
            "is too much; take more --repeats."
        )
    if needed <= here:
        return (
            f"At {name} the {here} patients here would show it in most studies if there were no "
            "loss; in this one they do not."
        )
    least = "at least " if len(row.repeats) == 1 else "about "
    return (
        f"At {name} it would take {least}{needed} patients like the {here} here to show it (power "
        "80 %, if there is no loss)."
    )


def _differences(others: Sequence[Row]) -> list[str]:
    """Losses and gains that Holm's correction leaves, said alike."""
    count = len(others)
    corrected = f" after Holm's correction for {count} comparisons" if count > 1 else ""
    shown = [row for row in others if row.comparison.adjusted_p_value < LEVEL]
    said = [
        f"At {cratio_name(row.test_cr)} it is {_by(row)}, p = {_p(row)}{corrected}."
        for row in shown
    ]
    if others and not shown:
        said.append(f"No change is told from chance at 5 %{corrected}.")
    alone = [row for row in others if row not in shown and row.comparison.p_value < LEVEL]
    if alone:
        each = "; ".join(f"at {cratio_name(row.test_cr)} it is {_by(row)}" for row in alone)
        said.append(f"(Only without that correction would more count: {each}.)")
    return said


def _by(row: Row) -> str:
    change, direction = row.change, "lower" if row.change.value < 0 else "higher"
    ends = sorted([abs(change.low), abs(change.high)])
    return f"{direction} by {abs(change.value):.3f} ({ends[0]:.3f} to {ends[1]:.3f})"


def _p(row: Row) -> str:
    value = row.comparison.adjusted_p_value
    return "less than 0.001" if value < 0.001 else f"{value:.3f}"


def _hidden(others: Sequence[Row]) -> list[str]:
    """How large a loss the intervals leave open where none is shown."""
    held = [row for row in others if row.change.high >= 0]
    if not held:
        return []
    loss = max(-row.change.low for row in held)
    size = f"up to {loss:.2f}" if loss >= 0.005 else "less than 0.01"
    return [f"Where no loss is shown, one of {size} is still within the intervals."]


def _caveat(reference: Row) -> list[str]:
    repeats = len(reference.repeats)
    if repeats == 1:
        return [
            "Each network was trained once: the intervals hold the test patients, not the chance "
            "of training, which may move the AUROC as much. --repeats 3 puts both into them."
        ]
    spread = between_seed_sd(reference.repeats)
    return [
        f"Each network was trained {repeats} times, so the intervals hold test patients and seeds; "
        f"between seeds the AUROC at {cratio_name(reference.test_cr)} has an SD of {spread:.3f}."
    ]
