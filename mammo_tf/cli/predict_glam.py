"""`mammo-tf predict --model glam`: scores, maps and a picture of each image."""

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from mammo_tf.cli.predict_images import (
    BAR_FROM,
    NOTICE,
    describe_weights,
    image_notes,
    printable_path,
    raise_failures,
    say,
    unreadable,
)
from mammo_tf.cli.predict_inputs import RESULT_SUFFIXES, SUFFIXES, Target, find_targets
from mammo_tf.cli.predict_table import CSV_NAME
from mammo_tf.errors import UserError

COLUMNS = ("image_index", "benign_pred", "malignant_pred", "benign_label", "malignant_label")
MAP_SUFFIXES = ("_benign.png", "_malignant.png")
SEG_SUFFIX = "_seg.dcm"
_EDGES = ("top", "left", "bottom", "right")
_GLAM_NOTICE = "Maps come of a network that learned from labels of whole images alone."


@dataclass(frozen=True, kw_only=True)
class GlamSettings:
    """The command's options; `placement` None for the one that fits the weights."""

    placement: str | None
    seg: bool
    allow_for_processing: bool


def predict_glam(
    weights, images: Sequence[str], out: Path, settings: GlamSettings, *, as_json: bool
) -> None:
    """Does what the command says.

    Raises:
        UserError: If something the user gave cannot be used.
    """
    import json

    from mammo_tf.pipelines.glam.saved import CELL, KERAS_SUFFIX, find_glam, load_glam

    if settings.seg:
        from mammo_tf.dicom.segmentation import check_seg

        check_seg()
    weights = find_glam(weights)
    targets = find_targets(
        images,
        out,
        (weights, weights.with_name(CELL)),
        say,
        suffixes=(*SUFFIXES, ".jpg", ".jpeg"),
        result_suffixes=(*RESULT_SUFFIXES, *MAP_SUFFIXES, SEG_SUFFIX),
    )
    if settings.placement is None:
        placement = "breast" if weights.suffix == KERAS_SUFFIX else "fit"
        settings = replace(settings, placement=placement)
    model = load_glam(weights)
    size = {"image_shape": list(model.image_shape), "crop_shape": list(model.crop_shape)}
    about = describe_weights("glam", weights, size) | {"settings": asdict(settings)}
    done: list[tuple[Target, dict | UserError]] = []
    try:
        for pair in _predict_all(model, targets, settings, about):
            done.append(pair)
    finally:
        if done:
            _write_csv(out, done)
    results = [result for _, result in done if not isinstance(result, UserError)]
    if as_json:
        click.echo(json.dumps(results, indent=2))
    elif results:
        click.echo("benign  malignant  image")
        for result in results:
            benign, malignant = result["benign_pred"], result["malignant_pred"]
            click.echo(f"{benign:>6.3f}  {malignant:>9.3f}  {result['path']}")
        click.echo(f"Maps, pictures and {CSV_NAME} are in {out}. {NOTICE}")
    raise_failures(done)


def _predict_all(model, targets: Sequence[Target], settings: GlamSettings, about: dict) -> Iterator:
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.progress import progress

    bar = None
    if len(targets) >= BAR_FROM:
        bar = progress(total=len(targets), description="Finding lesions", unit="image")
    with contextlib.nullcontext() if bar is None else bar:
        for target in targets:
            result: dict | UserError
            try:
                result = _predict_one(model, target, settings, about)
            except Exception as error:  # whatever is wrong with one image, the others are done
                result = UserError(unreadable(error, target.path, safe_name(target.path)))
                if len(targets) > 1:
                    say(f"Error: {result}")
            yield target, result
            if bar is not None:
                bar.update()


