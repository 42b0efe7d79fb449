"""GLAM's local network: a ResNet-34 without strides between its stages, on crops."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel
from mammo_tf.models.glam.parts import class_maps, conv, norm, relu

FILTERS = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)
MIN_SIDE = 16


@keras.saving.register_keras_serializable(package="mammo_tf")
class GlamLocalNetwork(KeywordModel):
    """GLAM's second network: what of a crop belongs to each class, at a quarter of its resolution.

    Stem and blocks are ResNet-34's, but all stages have stride 1. The authors show it the grey crop
    in three channels; here the first kernels have one, the sum of theirs, which is the same.

    Args:
        crop_shape: (height, width) in pixels, at least 16 each.
        stackwise_num_filters: Filters of the stages; the stem has as many as the first.
        stackwise_num_blocks: Basic blocks of the stages.

    Attributes:
        map_shape: (rows, columns) of its maps: a quarter of the crop.

    Call arguments:
        inputs: (batch, height, width, 1) float32 crops of a standardised image.

    Returns:
        (batch, rows, columns, 2) float32 saliency in [0, 1]; benign, malignant.

    Raises:
        UserError: If an argument is none of these.

    Reference:
        Liu et al. 2021; the defaults are those of the authors' published checkpoint. Smaller
        networks are ours, for machines without an accelerator.
    """

    def __init__(
        self,
        *,
        crop_shape: tuple[int, int] = (512, 512),
        stackwise_num_filters: tuple[int, ...] = FILTERS,
        stackwise_num_blocks: tuple[int, ...] = BLOCKS,
        **kwargs,
    ):
        _check(crop_shape, stackwise_num_filters, stackwise_num_blocks)
        inputs = keras.Input((*crop_shape, 1), name="crop")
        features = conv(inputs, stackwise_num_filters[0], 7, strides=2, name="stem")
        features = relu(norm(features, "stem_bn"), "stem_relu")
        # Zeros beside what a ReLU gave are as good as PyTorch's −∞.
        features = layers.ZeroPadding2D(1, name="stem_pool_pad")(features)
        features = layers.MaxPooling2D(3, 2, name="stem_pool")(features)
        stages = zip(stackwise_num_filters, stackwise_num_blocks, strict=True)
        for stage, (filters, blocks) in enumerate(stages):
            for block in range(blocks):
                features = _block(features, filters, block_name(stage, block))
        maps = class_maps(features, "maps")
        saliency = layers.Activation("sigmoid", dtype="float32", name="saliency")(maps)
        super().__init__(inputs=inputs, outputs=saliency, **kwargs)
        self.crop_shape = tuple(crop_shape)
        self.stackwise_num_filters = tuple(stackwise_num_filters)
        self.stackwise_num_blocks = tuple(stackwise_num_blocks)
        self.map_shape = tuple(maps.shape[1:3])


def block_name(stage: int, block: int) -> str:
    """Returns the prefix of a block's layers, both counted from 0."""
    return f"stage{stage + 1}_block{block + 1}"


def _block(inputs, filters: int, name: str):
    features = relu(norm(conv(inputs, filters, 3, name=f"{name}_conv1"), f"{name}_bn1"),
                    f"{name}_relu1")  # fmt: skip
    features = norm(conv(features, filters, 3, name=f"{name}_conv2"), f"{name}_bn2")
    shortcut = inputs
    if inputs.shape[-1] != filters:
        shortcut = norm(conv(inputs, filters, 1, name=f"{name}_shortcut"), f"{name}_shortcut_bn")
    return relu(layers.Add(name=f"{name}_add")([features, shortcut]), f"{name}_relu2")


def _check(crop_shape, filters, blocks) -> None:
    if len(crop_shape) != 2 or min(crop_shape) < MIN_SIDE:
        raise UserError(
            f"`crop_shape` must be (height, width), at least {MIN_SIDE} each. "
            f"Received: crop_shape={tuple(crop_shape)}."
        )
    if not filters or len(filters) != len(blocks) or min(*filters, *blocks) < 1:
        raise UserError(
            "`stackwise_num_filters` and `stackwise_num_blocks` must have as many numbers, all at "
            f"least 1. Received: {tuple(filters)} and {tuple(blocks)}."
        )
