"""Runs the glam recipe: images, networks, maps, report."""

import csv
import io
import json
import shutil
from pathlib import Path

import click
import numpy as np

from mammo_tf.cli.recipe_run import PHANTOM_NOTE, check_data, open_run
from mammo_tf.data_source import DataPaths
from mammo_tf.files import write_json, write_text
from mammo_tf.recipes.glam.cells import Networks
from mammo_tf.recipes.glam.conclusion import answer, verdict
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.recipes.glam.data import cut_images
from mammo_tf.recipes.glam.maps import METHOD_NAMES
from mammo_tf.recipes.glam.report import Findings, render_report
from mammo_tf.recipes.glam.summary import MEASURES, Measured, Summary, Versus, plain, summarise
from mammo_tf.report.details import data_link, run_files
from mammo_tf.report.learning import read_trainings
from mammo_tf.run_folder import read_config
from mammo_tf.saliency import check_saliency
from mammo_tf.training.cells import run_cells

NAME = "recipe glam"
# They say what is measured; each network is kept with settings of its own.
MAY_CHANGE = ("cratios", "baselines")
FILES = ("summary.csv", "cases.csv")


def run(
    config: GlamConfig,
    *,
    repeats: int,
    paths: DataPaths,
    run_dir: str,
    as_json: bool = False,
) -> dict:
    """Runs the recipe, or what is left of it, and writes its results into the run folder.

    Args:
        config: What decides the numbers.
        repeats: Trainings of each network.
        paths: Where raw and built data are.
        run_dir: The run folder, new or of this configuration.
        as_json: Print the summary as JSON, not as a table.

    Returns:
        The summary, as summary.json holds it.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    check_data(config, run_dir, paths)
    if "classifier" in config.baselines:
        check_saliency()
    with open_run(NAME, config, run_dir, paths, config.cratios, MAY_CHANGE) as (folder, opened):
        task, folds = cut_images(config, opened)
        networks = Networks(config, task, folds, folder)
        measured = _measure(networks, ("glam", *config.baselines), repeats, config)
        shutil.rmtree(folder / "glam", ignore_errors=True)  # checkpoints of finished trainings
        summary = summarise(measured, config)
        write_text(folder / "summary.csv", _csv(summary))
        write_text(folder / "cases.csv", _cases_csv(measured))
        findings = Findings(
            task=task,
            folds=folds,
            networks=networks,
            summary=summary,
            config=read_config(folder),
            trainings=read_trainings(folder),
            data_link=data_link(opened.builder),
            files=run_files(folder, FILES),
        )
        report = folder / "report.html"
        write_text(report, render_report(findings, config))
        content = _content(summary, task)
        write_json(folder / "summary.json", content)
    _print(content, summary, report, as_json)
    return content


def _measure(networks: Networks, kinds, repeats: int, config: GlamConfig) -> dict[float, Measured]:
    measured: dict[float, Measured] = {cratio: {} for cratio in config.cratios}
    for kind in kinds:
        jobs = networks.jobs(kind, repeats)
        found = run_cells(jobs, description=f"Training {jobs[0].cell.model}")
        size = len(networks.folds)
        for cratio, each in measured.items():
            each[kind] = [
                [one[cratio] for one in found[first : first + size]]
                for first in range(0, len(found), size)
            ]
    return measured


def _content(summary: Summary, task) -> dict:
    return {
        "is_phantom": task.is_phantom,
        "answer": answer(summary),
        "repeats": summary.repeats,
        "rows": [
            {
                "method": METHOD_NAMES[row.method],
                "lesions": row.kind,
                "cratio": row.cratio,
                "num_lesion_images": row.num_lesions,
                **{name: plain(row.measures[name]) for name in MEASURES},
            }
            for row in summary.rows
        ],
        "versus": [_plain_versus(one) for one in summary.versus],
        "by_cratio": [_plain_versus(one) for one in summary.by_cratio],
        "notes": list(task.notes),
    }


def _plain_versus(one: Versus) -> dict:
    p_value = one.comparison.adjusted_p_value
    return {
        "measure": one.measure,
        "lesions": one.kind,
        "cratio": one.cratio,
        "against": METHOD_NAMES.get(one.rival, one.rival),
        "change": plain(one.comparison.change),
        "verdict": verdict(one.comparison.change),
        "adjusted_p_value": round(float(p_value), 6) if np.isfinite(p_value) else None,
    }


def _csv(summary: Summary) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["method", "lesions", "cratio", "against", "measure", "value", "low", "high"])
    for row in summary.rows:
        for name in MEASURES:
            one = row.measures[name]
            if np.isfinite(one.value):
                keys = [METHOD_NAMES[row.method], row.kind, f"{row.cratio:g}", "", name]
                writer.writerow([*keys, *_digits(one)])
    for one in (*summary.versus, *summary.by_cratio):
        against = METHOD_NAMES.get(one.rival, one.rival)
        keys = [METHOD_NAMES["glam"], one.kind, f"{one.cratio:g}", against, f"{one.measure} change"]
        writer.writerow([*keys, *_digits(one.comparison.change)])
    return stream.getvalue()


def _digits(one) -> list[str]:
    return [f"{number:.6f}" for number in (one.value, one.low, one.high)]


def _cases_csv(measured: dict[float, Measured]) -> str:
    """Each measure of each test image, without patients."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["cratio", "repeat", "fold", "image", "method", "measure", "lesions", "value"])
    for cratio, networks in measured.items():
        for found in networks.values():
            for repeat, folds in enumerate(found):
                for number, fold in enumerate(folds):
                    for row in _case_rows(fold):
                        writer.writerow([f"{cratio:g}", repeat, number, *row])
    return stream.getvalue()


def _case_rows(fold: dict):
    for case in fold["cases"]:
        for method, found in case["methods"].items():
            for measure in ("dice", "pointing"):
                for kind, value in found[measure].items():
                    yield [case["example_id"], method, measure, kind, f"{value:.6f}"]


def _print(content: dict, summary: Summary, report: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"report": str(report), **content}))
        return
    if content["is_phantom"]:
        click.echo(PHANTOM_NOTE)
    width = max(map(len, METHOD_NAMES.values()))
    click.echo(f"{'':<{width}}  {'lesions':<10} {'CR':<5} {'Dice':<20} {'pointing':<20} AUROC")
    for row in summary.rows:
        cells = " ".join(f"{row.measures[name]!s:<20}" for name in MEASURES)
        name = METHOD_NAMES[row.method]
        click.echo(f"{name:<{width}}  {row.kind:<10} {row.cratio:<5g} {cells}".rstrip())
    for text in content["answer"]:
        click.echo(text)
    click.echo(f"All numbers: {report.parent / 'summary.csv'}")
    click.echo(f"Report: {report}")
