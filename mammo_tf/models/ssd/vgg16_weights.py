"""ImageNet's weights for SSD's VGG-16 base network, from Keras or from a file of the user's."""

import contextlib
import os
import sys
from pathlib import Path

import h5py
import keras
import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.published_weights import find_fetched
from mammo_tf.models.ssd.vgg16 import STACKWISE_NUM_FILTERS
from mammo_tf.models.ssd.vgg_onnx import read_keras_onnx

MAX_FILE_BYTES = 1_000_000_000  # the largest true one, with the top, has 553 MB
WITHOUT_TOP = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
WITH_TOP = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
_FETCH = "`mammo-tf weights fetch vgg16` brings its convolutions through pip. Or: "
URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"


def name_convolutions(stackwise_num_filters) -> tuple[tuple[str, int], ...]:
    """Returns the name and the filters of each convolution, as Keras names them."""
    return tuple(
        (f"block{block}_conv{index}", filters)
        for block, num_filters in enumerate(stackwise_num_filters, start=1)
        for index, filters in enumerate(num_filters, start=1)
    )


CONVOLUTIONS = name_convolutions(STACKWISE_NUM_FILTERS)
DENSE_SHAPES = {"fc1": (7 * 7 * 512, 4096), "fc2": (4096, 4096)}


def load_vgg16_weights(model: keras.Model, source: str | os.PathLike) -> tuple[str, ...]:
    """Fills a model's VGG-16 layers with weights learned on ImageNet.

    Layers are found by name, `block1_conv1` to `block5_conv3`, and, where the file has the fully
    connected layers and the model fc6 and fc7, these too. Everything is read and checked before
    the first layer is changed.

    SSD makes fc6 and fc7 by subsampling. fc6 (3×3×512×1024) takes every third row and column of
    the first fully connected layer (7×7×512×4096) and every fourth output, the first of each;
    fc7 (1×1×1024×1024) every fourth input and output of the second. Which ones is not stated in
    the paper.

    Args:
        model: A model with these layers, such as `SSD(backbone="vgg16")`.
        source: "imagenet", for what `mammo-tf weights fetch vgg16` has brought, else for the 58 MB
            that Keras downloads; both lack the fully connected layers; or the
            path of a weights file of `keras.applications.VGG16`, with or without them, as
            downloaded or as written by Keras' `save_weights`. Only the arrays needed are read from
            it; it cannot run code or reach into other files.

    Returns:
        The names of the layers that were filled. Without fully connected layers in the source,
        fc6 and fc7 are not among them and stay as they were.

    Raises:
        UserError: If the weights cannot be downloaded, or the model lacks the layers.
        DataError: If the file is not such a file, or damaged.

    Reference:
        Liu et al. 2016, section 3, "Base network".
    """
    weights = download_vgg() if source == "imagenet" else read_vgg_file(source)
    layers = _find_layers(model, weights)
    for name, layer in layers.items():
        layer.set_weights(weights[name])
    return tuple(layers)


