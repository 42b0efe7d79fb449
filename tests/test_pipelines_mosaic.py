"""Mosaics of film windows: where discs land that a drawn film shows as its lesions."""

import numpy as np
import pytest

from mammo_tf.pipelines.detection.augment import DetectionAugmentConfig
from mammo_tf.pipelines.detection.examples import detection_task
from mammo_tf.pipelines.detection.mosaic import make_mosaic

SIDE, RADIUS = 240, 14
SHAPE = (240, 300)
TISSUE, NORMAL_TISSUE = 60, 100
DISCS = {1: 170, 2: 230}  # grey value by class
MIDDLES = {1: (100, 130), 2: (150, 90)}
PLAIN = {"gamma": 0, "contrast": 0, "noise": 0}
STILL = DetectionAugmentConfig(
    horizontal_flip=False, vertical_flip=False, rotation_degrees=0, **PLAIN
)
TURNED = DetectionAugmentConfig(**PLAIN)


def make_examples(with_normals=True, tissue_columns=SIDE):
    """A film with a benign disc, one with a malignant one, two normal ones if asked for."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    count = 4 if with_normals else 2
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, :, :tissue_columns] = NORMAL_TISSUE
    images[:2, :, :tissue_columns] = TISSUE
    boxes = [np.zeros((0, 4), np.float32)] * count
    for label, (row, column) in MIDDLES.items():
        inside = (rows - row) ** 2 + (columns - column) ** 2 <= RADIUS**2
        images[label - 1][inside] = DISCS[label]
        edges = [row - RADIUS, column - RADIUS, row + RADIUS + 1, column + RADIUS + 1]
        boxes[label - 1] = np.array([edges], np.float32) / SIDE
    labels = [np.array([1]), np.array([2]), *[np.zeros(0, int)] * (count - 2)]
    return detection_task(images, boxes, labels, box_class_names=("benign", "malignant"))


def tiles_of(shape, tiles):
    edges = [[round(length * part / tiles) for part in range(tiles + 1)] for length in shape]
    return [
        (edges[0][row], edges[1][column], edges[0][row + 1], edges[1][column + 1])
        for row in range(tiles)
        for column in range(tiles)
    ]


@pytest.mark.parametrize("config", [STILL, TURNED])
@pytest.mark.parametrize(("shape", "tiles"), [(SHAPE, 3), ((250, 200), 2)])
def test_boxes_lie_round_the_discs(config, shape, tiles):
    examples, seen = make_examples(), set()
    kept = examples.images(1).copy()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image, boxes, labels = make_mosaic(examples, config, rng, shape=shape, tiles=tiles)
        assert image.shape == shape and image.dtype == np.float32
        assert boxes.shape == (len(labels), 4) and boxes.dtype == np.float32
        assert (boxes >= 0).all() and (boxes <= 1).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        boxes_px = boxes * [*shape, *shape]
        middles = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2
        used = set()
        for box, (row, column), label in zip(boxes_px, middles, labels, strict=True):
            tile = next(
                t for t in tiles_of(shape, tiles) if t[0] <= row < t[2] and t[1] <= column < t[3]
            )
            assert tile not in used
            used.add(tile)
            shown = image[tile[0] : tile[2], tile[1] : tile[3]]
            bright = np.argwhere(shown > (TISSUE + DISCS[label]) / 2) + tile[:2]
            extent = [*bright.min(axis=0), *(bright.max(axis=0) + 1)]
            np.testing.assert_allclose(box, extent, atol=2)
            assert abs(np.median(image[tuple(bright.T)]) - DISCS[label]) < 15
            seen.add(int(label))
        # No disc without a box: the other tiles are normal tissue and black beside the film.
        for tile in set(tiles_of(shape, tiles)) - used:
            assert image[tile[0] : tile[2], tile[1] : tile[3]].max() <= NORMAL_TISSUE + 1
    assert seen == {1, 2}
    np.testing.assert_array_equal(examples.images(1), kept)


@pytest.mark.parametrize(("share", "low", "high"), [(0, 0, 0), (0.3, 0.22, 0.38), (1, 1, 1)])
def test_so_many_tiles_show_a_lesion(share, low, high):
    rng = np.random.default_rng(8)
    examples = make_examples()
    counts = [
        len(make_mosaic(examples, TURNED, rng, shape=(48, 60), lesion_share=share)[1])
        for _ in range(60)
    ]
    # 540 tiles: four standard deviations of 0.3 are 0.08.
    assert low <= sum(counts) / (60 * 9) <= high


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_a_lesion_has_its_size_in_the_whole_film(scale):
    _, boxes, _ = make_mosaic(
        make_examples(),
        TURNED,
        np.random.default_rng(9),
        shape=SHAPE,
        tiles=2,
        lesion_share=1.0,
        scale_range=(scale, scale),
    )
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], scale * 29 / SIDE, atol=1e-5)
    assert len(boxes) == 4


def test_without_normal_films_the_other_tiles_show_tissue():
    examples = make_examples(with_normals=False, tissue_columns=SIDE // 2)
    rng = np.random.default_rng(10)
    for _ in range(5):
        image, _, _ = make_mosaic(examples, TURNED, rng, shape=SHAPE, lesion_share=0.0)
        for top, left, bottom, right in tiles_of(SHAPE, 3):
            middle = image[(top + bottom) // 2, (left + right) // 2]
            # A window's middle is in tissue, however it is turned; half of the film is black.
            assert middle > 20


def test_the_same_chance_gives_the_same_mosaic():
    examples, config = make_examples(), DetectionAugmentConfig()
    first, again, other = (
        make_mosaic(examples, config, np.random.default_rng(seed), shape=(90, 120))
        for seed in (11, 11, 12)
    )
    for mine, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(mine, same)
    assert not np.array_equal(first[0], other[0])
