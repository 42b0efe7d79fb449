"""Padding: which pixels it is, and that it adds no edge to the image; values worked out by hand."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from mammo_tf.breast import darkest_level
from mammo_tf.dicom import read_mammogram
from mammo_tf.images import read_display_image
from mammo_tf.testing import encode_frame, make_breast, write_mammogram

JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"


def read(tmp_path, stored, **options):
    """Reads a small left CC image; nothing is turned."""
    stored = np.asarray(stored)
    options = {"view": "CC", "bits_stored": 12, **options}
    return read_mammogram(write_mammogram(tmp_path / "a.dcm", stored, **options))


P = 3076  # padding of the rows below
INVERTED_16 = [[1466, 2000, 2948, P, P, P]] * 3  # darkest 65535 − 2948 = 62587


@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        pytest.param(
            np.array(INVERTED_16, np.uint16),
            {"bits_stored": 16, "photometric": "MONOCHROME1", "PixelPaddingValue": P},
            [[64069, 63535, 62587, 62587, 62587, 62587]] * 3,
            id="inverted, padding at the dark end",
        ),
        pytest.param(
            np.array([[1466, 2000, 2948, 0, 0, 0]] * 3, np.uint16),
            {"bits_stored": 16, "photometric": "MONOCHROME1", "PixelPaddingValue": 0},
            [[64069, 63535, 62587, 62587, 62587, 62587]] * 3,
            id="inverted, padding at the bright end",
        ),
        pytest.param(
            np.array([[900, 700, 250, 0, 12, 30]] * 3, np.uint16),
            {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 30},
            [[900, 700, 250, 250, 250, 250]] * 3,
            id="a range at the dark end",
        ),
        pytest.param(
            np.array([[900, 700, 250, 4095, 4095, 4095]] * 3, np.uint16),
            {"PixelPaddingValue": 4095},
            [[900, 700, 250, 250, 250, 250]] * 3,
            id="the maximum",
        ),
        pytest.param(
            np.array([[900, 700, 250, 63536, 63536, 63536]] * 3, np.uint16),
            {"PixelPaddingValue": 63536},  # −2000, with upper bits that are no image
            [[900, 700, 250, 250, 250, 250]] * 3,
            id="minus 2000",
        ),
        pytest.param(
            np.array([[900, 700, 250, 65535, 65535, 65535]] * 3, np.uint16),
            {"PixelPaddingValue": 65535, "bits_stored": 16},
            [[900, 700, 250, 250, 250, 250]] * 3,
            id="minus 1 of 16 bits",
        ),
        pytest.param(
            np.array([[200, 150, 60, 255, 255, 255]] * 3, np.uint8),
            {"PixelPaddingValue": 255, "bits_stored": 8},
            [[200, 150, 60, 60, 60, 60]] * 3,
            id="8 bits",
        ),
        pytest.param(
            np.array([[900, 700, 31, 5, 5, 40]] * 3, np.uint16),
            {"PixelPaddingValue": 5},
            [[900, 700, 31, 31, 31, 40]] * 3,
            id="air that is no padding stays",
        ),
    ],
)
def test_pixels_by_hand(tmp_path, stored, options, expected):
    mammogram = read(tmp_path, stored, **options)
    assert mammogram.pixels.tolist() == expected
    limit = options.get("PixelPaddingRangeLimit", options["PixelPaddingValue"])
    inside_range = (stored >= options["PixelPaddingValue"]) & (stored <= limit)
    np.testing.assert_array_equal(mammogram.padding, inside_range)
    assert (mammogram.display()[mammogram.padding] == 0).all()


def signed(keyword_values):
    """Elements written as signed numbers though the pixels are unsigned."""
    dataset = Dataset()
    for tag, value in keyword_values:
        dataset.add_new(tag, "SS", value)
    return dataset


def test_a_range_written_with_signed_numbers(tmp_path):
    stored = np.array([[900, 700, 250, 65531, 65535, 3]] * 3, np.uint16)
    path = write_mammogram(tmp_path / "a.dcm", stored, view="CC", bits_stored=16)
    dataset = pydicom.dcmread(path)
    dataset.update(signed([(0x00280120, -5), (0x00280121, 3)]))
    dataset.save_as(path)
    mammogram = read_mammogram(path)
    assert mammogram.pixels.tolist() == [[900, 700, 250, 250, 250, 250]] * 3


@pytest.mark.parametrize("limits", [(10, 20), (20, 10)])
def test_ranges_run_either_way(tmp_path, limits):
    pixels = make_breast()
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        PixelPaddingValue=limits[0],
        PixelPaddingRangeLimit=limits[1],
    )
    expected = (pixels >= 10) & (pixels <= 20)
    assert expected.any()
    np.testing.assert_array_equal(read_mammogram(path).padding, expected)


def test_no_padding_no_mask(tmp_path):
    assert read_mammogram(write_mammogram(tmp_path / "a.dcm")).padding is None
    path = write_mammogram(tmp_path / "b.dcm", PixelPaddingValue=4095)
    assert read_mammogram(path).padding is None


def narrow_breast(seed=0):
    """A screening file's stored values: tissue 1466 to 2948 of 16 bits, padding 3076 round it."""
    breast = make_breast(200, 140, seed=seed)
    tissue = breast > 1000
    values = np.interp(breast, (2000, 3500), (2948, 1466)).round()
    return np.where(tissue, values, P).astype(np.uint16), tissue


