"""Portable grey maps, binary (P5) and plain (P2): values as they are stored.

Pillow would stretch them to 8 or 16 bits. Format: https://netpbm.sourceforge.net/doc/pgm.html
"""

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from mammo_tf.errors import DataError

_HEADER_BYTES = 65536  # comments are part of the header
_BLOCK_BYTES = 1 << 20
# Possessive, so that a header that fits nowhere takes time in proportion to its length.
_NUMBER = re.compile(rb"(?:[ \t\n\v\f\r]|#[^\r\n]*+[\r\n])++([0-9]{1,9})(?![0-9])")
_WHITESPACE = b" \t\n\v\f\r"
_NOT_PLAIN = bytes(set(range(256)) - set(b"0123456789" + _WHITESPACE))


@dataclass(frozen=True)
class PgmHeader:
    """What a PGM says about itself.

    Attributes:
        magic: b"P5" (binary) or b"P2" (plain).
        height: Rows.
        width: Columns.
        maximum: The value that stands for white, 1 to 65535.
        num_bytes: Length of the header up to the last digit of `maximum`.
        is_dos: Whether CR LF follows it, where the format has one white-space byte.
    """

    magic: bytes
    height: int
    width: int
    maximum: int
    num_bytes: int
    is_dos: bool

    @property
    def dtype(self) -> np.dtype:
        """Type of the values in memory."""
        return np.dtype(np.uint8 if self.maximum < 256 else np.uint16)


def parse_pgm_header(start: bytes) -> PgmHeader | None:
    """Parses the beginning of a PGM file; None if it is none, whatever its maximum is."""
    if start[:2] not in (b"P2", b"P5"):
        return None
    numbers, position = [], 2
    for _ in range(3):
        match = _NUMBER.match(start, position)
        if match is None:
            return None
        numbers.append(int(match[1]))
        position = match.end()
    if start[position : position + 1].strip(_WHITESPACE) or len(start) <= position:
        return None
    width, height, maximum = numbers
    is_dos = start[position : position + 2] == b"\r\n"
    return PgmHeader(start[:2], height, width, maximum, position, is_dos)


def read_pgm(file: BinaryIO, name: str, max_pixels: int) -> tuple[np.ndarray, int]:
    """Reads one PGM image.

    Args:
        file: The file, at its beginning.
        name: Its name, for messages.
        max_pixels: Larger images are refused before memory is taken for them.

    Returns:
        (height, width) uint8, or uint16 where the maximum is above 255; and that maximum.

    Raises:
        DataError: If the header cannot be read, the pixels are cut off, or a value is above the
            maximum.
    """
    header = parse_pgm_header(file.read(_HEADER_BYTES))
    if header is None:
        raise DataError(f"The PGM header of {name} cannot be read.")
    if not 1 <= header.maximum <= 65535:
        raise DataError(f"A PGM's maximum must be 1 to 65535. {name} has {header.maximum}.")
    if not 0 < header.height * header.width <= max_pixels:
        raise DataError(
            f"Expected at most {max_pixels:,} pixels. {name} says {header.height}×{header.width}."
        )
    rest = file.seek(0, os.SEEK_END) - header.num_bytes
    file.seek(header.num_bytes)
    read = _read_plain if header.magic == b"P2" else _read_binary
    pixels = read(file, header, rest, name)
    if int(pixels.max()) > header.maximum:
        raise DataError(
            f"{name} is damaged: a value of {int(pixels.max())} is above the file's maximum "
            f"{header.maximum}."
        )
    pixels = pixels.astype(header.dtype, copy=False)
    return pixels.reshape(header.height, header.width), header.maximum


def _read_binary(file: BinaryIO, header: PgmHeader, rest: int, name: str) -> np.ndarray:
    """Reads the values after the one white-space byte, or after CR LF if the length fits that."""
    num_bytes = header.height * header.width * header.dtype.itemsize
    separator = 2 if header.is_dos else 1
    if rest < separator + num_bytes:
        raise DataError(
            f"{name} is cut off: expected {num_bytes} bytes of pixels, "
            f"received {max(0, rest - separator)}."
        )
    if header.is_dos and rest != separator + num_bytes:
        raise DataError(
            f"{name} has CR LF after its header and {rest - separator} bytes of pixels, not "
            f"{num_bytes}: where they begin cannot be told. Write the file again."
        )
    file.seek(separator, os.SEEK_CUR)
    pixels = np.frombuffer(file.read(num_bytes), header.dtype.newbyteorder(">"))
    return pixels.astype(header.dtype)


def _read_plain(file: BinaryIO, header: PgmHeader, rest: int, name: str) -> np.ndarray:
    """Reads decimal numbers with white space between, block by block."""
    count, found, left = header.height * header.width, 0, b""
    if rest < 2 * count:
        raise DataError(
            f"{name} is cut off: {count} numbers need more than the {rest} bytes that follow."
        )
    pixels = np.empty(count, np.uint16)
    while block := file.read(_BLOCK_BYTES):
        block = left + block
        end = 1 + max(block.rfind(space) for space in _WHITESPACE) if len(block) > 16 else 0
        found = _put(pixels, found, block[:end], name)
        left = block[end:]
        if len(left) > _BLOCK_BYTES:
            raise DataError(f"{name} is damaged: it holds a number of {len(left)} digits.")
    found = _put(pixels, found, left, name)
    if found < count:
        raise DataError(f"{name} is cut off: expected {count} numbers, received {found}.")
    return pixels


def _put(pixels: np.ndarray, found: int, text: bytes, name: str) -> int:
    """Writes the numbers of `text` behind those found before; returns how many there are now."""
    if text.translate(None, _NOT_PLAIN) != text:
        raise DataError(f"{name} is damaged: expected digits and white space only.")
    numbers = np.fromstring(text, np.int64, sep=" ")
    if found + len(numbers) > len(pixels):
        raise DataError(f"{name} has more than {len(pixels)} numbers.")
    pixels[found : found + len(numbers)] = np.minimum(numbers, 65535)
    return found + len(numbers)
