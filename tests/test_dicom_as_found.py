"""Files that break a rule in a way that leaves no doubt about the image: they are read."""

import io
import struct

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from mammo_tf.codecs import openjpeg
from mammo_tf.codecs.images import read_grey_image
from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import DataError
from mammo_tf.testing import (
    encode_frame,
    encode_jpeg_lossless,
    make_breast,
    write_mammogram,
)

TABLE = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
DELIMITER = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


def item(content):
    return b"\xfe\xff\x00\xe0" + struct.pack("<L", len(content)) + content


def bare(path, *, implicit, little=True):
    """Returns the data set of a file, without preamble and file meta information."""
    dataset = pydicom.dcmread(path)
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    buffer = io.BytesIO()
    plain = Dataset(dataset)
    pydicom.dcmwrite(buffer, plain, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.dcm", "im001", "IM.IMA"])
@pytest.mark.parametrize(
    ("implicit", "little", "syntax"),
    [
        (True, True, uid.ImplicitVRLittleEndian),
        (False, True, uid.ExplicitVRLittleEndian),
        (False, False, uid.ExplicitVRBigEndian),
    ],
)
def test_a_bare_data_set_is_read_whatever_its_name(tmp_path, name, implicit, little, syntax):
    content = bare(write_mammogram(tmp_path / "whole"), implicit=implicit, little=little)
    path = tmp_path / name
    path.write_bytes(content)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert mammogram.metadata.transfer_syntax_uid == syntax
    assert mammogram.metadata.notes == (
        f"Preamble and file meta information are missing; read as {syntax.name}.",
    )
    np.testing.assert_array_equal(read_grey_image(path).pixels, make_breast())
    path.write_bytes(content[:-100])
    with pytest.raises(DataError, match="cut off"):
        read_mammogram(path)


@pytest.mark.parametrize("start", [128, 132])
def test_file_meta_information_without_its_preamble(tmp_path, start):
    path = write_mammogram(tmp_path / "a", transfer_syntax=uid.JPEG2000Lossless)
    path.write_bytes(path.read_bytes()[start:])
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


def test_what_only_looks_a_little_like_a_data_set_is_none(tmp_path):
    path = tmp_path / "a"
    for start in (
        b"\x08\x00\x05\x00" + b"\xff" * 8,
        b"\x08\x00\x05\x00\x0b\x00\x00\x00ISO_",
        b"\x02\0",
    ):
        path.write_bytes(start + bytes(300))
        with pytest.raises(DataError, match="not a DICOM file"):
            read_mammogram(path)


@pytest.mark.parametrize("declared", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian])
def test_a_data_set_of_the_other_value_representation(tmp_path, declared):
    other = uid.ExplicitVRLittleEndian if declared.is_implicit_VR else uid.ImplicitVRLittleEndian
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=declared)
    meta = path.read_bytes()
    end = 144 + struct.unpack_from("<L", meta, 140)[0]
    content = bare(path, implicit=other.is_implicit_VR)
    path.write_bytes(meta[:end] + content)
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


def insert(path, element, before=b"\x18\x00\x01\x51CS"):
    """Puts the bytes of an element into an explicit file, before View Position by default."""
    content = path.read_bytes()
    position = content.index(before)
    path.write_bytes(content[:position] + element + content[position:])


VALUE = b"MAMMOGRAPHIC"