@pytest.mark.parametrize("padding_value", [P, 0, 1465, 65535])
def test_the_step_to_padding_is_no_larger_than_the_file_s_own(tmp_path, padding_value):
    stored, tissue = narrow_breast()
    own = int(P - stored[tissue].max())  # how much darker than the darkest tissue the file has it
    assert own >= 128
    stored[~tissue] = padding_value
    mammogram = read(
        tmp_path,
        stored,
        bits_stored=16,
        photometric="MONOCHROME1",
        PixelPaddingValue=padding_value,
    )
    np.testing.assert_array_equal(mammogram.padding, ~tissue)
    inside = mammogram.pixels[tissue].astype(int)
    outside = mammogram.pixels[~tissue].astype(int)
    np.testing.assert_array_equal(inside, 65535 - stored[tissue].astype(int))
    assert abs(inside.min() - outside.min()) <= own
    assert abs(inside.min() - outside.max()) <= own
    standard = (mammogram.pixels - mammogram.pixels.mean()) / mammogram.pixels.std()
    assert standard[tissue].std() > 0.3  # with padding of 0 it is 0.01


def test_dead_pixels_bring_no_edge_back(tmp_path):
    stored, tissue = narrow_breast()
    stored[100, 20] = 65535  # black once inverted
    stored[70:130, 30] = 60000  # a part of a line, less than half a percent of the image
    mammogram = read(
        tmp_path, stored, bits_stored=16, photometric="MONOCHROME1", PixelPaddingValue=P
    )
    good = tissue & (stored < 3000)
    assert (~good & tissue).sum() > 50
    level = 65535 - int(stored[good].max())
    assert set(np.unique(mammogram.pixels[~tissue])) == {level}
    assert mammogram.pixels[100, 20] == 0  # the image itself is left alone


def test_noisy_air_that_is_no_padding_decides(tmp_path):
    """A collimated strip is padding; air beside the breast is 40 ± 6."""
    rng = np.random.default_rng(0)
    stored = np.where(make_breast(200, 140) > 1000, make_breast(200, 140), 0)
    air = stored == 0
    stored[air] = np.rint(rng.normal(40, 6, air.sum()))
    stored[:, 120:] = 4095
    mammogram = read(tmp_path, stored.astype(np.uint16), PixelPaddingValue=4095)
    assert set(np.unique(mammogram.pixels[:, 120:])) == {stored[:, :120].min()}
    assert 10 < stored[:, :120].min() < 40


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_file_that_is_all_padding_is_blank(tmp_path, photometric):
    stored = np.full((30, 20), P, np.uint16)
    mammogram = read(tmp_path, stored, bits_stored=16, photometric=photometric, PixelPaddingValue=P)
    assert mammogram.padding.all()
    assert not mammogram.pixels.any()
    assert not mammogram.display().any()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_pixels_beside_padding(tmp_path, count):
    stored = np.full((30, 20), P, np.uint16)
    stored[10, :count] = np.arange(2000, 2000 + 100 * count, 100)
    mammogram = read(
        tmp_path, stored, bits_stored=16, photometric="MONOCHROME1", PixelPaddingValue=P
    )
    darkest = 65535 - (2000 + 100 * (count - 1))
    assert (mammogram.pixels[mammogram.padding] == darkest).all()
    assert mammogram.pixels[10, :count].tolist() == [65535 - 2000 - 100 * k for k in range(count)]


def test_compressed_files_obey_the_same_rule(tmp_path):
    stored, tissue = narrow_breast()
    path = write_mammogram(
        tmp_path / "a.dcm",
        stored,
        view="CC",
        bits_stored=16,
        photometric="MONOCHROME1",
        transfer_syntax=JPEG2000_LOSSLESS,
        frame=encode_frame(stored, JPEG2000_LOSSLESS, 16),
        PixelPaddingValue=P,
    )
    pixels = read_mammogram(path).pixels
    assert (pixels[~tissue] == 65535 - int(stored[tissue].max())).all()


def test_the_chest_wall_is_found_from_the_pixels(tmp_path):
    """Without tags: padding and a dead pixel must not hide where the breast is."""
    stored, tissue = narrow_breast()
    stored[100, 2] = 65535
    for laterality, turn in (("L", 1), ("R", -1)):
        mammogram = read(
            tmp_path,
            stored[:, ::turn],
            laterality=laterality,
            bits_stored=16,
            photometric="MONOCHROME1",
            PixelPaddingValue=P,
            PatientOrientation=None,
        )
        assert mammogram.metadata.orientation_source == "pixels"
        np.testing.assert_array_equal(~mammogram.padding, tissue[:, ::turn])


def test_what_a_detector_sees_is_black_beside_the_breast(tmp_path):
    stored, tissue = narrow_breast()
    path = write_mammogram(
        tmp_path / "a.dcm",
        stored,
        view="CC",
        bits_stored=16,
        photometric="MONOCHROME1",
        PixelPaddingValue=P,
        WindowCenter=2200,
        WindowWidth=1500,
    )
    shown = read_display_image(path).pixels
    assert (shown[~tissue] == 0).all()
    assert shown[tissue].std() > 20


def test_the_level_is_that_of_the_image_proper(tmp_path):
    stored = make_breast()
    stored[:, :5] = 4000
    mammogram = read(tmp_path, stored, PixelPaddingValue=4000)
    level = darkest_level(stored[:, 5:])
    assert (mammogram.pixels[mammogram.padding] == level).all()
