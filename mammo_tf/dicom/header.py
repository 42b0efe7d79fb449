"""The elements that are read from a file, and no others: an allow-list.

pydicom skips every element that is not listed, so names, dates of birth and private elements are
never loaded. `PatientID` is listed because its salted hash is; it leaves this module only as that.
"""

import contextlib
import dataclasses
import io
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from mammo_tf.dicom import safety
from mammo_tf.errors import DataError

TEXT = (
    "BodyPartExamined",
    "BreastImplantPresent",
    "BurnedInAnnotation",
    "FieldOfViewHorizontalFlip",
    "ImageLaterality",
    "Laterality",
    "LossyImageCompression",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "PatientAge",
    "PatientID",
    "PhotometricInterpretation",
    "PresentationIntentType",
    "SOPClassUID",
    "SeriesDescription",
    "VOILUTFunction",
    "ViewPosition",
)
WHOLE = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "HighBit",
    "NumberOfFrames",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "Rows",
    "SamplesPerPixel",
)
REAL = (
    "FieldOfViewRotation",
    "RescaleIntercept",
    "RescaleSlope",
)
LISTS = (
    "ImagerPixelSpacing",
    "PatientOrientation",
    "PixelSpacing",
    "WindowCenter",
    "WindowWidth",
)
SEQUENCES = (
    "ModalityLUTSequence",
    "VOILUTSequence",
    "ViewCodeSequence",
)
PIXELS = ("PixelData",)

_ALLOWED = [tag_for_keyword(word) for word in (*TEXT, *WHOLE, *REAL, *LISTS, *SEQUENCES, *PIXELS)]
_META_GROUP = 2
# warnings.catch_warnings changes the whole process, so one thread at a time.
_WARNINGS_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class RawLut:
    """One look-up table as the file has it (PS3.3 C.11.1.1.1).

    Attributes:
        num_entries: Number of entries, 1 to 65536.
        first_mapped: Input value of the first entry.
        bits: Bits per entry.
        data: Entries as stored: bytes, or whole numbers.
    """

    num_entries: int
    first_mapped: int
    bits: int
    data: bytes | tuple[int, ...] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class Header:
    """The allowed elements of one file as plain Python values.

    Attributes:
        name: The file's name, for messages.
        transfer_syntax: Transfer syntax UID.
        values: Keyword to str, int, float or tuple; what the file lacks is absent.
        view_codes: Code values of View Code Sequence.
        modifier_codes: Code values of the View Modifier Code Sequences inside it.
        modality_luts: Items of Modality LUT Sequence.
        voi_luts: Items of VOI LUT Sequence.
        pixel_data: The value of Pixel Data: raw samples, or encapsulated fragments.
        pixel_vr: "OB" or "OW".
    """

    name: str
    transfer_syntax: uid.UID
    values: dict[str, Any]
    view_codes: tuple[str, ...]
    modifier_codes: tuple[str, ...]
    modality_luts: tuple[RawLut, ...] = dataclasses.field(repr=False)
    voi_luts: tuple[RawLut, ...] = dataclasses.field(repr=False)
    pixel_data: bytes = dataclasses.field(repr=False)
    pixel_vr: str

    def get(self, keyword: str, default: Any = None) -> Any:
        """Returns the element's value, or `default` where the file has none."""
        return self.values.get(keyword, default)

    @property
    def high_bit(self) -> int:
        """Position of the highest bit that carries the image; BitsStored − 1 unless stated."""
        return self.get("HighBit", self.get("BitsStored") - 1)

    @property
    def little_endian(self) -> bool:
        """Whether numbers are stored with the low byte first."""
        return self.transfer_syntax.is_little_endian


def read_header(content: bytes, name: str, max_pixels: int) -> Header:
    """Parses a DICOM file held in memory; no pixel is decoded.

    Args:
        content: The whole file, from its preamble on.
        name: The file's name, for messages.
        max_pixels: Bounds what a deflated data set may inflate to.

    Returns:
        The allowed elements.

    Raises:
        DataError: If the file is cut off, damaged, has no pixel data or an unknown transfer syntax.
    """
    with _collected_warnings() as caught:
        try:
            header = _parse(content, name, max_pixels)
        except DataError:
            raise
        except Exception:  # a hostile file can make pydicom raise nearly anything
            raise _damaged(name) from None
    # pydicom only warns when a file ends inside an element. Its other warnings are about the form
    # of single values (too long, odd characters); what matters is checked where it is used.
    if any("End of file" in str(warning.message) for warning in caught):
        raise DataError(f"{name}: the file is cut off; copy it again.")
    if not header.pixel_data:
        raise DataError(
            f"{name}: there is no pixel data: the file is cut off or holds no image; copy it again."
        )
    return header


