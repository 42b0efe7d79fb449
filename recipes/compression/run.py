"""Runs the compression recipe: data, grid, tables, report."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from mammo_tf.cli.recipe_run import PHANTOM_NOTE, open_run
from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.files import write_text
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import describe_synthetic
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.answer import answer, trainings
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.detail import Detail, measure_detail, merge_details, write_detail
from mammo_tf.recipes.compression.experiments import EXPERIMENTS, references
from mammo_tf.recipes.compression.grid import Scored, score
from mammo_tf.recipes.compression.quality import Quality, quality_line
from mammo_tf.recipes.compression.report import Findings, render_report
from mammo_tf.recipes.compression.report_experiments import network_name
from mammo_tf.recipes.compression.run_detection import run_detection
from mammo_tf.recipes.compression.saliency import (
    Saliency,
    check_saliency_options,
    measure_saliency,
    write_saliency,
)
from mammo_tf.recipes.compression.scored import SCORER, score_data_set, scorer_facts
from mammo_tf.recipes.compression.shown import (
    image_quality,
    page_facts,
    sample_patches,
    source_name,
)
from mammo_tf.recipes.compression.summarise import (
    Row,
    by_model,
    cratios_text,
    main_rows,
    read_experiments,
    summarise,
    summary_line,
    write_tables,
)
from mammo_tf.report.figures import cratio_name
from mammo_tf.run_folder import add_to_config, read_config
from mammo_tf.scoring.load import Scorer, load_scorer


def run(
    config: CompressionConfig,
    *,
    experiments: Sequence[str],
    paths: DataPaths,
    run_dir: str,
    repeats: int = 1,
    saliency: bool = False,
    as_json: bool = False,
    show_traceback: bool = False,
) -> list[Row]:
    """Runs the recipe, or what is left of it, and writes its results into the run folder.

    Args:
        config: What decides the numbers.
        experiments: Keys of `EXPERIMENTS`; what the run folder has already is kept.
        paths: Where raw and built data are.
        run_dir: The run folder, new or of this configuration.
        repeats: Trainings of each network; a finished run can be given more.
        saliency: Whether to see where the networks of "single" look.
        as_json: Print the summary as JSON, not as a table.
        show_traceback: Whether the traceback of another's function that fails is shown.

    Returns:
        The summary's rows.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    if saliency:
        check_saliency_options(config, experiments)
    # What cannot be loaded is told of before anything is built.
    if config.detector:
        return run_detection(config, paths=paths, run_dir=run_dir, as_json=as_json)
    scorer = None
    if config.scorer:
        scorer = load_scorer(config.scorer, show_traceback=show_traceback)
    with open_run("compression", config, run_dir, paths, cratios=config.cratios) as (
        folder,
        opened,
    ):
        if config.scorer:
            task, rows = _score_with(scorer, config, opened, folder)
        else:
            task, rows = _train_and_score(config, opened, folder, experiments, repeats)
        quality = image_quality(config, opened)
        detail = _detail(config, task, rows, folder)
        looked = measure_saliency(config, opened, task, folder) if saliency else None
        if looked:
            write_saliency(folder, looked)
        report = _write_report(config, task, opened, rows, quality, detail, looked, folder)
    _print(rows, quality, report, task, as_json)
    return rows


def _train_and_score(
    config: CompressionConfig,
    opened: OpenData,
    folder: Path,
    experiments: Sequence[str],
    repeats: int,
) -> tuple[Task, list[Row]]:
    task = opened.binary_task(
        config.task,
        cratios=config.cratios,
        fraction=config.resize_fraction,
        seed=config.seed,
        patch=config.patch,
    )
    rows = []
    for experiment, count in _all_experiments(folder, experiments, repeats).items():
        for network in config.networks:
            scored = score(config, task, experiment, folder, network=network, repeats=count)
            rows += _summarise(config, experiment, scored, network.name)
            # The first network's have no name in theirs, so that a run of one stays as it was.
            tag = "" if network == config.model else f"{network.name}_"
            _write_predictions(folder, f"{tag}{experiment}", scored)
        # Not before all are scored that were there: a table never loses rows.
        if {row.experiment for row in rows} >= read_experiments(folder).keys():
            write_tables(folder, rows)
    return task, rows


def _score_with(
    scorer: Scorer, config: CompressionConfig, opened: OpenData, folder: Path
) -> tuple[Task, list[Row]]:
    """Scores all labelled cases with another's model; nothing is trained."""
    add_to_config(folder, scorer=scorer.fingerprint)
    task, scored = score_data_set(scorer, config, opened, folder)
    rows = _summarise(config, SCORER, scored, scorer.name)
    _write_predictions(folder, SCORER, scored)
    write_tables(folder, rows)
    return task, rows


def _all_experiments(folder: Path, asked: Sequence[str], repeats: int) -> dict[str, int]:
    """Repeats of each experiment: those of the run folder, and those asked for."""
    kept = read_experiments(folder)
    wanted = {name: max(repeats * (name in asked), kept.get(name, 0)) for name in EXPERIMENTS}
    for name, count in wanted.items():
        if name in asked and count > repeats:
            click.echo(f"{name}: the {count} repeats that the run folder has are kept.", err=True)
    return {name: count for name, count in wanted.items() if count}


