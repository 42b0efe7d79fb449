"""The elements that are read from a file, and no others: an allow-list.

pydicom skips every element that is not listed, so names, dates of birth and private elements are
never loaded. `PatientID` is listed because its salted hash is; it leaves this module only as that.
"""

import contextlib
import dataclasses
import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset

from mammo_tf.dicom import part10, refusals, safety, values
from mammo_tf.dicom.budget import Budget
from mammo_tf.dicom.values import RawLut
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
    "SeriesInstanceUID",
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
# Without these it could not be told what the stored values are and whose; any other element that
# cannot be read is left out, with a note.
_NEEDED = frozenset(
    {
        "BitsAllocated",
        "BitsStored",
        "BodyPartExamined",
        "Columns",
        "HighBit",
        "ImageLaterality",
        "Laterality",
        "Modality",
        "NumberOfFrames",
        "PatientID",
        "PhotometricInterpretation",
        "PixelRepresentation",
        "PresentationIntentType",
        "Rows",
        "SOPClassUID",
        "SamplesPerPixel",
        "ViewPosition",
    }
)

_ALLOWED = frozenset(values.tag_of(word) for word in (*TEXT, *WHOLE, *REAL, *LISTS, *SEQUENCES))
# warnings.catch_warnings changes the whole process, so one thread at a time.
_WARNINGS_LOCK = threading.Lock()


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
        voi_luts: Items of VOI LUT Sequence; None in either for a table that is incomplete.
        pixels: Pixel Data: raw samples, or encapsulated fragments.
        notes: One line for each thing that the file has and that was left out; reading adds to it.
    """

    name: str
    transfer_syntax: uid.UID
    values: dict[str, Any]
    view_codes: tuple[str, ...]
    modifier_codes: tuple[str, ...]
    modality_luts: list[RawLut | None] = dataclasses.field(repr=False)
    voi_luts: list[RawLut | None] = dataclasses.field(repr=False)
    pixels: part10.PixelElement = dataclasses.field(repr=False)
    notes: list[str]

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
        content: The whole file.
        name: The file's name, for messages.
        max_pixels: Bounds what a deflated data set may inflate to.

    Returns:
        The allowed elements.

    Raises:
        DataError: If the file is cut off, damaged, has no pixel data or a transfer syntax that is
            unknown or not read.
    """
    budget = Budget()
    with collected_warnings() as caught:
        try:
            header = _parse(content, name, max_pixels, budget)
        except DataError:
            raise
        except Exception:  # a hostile file can make pydicom raise nearly anything
            raise (refusals.too_costly if budget.is_exceeded else refusals.damaged)(name) from None
    # pydicom only warns when a file ends inside an element. Its other warnings are about the form
    # of single values (too long, odd characters); what matters is checked where it is used.
    if any("End of file" in str(warning.message) for warning in caught):
        raise DataError(f"{name}: the file is cut off; copy it again.")
    return header


class _OtherThreads(logging.Filter):
    """Drops what this thread logs."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self.thread


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collects warnings, and keeps pydicom from logging them: they quote values of the file."""
    quiet, logger = _OtherThreads(), logging.getLogger("pydicom")
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logger.addFilter(quiet)
        try:
            yield caught
        finally:
            logger.removeFilter(quiet)


def _parse(content: bytes, name: str, max_pixels: int, budget: Budget) -> Header:
    notes: list[str] = []
    content, position, syntax = _open_data_set(content, name, max_pixels, notes, budget)
    elements = part10.read_elements(content, position, syntax, _ALLOWED, budget)
    if elements.num_unnamed:
        notes.append(f"{elements.num_unnamed} elements have no value representation (VR).")
    if elements.pixels is None or not elements.pixels.value:
        raise refusals.no_pixel_data(elements.dataset, name)
    reader = _Reader(elements.dataset, name, notes)
    items_of = functools.partial(values.items_of, budget=budget)
    luts_of = functools.partial(values.luts_of, budget=budget)
    views = reader.read("ViewCodeSequence", items_of, [])
    modifiers = [m for view in views for m in items_of(view, "ViewModifierCodeSequence")]
    return Header(
        name=name,
        transfer_syntax=syntax,
        values=reader.plain_values(),
        view_codes=values.codes_of(views),
        modifier_codes=values.codes_of(modifiers),
        modality_luts=reader.read("ModalityLUTSequence", luts_of, [None]),
        voi_luts=reader.read("VOILUTSequence", luts_of, [None]),
        pixels=elements.pixels,
        notes=notes,
    )


def _open_data_set(
    content: bytes, name: str, max_pixels: int, notes: list[str], budget: Budget
) -> tuple[bytes, int, uid.UID]:
    """Returns the (inflated) data set, where in it the first element is, and its encoding."""
    start = part10.find_first_element(content)
    assert start is not None  # `safety.read_file` has looked
    meta, position = part10.read_file_meta(content, start, budget)
    if start == 0 and not meta:
        guessed = part10.guess_transfer_syntax(content[: part10.SNIFF_BYTES])
        assert guessed is not None  # nor would a first element have been found
        syntax = guessed
        notes.append(f"Preamble and file meta information are missing; read as {syntax.name}.")
        return content, 0, syntax
    syntax = uid.UID(str(meta.get("TransferSyntaxUID", "")))
    refusals.check_storage(meta, syntax, name)
    if syntax.is_deflated:
        return safety.inflate(content[position:], name, max_pixels), 0, syntax
    return content, position, syntax


@dataclasses.dataclass(frozen=True, eq=False)
class _Reader:
    """Converts elements; one that is not needed and cannot be read becomes a note."""

    dataset: Dataset
    name: str
    notes: list[str]

    def read(self, keyword: str, convert: Callable[[Dataset, str], Any], default: Any) -> Any:
        try:
            return convert(self.dataset, keyword)
        except (TypeError, ValueError, OverflowError):
            if keyword in _NEEDED:
                raise DataError(
                    f"{self.name}: {keyword} cannot be read; export the file again."
                ) from None
            self.notes.append(f"{keyword} cannot be read; left out.")
            return default

    def plain_values(self) -> dict[str, Any]:
        found = {
            keyword: self.read(keyword, functools.partial(_convert, convert), None)
            for keywords, convert in (
                (TEXT, values.as_text),
                (WHOLE, values.as_whole),
                (REAL, values.as_real),
                (LISTS, values.as_list),
            )
            for keyword in keywords
        }
        return {keyword: value for keyword, value in found.items() if value is not None}


def _convert(convert: Callable, dataset: Dataset, keyword: str) -> Any:
    value = values.value_of(dataset, keyword)
    return None if value is None else convert(value)
