"""The mias recipe's report: both splits side by side, beside the poster's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.pipelines.augment import describe_drawn_cratios, describe_synthetic
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.recipes.mias import poster_numbers
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.combine import Combined
from mammo_tf.recipes.mias.conclusion import answer
from mammo_tf.recipes.mias.config import MiasConfig
from mammo_tf.recipes.mias.detect import DetectedFold
from mammo_tf.recipes.mias.detect_scores import RATES, Scores
from mammo_tf.recipes.mias.pictures import choose_pictures
from mammo_tf.recipes.mias.report_patches import (
    INTERVALS,
    classification,
    confusions,
    text_of,
)
from mammo_tf.recipes.mias.trust import Trust
from mammo_tf.recipes.mias.trust_tables import trust_sections
from mammo_tf.report import Figure, Link, Section, Table, curves, render_page
from mammo_tf.report.details import docs_link, made_when, run_details
from mammo_tf.report.learning import learning_section
from mammo_tf.report.overlay import data_uri

SSD_PAPER = Link("SSD (Liu et al. 2016)", "https://doi.org/10.1007/978-3-319-46448-0_2")


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a report is made of; what was not run is empty or None."""

    catalog: Catalog
    classified: Sequence[ClassifyResult]
    detected: Sequence[DetectedFold]
    scores: Sequence[Scores]
    combined: Combined | None
    config: dict
    trust: Sequence[Trust] = ()
    trainings: dict[str, list[dict]] = field(default_factory=dict)
    data_link: Link | None = None
    files: dict[str, str] = field(default_factory=dict)


def render_report(findings: Findings, config: MiasConfig) -> str:
    """Renders the report as one self-contained HTML page."""
    sections = [
        Section("Answer", answer(findings.classified, findings.scores, findings.combined)),
        _detection(findings),
        _froc(findings.scores),
        _combination(findings.combined),
        classification(findings.classified, config),
        *confusions(findings.classified, config),
        *trust_sections(findings.trust),
        learning_section(findings.trainings),
        _pictures(findings.detected),
        _methods(findings, config),
    ]
    phantom = findings.catalog.is_phantom
    return render_page(
        title=("PHANTOM (synthetic images): " if phantom else "") + f"Lesions on {config.dataset}",
        subtitle="Classification and SSD detection, after the poster of Jin and Zheng",
        sections=[section for section in sections if section],
        warnings=_warnings(findings),
        details=run_details(findings.config),
        links=[SSD_PAPER, findings.data_link, docs_link()],
        made=made_when(findings.trainings),
        files=findings.files,
    )


def _warnings(findings: Findings) -> list[str]:
    warnings = ["Research only; not a medical device."]
    if findings.catalog.is_phantom:
        warnings.append(
            "Every image here is a phantom, computed and not taken. The numbers show that the "
            "software works; they say nothing about patients."
        )
    if any(result.split == "poster" for result in (*findings.classified, *findings.detected)):
        warnings.append(
            "Believe the rows “by patient”. In the poster's kind of split, turned copies of one "
            "image lie on both sides, so that the networks are tested on images they know."
        )
    notes = [note for result in findings.classified for note in result.notes]
    notes += [note for fold in findings.detected for note in fold.task.notes]
    return warnings + list(dict.fromkeys(notes))


def _detection(findings: Findings) -> Section | None:
    scores = _alone(findings)
    if not scores:
        return None
    rows = [_class_row(score) for score in scores]
    for name, values in poster_numbers.AVERAGE_PRECISION.items():
        label = {"test": "the poster itself, test", "all": "the poster itself, all sets"}[name]
        rows.append([label, *(f"{values[key]:.3f}" for key in ("benign", "malignant", "mAP"))])
    return Section(
        "Detection",
        [
            "First whether the detector finds lesions at all, whatever their class; then the "
            "average precision of each class, as the poster has it, at IoU 0.5. Where there are "
            "rows of the poster's kind of split, the same detector was trained alike on both.",
            poster_numbers.SLIP,
        ],
        [
            Table(_LESION_HEADER, [_lesion_row(score) for score in scores], INTERVALS),
            Table(_CLASS_HEADER, rows, "Average precision of each class. " + INTERVALS),
        ],
    )


_LESION_HEADER = (
    "Whatever the class",
    "Images",
    "Lesions",
    "AP, IoU 0.5",
    "Found at 1 FP/image",
    "the same, IoU 0.5",
)
_CLASS_HEADER = ("Each class", "AP benign", "AP malignant", "mAP")


def _alone(findings: Findings) -> list[Scores]:
    """The scores of the detector, without those of the combination."""
    combined = findings.combined
    others = [combined.before, combined.after] if combined else []
    return [score for score in findings.scores if all(score is not other for other in others)]


def _lesion_row(score: Scores) -> list[str]:
    return [
        score.name,
        str(score.num_images),
        str(score.num_lesions),
        text_of(score.lesion.per_class["lesion"]),
        text_of(score.froc_centre.sensitivities[1]),
        text_of(score.froc_iou.sensitivities[1]),
    ]


def _class_row(score: Scores) -> list[str]:
    classes = (text_of(score.per_class.per_class[name]) for name in ("benign", "malignant"))
    return [score.name, *classes, text_of(score.per_class.mean)]


