"""Calibration, decision curves and subgroups as CSV files and as sections of the report."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from mammo_tf.evaluation import Estimate
from mammo_tf.files import write_text
from mammo_tf.recipes.mias.report_patches import INTERVALS, text_of
from mammo_tf.recipes.mias.trust import Trust
from mammo_tf.report import Figure, Section, Table, curves

FILES = ("calibration.csv", "decision.csv", "subgroups.csv")


def write_trust(folder: Path, found: Sequence[Trust]) -> None:
    """Writes calibration.csv, decision.csv and subgroups.csv; nothing where nothing was asked."""
    if not found:
        return
    for name, rows in zip(
        FILES, (_calibration(found), _decision(found), _subgroups(found)), strict=True
    ):
        write_text(folder / name, _csv(rows))


def trust_sections(found: Sequence[Trust]) -> list[Section]:
    """Returns the report's sections: of the first way to cut patches, and of the images."""
    shown = [one for one in found if one.question.what == "images"]
    shown = [one for one in found if one not in shown][:1] + shown
    if not shown:
        return []
    return [_calibration_section(shown), _decision_section(shown), _subgroup_section(shown)]


def _calibration(found: Sequence[Trust]) -> list[dict]:
    rows = []
    for one in found:
        temperatures = ["" if t is None else f"{t:.4f}" for t in one.temperatures]
        row = _names(one) | {"temperatures": " ".join(temperatures)} | _cells("auroc", one.auroc)
        for name in ("ece", "brier"):
            row |= _cells(f"{name}_before", getattr(one.before, name))
            row |= _cells(f"{name}_after", getattr(one.after, name))
            row |= _cells(f"{name}_change", getattr(one.after, f"{name}_change"))
        rows.append(row)
    return rows


def _decision(found: Sequence[Trust]) -> list[dict]:
    return [
        _names(one)
        | {"threshold": f"{point.threshold:g}"}
        | _cells("model", point.model)
        | _cells("all_cases", point.all_cases)
        | _cells("gain", point.gain)
        for one in found
        for point in one.decision
    ]


def _subgroups(found: Sequence[Trust]) -> list[dict]:
    rows = []
    for one in found:
        for (name, value), measured in one.subgroups.items():
            count, positive, auroc = measured or ("", "", None)
            row = _names(one) | {"property": name, "value": value}
            rows.append(row | {"n": count, "n_positive": positive} | _cells("auroc", auroc))
    return rows


def _names(one: Trust) -> dict:
    return {"what": one.question.what, "question": one.question.name}


def _cells(name: str, estimate: Estimate | None) -> dict:
    """Value and interval; empty where there is none."""
    numbers = (math.nan,) * 3 if estimate is None else (estimate.value, estimate.low, estimate.high)
    keys = (name, f"{name}_low", f"{name}_high")
    return {
        key: f"{number:.6f}" if math.isfinite(number) else ""
        for key, number in zip(keys, numbers, strict=True)
    }


def _csv(rows: Sequence[dict]) -> str:
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()


def _calibration_section(shown: Sequence[Trust]) -> Section:
    header = ["Cases", "1 / 0", "AUROC", "Temperature", "ECE", "ECE after", "Brier", "Brier after"]
    rows = []
    for one in shown:
        temperatures = ["–" if t is None else f"{t:.2f}" for t in one.temperatures]
        numbers = (one.before.ece, one.after.ece, one.before.brier, one.after.brier)
        rows.append([*_names(one).values(), text_of(one.auroc), ", ".join(temperatures),
                     *map(text_of, numbers)])  # fmt: skip
    return Section(
        "Calibration",
        [
            "Whether of the cases that are called positive with a probability of 0.7 seven in ten "
            "are. An image's probability is that of its surest box. Each fold's temperature was "
            "fitted on its own validation cases (–: they give none, and the fold stays as it is)."
        ],
        [Table(header, rows, "ECE with 15 bins of equal numbers. " + INTERVALS)],
    )


def _decision_section(shown: Sequence[Trust]) -> Section:
    parts = []
    for one in shown:
        name = ", ".join(_names(one).values())
        parts.append(
            Figure(
                curves.decision_figure(one.decision),
                f"Net benefit against the threshold: {name}, with the temperatures.",
                f"Decision curve of {name}",
            )
        )
    return Section(
        "Decision curves",
        [
            "What acting on the probabilities from a threshold on is worth, beside acting on every "
            "case or on none (Vickers and Elkin 2006), on this data set's share of positive cases, "
            "which is far above that of screening. Intervals: decision.csv."
        ],
        parts,
    )


def _subgroup_section(shown: Sequence[Trust]) -> Section:
    rows = [
        [*_names(one).values(), name.replace("_", " "), value, *_subgroup_cells(measured)]
        for one in shown
        for (name, value), measured in one.subgroups.items()
    ]
    header = ["Cases", "1 / 0", "Property", "Value", "Number (positive)", "AUROC"]
    caption = (
        "95 % intervals by DeLong, clustered by patient, not corrected for their number. –: fewer "
        "than ten patients with a positive, or with a negative case. All negatives count where a "
        "property is one of lesions."
    )
    return Section("Subgroups", [], [Table(header, rows, caption)])


def _subgroup_cells(measured: tuple[int, int, Estimate] | None) -> list[str]:
    if measured is None:
        return ["–", "–"]
    count, positive, auroc = measured
    return [f"{count} ({positive})", text_of(auroc)]
