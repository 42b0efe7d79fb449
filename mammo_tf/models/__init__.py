"""Keras 3 models: keras and keras.ops only, so that they run on any Keras backend."""

from mammo_tf.models.cnn3 import CNN3
from mammo_tf.models.depthwise_cnn import DepthwiseCNN

__all__ = ["CNN3", "DepthwiseCNN"]
