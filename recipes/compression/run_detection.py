"""Runs the recipe for a trained detector: nothing is trained."""

import json

import click
import numpy as np

from mammo_tf.cli.recipe_run import PHANTOM_NOTE, open_run
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.files import write_text
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.detection import (
    MAIN_RATE,
    DetectionRow,
    detection_line,
    find_detectors,
    measure_detection,
)
from mammo_tf.recipes.compression.quality import quality_line
from mammo_tf.recipes.compression.report import Findings, render_report
from mammo_tf.recipes.compression.report_detection import detection_answer
from mammo_tf.recipes.compression.shown import (
    image_quality,
    page_facts,
    sample_patches,
    source_name,
)
from mammo_tf.report.figures import cratio_name
from mammo_tf.run_folder import add_to_config, read_config


def run_detection(
    config: CompressionConfig, *, paths: DataPaths, run_dir: str, as_json: bool = False
) -> list[DetectionRow]:
    """Tests a trained detector at every ratio, and writes its results into the run folder.

    Args:
        config: What decides the numbers; its `detector` is looked for first.
        paths: Where raw and built data are.
        run_dir: The run folder, new or of this configuration.
        as_json: Print the summary as JSON, not as a table.
    """
    detectors = find_detectors(config.detector)
    with open_run("compression", config, run_dir, paths, cratios=config.cratios) as (
        folder,
        opened,
    ):
        add_to_config(folder, detectors={fold.name: fold.digest for fold in detectors})
        task, rows = measure_detection(detectors, config, opened, folder)
        findings = Findings(
            rows=(),
            detection=rows,
            quality=image_quality(config, opened),
            detail=None,
            saliency=None,
            samples=sample_patches(config, opened),
            data_facts=_detection_facts(config, task, opened, detectors),
            notes=task.notes,
            source=source_name(config),
            is_phantom=task.is_phantom,
            positive_name="lesion",
            margin=config.margin,
            config=read_config(folder),
            **page_facts(folder, opened),
        )
        report = folder / "report.html"
        write_text(report, render_report(findings))
    said = detection_answer(rows, config.margin)
    if as_json:
        lines = [detection_line(row) for row in rows]
        quality = [quality_line(entry) for entry in findings.quality]
        printed = {"report": str(report), "conclusion": said, "summary": lines, "quality": quality}
        click.echo(json.dumps(printed))
        return rows
    if task.is_phantom:
        click.echo(PHANTOM_NOTE)
    click.echo(
        f"{'tested on':<11}{f'found at {MAIN_RATE} FP/image':<24}average precision (95 % CI)"
    )
    for row in rows:
        click.echo(f"{cratio_name(row.cratio):<11}{row.found[MAIN_RATE]!s:<24}{row.precision}")
    for sentence in said:
        click.echo(sentence)
    click.echo(f"Report: {report}")
    return rows


def _detection_facts(config, task: Task, opened: OpenData, detectors) -> list[tuple[str, str]]:
    lesions = sum(len(boxes) for boxes in task.boxes)
    first = detectors[0].detector
    height, width = first.model.image_shape[:2]
    return [
        ("Images", f"{source_name(config)} ({opened.catalog.name})"),
        ("Test images", f"{len(task)}, of which {int(task.has_box.sum())} with {lesions} lesions"),
        ("Patients", str(len(np.unique(task.groups)))),
        ("Detectors", f"{len(detectors)}, trained before; each tested on its own test images"),
        ("Network", f"{first.model.variant} on {first.model.backbone}, input {height}×{width}"),
        ("Seed", f"{config.seed}, of the bootstrap"),
    ]
