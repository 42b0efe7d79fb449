"""Random changes of an image with boxes: flips, turns, SSD's zooms, grey values. No TensorFlow."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mammo_tf.boxes import pairwise_iou
from mammo_tf.codecs.cratios import check_drawn_cratios
from mammo_tf.config import check_range

WHOLE = (0.0, 0.0, 1.0, 1.0)
_MIN_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)  # None: the whole image; 0: any crop


@dataclass(frozen=True, kw_only=True)
class DetectionAugmentConfig:
    """What may change at random in a training image; boxes go with it.

    The poster rotates "by certain degrees" and flips vertically. Zooms are SSD's; the rest of
    SSD's photometric changes are of colour, which a mammogram has not.

    Attributes:
        horizontal_flip: Mirror half of the images left to right.
        vertical_flip: Mirror half of the images top to bottom.
        rotation_degrees: Turn by any angle up to this one, either way; 0 to 180.
        zoom_in: Share of the images that SSD's crop is tried on, 0 to 1.
        min_crop: Least side of a crop as a share of the image's; SSD has 0.1 (section 2.2: area),
            here larger, since a lesion needs its surroundings.
        zoom_out: Share of the images that are put on a larger black canvas, 0 to 1; SSD has 0.5.
        max_canvas: Most side of that canvas as a multiple of the image's; 4 in SSD.
        gamma: The exponent of grey values is drawn between 1 / (1 + gamma) and 1 + gamma.
        contrast: Grey values are multiplied by 1 ± up to this share, 0 to 1 exclusive.
        cratios: Compression ratios, of which each training image, or tile of a mosaic, is shown at
            one, drawn anew each time: a layer of the stored ladder. Empty for the original.
        noise: Standard deviation, in grey levels of 255, up to which noise is added.

    Raises:
        UserError: If a value is out of its range.

    Reference:
        Liu et al. 2016, section 2.2, "Data augmentation", and section 3.6.
    """

    horizontal_flip: bool = True
    vertical_flip: bool = True
    rotation_degrees: float = 180.0
    zoom_in: float = 0.7
    min_crop: float = 0.4
    zoom_out: float = 0.2
    max_canvas: float = 1.5
    gamma: float = 0.3
    contrast: float = 0.2
    noise: float = 4.0
    cratios: tuple[float, ...] = ()

    def __post_init__(self):
        ranges = {
            "rotation_degrees": (0, 180),
            "zoom_in": (0, 1),
            "min_crop": (0.05, 1),
            "zoom_out": (0, 1),
            "max_canvas": (1, 8),
            "gamma": (0, 5),
            "contrast": (0, 0.99),
            "noise": (0, 100),
        }
        for name, (low, high) in ranges.items():
            check_range(name, getattr(self, name), low, high)
        object.__setattr__(self, "cratios", check_drawn_cratios(self.cratios))

    def draw_cratio(self, rng: np.random.Generator) -> float:
        """Returns the compression ratio that an image is shown at; nothing is drawn if all are."""
        return self.cratios[rng.integers(len(self.cratios))] if self.cratios else 1


def augment(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    config: DetectionAugmentConfig,
    rng: np.random.Generator,
    *,
    shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes an image at random, and its boxes with it.

    Args:
        image: (height, width) uint8.
        boxes: (k, 4) in the format "yxyx", relative to the image.
        labels: (k,) class of each box.
        config: What may change.
        rng: Source of chance.
        shape: (height, width) of the result.

    Returns:
        (height, width) float32 image in grey levels, and the boxes and labels whose middles are
        still in it; boxes are clipped to it.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    image, boxes = flip_and_turn(image, boxes, config, rng)
    window = draw_window(boxes, config, rng)
    changed = cut_window(image, window, shape)
    boxes, kept = boxes_in_window(boxes, window)
    return change_greys(changed, config, rng), boxes, np.asarray(labels)[kept]


def flip_and_turn(
    image: np.ndarray,
    boxes: np.ndarray,
    config: DetectionAugmentConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors and turns an image and its (k, 4) relative "yxyx" boxes at random."""
    if config.horizontal_flip and rng.random() < 0.5:
        image, boxes = flip_horizontally(image, boxes)
    if config.vertical_flip and rng.random() < 0.5:
        image, boxes = flip_vertically(image, boxes)
    if config.rotation_degrees:
        degrees = rng.uniform(-config.rotation_degrees, config.rotation_degrees)
        image, boxes = rotate(image, boxes, degrees)
    return image, boxes


def flip_horizontally(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors an image and its (k, 4) relative "yxyx" boxes left to right."""
    return image[:, ::-1], boxes[:, [0, 3, 2, 1]] * [1, -1, 1, -1] + [0, 1, 0, 1]


def flip_vertically(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors an image and its (k, 4) relative "yxyx" boxes top to bottom."""
    return image[::-1], boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0]


