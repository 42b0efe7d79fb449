"""Bit depths, padding, polarity, what is refused, and use in threads and processes."""

import concurrent.futures
import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid

from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import CodecError, DataError, UserError
from mammo_tf.testing import encode_frame, make_breast, write_mammogram


@pytest.mark.parametrize("bits", [7, 8, 10, 12, 14, 16])
def test_monochrome1_is_inverted_without_loss(tmp_path, bits):
    pixels = make_breast(bits=bits)
    stored = (2**bits - 1 - pixels.astype(int)).astype(pixels.dtype)
    path = write_mammogram(tmp_path / "a.dcm", stored, bits_stored=bits, photometric="MONOCHROME1")
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, pixels)
    assert mammogram.metadata.photometric_interpretation == "MONOCHROME1"
    assert mammogram.metadata.bits_stored == bits


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_junk_above_the_stored_bits_is_masked(tmp_path, syntax):
    pixels = make_breast()
    junk = np.random.default_rng(3).integers(0, 16, pixels.shape, np.uint16) << 12
    path = write_mammogram(tmp_path / "a.dcm", pixels | junk, transfer_syntax=syntax)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_junk_in_a_reversible_codestream_is_masked(tmp_path):
    pixels = make_breast()
    frame = encode_frame(pixels | 0x3000, uid.JPEG2000Lossless, 16)
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, transfer_syntax=uid.JPEG2000Lossless, frame=frame
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_a_lossy_overshoot_is_clipped_not_wrapped(tmp_path):
    # Coded with 16 bits of precision, so nothing in the codec stops at 4095.
    pixels = np.where(np.indices((64, 64)).sum(0) // 8 % 2, 4095, 0).astype(np.uint16)
    frame = encode_frame(pixels, uid.JPEG2000, 16, compression_ratio=20)
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, transfer_syntax=uid.JPEG2000, frame=frame, ImageLaterality=None
    )
    raw = pydicom.dcmread(path)
    raw.BitsStored, raw.HighBit = 16, 15
    decoded = raw.pixel_array
    assert decoded.max() > 4095  # the case is real
    np.testing.assert_array_equal(read_mammogram(path).pixels, np.minimum(decoded, 4095))


def test_a_high_bit_at_the_top_is_shifted_down(tmp_path):
    pixels = make_breast()
    path = write_mammogram(tmp_path / "a.dcm", pixels << 4, HighBit=15)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_for_processing_only_when_asked(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", PresentationIntentType="FOR PROCESSING")
    with pytest.raises(DataError, match="is FOR PROCESSING, not for display; give the FOR PRES"):
        read_mammogram(path)
    mammogram = read_mammogram(path, allow_for_processing=True)
    assert mammogram.metadata.presentation_intent == "FOR PROCESSING"
    path = write_mammogram(
        tmp_path / "b.dcm",
        PresentationIntentType=None,
        SOPClassUID=uid.DigitalMammographyXRayImageStorageForProcessing,
    )
    with pytest.raises(DataError, match="FOR PROCESSING"):
        read_mammogram(path)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"Modality": "CT"}, "not a mammogram: expected Modality MG.* Received: Modality CT"),
        ({"Modality": "CT", "BodyPartExamined": "BREAST"}, "Received: Modality CT"),
        ({"Modality": "CR", "BodyPartExamined": "CHEST"}, "Received: Modality CR"),
        (
            {"Modality": None, "SOPClassUID": uid.CTImageStorage},
            "not a mammogram.* Received: Modality none",
        ),
        ({"NumberOfFrames": 60}, "several frames are not read"),
        ({"SOPClassUID": uid.BreastTomosynthesisImageStorage}, "tomosynthesis is not read"),
        ({"SamplesPerPixel": 3}, "colour images are not mammograms"),
        ({"PhotometricInterpretation": "RGB"}, "expected one grey sample per pixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "expected one grey sample per pixel"),
        ({"PixelRepresentation": 1}, "signed pixels are not read"),
        ({"BitsAllocated": 32}, "BitsAllocated must be 8 or 16.* Received: BitsAllocated=32"),
        ({"BitsStored": 17}, "BitsStored at most that"),
        ({"BitsStored": None}, "BitsStored=None"),
        ({"HighBit": 5}, "HighBit=5 does not fit BitsStored=12"),
    ],
)
def test_what_is_no_mammogram_is_refused_in_one_line(tmp_path, elements, message):
    path = write_mammogram(tmp_path / "a.dcm", **elements)
    with pytest.raises(DataError, match=message) as caught:
        read_mammogram(path)
    assert str(caught.value).startswith("a.dcm: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("modality", ["RG", "CR", "OT"])
def test_digitised_film_of_a_breast_is_accepted(tmp_path, modality):
    path = write_mammogram(
        tmp_path / "a.dcm",
        Modality=modality,
        BodyPartExamined="BREAST",
        SOPClassUID=uid.SecondaryCaptureImageStorage,
        PresentationIntentType=None,
    )
    assert read_mammogram(path).metadata.presentation_intent == ""


def test_a_missing_plug_in_says_what_to_install(tmp_path, monkeypatch):
    from mammo_tf.dicom import samples

    monkeypatch.setattr(samples, "_decoders", dict)
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=uid.JPEG2000Lossless)
    with pytest.raises(CodecError, match=r"run: pip install pylibjpeg .*pylibjpeg-openjpeg"):
        read_mammogram(path)
    path = Path(__file__).with_name("data") / "cases" / "j17_jpeg_extended_12_sos00.dcm"
    with pytest.raises(CodecError, match=r"pip install 'mammo-tf\[jpeg\]'"):
        read_mammogram(path)
    monkeypatch.setitem(sys.modules, "rle.rle", None)
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=uid.ExplicitVRLittleEndian)
    read_mammogram(path)


def test_max_pixels_must_be_positive(tmp_path):
    with pytest.raises(UserError, match="max_pixels must be at least 1"):
        read_mammogram(write_mammogram(tmp_path / "a.dcm"), max_pixels=0)


def test_odd_values_elsewhere_are_no_reason_to_warn_or_fail(tmp_path):
    # pytest turns every warning into an error.
    path = write_mammogram(tmp_path / "a.dcm", SeriesDescription="x" * 64)
    content = path.read_bytes().replace(b"x" * 64, b"\xff" * 64)
    content = content.replace(b"test-patient", b"test\xe9patient")
    path.write_bytes(content)
    assert read_mammogram(path, salt="s").metadata.view == "MLO"


def test_results_are_the_same_in_threads(tmp_path):
    breasts = [make_breast(seed=seed) for seed in range(24)]
    syntaxes = [uid.JPEG2000Lossless, uid.RLELossless, uid.ExplicitVRLittleEndian]
    paths = [
        write_mammogram(tmp_path / f"{i}.dcm", breast, transfer_syntax=syntaxes[i % 3])
        for i, breast in enumerate(breasts)
    ]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for breast, mammogram in zip(breasts, pool.map(read_mammogram, paths), strict=True):
            np.testing.assert_array_equal(mammogram.pixels, breast)


def test_results_come_back_from_worker_processes(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", WindowCenter=2000, WindowWidth=1000)
    here = read_mammogram(path)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        there = pool.submit(read_mammogram, path).result()
    np.testing.assert_array_equal(there.pixels, here.pixels)
    np.testing.assert_array_equal(there.display(), here.display())
    assert there.metadata == here.metadata
    assert pickle.loads(pickle.dumps(here)).metadata == here.metadata
