"""Whole images with the masks of their findings."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import whole_image_subgroups
from mammo_tf.pipelines.tasks import grey, patches
from mammo_tf.record import LABELS, Finding, ImageInfo, worst


def segmentation(catalog: Catalog, *, shape: tuple[int, int], with_unplaced: bool = False) -> Plan:
    """Plans images with the masks of their findings, in classes normal, benign and malignant.

    An image is fitted into `shape`, right ones mirrored. `Task.masks` has bit k where finding k
    is; a finding known by a box or circle gives the ellipse in it, and `Plan.notes` counts those.
    `Task.boxes` and `Task.box_labels` have one entry a finding, in the order of the bits: its box,
    all 0 where its place is not known, and 0 as label where that is not known.

    Args:
        catalog: Any data set's.
        shape: (height, width) that images and masks are fitted into.
        with_unplaced: Whether to keep images with a finding whose place or label is not known, as
            learning from image labels can. Images of unknown label are left out all the same.

    Returns:
        A plan of one example an image, sorted by id.

    Raises:
        UserError: If no image has a finding with a place.
    """
    usable = _has_label if with_unplaced else _is_usable
    rows = [row for row, image in enumerate(catalog.images) if usable(image)]
    findings = [found for row in rows for found in catalog.images[row].placed_findings]
    if not findings:
        raise UserError(
            "The task 'segmentation' needs findings, benign or malignant, whose place is known; "
            f"{catalog.name} has none."
        )
    dtype = grey.common_dtype(catalog, rows)

    def cut(image: np.ndarray, info: ImageInfo, _place, resize) -> np.ndarray:
        return geometry.fit_and_pad(grey.faces_left(info, image), tuple(shape), resize)

    drawn = sum(found.mark != "mask" for found in findings)
    return Plan(
        name="segmentation",
        examples=tuple(_example(row, catalog.images[row], tuple(shape)) for row in rows),
        stored_shape=tuple(shape),
        part_shape=tuple(shape),
        dtype=dtype,
        prepare=grey.prepare_for(dtype),
        cut=cut,
        settings={"task": "segmentation"},
        class_names=patches.CLASSES,
        box_class_names=patches.CLASSES[1:],
        with_masks=True,
        notes=(f"{drawn} of {len(findings)} masks are ellipses in a box or circle.",)
        if drawn
        else (),
    )


def _is_usable(image: ImageInfo) -> bool:
    known = [found.has_place and found.label in LABELS[2:] for found in image.findings]
    return all(known) if known else image.label == "normal"


def _has_label(image: ImageInfo) -> bool:
    return worst([image.label, *(found.label for found in image.findings)]) != "unknown"


def _example(row: int, image: ImageInfo, shape: tuple[int, int]) -> Example:
    label = worst([image.label, "normal", *(found.label for found in image.findings)])
    boxes = [_box(image, found, shape) for found in image.findings]
    labels = [max(0, LABELS.index(found.label) - 1) for found in image.findings]
    return Example(
        example_id=image.image_id,
        label=patches.CLASSES.index(label),
        parts=(Part(row),),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        box_labels=np.array(labels, int),
        subgroups=whole_image_subgroups(image),
    )


def _box(image: ImageInfo, finding: Finding, shape: tuple[int, int]) -> list[float]:
    """Relative to the fitted image, in the form "yxyx"."""
    if not finding.has_place:
        return [0.0] * 4
    height, width = image.shape
    top, left, bottom, right = finding.box_yxyx_px
    if image.laterality == "R":
        left, right = width - right, width - left
    fitted = geometry.fitted_shape(image.shape, shape)
    scale = (fitted[0] / height / shape[0], fitted[1] / width / shape[1])
    return [top * scale[0], left * scale[1], bottom * scale[0], right * scale[1]]
