"""Whole images with a label: one example an image."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import whole_image_subgroups
from mammo_tf.pipelines.tasks import grey
from mammo_tf.record import ImageInfo


def whole_images(catalog: Catalog, *, fraction: float = 0.3, positive: str = "malignant") -> Plan:
    """Plans "malignant image or not" from the images whose label is known.

    An image is resized as a whole, and right ones are mirrored. It is not cropped as the
    compression paper does, since films are centred and their chest walls lie anywhere. Where
    sizes differ, all are fitted into the middle one and padded.

    Args:
        catalog: Any data set's.
        fraction: Size after resizing against the image, above 0 and at most 1.
        positive: The label that counts as positive.

    Returns:
        A plan of one example an image, sorted by id.

    Raises:
        UserError: If `fraction` is out of range, or no image has a label.
    """
    rows = [row for row, image in enumerate(catalog.images) if image.label != "unknown"]
    if not rows:
        raise UserError(
            f"The task 'whole' needs images whose own label is known; {catalog.name} has none."
        )
    resized = [geometry.resized_shape(catalog.images[row].shape, fraction) for row in rows]
    shape, dtype = grey.middle_shape(resized), grey.common_dtype(catalog, rows)

    def cut(image: np.ndarray, info: ImageInfo, _place, resize) -> np.ndarray:
        small = resize(image, *geometry.resized_shape(info.shape, fraction))
        facing = grey.faces_left(info, small)
        return facing if facing.shape == shape else geometry.fit_and_pad(facing, shape, resize)

    return Plan(
        name="whole",
        examples=tuple(
            Example(
                example_id=catalog.images[row].image_id,
                label=int(catalog.images[row].label == positive),
                parts=(Part(row),),
                subgroups=whole_image_subgroups(catalog.images[row]),
            )
            for row in rows
        ),
        stored_shape=shape,
        part_shape=shape,
        dtype=dtype,
        prepare=grey.prepare_for(dtype),
        cut=cut,
        settings={"task": "whole", "fraction": fraction},
        class_names=("rest", positive),
    )