class _OtherThreads(logging.Filter):
    """Drops what this thread logs."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self.thread


@contextlib.contextmanager
def _collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collects warnings, and keeps pydicom from logging them: they quote values of the file."""
    quiet, logger = _OtherThreads(), logging.getLogger("pydicom")
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.addFilter(quiet)
        try:
            yield caught
        finally:
            logger.removeFilter(quiet)


def _parse(content: bytes, name: str, max_pixels: int) -> Header:
    stream = io.BytesIO(content)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != _META_GROUP)
    syntax = uid.UID(str(meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise DataError(
            f"{name}: the transfer syntax is missing or unknown; export the file again."
        )
    if syntax.is_deflated:
        stream = io.BytesIO(safety.inflate(content[stream.tell() :], name, max_pixels))
    dataset = read_dataset(
        stream, syntax.is_implicit_VR, syntax.is_little_endian, specific_tags=list(_ALLOWED)
    )
    values = {}
    for keywords, convert in ((TEXT, _text), (WHOLE, _whole), (REAL, _real), (LISTS, _list)):
        for keyword in keywords:
            if (value := _value(dataset, keyword)) is not None:
                values[keyword] = _converted(value, convert, keyword, name)
    views = _items(dataset, "ViewCodeSequence", name)
    modifiers = [m for view in views for m in _items(view, "ViewModifierCodeSequence", name)]
    pixels = _value(dataset, "PixelData")
    pixel_vr = str(dataset["PixelData"].VR) if isinstance(pixels, bytes) else ""
    return Header(
        name=name,
        transfer_syntax=syntax,
        values=values,
        view_codes=_codes(views),
        modifier_codes=_codes(modifiers),
        modality_luts=_luts(dataset, "ModalityLUTSequence", name),
        voi_luts=_luts(dataset, "VOILUTSequence", name),
        pixel_data=pixels if isinstance(pixels, bytes) else b"",
        pixel_vr=pixel_vr,
    )


def _items(dataset: Dataset, keyword: str, name: str) -> list[Dataset]:
    items = list(_many(_value(dataset, keyword) or ()))
    if not all(isinstance(item, Dataset) for item in items):
        raise DataError(f"{name}: {keyword} is not a sequence; export the file again.")
    return items


def _codes(items: list[Dataset]) -> tuple[str, ...]:
    return tuple(_text(value) for item in items if (value := _value(item, "CodeValue")))


def _luts(dataset: Dataset, keyword: str, name: str) -> tuple[RawLut, ...]:
    luts = []
    for item in _items(dataset, keyword, name):
        descriptor = _many(_value(item, "LUTDescriptor"))
        data = _value(item, "LUTData")
        if len(descriptor) != 3 or data is None:
            raise DataError(f"{name}: {keyword} is incomplete; export the file again.")
        num_entries, first_mapped, bits = (int(number) for number in descriptor)
        data = data if isinstance(data, bytes) else tuple(int(number) for number in _many(data))
        luts.append(RawLut((num_entries & 0xFFFF) or 65536, first_mapped, bits, data))
    return tuple(luts)


def _value(dataset: Dataset, keyword: str) -> Any:
    """Returns an element's value; None where it is absent or empty."""
    element = dataset.get(tag_for_keyword(keyword))
    if element is None or element.is_empty:
        return None
    return element.value


def _converted(value: Any, convert, keyword: str, name: str) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{name}: {keyword} cannot be read; export the file again.") from None


def _text(value: Any) -> str:
    return str(_first(value)).strip(" \0")


def _whole(value: Any) -> int:
    value = _first(value)
    if isinstance(value, bytes):
        raise ValueError
    return int(value)


def _real(value: Any) -> float:
    return float(_first(value))


def _list(value: Any) -> tuple[str, ...]:
    """Returns every value of an element as text; numbers keep their decimal spelling."""
    return tuple(str(item).strip(" \0") for item in _many(value))


def _many(value: Any) -> tuple:
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return (value,)
    return tuple(value)


def _first(value: Any) -> Any:
    if isinstance(value, Sequence):
        raise ValueError
    return _many(value)[0]


def _damaged(name: str) -> DataError:
    return DataError(f"{name}: the DICOM header is damaged or cut off; copy the file again.")
