"""GLAM's global network: a narrow residual network and three saliency maps of the whole image."""

import math

import keras
from keras import layers, ops

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel
from mammo_tf.models.glam.parts import class_maps, conv, norm, relu, resize_nearest, top_k_mean

FILTERS = (16, 32, 64, 128, 256)
STRIDES = (1, 2, 2, 2, 2)
BLOCKS = 2
MAP_WEIGHTS = (0.2, 0.6, 0.2)
MIN_SIDE = 64


@keras.saving.register_keras_serializable(package="mammo_tf")
class GlamGlobalNetwork(KeywordModel):
    """GLAM's first network: where in the whole image the classes show, on a coarse grid.

    A ResNet of pre-activation blocks, five stages of two. A 1×1 convolution makes maps of both
    classes from stage 3, stage 4 and the last layer; they are brought to the size of the first.

    Args:
        image_shape: (height, width) in pixels, at least 64 each.
        top_k_fraction: Share of a map's pixels whose mean is its prediction.

    Attributes:
        grid_shape: (rows, columns) of the saliency: about a sixteenth of the image.

    Call arguments:
        inputs: (batch, height, width, 1) float32, standardised, the breast at the left.

    Returns:
        A dictionary, all float32 in [0, 1], classes benign and malignant: `prediction` (batch, 2),
        the mean of `layer_predictions` (batch, 3, 2); `saliency` (batch, rows, columns, 2), which
        is 0.2, 0.6 and 0.2 of `layer_saliency` (batch, 3, rows, columns, 2).

    Raises:
        UserError: If an argument is none of these.

    Reference:
        Liu et al. 2021; the numbers are those of the authors' published checkpoint.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int] = (2944, 1920),
        top_k_fraction: float = 0.03,
        **kwargs,
    ):
        _check(image_shape, top_k_fraction)
        inputs = keras.Input((*image_shape, 1), name="image")
        features = conv(inputs, FILTERS[0], 7, strides=2, name="stem")
        features = layers.MaxPooling2D(3, 2, name="stem_pool")(features)
        maps = []
        for stage, (filters, strides) in enumerate(zip(FILTERS, STRIDES, strict=True)):
            for block in range(BLOCKS):
                name = block_name(stage, block)
                features = _block(features, filters, 1 if block else strides, name)
            if stage in (2, 3):
                maps.append(class_maps(features, f"maps{len(maps) + 1}"))
        features = relu(norm(features, "final_bn"), "final_relu")
        maps.append(class_maps(features, "maps3"))
        pooled = PoolMaps(top_k_fraction=top_k_fraction, dtype="float32", name="pool")(maps)
        super().__init__(inputs=inputs, outputs=pooled, **kwargs)
        self.image_shape = tuple(image_shape)
        self.top_k_fraction = top_k_fraction
        self.grid_shape = tuple(maps[0].shape[1:3])


@keras.saving.register_keras_serializable(package="mammo_tf")
class PoolMaps(layers.Layer):
    """Makes saliency and predictions of three maps of logits; see `GlamGlobalNetwork`."""

    def __init__(self, *, top_k_fraction: float, **kwargs):
        super().__init__(**kwargs)
        self.top_k_fraction = top_k_fraction

    def call(self, maps):
        """Returns the dictionary that `GlamGlobalNetwork` does."""
        grid = tuple(maps[0].shape[1:3])
        layer_saliency = [ops.sigmoid(resize_nearest(each, grid)) for each in maps]
        predictions = [top_k_mean(each, self.top_k_fraction) for each in layer_saliency]
        layer_predictions = ops.stack(predictions, axis=1)
        weighted = zip(MAP_WEIGHTS, layer_saliency, strict=True)
        return {
            "prediction": ops.mean(layer_predictions, axis=1),
            "layer_predictions": layer_predictions,
            "saliency": sum(weight * each for weight, each in weighted),
            "layer_saliency": ops.stack(layer_saliency, axis=1),
        }

    def compute_output_spec(self, maps):
        """Returns the shapes, so that no backend need trace `call` for them."""
        batch, rows, columns, classes = maps[0].shape
        grid, count = (rows, columns, classes), len(maps)
        shapes = {
            "prediction": (batch, classes),
            "layer_predictions": (batch, count, classes),
            "saliency": (batch, *grid),
            "layer_saliency": (batch, count, *grid),
        }
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {"top_k_fraction": self.top_k_fraction}


def block_name(stage: int, block: int) -> str:
    """Returns the prefix of a block's layers, both counted from 0."""
    return f"stage{stage + 1}_block{block + 1}"


def _block(inputs, filters: int, strides: int, name: str):
    """Pre-activation; a stage's first block projects its shortcut, taken after the first ReLU."""
    features = relu(norm(inputs, f"{name}_bn1"), f"{name}_relu1")
    shortcut = inputs
    if name.endswith("block1"):
        shortcut = conv(features, filters, 1, strides=strides, name=f"{name}_shortcut")
    features = conv(features, filters, 3, strides=strides, name=f"{name}_conv1")
    features = relu(norm(features, f"{name}_bn2"), f"{name}_relu2")
    features = conv(features, filters, 3, name=f"{name}_conv2")
    return layers.Add(name=f"{name}_add")([features, shortcut])


def _check(image_shape, top_k_fraction) -> None:
    if len(image_shape) != 2 or min(image_shape) < MIN_SIDE:
        raise UserError(
            f"`image_shape` must be (height, width), at least {MIN_SIDE} each. "
            f"Received: image_shape={tuple(image_shape)}."
        )
    if not (math.isfinite(top_k_fraction) and 0 < top_k_fraction <= 1):
        raise UserError(
            f"`top_k_fraction` must be above 0 and at most 1. Received: {top_k_fraction}."
        )
