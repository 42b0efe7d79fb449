"""Grey PNG, lossless, written several times as fast as by Pillow and as small, within a percent.

A mammogram is large areas of nearly one value and noise: every row is stored as its difference to
the row above, and DEFLATE looks only for runs of one byte (zlib's `Z_RLE`), which is most of what
its full search would find in such data. With the package `isal` it takes a fifth of that time.
"""

import struct
import zlib

import numpy as np

from mammo_tf.codecs.png import SIGNATURE

try:
    from isal import isal_zlib
except ImportError:  # the extra "fast": five times as fast, the same pixels
    isal_zlib = None  # type: ignore[assignment]

_ROWS_AT_ONCE = 128
_UP = 2  # the filter type "Up" of the PNG specification, 9.2


def encode_png(image: np.ndarray) -> bytes:
    """Encodes a grey image as PNG of the same depth.

    Args:
        image: (height, width) uint8 or uint16, neither side 0.

    Returns:
        The file. With `isal` its bytes differ, its pixels never.

    Reference: Portable Network Graphics (PNG) Specification, W3C, sections 5, 9.2 and 11.2.2.
    """
    height, width = image.shape
    depth = 8 * image.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    packer = _packer()
    above = np.zeros((1, width * image.dtype.itemsize), np.uint8)
    packed = []
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = image[top : top + _ROWS_AT_ONCE]
        rows = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(np.uint8)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows[:1], above, out=filtered[:1, 1:])
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        packed.append(packer.compress(filtered))
        above = rows[-1:]
    packed.append(packer.flush())
    chunks: tuple[tuple[bytes, list[bytes]], ...]
    chunks = ((b"IHDR", [header]), (b"IDAT", packed), (b"IEND", []))
    return SIGNATURE + b"".join(part for chunk in chunks for part in _chunk(*chunk))


def _packer():
    """A DEFLATE stream: by Intel's library where it is installed, else by zlib."""
    if isal_zlib is not None:
        return isal_zlib.compressobj(level=1)
    return zlib.compressobj(level=1, memLevel=9, strategy=zlib.Z_RLE)


def _chunk(kind: bytes, parts: list[bytes]) -> list[bytes]:
    checksum = zlib.crc32(kind)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return [struct.pack(">I", sum(map(len, parts))), kind, *parts, struct.pack(">I", checksum)]
