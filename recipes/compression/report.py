"""The compression recipe's report: our numbers beside the paper's, and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.recipes.compression import paper_numbers
from mammo_tf.recipes.compression.answer import answer
from mammo_tf.recipes.compression.detail import Detail, detail_sections
from mammo_tf.recipes.compression.detection import DetectionRow
from mammo_tf.recipes.compression.quality import Quality, quality_line
from mammo_tf.recipes.compression.report_detection import detection_answer, detection_section
from mammo_tf.recipes.compression.report_experiments import experiment_sections, signed
from mammo_tf.recipes.compression.report_networks import networks_sections, titled
from mammo_tf.recipes.compression.report_scorer import p_and_non_inferior, scorer_section
from mammo_tf.recipes.compression.saliency import Saliency, saliency_section
from mammo_tf.recipes.compression.samples import Sample
from mammo_tf.recipes.compression.summarise import Row, by_model, main_rows
from mammo_tf.report import Figure, Link, Section, Table, curves, figures, render_page
from mammo_tf.report.details import docs_link, made_when, run_details
from mammo_tf.report.learning import learning_section
from mammo_tf.report.patches import patches_figure

PAPER = Link("Jo et al. 2021", "https://doi.org/10.1038/s41598-021-86726-w")
_FLAT = 0.5  # of a breast with one grey value; uncompressed ones have a few hundredths
# "Data", the smallest of the paper's detectors.
_PAPER_IMAGES = "2294×1914 pixels and more"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a report is made of.

    Attributes:
        rows: Summary rows of all experiments.
        quality: CR achieved, PSNR and RMSE, one entry a CR.
        detail: Calibration and subgroups of the single experiment; None where it was not run.
        detection: Rows of a detector, instead of `rows`.
        saliency: Where the networks look; None where it was not asked for.
        samples: Mammograms to show patches of.
        data_facts: What was classified, as (name, text) lines.
        notes: Sentences about the data that a reader must know.
        source: What the images are, e.g. "mini_mias".
        is_phantom: Whether they are synthetic.
        positive_name: What the positive class is.
        margin: Loss of AUROC that still counts as non-inferior.
        config: The run folder's config.json.
        image_shape: (height, width) of the largest image shown, or None where none is.
        trainings: What `mammo_tf.report.learning.read_trainings` gives.
        data_link: Link to the data set's page, or None.
        files: {name: content} of the run's tables.
    """

    rows: Sequence[Row]
    quality: Sequence[Quality]
    detail: Detail | None
    saliency: Saliency | None
    samples: Sequence[Sample]
    data_facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    source: str
    is_phantom: bool
    positive_name: str
    margin: float
    config: dict
    detection: Sequence[DetectionRow] = ()
    image_shape: tuple[int, int] | None = None
    trainings: dict[str, list[dict]] = field(default_factory=dict)
    data_link: Link | None = None
    files: dict[str, str] = field(default_factory=dict)


def render_report(findings: Findings) -> str:
    """Renders the report as one self-contained HTML page."""
    networks = by_model(findings.rows)
    sections = networks_sections(networks) if len(networks) > 1 else []
    for name, rows in networks.items():
        own = _of_network(name, rows, findings)
        sections += own if len(networks) == 1 else [titled(section, name) for section in own]
    sections += [detection_section(findings.detection)] if findings.detection else []
    sections += [saliency_section(findings.saliency)] if findings.saliency else []
    sections += [learning_section(findings.trainings)]
    sections += [_quality(findings.quality), _samples(findings.samples), _methods(findings)]
    return render_page(
        title=_title(findings),
        subtitle="JPEG 2000 compression against classification, after Jo et al. 2021 "
        "(Scientific Reports 11)",
        answer=detection_answer(findings.detection, findings.margin)
        if findings.detection
        else answer(findings.rows),
        sections=[section for section in sections if section],
        warnings=_warnings(findings),
        details=run_details(findings.config),
        links=[PAPER, findings.data_link, docs_link()],
        made=made_when(findings.trainings),
        files=findings.files,
    )


