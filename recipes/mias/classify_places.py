"""Classifies places of a film, as a detector proposes them."""

import keras
import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.feed import MIN_STANDARD_DEVIATION
from mammo_tf.pipelines.mias_patches import CLASSES, cut_patch
from mammo_tf.training.fit import predict_scores


def classify_places(
    model: keras.Model,
    pixels: np.ndarray,
    places,
    patch_size: int,
    input_size: int,
    mirrored: bool,
) -> np.ndarray:
    """Scores the patches round some places of one film, prepared as for training.

    Args:
        model: A network that `classify` trained, see `load_classifier`.
        pixels: (height, width) uint8, the film as distributed.
        places: (m, 2) (row, column) of the patches' middles in pixels; rounded down.
        patch_size: Side of the patches that the network was trained on, in pixels of the film.
        input_size: Side of the network's input.
        mirrored: True for a right breast.

    Returns:
        (m, 3) float64 probabilities of normal, benign and malignant.

    Raises:
        UserError: If the film is not a grey image of 8 bits, or a place is not a finite
            (row, column), or the network has another input.
    """
    places = np.asarray(places, float)
    if not places.size:
        return np.zeros((0, len(CLASSES)))
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise UserError(
            f"`places` must be (m, 2) finite rows and columns. Received: {places.shape}."
        )
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise UserError(
            f"`pixels` must be (height, width) uint8. Received: {pixels.shape} {pixels.dtype}."
        )
    if tuple(model.input_shape[1:]) != (input_size, input_size, 1):
        raise UserError(
            f"`input_size` must be that of the network, {model.input_shape[1:]}. "
            f"Received: {input_size}."
        )
    patches = [
        cut_patch(
            pixels, row, column, patch_size=patch_size, input_size=input_size, mirrored=mirrored
        )
        for row, column in np.floor(places).astype(int).tolist()
    ]
    stored = np.stack(patches)
    start = (stored.shape[1] - input_size) // 2
    seen = stored[:, start : start + input_size, start : start + input_size, np.newaxis]
    return predict_scores(model, _standardise(seen))


def _standardise(images: np.ndarray) -> np.ndarray:
    """What the feed does with each image, without tf.data, which costs more than the network."""
    images = images.astype(np.float32)
    centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=(1, 2, 3), keepdims=True))
    return centred / np.maximum(deviation, np.float32(MIN_STANDARD_DEVIATION))
