"""From stored values to display values: modality LUT, then VOI, then polarity (PS3.4 N.2).

Stored values have at most 16 bits, so the whole chain is one table of at most 65536 entries,
worked out in float64. pydicom's functions are not used here: in 3.0.2 `apply_modality_lut` fails
for LUTs of 10, 12 or 14 bits, `apply_voi` wraps round for 8-bit LUTs and warns after a rescale, and
SIGMOID overflows (a warning) far from the centre. Tests compare with pydicom where it is right.
"""

import dataclasses
import math

import numpy as np

from mammo_tf.dicom.header import Header, RawLut
from mammo_tf.errors import DataError, UserError

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"


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
    """

    bits_stored: int
    inverted: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookUpTable | None = None
    voi_luts: tuple[LookUpTable, ...] = ()
    windows: tuple[Window, ...] = ()
    function: str = LINEAR

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
        """
        if not 0 <= voi < self.num_alternatives:
            raise UserError(f"voi must be 0 to {self.num_alternatives - 1}. Received: voi={voi}.")
        values, low, high = self._modality_output()
        if voi < len(self.voi_luts):
            lut = self.voi_luts[voi]
            shown = np.minimum(lut.apply(values) / lut.output_max, 1.0)
        elif self.windows:
            shown = apply_window(values, self.windows[voi - len(self.voi_luts)], self.function)
        else:
            shown = (values - low) / (high - low)
        # For MONOCHROME1 `pixels` is 2^bits − 1 − stored, and black is white: both axes turn.
        return (1.0 - shown[::-1] if self.inverted else shown).astype(np.float32)

    def _modality_output(self) -> tuple[np.ndarray, float, float]:
        """Returns the output for every stored value, and the limits of the output range."""
        stored = np.arange(2**self.bits_stored, dtype=np.float64)
        if self.modality_lut is not None:
            return self.modality_lut.apply(stored), 0.0, float(self.modality_lut.output_max)
        values = stored * self.slope + self.intercept
        return values, float(values.min()), float(values.max())


def apply_window(values: np.ndarray, window: Window, function: str) -> np.ndarray:
    """Applies one VOI window with an output range of 0 to 1.

    Args:
        values: Modality output, any shape, float64.
        window: Centre and width; the width is at least 1 for LINEAR, positive otherwise.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID".

    Returns:
        The same shape, float64 in [0, 1].

    Reference: DICOM PS3.3, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2
        (LINEAR_EXACT).
    """
    center, width = window.center, window.width
    if function == SIGMOID:
        # tanh is the same curve and does not overflow: 1/(1 + e^−2t) = (1 + tanh t)/2.
        return 0.5 * (1.0 + np.tanh(2.0 * (values - center) / width))
    if function == LINEAR:
        center, width = center - 0.5, width - 1.0
    if width == 0.0:  # a LINEAR window of width 1 is a threshold
        return np.where(values > center, 1.0, 0.0)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def build_display(header: Header) -> DisplayTransform:
    """Reads the modality LUT and VOI LUT modules of a file.

    Raises:
        DataError: If a number, window or LUT in them is unusable.
    """
    name = header.name
    slope, intercept = header.get("RescaleSlope", 1.0), header.get("RescaleIntercept", 0.0)
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope == 0.0:
        raise DataError(f"{name}: RescaleSlope and RescaleIntercept are unusable; export it again.")
    modality = tuple(
        _look_up_table(lut, header, "ModalityLUTSequence") for lut in header.modality_luts
    )
    function = header.get("VOILUTFunction", "").upper() or LINEAR
    if function not in (LINEAR, LINEAR_EXACT, SIGMOID):
        raise DataError(f"{name}: VOILUTFunction must be LINEAR, LINEAR_EXACT or SIGMOID.")
    return DisplayTransform(
        bits_stored=header.get("BitsStored"),
        inverted=header.get("PhotometricInterpretation") == "MONOCHROME1",
        slope=slope,
        intercept=intercept,
        modality_lut=modality[0] if modality else None,
        voi_luts=tuple(_look_up_table(lut, header, "VOILUTSequence") for lut in header.voi_luts),
        windows=_windows(header, function),
        function=function,
    )


def _windows(header: Header, function: str) -> tuple[Window, ...]:
    centers, widths = header.get("WindowCenter", ()), header.get("WindowWidth", ())
    try:
        windows = tuple(
            Window(float(center), float(width))
            for center, width in zip(centers, widths, strict=True)
        )
    except ValueError:
        raise DataError(
            f"{header.name}: WindowCenter and WindowWidth must be numbers, as many of the one as "
            "of the other; export the file again."
        ) from None
    smallest = 1.0 if function == LINEAR else math.ulp(0.0)
    for window in windows:
        if not (math.isfinite(window.center) and smallest <= window.width < math.inf):
            raise DataError(
                f"{header.name}: WindowWidth must be "
                f"{'at least 1' if function == LINEAR else 'positive'} for {function}; "
                "export the file again."
            )
    return windows


def _look_up_table(lut: RawLut, header: Header, keyword: str) -> LookUpTable:
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
        raise DataError(
            f"{header.name}: {keyword} has fewer entries than its descriptor says, or an unusable "
            "number of bits; export the file again."
        )
    entries = entries[: lut.num_entries].astype(np.uint16)
    return LookUpTable(lut.first_mapped, lut.bits, entries)
