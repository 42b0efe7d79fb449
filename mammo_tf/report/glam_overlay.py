"""GLAM's answer for one mammogram as a picture: image, crops, both maps, the crops enlarged."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mammo_tf.report.overlay import MISS_COLOUR, TRUTH_COLOUR

BENIGN_COLOUR = (0, 158, 115)  # of Okabe and Ito's palette, as in `mammo_tf.report.overlay`
MALIGNANT_COLOUR = (213, 94, 0)
_OPACITY = 0.75
_MOST_ROWS = 3  # of enlarged crops
_GAP = 6


def draw_glam(
    shown: np.ndarray,
    saliency: np.ndarray,
    crops_px: np.ndarray,
    crops: Sequence[np.ndarray],
    *,
    height: int = 900,
) -> np.ndarray:
    """Draws five panels side by side, as the paper's figures have them.

    Args:
        shown: (height, width) uint8.
        saliency: (height, width, 2) in [0, 1]: benign, then malignant. 1 is drawn in full colour.
        crops_px: (crops, 4) top, left, bottom, right in pixels of the image; numbered from 1.
        crops: Grey images of the crops, of any range; drawn in one range for all.
        height: Of the panels in pixels, at least 64.

    Returns:
        (about `height`, width, 3) uint8.
    """
    width = max(1, round(shown.shape[1] * height / shown.shape[0]))
    grey = _resized(shown, (height, width)).repeat(3, axis=2)
    panels = [grey, _with_boxes(grey, crops_px * (height / shown.shape[0]))]
    for index, colour in enumerate((BENIGN_COLOUR, MALIGNANT_COLOUR)):
        values = (saliency[..., index] * 255).round().astype(np.uint8)
        weight = _OPACITY * _resized(values, (height, width)) / 255.0
        panels.append((grey * (1 - weight) + np.array(colour) * weight).round().astype(np.uint8))
    panels.append(_enlarged(crops, height))
    titles = ("image", "crops", "benign", "malignant", "crops enlarged")
    return _side_by_side(panels, titles)


def _resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(height, width, 1) uint8."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture = picture.resize(shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(picture)[..., np.newaxis]


def _with_boxes(grey: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(grey)
    draw = ImageDraw.Draw(picture)
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=MISS_COLOUR, width=2)
        draw.text((left + 4, top + 2), str(number), fill=MISS_COLOUR, font=_font(grey.shape[0]))
    return np.asarray(picture)


def _enlarged(crops: Sequence[np.ndarray], height: int) -> np.ndarray:
    rows = min(_MOST_ROWS, len(crops))
    columns = -(-len(crops) // rows)
    side = (height - (rows - 1) * _GAP) // rows
    low, high = float(np.min(crops)), float(np.max(crops))
    panel = np.zeros((height, columns * (side + _GAP) - _GAP, 3), np.uint8)
    for index, crop in enumerate(crops):
        row, column = divmod(index, columns)
        scale = side / max(crop.shape)
        shape = tuple(max(1, round(size * scale)) for size in crop.shape)
        values = ((crop - low) * (255 / max(high - low, 1e-6))).round().astype(np.uint8)
        top, left = row * (side + _GAP), column * (side + _GAP)
        tile = Image.fromarray(_resized(values, shape).repeat(3, axis=2))
        ImageDraw.Draw(tile).text((4, 2), str(index + 1), fill=MISS_COLOUR, font=_font(height))
        panel[top : top + shape[0], left : left + shape[1]] = np.asarray(tile)
    return panel


def _side_by_side(panels: list[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    height = panels[0].shape[0]
    strip = 2 * _size(height)
    width = sum(panel.shape[1] + _GAP for panel in panels) - _GAP
    picture = Image.new("RGB", (width, height + strip))
    draw = ImageDraw.Draw(picture)
    left = 0
    for panel, title in zip(panels, titles, strict=True):
        picture.paste(Image.fromarray(panel), (left, strip))
        draw.text((left + 4, strip // 4), title, fill=TRUTH_COLOUR, font=_font(height))
        left += panel.shape[1] + _GAP
    return np.asarray(picture)


def _size(height: int) -> int:
    return max(9, height // 45)


def _font(height: int):
    return ImageFont.load_default(size=_size(height))
