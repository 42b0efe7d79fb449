"""Keras 3 models: keras and keras.ops only, so that they run on any Keras backend."""

from mammo_tf.models.cnn3 import CNN3

__all__ = ["CNN3"]