@pytest.mark.parametrize(
    "header",
    [
        b"\0\0" + struct.pack("<H", len(VALUE)),  # as after a short VR
        b"\0\0\0\0" + struct.pack("<L", len(VALUE)),  # as after a long one
        struct.pack("<L", len(VALUE)),  # implicit
        b"??" + struct.pack("<H", len(VALUE)),
        b"  " + struct.pack("<H", len(VALUE)),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_an_element_without_value_representation_is_skipped(tmp_path, header, count):
    path = write_mammogram(tmp_path / "a.dcm")
    for number in range(count):
        insert(path, struct.pack("<HH", 0x0018, 0x1508 + number) + header + VALUE)
    content = path.read_bytes()
    assert content.count(VALUE) == count
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert mammogram.metadata.view == "MLO"  # what follows is read
    assert mammogram.metadata.notes == (f"{count} elements have no value representation (VR).",)


def test_a_needed_element_without_value_representation_is_read_by_the_dictionary(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", ImagerPixelSpacing=[0.07, 0.08])
    content = path.read_bytes()
    for tag, vr in ((b"\x28\x00\x10\x00", b"US"), (b"\x18\x00\x64\x11", b"DS")):
        assert content.count(tag + vr) == 1
        content = content.replace(tag + vr, tag + b"\0\0")
    path.write_bytes(content)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert mammogram.metadata.pixel_spacing_mm == (0.07, 0.08)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGBaseline8Bit])
@pytest.mark.parametrize("padding", [b"", bytes(30)])
def test_a_missing_delimiter_where_the_frame_is_whole(tmp_path, syntax, padding):
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    path = write_mammogram(
        tmp_path / "a.dcm", make_breast(bits=bits), bits_stored=bits, transfer_syntax=syntax
    )
    right = read_mammogram(path)
    content = path.read_bytes()
    assert content.endswith(DELIMITER)
    path.write_bytes(content[: -len(DELIMITER)] + padding)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, right.pixels)
    assert mammogram.metadata.notes == ("The delimiter after the pixel data is missing.",)
    path.write_bytes(content[: -len(DELIMITER) - 9])
    with pytest.raises(DataError, match="cut off"):
        read_mammogram(path)


@pytest.mark.parametrize("extra", [1, 2, 510, 12286])
def test_bytes_after_native_pixels_are_cut_off(tmp_path, extra):
    path = write_mammogram(tmp_path / "a.dcm", PixelData=make_breast().tobytes() + b"\7" * extra)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert len(mammogram.metadata.notes) == 1


def test_pixel_data_of_the_other_kind_than_its_transfer_syntax(tmp_path):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    content = TABLE + item(frame)
    for value in (content, content + bytes(12288)):  # shorter and longer than native pixels
        path = write_mammogram(tmp_path / "a.dcm", PixelData=value)
        with pytest.raises(DataError, match="is compressed although the transfer syntax"):
            read_mammogram(path)
    path = write_mammogram(tmp_path / "b.dcm", transfer_syntax=uid.JPEG2000Lossless)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = make_breast().tobytes()
    dataset["PixelData"].is_undefined_length = False
    content = path.read_bytes()
    position = content.index(b"\xe0\x7f\x10\x00OB")
    native = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 12288) + make_breast().tobytes()
    path.write_bytes(content[:position] + native)
    with pytest.raises(DataError, match="is not encapsulated although the transfer syntax"):
        read_mammogram(path)


def test_pixels_that_begin_like_an_item_are_pixels(tmp_path):
    pixels = make_breast(bits=16)
    pixels[0, :2] = 0xFFFE, 0xE000
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=16)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


@pytest.mark.parametrize(
    "table",
    [
        lambda size: struct.pack("<2L", 0, size),  # an entry for the end
        lambda size: struct.pack("<L", 12345),
        lambda size: struct.pack("<3L", 0, 8, 16),
        lambda size: b"\0\0\0\0\0\0",
    ],
)
def test_an_offset_table_that_is_wrong_does_not_matter(tmp_path, table):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    frame += b"\0" * (len(frame) % 2)
    content = item(table(len(frame) + 8)) + item(frame)
    path = write_mammogram(
        tmp_path / "a.dcm", transfer_syntax=uid.JPEG2000Lossless, frame=frame, PixelData=content
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.RLELossless, uid.JPEGBaseline8Bit])
@pytest.mark.parametrize("number", [None, 0, 1])
def test_a_second_frame_is_never_left_out_silently(tmp_path, syntax, number):
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = make_breast(bits=bits)
    frame = encode_frame(pixels, syntax, bits)
    frame += b"\0" * (len(frame) % 2)
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        bits_stored=bits,
        transfer_syntax=syntax,
        frame=frame,
        PixelData=TABLE + item(frame) * 2,
        NumberOfFrames=number,
    )
    with pytest.raises(DataError, match="several frames are not read"):
        read_mammogram(path)


