"""GLAM's patch proposal: which crops of an image to look at, cutting them, putting maps back."""

import keras
import numpy as np
from keras import layers, ops

from mammo_tf.errors import UserError
from mammo_tf.models.glam.parts import nearest_indices


@keras.saving.register_keras_serializable(package="mammo_tf")
class PatchProposal(layers.Layer):
    """The crops where a coarse saliency map is largest; nothing in it is trained.

    Args:
        image_shape: (height, width) of the image in pixels.
        crop_shape: (height, width) of a crop in pixels.
        num_crops: How many, at least 1.

    Call arguments:
        inputs: (batch, rows, columns, classes) saliency.

    Returns:
        (batch, num_crops, 2) int32 corners: row and column in pixels, the best crop first.

    Raises:
        UserError: If a crop is larger than the image.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int],
        crop_shape: tuple[int, int],
        num_crops: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_crops(image_shape, crop_shape, num_crops)
        self.image_shape = tuple(image_shape)
        self.crop_shape = tuple(crop_shape)
        self.num_crops = num_crops

    def call(self, saliency):
        """Returns the corners."""
        return propose_corners(
            saliency,
            image_shape=self.image_shape,
            crop_shape=self.crop_shape,
            num_crops=self.num_crops,
        )

    def compute_output_spec(self, saliency):
        """Returns the shape, so that no backend need trace `call` for it."""
        return keras.KerasTensor((saliency.shape[0], self.num_crops, 2), "int32")

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {
            "image_shape": self.image_shape,
            "crop_shape": self.crop_shape,
            "num_crops": self.num_crops,
        }


def propose_corners(
    saliency, *, image_shape: tuple[int, int], crop_shape: tuple[int, int], num_crops: int
):
    """Returns the (batch, num_crops, 2) int32 corners of the most salient crops, in pixels.

    Each class's map is scaled to [0, 1] by its own minimum and maximum and the classes are summed.
    Then, as often as crops are wanted: the window of a crop's size with the largest mean, the first
    of equals in row-major order; its cells become 0. A map without any difference counts as 0, so
    that a blank image has its crops at the top left.

    Args:
        saliency: (batch, rows, columns, classes).
        image_shape: (height, width) in pixels.
        crop_shape: (height, width) in pixels.
        num_crops: How many.

    Reference:
        Liu et al. 2021, as in the authors' published code.
    """
    rows, columns = saliency.shape[1:3]
    windows = tuple(
        max(1, round(crop * cells / pixels))
        for crop, cells, pixels in zip(crop_shape, (rows, columns), image_shape, strict=True)
    )
    across = columns - windows[1] + 1
    places = [
        _corner_pixels(cells, window, pixels, crop)
        for cells, window, pixels, crop in zip(
            (rows, columns), windows, image_shape, crop_shape, strict=True
        )
    ]
    rest = _summed(saliency)
    corners = []
    for _ in range(num_crops):
        means = ops.average_pool(
            rest, windows, strides=1, padding="valid", data_format="channels_last"
        )
        best = ops.cast(ops.argmax(ops.reshape(means, (-1, means.shape[1] * across)), -1), "int32")
        row, column = best // across, best % across
        corners.append(ops.stack([ops.take(places[0], row), ops.take(places[1], column)], axis=-1))
        inside = _within(rows, row, windows[0])[:, :, None] & _within(
            columns, column, windows[1]
        )[:, None, :]  # fmt: skip
        rest = ops.where(inside[..., None], ops.zeros_like(rest), rest)
    return ops.cast(ops.stack(corners, axis=1), "int32")


def crop_images(images, corners, crop_shape: tuple[int, int]):
    """Returns the (batch, crops, height, width, channels) crops.

    Args:
        images: (batch, height, width, channels).
        corners: (batch, crops, 2) int: row and column; each crop lies inside the image.
        crop_shape: (height, width) in pixels.
    """
    height, width, channels = images.shape[1:]
    rows = corners[:, :, :1] + ops.arange(crop_shape[0], dtype="int32")
    columns = corners[:, :, 1:] + ops.arange(crop_shape[1], dtype="int32")
    places = rows[..., :, None] * width + columns[..., None, :]  # (batch, crops, h, w)
    flat = ops.reshape(images, (-1, channels))
    found = ops.take(flat, places + _first_of_each(corners, height * width)[:, None], axis=0)
    return ops.reshape(found, (-1, corners.shape[1], *crop_shape, channels))


def paste_crops(maps, corners, *, image_shape: tuple[int, int], crop_shape: tuple[int, int]):
    """Returns (batch, height, width, classes): the crops' maps in an otherwise empty image.

    Each map is resized (nearest) to its crop. Where crops overlap, the later lies on top.

    Args:
        maps: (batch, crops, rows, columns, classes) of any resolution.
        corners: (batch, crops, 2) int.
        image_shape: (height, width) in pixels.
        crop_shape: (height, width) in pixels.
    """
    _, crops, rows, columns, classes = maps.shape
    cells = rows * columns
    # One gather: each pixel's place in the list of all cells, after which comes a zero.
    owner = None
    for index in range(crops):
        row, row_inside = _cell_of(image_shape[0], corners[:, index, 0], crop_shape[0], rows)
        column, column_inside = _cell_of(image_shape[1], corners[:, index, 1], crop_shape[1],
                                         columns)  # fmt: skip
        place = index * cells + row[:, :, None] * columns + column[:, None, :]
        inside = row_inside[:, :, None] & column_inside[:, None, :]
        below = ops.full_like(place, crops * cells) if owner is None else owner
        owner = ops.where(inside, place, below)
    listed = ops.reshape(maps, (-1, crops * cells, classes))
    listed = ops.concatenate([listed, ops.zeros_like(listed[:, :1])], axis=1)
    places = owner + _first_of_each(corners, crops * cells + 1)
    found = ops.take(ops.reshape(listed, (-1, classes)), places, axis=0)
    return ops.reshape(found, (-1, *image_shape, classes))


def check_crops(image_shape, crop_shape, num_crops) -> None:
    """Refuses crops that do not fit.

    Raises:
        UserError: If the image is smaller than a crop, or no crop is wanted.
    """
    if len(crop_shape) != 2 or any(
        not 0 < crop <= side for crop, side in zip(crop_shape, image_shape, strict=True)
    ):
        raise UserError(
            "`crop_shape` must be (height, width), at most that of the image. Received: "
            f"crop_shape={tuple(crop_shape)}, image_shape={tuple(image_shape)}."
        )
    if num_crops < 1:
        raise UserError(f"`num_crops` must be at least 1. Received: {num_crops}.")


def _summed(saliency):
    low = ops.min(saliency, axis=(1, 2), keepdims=True)
    spread = ops.max(saliency, axis=(1, 2), keepdims=True) - low
    flat = spread == 0
    scaled = (saliency - low) / ops.where(flat, ops.ones_like(spread), spread)
    summed = ops.sum(scaled, axis=-1, keepdims=True)
    return ops.where(ops.isnan(summed), ops.zeros_like(summed), summed)


def _corner_pixels(cells: int, window: int, pixels: int, crop: int) -> np.ndarray:
    """The pixel at which the crop of each window begins, never beyond the image."""
    begins = np.round(np.arange(cells - window + 1) / cells * pixels)
    return np.minimum(begins, pixels - crop).astype("int32")


def _within(size: int, begin, length: int):
    """(batch, size) bool: which places lie in [begin, begin + length)."""
    place = ops.arange(size, dtype="int32")[None] - begin[:, None]
    return (place >= 0) & (place < length)


def _cell_of(size: int, begin, crop: int, cells: int):
    """(batch, size): each pixel's cell of a crop that begins there, and whether it is in it."""
    place = ops.arange(size, dtype="int32")[None] - begin[:, None]
    cell = ops.take(nearest_indices(cells, crop), ops.clip(place, 0, crop - 1))
    return cell, (place >= 0) & (place < crop)


def _first_of_each(corners, size: int):
    """(batch, 1, 1) int32: 0, size, 2 · size, …"""
    ones = ops.ones_like(corners[:, :1, :1])
    return ops.cast((ops.cumsum(ones, axis=0) - 1) * size, "int32")
