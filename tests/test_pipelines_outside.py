"""What stands where an image ends before the array does: its own dark, and no lesion in masks."""

import numpy as np
import pytest

from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.tasks import patches
from mammo_tf.record import ImageInfo

# Ten rows, five columns; the value is 40 + 10 · row + column.
IMAGE = (40 + 10 * np.arange(10)[:, np.newaxis] + np.arange(5)).astype(np.uint8)


def test_an_image_is_fitted_beside_its_own_air():
    image = np.full((40, 10), 200, np.uint8)
    image[:, 6:] = 9  # the air of this machine, which stays after the triangle filter
    padded = geometry.fit_and_pad(image, (20, 30))
    assert padded.shape == (20, 30)
    assert (padded[:, :3] > 9).all()
    assert (padded[:, 4:] == 9).all()
    same = geometry.fit_and_pad(image, (40, 10))
    assert (same == image).all()
    assert not np.shares_memory(same, image)


def test_a_dead_pixel_does_not_darken_what_is_padded():
    image = np.tile(np.arange(62600, 62620, dtype=np.uint16), (10, 1))
    image[3, 4] = 0
    padded = geometry.fit_and_pad(image, (10, 40))
    assert (padded[:, :20] == image).all()
    assert (padded[:, 20:] == 62600).all()


def test_a_level_may_be_given():
    padded = geometry.fit_and_pad(IMAGE, (10, 8), outside=0)
    assert (padded[:, :5] == IMAGE).all()
    assert (padded[:, 5:] == 0).all()


def test_masks_have_no_lesion_outside():
    mask = np.full((40, 10), 3, np.uint16)  # findings 0 and 1 everywhere
    padded = geometry.fit_and_pad(mask, (20, 30), geometry.resize_nearest)
    assert (padded[:, :5] == 3).all()
    assert (padded[:, 5:] == 0).all()
    patch = geometry.extract_patch(mask, 0, 0, 4, geometry.resize_nearest)
    assert patch.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 3, 3], [0, 0, 3, 3]]
    assert geometry.extract_patch(np.ones((10, 5), bool), 0, 4, 4).sum() == 6


def test_a_patch_over_the_edge_by_hand():
    expected = [[40, 40, 40, 40], [40, 40, 40, 40], [42, 43, 44, 40], [52, 53, 54, 40]]
    assert geometry.extract_patch(IMAGE, 0, 4, 4).tolist() == expected
    assert (geometry.extract_patch(IMAGE, 100, -100, 4) == 40).all()
    inside = geometry.extract_patch(IMAGE, 4, 2, 2)
    assert inside.tolist() == [[71, 72], [81, 82]]
    assert not np.shares_memory(inside, IMAGE)


@pytest.mark.parametrize(
    ("resize", "outside"), [(geometry.resize, 40), (geometry.resize_nearest, 0)]
)
def test_the_tasks_patches_tell_images_from_masks(resize, outside):
    info = ImageInfo(image_id="a", patient_id="a", exam_id="a", shape=IMAGE.shape)
    cut = patches.make_cut(16)(IMAGE, info, (0, 0, 4), resize)
    assert cut.shape == (24, 24)
    assert cut[0, 0] == outside
    assert cut[-1, -1] > 40


def test_8_bits_are_spread_from_the_dark_of_the_image():
    image = np.tile(np.arange(62600, 63111, 10, dtype=np.uint16), (10, 1))  # 52 levels
    expected = np.tile(np.arange(52) * 5, (10, 1))
    np.testing.assert_array_equal(geometry.spread_to_8_bits(image), expected)
    image[4, 7] = 0  # a dead pixel
    expected[4, 7] = 0
    np.testing.assert_array_equal(geometry.spread_to_8_bits(image), expected)
    assert geometry.spread_to_8_bits(np.array([[0.0, 0.5, 1.0]])).tolist() == [[0, 128, 255]]