def rotate(image: np.ndarray, boxes: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Turns an image anticlockwise round its middle, black where it ends, and its boxes with it.

    A box stands for the ellipse in it, which for circles loses nothing: the turned
    circle's box has the same size, where a turned rectangle's would grow.

    Args:
        image: (height, width) uint8.
        boxes: (k, 4) in the format "yxyx", relative to the image; they may leave it afterwards.
        degrees: Angle, anticlockwise as seen on a screen.

    Returns:
        The turned image, of the same shape, and the boxes of the turned ellipses.
    """
    turned = Image.fromarray(np.ascontiguousarray(image)).rotate(
        degrees, resample=Image.Resampling.BILINEAR
    )
    height, width = image.shape
    scale = np.array([height, width], float)
    middles = ((boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5) * scale
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    # Rows grow downwards: anticlockwise takes +x towards −y.
    middles = np.stack(
        [
            cosine * middles[:, 0] - sine * middles[:, 1],
            sine * middles[:, 0] + cosine * middles[:, 1],
        ],
        axis=1,
    )
    halves = np.stack(
        [
            np.hypot(cosine * halves[:, 0], sine * halves[:, 1]),
            np.hypot(sine * halves[:, 0], cosine * halves[:, 1]),
        ],
        axis=1,
    )
    middles, halves = middles / scale + 0.5, halves / scale
    return np.asarray(turned), np.concatenate([middles - halves, middles + halves], axis=1)


def draw_window(
    boxes: np.ndarray, config: DetectionAugmentConfig, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draws which part of the image is seen: SSD's zoom out, zoom in, or all of it.

    Args:
        boxes: (k, 4) in the format "yxyx", relative to the image.
        config: How often, and how far.
        rng: Source of chance.

    Returns:
        (ymin, xmin, ymax, xmax) relative to the image; below 0 or above 1 is black canvas.
    """
    if rng.random() < config.zoom_out:
        side = rng.uniform(1, config.max_canvas)
        top, left = rng.uniform(1 - side, 0, size=2)
        return top, left, top + side, left + side
    if rng.random() >= config.zoom_in:
        return WHOLE
    wanted = _MIN_OVERLAPS[rng.integers(len(_MIN_OVERLAPS))]
    for _ in range(50 if wanted is not None else 0):
        height, width = rng.uniform(config.min_crop, 1, size=2)
        if not 0.5 <= height / width <= 2:
            continue
        top, left = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
        window = np.array([top, left, top + height, left + width])
        if not len(boxes):
            return tuple(window)
        if pairwise_iou(window[np.newaxis], boxes).max() >= wanted or _holds(window, boxes, wanted):
            return tuple(window)
    return WHOLE


def _holds(window: np.ndarray, boxes: np.ndarray, share: float) -> bool:
    """Whether the window shows at least this share of some box: a crop can hardly be as small as
    a lesion, so that the paper's overlap alone would refuse nearly all."""
    low = np.maximum(window[:2], boxes[:, :2])
    high = np.minimum(window[2:], boxes[:, 2:])
    shown = np.clip(high - low, 0, None).prod(1)
    return bool((shown >= share * (boxes[:, 2:] - boxes[:, :2]).prod(1)).any())


def cut_window(
    image: np.ndarray, window: tuple[float, float, float, float], shape: tuple[int, int]
) -> np.ndarray:
    """Resizes a part of an image, with a filter that widens when shrinking; black outside it.

    Args:
        image: (height, width) uint8.
        window: (ymin, xmin, ymax, xmax) relative to the image; it may leave it.
        shape: (height, width) of the result.

    Returns:
        (height, width) uint8.
    """
    height, width = image.shape
    top, left, bottom, right = window
    inner = np.clip([top, left, bottom, right], 0, 1)
    # Where the image's part lands in the result, in whole pixels.
    rows = np.rint((inner[[0, 2]] - top) / (bottom - top) * shape[0]).astype(int)
    columns = np.rint((inner[[1, 3]] - left) / (right - left) * shape[1]).astype(int)
    result = np.zeros(shape, np.uint8)
    if rows[1] > rows[0] and columns[1] > columns[0]:
        part = Image.fromarray(np.ascontiguousarray(image)).resize(
            (columns[1] - columns[0], rows[1] - rows[0]),
            Image.Resampling.BILINEAR,
            box=(inner[1] * width, inner[0] * height, inner[3] * width, inner[2] * height),
        )
        result[rows[0] : rows[1], columns[0] : columns[1]] = np.asarray(part)
    return result


def boxes_in_window(
    boxes: np.ndarray, window: tuple[float, float, float, float], *, clip: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Expresses boxes relative to a window, and keeps those whose middle it shows.

    Args:
        boxes: (k, 4) in the format "yxyx", relative to the image.
        window: (ymin, xmin, ymax, xmax) relative to the image.
        clip: Cut the boxes off at the window's edges.

    Returns:
        (m, 4) float32 boxes relative to the window, and (m,) their indices.

    Reference:
        Liu et al. 2016, section 2.2: a box is kept if its middle is in the crop.
    """
    top, left, bottom, right = window
    size = np.array([bottom - top, right - left] * 2)
    moved = (np.asarray(boxes, np.float64).reshape(-1, 4) - [top, left, top, left]) / size
    middles = (moved[:, :2] + moved[:, 2:]) / 2
    kept = np.flatnonzero(((middles >= 0) & (middles < 1)).all(1))
    moved = np.clip(moved[kept], 0, 1) if clip else moved[kept]
    return moved.astype(np.float32), kept


def change_greys(
    image: np.ndarray, config: DetectionAugmentConfig, rng: np.random.Generator
) -> np.ndarray:
    """Draws gamma, contrast and noise, and returns (height, width) float32 grey levels."""
    exponent = (1 + config.gamma) ** rng.uniform(-1, 1)
    factor = 1 + config.contrast * rng.uniform(-1, 1)
    table = (255 * (np.arange(256) / 255) ** exponent * factor).astype(np.float32)
    changed = table[image]
    deviation = rng.uniform(0, config.noise)
    if deviation:
        changed += deviation * rng.standard_normal(image.shape, np.float32)
    return changed
