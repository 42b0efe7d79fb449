"""The authors' names of GLAM's weights, and loading a state dict that has them."""

from collections.abc import Iterator, Mapping

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.models.glam import global_network, local_network
from mammo_tf.models.glam.model import GLAM

_NORM = ("weight", "bias", "running_mean", "running_var")
_GLOBAL = "global_network.downsampling_branch"
_MAPS = "global_network.postprocess_module"
_LOCAL = "detection_network.dn_resnet"
# Kept by PyTorch or by training, and of no use to an answer.
UNUSED = ("num_batches_tracked", "postprocess_module.combine.weight")


def load_torch_state_dict(model: GLAM, state_dict: Mapping[str, np.ndarray]) -> list[str]:
    """Puts the authors' weights into a model of ResNet-34's size.

    Args:
        model: `GLAM` of any image size.
        state_dict: Arrays by the names that the authors' checkpoints have.

    Returns:
        Notes, one line each: which names were not used. Counters of batches, and a layer that the
        authors' code keeps and never calls, are not worth one.

    Raises:
        DataError: If names are missing, or arrays have another shape, each told by name; the
            model is unchanged then.
    """
    wanted = torch_shapes(model)
    missing = [name for name in wanted if name not in state_dict]
    if missing:
        raise DataError(f"The weights are not GLAM's: {_listed(missing)} missing.")
    arrays = {name: np.asarray(state_dict[name]) for name in wanted}
    wrong = [
        f"{name} is {arrays[name].shape}, not {shape}"
        for name, shape in wanted.items()
        if arrays[name].shape != shape
    ]
    if wrong:
        raise DataError(f"The weights are of another GLAM: {_listed(wrong)}.")
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise DataError(f"The weights are damaged: {_listed(broken)} not finite.")
    for network, layer, names in _layers(model):
        network.get_layer(layer).set_weights(_as_keras([arrays[name] for name in names]))
    extra = [name for name in state_dict if name not in wanted and not name.endswith(UNUSED)]
    return [f"{len(extra)} of the weights not used: {_listed(extra)}."] if extra else []


def torch_shapes(model: GLAM) -> dict[str, tuple[int, ...]]:
    """Returns the shape that each of the authors' names must have, in PyTorch's order of axes."""
    shapes = {}
    for network, layer, names in _layers(model):
        kept = [tuple(weight.shape) for weight in network.get_layer(layer).weights]
        for name, shape in zip(names, kept, strict=True):
            shapes[name] = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
    stem = f"{_LOCAL}.conv1.weight"  # three channels, all of them the grey image
    shapes[stem] = (shapes[stem][0], 3, *shapes[stem][2:])
    return shapes


def _as_keras(arrays: list[np.ndarray]) -> list[np.ndarray]:
    if len(arrays) > 1:  # batch normalisation
        return arrays
    (kernel,) = arrays
    if kernel.shape[1] == 3:
        kernel = kernel.sum(axis=1, keepdims=True)
    return [kernel.transpose(2, 3, 1, 0)]


def _listed(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _layers(model: GLAM) -> Iterator[tuple]:
    """Yields a network, the name of a layer and the names of its weights, in Keras' order."""
    for layer, names in _global_layers():
        yield model.global_network, layer, names
    for layer, names in _local_layers(model.local_num_filters, model.local_num_blocks):
        yield model.local_network, layer, names


def _global_layers() -> Iterator[tuple[str, list[str]]]:
    yield "stem", [f"{_GLOBAL}.first_conv.weight"]
    for stage in range(len(global_network.FILTERS)):
        for block in range(global_network.BLOCKS):
            name = global_network.block_name(stage, block)
            theirs = f"{_GLOBAL}.layer_list.{stage}.{block}"
            for part in ("1", "2"):
                yield f"{name}_bn{part}", _norm(f"{theirs}.bn{part}")
                yield f"{name}_conv{part}", [f"{theirs}.conv{part}.weight"]
            if block == 0:
                yield f"{name}_shortcut", [f"{theirs}.downsample.0.weight"]
    yield "final_bn", _norm(f"{_GLOBAL}.final_bn")
    for ours, theirs in (("maps1", "gn_conv_1"), ("maps2", "gn_conv_2"), ("maps3", "gn_conv_last")):
        yield ours, [f"{_MAPS}.{theirs}.weight"]


def _local_layers(filters, blocks) -> Iterator[tuple[str, list[str]]]:
    yield "stem", [f"{_LOCAL}.conv1.weight"]
    yield "stem_bn", _norm(f"{_LOCAL}.bn1")
    before = filters[0]
    for stage, (width, count) in enumerate(zip(filters, blocks, strict=True)):
        for block in range(count):
            name = local_network.block_name(stage, block)
            theirs = f"{_LOCAL}.layer{stage + 1}.{block}"
            for part in ("1", "2"):
                yield f"{name}_conv{part}", [f"{theirs}.conv{part}.weight"]
                yield f"{name}_bn{part}", _norm(f"{theirs}.bn{part}")
            if before != width:
                yield f"{name}_shortcut", [f"{theirs}.downsample.0.weight"]
                yield f"{name}_shortcut_bn", _norm(f"{theirs}.downsample.1")
                before = width
    yield "maps", ["detection_network.gn_conv_last.weight"]


def _norm(name: str) -> list[str]:
    return [f"{name}.{part}" for part in _NORM]
