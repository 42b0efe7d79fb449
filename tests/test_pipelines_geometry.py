"""The paper's geometry against values worked out by hand, on images that are not square."""

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry


def test_resize_weighs_like_a_triangle():
    # Halving: weights at the distances 1.5, 0.5, 0.5, 1.5 are 1 : 3 : 3 : 1, cut off at the ends:
    # (3·0 + 3·70 + 1·0) / 7 = 30; (1·70 + 3·0 + 3·0 + 1·0) / 8 = 8.75; (0 + 0 + 3·80) / 7 = 34.3
    image = np.array([[0, 70, 0, 0, 0, 80]], np.uint8)
    assert geometry.resize(image, 1, 3).tolist() == [[30, 9, 34]]
    assert geometry.resize(image.T, 3, 1).tolist() == [[30], [9], [34]]


def test_resize_keeps_16_bits_and_a_constant():
    image = np.full((20, 10), 65535, np.uint16)
    resized = geometry.resize(image, 7, 3)
    assert resized.dtype == np.uint16
    assert resized.shape == (7, 3)
    assert (resized == 65535).all()
    assert geometry.resize(image, 20, 10) is image


@pytest.mark.parametrize(
    ("shape", "fraction", "expected"),
    [
        ((2294, 1914), 0.3, (688, 574)),
        ((5, 3), 0.5, (3, 2)),
        ((4, 9), 1, (4, 9)),
        ((2, 1), 0.01, (1, 1)),
    ],
)
def test_resized_shape(shape, fraction, expected):
    assert geometry.resized_shape(shape, fraction) == expected
    assert geometry.resize_fraction(np.zeros(shape, np.uint16), fraction).shape == expected


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: geometry.resize(np.zeros((2, 2), np.float32), 1, 1),
        lambda: geometry.resize(np.zeros((2, 2, 1), np.uint8), 1, 1),
        lambda: geometry.resize(np.zeros((2, 2), np.uint8), 0, 1),
        lambda: geometry.resized_shape((2, 2), 0),
        lambda: geometry.resized_shape((2, 2), 1.5),
        lambda: geometry.crop_view(np.zeros((2, 2), np.uint8), view="ML", laterality="L"),
        lambda: geometry.crop_view(np.zeros((2, 2), np.uint8), view="CC", laterality="left"),
        lambda: geometry.to_full_range(np.zeros((2, 2), np.uint8), 17),
    ],
)
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(UserError, match="Received"):
        wrong()


# Ten rows, five columns; the value is 10 · row + column.
IMAGE = (10 * np.arange(10)[:, np.newaxis] + np.arange(5)).astype(np.uint8)


@pytest.mark.parametrize(
    ("view", "laterality", "rows", "columns"),
    [
        ("CC", "L", range(8), [0, 1, 2]),
        ("CC", "R", range(8), [2, 3, 4]),
        ("MLO", "L", range(2, 10), [0, 1, 2]),
        ("MLO", "R", range(2, 10), [2, 3, 4]),
    ],
)
def test_crop_keeps_the_chest_walls_half(view, laterality, rows, columns):
    cropped = geometry.crop_view(IMAGE, view=view, laterality=laterality)
    assert cropped.tolist() == [[10 * row + column for column in columns] for row in rows]


def test_a_fifth_is_rounded_down():
    image = np.zeros((9, 4), np.uint8)
    assert geometry.crop_view(image, view="MLO", laterality="L").shape == (8, 2)
    assert geometry.crop_view(image, view="CC", laterality="R").shape == (8, 2)


def test_mirror_and_back():
    assert geometry.mirror(IMAGE)[1].tolist() == [14, 13, 12, 11, 10]
    assert (geometry.mirror(geometry.mirror(IMAGE)) == IMAGE).all()


def test_fit_and_pad_keeps_the_aspect():
    assert geometry.fitted_shape((40, 10), (20, 30)) == (20, 5)
    assert geometry.fitted_shape((10, 40), (20, 30)) == (8, 30)  # 7.5 is rounded up
    assert geometry.fitted_shape((1000, 1), (4, 4)) == (4, 1)
    padded = geometry.fit_and_pad(np.full((40, 10), 9, np.uint8), (20, 30))
    assert padded.shape == (20, 30)
    assert (padded[:, :5] == 9).all()
    assert (padded[:, 5:] == 9).all()  # see test_pipelines_outside.py


def test_patch_in_the_image_and_over_its_edges():
    assert geometry.extract_patch(IMAGE, 4, 2, 2).tolist() == [[31, 32], [41, 42]]
    assert geometry.extract_patch(IMAGE, 0, 4, 4).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [2, 3, 4, 0],
        [12, 13, 14, 0],
    ]
    assert geometry.extract_patch(IMAGE, 4, 2, (2, 3)).tolist() == [[31, 32, 33], [41, 42, 43]]
    assert not geometry.extract_patch(IMAGE, 100, -100, 4).any()
    assert geometry.extract_patch(IMAGE, 5, 2, 20).sum() == IMAGE.sum()


def test_12_and_16_bits_meet():
    assert geometry.to_full_range(np.array([[0, 1, 4095]], np.uint16), 12).tolist() == [
        [0, 16, 65520]
    ]
    overshoot = np.array([[4096, 65535]], np.uint16)  # what lossy compression can leave
    assert geometry.to_full_range(overshoot, 12).tolist() == [[65520, 65520]]
    full = np.array([[0, 65535]], np.uint16)
    assert geometry.to_full_range(full, 16).tolist() == [[0, 65535]]
    assert geometry.to_full_range(np.array([[255]], np.uint8), 8).tolist() == [[255 * 256]]
