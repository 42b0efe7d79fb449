"""What a PNG file claims, compared with its bytes before Pillow allocates or parses anything."""

import os
import struct
from pathlib import Path

from mammo_tf import limits
from mammo_tf.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">L4s")
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def check_png(path: Path) -> None:
    """Walks from chunk to chunk.

    Args:
        path: A file that begins as a PNG; what is damaged is left to the decoder to say.

    Raises:
        DataError: If it is too large an image, has more chunks than any encoder writes, or fewer
            bytes of pixel data than its size can be packed into.
    """
    with path.open("rb") as file:
        start = file.read(33)
        if not start.startswith(SIGNATURE) or len(start) < 33:
            return
        width, height, bits, colour = struct.unpack_from(">LLBB", start, 16)
        if height * width > limits.MAX_PIXELS:
            raise DataError(
                f"Expected at most {limits.MAX_PIXELS:,} pixels. {path.name} says {height}×{width}."
            )
        end = file.seek(0, os.SEEK_END)
        position, count, packed = 33, 0, 0
        while position + 8 <= end:
            file.seek(position)
            length, kind = _CHUNK.unpack(file.read(8))
            packed += min(length, end - position) if kind == b"IDAT" else 0
            position += 12 + length
            count += 1
            if count > limits.MAX_PNG_CHUNKS:
                raise DataError(
                    f"{path.name} has more than {limits.MAX_PNG_CHUNKS} chunks; save it again."
                )
    num_bytes = height * (width * bits * _SAMPLES.get(colour, 1) // 8)
    if num_bytes > limits.MAX_EXPANSION * packed:
        raise DataError(
            f"{path.name} is cut off or damaged: {height}×{width} pixels cannot be packed into "
            f"{packed} bytes."
        )
