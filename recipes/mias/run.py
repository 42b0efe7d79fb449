"""Runs the mias recipe: data, networks, tables, report."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mammo_tf.cli.recipe_run import PHANTOM_NOTE, open_run
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation.coco import import_pycocotools
from mammo_tf.files import write_json, write_text
from mammo_tf.pipelines.detection.detector import set_threshold
from mammo_tf.pipelines.tasks.detection import BOX_CLASSES
from mammo_tf.recipes.mias.cards import write_cards
from mammo_tf.recipes.mias.classify import ClassifyResult, classify, make_classifier
from mammo_tf.recipes.mias.combine import Combined, combine
from mammo_tf.recipes.mias.config import MiasConfig
from mammo_tf.recipes.mias.detect import DetectedFold, build_model, detect, weights_path
from mammo_tf.recipes.mias.detect_scores import (
    HONEST,
    HONEST_LESIONS,
    LEAKY,
    LEAKY_ALL,
    Scores,
    images_of,
    score_at_rate,
    score_detections,
)
from mammo_tf.recipes.mias.division import Division, divide_images
from mammo_tf.recipes.mias.pictures import log_pictures
from mammo_tf.recipes.mias.report import Findings, render_report
from mammo_tf.recipes.mias.summary import Line, summarise
from mammo_tf.recipes.mias.trust import list_questions, measure_trust
from mammo_tf.recipes.mias.trust_tables import FILES as TRUST_FILES
from mammo_tf.recipes.mias.trust_tables import write_trust
from mammo_tf.report.details import data_link, run_files
from mammo_tf.report.learning import read_trainings
from mammo_tf.run_folder import read_config


def run(
    config: MiasConfig,
    *,
    parts: Sequence[str],
    paths: DataPaths,
    run_dir: str,
    as_json: bool = False,
) -> list[Line]:
    """Runs the recipe, or what is left of it, and writes its results into the run folder.

    Args:
        config: What decides the numbers.
        parts: Of "classify", "detect", "combine"; the last needs the first two.
        paths: Where raw and built data are.
        run_dir: The run folder, new or of this configuration.
        as_json: Print the summary as JSON, not as a table.

    Returns:
        The summary's lines.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    _check(config, parts)
    with open_run("mias", config, run_dir, paths) as (folder, opened):
        division = divide_images(opened.catalog, config.split, config.seed)
        results = _run_parts(config, parts, opened, division, folder)
        options = {"num_resamples": config.num_resamples, "seed": config.seed}
        trust = [
            measure_trust(question, **options)
            for question in list_questions(results.classified, results.detected)
        ]
        lines = summarise(results.classified, results.scores, trust, config)
        _write_tables(folder, lines)
        write_trust(folder, trust)
        report = folder / "report.html"
        findings = Findings(
            catalog=opened.catalog,
            classified=results.classified,
            detected=results.detected,
            scores=results.scores,
            combined=results.combined,
            trust=trust,
            config=read_config(folder),
            trainings=read_trainings(folder),
            data_link=data_link(opened.builder),
            files=run_files(folder, ["summary.csv", *(TRUST_FILES if trust else ())]),
        )
        write_text(report, render_report(findings, config))
    _print(lines, results, opened, folder, report, as_json)
    return lines


@dataclass(frozen=True)
class Results:
    """What the parts gave; what was not run is empty or None."""

    classified: Sequence[ClassifyResult] = ()
    detected: Sequence[DetectedFold] = ()
    scores: Sequence[Scores] = ()
    combined: Combined | None = None


def _run_parts(
    config: MiasConfig, parts: Sequence[str], opened: OpenData, division: Division, folder: Path
) -> Results:
    classified, detected, combined, scores = (), (), None, []
    # What cannot be built, weights that cannot be had, is told of now.
    if "classify" in parts:
        make_classifier(config.classify)
    if "detect" in parts and (config.detect.start or config.detect.backbone != "light"):
        build_model(config.detect, BOX_CLASSES)
    if "classify" in parts:
        classified = classify(opened, division, config.classify, folder, config.seed)
    if "detect" in parts:
        detected = detect(opened, division, config.detect, folder, config.seed)
        scores += score_splits(detected, config)
        for fold in detected:
            threshold = score_at_rate(images_of([fold], "lesion", ("validation",)))
            set_threshold(weights_path(folder, fold).parent, threshold)
        write_cards(folder, opened, detected, scores, config)
        log_pictures(folder, detected)
        _write_detections(folder, detected)
    if "combine" in parts:
        combined = combine(
            opened,
            detected,
            _classifiers_of(classified, config.combine.variant),
            config.combine,
            config.classify,
            folder,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )
        scores += [combined.before, combined.after]
    return Results(classified, detected, tuple(scores), combined)


