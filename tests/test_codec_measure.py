"""PSNR by hand (Jo et al. 2021, Eq. 1) and measuring a ladder."""

import math

import numpy as np
import pytest
import scipy.ndimage

from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.codecs.measure import measure, psnr, rmse, structural_similarity
from mammo_tf.errors import UserError
from mammo_tf.testing import make_breast


def test_by_hand():
    image = np.array([[0, 10], [20, 30]], np.uint16)
    other = np.array([[0, 12], [20, 26]], np.uint16)  # squares 0 + 4 + 0 + 16, mean 5
    assert psnr(image, other) == pytest.approx(10 * math.log10(65535**2 / 5))
    assert psnr(image, other, max_value=4095) == pytest.approx(65.256, abs=1e-3)
    assert psnr(image.astype(np.uint8), other.astype(np.uint8)) == pytest.approx(41.1411, abs=1e-4)


def test_differences_do_not_wrap_around():
    dark, bright = np.zeros((3, 5), np.uint16), np.full((3, 5), 65535, np.uint16)
    assert psnr(dark, bright) == psnr(bright, dark) == 0


def test_identical_images_have_100_db():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert psnr(image, image.copy()) == 100.0


def test_large_images_are_summed_exactly():
    image = np.zeros((1500, 1500), np.uint16)
    other = image.copy()
    other[700:] = 65535
    assert psnr(image, other) == pytest.approx(10 * math.log10(1500 / 800))


@pytest.mark.parametrize(
    ("other", "max_value", "message"),
    [
        (np.zeros((2, 3), np.uint8), None, "one shape and dtype"),
        (np.zeros((3, 2), np.uint16), None, "one shape and dtype"),
        (np.zeros((2, 3), np.uint16), 0, "`max_value` must be a positive number"),
        (np.zeros((2, 3), np.uint16), math.nan, "`max_value` must be a positive number"),
    ],
)
def test_wrong_arguments(other, max_value, message):
    with pytest.raises(UserError, match=message):
        psnr(np.zeros((2, 3), np.uint16), other, max_value)


def test_floating_point_images_are_refused():
    with pytest.raises(UserError, match="uint8 or uint16"):
        psnr(np.zeros((2, 3)), np.zeros((2, 3)))


def test_inside_a_mask_by_hand():
    image = np.array([[0, 10], [20, 30]], np.uint16)
    other = np.array([[90, 12], [20, 26]], np.uint16)
    mask = np.array([[False, True], [False, True]])  # squares 4 + 16, mean 10
    assert rmse(image, other, mask=mask) == pytest.approx(math.sqrt(10))
    assert psnr(image, other, mask=mask) == pytest.approx(10 * math.log10(65535**2 / 10))
    assert rmse(image, other) == pytest.approx(math.sqrt((8100 + 20) / 4))
    assert rmse(image, image) == 0


@pytest.mark.parametrize("mask", [np.zeros((2, 3), bool), np.ones((3, 2), bool), np.ones((2, 3))])
def test_a_mask_that_does_not_fit(mask):
    image = np.zeros((2, 3), np.uint16)
    with pytest.raises(UserError, match="`mask` must be bool"):
        rmse(image, image, mask=mask)


def test_measure_inside_the_breast():
    image = make_breast(200, 150)
    ladder = encode_ladder(image, (1, 30))
    lossless, lossy = measure(image, ladder)
    assert (lossless.rmse, lossless.breast_rmse, lossless.breast_psnr_db) == (0, 0, 100)
    tissue = image > 1000  # air ends at 82, tissue begins at 2252
    squares = (image.astype(float) - ladder.decode(30)) ** 2
    assert lossy.rmse == pytest.approx(math.sqrt(squares.mean()))
    assert lossy.breast_rmse == pytest.approx(math.sqrt(squares[tissue].mean()))
    expected = 10 * math.log10(65535**2 / squares[tissue].mean())
    assert lossy.breast_psnr_db == pytest.approx(expected)


def test_measure():
    image = np.random.default_rng(0).normal(2000, 300, (120, 80)).astype(np.uint16)
    ladder = encode_ladder(image, (20, 1))
    lossy, lossless = measure(image, ladder)
    assert (lossless.cratio, lossless.psnr_db, lossy.cratio) == (1, 100.0, 20)
    assert (lossy.num_bytes, lossy.source) == (len(ladder.codestream(20)), "layer")
    difference = image.astype(float) - ladder.decode(20)
    expected = 10 * math.log10(65535**2 / np.mean(difference**2))
    assert lossy.psnr_db == pytest.approx(expected)
    narrow = measure(image, ladder, max_value=4095)[0].psnr_db
    assert lossy.psnr_db - narrow == pytest.approx(20 * math.log10(65535 / 4095))


def test_structural_similarity_by_hand():
    """Wang et al. 2004, Eq. 13, at every place that the window fits, with SciPy's Gaussian."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 4096, (40, 30)).astype(np.uint16)
    other = np.clip(image.astype(int) + rng.integers(-300, 300, image.shape), 0, 4095)
    other = other.astype(np.uint16)

    def mean(values):
        blurred = scipy.ndimage.gaussian_filter(values.astype(float), 1.5, radius=5)
        return blurred[5:-5, 5:-5]

    x, y = image.astype(float), other.astype(float)
    c1, c2 = (0.01 * 4095) ** 2, (0.03 * 4095) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    expected = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    found = structural_similarity(image, other, 4095)
    assert found == pytest.approx(expected.mean(), abs=1e-5)
    assert structural_similarity(image, image) == pytest.approx(1)
    with pytest.raises(UserError, match="one shape"):
        structural_similarity(image, other[:, :-1])
    with pytest.raises(UserError, match="at least 11×11"):
        structural_similarity(image[:8], other[:8])
