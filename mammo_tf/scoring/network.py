"""Scorers that are files: a saved Keras model, or an ONNX graph."""

import hashlib
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.found import models
from mammo_tf.record import ImageInfo
from mammo_tf.scoring.answer import pick_class, to_probability
from mammo_tf.scoring.config import ScorerConfig
from mammo_tf.scoring.views import make_view

_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


class NetworkScorer:
    """A network with one input, images, and one output, K values an image.

    Args:
        config: How it is asked.
        content: The file's bytes, for the fingerprint.
        call: (n, height, width, channels) or (n, channels, height, width) float32 to the outputs.
        input_shape: Four entries as the file has them; None or text where an axis is free.

    Raises:
        UserError: If the input is not one batch of images of a known size.
    """

    def __init__(
        self,
        config: ScorerConfig,
        content: bytes,
        call: Callable[[np.ndarray], Any],
        input_shape: Sequence[Any],
    ):
        self.config = config
        self.name = Path(config.model).name
        self.fingerprint = hashlib.sha256(content).hexdigest()
        self._call = call
        self.size, self.channels, self.channels_last = read_input_shape(config, input_shape)

    def score(self, decoded: Sequence[tuple[np.ndarray, ImageInfo]], what: str) -> float:
        """Scores one case: the mean or the maximum over its images.

        Args:
            decoded: (pixels, what is known) of each of its images.
            what: Names the case in errors.

        Raises:
            UserError: If the network fails, or its output is no score for each image.
        """
        config = self.config
        who = f"--scorer {config.model}, {what}"
        images = [make_view(pixels, info, config, self.size) for pixels, info in decoded]
        batch = np.stack([image.pixels for image in images]).astype(np.float32)[..., None]
        batch = np.repeat(batch, self.channels, axis=-1)
        if not self.channels_last:
            batch = np.ascontiguousarray(np.moveaxis(batch, -1, 1))
        try:
            outputs = np.asarray(self._call(batch), np.float64)
        except Exception as error:  # of Keras, TensorFlow or ONNX Runtime
            raise UserError(f"{who}: the model failed: {_first_line(error)}") from error
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs
        if outputs.ndim != 2 or len(outputs) != len(images):
            raise UserError(
                f"{who}: expected ({len(images)}, K) values for {len(images)} images. "
                f"Received: {outputs.shape}."
            )
        values = pick_class(outputs, config.output_index, config.output, who)
        scores = [to_probability(float(value), config.output, who) for value in values]
        return float(np.mean(scores) if config.combine == "mean" else np.max(scores))


def load_keras(config: ScorerConfig) -> NetworkScorer:
    """Loads a `*.keras` file in Keras' safe mode: no code that a file brings is run.

    Raises:
        UserError: If the file is missing, is no saved model, or would need code of its own.
    """
    import keras

    content = _read(config.model)
    for name in models():  # this project's own networks, which Keras then knows by name
        importlib.import_module(f"mammo_tf.models.{name}")
    try:
        model = keras.saving.load_model(config.model, compile=False, safe_mode=True)
    except Exception as error:
        raise UserError(
            f"--scorer {config.model}: it cannot be loaded in Keras' safe mode, which allows "
            f"Keras' own layers only: {_first_line(error)}"
        ) from error
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"--scorer {config.model}: the model must be built and have one input and one output. "
            f"Received: {len(inputs)} and {len(outputs)}."
        )
    return NetworkScorer(config, content, model.predict_on_batch, inputs[0].shape)


def load_onnx(config: ScorerConfig) -> NetworkScorer:
    """Loads an `*.onnx` file; weights that lie in other files are not read.

    Raises:
        UserError: If ONNX Runtime is missing, or the file is missing or no such graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            "An ONNX file needs ONNX Runtime. Install it: pip install 'mammo-tf[onnx]'."
        ) from None
    content = _read(config.model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is said by the exception
    try:
        session = onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise UserError(
            f"--scorer {config.model}: it is no usable ONNX file: {_first_line(error)}"
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type not in _ONNX_TYPES:
        raise UserError(
            f"--scorer {config.model}: the graph must have one input of floats and one output. "
            f"Received: {len(inputs)} ({inputs[0].type if inputs else '-'}) and {len(outputs)}."
        )
    name, kind = inputs[0].name, _ONNX_TYPES[inputs[0].type]

    def call(batch: np.ndarray) -> np.ndarray:
        # Graphs are often exported for batches of one.
        fixed = inputs[0].shape[0] == 1
        parts = np.split(batch, len(batch)) if fixed else [batch]
        found = [session.run(None, {name: part.astype(kind)})[0] for part in parts]
        return np.concatenate([np.atleast_1d(part) for part in found])

    return NetworkScorer(config, content, call, inputs[0].shape)


def read_input_shape(
    config: ScorerConfig, shape: Sequence[Any]
) -> tuple[tuple[int, int], int, bool]:
    """Tells size, channels and layout of a network's input.

    Args:
        config: Its `layout` and `size` settle what the shape leaves open.
        shape: Four entries, the batch first; None or text where an axis is free.

    Returns:
        (height, width), channels (1 or 3), whether the channels are the last axis.

    Raises:
        UserError: If something is still open, or `size` contradicts the file.
    """
    who = f"--scorer {config.model}"
    axes = [axis if isinstance(axis, int) and axis > 0 else None for axis in shape]
    if len(axes) != 4:
        raise UserError(
            f"{who}: the input must have four axes: images, height, width, channels in either "
            f"order. Received: {tuple(shape)}."
        )
    last = config.layout == "nhwc"
    if config.layout == "auto":
        first_fits, last_fits = axes[1] in (1, 3), axes[3] in (1, 3)
        if first_fits == last_fits:
            raise UserError(
                f"{who}: which axis of {tuple(shape)} holds the channels (1 or 3) is not clear; "
                "add --set scorer.layout=nhwc or nchw."
            )
        last = last_fits
    channels = axes[3] if last else axes[1]
    height, width = axes[1:3] if last else axes[2:4]
    if channels not in (1, 3):
        raise UserError(f"{who}: the input must have 1 or 3 channels. Received: {tuple(shape)}.")
    size = (height, width) if config.input_shape is None else tuple(config.input_shape)
    if None in size:
        raise UserError(
            f"{who}: the input {tuple(shape)} takes images of any size; add --set "
            "scorer.input_shape=HEIGHT,WIDTH."
        )
    if any(own not in (None, side) for own, side in zip((height, width), size, strict=True)):
        raise UserError(
            f"{who}: the input is {height}×{width}. Received: scorer.input_shape={size}."
        )
    return size, channels, last


def _read(name: str) -> bytes:
    path = Path(name)
    if not path.is_file():
        raise UserError(f"--scorer {name}: no such file.")
    return path.read_bytes()


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
