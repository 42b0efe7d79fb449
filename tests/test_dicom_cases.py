"""One small input for each fault found on real and reported files.

They hold a synthetic half-ellipse, so what is right is known: `expected/breast.npy` of 12 bits,
`breast16.npy` of 16, and NAME.pixels.npy or NAME.display.npy where the input differs.
"""

from pathlib import Path

import numpy as np
import pytest

from mammo_tf.codecs.images import read_grey_image
from mammo_tf.dicom import ForProcessingError, read_mammogram
from mammo_tf.errors import DataError
from mammo_tf.images import read_display_image

CASES = Path(__file__).parent / "data" / "cases"


def expected(name: str) -> np.ndarray:
    return np.load(CASES / "expected" / f"{name}.npy", allow_pickle=False)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("c01_no_preamble_implicit", "Preamble and file meta information are missing; read as"),
        ("c04_no_sequence_delimiter", "The delimiter after the pixel data is missing."),
        ("c08_excess_padding", "510 bytes after the pixels are left out."),
        ("c09_number_of_frames_0", None),
        ("c11_null_vr_unneeded", "1 elements have no value representation"),
        ("h01_window_width_0", "WindowCenter and WindowWidth: 1 unusable; left out."),
        ("h03_comma_imager_spacing", None),
        ("h05_spacing_zero", "PixelSpacing unusable; left out."),
        ("h14_empty_lut_items", None),
        ("h21_highbit15_j2k", None),
        ("j08_j2k_no_eoc", None),
        ("v01_lut_12bit_data_declared_16", "VOILUTSequence: entries of 12 bits, not 16 as said."),
        ("v06_sampled_sigmoid", "VOILUTFunction is unknown; the windows are left out."),
        ("v11_rescale_slope_0", "RescaleSlope and RescaleIntercept are unusable; left out."),
        ("w01_bot_extra_end_entry", None),
    ],
)
def test_stored_values_are_read_and_what_is_left_out_is_noted(name, note):
    path = CASES / f"{name}.dcm"
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, expected("breast"))
    notes = mammogram.metadata.notes
    assert len(notes) == (note is not None)
    assert note is None or notes[0].startswith(note)
    np.testing.assert_array_equal(read_grey_image(path).pixels, expected("breast"))


def test_the_spacing_of_a_decimal_comma_and_of_zero():
    found = read_mammogram(CASES / "h03_comma_imager_spacing.dcm").metadata
    assert found.pixel_spacing_mm == (0.07, 0.07)
    assert read_mammogram(CASES / "h05_spacing_zero.dcm").metadata.pixel_spacing_mm is None


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("v01_lut_12bit_data_declared_16.dcm", "breast"),
        ("v05_first_mapped_40000_written_as_SS.dcm", "breast16"),
    ],
)
def test_look_up_tables_written_wrongly_are_applied_rightly(name, pixels):
    mammogram = read_mammogram(CASES / name)
    np.testing.assert_array_equal(mammogram.pixels, expected(pixels))
    np.testing.assert_allclose(mammogram.display(), expected(f"{name}.display"), atol=1e-6)
    shown = read_display_image(CASES / name).pixels
    assert len(np.unique(shown)) > 100  # 13 and 1 grey levels if taken as written


def test_only_display_refuses_an_unknown_function():
    path = CASES / "v06_sampled_sigmoid.dcm"
    with pytest.raises(DataError, match=r"^v06_sampled_sigmoid\.dcm: the image cannot be disp"):
        read_mammogram(path).display()
    with pytest.raises(DataError, match="VOILUTFunction must be LINEAR, LINEAR_EXACT or SIGMOID"):
        read_display_image(path)


def test_signed_jpeg_2000_under_an_unsigned_header_keeps_its_bits():
    pixels = read_mammogram(CASES / "j03_j2k_signed_pattern_lossy.dcm").pixels
    error = np.abs(pixels.astype(int) - expected("breast"))
    # Values near 2048 are of either sign, and the lossy codec moves some across: 0.9 %.
    assert (error > 100).mean() < 0.01
    assert np.median(error) <= 3


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("j17_jpeg_extended_12_sos00", 2),
        ("o07_offsets", 0),
        ("off_45000_16px", 0),
    ],
)
def test_codestreams_of_their_own_size(name, tolerance):
    right = expected(f"{name}.dcm.pixels")
    pixels = read_mammogram(CASES / f"{name}.dcm").pixels
    assert pixels.shape == right.shape and pixels.dtype == np.uint16
    assert np.abs(pixels.astype(int) - right).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "pixels", "max_stored"),
    [
        ("t01_white_is_zero_16.tif", "breast16", 65535),
        ("g05_p2_max100.pgm", "g05_p2_max100.pgm.pixels", 100),
        ("g07_crlf.pgm", "breast", 4095),
    ],
)
def test_other_grey_images(name, pixels, max_stored):
    image = read_grey_image(CASES / name)
    np.testing.assert_array_equal(image.pixels, expected(pixels))
    assert image.max_stored == max_stored


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c07_implicit_ts_but_encapsulated_j2k.dcm", "is compressed although the transfer syntax"),
        ("h28_mg_as_CR_no_bodypart.dcm", "BodyPartExamined is missing.* only where that is BREAST"),
        ("h30_no_photometric.dcm", "PhotometricInterpretation is missing"),
        ("j20_jpeg_lossless_no_eoi.dcm", "the JPEG pixel data is cut off"),
        ("j31_jpegxl_ts.dcm", "JPEG XL Lossless is not read; export the image uncompressed"),
        ("j32_jpip.dcm", r"the pixels are on a server \(JPIP\), not in the file"),
        ("g10_value_above_max.pgm", "a value of 3850 is above the file's maximum 1023"),
        ("t03_int16.tif", "is of signed 16-bit numbers; save it as unsigned"),
        ("p01_16_alpha.png", r"is grey with transparency \(alpha\), of 16 bits"),
    ],
)
def test_refusals_say_what_it_is(name, words):
    for read in (read_grey_image, read_display_image):
        with pytest.raises(DataError, match=words) as caught:
            read(CASES / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_for_processing_gives_no_advice_that_the_caller_may_not_have():
    path = CASES / "h27_for_processing.dcm"
    with pytest.raises(ForProcessingError, match="FOR PROCESSING") as caught:
        read_mammogram(path)
    assert "allow" not in str(caught.value)
    allowed = read_mammogram(path, allow_for_processing=True)
    np.testing.assert_array_equal(allowed.pixels, expected("breast"))
    shown = read_display_image(path, allow_for_processing=True)
    np.testing.assert_array_equal(shown.pixels, np.rint(allowed.display() * 255))


def test_a_real_mammogram_whose_scan_header_says_0_0(real_data):
    """RG3_JPLY of the published WG04 samples: JPEG Extended with Ss = Se = 0."""
    path = real_data.parent / "cases" / "dicom" / "real_WG04_RG3_JPLY_as_MG.dcm"
    if not path.is_file():
        pytest.skip(f"REAL DATA ABSENT: {path} is not there; this test ran on nothing")
    mammogram = read_mammogram(path)
    assert mammogram.pixels.shape == (1760, 1760)
    assert mammogram.metadata.photometric_interpretation == "MONOCHROME1"
    # Inverted, so the stored range 0 to 1023 stays, and what lossy coding put above is clipped.
    assert (mammogram.pixels.min(), mammogram.pixels.max()) == (0, 1023)
