"""What a TIFF file says about its first image, read before Pillow sees it (TIFF 6.0, section 2).

Pillow takes 16-bit and big-endian images in which 0 is white for images in which it is black or
refuses them, signed 8-bit ones for unsigned ones, and stretches those of 2 and 4 bits.
"""

import struct
from dataclasses import dataclass

from mammo_tf import limits
from mammo_tf.errors import DataError

_ORDERS = {b"II": "<", b"MM": ">"}
_CLASSIC, _BIG = 42, 43
# Tag: name; of types 3 (SHORT) and 4 (LONG), section 8.
_TAGS = {
    256: "width",
    257: "height",
    258: "bits",
    259: "compression",
    262: "photometric",
    277: "samples",
    322: "tile_width",
    323: "tile_height",
    339: "sample_format",
}
_TYPES = {3: "H", 4: "L"}
# Bytes of a value by its type, sections 2 and 8; the last three are BigTIFF's.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TYPE_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
# None, LZW, JPEG, Deflate (both numbers), PackBits: at most `limits.MAX_EXPANSION`.
_BOUNDED_COMPRESSIONS = {1, 5, 7, 8, 32773, 32946}
_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_COLOURS = {2: "RGB", 4: "a mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 32803: "colour filter"}
_PALETTE = 3
_MAX_SAMPLES = 16
_MAX_COUNTED = 1000  # images


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
        DataError: If the directory lies outside the file, claims more than the file holds, or is
            not the only one.
    """
    try:
        layout = _Layout.of(content)
        start, count = layout.directory(content, layout.first(content))
        _check_size_of_directory(content, layout, start, count, name)
        entries = _entries(content, layout, start, count)
        _check_is_last(content, layout, start, count, name)
    except struct.error:
        raise DataError(
            f"{name} is cut off or damaged: its TIFF directory is incomplete."
        ) from None
    _, position, character = entries.get("photometric", (None, 0, "H"))
    values = {tag: value for tag, (value, _, _) in entries.items()}
    _check_image(values, len(content), name)
    return TiffFacts(
        byte_order=layout.order,
        bits=values.get("bits", 1),
        samples=values.get("samples", 1),
        sample_format=values.get("sample_format", 1),
        photometric=values.get("photometric"),
        photometric_position=position,
        photometric_type=character,
    )


@dataclass(frozen=True)
class _Layout:
    """How numbers are written: `struct` formats of a classic or a BigTIFF file."""

    order: str
    is_big: bool

    @classmethod
    def of(cls, content: bytes) -> "_Layout":
        return cls(_ORDERS[content[:2]], content[2:4].strip(b"\0") == bytes([_BIG]))

    @property
    def word(self) -> str:
        """An offset; values up to its length stand in the entry itself."""
        return self.order + ("Q" if self.is_big else "L")

    @property
    def head(self) -> str:
        """Tag, type and number of values of an entry."""
        return self.order + ("HHQ" if self.is_big else "HHL")

    @property
    def entry_bytes(self) -> int:
        """Length of an entry."""
        return struct.calcsize(self.head) + struct.calcsize(self.word)

    def first(self, content: bytes) -> int:
        """Where the first directory is."""
        return struct.unpack_from(self.word, content, 8 if self.is_big else 4)[0]

    def directory(self, content: bytes, position: int) -> tuple[int, int]:
        """Where the entries of the directory at `position` begin, and how many there are."""
        count_format = self.order + ("Q" if self.is_big else "H")
        (count,) = struct.unpack_from(count_format, content, position)
        return position + struct.calcsize(count_format), count

    def following(self, content: bytes, start: int, count: int) -> int:
        """Where the next directory is; 0 if there is none, or the file ends."""
        end = start + count * self.entry_bytes
        if end + struct.calcsize(self.word) > len(content):
            return 0
        return struct.unpack_from(self.word, content, end)[0]


def _check_size_of_directory(
    content: bytes, layout: _Layout, start: int, count: int, name: str
) -> None:
    """Pillow copies every value, so they may not lie in the same bytes many times over."""
    num_bytes = most = 0
    if count <= limits.MAX_TIFF_ENTRIES:
        for position in range(start, start + count * layout.entry_bytes, layout.entry_bytes):
            _, kind, number = struct.unpack_from(layout.head, content, position)
            num_bytes += number * _TYPE_BYTES.get(kind, 1)
            most = max(most, number if kind in _TYPES else 0)
    if count > limits.MAX_TIFF_ENTRIES or num_bytes > 2 * len(content):
        raise DataError(
            f"{name} is damaged: its TIFF directory has {count} entries of {num_bytes} bytes, more "
            "than the file can hold."
        )
    if most > limits.MAX_TIFF_VALUES:
        raise DataError(
            f"{name} is in {most} strips or tiles, more than {limits.MAX_TIFF_VALUES}; save it "
            "again."
        )


def _check_is_last(content: bytes, layout: _Layout, start: int, count: int, name: str) -> None:
    """Refuses a second image; Pillow would walk through all the directories to count them."""
    num_images = 1
    while (position := layout.following(content, start, count)) and num_images < _MAX_COUNTED:
        num_images += 1
        start, count = layout.directory(content, position)
    if num_images > 1:
        at_least = "at least " if num_images == _MAX_COUNTED else ""
        raise DataError(f"{name} holds {at_least}{num_images} images; give one image per file.")


def _check_image(values: dict[str, int], num_bytes: int, name: str) -> None:
    """Compares the claims about the image with the length of the file."""
    height, width = values.get("height", 0), values.get("width", 0)
    if height * width > limits.MAX_PIXELS:
        raise DataError(
            f"Expected at most {limits.MAX_PIXELS:,} pixels. {name} says {height}×{width}."
        )
    tile = values.get("tile_width", 1) * values.get("tile_height", 1)
    if tile > limits.MAX_PIXELS:
        raise DataError(f"{name} is damaged: it has tiles of {tile:,} pixels.")
    is_bounded = values.get("compression", 1) in _BOUNDED_COMPRESSIONS
    if (
        is_bounded
        and height * width * values.get("bits", 1) // 8 > limits.MAX_EXPANSION * num_bytes
    ):
        raise DataError(
            f"{name} is cut off or damaged: {height}×{width} pixels cannot be packed into "
            f"{num_bytes} bytes."
        )


def _entries(
    content: bytes, layout: _Layout, start: int, count: int
) -> dict[str, tuple[int, int, str]]:
    """Returns (value, position, `struct` character) of the tags that we need; the largest value."""
    head, room = struct.calcsize(layout.head), struct.calcsize(layout.word)
    found = {}
    for position in range(start, start + count * layout.entry_bytes, layout.entry_bytes):
        tag, kind, number = struct.unpack_from(layout.head, content, position)
        if tag not in _TAGS or kind not in _TYPES or not 1 <= number <= _MAX_SAMPLES:
            continue
        values, at = f"{layout.order}{number}{_TYPES[kind]}", position + head
        if struct.calcsize(values) > room:
            (at,) = struct.unpack_from(layout.word, content, at)
        found[_TAGS[tag]] = (max(struct.unpack_from(values, content, at)), at, _TYPES[kind])
    return found
