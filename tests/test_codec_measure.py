"""PSNR by hand (Jo et al. 2021, Eq. 1) and measuring a ladder."""

import math

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.codecs.measure import measure, psnr
from mammo_tf.errors import UserError


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
