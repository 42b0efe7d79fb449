"""Where the breast is, and how dark its surroundings are, on images with a known outline."""

import numpy as np
import pytest

from mammo_tf.breast import breast_mask, darkest_level
from mammo_tf.phantom.exam import draw_breasts, render_view
from mammo_tf.phantom.tissue import at_pixels
from mammo_tf.phantom.vendors import VENDOR_TABLE
from mammo_tf.testing import make_breast

TISSUE = np.arange(62587, 64070, dtype=np.uint16)  # 1483 levels, once each


@pytest.mark.parametrize("dead", [0, 1000, 62000])
def test_dead_pixels_do_not_count(dead):
    assert darkest_level(TISSUE) == 62587
    assert darkest_level(np.append(TISSUE, [dead] * 3).astype(np.uint16)) == 62587


def test_a_dead_line_does_not_count():
    image = np.repeat(TISSUE, 400)[: 590 * 1000].reshape(590, 1000)
    image[:, 7] = 0
    image[100] = 5
    assert darkest_level(image) == 62587


def test_dark_pixels_that_go_on_from_the_rest_do_count():
    # q is 105, m is 205: gaps up to 25 belong to the image. 80 and 60 do, 20 is 40 further down.
    values = np.concatenate([[20, 60, 80], np.arange(100, 310)]).astype(np.uint16)
    assert darkest_level(values) == 60


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3], 3),
        ([9, 200, 7], 7),
        ([0] + [500] * 14, 0),  # fifteen: too few to call the one dead
        ([0] + [500] * 15, 500),
        ([40] * 1000 + [900] * 500, 40),
        ([65535] * 20, 65535),
    ],
)
def test_darkest_level_by_hand(values, expected):
    assert darkest_level(np.array(values, np.uint16)) == expected


def test_large_and_8_bit_images_are_counted_in_full():
    image = np.full((1500, 1500), 90, np.uint8)
    image[-100:] = 12
    assert darkest_level(image) == 12


@pytest.mark.parametrize("vendor", sorted(VENDOR_TABLE))
@pytest.mark.parametrize("view", ["CC", "MLO"])
@pytest.mark.parametrize("scale", [0.125, 0.5])
def test_the_outline_of_a_phantom(vendor, view, scale):
    for seed in range(3):
        breast = draw_breasts(np.random.default_rng(seed), {"L": "benign", "R": "normal"})["L"]
        exposure = VENDOR_TABLE[vendor].exposure
        rng = np.random.default_rng(seed)
        pixels, _ = render_view(breast, view, exposure, scale=scale, rng=rng)
        drawn = at_pixels(breast.geometries[view].distance_inside, scale) > 0
        inside = np.zeros(pixels.shape, bool)
        inside[:, : drawn.shape[1]] = drawn
        found = breast_mask(pixels)
        assert (found != inside).sum() <= 0.001 * inside.sum()


def test_labels_bands_and_dead_pixels_apart():
    image = make_breast(400, 300)
    inside = image > 1000
    image[:, 285:] = 4095  # the film's bright edge
    image[20:60, 230:260] = 4000  # a label
    image[200, 50] = 0  # a dead pixel in the breast
    np.testing.assert_array_equal(breast_mask(image), inside)


def test_fog_of_film_is_air():
    """Black mount, fog of 8 to 16 of 255 beside the breast, tissue from 60 on."""
    rng = np.random.default_rng(0)
    image = np.zeros((300, 250), np.uint8)
    image[:, 40:210] = rng.integers(8, 17, (300, 170))
    inside = np.zeros(image.shape, bool)
    inside[40:260, 40:150] = True
    image[inside] = rng.integers(60, 200, inside.sum())
    found = breast_mask(image)
    assert (found & ~inside).sum() == 0
    assert found.sum() > 0.99 * inside.sum()


def test_padding_beside_noisy_air():
    """A collimated strip that is padding does not make the air beside the breast tissue."""
    image = make_breast(200, 150)
    inside = image > 1000
    padding = np.zeros(image.shape, bool)
    padding[:, 130:] = True
    image[padding] = image[~padding].min()
    np.testing.assert_array_equal(breast_mask(image, padding), inside)
    np.testing.assert_array_equal(breast_mask(image), inside)


def test_tissue_as_dark_as_the_padding_is_tissue():
    rng = np.random.default_rng(0)
    padding = np.zeros((120, 80), bool)
    padding[:, 45:] = True
    image = rng.integers(62587, 64070, padding.shape).astype(np.uint16)
    image[padding] = 62587
    np.testing.assert_array_equal(breast_mask(image, padding), ~padding)


def test_padding_is_no_breast_wherever_it_lies():
    image = make_breast()
    padding = np.zeros(image.shape, bool)
    padding[40:50, 10:20] = True
    found = breast_mask(image, padding)
    assert not found[padding].any()
    np.testing.assert_array_equal(found, (image > 1000) & ~padding)
    assert not breast_mask(image, np.ones(image.shape, bool)).any()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (40, 30), (1, 5000), (3000, 2)])
def test_a_flat_image_shows_no_breast(shape):
    found = breast_mask(np.full(shape, 7, np.uint16))
    assert found.shape == shape
    assert not found.any()


def test_a_turned_and_a_mirrored_image_have_the_same_mask():
    image = make_breast(130, 75)
    found = breast_mask(image)
    np.testing.assert_array_equal(breast_mask(image[:, ::-1]), found[:, ::-1])
    np.testing.assert_array_equal(breast_mask(image.T), found.T)
