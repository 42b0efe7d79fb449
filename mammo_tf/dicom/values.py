"""Values of elements as plain Python: text, numbers, look-up tables."""

import dataclasses
from typing import Any

from pydicom.charset import default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.sequence import Sequence

from mammo_tf import limits
from mammo_tf.dicom.budget import Budget, MeteredStream, TooCostlyError


def tag_of(keyword: str) -> int:
    """Returns the tag of an element by its keyword, e.g. 0x00280010 for "Rows"."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # keywords are ours, never a file's
    return tag


class UnreadableError(ValueError):
    """An element is there, but its value cannot be read."""


@dataclasses.dataclass(frozen=True)
class RawLut:
    """One look-up table as the file has it (PS3.3 C.11.1.1.1).

    Attributes:
        num_entries: Number of entries, 1 to 65536.
        first_mapped: Input value of the first entry; its sign depends on who wrote it.
        bits: Bits per entry.
        data: Entries as stored: bytes, or whole numbers.
    """

    num_entries: int
    first_mapped: int
    bits: int
    data: bytes | tuple[int, ...] = dataclasses.field(repr=False)


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Returns an element's value; None where it is absent or empty.

    Raises:
        UnreadableError: If pydicom cannot make sense of the bytes, or there are too many.
    """
    limit = limits.MAX_LUT_BYTES if keyword == "LUTData" else limits.MAX_VALUE_BYTES
    if len(_raw_value(dataset, keyword) or b"") > limit:
        raise UnreadableError
    try:
        element = dataset.get(tag_of(keyword))
        return None if element is None or element.is_empty else element.value
    except Exception:  # pydicom raises many kinds for a value of the wrong form
        raise UnreadableError from None


def items_of(dataset: Dataset, keyword: str, budget: Budget) -> list[Dataset]:
    """Returns the items of a sequence.

    Args:
        dataset: Where it is.
        keyword: Its keyword.
        budget: What parsing the file may cost.

    Raises:
        UnreadableError: If the element is no sequence, or has more items than any vendor writes.
        TooCostlyError: If it has more than the budget allows.
    """
    content = _raw_value(dataset, keyword)
    if content is None:  # of undefined length: parsed with the data set
        items = list(_many(value_of(dataset, keyword) or ()))
    else:
        items = _parse_items(dataset, keyword, content, budget)
    if len(items) > limits.MAX_ITEMS or not all(isinstance(item, Dataset) for item in items):
        raise UnreadableError
    return items


def _raw_value(dataset: Dataset, keyword: str) -> bytes | None:
    """Returns the bytes of an element that has not been converted yet; None for others."""
    tag = tag_of(keyword)
    element = dataset.get_item(tag) if tag in dataset else None
    value = element.value if isinstance(element, RawDataElement) else None
    return value if isinstance(value, bytes) else None


def _parse_items(dataset: Dataset, keyword: str, content: bytes, budget: Budget) -> list[Dataset]:
    """Parses a sequence of defined length, which pydicom would do later and unmetered."""
    raw = dataset.get_item(tag_of(keyword))
    if not isinstance(raw, RawDataElement) or raw.VR not in (None, "SQ", "UN"):
        raise UnreadableError
    try:
        stream = MeteredStream(content, budget)
        implicit, little = raw.is_implicit_VR, raw.is_little_endian
        return list(read_sequence(stream, implicit, little, len(content), default_encoding))
    except Exception as error:  # pydicom raises many kinds for a damaged sequence
        raise TooCostlyError if budget.is_exceeded else UnreadableError from error


def codes_of(items: list[Dataset]) -> tuple[str, ...]:
    """Returns the code values of a code sequence's items."""
    return tuple(as_text(code) for item in items if (code := value_of(item, "CodeValue")))


def luts_of(dataset: Dataset, keyword: str, budget: Budget) -> list[RawLut | None]:
    """Returns the tables of a LUT sequence; None for each that is incomplete.

    Items without descriptor and data are no tables and are left out.
    """
    luts: list[RawLut | None] = []
    for item in items_of(dataset, keyword, budget):
        try:
            descriptor, data = value_of(item, "LUTDescriptor"), value_of(item, "LUTData")
            if descriptor is not None or data is not None:
                luts.append(_raw_lut(_many(descriptor), data))
        except (TypeError, ValueError, OverflowError):
            luts.append(None)
    return luts


def _raw_lut(descriptor: tuple, data: Any) -> RawLut:
    num_entries, first_mapped, bits = (as_whole(number) for number in descriptor)
    if data is None:
        raise UnreadableError
    data = data if isinstance(data, bytes) else tuple(int(number) for number in _many(data))
    return RawLut((num_entries & 0xFFFF) or 65536, first_mapped, bits, data)


def as_text(value: Any) -> str:
    """Returns the first value as text without padding."""
    value = _first(value)
    value = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return value.strip(" \0")


def as_whole(value: Any) -> int:
    """Returns the first value as a whole number."""
    value = _first(value)
    if isinstance(value, bytes):
        raise UnreadableError
    return int(value)


def as_real(value: Any) -> float:
    """Returns the first value as a number."""
    return parse_real(as_text(value))


def as_list(value: Any) -> tuple[str, ...]:
    """Returns every value of an element as text; numbers keep their decimal spelling."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):  # under a VR that may not have several values, they stay together
        value = value.split("\\")
    return tuple(as_text(item) for item in _many(value))


def parse_real(text: str) -> float:
    """Reads a number; some devices write a decimal comma.

    Raises:
        ValueError: If it is none.
    """
    return float(text.replace(",", ".") if "." not in text else text)


def _many(value: Any) -> tuple:
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)


def _first(value: Any) -> Any:
    if isinstance(value, Sequence):
        raise UnreadableError
    return _many(value)[0]
