"""What a detector finds in each image: read, looked at a batch at a time, written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.cli.predict_inputs import Target
from mammo_tf.errors import UserError

NOTICE = "Research only, not a medical device. Scores are not probabilities of cancer."
BAR_FROM = 4  # images
_OVERLAY_SIDE = 1600


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """The command's options; UserError for a value out of its range."""

    threshold: float | None
    max_boxes: int
    by_class: bool
    pixel_spacing_mm: float | None
    allow_for_processing: bool
    batch_size: int

    def __post_init__(self):
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f"--threshold must be between 0 and 1. Received: {self.threshold}.")
        if not 1 <= self.max_boxes <= 200:
            raise UserError(f"--max-boxes must be 1 to 200. Received: {self.max_boxes}.")
        if not 1 <= self.batch_size <= 256:
            raise UserError(f"--batch-size must be 1 to 256. Received: {self.batch_size}.")
        if self.pixel_spacing_mm is not None and not 0.001 <= self.pixel_spacing_mm <= 10:
            raise UserError(
                "--pixel-spacing-mm must be above 0: 0.001 to 10 mm. "
                f"Received: {self.pixel_spacing_mm}."
            )


def predict_all(
    detector, targets: Sequence[Target], settings: PredictSettings, about: dict
) -> Iterator[tuple[Target, dict | UserError]]:
    """Goes through the images and writes JSON and picture of each.

    Yields:
        Each target with its result as plain values, or with the reason why it was not read.
    """
    from mammo_tf.dicom.safety import safe_name

    is_spread_said = False
    for target, result in _in_batches(detector, targets, settings, about):
        if isinstance(result, UserError):
            if len(targets) > 1:
                say(f"Error: {result}")
        elif result["spread_to_8_bits"] and not is_spread_said:
            is_spread_said = True
            say(
                f"Note: {safe_name(target.path)} has more than 8 bits; its own range of values is "
                "spread over 0 to 255, likewise in every such image."
            )
        yield target, result


def _in_batches(detector, targets: Sequence[Target], settings: PredictSettings, about: dict):
    import contextlib

    from mammo_tf.progress import progress

    bar = None
    if len(targets) >= BAR_FROM:
        bar = progress(total=len(targets), description="Finding lesions", unit="image")
    with contextlib.nullcontext() if bar is None else bar:
        for first in range(0, len(targets), settings.batch_size):
            part = targets[first : first + settings.batch_size]
            for pair in _predict_batch(detector, part, settings, about):
                yield pair
                if bar is not None:
                    bar.update()


def _predict_batch(detector, targets: Sequence[Target], settings: PredictSettings, about: dict):
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import write_bytes, write_json
    from mammo_tf.report.overlay import png_bytes

    images = [_read(target, settings) for target in targets]
    read = [image for image in images if not isinstance(image, UserError)]
    found = iter(_detect(detector, read, settings))
    for target, image in zip(targets, images, strict=True):
        if isinstance(image, UserError):
            yield target, image
            continue
        for note in image_notes(image):
            say(f"Note: {safe_name(target.path)}: {note}")
        result, picture = _describe(detector, target, image, next(found), settings, about)
        write_bytes(target.png_path, png_bytes(picture))
        write_json(target.json_path, result)
        yield target, result


def describe_weights(kind: str, weights: Path, about: dict) -> dict:
    """Returns what every result says about the model."""
    import hashlib

    from mammo_tf import __version__
    from mammo_tf.dicom.safety import safe_name

    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model = {"kind": kind, "weights": safe_name(weights), "sha256": digest, **about}
    return {"mammo_tf": __version__, "model": model}


def raise_failures(done: Sequence[tuple[Target, dict | UserError]]) -> None:
    """Raises UserError if an image was not read; all others are done."""
    failures = [result for _, result in done if isinstance(result, UserError)]
    if failures and len(done) == 1:
        raise failures[0]
    if failures:
        raise UserError(
            f"{len(failures)} of {len(done)} images could not be read; they are named above. "
            "The others are done."
        )


def say(line: str) -> None:
    """A line on stderr that does not cut through the progress bar."""
    import sys

    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def _read(target: Target, settings: PredictSettings):
    """Returns the image, or a UserError that says why it cannot be read."""
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.images import read_display_image
    from mammo_tf.time_limit import time_limit

    try:
        with time_limit():
            return read_display_image(
                target.path, allow_for_processing=settings.allow_for_processing
            )
    except Exception as error:  # whatever is wrong with one image, the others are done
        return UserError(unreadable(error, target.path, safe_name(target.path)))


