"""What GLAM finds in one mammogram, in that image's own geometry."""

from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.models.glam import GLAM, standardise
from mammo_tf.pipelines.glam.placement import (
    PLACEMENTS,
    Placement,
    place_breast,
    place_whole,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class GlamFinding:
    """GLAM's answer for one image.

    Attributes:
        benign: Score of the image, 0 to 1; not a probability.
        malignant: Likewise.
        saliency: (height, width, 2) float32 in [0, 1] of the image as it was given: benign and
            malignant; 0 where the network saw nothing.
        crops_px: (crops, 4) top, left, bottom, right in pixels of the image, the best first.
        crops: (crops, height, width) float32: the crops as the network saw them, standardised, but
            facing as the image does.
        placement: Where the image stood in the network's input.
    """

    benign: float
    malignant: float
    saliency: np.ndarray = field(repr=False)
    crops_px: np.ndarray = field(repr=False)
    crops: np.ndarray = field(repr=False)
    placement: Placement


def find_lesions(
    model: GLAM, image: np.ndarray, *, is_right: bool, placement: str = "fit"
) -> GlamFinding:
    """Runs GLAM on one mammogram.

    An image that is blank (all pixels equal) is all zeros to the network; its answer is defined,
    and means nothing.

    Args:
        model: The network.
        image: (height, width) uint8 or uint16 of any size, larger is brighter.
        is_right: Whether its chest wall is at the right edge.
        placement: "fit" scales the whole image into the network's input, as `mammo-tf recipe glam`
            does; "breast" shows the breast at the image's own scale, as the authors do.

    Raises:
        UserError: If an argument is none of these.
    """
    if placement not in PLACEMENTS:
        raise UserError(f"`placement` must be one of {PLACEMENTS}. Received: {placement!r}.")
    place = place_whole if placement == "fit" else place_breast
    height, width = model.image_shape
    placed = place(image, (height, width), is_mirrored=is_right)
    batch = standardise(placed.apply(image))[np.newaxis, ..., np.newaxis]
    found = {name: np.asarray(each)[0] for name, each in model.predict_on_batch(batch).items()}
    corners = found["crop_corners"]
    boxes = np.concatenate([corners, corners + model.crop_shape], axis=1)
    benign, malignant = (float(score) for score in found["prediction"])
    return GlamFinding(
        benign=benign,
        malignant=malignant,
        saliency=placed.undo(found["saliency"]),
        crops_px=placed.undo_boxes(boxes),
        crops=found["crops"][..., ::-1] if is_right else found["crops"],
        placement=placed,
    )