def _of_network(name: str, rows: Sequence[Row], findings: Findings) -> list[Section]:
    single = main_rows(rows)
    sections = []
    if single:
        table = _single if single[0].train_crs else scorer_section
        sections += [_against_ratio(single, findings), table(single, findings), _curves(single)]
        sections += detail_sections(findings.detail.of_model(name)) if findings.detail else []
    return sections + experiment_sections(rows)


def _title(findings: Findings) -> str:
    kind = "PHANTOM (synthetic images): " if findings.is_phantom else ""
    what = "detection" if findings.detection else "classification"
    return f"{kind}Image compression and {findings.positive_name} {what}"


def _warnings(findings: Findings) -> list[str]:
    warnings = []
    if findings.is_phantom:
        warnings.append(
            "Every image here is a phantom, computed and not taken. The numbers show that the "
            "software works; they say nothing about patients."
        )
    warnings += findings.notes
    warnings += floor_notes(findings.samples)
    warnings.append("Research only: not a medical device.")
    return warnings


def floor_notes(samples: Sequence[Sample]) -> list[str]:
    """Returns a sentence on the ratios at which every sample image is a silhouette, if any."""
    cratios = samples[0].flat_share if samples else ()
    least = {cratio: min(sample.flat_share[cratio] for sample in samples) for cratio in cratios}
    flat = [cratio for cratio, share in least.items() if share > _FLAT]
    if not flat:
        return []
    names = ", ".join(f"{figures.cratio_name(cratio)} ({least[cratio]:.0%})" for cratio in flat)
    return [
        f"The sample images are silhouettes at {names}: so much of the breast, or more, has one "
        "grey value. A fall there is the codec's floor, and says nothing of how lesions fade."
    ]


def _against_ratio(rows: Sequence[Row], findings: Findings) -> Section:
    count, positives = rows[0].counts
    chance = {"auroc": 0.5, "auprc": positives / count}
    said = ""
    if rows[0].train_crs:
        said = (
            " The paper's curve is of other images, of the size that the legend says: what a ratio "
            "destroys depends on the bytes that it leaves, so the same ratio is milder on larger "
            "images. Compare the shapes, neither heights nor places."
        )
    return Section(
        "AUROC and AUPRC against the compression ratio",
        (),
        [
            Figure(
                figures.metric_figure(
                    _beside_paper(rows, metric, findings), metric.upper(), chance=chance[metric]
                ),
                f"{metric.upper()} with 95 % interval against the compression ratio.{said}",
                alt=_in_words(rows, metric),
            )
            for metric in ("auroc", "auprc")
        ],
    )


def _in_words(rows: Sequence[Row], metric: str) -> str:
    points = (f"{figures.cratio_name(row.test_cr)} {getattr(row, metric)}" for row in rows)
    return f"{metric.upper()} of this run: {'; '.join(points)}."


def _beside_paper(rows: Sequence[Row], metric: str, findings: Findings) -> dict:
    kind = "phantom images" if findings.is_phantom else "images"
    size = "×".join(map(str, findings.image_shape or ()))
    name = f"this run: {kind} of {size} pixels" if size else f"this run: {kind}"
    series = {name: {row.test_cr: getattr(row, metric) for row in rows}}
    paper = {row.test_cr: paper_numbers.single(rows[0].model, metric, row.test_cr) for row in rows}
    paper = {cratio: value for cratio, value in paper.items() if value}
    if paper:
        series[f"Jo et al. 2021, Table 1: images of {_PAPER_IMAGES}"] = paper
    return series


