"""Images with true boxes, small enough to stay in memory. No TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.pipelines.detection.augment import flip_vertically


@dataclass(frozen=True, kw_only=True)
class DetectionExamples:
    """Images with the boxes in them.

    Attributes:
        image_ids: n ids without patient identity.
        groups: (n,) str, the patient of each image.
        images: (n, height, width) uint8.
        boxes: n arrays (k, 4) float32 in the format "yxyx", relative to the image, each round an
            ellipse with the box's axes (a circle, as the films have it); k may be 0.
        labels: n arrays (k,) int, class from 1, see `class_names`.
        class_names: Name of class 1, 2, ….
    """

    image_ids: tuple[str, ...]
    groups: np.ndarray
    images: np.ndarray = field(repr=False)
    boxes: tuple[np.ndarray, ...] = field(repr=False)
    labels: tuple[np.ndarray, ...] = field(repr=False)
    class_names: tuple[str, ...] = ("benign", "malignant")

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def has_lesion(self) -> np.ndarray:
        """(n,) bool, whether an image has a box."""
        return np.array([len(boxes) > 0 for boxes in self.boxes])

    def take(self, indices: Sequence[int]) -> "DetectionExamples":
        """Returns the examples of these indices, in their order."""
        indices = np.asarray(indices, int)
        return DetectionExamples(
            image_ids=tuple(self.image_ids[index] for index in indices),
            groups=self.groups[indices],
            images=self.images[indices],
            boxes=tuple(self.boxes[index] for index in indices),
            labels=tuple(self.labels[index] for index in indices),
            class_names=self.class_names,
        )


def turned_copies(examples: DetectionExamples) -> DetectionExamples:
    """Makes eight copies of each example: turned by quarters, and each flipped vertically.

    That is how the poster came from 115 abnormal films to about 700 images. Copies of one film
    that come to lie on both sides of a split leak: the ids say which film a copy is of.

    Args:
        examples: Square images.

    Returns:
        The copies of each example, one after the other, named "mdb001@90v".
    """
    images, boxes, names = [], [], []
    for number, name in enumerate(examples.image_ids):
        for turns in range(4):
            for flip in (False, True):
                image = np.rot90(examples.images[number], turns)
                turned = _turn(examples.boxes[number], turns)
                if flip:
                    image, turned = flip_vertically(image, turned)
                images.append(image)
                boxes.append(np.asarray(turned, np.float32))
                names.append(f"{name}@{90 * turns}{'v' if flip else ''}")
    return DetectionExamples(
        image_ids=tuple(names),
        groups=np.repeat(examples.groups, 8),
        images=np.stack(images),
        boxes=tuple(boxes),
        labels=tuple(np.asarray(labels) for labels in examples.labels for _ in range(8)),
        class_names=examples.class_names,
    )


def _turn(boxes: np.ndarray, turns: int) -> np.ndarray:
    """Turns boxes anticlockwise with `np.rot90`: (y, x) goes to (1 − x, y)."""
    for _ in range(turns):
        top, left, bottom, right = boxes.T
        boxes = np.stack([1 - right, top, 1 - left, bottom], axis=1)
    return boxes
