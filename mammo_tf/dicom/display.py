"""From stored values to display values: modality LUT, then VOI, then polarity (PS3.4 N.2).

Stored values have at most 16 bits, so the whole chain is one table of at most 65536 entries,
worked out in float64. pydicom's functions are not used here: in 3.0.2 `apply_modality_lut` fails
for LUTs of 10, 12 or 14 bits, `apply_voi` wraps round for 8-bit LUTs and warns after a rescale, and
SIGMOID overflows (a warning) far from the centre. Tests compare with pydicom where it is right.
"""

import dataclasses
import math

import numpy as np

from mammo_tf.dicom.header import Header
from mammo_tf.dicom.values import RawLut, parse_real
from mammo_tf.errors import DataError, UserError

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"
# A table that leaves two of its bits unused would show white as a dark grey.
_UNUSED_BITS = 2


@dataclasses.dataclass(frozen=True)
class Window:
    """One VOI window (PS3.3 C.11.2.1.2); centre and width are in modality output units."""

    center: float
    width: float


@dataclasses.dataclass(frozen=True, eq=False)
class LookUpTable:
    """One LUT (PS3.3 C.11.1.1): `entries` (num_entries,) uint16 of `bits` bits each."""

    first_mapped: int
    bits: int
    entries: np.ndarray = dataclasses.field(repr=False)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Maps values (any shape) to entries; values outside take the first or last entry."""
        index = np.clip(np.rint(values - self.first_mapped), 0, len(self.entries) - 1)
        return self.entries[index.astype(np.int64)].astype(np.float64)

    @property
    def output_max(self) -> int:
        """The largest value that an entry of `bits` bits can have."""
        return 2**self.bits - 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DisplayTransform:
    """How one image's stored values become display values in [0, 1].

    Attributes:
        bits_stored: Bits that carry the image.
        inverted: Whether the file is MONOCHROME1: its lowest value is white.
        slope: Rescale slope.
        intercept: Rescale intercept.
        modality_lut: Replaces slope and intercept where the file has one.
        voi_luts: VOI LUTs; where the file has any, they go before the windows.
        windows: VOI windows.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".
        refusal: Why the image cannot be shown as the file means it; "" where it can.
    """

    bits_stored: int
    inverted: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookUpTable | None = None
    voi_luts: tuple[LookUpTable, ...] = ()
    windows: tuple[Window, ...] = ()
    function: str = LINEAR
    refusal: str = ""

    @property
    def num_alternatives(self) -> int:
        """How many VOI views the file offers, LUTs first; 1 where it has none (full range)."""
        return max(1, len(self.voi_luts) + len(self.windows))

    def table(self, voi: int = 0) -> np.ndarray:
        """Returns the display value of every value that `Mammogram.pixels` can have.

        Args:
            voi: Which of the file's alternatives, 0 to num_alternatives − 1: VOI LUTs in the
                file's order, then windows.

        Returns:
            (2**bits_stored,) float32 in [0, 1], 1 is white.

        Raises:
            UserError: If there is no such alternative.
            DataError: If the file's transformations cannot be used; `refusal` says why.
        """
        if self.refusal:
            raise DataError(self.refusal)
        if not 0 <= voi < self.num_alternatives:
            raise UserError(f"voi must be 0 to {self.num_alternatives - 1}. Received: voi={voi}.")
        stored = np.arange(2**self.bits_stored, dtype=np.float64)
        values = self._modality_output(stored)
        if voi < len(self.voi_luts):
            lut = self.voi_luts[voi]
            shown = np.minimum(lut.apply(values) / lut.output_max, 1.0)
        elif self.windows:
            shown = apply_window(values, self.windows[voi - len(self.voi_luts)], self.function)
        elif self.modality_lut is not None:
            shown = values / self.modality_lut.output_max
        else:  # the full range, whatever slope and intercept are: they could only lose digits
            shown = (stored if self.slope > 0 else stored[::-1]) / stored[-1]
        # For MONOCHROME1 `pixels` is 2^bits − 1 − stored, and black is white: both axes turn.
        return (1.0 - shown[::-1] if self.inverted else shown).astype(np.float32)

    def modality_limits(self) -> tuple[float, float]:
        """Returns the limits of the modality LUT's, or of slope and intercept's, output."""
        if self.modality_lut is not None:
            return 0.0, float(self.modality_lut.output_max)
        ends = (self.intercept, (2**self.bits_stored - 1) * self.slope + self.intercept)
        return min(ends), max(ends)

    def _modality_output(self, stored: np.ndarray) -> np.ndarray:
        """Returns the output for stored values, any shape."""
        if self.modality_lut is not None:
            return self.modality_lut.apply(stored)
        return stored * self.slope + self.intercept


def apply_window(values: np.ndarray, window: Window, function: str) -> np.ndarray:
    """Applies one VOI window with an output range of 0 to 1.

    Args:
        values: Modality output, any shape, float64.
        window: Centre and width, which is positive. A LINEAR one of less than 1, which the standard
            forbids and files with small slopes have, is LINEAR_EXACT.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".

    Returns:
        The same shape, float64 in [0, 1].

    Reference: DICOM PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2
        (LINEAR_EXACT).
    """
    center, width = window.center, window.width
    with np.errstate(over="ignore"):  # far outside an absurdly narrow window
        if function == SIGMOID:
            # tanh is the same curve and does not overflow: 1/(1 + e^−2t) = (1 + tanh t)/2.
            return 0.5 * (1.0 + np.tanh(2.0 * (values - center) / width))
        if function == LINEAR and width >= 1.0:
            center, width = center - 0.5, width - 1.0
        if width == 0.0:  # a LINEAR window of width 1 is a threshold
            return np.where(values > center, 1.0, 0.0)
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def build_display(header: Header) -> DisplayTransform:
    """Reads the modality LUT and VOI LUT modules of a file; never refuses it.

    A window or LUT that cannot be used is left out with a note in `header.notes`. Where what is
    left would be shown otherwise than the file means it, the transformation has a `refusal`.
    """
    scale, is_scale_known = _modality(header)
    values = DisplayTransform(bits_stored=header.get("BitsStored"), inverted=False, **scale)
    low, high = values.modality_limits()
    voi_luts = _look_up_tables(header.voi_luts, header, "VOILUTSequence", low, high)
    windows = _windows(header)
    function = header.get("VOILUTFunction", "").upper() or LINEAR
    refusal = ""
    if windows and function not in (LINEAR, LINEAR_EXACT, SIGMOID):
        header.notes.append("VOILUTFunction is unknown; the windows are left out.")
        windows, function = (), LINEAR
        if not voi_luts:
            refusal = "VOILUTFunction must be LINEAR, LINEAR_EXACT or SIGMOID"
    elif not is_scale_known and (windows or voi_luts):
        refusal = "RescaleSlope and RescaleIntercept, or ModalityLUTSequence, are unusable"
    if refusal:
        refusal = f"{header.name}: the image cannot be displayed: {refusal}; export it again."
    return DisplayTransform(
        bits_stored=header.get("BitsStored"),
        inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
        voi_luts=voi_luts,
        windows=windows,
        function=function,
        refusal=refusal,
        **scale,
    )


def _modality(header: Header) -> tuple[dict, bool]:
    """Returns slope and intercept or the modality LUT, and whether the file's can be used."""
    limit = 2 ** header.get("BitsStored") - 1
    luts = _look_up_tables(header.modality_luts, header, "ModalityLUTSequence", 0, limit)
    if luts:
        return {"modality_lut": luts[0]}, True
    if header.modality_luts:
        return {}, False
    slope, intercept = header.get("RescaleSlope", 1.0), header.get("RescaleIntercept", 0.0)
    first, last = intercept, limit * slope + intercept
    if not (math.isfinite(first) and math.isfinite(last)) or first == last:
        header.notes.append("RescaleSlope and RescaleIntercept are unusable; left out.")
        return {}, False
    return {"slope": slope, "intercept": intercept}, True


