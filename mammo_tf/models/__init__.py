"""Keras 3 models: keras and keras.ops only, so that they run on any Keras backend.

A file with a class that is registered with Keras is a model, and its class can be imported from
here: `from mammo_tf.models import CNN3`. Keras is imported when one is asked for.
"""

import importlib

from mammo_tf.found import models


def __getattr__(name: str):
    if not name.startswith("_"):
        for file, model in models().items():
            if model == name:
                return getattr(importlib.import_module(f"{__name__}.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
