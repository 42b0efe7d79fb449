"""Deep learning on mammograms with TensorFlow and Keras 3. Research only, not a medical device."""

__version__ = "0.1.0"
