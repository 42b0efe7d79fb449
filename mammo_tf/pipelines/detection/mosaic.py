"""Training images laid out of many small windows, half of them round lesions. No TensorFlow.

An image shows one lesion if any; so a detector that starts from random weights hardly ever sees
one. A mosaic shows several at once, at the size they have in the whole image. Not from SSD's paper
or the poster; the idea is YOLOv4's (Bochkovskiy et al. 2020, section 3.3), with more tiles.
"""

import numpy as np

from mammo_tf.pipelines.detection.augment import (
    DetectionAugmentConfig,
    boxes_in_window,
    change_greys,
    cut_window,
    flip_and_turn,
)
from mammo_tf.pipelines.matching import TISSUE_LEVEL
from mammo_tf.pipelines.task import Task

_DIAGONAL = 2**0.5  # a square turned by any angle is inside one this much larger


def make_mosaic(
    task: Task,
    config: DetectionAugmentConfig,
    rng: np.random.Generator,
    *,
    shape: tuple[int, int],
    tiles: int = 3,
    lesion_share: float = 0.5,
    scale_range: tuple[float, float] = (0.75, 1.35),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lays a training image out of tiles.

    Args:
        task: Images with boxes, and without.
        config: Flips, turns, grey values and compression ratios of the tiles; zooms are not used.
        rng: Source of chance.
        shape: (height, width) of the result.
        tiles: Tiles along each side; a tile shows 1 / tiles of an image's side, at the size that
            it has in the whole image.
        lesion_share: Share of tiles laid round a lesion. The others show tissue of an image
            without a lesion, or of any where there is none without.
        scale_range: (lowest, highest) magnification of a tile.

    Returns:
        (height, width) float32 image in grey levels, (k, 4) boxes in the format "yxyx" relative
        to it, and (k,) labels.
    """
    lesions = np.flatnonzero(task.has_box)
    normals = np.flatnonzero(~task.has_box)
    normals = normals if len(normals) else lesions
    rows = np.rint(np.linspace(0, shape[0], tiles + 1)).astype(int)
    columns = np.rint(np.linspace(0, shape[1], tiles + 1)).astype(int)
    result = np.zeros(shape, np.float32)
    boxes, labels = [np.zeros((0, 4))], [np.zeros(0, int)]
    for row, column in np.ndindex(tiles, tiles):
        with_lesion = rng.random() < lesion_share
        number = rng.choice(lesions if with_lesion else normals)
        cut = np.s_[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
        size = result[cut].shape
        side = 1 / tiles / rng.uniform(*scale_range)
        tile, found, kinds = _tile(task, number, with_lesion, config, rng, size, side=side)
        result[cut] = tile
        offset = np.array([rows[row], columns[column]] * 2)
        boxes.append((found * [*size, *size] + offset) / [*shape, *shape])
        labels.append(kinds)
    return result, np.concatenate(boxes).astype(np.float32), np.concatenate(labels)


def _tile(task, number: int, with_lesion: bool, config, rng, size, *, side: float):
    """Cuts one window, turned and flipped, with the boxes whose middle it shows."""
    image = task.images(config.draw_cratio(rng))[number]
    boxes = np.asarray(task.boxes[number], float)
    middle = _lesion(boxes, side, rng) if with_lesion else _tissue(image, rng)
    reach = side * _DIAGONAL / 2
    wide = (*(middle - reach), *(middle + reach))
    stored = tuple(max(8, round(reach * 2 * length)) for length in image.shape)
    patch = cut_window(image, wide, stored)
    boxes, kept = boxes_in_window(boxes, wide, clip=False)
    patch, boxes = flip_and_turn(patch, boxes, config, rng)
    edge = (1 - 1 / _DIAGONAL) / 2
    inner = (edge, edge, 1 - edge, 1 - edge)
    boxes, still = boxes_in_window(boxes, inner)
    tile = change_greys(cut_window(patch, inner, size), config, rng)
    return tile, boxes, np.asarray(task.box_labels[number])[kept[still]]


def _lesion(boxes: np.ndarray, side: float, rng) -> np.ndarray:
    """(y, x) of a window round one of the lesions."""
    box = boxes[rng.integers(len(boxes))]
    # A quarter of the side either way: the lesion's middle stays inside when turned.
    return (box[:2] + box[2:]) / 2 + rng.uniform(-0.25, 0.25, 2) * side


def _tissue(image: np.ndarray, rng) -> np.ndarray:
    """(y, x) of a window in tissue."""
    height, width = image.shape
    for _ in range(20):
        place = rng.uniform(0, 1, 2)
        if image[int(place[0] * height), int(place[1] * width)] > TISSUE_LEVEL:
            break
    return place
