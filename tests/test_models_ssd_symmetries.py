"""Symmetries of an image: what the network says of a turned image, put back by plain geometry."""

import keras
import numpy as np
import pytest

from mammo_tf.models.ssd import SSD, BoxLayout, decode_boxes, default_boxes
from mammo_tf.models.ssd.symmetries import SYMMETRIES, Symmetry, change_images, restore_outputs
from mammo_tf.pipelines.detection.detector import Detector

SQUARE = BoxLayout(
    feature_shapes=((4, 4), (3, 3), (1, 1)),
    scales=(0.2, 0.45, 0.7, 0.9),
    aspect_ratios=((2.0,), (2.0, 3.0), ()),
)
OBLONG = BoxLayout(
    feature_shapes=((5, 3), (2, 3), (1, 2)),
    scales=(0.2, 0.45, 0.7, 0.9),
    aspect_ratios=((2.0, 3.0), (2.0,), ()),
)
CASES = [(SQUARE, symmetry) for symmetry in SYMMETRIES] + [
    (OBLONG, symmetry) for symmetry in SYMMETRIES[:4]
]


def put_back(boxes, symmetry):
    """Boxes of a changed image, where they are in the image: the mirrors first, then the turn."""
    top, left, bottom, right = np.moveaxis(np.asarray(boxes, float), -1, 0)
    if symmetry.horizontally:
        left, right = 1 - right, 1 - left
    if symmetry.vertically:
        top, bottom = 1 - bottom, 1 - top
    if symmetry.transposed:
        top, left, bottom, right = left, top, right, bottom
    return np.stack([top, left, bottom, right], axis=-1)


def counterparts(defaults, symmetry):
    """For each default box the one that stands in its place in the changed image."""
    distances = np.abs(put_back(defaults, symmetry)[np.newaxis] - defaults[:, np.newaxis]).max(-1)
    found = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-5
    assert len(set(found.tolist())) == len(defaults)
    return found


def test_each_of_the_eight_once_and_the_plain_one_first():
    assert len(set(SYMMETRIES)) == 8 and SYMMETRIES[0] == Symmetry(False, False, False)
    assert not any(symmetry.transposed for symmetry in SYMMETRIES[:4])


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_pixel_goes_where_its_box_goes(symmetry):
    images = np.zeros((2, 6, 9, 1), np.uint8)
    images[1, 4, 7] = 5
    changed = change_images(images, symmetry)
    assert changed.shape == ((2, 9, 6, 1) if symmetry.transposed else (2, 6, 9, 1))
    number, row, column, _ = np.argwhere(changed)[0]
    height, width = changed.shape[1:3]
    pixel = [row / height, column / width, (row + 1) / height, (column + 1) / width]
    assert number == 1
    np.testing.assert_allclose(put_back(pixel, symmetry), [4 / 6, 7 / 9, 5 / 6, 8 / 9], atol=1e-12)


@pytest.mark.parametrize(("layout", "symmetry"), CASES)
def test_boxes_come_back_to_where_they_are(layout, symmetry):
    defaults = default_boxes(layout)
    outputs = np.random.default_rng(3).normal(0, 1, (2, len(defaults), 3 + 4)).astype("f4")
    kept = outputs.copy()
    restored = restore_outputs(outputs, layout, symmetry)
    places = counterparts(defaults, symmetry)
    expected = put_back(decode_boxes(defaults, outputs[..., -4:]), symmetry)[:, places]
    found = decode_boxes(defaults, restored[..., -4:])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(restored[..., :3], outputs[:, places, :3])
    np.testing.assert_array_equal(outputs, kept)


def test_by_hand():
    # One map of one row and two columns: small square, large square, wide box, tall box.
    layout = BoxLayout(feature_shapes=((1, 2),), scales=(0.2, 0.4), aspect_ratios=((2.0,),))
    # The logit is the box's number; the offsets are y, x, height, width.
    outputs = np.array([[[n, 10 + n, 20 + n, 30 + n, 40 + n] for n in range(8)]], "f4")
    mirrored = restore_outputs(outputs, layout, Symmetry(horizontally=True))
    assert mirrored[0, :, 0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert mirrored[0, 0].tolist() == [4, 14, -24, 34, 44]
    upside_down = restore_outputs(outputs, layout, Symmetry(vertically=True))
    assert upside_down[0, 6].tolist() == [6, -16, 26, 36, 46]
    one_cell = BoxLayout(feature_shapes=((1, 1),), scales=(0.2, 0.4), aspect_ratios=((2.0,),))
    turned = restore_outputs(outputs[:, :4], one_cell, Symmetry(transposed=True, vertically=True))
    assert turned[0].tolist() == [
        [0, 20, -10, 40, 30],
        [1, 21, -11, 41, 31],
        [3, 23, -13, 43, 33],
        [2, 22, -12, 42, 32],
    ]


def make_detector(shape, num_symmetries):
    keras.utils.set_random_seed(4)
    model = SSD(num_classes=2, backbone="light", image_shape=(*shape, 3))
    return Detector(model, ("benign", "malignant"), num_symmetries)


@pytest.mark.parametrize(
    ("shape", "symmetries"), [((96, 96), SYMMETRIES), ((96, 64), SYMMETRIES[:4])]
)
def test_a_copy_in_any_symmetry_is_seen_alike(shape, symmetries):
    detector = make_detector(shape, 8)
    image = np.random.default_rng(5).integers(0, 256, shape).astype(np.uint8)
    copies = [
        change_images(image[np.newaxis, ..., np.newaxis], symmetry)[0, ..., 0]
        for symmetry in symmetries
    ]
    plain, *others = detector.outputs(copies, batch_size=3)
    defaults = detector.model.default_boxes
    boxes = decode_boxes(defaults, plain[np.newaxis, :, -4:])[0]
    for symmetry, other in zip(symmetries[1:], others, strict=True):
        places = counterparts(defaults, symmetry)
        np.testing.assert_allclose(other[places, :-4], plain[:, :-4], atol=1e-4)
        moved = put_back(decode_boxes(defaults, other[np.newaxis, :, -4:])[0], symmetry)[places]
        np.testing.assert_allclose(moved, boxes, atol=1e-4)


def test_one_symmetry_alone_is_the_network_s_own_output():
    detector = make_detector((96, 96), 1)
    image = np.random.default_rng(6).integers(30, 200, (96, 96)).astype(np.uint8)
    plain, mirrored = detector.outputs([image, image[:, ::-1]])
    # The pixels above 20, here all, have mean 0 and standard deviation 1; grey three times.
    standard = (image - image.mean()) / image.std()
    said = detector.model.predict_on_batch(np.repeat(standard[np.newaxis, ..., np.newaxis], 3, -1))
    np.testing.assert_allclose(plain, said[0], atol=1e-4)
    # A network by itself is no mirror: only the average over symmetries is.
    places = counterparts(detector.model.default_boxes, SYMMETRIES[1])
    assert np.abs(mirrored[places, :-4] - plain[:, :-4]).max() > 0.01


def test_two_symmetries_are_averaged():
    image = np.random.default_rng(7).integers(30, 200, (96, 96)).astype(np.uint8)
    one, two = make_detector((96, 96), 1), make_detector((96, 96), 2)
    plain, mirrored = one.outputs([image, image[:, ::-1]])
    places = counterparts(one.model.default_boxes, SYMMETRIES[1])
    expected = (plain[:, :3] + mirrored[places, :3]) / 2
    np.testing.assert_allclose(two.outputs([image])[0, :, :3], expected, atol=1e-5)
