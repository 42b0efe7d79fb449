"""Every transfer syntax against known samples or another decoder."""

import io
import struct
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.encaps import generate_frames

from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import DataError
from mammo_tf.testing import (
    encode_frame,
    encode_jpeg_lossless,
    make_breast,
    write_mammogram,
)

LOSSLESS = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
]


def pydicom_sample(name: str) -> Path:
    """A small file that is installed with pydicom."""
    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def sample_frame(name: str) -> tuple[pydicom.Dataset, bytes]:
    dataset = pydicom.dcmread(pydicom_sample(name))
    return dataset, next(generate_frames(dataset.PixelData, number_of_frames=1))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_syntaxes_return_the_stored_values(tmp_path, syntax, bits):
    pixels = make_breast(75, 51, bits=bits)  # odd sizes: padding bytes, uneven segments
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, pixels)
    assert mammogram.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert mammogram.pixels.flags.c_contiguous
    assert mammogram.metadata.transfer_syntax_uid == syntax
    assert mammogram.metadata.lossy is False


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("predictor", [1, 2, 3, 4, 5, 6, 7])
def test_jpeg_lossless_with_every_predictor(tmp_path, bits, predictor):
    pixels = make_breast(33, 21, bits=bits)
    frame = encode_jpeg_lossless(pixels, bits, predictor)
    syntax = uid.JPEGLosslessSV1 if predictor == 1 else uid.JPEGLossless
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax, frame=frame
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_jpeg_ls_lossless_against_the_uncompressed_original(tmp_path):
    _, frame = sample_frame("MR_small_jpeg_ls_lossless.dcm")
    expected = pydicom.dcmread(pydicom_sample("MR_small.dcm")).pixel_array.astype(np.uint16)
    path = write_mammogram(
        tmp_path / "a.dcm",
        expected,
        bits_stored=16,
        transfer_syntax=uid.JPEGLSLossless,
        frame=frame,
        ImageLaterality=None,  # a head, not a breast
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_ls_near_lossless_is_marked_lossy(tmp_path, bits):
    dataset, frame = sample_frame(f"JPEGLSNearLossless_{bits:02d}.dcm")
    shape = (dataset.Rows, dataset.Columns)
    path = write_mammogram(
        tmp_path / "a.dcm",
        np.zeros(shape, np.uint8 if bits == 8 else np.uint16),
        bits_stored=bits,
        transfer_syntax=uid.JPEGLSNearLossless,
        frame=frame,
        ImageLaterality=None,  # no breast in this picture
    )
    mammogram = read_mammogram(path)
    assert mammogram.metadata.lossy is True
    # The samples are bands of five rows, halved and quartered from white, coded with NEAR = 2.
    bands = mammogram.pixels[::5, 0].astype(int)
    expected = [255, 127, 64, 32, 16, 4] if bits == 8 else [65535, 32767, 16384, 4096, 1024, 256]
    np.testing.assert_allclose(bands[:6], expected, atol=2)
    assert mammogram.pixels.shape == shape


def test_jpeg_extended_12_bit_is_decoded_to_its_depth(tmp_path):
    dataset, frame = sample_frame("JPGExtended.dcm")
    path = write_mammogram(
        tmp_path / "a.dcm",
        np.zeros((dataset.Rows, dataset.Columns), np.uint16),
        transfer_syntax=uid.JPEGExtended12Bit,
        frame=frame,
        ImageLaterality=None,
    )
    mammogram = read_mammogram(path)
    assert mammogram.metadata.lossy is True
    # pydicom's own tests give these samples of this file, (row, column): value.
    assert mammogram.pixels[420, 140] == 244
    assert mammogram.pixels[230, 120] == 95


def test_jpeg_baseline_against_pillow(tmp_path):
    pixels = make_breast(64, 48, bits=8)
    syntax = uid.JPEGBaseline8Bit
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=8, transfer_syntax=syntax)
    expected = np.asarray(Image.open(io.BytesIO(encode_frame(pixels, syntax, 8)))).astype(int)
    mammogram = read_mammogram(path)
    assert mammogram.metadata.lossy is True
    assert np.abs(mammogram.pixels.astype(int) - expected).max() <= 1  # two inverse cosines