def _windows(header: Header) -> tuple[Window, ...]:
    centers, widths = header.get("WindowCenter", ()), header.get("WindowWidth", ())
    windows, unusable = [], abs(len(centers) - len(widths))
    for center, width in zip(centers, widths, strict=False):
        try:
            window = Window(parse_real(center), parse_real(width))
        except ValueError:
            window = Window(math.nan, math.nan)
        if math.isfinite(window.center) and 0.0 < window.width < math.inf:
            windows.append(window)
        else:
            unusable += 1
    if unusable:
        header.notes.append(f"WindowCenter and WindowWidth: {unusable} unusable; left out.")
    return tuple(windows)


def _look_up_tables(
    luts: list[RawLut | None], header: Header, keyword: str, low: float, high: float
) -> tuple[LookUpTable, ...]:
    """Returns the usable ones of a LUT sequence, whose input is between `low` and `high`."""
    tables = []
    for lut in luts:
        table = None if lut is None else _look_up_table(lut, header, keyword, low, high)
        if table is not None:
            tables.append(table)
    if len(tables) < len(luts):
        header.notes.append(f"{keyword}: {len(luts) - len(tables)} unusable; left out.")
    return tuple(tables)


def _look_up_table(
    lut: RawLut, header: Header, keyword: str, low: float, high: float
) -> LookUpTable | None:
    """Unpacks LUT Data: 8 or 16 bits per entry, as bytes or as numbers."""
    data = lut.data
    if not isinstance(data, bytes):
        entries = np.asarray(data, dtype=np.int64) & 0xFFFF
    elif len(data) in (lut.num_entries, lut.num_entries + lut.num_entries % 2) and lut.bits <= 8:
        entries = np.frombuffer(data, np.uint8)
    else:
        entries = np.frombuffer(
            data[: len(data) // 2 * 2], "<u2" if header.little_endian else ">u2"
        )
    if not 1 <= lut.bits <= 16 or len(entries) < lut.num_entries:
        return None
    entries = entries[: lut.num_entries].astype(np.uint16)
    bits = int(entries.max()).bit_length()
    if bits == 0 or lut.bits - _UNUSED_BITS < bits <= lut.bits:
        bits = lut.bits
    else:
        header.notes.append(f"{keyword}: entries of {bits} bits, not {lut.bits} as said.")
    return LookUpTable(_first_mapped(lut, low, high), bits, entries)


def _first_mapped(lut: RawLut, low: float, high: float) -> int:
    """Returns the first input value, read as unsigned or signed (PS3.3 C.11.1.1).

    The standard takes the sign from that of the input; some devices write 40000 as −25536, others
    −2 as 65534. So the input decides, unless the table would then lie beside all of it.
    """
    unsigned = lut.first_mapped & 0xFFFF
    signed = unsigned - 2**16 if unsigned >= 2**15 else unsigned
    likely, other = (unsigned, signed) if low >= 0 else (signed, unsigned)
    fits = [low <= first + lut.num_entries - 1 and first <= high for first in (likely, other)]
    return other if fits == [False, True] else likely
