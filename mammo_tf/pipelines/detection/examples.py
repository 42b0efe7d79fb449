"""Images with true boxes as a task: made from arrays, and seen without what fills them up."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.pipelines.geometry import fitted_shape
from mammo_tf.pipelines.task import Task


def detection_task(
    images: np.ndarray,
    boxes: Sequence[np.ndarray],
    box_labels: Sequence[np.ndarray],
    *,
    box_class_names: Sequence[str],
    example_ids: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> Task:
    """Returns the task of images in memory, as `mammo_tf.pipelines.tasks.detection` plans it.

    Args:
        images: (n, height, width) uint8, each filled by its image.
        boxes: n arrays (k, 4), "yxyx" relative to the image; k may be 0.
        box_labels: n arrays (k,) int, class from 1.
        box_class_names: Name of class 1, 2, ….
        example_ids: n different ids; None for "0", "1", ….
        groups: The patient of each image; None where each is of a patient of its own.

    Examples:
        >>> images = np.zeros((2, 96, 96), np.uint8)
        >>> boxes = [np.array([[0.1, 0.2, 0.3, 0.4]]), np.zeros((0, 4))]
        >>> labels = [np.array([1]), np.zeros(0, int)]
        >>> detection_task(images, boxes, labels, box_class_names=["mass"]).has_box.tolist()
        [True, False]
    """
    names = tuple(map(str, range(len(images)))) if example_ids is None else tuple(example_ids)
    count, shape = len(images), images.shape[1:]
    boxes = tuple(np.asarray(each, np.float32).reshape(-1, 4) for each in boxes)
    return Task(
        name="detection",
        example_ids=names,
        image_ids=np.array(names),
        groups=np.array(names if groups is None else groups),
        labels=np.array([int(len(each) > 0) for each in boxes]),
        class_names=("without", "with lesion"),
        evaluated=np.ones(count, bool),
        split=np.full(count, "train"),
        images=lambda _cratio: images,
        input_shape=shape,
        shapes=np.tile(shape, (count, 1)),
        boxes=boxes,
        box_labels=tuple(np.asarray(each, int) for each in box_labels),
        box_class_names=tuple(box_class_names),
    )


def image_of(task: Task, index: int, cratio: float = 1) -> np.ndarray:
    """Returns (height, width) uint8: one image of a detection task, without what fills it up.

    Args:
        task: A detection task.
        index: Which of its images.
        cratio: At which compression ratio.
    """
    height, width = _fitted(task, index)
    return np.asarray(task.images(cratio)[index])[:height, :width]


def boxes_of(task: Task, index: int) -> np.ndarray:
    """Returns (k, 4) float64, the boxes in one image, relative to the image and clipped to it."""
    # Whole where the image fills the square, so that no rounding comes in.
    scale = np.array(task.input_shape) / _fitted(task, index)
    return np.clip(np.asarray(task.boxes[index], float) * np.tile(scale, 2), 0, 1)


def _fitted(task: Task, index: int) -> tuple[int, int]:
    return fitted_shape(tuple(task.shapes[index].tolist()), task.input_shape)