@pytest.mark.parametrize("padding", [b"", b"\0", bytes(9)])
def test_jpeg_2000_without_end_marker(tmp_path, padding):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12).rstrip(b"\0")
    assert frame.endswith(b"\xff\xd9")
    path = write_mammogram(
        tmp_path / "a.dcm", transfer_syntax=uid.JPEG2000Lossless, frame=frame[:-2] + padding
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


@pytest.mark.parametrize("padding", [bytes(65), bytes(5000), b"\xff" * 500, bytes(range(256)) * 9])
def test_padding_after_the_end_of_a_jpeg(tmp_path, padding):
    pixels = make_breast(33, 21)
    frame = encode_jpeg_lossless(pixels, 12, 1) + padding
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, transfer_syntax=uid.JPEGLosslessSV1, frame=frame
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


@pytest.mark.parametrize(("end", "approximation"), [(63, 0), (0, 0x10), (255, 0xF0)])
def test_a_lossless_jpeg_with_parameters_that_mean_nothing(tmp_path, end, approximation):
    pixels = make_breast(33, 21)
    frame = bytearray(encode_jpeg_lossless(pixels, 12, 6))
    scan = frame.index(b"\xff\xda")
    assert frame[scan + 7 : scan + 10] == b"\x06\0\0"
    frame[scan + 8 : scan + 10] = end, approximation
    path = write_mammogram(
        tmp_path / "a.dcm", pixels, transfer_syntax=uid.JPEGLossless, frame=bytes(frame)
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


@pytest.mark.parametrize("written", [b"\0\0\0", b"\0\x3f\x01", b"\1\x3f\0"])
def test_a_sequential_jpeg_with_a_wrong_scan_header(tmp_path, written):
    pixels = make_breast(bits=8)
    frame = encode_frame(pixels, uid.JPEGBaseline8Bit, 8)
    options = {"bits_stored": 8, "transfer_syntax": uid.JPEGBaseline8Bit}
    right = read_mammogram(write_mammogram(tmp_path / "a.dcm", pixels, frame=frame, **options))
    scan = frame.index(b"\xff\xda")
    frame = frame[: scan + 7] + written + frame[scan + 10 :]
    path = write_mammogram(tmp_path / "b.dcm", pixels, frame=frame, **options)
    np.testing.assert_array_equal(read_mammogram(path).pixels, right.pixels)


def as_signed(frame):
    """Sets the sign bit of a JPEG 2000 stream (SIZ, Ssiz): the samples move down by half."""
    return frame[:42] + bytes([frame[42] | 0x80]) + frame[43:]


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEG2000])
def test_signed_jpeg_2000_is_a_bit_pattern(tmp_path, bits, syntax):
    pixels = make_breast(bits=bits)
    frame = encode_frame(pixels, syntax, bits, compression_ratio=4)
    options = {"transfer_syntax": syntax, "bits_stored": bits}
    plain = read_mammogram(write_mammogram(tmp_path / "a.dcm", pixels, frame=frame, **options))
    path = write_mammogram(
        tmp_path / "b.dcm", pixels, frame=as_signed(frame), laterality=None, **options
    )
    half = 2 ** (bits - 1)
    np.testing.assert_array_equal(read_mammogram(path).pixels ^ half, plain.pixels)


@pytest.mark.parametrize("high_bit", [15, 11, 7])
def test_the_codestream_has_its_own_depth(tmp_path, high_bit):
    path = write_mammogram(
        tmp_path / "a.dcm", transfer_syntax=uid.JPEG2000Lossless, HighBit=high_bit
    )
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


def test_a_codestream_of_16_bits_with_12_at_the_top(tmp_path):
    frame = encode_frame(make_breast() << 4, uid.JPEG2000Lossless, 16)
    options = {"transfer_syntax": uid.JPEG2000Lossless, "frame": frame}
    path = write_mammogram(tmp_path / "a.dcm", HighBit=15, **options)
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())
    path = write_mammogram(tmp_path / "a.dcm", HighBit=13, **options)
    with pytest.raises(DataError, match="HighBit=13 does not fit BitsStored=12 nor the comp"):
        read_mammogram(path)


