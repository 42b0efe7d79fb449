"""Files that are cut off, damaged, or lie about their size: one line, and no memory taken."""

import dataclasses
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.encaps import encapsulate

from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import CodecError, DataError
from mammo_tf.testing import encode_frame, make_breast, write_mammogram

ENCODED = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEGBaseline8Bit,
]


def refuse(path, message, **options):
    """Checks that reading fails with one line that names the file."""
    with pytest.raises(DataError, match=message) as caught:
        read_mammogram(path, **options)
    assert str(caught.value).startswith(f"{path.name}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def wrapped(tmp_path, frame, *, syntax=uid.JPEG2000Lossless, **options):
    """Writes a file whose one frame is `frame`, whatever that is."""
    return write_mammogram(tmp_path / "a.dcm", transfer_syntax=syntax, frame=frame, **options)


def test_missing_folder_empty_and_foreign_files(tmp_path):
    refuse(tmp_path / "gone.dcm", "no such file; check the path")
    refuse(tmp_path, "expected a DICOM file, received a folder or device")
    empty = tmp_path / "empty.dcm"
    empty.write_bytes(b"")
    refuse(empty, "not a DICOM file")
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    refuse(picture, "not a DICOM file: it is a PNG image")
    noise = tmp_path / "noise.dcm"
    noise.write_bytes(bytes(range(256)))
    refuse(noise, "not a DICOM file .*give a DICOM Part 10 file")
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(bytes(128) + b"DICM")
    refuse(bare, "transfer syntax is missing or unknown")


def test_only_the_file_name_is_told_and_only_its_printable_part(tmp_path):
    folder = tmp_path / "Jane Doe"
    folder.mkdir()
    path = folder / "a\nb.dcm"
    with pytest.raises(DataError) as caught:
        read_mammogram(path)
    assert str(caught.value).startswith("a?b.dcm: ")
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("syntax", ENCODED, ids=lambda syntax: syntax.keyword)
def test_a_file_cut_off_anywhere_is_refused(tmp_path, syntax):
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = make_breast(64, 48, bits=bits)
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax)
    content = path.read_bytes()
    read_mammogram(path)
    for end in [*range(0, len(content) - 9, len(content) // 60), len(content) - 9]:
        path.write_bytes(content[:end])
        refuse(path, r"; |\.$")


@pytest.mark.parametrize("syntax", ENCODED, ids=lambda syntax: syntax.keyword)
def test_damaged_bytes_never_raise_anything_else(tmp_path, syntax):
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = make_breast(64, 48, bits=bits)
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax)
    content = path.read_bytes()
    rng = np.random.default_rng(11)
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(132, len(damaged), 4):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_mammogram(path)
        except (DataError, CodecError) as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEG2000, uid.JPEGBaseline8Bit])
