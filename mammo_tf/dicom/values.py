"""Values of elements as plain Python: text, numbers, look-up tables."""

import dataclasses
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence


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
        UnreadableError: If pydicom cannot make sense of the bytes.
    """
    try:
        element = dataset.get(tag_for_keyword(keyword))
        return None if element is None or element.is_empty else element.value
    except Exception:  # pydicom raises many kinds for a value of the wrong form
        raise UnreadableError from None


def items_of(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Returns the items of a sequence.

    Raises:
        UnreadableError: If the element is no sequence.
    """
    items = list(_many(value_of(dataset, keyword) or ()))
    if not all(isinstance(item, Dataset) for item in items):
        raise UnreadableError
    return items


def codes_of(items: list[Dataset]) -> tuple[str, ...]:
    """Returns the code values of a code sequence's items."""
    return tuple(as_text(code) for item in items if (code := value_of(item, "CodeValue")))


def luts_of(dataset: Dataset, keyword: str) -> list[RawLut | None]:
    """Returns the tables of a LUT sequence; None for each that is incomplete.

    Items without descriptor and data are no tables and are left out.
    """
    luts = []
    for item in items_of(dataset, keyword):
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
