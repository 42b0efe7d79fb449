"""A TFDS feature of 16-bit masks that can be read at random without OpenCV."""

import io

import numpy as np
import tensorflow_datasets as tfds

from mammo_tf.datasets.grey_image import stretch_to_8_bits


class Masks(tfds.features.Image):
    """Masks of an image as one 16-bit PNG, bit k for finding k; stored as `tfds.features.Image`.

    TFDS reads 16-bit PNGs outside a graph (`as_data_source`) with OpenCV only; this with Pillow.

    Args:
        doc: TFDS documentation of the feature.
    """

    def __init__(self, *, doc=None):
        super().__init__(shape=(None, None, 1), dtype=np.uint16, encoding_format="png", doc=doc)

    def decode_example_np(self, example: bytes) -> np.ndarray:
        """Returns the (height, width, 1) uint16 of the stored bytes."""
        from PIL import Image

        with Image.open(io.BytesIO(example), formats=["PNG"]) as picture:
            return np.asarray(picture).astype(np.uint16)[..., np.newaxis]

    def repr_html(self, ex: np.ndarray) -> str:
        """Shows a thumbnail, the findings of higher number brighter."""
        return super().repr_html(stretch_to_8_bits(ex))

    def to_json_content(self) -> dict:
        """The arguments of the constructor, for features.json: none."""
        return {}

    @classmethod
    def from_json_content(cls, value: dict) -> "Masks":
        """Makes the feature anew from features.json."""
        return cls()
