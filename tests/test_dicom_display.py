"""Display values against the formulas of PS3.3 C.11.2.1.2, worked out by hand, and pydicom."""

import math
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import DataError, UserError
from mammo_tf.testing import make_breast, write_mammogram

ROW = [0, 1, 1023, 1024, 2047, 2048, 3071, 3072, 4094, 4095]


def show(tmp_path, *, voi=0, values=ROW, **elements):
    """Writes `values` as the first row of an image without a breast, and displays that row."""
    pixels = np.zeros((4, len(values)), np.uint16)
    pixels[0] = values
    path = write_mammogram(tmp_path / "a.dcm", pixels, laterality=None, **elements)
    return read_mammogram(path).display(voi)[0].astype(np.float64)


def look_up_table(first, bits, data, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(data) % 65536, first, bits])
    if vr == "OW":
        data = np.asarray(data, "<u2").tobytes()
    item.add_new("LUTData", vr, data)
    return item


def test_no_voi_shows_the_full_range(tmp_path):
    np.testing.assert_allclose(show(tmp_path), np.array(ROW) / 4095, atol=1e-6)


def test_linear_window_by_hand(tmp_path):
    # C.11.2.1.2.1 with c = 2048, w = 2048: below 1024 black, above 3071 white,
    # else (x − 2047.5)/2047 + 0.5.
    expected = [
        0,
        0,
        0,
        (1024 - 2047.5) / 2047 + 0.5,
        (2047 - 2047.5) / 2047 + 0.5,
        (2048 - 2047.5) / 2047 + 0.5,
        1,
        1,
        1,
        1,
    ]
    shown = show(tmp_path, WindowCenter=2048, WindowWidth=2048)
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert expected[3] == pytest.approx(0.0)  # 1024 is exactly the lower edge


