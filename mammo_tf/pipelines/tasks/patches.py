"""What all tasks of patches share: their size in an image, their margin, and how they are cut."""

import math
from collections.abc import Callable

import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.tasks import grey
from mammo_tf.record import ImageInfo

MARGIN = 1.5  # stored against seen: room for rotations by any angle (1.42) and shifts
REFERENCE_SPACING_MM = 0.2  # patch sizes are told in pixels of mini-MIAS
REFERENCE_HEIGHT = 1024  # and as a share of its height where an image has no spacing
CLASSES = ("normal", "benign", "malignant")


def size_px(info: ImageInfo, patch_size: int) -> int:
    """Returns the side, in pixels of an image, of a patch of `patch_size` pixels of 0.2 mm.

    An image without a pixel spacing counts as being as high as a film of mini-MIAS.

    Examples:
        >>> info = ImageInfo(
        ...     image_id="a", patient_id="a", exam_id="a", shape=(4000, 3000),
        ...     pixel_spacing_mm=(0.05, 0.05),
        ... )
        >>> size_px(info, 128)
        512
    """
    spacing = max(info.pixel_spacing_mm)
    scale = REFERENCE_SPACING_MM / spacing if spacing > 0 else max(info.shape) / REFERENCE_HEIGHT
    return max(2, round(patch_size * scale))


def stored_size(input_size: int) -> int:
    """Returns the side of a patch as it is kept, with its margin."""
    return math.floor(input_size * MARGIN)


def make_cut(input_size: int, film_aspect: float = 1.0) -> Callable:
    """Returns `Plan.cut` for places (row, column, side in pixels); right breasts are mirrored.

    What lies outside the image is as dark as its own air, 0 in films.

    Args:
        input_size: Height and width to which a patch is resized.
        film_aspect: Height over width that an image had before it was stretched to a square: of
            its rows so many times fewer are cut than of its columns. 1 for images as they are.
    """
    stored = stored_size(input_size)

    def cut(image: np.ndarray, info: ImageInfo, place, resize) -> np.ndarray:
        row, column, side = place
        width = math.floor(side * MARGIN)
        size = (max(1, round(width / film_aspect)), width)
        wide = geometry.extract_patch(image, row, column, size, resize)
        return grey.faces_left(info, resize(wide, stored, stored))

    return cut


def plan_options(catalog: Catalog, rows, input_size: int, film_aspect: float = 1.0) -> dict:
    """Returns what every plan of patches hands to `Plan` alike; arguments as of `make_cut`."""
    dtype = grey.common_dtype(catalog, rows)
    settings = {"task": "patches", "margin": MARGIN}
    return {
        "stored_shape": (stored_size(input_size),) * 2,
        "part_shape": (input_size, input_size),
        "dtype": dtype,
        "prepare": grey.prepare_for(dtype),
        "cut": make_cut(input_size, film_aspect),
        "settings": settings | ({"film_aspect": film_aspect} if film_aspect != 1 else {}),
    }


def check_sizes(catalog: Catalog, patch_size: int, input_size: int) -> None:
    """Raises UserError unless 16 ≤ `input_size` ≤ `patch_size` and patches fit into the images."""
    if not 16 <= input_size <= patch_size:
        raise UserError(
            "`input_size` must be from 16 to `patch_size`. "
            f"Received: input_size={input_size}, patch_size={patch_size}."
        )
    for image in catalog.images:
        if size_px(image, patch_size) > min(image.shape):
            raise UserError(
                f"`patch_size` must be at most the images' size. Received: {patch_size}, which is "
                f"{size_px(image, patch_size)} pixels of image {image.image_id} of "
                f"{image.shape[0]}×{image.shape[1]}."
            )


def check_places(catalog: Catalog) -> None:
    """Raises DataError where a finding's middle lies outside its image."""
    for image in catalog.images:
        for finding in image.placed_findings:
            row, column = finding.centre_px
            if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
                raise DataError(
                    f"Image {image.image_id} has a finding whose middle, row {row} and column "
                    f"{column}, lies outside its {image.shape[0]}×{image.shape[1]} pixels. "
                    "Correct the labels and build the data set again."
                )
