"""Malignant or benign, the place given: a patch round each finding, as large as the finding."""

import numpy as np

from mammo_tf.config import check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import finding_subgroups
from mammo_tf.pipelines.tasks import patches

LEAST_SIDE = 32  # of mini-MIAS' 0.2 mm pixels: a smaller finding is shown with more surroundings


def finding_patches(
    catalog: Catalog, *, input_size: int = 96, context: float = 2.0, positive: str = "malignant"
) -> Plan:
    """Plans "malignant finding or not" from the findings whose place and label are known.

    The patch is a square round the middle of the finding's box, `context` times as wide as the
    box's longer side; it is kept with a margin of half its width for rotations and shifts.

    Args:
        catalog: Any data set's.
        input_size: Height and width to which a patch is resized, 16 to 512.
        context: Side of the patch against the longer side of the finding's box, 1 to 10.
        positive: The label that counts as positive.

    Returns:
        A plan of one example a finding, "<image>-<number>", sorted by image.

    Raises:
        UserError: If an argument is out of range, or the data set lacks what is needed.
        DataError: If a finding lies outside its image.
    """
    check_range("input_size", input_size, 16, 512)
    check_range("context", context, 1, 10)
    patches.check_places(catalog)
    examples = [
        Example(
            example_id=f"{image.image_id}-{number}",
            label=int(finding.label == positive),
            parts=(Part(row, (*finding.centre_px, _side(image, finding, context))),),
            subgroups=finding_subgroups(image, finding),
        )
        for row, image in enumerate(catalog.images)
        for number, finding in enumerate(image.placed_findings, start=1)
        if finding.label in patches.CLASSES[1:]
    ]
    if not examples:
        raise UserError(
            "The task 'patch' needs findings, benign and malignant, whose place is known; "
            f"{catalog.name} has none."
        )
    rows = [example.parts[0].image for example in examples]
    return Plan(
        name="patch",
        examples=tuple(examples),
        class_names=("benign" if positive == "malignant" else "rest", positive),
        **patches.plan_options(catalog, rows, input_size),
    )


def _side(image, finding, context: float) -> int:
    top, left, bottom, right = finding.box_yxyx_px
    least = patches.size_px(image, LEAST_SIDE)
    return int(np.ceil(max(least, context * max(bottom - top, right - left))))
