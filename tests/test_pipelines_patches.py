"""How patches are sized and cut, against slices of a padded image."""

import numpy as np
import pytest

from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.tasks.patches import make_cut, size_px, stored_size
from mammo_tf.record import ImageInfo


def info(side="L", **more):
    return ImageInfo(
        image_id="a", patient_id="p", exam_id="e", laterality=side, **{"shape": (96, 80)} | more
    )


def test_a_cut_keeps_a_margin_and_mirrors_by_hand():
    image = (np.arange(96 * 80, dtype=np.uint32).reshape(96, 80) % 251).astype(np.uint8)
    padded = np.pad(image, 24)
    cut = make_cut(16)
    # 16 pixels seen, 24 stored, from 12 above the middle; nothing is resized.
    got = cut(image, info(), (3, 70, 16), geometry.resize)
    np.testing.assert_array_equal(got, padded[24 + 3 - 12 : 24 + 3 + 12, 24 + 58 : 24 + 82])
    turned = cut(image, info("R"), (3, 70, 16), geometry.resize)
    np.testing.assert_array_equal(turned, got[:, ::-1])
    unknown = cut(image, info("unknown"), (3, 70, 16), geometry.resize)
    np.testing.assert_array_equal(unknown, got)


def test_halved_stripes_keep_their_values():
    stripes = np.repeat(np.arange(40, dtype=np.uint8), 2)[None].repeat(96, 0)
    half = make_cut(16)(stripes, info(), (48, 40, 32), geometry.resize)
    assert half.shape == (24, 24) == (stored_size(16),) * 2
    np.testing.assert_allclose(half[12], np.arange(8, 32), atol=1)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"pixel_spacing_mm": (0.2, 0.2)}, 128),
        ({"pixel_spacing_mm": (0.07, 0.07)}, 366),  # 25.6 mm / 0.07 mm = 365.7
        ({"pixel_spacing_mm": (0.05, 0.1)}, 256),  # the coarser one counts
        ({"shape": (1024, 700)}, 128),
        ({"shape": (512, 2048)}, 256),
        ({"pixel_spacing_mm": (100.0, 100.0)}, 2),
    ],
)
def test_sizes_in_pixels_of_the_image(more, expected):
    assert size_px(info(**more), 128) == expected