def test_linear_exact_window_by_hand(tmp_path):
    # C.11.2.1.3.2 with c = 2048, w = 2048: (x − c)/w + 0.5, black up to 1024, white above 3072.
    expected = [0, 0, 0, 0, 2047 / 2048 - 0.5, 0.5, 1023 / 2048 + 0.5, 1, 1, 1]
    shown = show(tmp_path, WindowCenter=2048, WindowWidth=2048, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_linear_exact_accepts_a_width_below_one(tmp_path):
    shown = show(tmp_path, WindowCenter=1023.75, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(shown, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])


def test_sigmoid_by_hand(tmp_path):
    # C.11.2.1.3.1: 1 / (1 + exp(−4 (x − c)/w)).
    expected = [1 / (1 + math.exp(-4 * (x - 2047) / 1024)) for x in ROW]
    shown = show(tmp_path, WindowCenter=2047, WindowWidth=1024, VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert shown[4] == pytest.approx(0.5)


def test_sigmoid_of_a_narrow_window_does_not_overflow(tmp_path):
    shown = show(tmp_path, WindowCenter=2047, WindowWidth=1, VOILUTFunction="SIGMOID")
    np.testing.assert_allclose(shown[[0, 4, 9]], [0, 0.5, 1])


def test_linear_window_of_width_one_is_a_threshold(tmp_path):
    # "x <= c − 0.5 − (w − 1)/2 is y_min, x > c − 0.5 + (w − 1)/2 is y_max"
    shown = show(tmp_path, WindowCenter=1024, WindowWidth=1)
    np.testing.assert_array_equal(shown, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1])


def test_rescale_comes_before_the_window(tmp_path):
    # x' = 2x − 100; window c = 1947, w = 2000 on x'.
    shown = show(
        tmp_path,
        RescaleSlope=2,
        RescaleIntercept=-100,
        RescaleType="US",
        WindowCenter=1947,
        WindowWidth=2000,
    )
    expected = [min(1, max(0, (2 * x - 100 - 1946.5) / 1999 + 0.5)) for x in ROW]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_negative_slope_without_voi_shows_the_full_range(tmp_path):
    shown = show(tmp_path, RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_allclose(shown, 1 - np.array(ROW) / 4095, atol=1e-6)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_modality_lut_of_12_bits(tmp_path, vr):
    # Entries for 1000 to 1003; below takes the first, above the last (C.11.1.1.1).
    lut = look_up_table(1000, 12, [40, 400, 4000, 4095], vr)
    shown = show(tmp_path, values=[0, 1000, 1001, 1002, 1003, 4095], ModalityLUTSequence=[lut])
    np.testing.assert_allclose(shown, np.array([40, 40, 400, 4000, 4095, 4095]) / 4095, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_voi_lut_goes_before_the_windows(tmp_path, bits):
    top = 2**bits - 1
    lut = look_up_table(2, bits, [0, top // 5, top])
    elements = {"VOILUTSequence": [lut], "WindowCenter": [3, 5], "WindowWidth": [2, 2]}
    values = [0, 2, 3, 4, 5, 4095]
    shown = show(tmp_path, values=values, **elements)
    np.testing.assert_allclose(shown, np.array([0, 0, top // 5, top, top, top]) / top, atol=1e-6)
    # The first window is the second alternative: c = 3, w = 2 → (x − 2.5)/1 + 0.5.
    np.testing.assert_allclose(show(tmp_path, voi=1, values=values, **elements), [0, 0, 1, 1, 1, 1])
    # The second window: (x − 4.5) + 0.5.
    np.testing.assert_allclose(show(tmp_path, voi=2, values=values, **elements), [0, 0, 0, 0, 1, 1])


def test_voi_lut_with_packed_8_bit_entries(tmp_path):
    item = look_up_table(0, 8, [0, 51, 255])
    item.add_new("LUTData", "OW", bytes([0, 51, 255, 0]))
    shown = show(tmp_path, values=[0, 1, 2, 3], VOILUTSequence=[item])
    np.testing.assert_allclose(shown, [0, 0.2, 1, 1], atol=1e-6)


def test_voi_lut_after_a_rescale_is_indexed_by_its_output(tmp_path):
    lut = look_up_table(65536 - 2, 16, [0, 100, 200, 65535])  # first value mapped −2, as SS
    lut.add_new("LUTDescriptor", "SS", [4, -2, 16])
    shown = show(
        tmp_path,
        values=[0, 1, 2, 3, 4],
        RescaleSlope=1,
        RescaleIntercept=-3,
        VOILUTSequence=[lut],
    )
    np.testing.assert_allclose(shown, np.array([0, 0, 100, 200, 65535]) / 65535, atol=1e-6)


def test_monochrome1_is_inverted_last(tmp_path):
    elements = {"WindowCenter": 1000, "WindowWidth": 500}
    plain = show(tmp_path, **elements)
    inverted = show(tmp_path, photometric="MONOCHROME1", **elements)
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)


def test_presentation_lut_shape_does_not_invert_again(tmp_path):
    plain = show(tmp_path, photometric="MONOCHROME1")
    shaped = show(tmp_path, photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(shaped, plain)
    np.testing.assert_allclose(plain, 1 - np.array(ROW) / 4095, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": 2.5, "RescaleIntercept": -30}])
def test_windows_agree_with_pydicom(tmp_path, function, rescale):
    path = write_mammogram(
        tmp_path / "a.dcm",
        make_breast(),
        WindowCenter=[1700, 900],
        WindowWidth=[1100, 300],
        VOILUTFunction=function,
        **rescale,
    )
    dataset = pydicom.dcmread(path)
    mammogram = read_mammogram(path)
    slope, intercept = rescale.get("RescaleSlope", 1), rescale.get("RescaleIntercept", 0)
    for index in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pydicom's exp overflows
            modality = apply_modality_lut(dataset.pixel_array, dataset)
            expected = apply_voi_lut(modality, dataset, index=index)
        expected = (expected - intercept) / (4095 * slope)
        np.testing.assert_allclose(mammogram.display(index), expected, atol=1e-6)


def test_voi_lut_agrees_with_pydicom(tmp_path):
    lut = look_up_table(0, 16, (np.sqrt(np.arange(4096) / 4095) * 65535).astype(int).tolist())
    path = write_mammogram(tmp_path / "a.dcm", make_breast(), VOILUTSequence=[lut])
    dataset = pydicom.dcmread(path)
    expected = apply_voi_lut(dataset.pixel_array, dataset) / 65535
    np.testing.assert_allclose(read_mammogram(path).display(), expected, atol=1e-6)


def test_padding_is_black_and_outside_every_range(tmp_path):
    shown = show(
        tmp_path,
        values=[0, 100, 4095],
        photometric="MONOCHROME1",
        PixelPaddingValue=0,
        WindowCenter=100,
        WindowWidth=2,
    )
    # Stored 0 would be white in MONOCHROME1; as padding it is black.
    np.testing.assert_allclose(shown[0], 0)


UNUSABLE = [
    ({"WindowCenter": [1, 2], "WindowWidth": []}, "WindowCenter and WindowWidth: 2 unusable"),
    ({"WindowCenter": 1, "WindowWidth": 0}, "WindowCenter and WindowWidth: 1 unusable"),
    ({"WindowCenter": 1, "WindowWidth": -5}, "WindowCenter and WindowWidth: 1 unusable"),
    (
        {"WindowCenter": 1, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        "WindowCenter and WindowWidth: 1 unusable",
    ),
    ({"RescaleSlope": 0, "RescaleIntercept": 0}, "RescaleSlope and RescaleIntercept are unusable"),
    ({"RescaleSlope": 1e305, "RescaleIntercept": 0}, "RescaleSlope and RescaleIntercept are unu"),
    ({"VOILUTSequence": [look_up_table(0, 0, [1, 2])]}, "VOILUTSequence: 1 unusable"),
    ({"ModalityLUTSequence": [look_up_table(0, 17, [1, 2])]}, "ModalityLUTSequence: 1 unusable"),
]


@pytest.mark.parametrize(("elements", "note"), UNUSABLE)
def test_what_display_cannot_use_is_left_out_with_a_note(tmp_path, elements, note):
    path = write_mammogram(tmp_path / "a.dcm", **elements)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert [line for line in mammogram.metadata.notes if line.startswith(note)]
    np.testing.assert_allclose(mammogram.display(), make_breast() / 4095, atol=1e-6)


def test_the_usable_window_and_table_of_several_stay(tmp_path):
    luts = [look_up_table(0, 16, [1, 2, 3]), look_up_table(0, 12, [4095, 0])]
    luts[0].LUTDescriptor = [300, 0, 16]  # it has three
    elements = {"WindowCenter": [1, 2048], "WindowWidth": [0, 2048], "VOILUTSequence": luts}
    path = write_mammogram(tmp_path / "a.dcm", **elements)
    mammogram = read_mammogram(path)
    assert mammogram.metadata.notes == (
        "VOILUTSequence: 1 unusable; left out.",
        "WindowCenter and WindowWidth: 1 unusable; left out.",
    )
    assert mammogram.display_transform.num_alternatives == 2
    np.testing.assert_array_equal(mammogram.display(0), make_breast() == 0)
    expected = np.clip((make_breast() - 2047.5) / 2047 + 0.5, 0, 1)
    np.testing.assert_allclose(mammogram.display(1), expected, atol=1e-6)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_empty_items_and_windows_say_nothing(tmp_path, vr):
    elements = {
        "ModalityLUTSequence": [Dataset()],
        "VOILUTSequence": [Dataset(), Dataset()],
        "WindowCenter": "",
        "WindowWidth": "",
    }
    mammogram = read_mammogram(write_mammogram(tmp_path / "a.dcm", **elements))
    assert mammogram.metadata.notes == ()
    np.testing.assert_allclose(mammogram.display(), make_breast() / 4095, atol=1e-6)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        (
            {"WindowCenter": 1, "WindowWidth": 5, "VOILUTFunction": "SAMPLED_SIGMOID"},
            "VOILUTFunction must be LINEAR, LINEAR_EXACT or SIGMOID",
        ),
        (
            {"WindowCenter": 1, "WindowWidth": 5, "RescaleSlope": 0, "RescaleIntercept": 0},
            "RescaleSlope and RescaleIntercept, or ModalityLUTSequence, are unusable",
        ),
        (
            {
                "WindowCenter": 1,
                "WindowWidth": 5,
                "ModalityLUTSequence": [look_up_table(0, 0, [1, 2])],
            },
            "RescaleSlope and RescaleIntercept, or ModalityLUTSequence, are unusable",
        ),
    ],
)
def test_only_display_refuses_what_it_would_show_wrongly(tmp_path, elements, message):
    mammogram = read_mammogram(write_mammogram(tmp_path / "a.dcm", **elements))
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert mammogram.metadata.notes
    with pytest.raises(DataError, match=f"^a.dcm: the image cannot be displayed: {message}"):
        mammogram.display()


def test_an_unknown_function_does_not_matter_where_a_table_or_no_window_is(tmp_path):
    lut = look_up_table(0, 12, [0, 4095])
    for elements in ({"VOILUTSequence": [lut], "WindowCenter": 9, "WindowWidth": 9}, {}):
        path = write_mammogram(tmp_path / "a.dcm", VOILUTFunction="MAGIC", **elements)
        read_mammogram(path).display()


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_entries_of_fewer_bits_than_declared_reach_white(tmp_path, bits, sequence):
    top = 2**bits - 1
    lut = look_up_table(0, 16, [0, top // 2, top])
    values = [0, 1, 2, 4095]
    shown = show(tmp_path, values=values, **{sequence: [lut]})
    np.testing.assert_allclose(shown, [0, (top // 2) / top, 1, 1], atol=1e-6)
    notes = read_mammogram(tmp_path / "a.dcm").metadata.notes
    assert notes == (f"{sequence}: entries of {bits} bits, not 16 as said.",)


def test_entries_of_more_bits_than_declared_are_not_all_white(tmp_path):
    lut = look_up_table(0, 8, [0, 2047, 4095])
    shown = show(tmp_path, values=[0, 1, 2], VOILUTSequence=[lut])
    np.testing.assert_allclose(shown, [0, 2047 / 4095, 1], atol=1e-6)


def test_a_dim_table_is_left_as_it_is(tmp_path):
    # Its largest entry needs 15 of 16 bits: a quarter of the range and more is meant so.
    shown = show(tmp_path, values=[0, 1], VOILUTSequence=[look_up_table(0, 16, [0, 20000])])
    np.testing.assert_allclose(shown, [0, 20000 / 65535], atol=1e-6)


@pytest.mark.parametrize(
    ("vr", "first", "intercept", "expected"),
    [
        ("US", 40000, None, 40000),
        ("SS", 40000 - 65536, None, 40000),  # unsigned input, so the first value is unsigned
        ("SS", -2, -3, -2),
        ("US", 65534, -3, -2),
        ("SS", -2, None, -2),  # 65534 would lie beyond 12-bit values
        ("US", 40000, -100, 40000),
    ],
)
def test_the_first_value_takes_its_sign_from_the_input(tmp_path, vr, first, intercept, expected):
    bits = 16 if abs(expected) > 4095 else 12
    entries = [0, 1000, 2000, 65535]
    lut = look_up_table(0, 16, entries)
    lut.add_new("LUTDescriptor", vr, [4, first, 16])
    rescale = {} if intercept is None else {"RescaleSlope": 1, "RescaleIntercept": intercept}
    shift = intercept or 0
    inputs = [expected + step for step in range(4)]
    stored = [value - shift for value in inputs if value - shift >= 0]
    shown = show(tmp_path, values=stored, bits_stored=bits, VOILUTSequence=[lut], **rescale)
    np.testing.assert_allclose(shown, np.array(entries[-len(stored) :]) / 65535, atol=1e-6)


def test_a_linear_window_below_one_is_taken_as_exact(tmp_path):
    # Slope 1/4096: values of 0 to 1, c = 0.5, w = 0.5.
    shown = show(
        tmp_path,
        RescaleSlope=0.000244140625,
        RescaleIntercept=0,
        WindowCenter=0.5,
        WindowWidth=0.5,
    )
    expected = np.clip((np.array(ROW) / 4096 - 0.5) / 0.5 + 0.5, 0, 1)
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_absurd_windows_stay_within_zero_and_one(tmp_path):
    for center, width in ((1e30, 1e30), (-1e30, 1e-30), (0, 1e300), (2047, 5e-324)):
        for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            shown = show(
                tmp_path,
                WindowCenter=f"{center:g}",
                WindowWidth=f"{width:g}",
                VOILUTFunction=function,
            )
            assert np.isfinite(shown).all() and shown.min() >= 0 and shown.max() <= 1


def test_an_alternative_that_is_not_there(tmp_path):
    mammogram = read_mammogram(write_mammogram(tmp_path / "a.dcm"))
    assert mammogram.display_transform.num_alternatives == 1
    with pytest.raises(UserError, match=r"voi must be 0 to 0\. Received: voi=1"):
        mammogram.display(1)
