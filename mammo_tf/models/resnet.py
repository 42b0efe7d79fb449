"""What the residual networks share: keras-hub's backbone on grey images, and its first weights."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from keras import layers

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.base import PretrainedModel
from mammo_tf.models.torch_weights import read_state_dict

FILTERS = (64, 128, 256, 512)
MIN_SIDE = 32


class ResNet(PretrainedModel):
    """A residual network of grey images: keras-hub's `ResNetBackbone`, pooling, one dense layer.

    A colour network's first kernels are summed over the colours, which is the same as showing the
    grey image in all three. A standardised image has the mean and standard deviation, 0 and 1,
    that ImageNet's colours have after that network's own scaling.

    Args:
        preset: keras-hub's name of the ImageNet weights.
        image_shape: (height, width, 1) of the input; values should be standardised.
        num_classes: Logits: 1 for two classes, else one a class.
        weights: "imagenet", "none" or a path; see `load_backbone`.
        dropout: Share of pooled features dropped in training, 0 to 1 exclusive.
        bottleneck: Whether the blocks are bottlenecks (50 layers and more).
        num_blocks: Blocks of the four stages.

    Raises:
        UserError: If the image is too small or not grey, keras-hub is absent, or weights cannot be
            had; never are random ones taken instead.
    """

    def __init__(
        self,
        *,
        preset: str,
        image_shape: tuple[int, int, int],
        num_classes: int,
        weights: str,
        dropout: float,
        bottleneck: bool,
        num_blocks: tuple[int, ...],
        **kwargs,
    ):
        if min(image_shape[:2]) < MIN_SIDE or image_shape[2] != 1:
            raise UserError(
                f"`image_shape` must be at least {MIN_SIDE} in height and width, with one channel. "
                f"Received: image_shape={tuple(image_shape)}."
            )
        facts = {"bottleneck": bottleneck, "num_blocks": num_blocks}
        backbone = _backbone(tuple(image_shape), **facts)
        if weights != "none":
            load_backbone(backbone, weights, preset=preset, **facts)
        features = layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(
            backbone.output
        )
        if dropout:
            features = layers.Dropout(dropout, name="dropout")(features)
        outputs = layers.Dense(num_classes, name="logits", dtype="float32")(features)
        super().__init__(inputs=backbone.input, outputs=outputs, **kwargs)
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.weights_source = weights
        self.dropout = dropout


def load_backbone(
    backbone: keras.Model,
    weights: str,
    *,
    preset: str,
    bottleneck: bool,
    num_blocks: tuple[int, ...],
) -> None:
    """Puts weights of a network of colour or grey images into `backbone`.

    Args:
        backbone: A `ResNetBackbone` of one channel.
        weights: "imagenet" for keras-hub's preset, from its cache or by download; the folder of
            such a preset; a state dict of PyTorch with torchvision's names (.pth, .pt, or
            .safetensors); or a .weights.h5 of this backbone, with one channel or three.
        preset: keras-hub's name of the ImageNet weights.
        bottleneck: Whether the blocks are bottlenecks.
        num_blocks: Blocks of the four stages.

    Raises:
        UserError: If they are not there; the message says where they can be had.
        DataError: If they are of another network.
    """
    path = Path(weights)
    facts = {"bottleneck": bottleneck, "num_blocks": num_blocks}
    if weights == "imagenet":
        source = _from_preset(preset, facts)
    elif path.is_dir():
        source = _from_preset(path, facts)
    elif path.is_file() and path.suffix in (".pth", ".pt", ".safetensors"):
        _load_torch(backbone, path, **facts)
        return
    elif path.is_file() and path.suffix == ".h5":
        source = _from_h5(path, facts)
    else:
        raise UserError(
            "`model.weights` must be imagenet, none, the folder of a keras-hub preset, or a .pth, "
            f".pt, .safetensors or .weights.h5 file. Received: {weights!r}."
        )
    for layer in backbone.layers:
        if layer.weights:
            _set(layer, source.get_layer(layer.name).get_weights(), path.name)


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise UserError(
            "Residual networks need keras-hub: pip install 'mammo-tf[resnet]'."
        ) from error
    return keras_hub


def _backbone(image_shape, *, bottleneck: bool, num_blocks: tuple[int, ...]):
    return _keras_hub().models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=list(FILTERS),
        stackwise_num_blocks=list(num_blocks),
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block" if bottleneck else "basic_block",
        image_shape=image_shape,
        data_format="channels_last",
    )


def _from_preset(preset: str | Path, facts: dict) -> keras.Model:
    name = str(preset)
    try:
        source = _keras_hub().models.ResNetBackbone.from_preset(os.fspath(preset))
    except UserError:
        raise
    except Exception as error:  # of the network, the archive's server, or a damaged preset
        raise UserError(
            f"The weights {name!r} cannot be had ({_first_line(error)}). Give a file, --set "
            "model.weights=FILE.pth (torchvision's names), or start from random weights, --set "
            "model.weights=none."
        ) from error
    blocks = (source.block_type == "bottleneck_block", tuple(source.stackwise_num_blocks))
    if blocks != (facts["bottleneck"], facts["num_blocks"]) or source.use_pre_activation:
        raise DataError(f"{name} is a preset of another network.")
    return source


def _from_h5(path: Path, facts: dict) -> keras.Model:
    for channels in (1, 3):
        source = _backbone((64, 64, channels), **facts)
        try:
            with warnings.catch_warnings():
                # Keras only warns where a file lacks weights, and leaves random ones.
                warnings.simplefilter("error")
                source.load_weights(path)
            return source
        except (UserWarning, ValueError, OSError, KeyError):
            continue
    raise DataError(f"{path.name} has no weights of this backbone.")


def _load_torch(backbone: keras.Model, path: Path, *, bottleneck: bool, num_blocks) -> None:
    found = _read_tensors(path)
    for name, tensors in _torch_names(bottleneck, num_blocks):
        missing = next((tensor for tensor in tensors if tensor not in found), None)
        if missing:
            raise DataError(f"{path.name} has no {missing}; it is of another network.")
        values = [found[tensor] for tensor in tensors]
        if len(values) == 1:
            if values[0].ndim != 4:
                raise DataError(f"{path.name}: {tensors[0]} is no kernel of a convolution.")
            values = [values[0].transpose(2, 3, 1, 0)]
        _set(backbone.get_layer(name), values, path.name)


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    if path.suffix != ".safetensors":
        return read_state_dict(path)
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise UserError(
            f"{path.name} needs safetensors: pip install 'mammo-tf[resnet]'."
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, TypeError) as error:
        raise DataError(f"{path.name} cannot be read: {_first_line(error)}.") from error


def _torch_names(bottleneck: bool, num_blocks) -> Iterator[tuple[str, list[str]]]:
    """Each layer's name, and torchvision's names of its tensors in the order of its weights."""
    yield from _pair("conv1", "conv1", "bn1")
    convolutions = (1, 2, 3) if bottleneck else (1, 2)
    for stage, blocks in enumerate(num_blocks):
        for block in range(blocks):
            ours, theirs = f"stack{stage}_block{block}", f"layer{stage + 1}.{block}"
            if block == 0 and (bottleneck or stage > 0):
                yield from _pair(f"{ours}_0", f"{theirs}.downsample.0", f"{theirs}.downsample.1")
            for number in convolutions:
                yield from _pair(
                    f"{ours}_{number}", f"{theirs}.conv{number}", f"{theirs}.bn{number}"
                )


def _pair(layer: str, conv: str, norm: str) -> Iterator[tuple[str, list[str]]]:
    yield f"{layer}_conv", [f"{conv}.weight"]
    parts = ("weight", "bias", "running_mean", "running_var")
    yield f"{layer}_bn", [f"{norm}.{part}" for part in parts]


def _set(layer: layers.Layer, values: list[np.ndarray], source: str) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if values[0].ndim == 4 and values[0].shape[2] == 3 and shapes[0][2] == 1:
        values = [values[0].sum(axis=2, keepdims=True)]
    if [value.shape for value in values] != shapes:
        raise DataError(
            f"{source}: {layer.name} is of shape {values[0].shape}, this network needs {shapes[0]}."
        )
    layer.set_weights(values)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:160]
