"""What the report and the terminal say of a detector at each compression ratio."""

from collections.abc import Sequence

from mammo_tf.recipes.compression.detection import MAIN_RATE, RATES, DetectionRow
from mammo_tf.recipes.compression.report_experiments import signed
from mammo_tf.report import Figure, Section, Table, figures


def detection_answer(rows: Sequence[DetectionRow], margin: float) -> list[str]:
    """Says how far one may compress for this detector.

    Args:
        rows: By rising compression ratio, the reference first.
        margin: Fall of the share of lesions found that still counts as none.

    Returns:
        Sentences, the answer first.
    """
    reference, *others = rows
    name = figures.cratio_name(reference.cratio)
    level = (
        f"At {name} it finds {reference.found[MAIN_RATE]} of the lesions at {MAIN_RATE} false "
        f"positive an image; the average precision is {reference.precision}."
    )
    if not others:
        return [level]
    passed = None
    for index, row in enumerate(others):  # tested in order, from the mildest on
        if not row.found_change[MAIN_RATE].low > -margin:
            break
        passed = index
    fall = (
        f"the share of lesions found at {MAIN_RATE} false positive an image falls by more than "
        f"{margin:g}"
    )
    if passed is None:
        first = f"Not even at {figures.cratio_name(others[0].cratio)} is it ruled out that {fall}."
    else:
        first = f"Up to {figures.cratio_name(others[passed].cratio)} it is ruled out that {fall}."
    lost = [row for row in others if row.found_change[MAIN_RATE].high < 0]
    said = [
        f"At {figures.cratio_name(row.cratio)} the change is {signed(row.found_change[MAIN_RATE])}."
        for row in lost
    ]
    return [first, level, *(said or ["No change is told from chance."])]


def detection_section(rows: Sequence[DetectionRow]) -> Section:
    """Returns the section with a line for each compression ratio.

    Args:
        rows: By rising compression ratio, the reference first.
    """
    header = ["CR", *(f"Found at {rate:g} FP/image" for rate in RATES)]
    header += [f"Change at {MAIN_RATE}", "Average precision", "Change"]
    body = [
        [
            figures.cratio_name(row.cratio),
            *(str(row.found[rate]) for rate in RATES),
            signed(row.found_change[MAIN_RATE]) if row.found_change else "reference",
            str(row.precision),
            signed(row.precision_change) if row.precision_change else "reference",
        ]
        for row in rows
    ]
    caption = (
        "Share of lesions found (95 % CI) at given false positives an image: the middle of a "
        "detection lies in the lesion's box. Average precision of lesions at IoU 0.5 as COCO "
        "computes it. Bootstrap over patients; changes are paired; seeds of training are not in "
        "the intervals."
    )
    series = {
        f"{rate:g} false positives an image": {row.cratio: row.found[rate] for row in rows}
        for rate in (0.5, 1, 2)
    }
    points = "; ".join(f"{figures.cratio_name(row.cratio)} {row.found[MAIN_RATE]}" for row in rows)
    return Section(
        "The detector at each compression ratio",
        (),
        [
            Table(header, body, caption),
            Figure(
                figures.metric_figure(series, "Share of lesions found"),
                "Share of lesions found, with 95 % interval, against the compression ratio.",
                alt=f"Found at {MAIN_RATE} false positive an image: {points}.",
            ),
        ],
    )
