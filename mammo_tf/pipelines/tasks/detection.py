"""Whole images with the boxes of their findings, for a detector."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import whole_image_subgroups
from mammo_tf.pipelines.tasks import patches
from mammo_tf.record import ImageInfo

BOX_CLASSES = patches.CLASSES[1:]


def detection(catalog: Catalog, *, size: int = 600) -> Plan:
    """Plans images with boxes round their benign and malignant findings.

    An image is fitted into a square, its top left corner in the square's, with black beside it, as
    a detector sees a new image; more than 8 bits are spread over 0 to 255 by the image's own
    range. An image with a finding whose place or label is not known is left out, since it is
    neither an example of a lesion's place nor of an image without one, and so is one of unknown
    label without findings.

    Args:
        catalog: Any data set's.
        size: Side of the square: twice what the network sees, so that zooming in shows more.

    Returns:
        A plan of one example an image, sorted by id; label 1 where it has a box.

    Raises:
        UserError: If `size` is out of range, or no image has a box.
        DataError: If a finding lies outside its image.
    """
    if not 32 <= size <= 2048:
        raise UserError(f"`size` must be from 32 to 2048. Received: {size}.")
    patches.check_places(catalog)
    rows = [row for row, image in enumerate(catalog.images) if _is_usable(image)]
    if not any(catalog.images[row].findings for row in rows):
        raise UserError(
            "The task 'detection' needs findings, benign or malignant, whose place is known; "
            f"{catalog.name} has none."
        )

    def cut(image: np.ndarray, _info: ImageInfo, _place, resize) -> np.ndarray:
        return geometry.fit_and_pad(image, (size, size), resize, outside=0)

    return Plan(
        name="detection",
        examples=tuple(_example(row, catalog.images[row], size) for row in rows),
        stored_shape=(size, size),
        part_shape=(size, size),
        dtype=np.uint8,
        prepare=lambda pixels, _info: geometry.spread_to_8_bits(pixels),
        cut=cut,
        settings={"task": "detection"},
        class_names=("without", "with lesion"),
        box_class_names=BOX_CLASSES,
        notes=_notes(len(catalog.images) - len(rows), len(catalog.images)),
    )


def _notes(num_left_out: int, num_images: int) -> tuple[str, ...]:
    if not num_left_out:
        return ()
    return (
        f"{num_left_out} of {num_images} images are left out of detection: they have a finding "
        "whose place or label is not known, or it is not known whether they have one.",
    )


def _is_usable(image: ImageInfo) -> bool:
    if not image.findings:
        return image.label == "normal"
    return all(found.has_place and found.label in BOX_CLASSES for found in image.findings)


def _example(row: int, image: ImageInfo, size: int) -> Example:
    fitted = geometry.fitted_shape(image.shape, (size, size))
    boxes = np.array([found.box_yxyx_px for found in image.findings], np.float32).reshape(-1, 4)
    # Relative to the image, then to the square that holds it.
    boxes = boxes / np.array([*image.shape, *image.shape], np.float32)
    boxes = boxes * (np.array([*fitted, *fitted], np.float32) / np.float32(size))
    labels = np.array([1 + BOX_CLASSES.index(found.label) for found in image.findings], int)
    return Example(
        example_id=image.image_id,
        label=int(len(boxes) > 0),
        parts=(Part(row),),
        boxes=boxes,
        box_labels=labels,
        subgroups=whole_image_subgroups(image),
    )