def _detect(detector, images, settings: PredictSettings):
    from mammo_tf.pipelines.geometry import spread_to_8_bits

    if not images:
        return []
    return detector.detect(
        [spread_to_8_bits(image.pixels) for image in images],
        by_class=settings.by_class,
        batch_size=settings.batch_size,
        min_score=settings.threshold,
        max_boxes=settings.max_boxes,
    )


def image_notes(image) -> list[str]:
    """Those of the file; and of an image without a breast that what is found means nothing."""
    from mammo_tf.breast import breast_mask

    pixels = image.pixels
    if pixels.min() < pixels.max() and breast_mask(pixels).any():
        return list(image.notes)
    return [*image.notes, "no breast is to be seen in it; what is found in it means nothing"]


def unreadable(error: Exception, path: Path, name: str) -> str:
    """Says in one line which image cannot be read, by its printable name, and why."""
    from mammo_tf.dicom import ForProcessingError

    if isinstance(error, OSError):
        return f"{name}: {error.strerror or 'cannot be read'}."
    if not isinstance(error, UserError):  # its text might quote the file
        return f"{name}: unexpected {type(error).__name__} while reading; please report it."
    advice = " Or add --allow-for-processing." if isinstance(error, ForProcessingError) else ""
    return " ".join(str(error).replace(path.name, name).split()) + advice


def _describe(detector, target: Target, image, found, settings: PredictSettings, about: dict):
    """Returns what was found in one image as plain values, and the picture."""
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.pipelines.geometry import spread_to_8_bits
    from mammo_tf.report.overlay import add_footer, draw_detections

    spacing, source = image.pixel_spacing_mm, "file"
    if spacing is None:
        option = settings.pixel_spacing_mm
        spacing, source = (None, None) if option is None else ((option, option), "option")
    lesions = _lesions(detector, image, found, spacing)
    height, width = image.pixels.shape
    turn = image.turn
    result = {
        "file": safe_name(target.path),
        "path": printable_path(target),
        "notice": NOTICE,
        **about,
        "height_px": height,
        "width_px": width,
        "orientation": image.orientation,
        "turned": {
            "transposed": turn.transpose,
            "flipped_left_right": turn.flip_horizontal,
            "flipped_up_down": turn.flip_vertical,
        },
        "file_rows": image.file_shape[0],
        "file_columns": image.file_shape[1],
        "spread_to_8_bits": image.pixels.dtype.itemsize > 1,
        "pixel_spacing_mm": None if spacing is None else list(spacing),
        "pixel_spacing_source": source,
        "detections": lesions,
        "notes": image_notes(image),
    }
    captions = [f"{lesion['score']:.2f}" for lesion in lesions]
    if settings.by_class:
        captions = [f"{lesion['score']:.2f} {lesion['label']}" for lesion in lesions]
    picture = draw_detections(
        spread_to_8_bits(image.pixels),
        boxes_px=found.boxes_yxyx * (height, width, height, width),
        captions=captions,
        max_side=_OVERLAY_SIDE,
    )
    footer = f"{NOTICE} Shown: score of at least {settings.threshold:g}."
    return result, add_footer(picture, footer)


def _lesions(detector, image, found, spacing) -> list[dict]:
    """The boxes in the image as shown, and in the file's own rows and columns."""
    from dataclasses import replace

    from mammo_tf.pipelines.detection.findings import describe_findings

    names, turn = detector.class_names, image.turn
    shown = describe_findings(found, names, shape=image.pixels.shape, pixel_spacing_mm=spacing)
    stored = describe_findings(
        replace(found, boxes_yxyx=turn.undo_boxes(found.boxes_yxyx)),
        names,
        shape=image.file_shape,
        pixel_spacing_mm=spacing[::-1] if spacing and turn.transpose else spacing,
    )
    return [
        here | {"file_box_px": there["box_px"], "file_box_mm": there["box_mm"]}
        for here, there in zip(shown, stored, strict=True)
    ]


def printable_path(target: Target) -> str:
    """The image's path below the folder that was given, with forward slashes."""
    text = target.name.as_posix()
    return "".join(c if c.isprintable() else "?" for c in text)
