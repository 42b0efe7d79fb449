"""What the models share: a network that is made again from its arguments."""

import inspect

import keras


class KeywordModel(keras.Model):
    """Base of models whose arguments are keywords, each kept as an attribute of its name.

    So `get_config` and `from_config`, with which Keras saves and loads, need no code of their own.
    """

    def get_config(self) -> dict:
        """Returns name, trainable and every keyword argument of the class."""
        parameters = inspect.signature(type(self).__init__).parameters.values()
        names = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        return {name: getattr(self, name) for name in ("name", "trainable", *names)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the model that `get_config` describes."""
        return cls(**config)
