"""Greyscale images as TFDS keeps them, which a notebook can show."""

import numpy as np
import tensorflow_datasets as tfds


def grey_image(
    shape: tuple[int | None, int | None] = (None, None), dtype=np.uint16
) -> tfds.features.Image:
    """Returns the feature of a greyscale PNG that `tfds.as_dataframe` can show.

    TFDS's own fails where it shows 16 bits (TFDS 4.9.10 with Pillow 12). Its class stays, so that a
    data set of such images can be read where this package is not installed.

    Args:
        shape: (height, width), None where it varies.
        dtype: np.uint8 or np.uint16.
    """
    feature = tfds.features.Image(
        shape=(*shape, 1), dtype=np.dtype(dtype).type, encoding_format="png"
    )
    shown = feature.repr_html
    feature.repr_html = lambda image: shown(stretch_to_8_bits(image))
    return feature


def stretch_to_8_bits(image: np.ndarray) -> np.ndarray:
    """Spreads an image from its least to its greatest value over 8 bits, to look at."""
    levels = image.astype(np.float32) - image.min()
    return (levels * (255 / max(float(levels.max()), 1.0))).astype(np.uint8)