def download_vgg(
    network: str = "VGG16", convolutions: tuple[tuple[str, int], ...] = CONVOLUTIONS
) -> dict[str, list[np.ndarray]]:
    """Returns [kernel, bias] of each convolution: fetched already, or as Keras downloads them.

    Raises:
        UserError: If they cannot be downloaded; the message says where files are.
        DataError: If the file fetched is damaged.
    """
    fetched = find_fetched("vgg16") if network == "VGG16" else None
    if fetched is not None:
        return read_keras_onnx(fetched, convolutions)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras' progress bar
            make = getattr(keras.applications, network)
            reference = make(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises no narrower one
        without_top, with_top, url = (_of(network, text) for text in (WITHOUT_TOP, WITH_TOP, URL))
        raise UserError(
            f"ImageNet's weights for VGG-{network[3:]} could not be downloaded "
            f"({_one_line(error)}). {_FETCH if network == 'VGG16' else ''}"
            f"Download {without_top} or, with the fully connected layers and "
            f"over 500 MB, {with_top} from {url} by hand and give its path instead of 'imagenet'."
        ) from error
    return {name: reference.get_layer(name).get_weights() for name, _ in convolutions}


def _of(network: str, text: str) -> str:
    """A file's name or address, of this network instead of VGG-16."""
    return text.replace("vgg16", network.lower())


def _find_layers(model: keras.Model, weights: dict) -> dict[str, keras.layers.Layer]:
    """The model's layers for these weights; fc6 and fc7 may be missing."""
    layers = {}
    for name, arrays in weights.items():
        try:
            layer = model.get_layer(name)
        except ValueError as error:
            if name in ("fc6", "fc7"):
                continue
            raise UserError(
                "`model` must have the layers of VGG-16 (for SSD: backbone='vgg16'). "
                f"It has none named {name!r}."
            ) from error
        shapes = [tuple(variable.shape) for variable in layer.weights]
        expected = [array.shape for array in arrays]
        if shapes != expected:
            raise UserError(
                f"`model` must have VGG-16's shapes {expected} in layer {name!r}. "
                f"Received: {shapes}."
            )
        layers[name] = layer
    return layers


def read_vgg_file(
    source: str | os.PathLike,
    network: str = "VGG16",
    convolutions: tuple[tuple[str, int], ...] = CONVOLUTIONS,
) -> dict[str, list[np.ndarray]]:
    """Returns [kernel, bias] of each layer of a Keras weights file; see `load_vgg16_weights`.

    Args:
        source: The path.
        network: "VGG16" or "VGG19".
        convolutions: Its convolutions, see `name_convolutions`.

    Raises:
        UserError: If `source` is no file.
        DataError: If the file is another network's, or damaged.
    """
    path = _check_path(source, network)
    try:
        with h5py.File(path, "r") as file:
            return _read_layers(_layer_variables(file, convolutions), convolutions)
    except _NotVgg16 as error:
        problem = str(error)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        problem = f"it is no HDF5 file, cut off or damaged ({_one_line(error)})"
    raise DataError(
        f"{path} is not a weights file of keras.applications.{network}: {problem}. Expected a file "
        f"such as {_of(network, WITHOUT_TOP)} or {_of(network, WITH_TOP)}, "
        f"from {_of(network, URL)}"
    )


def _check_path(source: str | os.PathLike, network: str) -> Path:
    try:
        path = Path(os.path.expanduser(source))
        size = path.stat().st_size if path.is_file() else None
    except (OSError, TypeError, ValueError):
        size = None
    if size is None:
        raise UserError(
            "`source` must be 'imagenet' or the path of a weights file of "
            f"keras.applications.{network}. Received: {str(source)!r}, which is not a file."
        )
    if size > MAX_FILE_BYTES:
        raise DataError(
            f"{path} is not a weights file of keras.applications.{network}: it must have at most "
            f"{MAX_FILE_BYTES // 1_000_000} MB. Received: {size // 1_000_000} MB."
        )
    return path


class _NotVgg16(Exception):
    """The file is readable, but its content is not VGG-16's."""


def _layer_variables(file: h5py.File, convolutions) -> dict[str, list[h5py.Dataset]]:
    """Kernel and bias of each layer in the file, by the layer's name.

    `Model.save_weights` names layers by class and order; the files on the network, and
    `Model.save`, keep their names and list the variables in an attribute.
    """
    if "layers" in file:
        numbered = [(name, "conv2d", index) for index, (name, _) in enumerate(convolutions)]
        numbered += [(name, "dense", index) for index, name in enumerate(DENSE_SHAPES)]
        return _keras3_variables(_child_group(file, "layers"), numbered, len(convolutions))
    whole_model = "model_weights" in file
    group = _child_group(file, "model_weights") if whole_model else file
    return _legacy_variables(group, convolutions)


def _keras3_variables(group, numbered, count: int) -> dict[str, list[h5py.Dataset]]:
    if f"conv2d_{count}" in group:
        raise _NotVgg16(f"it has more than {count} convolutions")
    variables = {}
    for name, kind, index in numbered:
        stored = f"{kind}_{index}" if index else kind
        if stored not in group:
            continue
        parent = _child(group, f"{stored}/vars")
        own_name = _text(parent.attrs.get("name", name))
        if own_name != name:
            raise _NotVgg16(f"it has {own_name!r} in the place of {name!r}")
        variables[name] = [_child(parent, "0"), _child(parent, "1")]
    return variables


def _legacy_variables(group, convolutions) -> dict[str, list[h5py.Dataset]]:
    known = {*dict(convolutions), *DENSE_SHAPES}
    others = [name for name in group if "conv" in name and name not in known]
    if others:  # VGG-19 has the names of VGG-16 and three more
        raise _NotVgg16(f"it has a layer {others[0]!r}")
    variables = {}
    for name in known.intersection(group):
        parent = _child(group, name)
        paths = [_text(path) for path in parent.attrs.get("weight_names", ())]
        variables[name] = [_child(parent, path) for path in paths]
    return variables


def _read_layers(
    variables: dict[str, list[h5py.Dataset]], convolutions
) -> dict[str, list[np.ndarray]]:
    """Reads what the base network needs; all shapes are checked before anything is read."""
    channels = 3
    for name, filters in convolutions:
        _check_shapes(variables, name, (3, 3, channels, filters))
        channels = filters
    has_top = any(name in variables for name in DENSE_SHAPES)
    if has_top:
        for name, shape in DENSE_SHAPES.items():
            _check_shapes(variables, name, shape)

    weights = {}
    for name, _ in convolutions:
        weights[name] = [_finite(name, variable[()]) for variable in variables[name]]
    if has_top:
        weights["fc6"] = _subsample_fc1(*variables["fc1"])
        weights["fc7"] = _subsample_fc2(*variables["fc2"])
    return weights


def _subsample_fc1(kernel: h5py.Dataset, bias: h5py.Dataset) -> list[np.ndarray]:
    """(25088, 4096), inputs in the order row, column, channel, → (3, 3, 512, 1024)."""
    starts = [(row * 7 + column) * 512 for row in (0, 3, 6) for column in (0, 3, 6)]
    kept = np.stack([kernel[start : start + 512][:, ::4] for start in starts])
    return [_finite("fc1", kept.reshape(3, 3, 512, 1024)), _finite("fc1", bias[()][::4])]


def _subsample_fc2(kernel: h5py.Dataset, bias: h5py.Dataset) -> list[np.ndarray]:
    """(4096, 4096) → (1, 1, 1024, 1024)."""
    kept = kernel[()][::4, ::4].reshape(1, 1, 1024, 1024)
    return [_finite("fc2", kept), _finite("fc2", bias[()][::4])]


def _child(group, path: str):
    """What lies below `group`, without following links to elsewhere, in this file or others."""
    for part in path.split("/"):
        if not isinstance(group, h5py.Group) or part not in group:
            raise _NotVgg16(f"it has no {path!r}")
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise _NotVgg16(f"its {path!r} is a link")
        group = group[part]
    return group


def _child_group(group: h5py.Group, name: str) -> h5py.Group:
    child = _child(group, name)
    if not isinstance(child, h5py.Group):
        raise _NotVgg16(f"its {name!r} is no group")
    return child


def _check_shapes(variables: dict, name: str, kernel_shape: tuple[int, ...]) -> None:
    if name not in variables:
        raise _NotVgg16(f"it has no layer {name!r}")
    expected = [kernel_shape, kernel_shape[-1:]]
    shapes = [getattr(variable, "shape", None) for variable in variables[name]]
    if shapes != expected:
        raise _NotVgg16(f"{name!r} must have the shapes {expected}. Received: {shapes}")
    for variable in variables[name]:
        if variable.dtype.kind != "f" or variable.external or variable.is_virtual:
            raise _NotVgg16(f"{name!r} must be floating-point numbers in the file itself")
        # Keras compresses nothing, and a few bytes could unpack to more than the memory holds.
        if variable.id.get_create_plist().get_nfilters():
            raise _NotVgg16(f"{name!r} must not be compressed")


def _finite(name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise _NotVgg16(f"{name!r} has values that are not finite")
    return array


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
