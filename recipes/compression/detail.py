"""What the AUROC does not say: calibration, operating points and subgroups at each ratio."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.evaluation import (
    Calibration,
    Estimate,
    calibration_against,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
    subgroup_folds,
)
from mammo_tf.files import write_text
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.report_experiments import signed
from mammo_tf.recipes.compression.summarise import Row, csv_text
from mammo_tf.report import Section, Table, figures

SPECIFICITY = 0.95


@dataclass(frozen=True, kw_only=True)
class SubgroupRow:
    """The AUROC in one subgroup at one compression ratio.

    Attributes:
        model: Name of the model.
        property: Such as "density"; see `mammo_tf.pipelines.subgroups`.
        value: Such as "c".
        test_cr: Compression ratio of training and test images.
        num_cases: Test cases, and of them positive ones; None where they are too few for numbers.
        auroc: As that of a `Row`; None likewise.
        change: AUROC minus that of the reference in the same subgroup; None for the reference.
    """

    model: str
    property: str
    value: str
    test_cr: float
    num_cases: tuple[int, int] | None = None
    auroc: Estimate | None = None
    change: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Calibration of each row of the experiment "single", and its subgroups."""

    calibration: Sequence[tuple[Row, Calibration]]
    subgroups: Sequence[SubgroupRow]

    def of_model(self, model: str) -> "Detail":
        """The part of one network."""
        return Detail(
            calibration=[pair for pair in self.calibration if pair[0].model == model],
            subgroups=[row for row in self.subgroups if row.model == model],
        )


def measure_detail(
    rows: Sequence[Row], task: Task, *, num_resamples: int = 2000, seed: int = 0
) -> Detail:
    """Measures what the AUROC alone does not say.

    Args:
        rows: Rows of the experiment "single" of one model, the reference first.
        task: Their task; its subgroups are used.
        num_resamples: Bootstrap resamples of the calibration's intervals.
        seed: Seed of the bootstrap.
    """
    reference = rows[0].all_folds
    return Detail(
        calibration=[
            (
                row,
                calibration_against(
                    row.all_folds,
                    reference,
                    specificity=SPECIFICITY,
                    num_resamples=num_resamples,
                    seed=seed,
                ),
            )
            for row in rows
        ],
        subgroups=[
            line
            for name, values in task.subgroups.items()
            for line in _subgroups(
                rows, name, dict(zip(task.example_ids, map(str, values), strict=True))
            )
        ],
    )


def _subgroups(rows: Sequence[Row], name: str, values: dict[str, str]) -> Iterator[SubgroupRow]:
    divided = [[subgroup_folds(folds, values) for folds in row.repeats] for row in rows]
    for value in divided[0][0]:
        reference = [folds[value] for folds in divided[0]]
        for row, repeats in zip(rows, divided, strict=True):
            known = {"model": row.model, "property": name, "value": value, "test_cr": row.test_cr}
            if reference[0] is None:
                yield SubgroupRow(**known)
                continue
            own = [folds[value] for folds in repeats]
            labels = np.concatenate([fold.labels for fold in own[0]])
            yield SubgroupRow(
                **known,
                num_cases=(len(labels), int(labels.sum())),
                auroc=mean_auroc_over_repeats(own),
                change=mean_auroc_difference_over_repeats(own, reference)
                if row is not rows[0]
                else None,
            )


def merge_details(details: Iterable[Detail]) -> Detail:
    """Returns one `Detail` with those of all networks."""
    details = list(details)
    return Detail(
        calibration=[pair for detail in details for pair in detail.calibration],
        subgroups=[row for detail in details for row in detail.subgroups],
    )


def write_detail(run_dir: Path, detail: Detail) -> None:
    """Writes calibration.csv and subgroups.csv atomically."""
    write_text(run_dir / "calibration.csv", _csv(map(_calibration_line, detail.calibration)))
    write_text(run_dir / "subgroups.csv", _csv(map(_subgroup_line, detail.subgroups)))