@pytest.mark.parametrize("bits", [8, 16])
def test_lossy_jpeg_2000_against_pillow(tmp_path, bits):
    pixels = make_breast(128, 96, bits=bits)
    syntax = uid.JPEG2000
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax)
    frame = encode_frame(pixels, syntax, bits)
    expected = np.asarray(Image.open(io.BytesIO(frame))).astype(int)
    mammogram = read_mammogram(path)
    assert mammogram.metadata.lossy is True
    np.testing.assert_array_equal(mammogram.pixels, expected)
    assert not np.array_equal(mammogram.pixels, pixels)


def test_reversible_jpeg_2000_in_the_lossy_syntax_is_not_lossy(tmp_path):
    pixels = make_breast()
    frame = encode_frame(pixels, uid.JPEG2000Lossless, 12)
    path = write_mammogram(tmp_path / "a.dcm", pixels, transfer_syntax=uid.JPEG2000, frame=frame)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, pixels)
    assert mammogram.metadata.lossy is False


def test_jp2_boxes_around_the_codestream_are_taken_off(tmp_path):
    pixels = make_breast(bits=16)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG2000", irreversible=False)
    assert stream.getvalue()[4:8] == b"jP  "
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        bits_stored=16,
        transfer_syntax=uid.JPEG2000Lossless,
        frame=stream.getvalue(),
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_a_frame_in_several_fragments_is_joined(tmp_path):
    pixels = make_breast()
    frame = encode_frame(pixels, uid.JPEG2000Lossless, 12)
    pieces = [frame[i : i + 1000] for i in range(0, len(frame), 1000)]
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" + b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<L", len(piece)) + piece for piece in pieces
    )
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        transfer_syntax=uid.JPEG2000Lossless,
        frame=frame,
        PixelData=items,
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_big_endian_8_bit_samples_in_16_bit_words(tmp_path):
    pixels = make_breast(40, 30, bits=8)
    swapped = pixels.reshape(-1, 2)[:, ::-1].tobytes()  # PS3.5 8.2: OW swaps each pair
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, bits_stored=8, transfer_syntax=uid.ExplicitVRBigEndian
    )
    dataset = pydicom.dcmread(path)
    dataset.PixelData = swapped
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_video_is_refused(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=uid.MPEG2MPML, frame=b"\0" * 8)
    with pytest.raises(DataError, match=r"^a\.dcm: the transfer syntax MPEG2 .* is not read"):
        read_mammogram(path)


def test_the_real_digitised_film(real_data):
    """MG1_J2KI.dcm: Modality RG, Secondary Capture, lossy JPEG 2000, left MLO."""
    path = real_data / "dicom" / "MG1_J2KI.dcm"
    mammogram = read_mammogram(path, salt="salt")
    dataset = pydicom.dcmread(path)
    dataset.pixel_array_options(decoding_plugin="pillow")
    np.testing.assert_array_equal(mammogram.pixels, dataset.pixel_array)  # already canonical
    facts = mammogram.metadata
    assert (facts.view, facts.laterality, facts.age_years) == ("MLO", "L", 75)
    assert (facts.bits_stored, facts.lossy, facts.presentation_intent) == (12, True, "")
    assert facts.orientation_source == "PatientOrientation"
    shown = mammogram.display()
    assert shown.shape == (4664, 3064)
    assert shown.dtype == np.float32
    # WindowCenter 2047, WindowWidth 4095, PS3.3 C.11.2.1.2.1: y = (x − 2046.5)/4094 + 0.5.
    expected = (mammogram.pixels[::97, ::89].astype(np.float64) - 2046.5) / 4094 + 0.5
    np.testing.assert_allclose(shown[::97, ::89], np.clip(expected, 0, 1), atol=1e-6)
