"""Where a mammogram stands in the input of a network, and maps taken back from there."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.breast import breast_mask
from mammo_tf.pipelines import geometry

PLACEMENTS = ("fit", "breast")
_MARGIN = 50  # part of the longer side that is left round the breast


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A window of an image, scaled, at some place of a network's input.

    Attributes:
        image_shape: (height, width) of the image.
        input_shape: (height, width) of the input.
        is_mirrored: Whether the image is mirrored first, as right breasts are.
        window: (top, left, bottom, right) of what is shown, in pixels of the image, mirrored or
            not as it is; the ends exclusive.
        fitted: (height, width) that the window is scaled to.
        corner: (row, column) of the input where it begins.
    """

    image_shape: tuple[int, int]
    input_shape: tuple[int, int]
    is_mirrored: bool
    window: tuple[int, int, int, int]
    fitted: tuple[int, int]
    corner: tuple[int, int] = (0, 0)

    @property
    def window_px(self) -> tuple[int, int, int, int]:
        """The window in pixels of the image as it was given: (top, left, bottom, right)."""
        top, left, bottom, right = self.window
        if self.is_mirrored:
            left, right = self.image_shape[1] - right, self.image_shape[1] - left
        return top, left, bottom, right

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Returns the input for a (height, width) uint8 or uint16 image; its dtype is kept.

        Raises:
            UserError: If it is no such image.
        """
        top, left, bottom, right = self.window
        shown = (geometry.mirror(image) if self.is_mirrored else image)[top:bottom, left:right]
        scaled = geometry.resize(np.ascontiguousarray(shown), *self.fitted)
        placed = np.full(self.input_shape, geometry.level_outside(scaled), image.dtype)
        placed[self._place()] = scaled
        return placed

    def undo(self, maps: np.ndarray) -> np.ndarray:
        """Returns (height, width, classes) maps of the image; 0 where the network saw nothing.

        Args:
            maps: (input height, input width, classes), enlarged or shrunk by the nearest pixel.
        """
        top, left, bottom, right = self.window
        shown = geometry.resize_nearest(maps[self._place()], bottom - top, right - left)
        whole = np.zeros((*self.image_shape, maps.shape[-1]), maps.dtype)
        whole[top:bottom, left:right] = shown
        return whole[:, ::-1] if self.is_mirrored else whole

    def undo_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Returns (n, 4) boxes in pixels of the image, clipped to it.

        Args:
            boxes: (n, 4) top, left, bottom, right in pixels of the input.
        """
        top, left, bottom, right = self.window
        scale = ((bottom - top) / self.fitted[0], (right - left) / self.fitted[1])
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        boxes = (boxes - np.tile(self.corner, 2)) * np.tile(scale, 2) + (top, left, top, left)
        boxes = np.clip(boxes, 0, np.tile(self.image_shape, 2))
        if self.is_mirrored:
            boxes[:, [1, 3]] = self.image_shape[1] - boxes[:, [3, 1]]
        return boxes

    def _place(self) -> tuple[slice, slice]:
        (top, left), (height, width) = self.corner, self.fitted
        return slice(top, top + height), slice(left, left + width)


def place_whole(image: np.ndarray, input_shape: tuple[int, int], *, is_mirrored: bool) -> Placement:
    """Returns the placement "fit": the whole image, scaled to fill the input from the top left.

    So do `mammo-tf recipe glam` and its networks; see `mammo_tf.pipelines.geometry.fit_and_pad`.

    Args:
        image: (height, width).
        input_shape: (height, width) of the input.
        is_mirrored: Whether it shows a right breast.
    """
    return Placement(
        image_shape=image.shape,
        input_shape=input_shape,
        is_mirrored=is_mirrored,
        window=(0, 0, *image.shape),
        fitted=geometry.fitted_shape(image.shape, input_shape),
    )


def place_breast(
    image: np.ndarray, input_shape: tuple[int, int], *, is_mirrored: bool
) -> Placement:
    """Returns the placement "breast": the breast at the left edge, half-way up, at its own scale.

    What lies round the breast is cut off. A breast larger than the input is shrunk into it; none is
    enlarged. An image without a breast is shown whole.

    Args:
        image: (height, width) uint8 or uint16.
        input_shape: (height, width) of the input.
        is_mirrored: Whether it shows a right breast.

    Reference:
        Liu et al. 2021 show images at their own resolution in a window of 2944×1920. Theirs cuts
        off what does not fit; ours shrinks, so that no part of a breast is left unseen.
    """
    height, width = image.shape
    mask = breast_mask(image)
    mask = geometry.mirror(mask) if is_mirrored else mask
    window = (0, 0, height, width)
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        margin = max(image.shape) // _MARGIN
        window = (
            max(0, int(rows[0]) - margin),
            max(0, int(columns[0]) - margin),
            min(height, int(rows[-1]) + 1 + margin),
            min(width, int(columns[-1]) + 1 + margin),
        )
    shown = (window[2] - window[0], window[3] - window[1])
    fits = all(size <= most for size, most in zip(shown, input_shape, strict=True))
    fitted = shown if fits else geometry.fitted_shape(shown, input_shape)
    return Placement(
        image_shape=image.shape,
        input_shape=input_shape,
        is_mirrored=is_mirrored,
        window=window,
        fitted=fitted,
        corner=((input_shape[0] - fitted[0]) // 2, 0),
    )
