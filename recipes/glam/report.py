"""The glam recipe's report: Dice of each method beside GLAM's, with pictures of test lesions."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.glam.cells import Networks
from mammo_tf.recipes.glam.conclusion import answer, text_of
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.recipes.glam.data import is_marked
from mammo_tf.recipes.glam.maps import METHOD_NAMES
from mammo_tf.recipes.glam.pictures import lesion_figures
from mammo_tf.recipes.glam.summary import MEASURES, Row, Summary, Versus
from mammo_tf.report import Link, Section, Table, render_page
from mammo_tf.report.details import docs_link, made_when, run_details
from mammo_tf.report.learning import learning_section
from mammo_tf.training.folds import Fold

PAPER = Link("GLAM (Liu et al. 2021)", "https://proceedings.mlr.press/v143/liu21a.html")
INTERVALS = (
    "In brackets: 95 % intervals over patients and, from two trainings on, over trainings. Dice and"
    " pointing are of test images with a marked lesion of the class; AUROC is of all test images."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """All that a report is made of."""

    task: Task
    folds: Sequence[Fold]
    networks: Networks
    summary: Summary
    config: dict
    trainings: dict[str, list[dict]] = field(default_factory=dict)
    data_link: Link | None = None
    files: dict[str, str] = field(default_factory=dict)


def render_report(findings: Findings, config: GlamConfig) -> str:
    """Renders the report as one self-contained HTML page."""
    phantom = findings.task.is_phantom
    sections = [
        _table(findings.summary.rows),
        _versus(findings.summary.versus),
        _by_cratio(findings.summary),
        Section(
            "Test lesions, drawn by lot",
            ["Whatever its class: the greater of the maps of benign and of malignant."],
            lesion_figures(findings.networks, config.seed),
        ),
        learning_section(findings.trainings),
        _images(findings),
        _methods(findings, config),
    ]
    return render_page(
        title=("PHANTOM (synthetic images): " if phantom else "")
        + f"Lesions from image labels alone: {config.dataset}",
        subtitle="GLAM, after Liu et al. 2021",
        answer=answer(findings.summary),
        sections=[section for section in sections if section],
        warnings=_warnings(findings),
        details=run_details(findings.config),
        links=[PAPER, findings.data_link, docs_link()],
        made=made_when(findings.trainings),
        files=findings.files,
    )


def _warnings(findings: Findings) -> list[str]:
    warnings = ["Research only; not a medical device."]
    if findings.task.is_phantom:
        warnings.append(
            "Every image here is a phantom, computed and not taken. The numbers show that the "
            "software works; they say nothing about patients."
        )
    return [*warnings, *findings.task.notes]


def _table(rows: Sequence[Row]) -> Section:
    cells = [
        [
            METHOD_NAMES[row.method],
            row.kind,
            str(row.num_lesions),
            *(_text(row.measures[name]) for name in MEASURES),
        ]
        for row in rows
        if row.cratio == 1
    ]
    header = ["", "Lesions", "Images with one", "Dice", "Pointing", "AUROC"]
    return Section(
        "What each method finds",
        [
            "GLAM, its global map and the plain classifier learn from labels of images; U-Net is "
            "given masks and is no rival but a ceiling. A pixel is marked where a map is at least "
            "the threshold with the highest mean Dice on validation images.",
        ],
        [Table(header, cells, INTERVALS)],
    )


def _versus(versus: Sequence[Versus]) -> Section | None:
    if not versus:
        return None
    cells = [
        [one.measure.capitalize(), one.kind, METHOD_NAMES[one.rival], *_change_cells(one)]
        for one in versus
    ]
    return Section(
        "GLAM against its rivals",
        ["GLAM minus the other, paired: the same test images."],
        [Table(["Measure", "Lesions", "Against", "Change", "p, Holm"], cells, INTERVALS)],
    )


def _by_cratio(summary: Summary) -> Section | None:
    if not summary.by_cratio:
        return None
    changes = {(one.kind, one.cratio): one for one in summary.by_cratio}
    cells = [
        [
            f"{row.cratio:g}",
            row.kind,
            _text(row.measures["dice"]),
            *(_change_cells(changes[row.kind, row.cratio]) if row.cratio != 1 else ["", ""]),
        ]
        for row in summary.rows
        if row.method == "glam" and (row.cratio == 1 or (row.kind, row.cratio) in changes)
        and np.isfinite(row.measures["dice"].value)
    ]  # fmt: skip
    return Section(
        "GLAM's Dice against compression",
        ["Trained at CR 1; validation and test images at the ratio. Change from CR 1, paired."],
        [Table(["CR", "Lesions", "Dice", "Change", "p, Holm"], cells, INTERVALS)],
    )


def _change_cells(one: Versus) -> list[str]:
    p_value = one.comparison.adjusted_p_value
    return [text_of(one.comparison.change), f"{p_value:.3f}" if np.isfinite(p_value) else "–"]


def _images(findings: Findings) -> Section:
    task, rows = findings.task, []
    for fold in findings.folds:
        for part in ("train", "validation", "test"):
            chosen = getattr(fold, part)
            counts = [int(np.sum(task.labels[chosen] == label)) for label in range(3)]
            masks = sum(bool(np.asarray(task.masks[row]).any()) for row in chosen)
            marked = sum(is_marked(task, row) for row in chosen)
            rows.append(
                [f"fold {fold.index}, {part}", *map(str, (*counts, len(chosen), masks, marked))]
            )
    header = ["", *task.class_names, "All", "With a marked lesion", "U-Net could learn from"]
    return Section("Images", [], [Table(header, rows)])


def _methods(findings: Findings, config: GlamConfig) -> Section:
    network, training = config.network, config.training
    texts = [
        f"Images are fitted into {network.image_shape[0]}×{network.image_shape[1]} pixels, right "
        "breasts mirrored; Dice is measured there. Division: "
        + config.split.describe(findings.task.has_official_splits)
        + ".",
        f"GLAM: {network.num_crops} crops of {network.crop_shape[0]}×{network.crop_shape[1]}; "
        f"{training.global_epochs} passes of the global network, {training.local_epochs} of the "
        f"local one, {training.joint_epochs} of both; no epoch is chosen. "
        + ("It begins with another run's weights." if config.start else "From random weights."),
        f"Grad-CAM (tf-keras-vis) of {config.classifier.model.name}, trained in three classes on "
        "the same images; its epoch is chosen on validation images.",
        "Paper's gains: Dice 39.6 % (benign) and 20.0 % (malignant) above the best earlier method, "
        "relative, on the authors' own images at 2944×1920.",
    ]
    return Section("Methods", texts)


def _text(estimate: Estimate) -> str:
    return str(estimate) if np.isfinite(estimate.value) else "–"
