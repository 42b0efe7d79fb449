"""The compression paper's task: one example a breast, its CC and MLO views side by side."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import breast_subgroups
from mammo_tf.pipelines.tasks import grey
from mammo_tf.record import ImageInfo

SIDES = {"L": "left", "R": "right"}


def view_pairs(
    catalog: Catalog,
    *,
    fraction: float = 0.3,
    positive: str = "malignant",
    view_shape: tuple[int, int] | None = None,
) -> Plan:
    """Plans "malignant breast or not" from the breasts that have both views and a label.

    Each view is decoded at full size, spread over 16 bits (`geometry.to_full_range`), resized,
    cropped to the chest wall's half, and mirrored if it is a right breast; CC and MLO of one
    breast are then fitted side by side. What the feed does to every image, subtracting its mean
    and dividing by its standard deviation, removes what is left of the machines' grey levels.

    Args:
        catalog: Any data set's.
        fraction: Size after resizing against the image; 0.3 in the paper.
        positive: The label that counts as positive.
        view_shape: (height, width) of one view in the input. None takes the middle one of the
            data set's own view sizes after cropping, so that most views are not scaled again;
            other detectors' views are scaled to it and padded. Not stated in the paper.

    Returns:
        A plan of examples "<exam>-left" and "<exam>-right", sorted.

    Raises:
        UserError: If an argument is out of range, or no breast has what is needed.

    Reference:
        Jo et al. 2021, "Model development and evaluation".
    """
    geometry.resized_shape((1, 1), fraction)  # says now if the fraction is out of range
    breasts = [
        (f"{exam}-{SIDES[side]}", views)
        for (exam, side), views in catalog.breasts().items()
        if side in SIDES and set(geometry.VIEWS) <= set(views) and _is_usable(catalog, views)
    ]
    if not breasts:
        raise UserError(
            f"The task 'pairs' needs a CC and an MLO view, upright, of a breast whose label is "
            f"known; {catalog.name} has none."
        )
    rows = [views[name] for _, views in breasts for name in geometry.VIEWS]
    if view_shape is None:
        view_shape = grey.middle_shape(_cropped(catalog.images[row], fraction) for row in rows)
    shape = _checked(view_shape)

    def cut(image: np.ndarray, info: ImageInfo, _place, resize) -> np.ndarray:
        resized = resize(image, *geometry.resized_shape(info.shape, fraction))
        cropped = geometry.crop_view(resized, view=info.view, laterality=info.laterality)
        return geometry.fit_and_pad(grey.faces_left(info, cropped), shape, resize)

    return Plan(
        name="pairs",
        examples=tuple(
            Example(
                example_id=name,
                label=int(catalog.images[views["CC"]].breast_label == positive),
                parts=tuple(Part(views[view]) for view in geometry.VIEWS),
                subgroups=breast_subgroups(
                    [catalog.images[views[view]] for view in geometry.VIEWS],
                    catalog.images[views["CC"]].breast_label,
                ),
            )
            for name, views in breasts
        ),
        stored_shape=shape,
        part_shape=shape,
        dtype=np.uint16,
        prepare=grey.spread,
        cut=cut,
        settings={"task": "pairs", "fraction": fraction},
        class_names=("rest", positive),
    )


def _is_usable(catalog: Catalog, views: dict[str, int]) -> bool:
    pair = [catalog.images[views[view]] for view in geometry.VIEWS]
    return all(image.is_canonical and image.breast_label != "unknown" for image in pair)


def _cropped(info: ImageInfo, fraction: float) -> tuple[int, int]:
    top, bottom, left, right = geometry.crop_box(
        geometry.resized_shape(info.shape, fraction), "CC", "L"
    )
    return bottom - top, right - left


def _checked(view_shape: tuple[int, int]) -> tuple[int, int]:
    height, width = view_shape
    if not (1 <= height <= 10_000 and 1 <= width <= 10_000):
        raise UserError(
            f"`view_shape` must be (height, width), each from 1 to 10000. Received: {view_shape}."
        )
    return int(height), int(width)
