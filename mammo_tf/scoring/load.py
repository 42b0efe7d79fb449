"""From a model's name to something that scores views. Files are data: nothing in them is run."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.scoring.config import ScorerConfig
from mammo_tf.scoring.views import ScoredView

MAX_FILE_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model ready to score.

    Attributes:
        name: For tables, e.g. "model.onnx".
        fingerprint: Changes when the model does.
        score: Called with the views of one case; returns a number, see `check_score`.
    """

    name: str
    fingerprint: str
    score: Callable[[Sequence[ScoredView]], Any] = field(repr=False)


def load_scorer(config: ScorerConfig) -> Scorer:
    """Loads a model.

    Keras files are loaded in safe mode, which refuses code in them; ONNX files hold none. A
    function is the user's own code and is run as such; its module is looked for in the working
    folder too.

    Raises:
        UserError: If it cannot be loaded; the message says why.
    """
    if not config.is_file:
        return _load_function(config)
    path = Path(config.model)
    if not path.is_file():
        raise UserError(f"--scorer: there is no file {path}.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"--scorer: {path} is larger than {MAX_FILE_BYTES >> 30} GiB.")
    make = _keras_model if path.suffix.lower() == ".keras" else _onnx_model
    predict, shape = make(path)
    return Scorer(path.name, _digest(path.read_bytes()), _FileScorer(config, predict, shape))


def check_score(value: Any, what: str) -> float:
    """Returns a case's score as a number.

    Args:
        value: A probability, or (n, 5) boxes (top, left, bottom, right, probability), of which the
            highest counts and none is 0.
        what: Names the case in an error.

    Raises:
        UserError: If it is none of these.
    """
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        array = np.full((), np.nan)
    if array.ndim == 2 and array.shape[1] == 5:
        array = array[:, 4].max(initial=0.0)
    if np.size(array) != 1 or not 0 <= float(np.reshape(array, ())) <= 1:
        raise UserError(
            f"{what}: a score must be a probability, from 0 to 1, or boxes (n, 5). "
            f"Received: {_short(value)}."
        )
    return float(np.reshape(array, ()))


def _load_function(config: ScorerConfig) -> Scorer:
    module_name, _, name = config.model.partition(":")
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
        function = getattr(module, name)
    except ModuleNotFoundError as error:
        raise UserError(f"--scorer: no module {error.name!r} for {config.model}.") from error
    except AttributeError as error:
        raise UserError(f"--scorer: {module_name} has no function {name!r}.") from error
    except Exception as error:
        raise UserError(
            f"--scorer: importing {module_name} failed ({type(error).__name__}: {error})."
        ) from error
    finally:
        if added:
            sys.path.remove(folder)
    if not callable(function):
        raise UserError(f"--scorer: {config.model} is no function.")
    one = config.unit == "image"

    def score(views: Sequence[ScoredView]):
        return function(views[0] if one else list(views))

    return Scorer(config.model, _digest(_source_of(module)), score)


class _FileScorer:
    """Prepares images for a file's network and reads its output."""

    def __init__(self, config: ScorerConfig, predict, shape: tuple[int | None, ...]):
        height, width, channels = shape
        if config.input_shape is not None:
            fixed = (height or config.input_shape[0], width or config.input_shape[1])
            if fixed != tuple(config.input_shape):
                raise UserError(
                    f"scorer.input_shape is {config.input_shape}, but the model takes "
                    f"{(height, width)}."
                )
            height, width = fixed
        if height is None or width is None:
            raise UserError(
                "The model leaves the size of its input open. Give it: "
                "--set scorer.input_shape=HEIGHT,WIDTH."
            )
        if channels not in (1, 3):
            raise UserError(f"The model's input must have 1 or 3 channels. It has {channels}.")
        self.config, self.predict = config, predict
        self.shape = (height, width, channels)

    def __call__(self, views: Sequence[ScoredView]) -> float:
        return max(self._score(view) for view in views)

    def _score(self, view: ScoredView) -> float:
        output = np.asarray(self.predict(self.prepare(view)[np.newaxis]), np.float64).ravel()
        index = self.config.output_index
        if not -len(output) <= index < len(output):
            raise UserError(
                f"The model has {len(output)} outputs, so scorer.output_index cannot be {index}."
            )
        value = output[index]
        if self.config.output == "logit":
            return float(1 / (1 + np.exp(-np.clip(value, -700, 700)))) if value == value else value
        if not 0 <= value <= 1:
            raise UserError(
                f"The model gives {value:g}, which is no probability. If it gives logits: "
                "--set scorer.output=logit."
            )
        return float(value)

    def prepare(self, view: ScoredView) -> np.ndarray:
        """(height, width, channels) float32, as the network takes it."""
        pixels = geometry.to_full_range(view.pixels, view.bits_stored)
        image = geometry.resize(pixels, *self.shape[:2]).astype(np.float32)
        if self.config.scale == "standardise":
            image = (image - image.mean()) / max(float(image.std()), 1e-5)
        else:
            highest = (2**view.bits_stored - 1) << (16 - view.bits_stored)
            image *= (255 if self.config.scale == "255" else 1) / highest
        return np.repeat(image[..., np.newaxis], self.shape[2], axis=2)


def _keras_model(path: Path):
    import keras

    import mammo_tf.models  # noqa: F401  makes our own layers known to Keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        (shape,) = [tuple(tensor.shape) for tensor in model.inputs]
    except Exception as error:
        raise UserError(
            f"--scorer: {path} cannot be loaded safely as a Keras model ({_short(error)})."
        ) from error
    if len(shape) != 4:
        raise UserError(f"The model's input must be (batch, height, width, channels): {shape}.")
    return lambda batch: keras.ops.convert_to_numpy(model(batch, training=False)), shape[1:]


def _onnx_model(path: Path):
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            "An ONNX scorer needs the extra 'onnx': pip install 'mammo-tf[onnx]'."
        ) from error
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"--scorer: {path} is no ONNX model ({_short(error)}).") from error
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        raise UserError("An ONNX scorer must have one input, of four dimensions and float32.")
    sizes = [size if isinstance(size, int) else None for size in inputs[0].shape]
    first = sizes[1] in (1, 3)
    if first == (sizes[3] in (1, 3)):
        raise UserError(
            "The ONNX model's input must have 1 or 3 channels, in the second or the last place. "
            f"It is {inputs[0].shape}."
        )
    shape = (sizes[2], sizes[3], sizes[1]) if first else tuple(sizes[1:])
    name, output = inputs[0].name, session.get_outputs()[0].name

    def predict(batch: np.ndarray) -> np.ndarray:
        batch = np.moveaxis(batch, 3, 1) if first else batch
        return session.run([output], {name: np.ascontiguousarray(batch, np.float32)})[0]

    return predict, shape


def _source_of(module) -> bytes:
    try:
        return inspect.getsource(module).encode("utf-8")
    except (OSError, TypeError):
        return module.__name__.encode("utf-8")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:200]}…"
