"""Whole images with the masks of their findings."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import whole_image_subgroups
from mammo_tf.pipelines.tasks import grey, patches
from mammo_tf.record import LABELS, ImageInfo, worst


def segmentation(catalog: Catalog, *, shape: tuple[int, int]) -> Plan:
    """Plans images with the masks of their findings, in classes normal, benign and malignant.

    An image is fitted into `shape`, right ones mirrored. `Task.masks` has bit k where finding k
    is; a finding known by a box or circle gives the ellipse in it, and `Plan.notes` counts those.
    Images of unknown label, or with a finding whose place is not known, are left out.

    Args:
        catalog: Any data set's.
        shape: (height, width) that images and masks are fitted into.

    Returns:
        A plan of one example an image, sorted by id.

    Raises:
        UserError: If no image has a finding with a place.
    """
    rows = [row for row, image in enumerate(catalog.images) if _is_usable(image)]
    findings = [found for row in rows for found in catalog.images[row].findings]
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
        examples=tuple(_example(row, catalog.images[row]) for row in rows),
        stored_shape=tuple(shape),
        part_shape=tuple(shape),
        dtype=dtype,
        prepare=grey.prepare_for(dtype),
        cut=cut,
        settings={"task": "segmentation"},
        class_names=patches.CLASSES,
        with_masks=True,
        notes=(f"{drawn} of {len(findings)} masks are ellipses in a box or circle.",)
        if drawn
        else (),
    )


def _is_usable(image: ImageInfo) -> bool:
    known = [found.has_place and found.label in LABELS[2:] for found in image.findings]
    return all(known) if known else image.label == "normal"


def _example(row: int, image: ImageInfo) -> Example:
    label = worst(["normal", *(found.label for found in image.findings)])
    return Example(
        example_id=image.image_id,
        label=patches.CLASSES.index(label),
        parts=(Part(row),),
        subgroups=whole_image_subgroups(image),
    )
