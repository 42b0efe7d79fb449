"""Where the parts of a DICOM file are: its start, its elements, its Pixel Data (PS3.10, PS3.5)."""

import dataclasses
import struct

from pydicom import uid
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from mammo_tf import limits
from mammo_tf.dicom.budget import Budget, MeteredStream

_PREFIX = b"DICM"
_PREAMBLE_BYTES = 128
SNIFF_BYTES = _PREAMBLE_BYTES + len(_PREFIX)
_META_GROUP, _IDENTIFYING_GROUP = 0x0002, 0x0008
# The first elements of a data set are short: dates, character sets, UIDs, image types.
_MAX_FIRST_LENGTH = 512
_PIXEL_DATA = 0x7FE00010
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, _PIXEL_DATA})  # of floating point, too
_UNDEFINED_LENGTH = 0xFFFFFFFF
_KNOWN_VRS = frozenset(vr.value.encode() for vr in STANDARD_VR)


@dataclasses.dataclass(frozen=True, eq=False)
class PixelElement:
    """The Pixel Data element as it lies in the file.

    Attributes:
        vr: "OB", "OW" or whatever the file says.
        has_defined_length: False for encapsulated fragments, which end with a delimiter.
        value: Its value, a part of the file; where the length is undefined, up to the file's end.
    """

    vr: str
    has_defined_length: bool
    value: memoryview = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Elements:
    """The allowed elements before Pixel Data, and Pixel Data.

    Attributes:
        dataset: The elements.
        pixels: None where the file has none.
        num_unnamed: How many elements have no value representation.
    """

    dataset: Dataset
    pixels: PixelElement | None
    num_unnamed: int


def find_first_element(content: bytes) -> int | None:
    """Returns where the first element of a DICOM file begins; None if this is no DICOM file.

    A bare data set, as old devices and exports write it, begins at once: without the preamble, the
    prefix "DICM" and, mostly, without the file meta information.

    Args:
        content: The file, or its first `SNIFF_BYTES` bytes.
    """
    if content[_PREAMBLE_BYTES:SNIFF_BYTES] == _PREFIX:
        return SNIFF_BYTES
    if content[: len(_PREFIX)] == _PREFIX:
        return len(_PREFIX)
    return 0 if guess_transfer_syntax(content[:12]) is not None else None


def guess_transfer_syntax(start: bytes) -> uid.UID | None:
    """Returns how a data set without file meta information is encoded, from its first element.

    Returns:
        Implicit or Explicit VR Little Endian, or Explicit VR Big Endian; None if this is the
        beginning of no data set.
    """
    if len(start) < 12:
        return None
    group = struct.unpack_from("<H", start)[0]
    if start[4:6] in _KNOWN_VRS:
        if group in (_META_GROUP, _IDENTIFYING_GROUP):
            return uid.ExplicitVRLittleEndian
        if struct.unpack_from(">H", start)[0] == _IDENTIFYING_GROUP:
            return uid.ExplicitVRBigEndian
        return None
    length = struct.unpack_from("<L", start, 4)[0]
    is_short = length % 2 == 0 and length <= _MAX_FIRST_LENGTH
    return uid.ImplicitVRLittleEndian if group == _IDENTIFYING_GROUP and is_short else None


def read_file_meta(content: bytes, position: int, budget: Budget) -> tuple[Dataset, int]:
    """Reads group 0002, if there is one; returns it and where the data set begins.

    Raises:
        TooCostlyError: If it has more elements than the budget allows.
    """
    stream = MeteredStream(content, budget)
    stream.seek(position)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != _META_GROUP)
    for element in list(meta.values()):
        if getattr(element, "length", 0) > limits.MAX_VALUE_BYTES:
            del meta[element.tag]
    return meta, stream.tell()


