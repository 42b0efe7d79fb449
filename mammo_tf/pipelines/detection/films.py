"""The films of mini-MIAS as images with true boxes."""

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.detection.examples import DetectionExamples
from mammo_tf.pipelines.mias_films import SEVERITIES, Film, Films
from mammo_tf.progress import progress


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
    kept = [index for index, film in enumerate(films.films) if not is_unplaced(film)]
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
        class_names=SEVERITIES,
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
