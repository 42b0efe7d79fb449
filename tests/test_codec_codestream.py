"""Codestream headers by hand: SIZ and PLT as T.800 defines them, and streams that lie."""

import struct

import numpy as np
import pytest

from mammo_tf.codecs import coder, codestream
from mammo_tf.errors import CodecError


def plt(index, *lengths):
    """A PLT marker's content, from ITU-T T.800 A.7.3: groups of 7 bits, high bit = more."""
    content = bytes([index])
    for length in lengths:
        groups = [length & 0x7F]
        while length := length >> 7:
            groups.append(length & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return content


@pytest.fixture(scope="module")
def image():
    return (np.random.default_rng(0).normal(2000, 100, (90, 70))).astype(np.uint16)


@pytest.fixture(scope="module")
def data(image):
    return coder.encode(image, [40, 10, 1], packet_lengths=True)


def changed(data, marker, offset, layout, value):
    """`data` with one number rewritten, `offset` bytes after the start of the first `marker`."""
    copy = bytearray(data)
    struct.pack_into(layout, copy, data.index(marker) + offset, value)
    return bytes(copy)


def test_packet_lengths_by_hand():
    # 300 = 2·128 + 44: bytes 0x82 0x2C. glymur 0.14.8 would return 44.
    assert codestream.packet_lengths([bytes([0, 0x05, 0x82, 0x2C, 0x01])]) == [5, 300, 1]
    # 2 097 152 = 1·2²¹: bytes 0x81 0x80 0x80 0x00.
    assert codestream.packet_lengths([bytes([0, 0x81, 0x80, 0x80, 0x00])]) == [1 << 21]
    assert codestream.packet_lengths([plt(0, 127, 128), plt(1, 70000)]) == [127, 128, 70000]


@pytest.mark.parametrize(
    "segments",
    [[b"\x01\x05"], [b"\x00\x05", b"\x02\x05"], [b"\x00\x85"], [b"\x00" + b"\xff" * 9 + b"\x01"]],
)
def test_packet_lengths_that_lie(segments):
    with pytest.raises(CodecError):
        codestream.packet_lengths(segments)


def test_header_fields_and_layers(data, image):
    parsed = codestream.parse(data)
    # SIZ: Lsiz 41, Rsiz 0, Xsiz 70, Ysiz 90, …, Ssiz 15 (16 bits, unsigned).
    assert struct.unpack_from(">HHHII", data, 2) == (0xFF51, 41, 0, 70, 90)
    assert parsed.shape == (90, 70) and parsed.dtype == image.dtype
    assert (parsed.num_layers, parsed.num_resolutions) == (3, 6)
    start = data.index(b"\xff\x93") + 2
    assert parsed.layer_bytes[-1] == len(data) - 2 - start
    assert parsed.layer_is_empty == (False, False, False)


def test_a_prefix_is_a_complete_codestream(data):
    parsed = codestream.parse(data)
    for layers in (1, 2, 3):
        prefix = parsed.prefix(layers)
        assert len(prefix) == parsed.prefix_num_bytes(layers)
        tile = prefix.index(b"\xff\x90")
        psot = struct.unpack_from(">I", prefix, tile + 6)[0]
        assert tile + psot + 2 == len(prefix) and prefix.endswith(b"\xff\xd9")
        cod = prefix.index(b"\xff\x52")
        assert struct.unpack_from(">H", prefix, cod + 6)[0] == layers
        assert b"\xff\x58" not in prefix[: tile + 14]
        assert codestream.parse(prefix).layer_bytes is None


def test_a_stream_without_packet_lengths_cannot_be_split(image):
    parsed = codestream.parse(coder.encode(image, [40, 1]))
    with pytest.raises(CodecError, match="no packet lengths"):
        parsed.prefix(1)


def test_images_wider_than_a_precinct_have_more_packets():
    """Precincts cover 2^15 samples, so 40000 columns have two at full resolution only."""
    image = np.arange(40000, dtype=np.uint16).reshape(1, -1)
    parsed = codestream.parse(coder.encode(image, [1], packet_lengths=True))
    assert parsed.num_resolutions == 1
    image = np.repeat(image, 3, axis=0)
    data = coder.encode(image, [10, 1], packet_lengths=True)
    parsed = codestream.parse(data)
    assert parsed.num_resolutions == 2
    np.testing.assert_array_equal(coder.decode(parsed.prefix(2)), image)


def test_every_truncation_is_refused(data):
    for length in (0, 1, 2, 3, 20, 60, 100, 120, 150, 170, len(data) // 2, len(data) - 1):
        with pytest.raises(CodecError):
            codestream.parse(data[:length])
    with pytest.raises(CodecError):
        codestream.parse(data + b"\x00")


@pytest.mark.parametrize(
    ("marker", "offset", "layout", "value", "message"),
    [
        (b"\xff\x4f", 0, ">H", 0x1234, "Expected a JPEG 2000 codestream"),
        (b"\xff\x51", 6, ">I", 2**31, "says it has|more than one tile"),
        (b"\xff\x51", 22, ">I", 35, "more than one tile"),
        (b"\xff\x51", 38, ">H", 3, "not one unsigned component|ends inside a header"),
        (b"\xff\x51", 40, ">B", 31, "not one unsigned component"),
        (b"\xff\x51", 40, ">B", 0x8F, "not one unsigned component"),
        (b"\xff\x52", 4, ">B", 1, "other coding options"),
        (b"\xff\x52", 5, ">B", 2, "other coding options"),
        (b"\xff\x52", 6, ">H", 0, "0 quality layers"),
        (b"\xff\x52", 6, ">H", 65535, "65535 quality layers"),
        (b"\xff\x52", 6, ">H", 4, "18 packet lengths for 4×6"),
        (b"\xff\x52", 9, ">B", 32, "more resolutions"),
        (b"\xff\x5c", 0, ">H", 0xFF60, "marker FF60"),
        (b"\xff\x90", 4, ">H", 1, "more than one tile-part"),
        (b"\xff\x90", 6, ">I", 100, "its length should be"),
        (b"\xff\x58", 0, ">H", 0xFF61, "marker FF61"),
        (b"\xff\x58", 5, ">B", 3, "do not add up|packet lengths for"),
    ],
)
def test_headers_that_lie_are_refused_before_openjpeg(data, marker, offset, layout, value, message):
    with pytest.raises(CodecError, match=message):
        codestream.parse(changed(data, marker, offset, layout, value))


def test_the_pixel_cap_comes_first(data):
    with pytest.raises(CodecError, match=r"90×70 pixels\. Expected 1 to 6,299"):
        codestream.parse(data, max_pixels=6299)
    assert codestream.parse(data, max_pixels=6300).shape == (90, 70)
    # An image of 4·10^18 pixels: both the grid and the tile say so.
    huge = bytearray(data)
    siz = data.index(b"\xff\x51")
    struct.pack_into(">II", huge, siz + 6, 2**31, 2**31)
    struct.pack_into(">II", huge, siz + 22, 2**31, 2**31)
    with pytest.raises(CodecError, match="2147483648×2147483648 pixels"):
        codestream.parse(bytes(huge))