def read_elements(
    content: bytes, position: int, syntax: uid.UID, allowed: frozenset[int], budget: Budget
) -> Elements:
    """Reads the allowed elements up to Pixel Data; all others are skipped, unread.

    An element without a value representation (some writers leave two zero bytes) is read with the
    data dictionary's if it is allowed, and skipped otherwise. Files that call themselves explicit
    but are implicit, and the reverse, are read as they are.

    Args:
        content: The file, or the inflated data set.
        position: Where the data set begins.
        syntax: The transfer syntax.
        allowed: Tags to read.
        budget: What parsing may cost.

    Raises:
        TooCostlyError: If there are more elements and items than the budget allows.
    """
    little = syntax.is_little_endian
    implicit = _is_implicit(content, position, syntax)
    stream = MeteredStream(content, budget)
    dataset, num_unnamed = Dataset(), 0
    while True:
        stream.seek(position)
        part = read_dataset(
            stream,
            implicit,
            little,
            stop_when=lambda tag, vr, _: tag in _PIXELS or (vr is None and not implicit),
            specific_tags=list(allowed),
        )
        dataset.update(part)
        position = stream.tell()
        if implicit or _tag(content, position, little) in _PIXELS:
            break
        while (element := _unnamed_element(content, position, little)) is not None:
            budget.spend()
            position, num_unnamed = element.next_position, num_unnamed + 1
            if element.tag in allowed:
                dataset[element.tag] = element.raw(content, little)
        if position == stream.tell():
            break
    return Elements(dataset, _pixel_element(content, position, implicit, little), num_unnamed)


@dataclasses.dataclass(frozen=True)
class _UnnamedElement:
    tag: int
    value_position: int
    length: int

    @property
    def next_position(self) -> int:
        return self.value_position + self.length

    def raw(self, content: bytes, little: bool) -> RawDataElement:
        value = content[self.value_position : self.next_position]
        vr = dictionary_VR(self.tag).split(" or ")[0]
        return RawDataElement(
            BaseTag(self.tag), vr, self.length, value, self.value_position, False, little
        )


def _unnamed_element(content: bytes, position: int, little: bool) -> _UnnamedElement | None:
    """Returns the element of an explicit data set at `position` if its VR is no two letters.

    Its length has 2 bytes, 4 after two reserved ones, or 4 at once: the first after which an
    element with a higher tag, or the end, follows.
    """
    if position + 8 > len(content) or _has_letters(content, position):
        return None
    order = "<" if little else ">"
    tag = _tag(content, position, little)
    if tag is None:
        return None
    for layout in ("6xH", "8xL", "4xL"):
        start = position + struct.calcsize(f"{order}{layout}")
        if start > len(content):
            continue
        length = struct.unpack_from(f"{order}{layout}", content, position)[0]
        end = start + length
        if end == len(content) or _follows(content, position, end, little):
            return _UnnamedElement(tag, start, length)
    return None


def _follows(content: bytes, position: int, end: int, little: bool) -> bool:
    """Whether at `end` an explicit element with a higher tag than that at `position` begins."""
    before, tag = _tag(content, position, little), _tag(content, end, little)
    vr = content[end + 4 : end + 6]
    if before is None or tag is None or tag <= before:
        return False
    return vr in _KNOWN_VRS or vr == content[position + 4 : position + 6]


def _tag(content: bytes, position: int, little: bool) -> int | None:
    if position + 8 > len(content):
        return None
    group, element = struct.unpack_from("<HH" if little else ">HH", content, position)
    return group << 16 | element


def _has_letters(content: bytes, position: int) -> bool:
    return all(ord("A") <= letter <= ord("Z") for letter in content[position + 4 : position + 6])


def _is_implicit(content: bytes, position: int, syntax: uid.UID) -> bool:
    """Says by the first element how a data set is encoded, whatever its transfer syntax says."""
    if position + 8 > len(content):
        return syntax.is_implicit_VR
    if _has_letters(content, position):
        return False
    unnamed = _unnamed_element(content, position, syntax.is_little_endian)
    return syntax.is_implicit_VR or unnamed is None


def _pixel_element(
    content: bytes, position: int, implicit: bool, little: bool
) -> PixelElement | None:
    """Reads the element at `position` if it is Pixel Data; a value cut off stays as it is."""
    if _tag(content, position, little) != _PIXEL_DATA:
        return None
    vr = "OW" if implicit else content[position + 4 : position + 6].decode("ascii", "replace")
    if implicit:
        layout = "4xL"
    else:
        has_short_length = vr in STANDARD_VR and vr not in EXPLICIT_VR_LENGTH_32
        layout = "6xH" if has_short_length else "8xL"
    layout = ("<" if little else ">") + layout
    start = position + struct.calcsize(layout)
    if start > len(content):
        return None
    length = struct.unpack_from(layout, content, position)[0]
    is_defined = length != _UNDEFINED_LENGTH
    end = start + length if is_defined else None
    return PixelElement(vr, is_defined, memoryview(content)[start:end])
