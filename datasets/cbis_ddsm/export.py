"""Writes the folder of squares (boxes.csv, train, test) from a built set of films with masks."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mammo_tf.config import check_range
from mammo_tf.datasets.cbis_ddsm import boxes
from mammo_tf.errors import UserError
from mammo_tf.files import write_bytes, write_text
from mammo_tf.progress import progress
from mammo_tf.record import LATERALITIES, VIEWS

QUALITY = 95
VARIANT = "mass"
SIZE_RANGE = (32, 8192)


def export_squares(builder, out_dir: str | os.PathLike, *, size: int) -> dict[str, int]:
    """Writes every image as a grey 8-bit JPEG of one size, and the boxes of its masks.

    A film is stretched to a square, and its own range of values to 8 bits, so these are no
    originals any more; they are what the variant mass_800 reads. Findings without a mask have no
    box and are counted.

    Args:
        builder: The built data set, of the variant "mass".
        out_dir: A new or empty folder.
        size: Height and width in pixels, 32 to 8192.

    Returns:
        How many "images", "boxes" and "findings_without_box" there are.

    Raises:
        UserError: If an argument is out of range, or the folder holds something.
    """
    check_range("size", size, *SIZE_RANGE)
    if builder.builder_config.variant != VARIANT:
        raise UserError(
            f"Only the variant {VARIANT} is exported. Received: {builder.builder_config.name}."
        )
    root = Path(out_dir)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root} is not an empty folder; nothing is overwritten: choose a new one.")
    squares, without = [], 0
    for split in builder.info.splits:
        total = builder.info.splits[split].num_examples
        records = progress(_records(builder, split), description=f"Exporting {split}", total=total)
        for record in records:
            square, missing = _square(builder, split, record, size)
            without += missing
            if square is not None:
                write_bytes(root / square.path, _jpeg(record["image"][..., 0], size))
                squares.append(square)
    if not squares:
        raise UserError("No finding of the data set has a mask; there is nothing to export.")
    write_text(root / boxes.FILE_NAME, boxes.format_boxes(squares))
    return {
        "images": len(squares),
        "boxes": sum(len(square.boxes) for square in squares),
        "findings_without_box": without,
    }


def _records(builder, split: str) -> Iterator[dict]:
    import tensorflow_datasets as tfds

    wanted = {
        name: builder.info.features[name]
        for name in ("patient_id", "laterality", "view", "findings", "image", "shape")
    }
    decoders = tfds.decode.PartialDecoding(wanted)
    yield from tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders))


def _square(builder, split: str, record: dict, size: int) -> tuple[boxes.Square | None, int]:
    """The image's row of boxes.csv; None where no finding has a box; and how many have none."""
    names = builder.info.features["findings"].feature
    found = record["findings"]
    marked = [k for k, mark in enumerate(found["mark"]) if names["mark"].int2str(mark) == "mask"]
    factors = np.tile(size / record["shape"].astype(np.float64), 2)
    one = [
        boxes.Box(
            row=0,
            box_yxyx_px=tuple(found["box_px"][k] * factors),
            pathology=names["extra"]["pathology"].int2str(found["extra"]["pathology"][k]),
            abnormality_ids=(int(found["extra"]["abnormality_id"][k]),),
        )
        for k in marked
    ]
    missing = len(found["mark"]) - len(one)
    if not one:
        return None, missing
    square = boxes.Square(
        split=split,
        patient_id=record["patient_id"].decode(),
        laterality=LATERALITIES[record["laterality"]],
        view=VIEWS[record["view"]],
        boxes=tuple(one),
    )
    return square, missing


def _jpeg(image: np.ndarray, size: int) -> bytes:
    """Averages down to a square, then stretches the film's range of values over 8 bits."""
    grey = Image.fromarray(image.astype(np.float32))
    small = np.asarray(grey.resize((size, size), Image.Resampling.BOX))
    low, high = int(image.min()), int(image.max())
    eight = np.rint((small - low) * (255 / max(high - low, 1))).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(eight).save(stream, format="JPEG", quality=QUALITY)
    return stream.getvalue()
