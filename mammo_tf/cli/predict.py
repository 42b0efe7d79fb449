"""`mammo-tf predict`: what a trained detector finds in mammograms."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from mammo_tf.cli.options import UserPath
from mammo_tf.errors import UserError

NOTICE = "Research only, not a medical device. Scores are not probabilities of cancer."
_BAR_FROM = 4  # images
_OVERLAY_SIDE = 1600
_MAX_NAME_BYTES = 200  # file systems take 255, and a temporary file's name is longer
# Only these are cut off: names such as 1.2.840.113619 have dots of their own.
_SUFFIXES = (".dcm", ".dicom", ".pgm", ".png", ".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class _Settings:
    threshold: float | None
    max_boxes: int
    by_class: bool
    pixel_spacing_mm: float | None
    allow_for_processing: bool

    def __post_init__(self):
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f"--threshold must be between 0 and 1. Received: {self.threshold}.")
        if not 1 <= self.max_boxes <= 200:
            raise UserError(f"--max-boxes must be 1 to 200. Received: {self.max_boxes}.")
        if self.pixel_spacing_mm is not None and not 0.001 <= self.pixel_spacing_mm <= 10:
            raise UserError(
                "--pixel-spacing-mm must be above 0: 0.001 to 10 mm. "
                f"Received: {self.pixel_spacing_mm}."
            )


@click.command(context_settings={"show_default": True})
@click.option("--model", type=click.Choice(["ssd"]), default="ssd", help="Kind of the model.")
@click.argument("weights", type=UserPath(exists=True))
@click.argument(
    "images",
    metavar="IMAGE...",
    nargs=-1,
    required=True,
    type=UserPath(exists=True, dir_okay=False),
)
@click.option(
    "--out",
    type=UserPath(file_okay=False),
    default="predictions",
    help="Folder of the results; those of an earlier run are replaced.",
)
@click.option(
    "--threshold",
    type=float,
    help="Least score, 0 to 1. A score says how sure the network is, which is not the probability "
    "of a lesion and still less of cancer. [default: the detector's own, by which it had one false "
    "positive an image on images it was not trained on]",
)
@click.option("--max-boxes", type=int, default=20, help="Most lesions an image, 1 to 200.")
@click.option(
    "--by-class/--any-class",
    default=False,
    help="by-class: each class by itself, as in the SSD paper; a place may be found once for each. "
    "any-class: a lesion of whatever class, with the classes' probabilities.",
)
@click.option(
    "--pixel-spacing-mm",
    type=float,
    metavar="MM",
    help="Distance between pixels of the images that carry none (all but DICOM), for sizes in mm; "
    "0.2 for mini-MIAS.",
)
@click.option(
    "--allow-for-processing",
    is_flag=True,
    help="Also take DICOM images that are FOR PROCESSING: the detector's raw values, on which no "
    "network of ours was trained.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON list.")
def predict(
    model,
    weights,
    images,
    out,
    threshold,
    max_boxes,
    by_class,
    pixel_spacing_mm,
    allow_for_processing,
    as_json,
):
    """Find lesions in mammograms: DICOM, PGM, PNG or TIFF files.

    WEIGHTS is the model.weights.h5 of a trained detector; its detector.json must lie beside it.
    For each IMAGE two files are written: NAME.json, the boxes in pixels and mm, and NAME.png, the
    boxes drawn over the image, with the threshold and that it is for research only below.

    \b
    On a film of mini-MIAS, with a detector of `mammo-tf recipe mias`:
      mammo-tf predict --model ssd RUN_DIR/cells/CELL/model.weights.h5 mdb005.pgm \\
        --pixel-spacing-mm 0.2
    On a folder of DICOM files, sure findings only:
      mammo-tf predict --model ssd model.weights.h5 study/*.dcm --threshold 0.35 --out found

    DICOM is shown as a viewer shows it (VOI LUT or window, inversion) and turned: head up, the
    chest wall of a left breast on the left, of a right breast on the right; boxes refer to that.
    Where the file does not say which breast it is, the result says "as stored".
    Sizes in mm are as good as the file's spacing, which may be that at the detector. PGM, PNG
    and TIFF stay as they are; of more than 8 bits, their own range is spread over 0 to 255.

    An image that cannot be read is named; the others are done all the same, and the exit code is
    2. Research only: not a medical device.
    """
    settings = _Settings(
        threshold=threshold,
        max_boxes=max_boxes,
        by_class=by_class,
        pixel_spacing_mm=pixel_spacing_mm,
        allow_for_processing=allow_for_processing,
    )
    _import_backend()
    from mammo_tf.pipelines.detection.card import found_nothing, read_card
    from mammo_tf.pipelines.detection.detector import find_weights, load_detector

    weights = find_weights(weights)
    targets = _targets([Path(image) for image in images], Path(out), weights)
    detector = load_detector(weights)
    if settings.threshold is None:
        settings = replace(settings, threshold=detector.threshold)
    card = read_card(weights.parent)
    if found_nothing(card):
        _say(
            "Warning: this detector found none of the lesions that its own run tested it on; what "
            "it finds here means nothing."
        )
    about = _describe_run(model, weights, detector, settings, card)
    results, failures = _predict_all(detector, targets, settings, about)
    if as_json:
        import json

        click.echo(json.dumps(results, indent=2))
    else:
        _print_table(results, Path(out))
    if failures and len(targets) == 1:
        raise failures[0]
    if failures:
        raise UserError(
            f"{len(failures)} of {len(targets)} images could not be read; they are named above. "
            "The others are done."
        )


def _import_backend() -> None:
    """Imports Keras and its backend, without TensorFlow's chatter."""
    import os

    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    try:
        if name == "tensorflow":
            from mammo_tf.quiet import import_tensorflow

            import_tensorflow()
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        raise UserError(
            f"Keras' backend {name!r} cannot be used ({error}). Install it, or set KERAS_BACKEND "
            "to tensorflow, jax or torch, whichever is installed."
        ) from error


def _targets(images: list[Path], out: Path, weights: Path) -> list[tuple[Path, Path, Path]]:
    """For each image its path, that of its JSON and that of its picture.

    Raises:
        UserError: If two results, or a result and what is read, would be one file.
    """
    import os

    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import resolve_path

    names: dict[str, Path] = {}
    inputs = {resolve_path(path) for path in (*images, weights, weights.with_name("detector.json"))}
    targets = []
    for image in images:
        name = image.stem if image.suffix.lower() in _SUFFIXES else image.name
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            raise UserError(f"Give the image a shorter name. Received: {safe_name(image)}.")
        other = names.setdefault(name.casefold(), image)
        if other is not image:
            raise UserError(
                f"The results of {safe_name(other)} and {safe_name(image)} would have the same "
                "name. Run the command once for each, with another --out."
            )
        target = (image, out / f"{name}.json", out / f"{name}.png")
        for result in target[1:]:
            if resolve_path(result) in inputs:
                raise UserError(
                    f"--out must be another folder: {safe_name(result)} would replace a file that "
                    "is read."
                )
        targets.append(target)
    return targets


def _describe_run(
    kind: str, weights: Path, detector, settings: _Settings, card: dict | None
) -> dict:
    """What every result says about the model and the options."""
    import hashlib

    from mammo_tf import __version__
    from mammo_tf.dicom.safety import safe_name

    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = {
        "kind": kind,
        "weights": safe_name(weights),
        "sha256": digest,
        "class_names": list(detector.class_names),
        "card": card,
    }
    return {"mammo_tf": __version__, "model": model, "settings": asdict(settings)}


def _predict_all(detector, targets, settings: _Settings, about: dict):
    """Goes through the images and writes the results. Returns them, and what went wrong."""
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import write_bytes, write_json
    from mammo_tf.images import read_display_image
    from mammo_tf.progress import progress
    from mammo_tf.report.overlay import png_bytes
    from mammo_tf.time_limit import time_limit

    if len(targets) >= _BAR_FROM:
        targets = progress(targets, description="Finding lesions", unit="image")
    results, failures = [], []
    has_spread = False
    for path, json_path, png_path in targets:
        try:
            with time_limit():
                image = read_display_image(path, allow_for_processing=settings.allow_for_processing)
        except Exception as error:  # whatever is wrong with one image, the others are done
            failures.append(UserError(_reason(error, path, safe_name(path))))
            if len(targets) > 1:
                _say(f"Error: {failures[-1]}")
            continue
        notes = [*image.notes, *_blank_notes(image.pixels)]
        for note in notes:
            _say(f"Note: {safe_name(path)}: {note}")
        if image.pixels.dtype.itemsize > 1 and not has_spread:
            has_spread = True
            _say(
                f"Note: {safe_name(path)} has more than 8 bits; its own range of values is spread "
                "over 0 to 255, likewise in every such image."
            )
        result, picture = _predict_one(detector, image, settings)
        result = {"file": safe_name(path), "notice": NOTICE, **about, **result, "notes": notes}
        write_bytes(png_path, png_bytes(picture))
        write_json(json_path, result)
        results.append(result)
    return results, failures


def _blank_notes(pixels) -> list[str]:
    """Says of an image without a breast in it that whatever is found means nothing."""
    from mammo_tf.breast import breast_mask

    if pixels.min() < pixels.max() and breast_mask(pixels).any():
        return []
    return ["no breast is to be seen in it; what is found in it means nothing"]


def _reason(error: Exception, path: Path, name: str) -> str:
    """Says in one line which image cannot be read, by its printable name, and why."""
    from mammo_tf.dicom import ForProcessingError

    if isinstance(error, OSError):
        return f"{name}: {error.strerror or 'cannot be read'}."
    if not isinstance(error, UserError):  # its text might quote the file
        return f"{name}: unexpected {type(error).__name__} while reading; please report it."
    advice = " Or add --allow-for-processing." if isinstance(error, ForProcessingError) else ""
    return " ".join(str(error).replace(path.name, name).split()) + advice


def _say(line: str) -> None:
    """A line on stderr that does not cut through the progress bar."""
    import sys

    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _predict_one(detector, image, settings: _Settings):
    """Returns what was found in one image as plain values, and the picture."""
    from mammo_tf.pipelines.detection.findings import describe_findings
    from mammo_tf.pipelines.geometry import spread_to_8_bits
    from mammo_tf.report.overlay import add_footer, draw_detections

    pixels = spread_to_8_bits(image.pixels)
    options = {"min_score": settings.threshold, "max_boxes": settings.max_boxes}
    found = detector.detect([pixels], by_class=settings.by_class, **options)[0]
    spacing, source = image.pixel_spacing_mm, "file"
    if spacing is None:
        option = settings.pixel_spacing_mm
        spacing, source = (None, None) if option is None else ((option, option), "option")
    lesions = describe_findings(
        found, detector.class_names, shape=pixels.shape, pixel_spacing_mm=spacing
    )
    height, width = pixels.shape
    result = {
        "height_px": height,
        "width_px": width,
        "orientation": image.orientation,
        "notes": list(image.notes),
        "spread_to_8_bits": image.pixels.dtype.itemsize > 1,
        "pixel_spacing_mm": None if spacing is None else list(spacing),
        "pixel_spacing_source": source,
        "detections": lesions,
    }
    captions = [f"{lesion['score']:.2f}" for lesion in lesions]
    if settings.by_class:
        captions = [f"{lesion['score']:.2f} {lesion['label']}" for lesion in lesions]
    picture = draw_detections(
        pixels,
        boxes_px=found.boxes_yxyx * (height, width, height, width),
        captions=captions,
        max_side=_OVERLAY_SIDE,
    )
    footer = f"{NOTICE} Shown: score of at least {settings.threshold:g}."
    return result, add_footer(picture, footer)


def _print_table(results: list[dict], out: Path) -> None:
    for result in results:
        lesions = result["detections"]
        count = f"{len(lesions)} lesion{'s' * (len(lesions) != 1)}"
        least = result["settings"]["threshold"]
        size = f"{result['height_px']}×{result['width_px']} px, {result['orientation']}"
        click.echo(f"{result['file']}: {count} with a score of at least {least:g} ({size})")
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
        click.echo(f"Boxes and pictures are in {out}. {NOTICE}")


def _class_text(lesion: dict) -> str:
    others = (
        f"{name} {value:.2f}"
        for name, value in lesion["probabilities"].items()
        if name != "background"
    )
    return f"{lesion['label']} ({', '.join(others)})"
