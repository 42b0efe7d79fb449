"""The cigan recipe's report: the answer, the paper's table beside ours, controls and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.cigan import paper_numbers
from mammo_tf.recipes.cigan.arms import network_name, paper_rows
from mammo_tf.recipes.cigan.conclusion import answer, text_of
from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.recipes.cigan.quality import Quality
from mammo_tf.recipes.cigan.report_gan import gan_section
from mammo_tf.recipes.cigan.report_quality import quality_sections
from mammo_tf.recipes.cigan.summary import MEASURES, Summary, Versus
from mammo_tf.report import Link, Section, Table, render_page
from mammo_tf.report.details import docs_link, made_when, run_details
from mammo_tf.report.learning import learning_section
from mammo_tf.training.cigan_run import count_classes
from mammo_tf.training.folds import Fold

INTERVALS = (
    "In brackets: 95 % intervals over patients and, from two trainings on, over trainings "
    "(Obuchowski and Rockette). ciGAN and what it painted are the same in all trainings of a fold."
)


PAPER = Link("ciGAN (Wu et al. 2018)", "https://arxiv.org/abs/1807.08093")


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """All that a report is made of.

    Attributes:
        task: ciGAN's patches.
        folds: Their division.
        histories: The epochs of each fold's ciGAN, see `fit_cigan`.
        summary: The classifiers' numbers.
        quality: How real the painted patches are.
        repeats: Trainings of each classifier.
        config: The run folder's config.json.
        trainings: What `mammo_tf.report.learning.read_trainings` gives.
        data_link: Link to the data set's page, or None.
        files: {name: content} of the run's tables.
    """

    task: Task
    folds: Sequence[Fold]
    histories: Sequence[Sequence[dict]]
    summary: Summary
    quality: Quality
    repeats: int
    config: dict
    trainings: dict[str, list[dict]] = field(default_factory=dict)
    data_link: Link | None = None
    files: dict[str, str] = field(default_factory=dict)


def render_report(findings: Findings, config: CiganRecipeConfig) -> str:
    """Renders the report as one self-contained HTML page."""
    phantom = findings.task.is_phantom
    sections = [
        _table_1(findings.summary, config),
        *_versus_sections(findings.summary, config),
        _all_rows(findings.summary, config),
        *quality_sections(findings.quality, findings.task, config, seed=config.seed),
        _patches(findings),
        gan_section(findings.folds, findings.histories, config),
        learning_section(findings.trainings),
        _methods(findings, config),
    ]
    return render_page(
        title=("PHANTOM (synthetic images): " if phantom else "")
        + f"Do ciGAN's lesions help? {config.dataset}",
        subtitle="After Peterka, Bosnić and Osipov 2020",
        answer=answer(findings.summary, config),
        sections=[section for section in sections if section],
        warnings=_warnings(findings, config),
        details=run_details(findings.config),
        links=[PAPER, findings.data_link, docs_link()],
        made=made_when(findings.trainings),
        files=findings.files,
    )


def _warnings(findings: Findings, config: CiganRecipeConfig) -> list[str]:
    warnings = ["Research only; not a medical device."]
    if findings.task.is_phantom:
        warnings.append(
            "Every image here is a phantom, computed and not taken. The numbers show that the "
            "software works; they say nothing about patients."
        )
    if config.perceptual.weights == "random":
        warnings.append("The perceptual network has random weights: a test of the machinery.")
    if findings.repeats < 3:
        warnings.append(
            f"Each classifier was trained {findings.repeats} times; five or more show what chance "
            "does (--repeats)."
        )
    return [*warnings, *findings.task.notes]


def _table_1(summary: Summary, config: CiganRecipeConfig) -> Section:
    rows = []
    for arm, paper in paper_rows(config.classify).items():
        cells = [
            f"{_text(summary.rows[arm][measure])}; paper {value:.3f}"
            for measure, value in zip(MEASURES, paper, strict=True)
        ]
        rows.append([arm.title(config.classify), *cells])
    header = ["", "Accuracy", "Recall", "AUROC"]
    return Section(
        "The paper's Table 1",
        [
            "Test patches with a lesion, malignant against benign; accuracy and recall at a "
            "probability of 0.5. " + paper_numbers.SLIP,
        ],
        [Table(header, rows, INTERVALS)],
    )


def _versus_sections(summary: Summary, config: CiganRecipeConfig) -> list[Section]:
    sections = []
    for heading, text, found in (
        (
            "What each addition changes",
            "AUROC against the same network and augmentation with nothing added, paired: the same "
            "test patches and the same seeds.",
            summary.additions,
        ),
        (
            "ciGAN against the controls",
            "AUROC with ciGAN's patches minus that with as many pasted real lesions, or with as "
            "many repeated patches. Only what ciGAN has beyond these is owed to the network.",
            summary.controls,
        ),
    ):
        if found:
            rows = [_versus_row(one, config) for one in found]
            header = ["Row", "Against", "AUROC, change", "p, Holm"]
            sections.append(Section(heading, [text], [Table(header, rows, INTERVALS)]))
    return sections


def _versus_row(versus: Versus, config: CiganRecipeConfig) -> list[str]:
    p_value = versus.comparison.adjusted_p_value
    return [
        versus.arm.title(config.classify),
        versus.reference.title(config.classify),
        text_of(versus.comparison.change),
        f"{p_value:.3f}" if np.isfinite(p_value) else "–",
    ]


def _all_rows(summary: Summary, config: CiganRecipeConfig) -> Section:
    rows = [
        [arm.title(config.classify), *(_text(measures[name]) for name in MEASURES)]
        for arm, measures in summary.rows.items()
    ]
    return Section("Every row", [], [Table(["", "Accuracy", "Recall", "AUROC"], rows, INTERVALS)])


def _patches(findings: Findings) -> Section:
    rows = []
    for fold in findings.folds:
        for part, counts in count_classes(findings.task, fold).items():
            numbers = [*counts.values(), sum(counts.values())]
            rows.append([f"fold {fold.index}, {part}", *map(str, numbers)])
    numbers = [*paper_numbers.NUM_PATCHES.values()]
    rows.append(["the paper, in all", *(f"{n:,}" for n in (*numbers, sum(numbers)))])
    return Section(
        "Patches",
        [f"{len(set(findings.task.groups.tolist()))} patients; none is in two parts."],
        [Table(["", *findings.task.class_names, "together"], rows)],
    )


def _methods(findings: Findings, config: CiganRecipeConfig) -> Section:
    patches, classify = config.patches, config.classify
    stride = patches.stride or patches.patch_size // 2
    facts = [
        ["Patches", f"{patches.patch_size}×{patches.patch_size}, stride {stride}, images at "
         f"{patches.image_scale:g} of their size (paper: 256, 128, not stated)"],
        ["Division", config.split.describe(findings.task.has_official_splits)],
        ["ciGAN", f"{config.gan.pretrain_epochs} passes with the perceptual loss, "
         f"{config.gan.adversarial_epochs} in turns (paper: 300 and 2000); compared by "
         f"{config.perceptual.backbone} (paper: vgg19)"],
        ["Traditional augmentation", _augmentation(classify.augment)],
        ["Added", "the rarer class is filled up first, the rest halved; validation and test have "
         "none"],
        ["Trainings of each classifier", str(findings.repeats)],
        ["Seed", str(config.seed)],
    ]  # fmt: skip
    for name in ("shallow", "pretrained"):
        network = getattr(classify, name)
        training = network.training
        facts.append(
            [name, f"{network_name(classify, name)}, input "
             f"{network.input_size or patches.patch_size}, {training.epochs} epochs, batches of "
             f"{training.batch_size}, learning rate {training.learning_rate:g} "
             f"({training.schedule})"]
        )  # fmt: skip
    return Section("How it was done", [], [Table(["", ""], facts)])


def _augmentation(augment: AugmentConfig) -> str:
    low, high = augment.scale_range
    flips = "flips, " if augment.horizontal_flip else ""
    return f"{flips}turns up to {augment.rotation_degrees:g}°, zoom {low:g} to {high:g}"


def _text(estimate: Estimate) -> str:
    if not np.isfinite(estimate.value):
        return "–"
    if not np.isfinite(estimate.low):
        return f"{estimate.value:.3f} (no interval)"
    return f"{estimate.value:.3f} ({estimate.low:.3f}, {estimate.high:.3f})"
