"""What the models share: a network that is made again from its arguments, on any machine."""

import contextlib
import functools
import inspect
from collections.abc import Iterator

import keras

IMAGE_DATA_FORMAT = "channels_last"


class KeywordModel(keras.Model):
    """Base of models whose arguments are keywords, each kept as an attribute of its name.

    So `get_config` and `from_config`, with which Keras saves and loads, need no code of their own.
    A file keeps which layers are frozen and the dtype policy, as one of a plain `keras.Model` does.

    Images are (height, width, channels) whatever a user's keras.json says: every layer that a
    subclass makes is told "channels_last".
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _channels_last(cls.__init__)

    def get_config(self) -> dict:
        """Returns name, trainable, dtype policy, frozen layers and every keyword argument."""
        return self._graph_config() | {name: getattr(self, name) for name in _keywords(type(self))}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model that `get_config` describes."""
        config = dict(config)
        policy, frozen = config.pop("dtype", None), config.pop("frozen_layers", None)
        with _dtype_policy(policy):
            model = cls(**config)
        if frozen is not None:
            for path, layer in _layers_by_path(model):
                layer.trainable = path not in frozen
        return model

    def _graph_config(self) -> dict:
        """What of the network is no argument of its class, as plain values."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "frozen_layers": [path for path, layer in _layers_by_path(self) if not layer.trainable],
        }


class PretrainedModel(KeywordModel):
    """Base of networks that may begin with weights of others: their argument `weights`.

    A Keras model has `weights` of its own, so the argument is kept as `weights_source`.
    """

    def get_config(self) -> dict:
        """Returns what `KeywordModel.get_config` does, with where the first weights came from."""
        names = {name: name for name in _keywords(type(self))} | {"weights": "weights_source"}
        return self._graph_config() | {name: getattr(self, kept) for name, kept in names.items()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the network without looking for its first weights: those saved beside it follow."""
        return super().from_config(config | {"weights": "none"}, custom_objects)


def _keywords(cls: type) -> list[str]:
    parameters = inspect.signature(cls.__init__).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _channels_last(init):
    """The constructor, during which Keras' default image format is channels_last."""

    @functools.wraps(init)
    def wrapped(self, **kwargs):  # no *args, which Keras would look for when it notes arguments
        before = keras.config.image_data_format()
        keras.config.set_image_data_format(IMAGE_DATA_FORMAT)
        try:
            init(self, **kwargs)
        finally:
            keras.config.set_image_data_format(before)

    return wrapped


@contextlib.contextmanager
def _dtype_policy(policy: dict | None) -> Iterator[None]:
    """Makes layers with a policy that `serialize_keras_object` wrote; None: as Keras is set."""
    before = keras.config.dtype_policy()
    if policy is not None:
        keras.config.set_dtype_policy(keras.saving.deserialize_keras_object(policy))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _layers_by_path(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    """Yields each layer with its path, e.g. "conv1" or "backbone/conv1"; a model before its own."""
    for layer in model.layers:
        path = f"{prefix}{layer.name}"
        yield path, layer
        if isinstance(layer, keras.Model):
            yield from _layers_by_path(layer, f"{path}/")