def _single(rows: Sequence[Row], findings: Findings) -> Section:
    header = ["CR", "AUROC (95 % CI)", "SD", "Change of AUROC", "p (Holm)", "Non-inferior"]
    header += ["AUPRC (95 % CI)", "SD"]
    header += ["Paper's AUROC", "Paper's AUPRC"]
    body = [
        [
            figures.cratio_name(row.test_cr),
            str(row.auroc),
            _spread(row.fold_aurocs),
            signed(row.change) if row.change else "reference",
            *p_and_non_inferior(row),
            str(row.auprc),
            _spread(row.fold_auprcs),
            _paper_cell(paper_numbers.single(row.model, "auroc", row.test_cr)),
            _paper_cell(paper_numbers.single(row.model, "auprc", row.test_cr)),
        ]
        for row in rows
    ]
    count, positives = rows[0].counts
    folds, repeats = len(rows[0].repeats[0]), len(rows[0].repeats)
    seeds = (
        "intervals hold patients and seeds (Obuchowski and Rockette; Hillis)"
        if repeats > 1
        else "intervals hold patients, not seeds (AUROC: DeLong, clustered by patient; AUPRC: "
        "bootstrap over patients)"
    )
    heading = "Trained and tested at one compression ratio"
    caption = (
        f"{rows[0].model} {heading.lower()}; {count} test cases of which {positives} "
        f"{findings.positive_name}; means over folds ({folds}) and trainings of each ({repeats}); "
        f"{seeds}. SD: over folds. Change: paired with the first row; p: two-sided, after Holm's "
        f"correction. Non-inferior: the loss is shown to be at most {findings.margin:g}. The "
        "paper's: Table 1, on its own images."
    )
    return Section(heading, (), [Table(header, body, caption)])


def _curves(rows: Sequence[Row]) -> Section:
    count, positives = rows[0].counts
    names = [figures.cratio_name(row.test_cr) for row in rows]
    roc = {f"{name}: {row.auroc}": row.all_folds for name, row in zip(names, rows, strict=True)}
    precision = {
        f"{name}: {row.auprc}": row.all_folds for name, row in zip(names, rows, strict=True)
    }
    panels = f" Grey: {names[0]}." if len(rows) > curves.MAX_LINES else ""
    return Section(
        "Curves",
        (),
        [
            Figure(
                curves.roc_figure(roc),
                f"ROC curves averaged over folds, ±1 SD shaded; AUROC with 95 % interval.{panels}",
            ),
            Figure(
                curves.pr_figure(precision, positives / count),
                "Precision-recall curves averaged over folds; dotted: the share of positives."
                + panels,
            ),
        ],
    )


def _quality(quality: Sequence[Quality]) -> Section | None:
    if not quality:
        return None
    in_breast = ("breast_psnr_db", "breast_rmse")
    body = [
        [
            figures.cratio_name(entry.cratio),
            _range(entry.achieved, ".1f"),
            f"{line['psnr_db']:.1f}",
            _range(entry.psnr_db, ".1f"),
            *("–" if line[name] is None else f"{line[name]:.1f}" for name in in_breast),
        ]
        for entry, line in ((entry, quality_line(entry)) for entry in quality)
    ]
    count = len(quality[0].psnr_db)
    header = ["CR asked", "CR achieved", "Mean PSNR [dB]", "Range [dB]"]
    header += ["Breast: mean PSNR [dB]", "Breast: mean RMSE [grey levels]"]
    caption = (
        f"{count} images at full size; PSNR as the paper's Eq. 1, 100 for a perfect image. Breast: "
        "without air and padding, which compress to nothing and flatter the whole image."
    )
    return Section(
        "What compression does to the pixels",
        [
            "CR1 is lossless: its achieved ratio is what that takes. An achieved ratio below the "
            "one asked for means that the codestream cannot be made smaller."
        ],
        [
            Table(header, body, caption),
            Figure(
                figures.psnr_figure({q.cratio: q.psnr_db for q in quality}),
                "PSNR against compression ratio: mean, and the range over images shaded.",
            ),
        ],
    )


def _samples(samples: Sequence[Sample]) -> Section | None:
    if not samples:
        return None
    parts = [
        Figure(patches_figure(s.whole, s.box, s.patches, s.marked), s.caption) for s in samples
    ]
    text = "The white rectangle at each compression ratio, PSNR of the patch in brackets (dB)."
    return Section("The same patch at each compression ratio", [text], parts)


def _methods(findings: Findings) -> Section:
    rows = [[name, text] for name, text in findings.data_facts]
    return Section("How this was done", (), [Table(["What", "Value"], rows)])


def _spread(values: np.ndarray) -> str:
    return f"{values.std(ddof=1):.2f}" if len(values) > 1 else "–"


def _paper_cell(value) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f}, {value[2]:.2f})" if value else "–"


def _range(values: np.ndarray, style: str) -> str:
    low, high = format(np.min(values), style), format(np.max(values), style)
    return low if low == high else f"{low} to {high}"
