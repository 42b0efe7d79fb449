"""RLE segments against PS3.5 Annex G read byte by byte: whole, padded, cut off and wrong."""

import struct
import tracemalloc

import numpy as np
import pytest

from mammo_tf.dicom import run_length
from mammo_tf.dicom.run_length import decode_run_length
from mammo_tf.errors import DataError


def unpack(segment):
    """Decodes PackBits (PS3.5 G.3.2). Returns all values, and whether the last run is whole."""
    values, position = bytearray(), 0
    while position < len(segment):
        control = segment[position]
        if control < 128:
            run = segment[position + 1 : position + control + 2]
            values += run
            if len(run) <= control:
                return bytes(values), False
            position += control + 2
        elif control > 128:
            if position + 1 == len(segment):
                return bytes(values), False
            values += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    return bytes(values), True


def pack(rng, count):
    """Encodes `count` random values in runs of random kinds and lengths."""
    segment, left = bytearray(), count
    while left:
        kind, length = rng.integers(4), int(min(left, rng.integers(1, 129)))
        if kind == 0 and length > 1:
            segment += bytes([257 - length, rng.integers(256)])
        elif kind == 1:
            segment += b"\x80"
            continue
        else:
            segment += bytes([length - 1]) + rng.integers(0, 256, length, np.uint8).tobytes()
        left -= length
    return bytes(segment)


def frame_of(*segments):
    offsets, position = [], 64
    for segment in segments:
        offsets.append(position)
        position += len(segment)
    header = struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def decode(*segments, rows, columns):
    return decode_run_length(frame_of(*segments), rows, columns, len(segments), "a.dcm")


@pytest.mark.parametrize("seed", range(20))
def test_whole_segments_with_and_without_padding(seed):
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 40)), int(rng.integers(1, 40))
    segments = [pack(rng, rows * columns) for _ in range(2)]
    high, low = (np.frombuffer(unpack(segment)[0], np.uint8) for segment in segments)
    expected = (high.astype(np.uint16) << 8 | low).reshape(rows, columns)
    for padding in (b"", b"\0", b"\x80", b"\0\0", b"\xff", bytes(7), b"\x7f" * 3, b"\x80" * 300):
        padded = [segment + padding for segment in segments]
        np.testing.assert_array_equal(decode(*padded, rows=rows, columns=columns), expected)
    one = decode(segments[0], rows=rows, columns=columns)
    np.testing.assert_array_equal(one, high.reshape(rows, columns))


@pytest.mark.parametrize("seed", range(20))
def test_no_value_ever_comes_from_the_tail(seed, capfd):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 900))
    segment = pack(rng, count)
    for end in range(1, len(segment)):
        values, is_whole = unpack(segment[:end])
        for size in {len(values) + more for more in range(-2, 4)} | {count, count + 128}:
            if size < 1:
                continue
            try:
                found = decode(segment[:end], rows=1, columns=size)
            except DataError as error:
                assert "damaged or cut off" in str(error)
                # What ends with a whole run and has all values may not be refused.
                assert not (is_whole and len(values) == size)
            else:
                assert found.tobytes() == values[:size] and len(values) >= size
    assert capfd.readouterr().err == ""  # the plug-in would print a panic


def test_the_tail_comes_out_unchanged_only_behind_a_whole_run():
    tail, values = run_length._TAIL, run_length._TAIL_VALUES
    assert unpack(tail) == (values, True)
    for taken in range(1, 129):  # by a literal run before it
        rest, is_whole = unpack(tail[taken:])
        known = (tail[:taken] + rest)[-len(values) :]  # whatever came before
        assert is_whole and known != values[-len(known) :]
    for count in range(2, 129):  # by a repeated run, which lacks its value
        known = (tail[:1] * count + unpack(tail[1:])[0])[-len(values) :]
        assert known != values[-len(known) :]


@pytest.mark.parametrize("seed", range(6))
def test_long_segments_are_decoded_in_pieces(monkeypatch, seed):
    monkeypatch.setattr(run_length, "_PIECE_BYTES", 40_000)
    monkeypatch.setattr(run_length, "_LEAD_BYTES", 30_000)
    rng = np.random.default_rng(seed)
    count = 256 * 1024
    segment = pack(rng, count)
    assert len(segment) > 4 * 40_000
    expected = np.frombuffer(unpack(segment)[0], np.uint8)
    walked = []
    original = run_length._encoded_length
    monkeypatch.setattr(
        run_length, "_encoded_length", lambda *given: walked.append(1) or original(*given)
    )
    for padding in (b"", b"\0"):
        found = decode(segment + padding, rows=256, columns=1024)
        np.testing.assert_array_equal(found.ravel(), expected)
    assert not walked  # so it was quick
    for end in (len(segment) - 1, len(segment) - 50, len(segment) // 2):
        with pytest.raises(DataError, match="damaged or cut off"):
            decode(segment[:end], rows=256, columns=1024)


@pytest.mark.parametrize("value", [0x80, 0x81, 0x90, 0xFF, 0x00, 0x7F])
def test_long_runs_of_one_value(monkeypatch, value):
    # Read from a wrong byte, such runs may go on to be read wrongly to their end.
    monkeypatch.setattr(run_length, "_PIECE_BYTES", 300)
    monkeypatch.setattr(run_length, "_LEAD_BYTES", 201)
    segment = bytes([0x81, value]) * 1000
    for rest in (b"", b"\0", b"\x81\x01" * 9):
        found = decode(segment + rest, rows=1000, columns=128)
        np.testing.assert_array_equal(found, value)
    for end in (1999, 1000):
        with pytest.raises(DataError, match="damaged or cut off"):
            decode(segment[:end], rows=1000, columns=128)


def test_a_long_false_segment_takes_little_memory():
    segment = b"\x81\x00" * 5_000_000  # 640 million values
    tracemalloc.start()
    with pytest.raises(DataError, match="damaged or cut off"):
        decode(segment, rows=1000, columns=1001)
    assert tracemalloc.get_traced_memory()[1] < 150_000_000
    tracemalloc.stop()
