"""Grey PNG, lossless, written several times as fast as by Pillow and as small, within a percent.

A mammogram is large areas of nearly one value and noise: every row is stored as its difference to
the row above, and DEFLATE looks only for runs of one byte (zlib's `Z_RLE`), which is most of what
its full search would find in such data.
"""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ROWS_AT_ONCE = 128
_UP = 2  # the filter type "Up" of the PNG specification, 9.2


def encode_png(image: np.ndarray) -> bytes:
    """Encodes a grey image as PNG of the same depth.

    Args:
        image: (height, width) uint8 or uint16, neither side 0.

    Returns:
        The file. The same image always gives the same bytes.

    Reference: Portable Network Graphics (PNG) Specification, W3C, sections 5, 9.2 and 11.2.2.
    """
    height, width = image.shape
    depth = 8 * image.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    packer = zlib.compressobj(level=1, memLevel=9, strategy=zlib.Z_RLE)
    above = np.zeros((1, width * image.dtype.itemsize), np.uint8)
    parts = []
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = image[top : top + _ROWS_AT_ONCE]
        rows = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">")).view(np.uint8)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = _UP
        np.subtract(rows, np.concatenate([above, rows[:-1]]), out=filtered[:, 1:])
        parts.append(packer.compress(filtered))
        above = rows[-1:]
    parts.append(packer.flush())
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(parts)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