def _summarise(config: CompressionConfig, experiment: str, scored: Scored, model: str) -> list[Row]:
    return summarise(
        experiment,
        model,
        scored,
        num_resamples=config.num_resamples,
        seed=config.seed,
        margin=config.margin,
        reference_of=references(experiment, scored, config.cratios),
    )


def _detail(config, task: Task, rows: Sequence[Row], folder: Path) -> Detail | None:
    main = main_rows(rows)
    if not main:
        return None
    settings = {"num_resamples": config.num_resamples, "seed": config.seed}
    detail = merge_details(
        measure_detail(of_model, task, **settings) for of_model in by_model(main).values()
    )
    write_detail(folder, detail)
    return detail


def _write_predictions(folder: Path, name: str, scored: Scored) -> None:
    """One CSV a row of the summary: the score of every test case."""
    for (train_crs, test_cr), repeats in scored.items():
        lines = ["repeat,fold,example_id,group,label,score"]
        for repeat, folds in enumerate(repeats):
            for index, fold in enumerate(folds):
                cases = zip(fold.example_ids, fold.groups, fold.labels, fold.scores, strict=True)
                lines += [f"{repeat},{index},{i},{g},{y},{s:.9g}" for i, g, y, s in cases]
        trained = f"_train{cratios_text(train_crs)}" if train_crs else ""
        file = f"{name}{trained}_test{format_cratio(test_cr)}.csv"
        write_text(folder / "predictions" / file, "\n".join(lines) + "\n")


def _write_report(
    config,
    task: Task,
    opened: OpenData,
    rows: list[Row],
    quality: list[Quality],
    detail: Detail | None,
    saliency: Saliency | None,
    folder: Path,
) -> Path:
    findings = Findings(
        rows=rows,
        quality=quality,
        detail=detail,
        saliency=saliency,
        samples=sample_patches(config, opened),
        data_facts=_facts(config, task, opened, rows),
        notes=task.notes,
        source=source_name(config),
        is_phantom=task.is_phantom,
        positive_name=task.positive_name,
        margin=config.margin,
        config=read_config(folder),
        **page_facts(folder, opened),
    )
    path = folder / "report.html"
    write_text(path, render_report(findings))
    return path


def _start(network: ModelConfig) -> str:
    """What weights the network begins with, where that is an option of it."""
    weights = network.options.get("weights")
    if weights is None:
        return ""
    if weights == "none":
        return ", trained from scratch"
    return f", begins with {'ImageNet weights' if weights == 'imagenet' else Path(weights).name}"


def _facts(
    config: CompressionConfig, task: Task, opened: OpenData, rows: Sequence[Row]
) -> list[tuple[str, str]]:
    tested = task.labels[task.evaluated]
    extra = int(np.sum(~task.evaluated))
    height, width = task.input_shape
    facts = [
        ("Images", f"{source_name(config)} ({opened.catalog.name})"),
        ("Task", f"{task.class_names[1]} against {task.class_names[0]} ({task.name})"),
        ("Test cases", f"{len(tested)}, of which {int(tested.sum())} {task.positive_name}"),
        ("Patients", str(len(np.unique(task.groups[task.evaluated])))),
    ]
    if config.scorer:
        return [*facts, *scorer_facts(config)]
    facts += [
        ("Division", config.split.describe(task.has_official_splits)),
        *(
            ("Network", f"{network.name}, input {height}×{width}{_start(network)}")
            for network in config.networks
        ),
        ("Trainings of each network", trainings(rows)),
        ("Seed", f"{config.seed}; weights and order are alike at all compression ratios of a fold"),
    ]
    if extra:
        facts.insert(3, ("Examples for training only", str(extra)))
    if config.training.augment.synthetic is not None:
        facts.append(("Synthetic patches", describe_synthetic(config.training.augment)))
    return facts


def _print(
    rows: Sequence[Row],
    quality: Sequence[Quality],
    report: Path,
    task: Task,
    as_json: bool,
) -> None:
    said = answer(rows)
    if as_json:
        printed = {
            "report": str(report),
            "conclusion": said,
            "summary": [summary_line(row) for row in rows],
            "quality": [quality_line(entry) for entry in quality],
        }
        click.echo(json.dumps(printed))
        return
    if task.is_phantom:
        click.echo(PHANTOM_NOTE)
    several = len(by_model(rows)) > 1
    header = f"{'experiment':<15}{'network':<{28 if several else 16}}{'tested on':<11}"
    click.echo(f"{header}{'AUROC (95 % CI)':<22}AUPRC (95 % CI)")
    for row in rows:
        trained = network_name(row.train_crs)
        trained = f"{f'{row.model} {trained}':<28}" if several else f"{trained:<16}"
        name = f"{row.experiment:<15}{trained}{cratio_name(row.test_cr):<11}"
        click.echo(f"{name}{row.auroc!s:<22}{row.auprc}")
    for sentence in said:
        click.echo(sentence)
    click.echo(f"Report: {report}")
