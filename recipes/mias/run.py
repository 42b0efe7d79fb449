"""Runs the mias recipe: data, networks, tables, report."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from mammo_tf.config import to_plain
from mammo_tf.datasets.build import build_dataset
from mammo_tf.errors import UserError
from mammo_tf.evaluation.coco import import_pycocotools
from mammo_tf.files import write_json, write_text
from mammo_tf.pipelines.detection.detector import set_threshold
from mammo_tf.pipelines.mias_films import SEVERITIES, Films, load_films
from mammo_tf.recipes.mias.classify import ClassifyResult, classify
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
from mammo_tf.recipes.mias.pictures import log_pictures
from mammo_tf.recipes.mias.report import Findings, render_report
from mammo_tf.recipes.mias.summary import Line, summarise
from mammo_tf.run_folder import add_to_config, open_run_folder, read_config
from mammo_tf.training.folds import Fold, make_folds


def run(
    config: MiasConfig,
    *,
    parts: Sequence[str],
    manual_dir: str | None,
    data_dir: str | None,
    run_dir: str,
    as_json: bool = False,
) -> list[Line]:
    """Runs the recipe, or what is left of it, and writes its results into the run folder.

    Args:
        config: What decides the numbers.
        parts: Of "classify", "detect", "combine"; the last needs the first two.
        manual_dir: Folder of the raw files, or None for a data set already built.
        data_dir: Folder of the built data set, or None for one in the run folder.
        run_dir: The run folder, new or of this configuration.
        as_json: Print the summary as JSON, not as a table.

    Returns:
        The summary's lines.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    _check(config, parts)
    with open_run_folder(run_dir, recipe="mias", configuration=to_plain(config)) as folder:
        builder = build_dataset(
            "mini_mias", manual_dir=manual_dir, data_dir=data_dir or folder / "data", cratios=(1,)
        )
        add_to_config(folder, dataset={"name": builder.info.full_name})
        films = load_films(builder, cache_dir=folder / "cache")
        results = _run_parts(config, parts, films, film_folds(films, config), folder)
        lines = summarise(results.classified, results.scores, config)
        _write_tables(folder, lines)
        report = folder / "report.html"
        findings = Findings(
            films=films,
            classified=results.classified,
            detected=results.detected,
            scores=results.scores,
            combined=results.combined,
            config=read_config(folder),
        )
        write_text(report, render_report(findings, config))
    _print(lines, results, folder, report, as_json)
    return lines


def film_folds(films: Films, config: MiasConfig) -> tuple[Fold, ...]:
    """Divides the films into folds by woman, films with a lesion shared out evenly."""
    return make_folds(
        films.has_lesion.astype(int),
        films.patients,
        num_folds=config.num_folds,
        seed=config.seed,
        validation_fraction=config.validation_fraction,
    )


@dataclass(frozen=True)
class Results:
    """What the parts gave; what was not run is empty or None."""

    classified: Sequence[ClassifyResult] = ()
    detected: Sequence[DetectedFold] = ()
    scores: Sequence[Scores] = ()
    combined: Combined | None = None


def _run_parts(config, parts, films: Films, folds, folder: Path) -> Results:
    classified, detected, combined, scores = (), (), None, []
    if "detect" in parts and config.detect.backbone == "vgg16":
        build_model(config.detect, SEVERITIES)  # weights that cannot be had are told of now
    if "classify" in parts:
        classified = classify(films, folds, config.classify, folder, config.seed)
    if "detect" in parts:
        detected = detect(films, folds, config.detect, folder, config.seed)
        scores += score_splits(detected, config)
        for fold in detected:
            threshold = score_at_rate(images_of([fold], "lesion", ("validation",)))
            set_threshold(weights_path(folder, fold).parent, threshold)
        log_pictures(folder, detected)
        _write_detections(folder, detected)
    if "combine" in parts:
        combined = combine(
            films,
            detected,
            config.combine,
            config.classify,
            folder,
            num_resamples=config.num_resamples,
            seed=config.seed,
        )
        scores += [combined.before, combined.after]
    return Results(classified, detected, tuple(scores), combined)


def score_splits(detected: Sequence[DetectedFold], config: MiasConfig) -> list[Scores]:
    """Scores the split by woman, then the poster's kind: its test part, and all its images.

    The poster's split has films with lesions only, so the split by woman is scored on those alone
    as well: normal films bring false positives.
    """
    found = []
    for split, parts, with_lesion, name in (
        ("woman", ("test",), False, HONEST),
        ("woman", ("test",), True, HONEST_LESIONS),
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
                folds[0].examples.class_names,
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
        if "woman" not in splits:
            raise UserError(f"--part combine needs the split by woman in `{name}.splits`.")
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
    """One CSV a detector: every class-agnostic detection on its test images, in film pixels."""
    for fold in detected:
        rows = ["image_id,ymin_px,xmin_px,ymax_px,xmax_px,score,p_benign,p_malignant"]
        for index, image in zip(fold.parts["test"], images_of([fold], "lesion"), strict=True):
            name = fold.examples.image_ids[index]
            shares = fold.found["lesion"][int(index)].probabilities[:, 1:]
            for box, score, share in zip(image.boxes_px, image.scores, shares, strict=True):
                numbers = [f"{value:.1f}" for value in box] + [f"{score:.5f}"]
                rows.append(",".join([name, *numbers, *(f"{value:.5f}" for value in share)]))
        write_text(folder / "detections" / f"{fold.cell.name}.csv", "\n".join(rows) + "\n")


def _print(lines: Sequence[Line], results: Results, folder, report: Path, as_json: bool) -> None:
    weights = [str(weights_path(folder, fold)) for fold in results.detected]
    if as_json:
        summary = [line.plain() for line in lines]
        click.echo(json.dumps({"report": str(report), "weights": weights, "summary": summary}))
        return
    shown = [line for line in lines if not line.is_detail]
    width = max((len(f"{line.what}, {line.set}") for line in shown), default=0)
    for line in shown:
        name = f"{line.what}, {line.set}"
        click.echo(f"{name:<{width}}  {line.measure:<36} {line.estimate}")
    click.echo(f"All numbers: {folder / 'summary.csv'}")
    if weights:
        click.echo(f"Detector for `mammo-tf predict --model ssd`: {weights[0]}")
    click.echo(f"Report: {report}")
