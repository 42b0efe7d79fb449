"""Shares of tissue: each of its own image, uncompressed, kept between runs."""

import numpy as np
import pytest

from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.tissue import measure_tissue


@pytest.fixture(scope="module")
def made(build_records):
    images = []
    for number, columns in enumerate((0, 8, 16)):  # so many columns are tissue
        pixels = np.zeros((24, 16), np.uint8)
        pixels[:, :columns] = 200
        images.append((pixels, {"image_id": f"i{number}", "patient_id": f"p{number}"}))
    builder = build_records(images, cratios=(1,))
    return builder, read_catalog(builder)


PLACES = [(2, 4, 4, 8), (0, 4, 4, 8), (1, 4, 4, 8), (1, 4, 8, 8), (1, 4, 12, 8), (2, 0, 4, 8)]


def test_shares_by_hand_in_the_order_asked(made, tmp_path):
    builder, catalog = made
    shares = measure_tissue(builder, catalog, PLACES, cache_dir=tmp_path)
    # Whole; none; whole; half; none; half, since the upper half of the square is outside.
    assert shares.tolist() == [1, 0, 1, 0.5, 0, 0.5]
    assert measure_tissue(builder, catalog, [], cache_dir=None).tolist() == []


def test_kept_for_the_next_time(made, tmp_path, monkeypatch):
    builder, catalog = made
    first = measure_tissue(builder, catalog, PLACES, cache_dir=tmp_path)
    monkeypatch.setattr(records, "iterate_records", None)  # any reading would fail
    again = measure_tissue(builder, catalog, PLACES, cache_dir=tmp_path)
    np.testing.assert_array_equal(again, first)


def test_12_bit_images_count_by_their_own_range(build_records):
    pixels = np.full((24, 16), 1000, np.uint16)
    pixels[:, :8] = 4000
    pixels[0, 0], pixels[0, 15] = 4095, 900
    images = [(pixels, {"image_id": f"i{n}", "patient_id": f"p{n}"}) for n in range(3)]
    builder = build_records(images, cratios=(1,))
    # (1000 − 900) / 3195 of 255 is 8, below the films' level of 20.
    shares = measure_tissue(builder, read_catalog(builder), [(0, 12, 8, 8)], cache_dir=None)
    assert shares.tolist() == [0.5]