def _predict_one(model, target: Target, settings: GlamSettings, about: dict) -> dict:
    """Reads an image and writes what was found; the JSON file last."""
    from mammo_tf.codecs.images import is_dicom
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import write_json
    from mammo_tf.pipelines.glam.predictor import find_lesions
    from mammo_tf.pipelines.glam.views import read_view
    from mammo_tf.time_limit import time_limit

    with time_limit():
        view = read_view(target.path, allow_for_processing=settings.allow_for_processing)
        if settings.seg and not is_dicom(target.path):
            raise UserError(f"{safe_name(target.path)}: --seg needs a DICOM image.")
    placement = settings.placement or "fit"
    found = find_lesions(model, view.pixels, is_right=view.is_right, placement=placement)
    notes = image_notes(view)
    if any(size < crop for size, crop in zip(view.pixels.shape, model.crop_shape, strict=True)):
        notes.append("the image is smaller than a crop of the network")
    for note in notes:
        say(f"Note: {safe_name(target.path)}: {note}")
    result = {
        "file": safe_name(target.path),
        "path": printable_path(target),
        "notice": NOTICE,
        **about,
        "benign_pred": found.benign,
        "malignant_pred": found.malignant,
        **_geometry(view, found),
        "notes": notes,
    }
    _write_pictures(target, view, found)
    if settings.seg:
        from mammo_tf.dicom.segmentation import write_segmentation

        name = f"GLAM {about['model']['sha256'][:12]}"
        maps = view.turn.undo(found.saliency)
        write_segmentation(target.path, maps, target.result(SEG_SUFFIX), model=name)
    write_json(target.json_path, result)
    return result


def _geometry(view, found) -> dict:
    import numpy as np

    height, width = view.pixels.shape
    turn = view.turn
    size, file_size = np.tile((height, width), 2), np.tile(view.file_shape, 2)
    stored = turn.undo_boxes(found.crops_px / size) * file_size
    return {
        "height_px": height,
        "width_px": width,
        "orientation": view.orientation,
        "turned": {
            "transposed": turn.transpose,
            "flipped_left_right": turn.flip_horizontal,
            "flipped_up_down": turn.flip_vertical,
        },
        "is_mirrored": view.is_right,
        "file_rows": view.file_shape[0],
        "file_columns": view.file_shape[1],
        "window_px": dict(zip(_EDGES, found.placement.window_px, strict=True)),
        "input_scale": found.placement.fitted[0]
        / (found.placement.window[2] - found.placement.window[0]),
        "crops": [
            {"box_px": _edges(box), "file_box_px": _edges(in_file)}
            for box, in_file in zip(found.crops_px, stored, strict=True)
        ],
    }


def _edges(box) -> dict:
    return {name: round(float(value), 2) for name, value in zip(_EDGES, box, strict=True)}


def _write_pictures(target: Target, view, found) -> None:
    import numpy as np

    from mammo_tf.files import write_bytes
    from mammo_tf.pipelines.geometry import spread_to_8_bits
    from mammo_tf.report.glam_overlay import draw_glam
    from mammo_tf.report.overlay import add_footer, png_bytes

    stored = view.turn.undo(found.saliency)
    for index, suffix in enumerate(MAP_SUFFIXES):
        values = np.rint(np.clip(stored[..., index], 0, 1) * 65535).astype(np.uint16)
        write_bytes(target.result(suffix), png_bytes(values))
    shown = spread_to_8_bits(view.shown)
    picture = draw_glam(shown, found.saliency, found.crops_px, found.crops)
    scores = f"Scores: benign {found.benign:.3f}, malignant {found.malignant:.3f}."
    picture = add_footer(picture, f"{NOTICE} {_GLAM_NOTICE} {scores}")
    write_bytes(target.png_path, png_bytes(picture))


def _write_csv(out: Path, done: Sequence[tuple[Target, dict | UserError]]) -> None:
    """Writes the authors' columns, then the error; the labels of what is predicted are unknown."""
    from mammo_tf.files import write_text

    stream = io.StringIO()
    writer = csv.DictWriter(stream, (*COLUMNS, "error"), restval="", lineterminator="\n")
    writer.writeheader()
    for target, result in done:
        row = {"image_index": printable_path(target)}
        if isinstance(result, UserError):
            row["error"] = str(result)
        else:
            row |= {f"{name}_pred": result[f"{name}_pred"] for name in ("benign", "malignant")}
        writer.writerow(row)
    write_text(out / CSV_NAME, stream.getvalue())
