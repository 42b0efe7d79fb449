"""RLE Lossless frames (PS3.5 Annex G), decoded so that none of them can upset the plug-in.

The plug-in (pylibjpeg-rle 2.2) panics, past Python's ordinary exceptions, on a segment whose last
run is cut off, and takes what memory a false one asks for. Walking from run to run in Python shows
both, but takes twice as long as the decoding. So a segment is decoded piece by piece, each with a
tail behind it that comes out unchanged only if the piece ends with a run.
"""

import itertools
import struct
from collections.abc import Callable

import numpy as np

from mammo_tf.errors import CodecError, DataError

_HEADER_BYTES = 64
# By a run's first byte: how many values it stands for, and how many bytes it has (G.3.2). Below
# 128 that many values and one more follow; above it one value, repeated; 128 means nothing.
_VALUES = (*range(1, 129), 0, *range(128, 1, -1))
_STEPS = (*range(2, 130), 1, *[2] * 127)
# A run of 128 values, then bytes that mean nothing, for a last run before it that needs more than
# there is. Any run that begins, or ends, within it changes its last values; see the tests.
_TAIL_VALUES = bytes((37 * number + 74) % 256 for number in range(127)) + b"\0"
_TAIL = bytes([127]) + _TAIL_VALUES + b"\x80" * 130
_PIECE_BYTES = 2_000_000  # of runs of two bytes for 128 values: 128 MB
# From a place within a run one comes, by reading on, to where the runs really begin.
_LEAD_BYTES = 40_000


def decode_run_length(
    frame: bytes | memoryview, rows: int, columns: int, num_bytes: int, name: str
) -> np.ndarray:
    """Decodes one grey RLE frame.

    Args:
        frame: The encoded frame: a 64-byte header, then one segment per byte of a sample, the most
            significant first.
        rows: Rows of the image.
        columns: Columns of the image.
        num_bytes: Bytes per sample, 1 or 2.
        name: The file's name, for messages.

    Returns:
        (rows, columns) uint8 or uint16.

    Raises:
        DataError: If the frame is damaged or cut off.
        CodecError: If pylibjpeg-rle is not installed.
    """
    try:
        from rle.rle import decode_segment
    except ImportError:
        raise CodecError(
            f"{name}: no decoder for RLE Lossless; run: pip install pylibjpeg-rle"
        ) from None
    num_pixels = rows * columns
    planes = [
        _decode_plane(segment, num_pixels, name, decode_segment)
        for segment in _segments(frame, num_bytes, name)
    ]
    if num_bytes == 1:
        return planes[0].reshape(rows, columns)
    samples = np.empty(num_pixels, np.uint16)
    np.left_shift(planes[0], 8, out=samples, dtype=np.uint16)
    np.bitwise_or(samples, planes[1], out=samples)
    return samples.reshape(rows, columns)


def _decode_plane(
    segment: memoryview, num_pixels: int, name: str, decode_segment: Callable[[bytes], bytes]
) -> np.ndarray:
    plane, position, found = np.empty(num_pixels, np.uint8), 0, 0
    while found < num_pixels and position < len(segment):
        for end in _likely_ends(segment, position):
            values = decode_segment(b"".join((segment[position:end], _TAIL)))
            if values.endswith(_TAIL_VALUES):
                break
        else:  # cut off, or of a kind of which it cannot be guessed where its runs begin
            return _decode_walked(segment, num_pixels, name, decode_segment)
        samples = np.frombuffer(values, np.uint8, len(values) - len(_TAIL_VALUES))
        if len(samples) > num_pixels - found:  # the rest is padding, or no run ends here
            return _decode_walked(segment, num_pixels, name, decode_segment)
        plane[found : found + len(samples)] = samples
        position, found = end, found + len(samples)
    if found < num_pixels:
        raise _damaged(name)
    return plane


def _likely_ends(segment: memoryview, start: int) -> tuple[int, ...]:
    """Returns where the piece that begins at `start` may end: with the segment, or with a run."""
    last, near = len(segment), start + _PIECE_BYTES
    if near >= last:
        # Segments are padded to an even length, mostly by a zero, which begins another run.
        is_padded = segment[-1] == 0 and last - 1 > start
        return (last, last - 1) if is_padded else (last,)
    lead = bytes(segment[max(start, near - _LEAD_BYTES) : near])
    position = 0
    while position < len(lead):
        position += _STEPS[lead[position]]
    end = near - len(lead) + position
    return min(end, last), min(end + 1, last)


def _decode_walked(
    segment: memoryview, num_pixels: int, name: str, decode_segment: Callable[[bytes], bytes]
) -> np.ndarray:
    used = _encoded_length(segment, num_pixels)
    if used is None:
        raise _damaged(name)
    return np.frombuffer(decode_segment(bytes(segment[:used])), np.uint8)


def _segments(frame: bytes | memoryview, count: int, name: str) -> list[memoryview]:
    """Returns the segments that the header (PS3.5 G.5) points to."""
    if len(frame) >= _HEADER_BYTES:
        found, *offsets = struct.unpack_from("<16L", frame)
        bounds = [*offsets[:count], len(frame)]
        rising = all(low < high for low, high in itertools.pairwise(bounds))
        if found == count and bounds[0] >= _HEADER_BYTES and rising:
            view = memoryview(frame)
            return [view[low:high] for low, high in itertools.pairwise(bounds)]
    raise DataError(f"{name}: the RLE header does not fit BitsAllocated; the file is damaged.")


def _encoded_length(segment: memoryview, num_pixels: int) -> int | None:
    """Returns how many bytes of a segment hold exactly `num_pixels` values; None if none do."""
    position = decoded = 0
    try:
        while decoded < num_pixels:
            control = segment[position]
            decoded += _VALUES[control]
            position += _STEPS[control]
    except IndexError:
        return None
    return position if decoded == num_pixels and position <= len(segment) else None


def _damaged(name: str) -> DataError:
    return DataError(f"{name}: the RLE pixel data is damaged or cut off; copy it again.")
