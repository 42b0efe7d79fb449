"""Runs the cigan recipe: patches, networks, lesions, classifiers, report."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from mammo_tf.cli.recipe_run import PHANTOM_NOTE, check_data, open_run
from mammo_tf.data_source import DataPaths
from mammo_tf.files import write_json, write_text
from mammo_tf.models.cigan import perceptual_network
from mammo_tf.recipes.cigan import paper_numbers
from mammo_tf.recipes.cigan.arms import KIND_NAMES, all_arms, paper_rows
from mammo_tf.recipes.cigan.classify import classify, make_network
from mammo_tf.recipes.cigan.conclusion import answer, verdict
from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.recipes.cigan.extras import make_extras
from mammo_tf.recipes.cigan.lesions import lesion_task
from mammo_tf.recipes.cigan.quality import Quality, embedding, judge
from mammo_tf.recipes.cigan.report import Findings, render_report
from mammo_tf.recipes.cigan.report_gan import turns
from mammo_tf.recipes.cigan.summary import MEASURES, Summary, plain, plain_versus, summarise
from mammo_tf.report.details import data_link, run_files
from mammo_tf.report.learning import read_trainings
from mammo_tf.run_folder import read_config
from mammo_tf.training.cigan_run import count_classes, cut_patches, train_fold

NAME = "recipe cigan"
# They say which rows are wanted; each row's networks are kept with settings of their own.
ROWS = ("classify.shares", "classify.kinds", "classify.extras_on")


def run(
    config: CiganRecipeConfig,
    *,
    repeats: int,
    paths: DataPaths,
    run_dir: str,
    as_json: bool = False,
) -> dict:
    """Runs the recipe, or what is left of it, and writes its results into the run folder.

    Args:
        config: What decides the numbers.
        repeats: Trainings of each classifier.
        paths: Where raw and built data are.
        run_dir: The run folder, new or of this configuration.
        as_json: Print the summary as JSON, not as a table.

    Returns:
        The summary, as summary.json holds it.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    check_data(config, run_dir, paths)
    _check_networks(config)
    with open_run(NAME, config, run_dir, paths, may_change=ROWS) as (folder, opened):
        task, folds = cut_patches(config, opened)
        lesion_task(task, folds)  # a part without a class is told of before anything is trained
        histories = [train_fold(config, task, fold, folder) for fold in folds]
        arms = all_arms(config.classify)
        extras = make_extras(config, task, folds, arms, folder)
        scored = classify(config, task, folds, arms, extras, folder, repeats)
        summary = summarise(scored, config)
        sets = {KIND_NAMES[kind]: extras[kind][0] for kind in ("cigan", "copy_paste")
                if kind in extras}  # fmt: skip
        quality = judge(config.quality, task, folds[0], sets, seed=config.seed)
        write_text(folder / "summary.csv", _csv(summary, config))
        findings = Findings(
            task=task,
            folds=folds,
            histories=histories,
            summary=summary,
            quality=quality,
            repeats=repeats,
            config=read_config(folder),
            trainings=read_trainings(folder),
            data_link=data_link(opened.builder),
            files=run_files(folder, ["summary.csv"]),
        )
        report = folder / "report.html"
        write_text(report, render_report(findings, config))
        content = _content(findings, config)
        write_json(folder / "summary.json", content)
    _print(content, summary, config, report, as_json)
    return content


def _check_networks(config: CiganRecipeConfig) -> None:
    """Weights that cannot be had, options that are refused: told of before anything is made."""
    side = config.patches.patch_size
    perceptual_network(config.perceptual, side)
    for network in ("shallow", "pretrained"):
        make_network(getattr(config.classify, network), side)
    embedding(config.quality, side)


def _content(findings: Findings, config: CiganRecipeConfig) -> dict:
    summary, classify_config = findings.summary, config.classify
    papers = paper_rows(classify_config)
    rows = [
        {
            "row": arm.title(classify_config),
            **{name: plain(estimate) for name, estimate in measures.items()},
            "paper": dict(zip(MEASURES, papers[arm], strict=True)) if arm in papers else None,
        }
        for arm, measures in summary.rows.items()
    ]
    return {
        "is_phantom": findings.task.is_phantom,
        "answer": answer(summary, config),
        "verdict": verdict(summary.primary, config.margin, summary.repeats),
        "auroc_change": plain(summary.primary),
        "p_value": _number(summary.primary_p),
        "repeats": findings.repeats,
        "rows": rows,
        "additions": [plain_versus(one, config) for one in summary.additions],
        "controls": [plain_versus(one, config) for one in summary.controls],
        "patches": [count_classes(findings.task, fold) for fold in findings.folds],
        "patches_in_the_paper": paper_numbers.NUM_PATCHES,
        "turns": [_turns(history, config) for history in findings.histories],
        "quality": _plain_quality(findings.quality),
        "notes": list(findings.task.notes),
    }


def _turns(history: Sequence[dict], config: CiganRecipeConfig) -> dict[str, int]:
    found = turns(history, config.gan.pretrain_epochs)
    return dict(zip(("discriminator", "generator", "epochs"), found, strict=True))


def _plain_quality(quality: Quality) -> dict:
    sets = {
        one.name: {
            "patches": one.count,
            "two_sample_auroc": plain(one.two_sample),
            "kernel_distance": _number(one.distance),
            "share_nearer": _number(one.nearer),
        }
        for one in quality.judged
    }
    return {"fold": quality.fold, "embedding": quality.embedding, "sets": sets}


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _csv(summary: Summary, config: CiganRecipeConfig) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["row", "against", "measure", "value", "low", "high", "p_holm"])
    for arm, measures in summary.rows.items():
        for name, one in measures.items():
            numbers = (f"{n:.6f}" for n in (one.value, one.low, one.high))
            writer.writerow([arm.title(config.classify), "", name, *numbers, ""])
    for versus in (*summary.additions, *summary.controls):
        one, titles = versus.comparison, (versus.arm, versus.reference)
        numbers = (one.change.value, one.change.low, one.change.high, one.adjusted_p_value)
        names = (arm.title(config.classify) for arm in titles)
        writer.writerow([*names, "auroc change", *(f"{number:.6f}" for number in numbers)])
    return stream.getvalue()


def _print(
    content: dict, summary: Summary, config: CiganRecipeConfig, report: Path, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps({"report": str(report), **content}))
        return
    if content["is_phantom"]:
        click.echo(PHANTOM_NOTE)
    titles = {arm: arm.title(config.classify) for arm in summary.rows}
    width = max(map(len, titles.values()))
    papers = paper_rows(config.classify)
    click.echo(f"{'':<{width}}  {'accuracy':<18} {'recall':<18} {'AUROC':<18} paper's AUROC")
    for arm, measures in summary.rows.items():
        cells = " ".join(f"{measures[name]!s:<18}" for name in MEASURES)
        paper = f"{papers[arm][2]:.3f}" if arm in papers else ""
        click.echo(f"{titles[arm]:<{width}}  {cells} {paper}".rstrip())
    for text in content["answer"]:
        click.echo(text)
    click.echo(f"All numbers: {report.parent / 'summary.csv'}")
    click.echo(f"Report: {report}")
