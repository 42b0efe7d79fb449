"""RLE Lossless frames (PS3.5 Annex G), decoded so that none of them can upset the plug-in.

The plug-in (pylibjpeg-rle 2.2) panics, past Python's ordinary exceptions, on a segment whose last
run is cut off. So every segment gets a tail that any last run can take its bytes from, and what
comes out of the tail tells whether one did.
"""

import itertools
import struct
from collections.abc import Callable

import numpy as np

from mammo_tf.errors import CodecError, DataError

_HEADER_BYTES = 64
# Read from its beginning, 128 runs of the value 129, 128 times each; then bytes that mean nothing.
# A last run that lacks an odd number of bytes takes them from it, so that the last value is 128; one
# that lacks an even number leaves fewer runs. So neither can be taken for a whole segment.
_REPEAT_128, _NOTHING = 0x81, 0x80
_TAIL = bytes([_REPEAT_128]) * 256 + bytes([_NOTHING]) * 130
_TAIL_VALUES = 128 * 128
# Two bytes can stand for 128 values, so that a longer false segment would take 1 GB.
_MAX_UNCHECKED_BYTES = 10_000_000


def decode_run_length(
    frame: bytes, rows: int, columns: int, num_bytes: int, name: str
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
    decoded = b""
    if len(segment) <= _MAX_UNCHECKED_BYTES:
        decoded = decode_segment(b"".join((segment, _TAIL)))
    if not _is_whole(segment, decoded, num_pixels):
        used = _encoded_length(segment, num_pixels)
        if used is None:
            raise DataError(f"{name}: the RLE pixel data is damaged or cut off; copy it again.")
        decoded = decode_segment(bytes(segment[:used]))
    return np.frombuffer(decoded, np.uint8, num_pixels)


def _is_whole(segment: memoryview, decoded: bytes, num_pixels: int) -> bool:
    """Whether what a segment and the tail were decoded to is that of all pixels and the tail.

    Segments are padded to an even length, mostly by a zero: a run of one, which takes its value
    from the tail.
    """
    surplus = len(decoded) - num_pixels - _TAIL_VALUES
    if surplus == 0:
        return decoded[-1] == _REPEAT_128
    return surplus == 1 and decoded[-1] == _NOTHING and segment[-1] == 0


def _segments(frame: bytes, count: int, name: str) -> list[memoryview]:
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
            if control < 128:  # that many values and one more follow
                decoded += control + 1
                position += control + 2
            elif control > 128:  # one value, repeated
                decoded += 257 - control
                position += 2
            else:
                position += 1
    except IndexError:
        return None
    return position if decoded == num_pixels and position <= len(segment) else None
