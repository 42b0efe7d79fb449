"""RLE Lossless frames (PS3.5 Annex G), checked run by run before the plug-in sees them.

The plug-in (pylibjpeg-rle 2.2) panics on damaged segments, past Python's ordinary exceptions.
"""

import itertools
import struct

import numpy as np

from mammo_tf.errors import CodecError, DataError

_HEADER_BYTES = 64


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
    samples = np.zeros(num_pixels, np.uint8 if num_bytes == 1 else np.uint16)
    for segment in _segments(frame, num_bytes, name):
        used = _encoded_length(segment, num_pixels)
        if used is None:
            raise DataError(f"{name}: the RLE pixel data is damaged or cut off; copy it again.")
        plane = np.frombuffer(decode_segment(segment[:used]), np.uint8)
        samples = plane if num_bytes == 1 else (samples << 8) | plane
    return samples.reshape(rows, columns)


def _segments(frame: bytes, count: int, name: str) -> list[bytes]:
    """Returns the segments that the header (PS3.5 G.5) points to."""
    if len(frame) >= _HEADER_BYTES:
        found, *offsets = struct.unpack_from("<16L", frame)
        bounds = [*offsets[:count], len(frame)]
        rising = all(low < high for low, high in itertools.pairwise(bounds))
        if found == count and bounds[0] >= _HEADER_BYTES and rising:
            pairs = itertools.pairwise(bounds)
            return [frame[low:high] for low, high in pairs]
    raise DataError(f"{name}: the RLE header does not fit BitsAllocated; the file is damaged.")


def _encoded_length(segment: bytes, num_pixels: int) -> int | None:
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
