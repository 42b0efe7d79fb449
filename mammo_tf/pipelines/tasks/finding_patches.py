"""Malignant or benign, the place given: a patch round each finding, as large as the finding."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import finding_subgroups
from mammo_tf.pipelines.tasks import patches

LEAST_SIDE = 32  # of mini-MIAS' 0.2 mm pixels: a smaller finding is shown with more surroundings


def finding_patches(
    catalog: Catalog, *, config: FindingPatchConfig | None = None, positive: str = "malignant"
) -> Plan:
    """Plans "malignant finding or not" from the findings whose place and label are known.

    The patch is a square round the middle of the finding's box, `context` times as wide as the
    box's longer side; it is kept with a margin of half its width for rotations and shifts.

    Args:
        catalog: Any data set's.
        config: How a patch is cut; None for the defaults.
        positive: The label that counts as positive.

    Returns:
        A plan of one example a finding, "<image>-<number>", sorted by image.

    Raises:
        UserError: If the data set lacks what is needed.
        DataError: If a finding lies outside its image.
    """
    config = config or FindingPatchConfig()
    patches.check_places(catalog)
    examples = [
        Example(
            example_id=f"{image.image_id}-{number}",
            label=int(finding.label == positive),
            parts=(Part(row, (*finding.centre_px, _side(image, finding, config))),),
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
        **patches.plan_options(catalog, rows, config.input_size, config.film_aspect),
    )


def _side(image, finding, config: FindingPatchConfig) -> int:
    """Side in columns of the image; its rows are `film_aspect` times as high on the film."""
    top, left, bottom, right = finding.box_yxyx_px
    height = config.film_aspect * (bottom - top)
    least = patches.size_px(image, LEAST_SIDE)
    return int(np.ceil(max(least, config.context * max(height, right - left))))
