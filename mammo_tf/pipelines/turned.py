"""Eight copies of each example, turned by quarters and flipped, made as they are read."""

import dataclasses

import numpy as np

from mammo_tf.pipelines.detection.augment import flip_vertically
from mammo_tf.pipelines.geometry import fitted_shape, level_outside
from mammo_tf.pipelines.task import Lazy, Task

COPIES = 8  # of an example: four turns, each as it is and flipped


def turned_copies(task: Task) -> Task:
    """Returns the task of eight copies of each example: four turns, each flipped vertically too.

    That is how the poster came from 115 abnormal films to about 700 images. Copies of one image
    that come to lie on both sides of a split leak: their ids say which example they are of. No
    pixel is copied; a copy is turned when it is read.

    Args:
        task: Examples in squares. Where it has boxes, an example is an image fitted into the
            square's top left corner, and so is its copy; else it is all of the square.

    Returns:
        The copies of each example, one after the other, named "mdb001@90v"; without masks.

    Raises:
        ValueError: If the examples are not in squares.
    """
    height, width = task.input_shape
    if height != width:
        raise ValueError(f"Only squares are turned. Received: {height}×{width}.")
    of = np.repeat(np.arange(len(task)), COPIES)
    turns, flips = np.tile(np.arange(COPIES) // 2, len(task)), np.tile([False, True], 4 * len(task))
    copies = dataclasses.replace(task, masks=None, boxes=None, box_labels=None).take(of)
    changes = {}
    fitted = None
    if task.boxes is not None:
        fitted = [fitted_shape(shape, task.input_shape) for shape in task.shapes.tolist()]
        changes["boxes"] = tuple(
            _turned_boxes(task.boxes[k], fitted[k], turn, flip, height)
            for k, turn, flip in zip(of, turns, flips, strict=True)
        )
        changes["box_labels"] = tuple(task.box_labels[k] for k in of)
    names = [
        f"{task.example_ids[k]}@{90 * turn}{'v' if flip else ''}"
        for k, turn, flip in zip(of, turns, flips, strict=True)
    ]
    odd = turns % 2 == 1
    return dataclasses.replace(
        copies,
        example_ids=tuple(names),
        shapes=np.where(odd[:, np.newaxis], copies.shapes[:, ::-1], copies.shapes),
        images=lambda cratio: Turned(task.images(cratio), of, turns, flips, fitted),
        **changes,
    )


class Turned(Lazy):
    """Turned and flipped images of an array; the array stays on disk.

    Args:
        array: (n, side, side).
        of: (m,) the image that each copy is of.
        turns: (m,) quarters, anticlockwise.
        flips: (m,) bool, whether a copy is flipped vertically after that.
        fitted: n (height, width) of what is turned: the top left corner; None for all of it.

    Examples:
        >>> Turned(np.arange(4).reshape(1, 2, 2), [0], [1], [False])[0].tolist()
        [[1, 3], [0, 2]]
    """

    def __init__(self, array: np.ndarray, of, turns, flips, fitted=None):
        super().__init__(array)
        self._of, self._turns, self._flips, self._fitted = of, turns, flips, fitted

    @property
    def shape(self) -> tuple[int, int, int]:
        """(m, side, side)."""
        return (len(self._of), *self._array.shape[1:])

    def __getitem__(self, index: int) -> np.ndarray:
        number = self._of[index]
        image = self._array[number]
        height, width = image.shape if self._fitted is None else self._fitted[number]
        turned = np.rot90(image[:height, :width], self._turns[index])
        turned = turned[::-1] if self._flips[index] else turned
        if turned.shape == image.shape:
            return turned
        whole = np.full_like(image, level_outside(turned))
        whole[: turned.shape[0], : turned.shape[1]] = turned
        return whole


def _turned_boxes(boxes: np.ndarray, fitted, turns: int, flip: bool, side: int) -> np.ndarray:
    """Turns (k, 4) boxes, relative to a square, within the part of it that is turned."""
    shape = np.array([*fitted, *fitted], np.float32) / np.float32(side)
    boxes = boxes / shape
    for _ in range(turns):  # anticlockwise: (y, x) goes to (1 − x, y)
        top, left, bottom, right = boxes.T
        boxes = np.stack([1 - right, top, 1 - left, bottom], axis=1)
    if flip:
        boxes = flip_vertically(np.zeros((1, 1), np.uint8), boxes)[1]
    shape = shape[[1, 0, 3, 2]] if turns % 2 else shape
    return np.asarray(boxes * shape, np.float32)
