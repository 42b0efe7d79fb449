"""SSD, the single-shot detector, on VGG-16, EfficientNet-Lite0 or a light base network."""

import keras
from keras import layers

from mammo_tf.errors import UserError
from mammo_tf.models.base import KeywordModel
from mammo_tf.models.efficientnet_lite0 import lite0_base
from mammo_tf.models.ssd.boxes import BoxLayout, default_boxes
from mammo_tf.models.ssd.light import conv_block, light_base
from mammo_tf.models.ssd.variants import BACKBONES, VARIANTS
from mammo_tf.models.ssd.vgg16 import vgg16_base

# (filters of the 1×1 convolution, filters of the 3×3 one) for each extra map
_VGG_EXTRAS = ((256, 512), (128, 256), (128, 256), (128, 256), (128, 256))
_LIGHT_EXTRAS = ((64, 128), (64, 128), (64, 128), (64, 128), (64, 128))


@keras.saving.register_keras_serializable(package="mammo_tf")
class SSD(KeywordModel):
    """SSD300 or SSD512: feature maps of falling resolution, each with its default boxes.

    With `backbone="vgg16"` it is the paper's network: conv4_3 with L2 normalisation, dilated fc6,
    fc7, and extra layers down to one cell; 8,732 default boxes at 300×300 and 24,564 at 512×512.
    `backbone="light"` has nine small convolutions with batch normalisation instead of VGG-16, and
    extra layers likewise, and trains on a CPU. `backbone="efficientnet_lite0"` has that network
    instead, see `lite0_base`, with the light one's extra layers.

    Compile it with `MultiBoxLoss(model.layout)` and fit it on targets of `make_targets`;
    `find_detections` turns its output into boxes.

    Args:
        num_classes: Number of classes besides the background, at least 1.
        variant: "ssd300" or "ssd512": number of maps, scales and aspect ratios.
        backbone: "vgg16", "light" or "efficientnet_lite0". All start from random weights;
            `load_vgg16_weights` and `efficientnet_lite0.load_backbone` put ImageNet's in.
        image_shape: (height, width, 3); None for the variant's square. At least 32 each.
        dropout: Of the light base network.

    Attributes:
        layout: The `BoxLayout` of its default boxes.
        default_boxes: (num_boxes, 4) float32 in the format "yxyx", relative to the image.

    Call arguments:
        inputs: (batch, height, width, 3) float32, mean 0 and standard deviation 1 an image, grey
            repeated.

    Returns:
        (batch, num_boxes, num_classes + 5) float32: logits, background first, then the offsets
        that `decode_boxes` understands.

    Raises:
        UserError: If an argument is none of these.

    Examples:
        >>> from mammo_tf.models.ssd import MultiBoxLoss
        >>> model = SSD(num_classes=2, backbone="light")
        >>> model.compile(optimizer="adam", loss=MultiBoxLoss(model.layout))
        >>> model.output_shape
        (None, 8732, 7)

    Reference:
        Liu et al. 2016, section 2.1 and Fig. 2; SSD512: section 3.3. The numbers of filters of
        the light base network are not from the paper.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        variant: str = "ssd300",
        backbone: str = "vgg16",
        image_shape: tuple[int, int, int] | None = None,
        dropout: float = 0.0,
        **kwargs,
    ):
        _check(num_classes, variant, backbone, image_shape)
        size, scales, ratios = VARIANTS[variant]
        image_shape = tuple(image_shape or (size, size, 3))
        inputs = keras.Input(image_shape, name="image")
        maps = _feature_maps(inputs, backbone, len(ratios), dropout)
        layout = BoxLayout(
            feature_shapes=tuple(tuple(features.shape[1:3]) for features in maps),
            scales=scales,
            aspect_ratios=ratios,
        )
        outputs = [
            _head(features, count, num_classes, name=f"head{index}")
            for index, (features, count) in enumerate(
                zip(maps, layout.boxes_per_cell, strict=True), start=1
            )
        ]
        outputs = layers.Concatenate(axis=1, dtype="float32", name="boxes")(outputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.num_classes = num_classes
        self.variant = variant
        self.backbone = backbone
        self.image_shape = image_shape
        self.dropout = dropout
        self.layout = layout
        self.default_boxes = default_boxes(layout)


def _feature_maps(images, backbone: str, num_maps: int, dropout: float) -> list:
    if backbone == "vgg16":
        maps, extras = list(vgg16_base(images)), _VGG_EXTRAS
    elif backbone == "efficientnet_lite0":
        maps, extras = list(lite0_base(images)), _LIGHT_EXTRAS
    else:
        maps, extras = list(light_base(images, dropout=dropout)), _LIGHT_EXTRAS
    block = _conv if backbone == "vgg16" else conv_block
    features = maps[-1]
    for index, (narrow, wide) in enumerate(extras[: num_maps - len(maps)], start=6):
        features = block(features, narrow, kernel_size=1, name=f"conv{index}_1")
        features = _shrink(features, wide, block, num_maps, name=f"conv{index}_2")
        maps.append(features)
    return maps


def _shrink(features, filters: int, block, num_maps: int, name: str):
    """Halves a map as SSD does: 19, 10, 5, 3, 1 (SSD300) and 32, 16, 8, 4, 2, 1 (SSD512)."""
    side = min(features.shape[1:3])
    if num_maps == 6 and 3 <= side <= 5:
        return block(features, filters, padding="valid", name=name)
    if num_maps == 7 and side == 2:  # the released SSD512's 4×4 convolution with padding 1
        features = layers.ZeroPadding2D(1, name=f"{name}_pad")(features)
        return block(features, filters, kernel_size=4, padding="valid", name=name)
    return block(features, filters, strides=2, name=name)


def _conv(features, filters, *, kernel_size=3, strides=1, padding="same", name):
    return layers.Conv2D(
        filters, kernel_size, strides=strides, padding=padding, activation="relu", name=name
    )(features)


def _head(features, boxes_per_cell: int, num_classes: int, name: str):
    """Classes and offsets of one map: (batch, cells × boxes_per_cell, num_classes + 5)."""
    classes = layers.Conv2D(
        boxes_per_cell * (num_classes + 1), 3, padding="same", name=f"{name}_classes"
    )(features)
    offsets = layers.Conv2D(boxes_per_cell * 4, 3, padding="same", name=f"{name}_offsets")(features)
    classes = layers.Reshape((-1, num_classes + 1), name=f"{name}_classes_list")(classes)
    offsets = layers.Reshape((-1, 4), name=f"{name}_offsets_list")(offsets)
    return layers.Concatenate(axis=-1, name=name)([classes, offsets])


def _check(num_classes, variant, backbone, image_shape) -> None:
    if num_classes < 1:
        raise UserError(f"`num_classes` must be at least 1. Received: {num_classes}.")
    if variant not in VARIANTS:
        raise UserError(f"`variant` must be one of {sorted(VARIANTS)}. Received: {variant!r}.")
    if backbone not in BACKBONES:
        raise UserError(f"`backbone` must be one of {sorted(BACKBONES)}. Received: {backbone!r}.")
    if image_shape is not None and (len(image_shape) != 3 or image_shape[2] != 3):
        raise UserError(f"`image_shape` must be (height, width, 3). Received: {image_shape}.")
    if image_shape is not None and min(image_shape[:2]) < 32:
        raise UserError(f"`image_shape` must be at least 32 in both. Received: {image_shape}.")
