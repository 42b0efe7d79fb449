"""What a TIFF file says about its first image, read before Pillow sees it (TIFF 6.0, section 2).

Pillow takes 16-bit and big-endian images in which 0 is white for images in which it is black or
refuses them, signed 8-bit ones for unsigned ones, and stretches those of 2 and 4 bits.
"""

import struct
from dataclasses import dataclass

from mammo_tf.errors import DataError

_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43
# Tag: name; of types 3 (SHORT) and 4 (LONG), section 8.
_TAGS = {258: "bits", 262: "photometric", 277: "samples", 339: "sample_format"}
_TYPES = {3: "H", 4: "L"}
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_COLOURS = {2: "RGB", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 32803: "colour filter"}
_PALETTE = 3
_MAX_SAMPLES = 16


@dataclass(frozen=True)
class TiffFacts:
    """Claims of the first image of a TIFF file.

    Attributes:
        byte_order: "<" or ">".
        bits: Bits of a sample; the largest where samples differ.
        samples: Samples of a pixel.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        photometric: 0 white is zero, 1 black is zero, others are no grey; None where it is missing.
        photometric_position: Where in the file that value is.
        photometric_type: Its `struct` character.
    """

    byte_order: str
    bits: int
    samples: int
    sample_format: int
    photometric: int | None
    photometric_position: int
    photometric_type: str

    @property
    def is_white_zero(self) -> bool:
        """Whether the image is stored as a negative."""
        return self.photometric == _WHITE_IS_ZERO

    def problem(self) -> str | None:
        """Returns what the image is instead of unsigned grey of 8, 12 or 16 bits; or None."""
        if self.photometric is None:
            return "does not say whether 0 is black or white (PhotometricInterpretation)"
        if self.photometric == _PALETTE:
            return "is a palette image"
        if self.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
            return f"is a colour image ({_COLOURS.get(self.photometric, self.photometric)})"
        if self.samples != 1:
            return "is grey with transparency" if self.samples == 2 else "has several samples"
        if self.sample_format == 3:
            return "is of floating-point numbers"
        if self.sample_format != 1:
            return f"is of signed {self.bits}-bit numbers; save it as unsigned"
        if self.bits == 1:
            return "is black and white (1 bit)"
        if self.bits not in (8, 12, 16):
            return f"is of {self.bits}-bit numbers"
        if self.bits == 12 and self.byte_order == ">":
            return "is of 12 bits and big endian; save it as 16 bits"
        return None

    def as_black_is_zero(self, content: bytes) -> bytes:
        """Returns the file with the photometric interpretation that no reader inverts."""
        value = struct.pack(self.byte_order + self.photometric_type, _BLACK_IS_ZERO)
        start = self.photometric_position
        return content[:start] + value + content[start + len(value) :]


def is_tiff(start: bytes) -> bool:
    """Whether a file begins as a TIFF or BigTIFF."""
    return start[:2] in _ORDERS and start[2:4].strip(b"\0") in (bytes([_CLASSIC]), bytes([_BIG]))


def parse_tiff(content: bytes, name: str) -> TiffFacts:
    """Reads the first image file directory.

    Args:
        content: The file.
        name: Its name, for messages.

    Raises:
        DataError: If the directory lies outside the file.
    """
    try:
        entries = _entries(content)
    except struct.error:
        raise DataError(
            f"{name} is cut off or damaged: its TIFF directory is incomplete."
        ) from None
    _, position, character = entries.get("photometric", (None, 0, "H"))
    values = {tag: value for tag, (value, _, _) in entries.items()}
    return TiffFacts(
        byte_order=_ORDERS[content[:2]],
        bits=values.get("bits", 1),
        samples=values.get("samples", 1),
        sample_format=values.get("sample_format", 1),
        photometric=values.get("photometric"),
        photometric_position=position,
        photometric_type=character,
    )


def _entries(content: bytes) -> dict[str, tuple[int, int, str]]:
    """Returns (value, position, `struct` character) of the tags that we need; the largest value."""
    order = _ORDERS[content[:2]]
    is_big = content[2:4].strip(b"\0") == bytes([_BIG])
    count_format, entry_format, word = ("Q", "HHQ", "Q") if is_big else ("H", "HHL", "L")
    (position,) = struct.unpack_from(order + word, content, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + count_format, content, position)
    position += struct.calcsize(order + count_format)
    head, room = struct.calcsize(order + entry_format), struct.calcsize(order + word)
    found = {}
    for start in range(position, position + count * (head + room), head + room):
        tag, kind, number = struct.unpack_from(order + entry_format, content, start)
        if tag not in _TAGS or kind not in _TYPES or not 1 <= number <= _MAX_SAMPLES:
            continue
        values, at = f"{order}{number}{_TYPES[kind]}", start + head
        if struct.calcsize(values) > room:
            (at,) = struct.unpack_from(order + word, content, at)
        found[_TAGS[tag]] = (max(struct.unpack_from(values, content, at)), at, _TYPES[kind])
    return found
