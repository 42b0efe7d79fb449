"""`mammo-tf predict`: what a trained network finds in mammograms."""

from dataclasses import asdict, replace
from pathlib import Path

import click
from click.core import ParameterSource

from mammo_tf.cli.options import UserPath
from mammo_tf.cli.predict_images import (
    PredictSettings,
    describe_weights,
    predict_all,
    raise_failures,
    say,
)
from mammo_tf.cli.predict_inputs import find_targets
from mammo_tf.cli.predict_table import print_table, write_csv
from mammo_tf.errors import UserError

# Options that only one kind of model has.
OPTIONS = {
    "ssd": ("threshold", "max_boxes", "by_class", "pixel_spacing_mm", "batch_size"),
    "glam": ("placement", "seg"),
}


@click.command(context_settings={"show_default": True})
@click.option("--model", type=click.Choice(list(OPTIONS)), default="ssd", help="Kind of the model.")
@click.argument("weights", type=UserPath(exists=True))
@click.argument(
    "images",
    metavar="IMAGE...",
    nargs=-1,
    required=True,
    type=UserPath(),
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
@click.option("--batch-size", type=int, default=8, help="Images at a time, 1 to 256.")
@click.option(
    "--placement",
    type=click.Choice(["fit", "breast"]),
    help="GLAM: fit scales the whole image into the network's input, as `mammo-tf recipe glam` "
    "does; breast shows the breast at the image's own scale, as the authors do. [default: fit for "
    "networks of a recipe, breast for a .keras file]",
)
@click.option(
    "--seg",
    is_flag=True,
    help="GLAM: write NAME_seg.dcm too, a DICOM Segmentation. It names the patient as the image "
    "does. Needs the extra seg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as one JSON list.")
@click.pass_context
def predict(
    context,
    model,
    weights,
    images,
    out,
    threshold,
    max_boxes,
    by_class,
    pixel_spacing_mm,
    allow_for_processing,
    batch_size,
    placement,
    seg,
    as_json,
):
    """Find lesions in mammograms: DICOM, PGM, PNG or TIFF files.

    WEIGHTS of an SSD is the model.weights.h5 of a trained detector, beside which its detector.json
    lies, or the folder of both, or a run folder with one detector. IMAGE is a file, a folder with
    all that lies below it, or a pattern in quotes. For each image two files are written: NAME.json,
    the boxes in pixels and mm, and NAME.png, the boxes drawn over the image, with the threshold and
    that it is for research only below; those of a folder's images in folders of the same names.
    predictions.csv has the boxes of all images.

    \b
    On a film of mini-MIAS, with a detector of `mammo-tf recipe mias`:
      mammo-tf predict --model ssd RUN_DIR/cells/CELL mdb005.pgm --pixel-spacing-mm 0.2
    On a folder of DICOM files, sure findings only:
      mammo-tf predict --model ssd RUN_DIR study --threshold 0.35 --out found

    \b
    What GLAM finds: scores of whole images, and maps (grey JPEG files, too):
      mammo-tf predict --model glam RUN_DIR/cells/glam-fold0 study --out found

    WEIGHTS of GLAM is the .keras file of `mammo-tf weights import glam`, or the folder of a cell of
    `mammo-tf recipe glam`. For each image: NAME.png, a picture; NAME_benign.png and
    NAME_malignant.png, 16-bit maps (65535 is 1) of the image's own rows and columns; NAME.json.
    predictions.csv has the scores of all images, in the authors' columns.

    An SSD sees DICOM as a viewer shows it (VOI LUT or window, inversion) and turned: head up, the
    chest wall of a left breast on the left, of a right breast on the right. box_px and box_mm
    refer to that; file_box_px and file_box_mm to the rows and columns that the file stores.
    Where the file does not say which breast it is, the result says "as stored".
    Sizes in mm are as good as the file's spacing, which may be that at the detector. PGM, PNG
    and TIFF stay as they are; of more than 8 bits, their own range is spread over 0 to 255.

    An image that cannot be read is named; the others are done all the same, and the exit code is
    2. Research only: not a medical device.
    """
    _refuse_options(context, model)
    if model == "glam":
        from mammo_tf.cli.predict_glam import GlamSettings, predict_glam

        _import_backend()
        settings = GlamSettings(
            placement=placement, seg=seg, allow_for_processing=allow_for_processing
        )
        predict_glam(weights, images, Path(out), settings, as_json=as_json)
        return
    settings = PredictSettings(
        threshold=threshold,
        max_boxes=max_boxes,
        by_class=by_class,
        pixel_spacing_mm=pixel_spacing_mm,
        allow_for_processing=allow_for_processing,
        batch_size=batch_size,
    )
    _import_backend()
    from mammo_tf.pipelines.detection.card import found_nothing, read_card
    from mammo_tf.pipelines.detection.detector import find_weights, load_detector

    weights = find_weights(weights)
    out = Path(out)
    targets = find_targets(images, out, (weights, weights.with_name("detector.json")), say)
    detector = load_detector(weights)
    if settings.threshold is None:
        settings = replace(settings, threshold=detector.threshold)
    card = read_card(weights.parent)
    if found_nothing(card):
        say(
            "Warning: this detector found none of the lesions that its own run tested it on; what "
            "it finds here means nothing."
        )
    about = _describe_run(model, weights, detector, settings, card)
    done = []
    try:
        for pair in predict_all(detector, targets, settings, about):
            done.append(pair)
    finally:
        if done:
            write_csv(out, done, detector.class_names)
    results = [result for _, result in done if not isinstance(result, UserError)]
    if as_json:
        import json

        click.echo(json.dumps(results, indent=2))
    else:
        print_table(results, out)
    raise_failures(done)


def _refuse_options(context: click.Context, model: str) -> None:
    """Raises UserError for an option that the model does not have."""
    for kind, names in OPTIONS.items():
        for name in names:
            given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
            if kind != model and given:
                option = "--" + name.replace("_", "-")
                raise UserError(f"{option} is for --model {kind}. Received: --model {model}.")


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


def _describe_run(
    kind: str, weights: Path, detector, settings: PredictSettings, card: dict | None
) -> dict:
    """What every result says about the model and the options."""
    about = {"class_names": list(detector.class_names), "card": card}
    return describe_weights(kind, weights, about) | {"settings": asdict(settings)}
