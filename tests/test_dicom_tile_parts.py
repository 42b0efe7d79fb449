"""JPEG 2000 and JPEG frames whose headers claim more than their bytes hold: refused undecoded."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from mammo_tf.dicom import read_mammogram, samples
from mammo_tf.errors import DataError
from mammo_tf.testing import encode_frame, make_breast, write_mammogram

DATA = Path(__file__).parent / "data" / "hostile"
SOT, COD, SOC_SIZ_BYTES = b"\xff\x90", b"\xff\x52", 2 + 2 + 41


@pytest.fixture(autouse=True)
def undecoded(monkeypatch, request):
    """Fails where a decoder sees the frame, unless the test asks for decoding."""
    if "decodes" not in request.fixturenames:
        monkeypatch.setattr(samples, "_run_decoder", lambda *_: pytest.fail("decoded"))


@pytest.fixture
def decodes():
    """Marks a test that decodes."""


def tiled(pixels, tile=16, **options):
    """A lossless 8-bit codestream in tiles."""
    stream = io.BytesIO()
    options = {"tile_size": (tile, tile), "irreversible": False, "no_jp2": True, **options}
    Image.fromarray(pixels).save(stream, format="JPEG2000", **options)
    return stream.getvalue()


def parts(frame):
    """(main header, tile-parts) of a codestream that ends in EOC."""
    position = start = frame.index(SOT)
    found = []
    while frame[position : position + 2] == SOT:
        length = struct.unpack_from(">L", frame, position + 6)[0]
        found.append(frame[position : position + length])
        position += length
    return frame[:start], found


def write(tmp_path, frame, pixels, syntax=uid.JPEG2000Lossless, bits=8):
    return write_mammogram(
        tmp_path / "a.dcm", pixels, bits_stored=bits, transfer_syntax=syntax, frame=frame
    )


def refuse(path, message):
    with pytest.raises(DataError, match=message) as caught:
        read_mammogram(path)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("decodes")
def test_all_tiles_in_any_order_are_read(tmp_path):
    pixels = make_breast(64, 48, bits=8)
    header, found = parts(tiled(pixels))
    assert len(found) == 12
    frame = header + b"".join(found[::-1]) + b"\xff\xd9"
    path = write(tmp_path, frame, pixels)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


@pytest.mark.parametrize("kept", [11, 6, 1])
def test_missing_tiles_are_counted(tmp_path, kept):
    pixels = make_breast(64, 48, bits=8)
    header, found = parts(tiled(pixels))
    for chosen in (found[:kept], found[-kept:]):
        path = write(tmp_path, header + b"".join(chosen) + b"\xff\xd9", pixels)
        refuse(path, f"incomplete: {kept} of 12 tiles are there")
    refuse(DATA / "tiles_1_of_12.dcm", "incomplete: 1 of 12")


def test_a_tile_twice_empty_or_out_of_range(tmp_path):
    pixels = make_breast(64, 48, bits=8)
    header, found = parts(tiled(pixels))
    outside = bytearray(found[3])
    struct.pack_into(">H", outside, 4, 12)
    empty = bytearray(found[3][:14])
    struct.pack_into(">L", empty, 6, 14)
    more_parts = bytearray(found[3])
    more_parts[11] = 2
    for odd, message in (
        (found[2], "contradict each other"),
        (bytes(outside), "contradict each other"),
        (bytes(empty), "incomplete: 11 of 12"),
        (bytes(more_parts), "incomplete: 11 of 12"),
    ):
        frame = header + b"".join((*found[:3], odd, *found[4:])) + b"\xff\xd9"
        refuse(write(tmp_path, frame, pixels), message)


def test_small_precincts_are_refused_wherever_the_style_stands(tmp_path):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    start = frame.index(COD)
    length = struct.unpack_from(">H", frame, start + 2)[0]
    style = bytearray(frame[start : start + 2 + length])
    style[4] |= 1
    style += b"\x11" * (style[9] + 1)
    struct.pack_into(">H", style, 2, len(style) - 2)
    main = frame[:start] + style + frame[start + 2 + length :]
    refuse(write(tmp_path, main, make_breast(), bits=12), "precincts of less than 32 pixels")
    tile = frame.index(SOT)
    of_tile = bytearray(frame[: tile + 12] + style + frame[tile + 12 :])
    struct.pack_into(">L", of_tile, tile + 6, struct.unpack_from(">L", frame, tile + 6)[0] + 18)
    of_tile[tile + 6 : tile + 10] = struct.pack(
        ">L", struct.unpack_from(">L", frame, tile + 6)[0] + len(style)
    )
    refuse(write(tmp_path, bytes(of_tile), make_breast(), bits=12), "precincts of less than 32")
    refuse(DATA / "j2k_precincts_2000.dcm", "precincts of less than 32 pixels")


def test_more_packets_than_bytes_are_refused(tmp_path):
    frame = bytearray(encode_frame(make_breast(), uid.JPEG2000Lossless, 12))
    struct.pack_into(">H", frame, frame.index(COD) + 6, 65535)  # layers
    refuse(write(tmp_path, bytes(frame), make_breast(), bits=12), "precincts in 65535 layers")


@pytest.mark.usefixtures("decodes")
def test_ordinary_precincts_and_tile_sizes_are_read(tmp_path):
    pixels = make_breast(300, 200, bits=8)
    for options in (
        {"tile": 128, "precinct_size": (64, 64), "codeblock_size": (32, 32)},
        {"tile": 512, "precinct_size": (128, 128), "progression": "RPCL"},
        {"tile": 512, "precinct_size": (256, 256), "progression": "PCRL", "num_resolutions": 3},
    ):
        path = write(tmp_path, tiled(pixels, **options), pixels)
        np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)


def test_too_many_tiles():
    refuse(DATA / "j2k_manytiles.dcm", "65535 JPEG 2000 tiles are refused")


def test_a_large_image_in_a_few_bytes(tmp_path):
    frame = bytearray(encode_frame(make_breast(), uid.JPEG2000Lossless, 12))
    struct.pack_into(">2L", frame, 8, 9000, 9900)
    struct.pack_into(">2L", frame, 24, 9000, 9900)
    path = write_mammogram(
        tmp_path / "a.dcm",
        transfer_syntax=uid.JPEG2000Lossless,
        frame=bytes(frame),
        Rows=9900,
        Columns=9000,
    )
    refuse(path, "claims 89100000 pixels in .* bytes, which cannot be")


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [(0xC0, 2000, 2000), (0xC3, 300, 300), (0xF7, 30000, 500), (0xF7, 5000, 5000)],
)
def test_a_jpeg_frame_header_that_its_bytes_cannot_hold(tmp_path, kind, rows, columns):
    header = struct.pack(">BBHBHHB", 0xFF, kind, 11, 8, rows, columns, 1) + b"\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" + bytes(1500)
    path = write_mammogram(
        tmp_path / "a.dcm",
        make_breast(bits=8),
        bits_stored=8,
        transfer_syntax=uid.JPEGLSLossless if kind == 0xF7 else uid.JPEGBaseline8Bit,
        frame=b"\xff\xd8" + header + scan + b"\xff\xd9",
        Rows=rows,
        Columns=columns,
    )
    refuse(path, f"claims {rows * columns} pixels in .* bytes, which cannot be")


def test_jpeg_frames_that_no_transfer_syntax_in_use_allows(tmp_path):
    pixels = make_breast(bits=8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", progressive=True)
    path = write(tmp_path, stream.getvalue(), pixels, uid.JPEGBaseline8Bit)
    refuse(path, "progressive, hierarchical and arithmetic JPEG are not read")
    frame = encode_frame(pixels, uid.JPEGBaseline8Bit, 8)
    scan = frame[frame.index(b"\xff\xda") : -2]
    path = write(tmp_path, frame[:-2] + scan + b"\xff\xd9", pixels, uid.JPEGBaseline8Bit)
    refuse(path, "several scans")


def test_a_second_frame_header_and_a_size_beside_it(tmp_path):
    pixels = make_breast(bits=8)
    frame = encode_frame(pixels, uid.JPEGBaseline8Bit, 8)
    start = frame.index(b"\xff\xc0")
    second = struct.pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 60_000, 60_000, 1) + b"\x01\x11\x00"
    changed = frame[: start + 13] + second + frame[start + 13 :]
    refuse(write(tmp_path, changed, pixels, uid.JPEGBaseline8Bit), "several frames")
    size = b"\xff\xf8\x00\x0a\x04\x03" + bytes(6)  # LSE 4: oversize image dimensions
    changed = frame[:2] + size + frame[2:]
    refuse(write(tmp_path, changed, pixels, uid.JPEGBaseline8Bit), "size outside its frame header")


def test_markers_without_end(tmp_path):
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    start = frame.index(COD)
    changed = frame[:start] + b"\xff\x64\x00\x02" * 200_001 + frame[start:]
    refuse(write(tmp_path, changed, make_breast(), bits=12), "more markers than any encoder")
