"""What every task does alike: the grey levels it keeps, and the shape it keeps them in."""

from collections.abc import Callable, Iterable

import numpy as np

from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.record import ImageInfo


def common_dtype(catalog: Catalog, rows: Iterable[int]) -> type:
    """Returns uint8 where no image of these has more than 8 bits, else uint16."""
    most = max(catalog.images[row].bits_stored for row in rows)
    return np.uint8 if most <= 8 else np.uint16


def keep(pixels: np.ndarray, _info: ImageInfo) -> np.ndarray:
    """Returns the pixels of an 8-bit image as they are."""
    return pixels


def spread(pixels: np.ndarray, info: ImageInfo) -> np.ndarray:
    """Returns stored values spread over 16 bits; see `geometry.to_full_range`."""
    return geometry.to_full_range(pixels, info.bits_stored)


def prepare_for(dtype: type) -> Callable[[np.ndarray, ImageInfo], np.ndarray]:
    """Returns `Plan.prepare` for a task that keeps this type."""
    return keep if dtype is np.uint8 else spread


def middle_shape(shapes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Returns the middle one of some (height, width), ordered by area, so that most fit it."""
    ordered = sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape))
    return tuple(ordered[(len(ordered) - 1) // 2])


def faces_left(info: ImageInfo, image: np.ndarray) -> np.ndarray:
    """Returns the image of a right breast mirrored, others as they are."""
    return geometry.mirror(image) if info.laterality == "R" else image