def detail_sections(detail: Detail) -> list[Section]:
    """Returns the report's sections; none on subgroups where the data set knows of none."""
    sections = [_calibration_section(detail.calibration)]
    if detail.subgroups:
        sections.append(_subgroup_section(detail.subgroups))
    return sections


def _calibration_line(pair: tuple[Row, Calibration]) -> dict[str, object]:
    row, measured = pair
    line: dict[str, object] = {"model": row.model, "cr": format_cratio(row.test_cr)}
    for field in dataclasses.fields(measured):
        line |= _parts(field.name, getattr(measured, field.name))
    return line


def _subgroup_line(row: SubgroupRow) -> dict[str, object]:
    count, positive = row.num_cases or ("", "")
    line = {
        "model": row.model,
        "property": row.property,
        "value": row.value,
        "cr": format_cratio(row.test_cr),
        "n": count,
        "n_positive": positive,
    }
    return line | _parts("auroc", row.auroc) | _parts("auroc_change", row.change)


def _parts(name: str, estimate: Estimate | None) -> dict[str, object]:
    """Value and interval as cells; empty where there is none."""
    values = (estimate.value, estimate.low, estimate.high) if estimate else (math.nan,) * 3
    names = (name, f"{name}_low", f"{name}_high")
    return {
        key: "" if math.isnan(value) else round(float(value), 6)
        for key, value in zip(names, values, strict=True)
    }


def _csv(lines) -> str:
    lines = list(lines)
    return csv_text(list(lines[0]), lines) if lines else ""


def _calibration_section(pairs: Sequence[tuple[Row, Calibration]]) -> Section:
    header = ["CR", "ECE", "Change of ECE", "Brier score", "Change of Brier score"]
    header += ["Sensitivity at the first CR's threshold", "Specificity there", "Threshold's shift"]
    body = [
        [
            figures.cratio_name(row.test_cr),
            str(measured.ece),
            signed(measured.ece_change),
            str(measured.brier),
            signed(measured.brier_change),
            str(measured.sensitivity),
            str(measured.specificity),
            signed(measured.threshold_shift),
        ]
        for row, measured in pairs
    ]
    caption = (
        "95 % intervals by bootstrap over patients; they do not hold the seeds. The threshold "
        f"gives {SPECIFICITY:.0%} specificity at the first compression ratio, in each fold its "
        "own; the shift is how far it would have to move to give that again."
    )
    return Section(
        "Calibration and operating points",
        ["A model may keep its AUROC and lose its operating point: this is what would change."],
        [Table(header, body, caption)],
    )


def _subgroup_section(rows: Sequence[SubgroupRow]) -> Section:
    ratios = list(dict.fromkeys(row.test_cr for row in rows))
    groups: dict[tuple[str, str], list[SubgroupRow]] = {}
    for row in rows:
        groups.setdefault((row.property.replace("_", " "), row.value), []).append(row)
    header = ["Property", "Value", "Cases (positive)"]
    header += [f"AUROC at {figures.cratio_name(ratios[0])}"]
    header += [f"Change at {figures.cratio_name(cratio)}" for cratio in ratios[1:]]
    body = [[*key, *_subgroup_cells(of)] for key, of in groups.items()]
    return Section(
        "Subgroups",
        (),
        [
            Table(
                header,
                body,
                "AUROC within subgroups, and its change against the first compression ratio, with "
                "95 % intervals that are not corrected for their number. –: fewer than ten "
                "patients with a positive, or with a negative case.",
            )
        ],
    )


def _subgroup_cells(rows: Sequence[SubgroupRow]) -> list[str]:
    if rows[0].auroc is None:
        return ["–"] * (1 + len(rows))
    count, positive = rows[0].num_cases
    changes = [signed(row.change) for row in rows[1:]]
    return [f"{count} ({positive})", str(rows[0].auroc), *changes]
