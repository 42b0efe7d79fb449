"""VGG's convolutions from an ONNX file that was made from Keras' own."""

import os
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.models.onnx_weights import read_initializers


def read_keras_onnx(path: str | os.PathLike, convolutions) -> dict[str, list[np.ndarray]]:
    """Returns [kernel, bias] of VGG's convolutions from an ONNX file that was a Keras model.

    There a kernel is called `…/block1_conv1_1/convolution/ReadVariableOp:0`, with its axes as
    (out, in, height, width), and its bias `…/block1_conv1_1/Squeeze:0`.

    Args:
        path: The file.
        convolutions: (name, filters) of those wanted, in order.

    Raises:
        DataError: If one is missing or of another shape, or the file is damaged.
    """
    tensors = read_initializers(path)
    found, channels = {}, 3
    for name, filters in convolutions:
        kernel = _named(tensors, name, "convolution/ReadVariableOp", path)
        bias = _named(tensors, name, "Squeeze", path).reshape(-1)
        if kernel.shape != (filters, channels, 3, 3) or bias.shape != (filters,):
            raise DataError(
                f"{Path(path).name}: {name} is of shape {kernel.shape} with {bias.size} biases; "
                f"VGG has {(filters, channels, 3, 3)} with {filters}."
            )
        found[name] = [kernel.transpose(2, 3, 1, 0), bias]
        channels = filters
    return found


def _named(tensors: dict[str, np.ndarray], layer: str, end: str, path) -> np.ndarray:
    for name, array in tensors.items():
        _, _, rest = name.partition("/")
        folder, _, operation = rest.partition("/")
        if folder in (layer, f"{layer}_1") and operation.partition(":")[0] == end:
            return array
    raise DataError(f"{Path(path).name} has no {layer} ({end}); it is not Keras' VGG in ONNX.")
