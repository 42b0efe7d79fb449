"""What both of GLAM's networks are made of: PyTorch's paddings and batch normalisation in Keras."""

import math

import numpy as np
from keras import layers, ops

CLASSES = ("benign", "malignant")
NUM_CLASSES = len(CLASSES)


def conv(features, filters: int, kernel_size: int, *, strides: int = 1, name: str):
    """A convolution without bias, padded by half its kernel on every side as PyTorch does.

    Keras' own padding "same" puts an odd row at the end when `strides` is 2.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        features = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(features)
        padding = "valid"
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(features)


def norm(features, name: str):
    """Batch normalisation with PyTorch's constants."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(features)


def relu(features, name: str):
    """A rectified linear unit."""
    return layers.ReLU(name=name)(features)


def class_maps(features, name: str):
    """Logits of the two classes for each place, float32: a 1×1 convolution without bias."""
    return layers.Conv2D(
        NUM_CLASSES,
        1,
        use_bias=False,
        kernel_initializer="he_normal",
        dtype="float32",
        name=name,
    )(features)


def resize_nearest(images, shape: tuple[int, int]):
    """Returns (batch, *shape, channels): pixel i of n is pixel floor(i · m / n) of the m there are.

    PyTorch's "nearest". Keras' own differs from backend to backend where n is no multiple of m.
    """
    for axis, size in zip((1, 2), shape, strict=True):
        have = images.shape[axis]
        if have != size:
            images = ops.take(images, nearest_indices(have, size), axis=axis)
    return images


def nearest_indices(have: int, size: int) -> np.ndarray:
    """Returns the int32 index, of `have`, that each of `size` places takes."""
    return (np.arange(size) * have // size).astype("int32")


def top_k_mean(maps, fraction: float):
    """Returns (batch, channels): the mean of each map's largest values.

    Args:
        maps: (batch, height, width, channels) or (batch, pixels, channels).
        fraction: Share of the pixels that counts; at least one does.
    """
    pixels = math.prod(maps.shape[1:-1])
    flat = ops.swapaxes(ops.reshape(maps, (-1, pixels, maps.shape[-1])), 1, 2)
    largest, _ = ops.top_k(flat, max(1, round(fraction * pixels)))
    return ops.mean(largest, axis=-1)
