"""The results of `mammo-tf predict` as a table on the terminal and as one CSV for all images."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import click

from mammo_tf.cli.predict_images import NOTICE, printable_path
from mammo_tf.cli.predict_inputs import Target
from mammo_tf.errors import UserError

CSV_NAME = "predictions.csv"
_EDGES = ("top", "left", "bottom", "right")
_MM = ("height", "width", "center_row", "center_column")


def write_csv(
    out: Path, results: Sequence[tuple[Target, dict | UserError]], class_names: Sequence[str]
) -> None:
    """Writes predictions.csv: a row a lesion, one for an image without any, or not read."""
    from mammo_tf.files import write_text

    stream = io.StringIO()
    columns = ["path", "lesion", "score", "label", *(f"p_{name}" for name in class_names)]
    for prefix in ("", "file_"):
        columns += [f"{prefix}{edge}_px" for edge in _EDGES]
        columns += [f"{prefix}{name}_mm" for name in _MM]
    columns += ["orientation", "row_spacing_mm", "column_spacing_mm", "threshold", "error"]
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for target, result in results:
        path = {"path": printable_path(target)}
        if isinstance(result, UserError):
            writer.writerow(path | {"error": str(result)})
            continue
        spacing = result["pixel_spacing_mm"] or ("", "")
        shared = path | {
            "orientation": result["orientation"],
            "row_spacing_mm": spacing[0],
            "column_spacing_mm": spacing[1],
            "threshold": result["settings"]["threshold"],
        }
        rows = [_row(number, one) for number, one in enumerate(result["detections"], 1)]
        writer.writerows(shared | row for row in rows or [{}])
    write_text(out / CSV_NAME, stream.getvalue())


def _row(number: int, lesion: dict) -> dict:
    row = {"lesion": number, "score": lesion["score"], "label": lesion["label"]}
    shares = lesion["probabilities"].items()
    row |= {f"p_{name}": value for name, value in shares if name != "background"}
    for prefix in ("", "file_"):
        row |= {f"{prefix}{name}_px": value for name, value in lesion[f"{prefix}box_px"].items()}
        mm = lesion[f"{prefix}box_mm"] or {}
        row |= {f"{prefix}{name}_mm": value for name, value in mm.items()}
    return row


def print_table(results: Sequence[dict], out: Path) -> None:
    """Prints what was found, image by image."""
    for result in results:
        lesions = result["detections"]
        count = f"{len(lesions)} lesion{'s' * (len(lesions) != 1)}"
        least = result["settings"]["threshold"]
        size = f"{result['height_px']}×{result['width_px']} px, {result['orientation']}"
        click.echo(f"{result['path']}: {count} with a score of at least {least:g} ({size})")
        if not lesions:
            continue
        click.echo(
            f"  score  {'top':>6} {'left':>6} {'bottom':>6} {'right':>6} px  size mm      class"
        )
        for lesion in lesions:
            edges = " ".join(f"{edge:>6.0f}" for edge in lesion["box_px"].values())
            mm = lesion["box_mm"]
            size = "unknown" if mm is None else f"{mm['height']:.1f}×{mm['width']:.1f}"
            click.echo(f"  {lesion['score']:>5.2f}  {edges}     {size:<11}  {_class_text(lesion)}")
    if results:
        click.echo(f"Boxes, pictures and {CSV_NAME} are in {out}. {NOTICE}")


def _class_text(lesion: dict) -> str:
    others = (
        f"{name} {value:.2f}"
        for name, value in lesion["probabilities"].items()
        if name != "background"
    )
    return f"{lesion['label']} ({', '.join(others)})"