@pytest.mark.parametrize("offset", [(20, 10), (0, 7), (3, 0), (640, 512)])
@pytest.mark.parametrize("irreversible", [False, True])
@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_off_the_origin(tmp_path, offset, irreversible, bits, signed):
    openjpeg.configure()
    import glymur  # finds the codec when it is imported

    pixels = make_breast(75, 51, bits=bits)
    target = tmp_path / "a.j2k"
    options = {"cratios": [4], "irreversible": True} if irreversible else {}
    glymur.Jp2k(target, data=pixels, grid_offset=offset, **options)
    frame = target.read_bytes()
    if bits == 12:  # glymur writes 16, of which Bits Stored says that 12 count
        assert frame[42] == 15
    assert struct.unpack_from(">2L", frame, 16) == (offset[1], offset[0])
    stored = 8 if bits == 8 else 16
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        bits_stored=stored,
        transfer_syntax=uid.JPEG2000,
        frame=as_signed(frame) if signed else frame,
        laterality=None,
    )
    expected = glymur.Jp2k(target)[:]
    expected = expected ^ expected.dtype.type(2 ** (stored - 1)) if signed else expected
    np.testing.assert_array_equal(read_mammogram(path).pixels, expected)


@pytest.mark.parametrize("number", [0, "", 1])
def test_number_of_frames_of_a_single_one(tmp_path, number):
    path = write_mammogram(tmp_path / "a.dcm", NumberOfFrames=number)
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast())


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        (
            {"SOPClassUID": uid.BasicTextSRStorage, "Modality": "SR"},
            r"the file is a structured report \(SR\) and holds no image; leave it out",
        ),
        (
            {"SOPClassUID": uid.MammographyCADSRStorage, "Modality": "SR"},
            r"the file is a structured report \(SR\) and holds no image",
        ),
        (
            {"SOPClassUID": uid.GrayscaleSoftcopyPresentationStateStorage, "Modality": "PR"},
            "of the kind Grayscale Softcopy Presentation State Storage and holds no image",
        ),
        ({}, "there is no pixel data: the file is cut off or holds no image; copy it again"),
    ],
)
def test_objects_without_an_image_are_named(tmp_path, elements, message):
    path = write_mammogram(tmp_path / "a.dcm", PixelData=None, **elements)
    with pytest.raises(DataError, match=message):
        read_mammogram(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (uid.DigitalMammographyXRayImageStorageForPresentation, "1.2.840.10008.1.3.10", "DICOMDIR"),
        (uid.ExplicitVRLittleEndian, "1.2.840.10008.1.2.4.112", "JPEG XL is not read"),
        (uid.ExplicitVRLittleEndian, "1.2.840.10008.1.2.4.205", r"are on a server \(JPIP\)"),
        (uid.ExplicitVRLittleEndian, "1.2.840.113619.5.2", "is a manufacturer's own"),
        (uid.ExplicitVRLittleEndian, "1.2.840.10008.1.2.9.9", "is missing or unknown"),
    ],
)
def test_file_meta_information_that_says_why_not(tmp_path, old, new, message):
    path = write_mammogram(tmp_path / "DICOMDIR")
    content = path.read_bytes()
    for tag in (b"\x02\0\x02\0UI", b"\x02\0\x10\0UI"):
        start = content.index(tag) + 8
        length = struct.unpack_from("<H", content, start - 2)[0]
        if content[start : start + length].rstrip(b"\0") == old.encode():
            value = new.encode() + b"\0" * (len(new) % 2)
            content = (
                content[: start - 2]
                + struct.pack("<H", len(value))
                + value
                + content[start + length :]
            )
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_mammogram(path)


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_look_up_tables_and_padding_in_the_other_encodings(tmp_path, syntax):
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [3, 2, 12])
    lut.add_new("LUTData", "US", [0, 1365, 4095])
    pixels = np.zeros((4, 5), np.uint16)
    pixels[0] = [2, 3, 4, 5, 4000]
    path = write_mammogram(
        tmp_path / "a.dcm",
        pixels,
        laterality=None,
        transfer_syntax=syntax,
        VOILUTSequence=[lut],
        PixelPaddingValue=4000,
    )
    mammogram = read_mammogram(path)
    assert mammogram.metadata.notes == ()
    assert mammogram.padding[0].tolist() == [False] * 4 + [True]
    shown = mammogram.display()[0]
    np.testing.assert_allclose(shown[:4], [0, 1365 / 4095, 1, 1], atol=1e-6)
