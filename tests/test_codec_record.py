"""Ladders as bytes: round trips, and records that are damaged or hostile."""

import math
import struct
import zlib

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import Ladder, encode_ladder
from mammo_tf.errors import CodecError

HEADER = ">8sIIBHH"
STEPS_AT = struct.calcsize(HEADER)


def sealed(record):
    """The record with a right checksum, as an attacker would write it."""
    return bytes(record[:-4]) + struct.pack(">I", zlib.crc32(record[:-4]))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(2000, 300, (120, 80)).astype(np.uint16)


@pytest.fixture(scope="module")
def record(image):
    return encode_ladder(image, (1, 10, 33.5)).to_bytes()


def test_the_header_is_as_documented(record):
    magic, height, width, bits, steps, streams = struct.unpack_from(HEADER, record)
    assert (magic, height, width, bits, steps, streams) == (b"MTFJ2KL1", 120, 80, 16, 3, 1)
    assert struct.unpack_from(">dHH", record, STEPS_AT) == (1.0, 0, 3)
    assert struct.unpack_from(">dHH", record, STEPS_AT + 24) == (33.5, 0, 1)
    (length,) = struct.unpack_from(">Q", record, STEPS_AT + 36)
    assert length == len(record) - STEPS_AT - 36 - 8 - 4


@pytest.mark.parametrize("method", ["layered", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_round_trip(method, dtype):
    image = np.random.default_rng(0).normal(120, 30, (75, 41)).clip(0, 255).astype(dtype)
    ladder = encode_ladder(image, (20, 1, 5), method=method)
    copy = Ladder.from_bytes(ladder.to_bytes())
    assert copy.entries == ladder.entries
    assert (copy.shape, copy.dtype, copy.cratios) == ((75, 41), dtype, (20, 1, 5))
    assert copy.to_bytes() == ladder.to_bytes()
    for cratio in ladder.cratios:
        np.testing.assert_array_equal(copy.decode(cratio), ladder.decode(cratio))
    np.testing.assert_array_equal(copy.decode(1), image)


def test_other_bytes_like_objects(record):
    for kind in (bytearray, memoryview, np.frombuffer):
        arguments = (record, np.uint8) if kind is np.frombuffer else (record,)
        assert Ladder.from_bytes(kind(*arguments)).cratios == (1, 10, 33.5)


def test_every_truncation_and_every_flipped_byte_is_noticed(record):
    for length in (*range(80), len(record) // 2, len(record) - 1):
        with pytest.raises(CodecError):
            Ladder.from_bytes(record[:length])
    with pytest.raises(CodecError, match="it should have"):
        Ladder.from_bytes(record + b"\0")
    for position in range(0, len(record), 97):
        damaged = bytearray(record)
        damaged[position] ^= 0x10
        with pytest.raises(CodecError):
            Ladder.from_bytes(bytes(damaged))


@pytest.mark.parametrize(
    ("offset", "layout", "value", "message"),
    [
        (0, ">8s", b"\x89PNG\r\n\x1a\n", "Expected a mammo_tf JPEG 2000 ladder"),
        (7, ">B", ord("2"), "Expected a mammo_tf JPEG 2000 ladder"),
        (8, ">I", 121, "disagree about the image"),
        (12, ">I", 2**32 - 1, "disagree about the image"),
        (16, ">B", 8, "disagree about the image"),
        (17, ">H", 0, "0 compression ratios"),
        (17, ">H", 65535, "65535 compression ratios"),
        (19, ">H", 0, "in 0 codestreams"),
        (19, ">H", 9, "in 9 codestreams"),
        (STEPS_AT, ">d", math.nan, "a compression ratio of nan"),
        (STEPS_AT, ">d", math.inf, "a compression ratio of inf"),
        (STEPS_AT, ">d", 0.5, "a compression ratio of 0.5"),
        (STEPS_AT, ">d", 10.0, "a compression ratio twice"),
        (STEPS_AT + 8, ">H", 1, "no layer 3 in codestream 1"),
        (STEPS_AT + 10, ">H", 0, "no layer 0"),
        (STEPS_AT + 10, ">H", 4, "no layer 4"),
        (STEPS_AT + 36, ">Q", 2**63, "it should have"),
        (STEPS_AT + 36, ">Q", 3, "it should have"),
    ],
)
def test_hostile_headers_with_a_right_checksum(record, offset, layout, value, message):
    hostile = bytearray(record)
    struct.pack_into(layout, hostile, offset, value)
    with pytest.raises(CodecError, match=message):
        Ladder.from_bytes(sealed(hostile))


def test_a_hostile_codestream_with_a_right_checksum(record):
    """The SIZ header asks for 4·10^18 pixels: refused before OpenJPEG is asked for them."""
    hostile = bytearray(record)
    siz = record.index(b"\xff\x51")
    for offset in (6, 22):
        struct.pack_into(">II", hostile, siz + offset, 2**31, 2**31)
    struct.pack_into(">II", hostile, 8, 2**31, 2**31)
    with pytest.raises(CodecError, match="2147483648×2147483648 pixels"):
        Ladder.from_bytes(sealed(hostile))


def test_the_pixel_cap(record):
    with pytest.raises(CodecError, match="Expected 1 to 100"):
        Ladder.from_bytes(record, max_pixels=100)


def test_damaged_packets_with_a_right_checksum_never_crash(image):
    """OpenJPEG either decodes them to something or says no; each is the image's own size."""
    record = encode_ladder(image, (1, 10)).to_bytes()
    start = record.index(b"\xff\x93") + 2
    rng = np.random.default_rng(0)
    for _ in range(40):
        hostile = bytearray(record)
        for position in rng.integers(start, len(record) - 6, 5):
            hostile[position] = rng.integers(256)
        try:
            decoded = Ladder.from_bytes(sealed(hostile)).decode(1)
        except CodecError:
            continue
        assert decoded.shape == image.shape and decoded.dtype == image.dtype