def _classifiers_of(classified: Sequence[ClassifyResult], variant: str) -> ClassifyResult:
    """Returns those that never saw the test patients."""
    return next(
        result for result in classified if (result.variant, result.split) == (variant, "patient")
    )


def score_splits(detected: Sequence[DetectedFold], config: MiasConfig) -> list[Scores]:
    """Scores the split by patient, then the poster's kind: its test part, and all its images.

    The poster's split has images with lesions only, so the split by patient is scored on those
    alone as well: normal images bring false positives.
    """
    found = []
    for split, parts, with_lesion, name in (
        ("patient", ("test",), False, HONEST),
        ("patient", ("test",), True, HONEST_LESIONS),
        ("poster", ("test",), False, LEAKY),
        ("poster", ("train", "validation", "test"), False, LEAKY_ALL),
    ):
        folds = [fold for fold in detected if fold.split == split]
        if not folds:
            continue
        images = [images_of(folds, mode, parts) for mode in ("lesion", "by_class")]
        if with_lesion:
            images = [[one for one in each if len(one.truth_boxes_px)] for each in images]
        found.append(
            score_detections(
                name,
                *images,
                folds[0].task.box_class_names,
                num_resamples=config.num_resamples,
                seed=config.seed,
            )
        )
    return found


def _check(config: MiasConfig, parts: Sequence[str]) -> None:
    if "detect" in parts:
        import_pycocotools()  # that it is missing is told of now, not after the training
    if "combine" not in parts:
        return
    missing = {"classify", "detect"} - set(parts)
    if missing:
        raise UserError(f"--part combine needs --part {' and --part '.join(sorted(missing))}.")
    for name, splits in (("classify", config.classify.splits), ("detect", config.detect.splits)):
        if splits is not None and "patient" not in splits:
            raise UserError(f"--part combine needs the split by patient in `{name}.splits`.")
    if config.combine.variant not in config.classify.variants:
        raise UserError(
            f"--part combine needs `{config.combine.variant}` in `classify.variants`. "
            f"Received: {', '.join(config.classify.variants)}."
        )


def _write_tables(folder: Path, lines: Sequence[Line]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["what", "set", "measure", "value", "low", "high"])
    for line in lines:
        numbers = (line.estimate.value, line.estimate.low, line.estimate.high)
        writer.writerow([line.what, line.set, line.measure, *(f"{n:.6f}" for n in numbers)])
    write_text(folder / "summary.csv", stream.getvalue())
    write_json(folder / "summary.json", [line.plain() for line in lines])


def _write_detections(folder: Path, detected: Sequence[DetectedFold]) -> None:
    """One CSV a detector: every class-agnostic detection on its test images, in their pixels."""
    for fold in detected:
        shares = ",".join(f"p_{name}" for name in fold.task.box_class_names)
        rows = [f"image_id,ymin_px,xmin_px,ymax_px,xmax_px,score,{shares}"]
        for index, image in zip(fold.parts["test"], images_of([fold], "lesion"), strict=True):
            name = fold.task.example_ids[index]
            shares = fold.found["lesion"][int(index)].probabilities[:, 1:]
            for box, score, share in zip(image.boxes_px, image.scores, shares, strict=True):
                numbers = [f"{value:.1f}" for value in box] + [f"{score:.5f}"]
                rows.append(",".join([name, *numbers, *(f"{value:.5f}" for value in share)]))
        write_text(folder / "detections" / f"{fold.cell.name}.csv", "\n".join(rows) + "\n")


def _print(
    lines: Sequence[Line],
    results: Results,
    opened: OpenData,
    folder: Path,
    report: Path,
    as_json: bool,
) -> None:
    weights = [str(weights_path(folder, fold)) for fold in results.detected]
    if as_json:
        summary = [line.plain() for line in lines]
        click.echo(json.dumps({"report": str(report), "weights": weights, "summary": summary}))
        return
    if opened.catalog.is_phantom:
        click.echo(PHANTOM_NOTE)
    shown = [line for line in lines if not line.is_detail]
    width = max((len(f"{line.what}, {line.set}") for line in shown), default=0)
    for line in shown:
        name = f"{line.what}, {line.set}"
        click.echo(f"{name:<{width}}  {line.measure:<36} {line.estimate}")
    click.echo(f"All numbers: {folder / 'summary.csv'}")
    if weights:
        click.echo(f"Detector for `mammo-tf predict --model ssd`: {weights[0]}")
    click.echo(f"Report: {report}")
