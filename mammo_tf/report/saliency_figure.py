"""Pictures of saliency maps over images."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps

from mammo_tf.report.style import data_uri_of, new_figure, styled

OPACITY = 0.55
OUTLINE = (0, 255, 255)


def saliency_pixels(image: np.ndarray, values: np.ndarray, lesion: np.ndarray) -> np.ndarray:
    """Draws a map over an image, with the lesion's outline.

    Args:
        image: (height, width), any grey values.
        values: (height, width) map in [0, 1]; where it is 0 the image shows as it is.
        lesion: (height, width) bool.

    Returns:
        (height, width, 3) uint8.
    """
    low, high = np.percentile(image, [1, 99])
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., np.newaxis].repeat(3, axis=2)
    heat = colormaps["inferno"](values)[..., :3]
    weight = OPACITY * values[..., np.newaxis]
    pixels = ((1 - weight) * grey + weight * heat) * 255
    pixels[_outline(lesion)] = OUTLINE
    return pixels.round().astype(np.uint8)


@styled
def saliency_picture(
    lesion: np.ndarray,
    images: Mapping[str, np.ndarray],
    maps: Mapping[tuple[str, str], np.ndarray],
) -> str:
    """Draws a lesion at several compression ratios: a row each, a column for each method.

    Args:
        lesion: (height, width) bool.
        images: {row: (height, width) image}.
        maps: {(row, column): (height, width) map in [0, 1]}.

    Returns:
        An SVG data URI.

    Reference:
        Jo et al. 2021, Fig. 3.
    """
    columns = list(dict.fromkeys(column for _, column in maps))
    height, width = lesion.shape
    size = (1.9 * (len(columns) + 1), 1.9 * len(images) * min(height / width, 2) + 0.3)
    figure = new_figure(*size)
    grid = figure.subplots(len(images), len(columns) + 1, squeeze=False)
    blank = np.zeros(lesion.shape)
    for axes, (row, image) in zip(grid, images.items(), strict=True):
        for place, column in zip(axes, ["", *columns], strict=True):
            place.imshow(saliency_pixels(image, maps.get((row, column), blank), lesion))
            place.set_axis_off()
            place.set_title(f"{row} {column}".strip(), fontsize=9)
    return data_uri_of(figure)


def _outline(lesion: np.ndarray) -> np.ndarray:
    """Pixels of the lesion that have a neighbour outside it."""
    padded = np.pad(lesion, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return lesion & ~inner