def test_a_codestream_cut_off_inside_honest_items_is_refused(tmp_path, syntax):
    # OpenJPEG would decode what is there and leave the rest grey.
    bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
    pixels = make_breast(64, 48, bits=bits)
    frame = encode_frame(pixels, syntax, bits)
    marker = frame.rindex(b"\xff\xd9")
    ends = [len(frame) // 3, len(frame) - 100, marker - 3]
    if syntax == uid.JPEGBaseline8Bit:  # a JPEG does not say how long its scan is
        ends.append(marker)
    for end in ends:
        path = wrapped(tmp_path, frame[:end], syntax=syntax, pixels=pixels, bits_stored=bits)
        refuse(path, r"pixel data is cut off|cannot be decoded; the file is damaged")


@pytest.mark.parametrize("extra", [-200, -2, 12288, 30000])
def test_native_pixel_data_of_the_wrong_length(tmp_path, extra):
    content = make_breast().tobytes()
    content = content[:extra] if extra < 0 else content + bytes(extra)
    path = write_mammogram(tmp_path / "a.dcm", PixelData=content)
    state = "cut off" if extra < 0 else "of the wrong length"
    refuse(path, f"pixel data is {state}: expected 12288 bytes, received {12288 + extra}")


def test_missing_pixel_data(tmp_path):
    refuse(write_mammogram(tmp_path / "a.dcm", PixelData=None), "there is no pixel data")
    path = write_mammogram(tmp_path / "b.dcm", PixelData=b"")
    refuse(path, "there is no pixel data")


@pytest.mark.parametrize("rows", [0, None])
def test_missing_size(tmp_path, rows):
    path = write_mammogram(tmp_path / "a.dcm", Rows=rows)
    refuse(path, "Rows and Columns must be at least 1. Received: Rows=(0|None), Columns=64")


def peak_bytes(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_claim_of_four_gigapixels_takes_no_memory(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", Rows=65535, Columns=65535)
    message = "65535 x 65535 pixels are more than max_pixels=100000000"
    assert peak_bytes(lambda: refuse(path, message)) < 5_000_000
    refuse(write_mammogram(tmp_path / "b.dcm"), "more than max_pixels=1000", max_pixels=1000)


@pytest.mark.parametrize("size", [2**20, 2**31, 2**32 - 1])
def test_a_codestream_that_claims_terabytes_is_not_decoded(tmp_path, monkeypatch, size):
    from mammo_tf.dicom import samples

    monkeypatch.setattr(samples, "_run_decoder", lambda *_: pytest.fail("decoded"))
    frame = bytearray(encode_frame(make_breast(), uid.JPEG2000Lossless, 12))
    struct.pack_into(">2L", frame, 8, size, size)  # Xsiz, Ysiz
    struct.pack_into(">2L", frame, 24, size, size)  # XTsiz, YTsiz
    refuse(
        wrapped(tmp_path, bytes(frame)),
        f"Rows x Columns is 96 x 64 but the compressed image is {size} x {size}",
    )


def test_codestream_claims_that_make_no_sense(tmp_path):
    original = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    changes = {
        "impossible claims": [(24, ">2L", (1, 0)), (24, ">2L", (2**32 - 1, 0)), (43, "B", (2,))],
        "expected one grey component, received 3": [(40, ">H", (3,))],
        "has 38 bits, more than BitsAllocated=16": [(42, "B", (37,))],
        "is not JPEG 2000": [(0, ">H", (0,))],
    }
    for message, edits in changes.items():
        for position, code, values in edits:
            frame = bytearray(original)
            struct.pack_into(code, frame, position, *values)
            refuse(wrapped(tmp_path, bytes(frame)), message)


def test_a_million_tiles_are_refused(tmp_path):
    frame = bytearray(encode_frame(make_breast(1000, 1000), uid.JPEG2000Lossless, 12))
    struct.pack_into(">2L", frame, 24, 1, 1)
    path = wrapped(tmp_path, bytes(frame), pixels=make_breast(1000, 1000))
    refuse(path, "impossible claims")


def test_tiny_code_blocks_are_refused(tmp_path):
    frame = bytearray(encode_frame(make_breast(), uid.JPEG2000Lossless, 12))
    position = frame.index(b"\xff\x52")  # COD; the test may search, the library does not
    frame[position + 10 : position + 12] = b"\x00\x00"  # 4 x 4
    refuse(wrapped(tmp_path, bytes(frame)), "code blocks of 16 samples are refused")


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGBaseline8Bit])
def test_rows_and_columns_exchanged_do_not_scramble_the_image(tmp_path, syntax):
    pixels = make_breast(bits=8)
    frame = encode_frame(pixels, syntax, 8)
    path = wrapped(tmp_path, frame, syntax=syntax, pixels=pixels.T, bits_stored=8)
    refuse(path, "Rows x Columns is 64 x 96 but the compressed image is 96 x 64")


def test_a_jpeg_that_is_none(tmp_path):
    pixels = make_breast(bits=8)
    options = {"syntax": uid.JPEGBaseline8Bit, "pixels": pixels, "bits_stored": 8}
    refuse(wrapped(tmp_path, b"GIF89a", **options), "is not JPEG, as its transfer syntax claims")
    refuse(wrapped(tmp_path, b"\xff\xd8\xff\xd9", **options), "has no frame header")


def test_a_deflate_bomb_stops_at_the_limit(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=uid.DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    meta_end = 144 + struct.unpack_from("<L", content, 140)[0]
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(compressor.compress(bytes(2**24)) for _ in range(16)) + compressor.flush()
    path.write_bytes(content[:meta_end] + bomb)
    assert path.stat().st_size < 300_000
    limit = 2 * 10_000 + 64 * 2**20
    refuse(path, f"grows beyond {limit} bytes", max_pixels=10_000)


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "a.dcm"
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        os.truncate(path, 2**36)  # sparse: 64 GiB that take no room
    message = "received a file of more than 67108866 bytes; raise max_pixels"
    assert peak_bytes(lambda: refuse(path, message, max_pixels=1)) < 1_000_000


def test_an_element_that_claims_four_gigabytes(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm")
    content = bytearray(path.read_bytes())
    position = content.index(b"\xe0\x7f\x10\x00OW")
    struct.pack_into("<L", content, position + 8, 2**32 - 2)
    path.write_bytes(content)
    assert peak_bytes(lambda: read_mammogram(path)) < 5_000_000  # the claim alone takes nothing


def test_deep_sequences_end_in_one_line(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm")
    content = path.read_bytes()
    start = content.index(b"\x08\x00\x16\x00UI")
    opening = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(content[:start] + opening * 20_000 + content[start:])
    refuse(path, "damaged or cut off")


def test_several_frames_in_the_offset_table(tmp_path):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    path = wrapped(tmp_path, frame, PixelData=encapsulate([frame, frame]))
    refuse(path, "several frames are not read")


def test_encapsulation_that_lies(tmp_path):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    table = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
    item = b"\xfe\xff\x00\xe0"
    refuse(wrapped(tmp_path, frame, PixelData=table), "holds no frame")
    # With a defined length, pydicom takes the value as it is.
    path = write_mammogram(tmp_path / "a.dcm", transfer_syntax=uid.JPEG2000Lossless, frame=frame)
    dataset = pydicom.dcmread(path)
    for content, message in (
        (table + item + struct.pack("<L", len(frame) + 5000) + frame, "cut off"),
        (table + item + b"\xff\xff\xff\xff" + frame, "encapsulation of the pixel data is damaged"),
        (b"\x01\x02\x03\x04" + frame, "encapsulation of the pixel data is damaged"),
    ):
        from mammo_tf.dicom import header, samples

        parsed = header.read_header(path.read_bytes(), "a.dcm", 10**6)
        pixels = dataclasses.replace(parsed.pixels, value=content, has_defined_length=False)
        parsed = dataclasses.replace(parsed, pixels=pixels)
        with pytest.raises(DataError, match=message):
            samples.decode_samples(parsed)
    assert dataset.Rows == 96


@pytest.mark.parametrize(
    "segments",
    [
        bytes(2),
        bytes(64),
        struct.pack("<16L", 2, 64, 10**6, *[0] * 13),
        struct.pack("<16L", 2, 64, 64, *[0] * 13) + b"\x00\x01",
        struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 60,
        struct.pack("<16L", 2, 64, 66, *[0] * 13) + b"\x81\x00" * 2,
    ],
)
def test_damaged_run_lengths(tmp_path, segments, capfd):
    path = wrapped(tmp_path, segments, syntax=uid.RLELossless)
    refuse(path, "RLE|holds no frame|no pixel data|cannot")
    assert capfd.readouterr().err == ""  # the plug-in would print a panic


def test_a_value_that_is_no_number(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", WindowCenter="1234", WindowWidth="9999")
    path.write_bytes(path.read_bytes().replace(b"1234", b"12x4"))
    notes = read_mammogram(path).metadata.notes  # windows are for display only
    assert [note for note in notes if "WindowCenter" in note]
    dataset = pydicom.dcmread(path)
    dataset.add_new("Rows", "LO", "many")
    dataset.save_as(path)
    refuse(path, "Rows cannot be read; export the file again")
