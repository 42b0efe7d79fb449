"""GLAM's losses: binary cross-entropy at each head and an L1 penalty on the saliency."""

import keras
from keras import ops

from mammo_tf.models.glam.parts import top_k_mean


def local_predictions(local_saliency, top_k_fraction: float):
    """Returns (batch, 2): the mean of the largest values of all the crops' maps together.

    Args:
        local_saliency: (batch, crops, rows, columns, 2).
        top_k_fraction: Share of those pixels that counts.

    Reference:
        Liu et al. 2021; the fraction is not stated there and is the global network's here.
    """
    crops, rows, columns, classes = local_saliency.shape[1:]
    together = ops.reshape(local_saliency, (-1, crops * rows * columns, classes))
    return top_k_mean(together, top_k_fraction)


def glam_loss(labels, predictions, saliency, *, l1_weight: float):
    """Returns the (batch,) loss of some heads: the sum of cross-entropies and L1 of their maps.

    Args:
        labels: (batch, 2) of 0 and 1: benign, malignant; an image may have both or none.
        predictions: (batch, heads, 2) in [0, 1].
        saliency: (batch, heads, …, 2) in [0, 1], each head's map.
        l1_weight: Weight of the mean of the saliency, which is its L1 norm per pixel.

    Reference:
        Liu et al. 2021: "binary cross-entropy" and "L1 regularisation"; that each is a mean over
        classes and pixels is not stated there.
    """
    heads = predictions.shape[1]
    wanted = ops.broadcast_to(ops.cast(labels, "float32")[:, None], ops.shape(predictions))
    crossed = keras.losses.binary_crossentropy(wanted, predictions)  # (batch, heads)
    flat = ops.reshape(saliency, (-1, heads, _rest(saliency)))
    return ops.sum(crossed + l1_weight * ops.mean(flat, axis=-1), axis=1)


def _rest(saliency) -> int:
    size = 1
    for side in saliency.shape[2:]:
        size *= side
    return size
