"""Images with true boxes: made from films once, small enough to stay in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.mias_films import SEVERITIES, Film, Films
from mammo_tf.progress import progress


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
    class_names: tuple[str, ...] = SEVERITIES

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


def examples_of_films(films: Films, *, size: int = 600) -> DetectionExamples:
    """Makes one example a film.

    A film whose findings are all without a circle is left out, since it is neither an example of
    a lesion's place nor of a film without one.

    Args:
        films: The films.
        size: Height and width to which a film is resized: twice what the network sees, so that
            zooming in shows more.

    Returns:
        The examples in the films' order.

    Raises:
        UserError: If `size` is out of range.
    """
    if not 32 <= size <= 2048:
        raise UserError(f"`size` must be from 32 to 2048. Received: {size}.")
    shape = films.pixels.shape[1:]
    kept = [
        index for index, film in enumerate(films.films) if film.lesions or not is_unplaced(film)
    ]
    images = np.empty((len(kept), size, size), np.uint8)
    for row, index in enumerate(progress(kept, description="Resizing films", unit="film")):
        images[row] = geometry.resize(np.asarray(films.pixels[index]), size, size)
    chosen = [films.films[index] for index in kept]
    return DetectionExamples(
        image_ids=tuple(film.image_id for film in chosen),
        groups=np.array([film.patient_id for film in chosen]),
        images=images,
        boxes=tuple(boxes_of(film, shape) for film in chosen),
        labels=tuple(labels_of(film) for film in chosen),
    )


def is_unplaced(film: Film) -> bool:
    """Whether a film has findings, but none with a circle."""
    return film.num_unplaced > 0 and not film.lesions


def boxes_of(film: Film, shape: tuple[int, int]) -> np.ndarray:
    """(k, 4) float32 boxes round a film's circles, "yxyx" relative to `shape`; not clipped."""
    boxes = np.array([lesion.box_yxyx_px for lesion in film.lesions], np.float32).reshape(-1, 4)
    return boxes / np.array([*shape, *shape], np.float32)


def labels_of(film: Film) -> np.ndarray:
    """(k,) int class of a film's lesions: 1 benign, 2 malignant."""
    return np.array([1 + SEVERITIES.index(lesion.severity) for lesion in film.lesions], int)


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
                    image, turned = image[::-1], turned[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [
                        1, 0, 1, 0,
                    ]  # fmt: skip
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