def _froc(scores: Sequence[Scores]) -> Section | None:
    if not scores:
        return None
    rows = [
        [
            score.name,
            name,
            *(text_of(froc.sensitivities[rate]) for rate in RATES),
        ]
        for score in scores
        for name, froc in (("centre", score.froc_centre), ("IoU 0.5", score.froc_iou))
    ]
    header = ["False positives an image", "Hit", *(f"{rate:g}" for rate in RATES)]
    drawn = {
        score.name: (score.froc_centre.curve_rates, score.froc_centre.curve_sensitivities)
        for score in scores
    }
    return Section(
        "FROC",
        [
            "Share of lesions found against false positives an image, all images counted, normal "
            "ones too where there are any. A hit is a detection whose middle lies in the "
            "lesion's box, or one that overlaps it by IoU 0.5. Scores of several folds' detectors "
            "are first put on one scale by their own validation images."
        ],
        [
            Table(header, rows, INTERVALS),
            Figure(
                curves.froc_figure(drawn, max_rate=RATES[-1]),
                "Sensitivity against false positives an image (hit: centre).",
                "FROC curves",
            ),
        ],
    )


def _combination(combined: Combined | None) -> Section | None:
    if combined is None:
        return None
    both = (combined.before, combined.after)
    times = [
        ["detector, an image", f"{combined.detector_ms:.0f} ms"],
        ["classifier on the detector's proposals, an image", f"{combined.classifier_ms:.0f} ms"],
        [
            f"classifier alone, sliding over {combined.sliding_places} places of an image",
            f"{combined.sliding_ms:.0f} ms",
        ],
    ]
    weights = ", ".join(f"{weight:g}" for weight in combined.fold_weights)
    return Section(
        "Detector and classifier together",
        [
            "The poster's future work. The detector's surest proposals are scored again by the "
            "patch classifier of the same fold. How much the classifier counts is chosen on each "
            f"fold's validation images: {weights}. Both rows are class-agnostic proposals with "
            "each class's probability, so that the first differs a little from the table above."
        ],
        [
            Table(_LESION_HEADER, [_lesion_row(score) for score in both], INTERVALS),
            Table(_CLASS_HEADER, [_class_row(score) for score in both]),
            Table(
                ["Time", "on this machine"], times, "Of the networks, without reading and cutting."
            ),
        ],
    )


def _pictures(detected: Sequence[DetectedFold]) -> Section | None:
    folds = [fold for fold in detected if fold.split == "patient"]
    if not folds:
        return None
    captions = {
        "found": "Lesions found",
        "missed": "Lesions missed",
        "normal": "Images without lesions with the surest false alarms",
    }
    parts = [
        Figure(
            data_uri(_sheet([picture.pixels for picture in pictures])),
            f"{captions[name]}: {', '.join(picture.name for picture in pictures)}.",
            captions[name],
        )
        for name, pictures in choose_pictures(folds).items()
        if pictures
    ]
    return Section(
        "Hits and misses",
        [
            "Test images, split by patient, with the three surest detections and their scores: "
            "solid boxes have their middle in a lesion, dashed ones have not. Ellipses are the "
            "data set's lesions. The images are the first of their kind, not the best."
        ],
        parts,
    )


def _sheet(pictures: Sequence[np.ndarray], side: int = 480) -> np.ndarray:
    """Lays pictures out two in a row: (height, 2 · side, 3) uint8."""
    from PIL import Image

    sheet = Image.new("RGB", (2 * side, -(-len(pictures) // 2) * side))
    for number, pixels in enumerate(pictures):
        small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
        sheet.paste(small, (number % 2 * side, number // 2 * side))
    return np.asarray(sheet)


def _methods(findings: Findings, config: MiasConfig) -> Section:
    catalog, detect = findings.catalog, config.detect
    lesions = sum(len(image.placed_findings) for image in catalog.images)
    patients = len(set(catalog.patients.tolist()))
    training = detect.training
    is_copied = any(one.split == "poster" for one in (*findings.classified, *findings.detected))
    facts = [
        ["Images", f"{len(catalog.images)} of {patients} patients, {lesions} lesions with a place "
         f"({catalog.name})"],
        ["Division by patient", config.split.describe(catalog.has_official_splits)],
    ]  # fmt: skip
    if is_copied:
        facts.append(
            ["Poster's kind of split", "images with lesions, turned and flipped into eight copies, "
             "copies divided 7:1:2 at random"]
        )  # fmt: skip
    if findings.detected:
        size = "×".join(map(str, detect.shape))
        weights = detect.weights if detect.backbone != "light" else "random"
        epochs = f"{training.epochs} epochs"
        if is_copied:
            epochs += f" by patient, {detect.poster_epochs} on the poster's split"
        facts += [
            ["Detector", f"{detect.variant} on {detect.backbone}, input {size}, weights before "
             f"training: {weights}"],
            ["Training of the detector", f"{epochs}, {training.optimizer}, learning rate "
             f"{training.learning_rate:g}, batches of {training.batch_size}"],
        ]  # fmt: skip
    for name, augment in (
        ("classifier", config.classify.training.augment),
        ("detector", training.augment),
    ):
        if augment.cratios:
            facts.append([f"Compression, {name}", describe_drawn_cratios(augment.cratios)])
    if config.classify.training.augment.synthetic is not None:
        described = describe_synthetic(config.classify.training.augment)
        facts.append(["Synthetic patches, classifier", described])
    facts.append(["Seed", str(config.seed)])
    for fold in findings.detected:
        seconds = fold.facts.get("seconds")
        if seconds:
            facts.append([f"Trained {fold.cell.name}", f"{seconds / 60:.1f} minutes"])
    return Section("How it was done", [], [Table(["", ""], facts)])
