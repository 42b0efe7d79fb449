"""The three invented machines: grey levels, window, polarity, and how they store an image."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.phantom.exam import Exposure


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """How a machine images and stores.

    Attributes:
        manufacturer: DICOM's Manufacturer.
        model: DICOM's ManufacturerModelName.
        exposure: Tissue to grey levels.
        photometric_interpretation: "MONOCHROME1" machines store 2^bits_stored − 1 − grey level.
        bits_stored: DICOM's BitsStored, in 16 bits allocated.
        padding_value: DICOM's PixelPaddingValue, the stored value of air; None for none.
        window_center, window_width: In stored values.
        voi_function: "LINEAR" or "SIGMOID".
        turns: For "L" and "R", what is done to the canonical image before it is stored: "none",
            "mirror" (columns reversed) or "half turn" (rows and columns reversed).
    """

    manufacturer: str
    model: str
    exposure: Exposure
    photometric_interpretation: str
    bits_stored: int
    padding_value: int | None
    window_center: int
    window_width: int
    voi_function: str
    turns: dict[str, str]


VENDOR_TABLE = {
    "PHANTOM-A": Vendor(
        manufacturer="PHANTOM-A",
        model="Upright",
        exposure=Exposure(offset=900, gain=1800, edge_power=0.55, air_level=0, air_noise=0),
        photometric_interpretation="MONOCHROME2",
        bits_stored=12,
        padding_value=None,
        window_center=1800,
        window_width=3200,
        voi_function="LINEAR",
        turns={"L": "none", "R": "none"},
    ),
    "PHANTOM-B": Vendor(
        manufacturer="PHANTOM-B",
        model="Turntable",
        exposure=Exposure(offset=1050, gain=1550, edge_power=0.4, air_level=40, air_noise=6),
        photometric_interpretation="MONOCHROME1",
        bits_stored=12,
        padding_value=None,
        window_center=2350,
        window_width=2400,
        voi_function="SIGMOID",
        turns={"L": "half turn", "R": "mirror"},
    ),
    # Stored 1466 to 2948 of 16 bits, with padding of 3076 for air.
    "PHANTOM-C": Vendor(
        manufacturer="PHANTOM-C",
        model="Narrow",
        exposure=Exposure(
            offset=380,
            gain=760,
            edge_power=0.5,
            air_level=65535 - 3076,
            air_noise=0,
            base=65535 - 2948,
            noise=11,
            limits=(65535 - 2948, 65535 - 1466),
        ),
        photometric_interpretation="MONOCHROME1",
        bits_stored=16,
        padding_value=3076,
        window_center=2350,
        window_width=1100,
        voi_function="SIGMOID",
        turns={"L": "mirror", "R": "none"},
    ),
}

_OPPOSITE = {"A": "P", "P": "A", "H": "F", "F": "H", "L": "R", "R": "L"}


def to_stored(pixels: np.ndarray, vendor: Vendor, laterality: str) -> np.ndarray:
    """Turns a canonical MONOCHROME2 image into what the machine stores.

    Args:
        pixels: (height, width) uint16.
        vendor: The machine.
        laterality: "L" or "R".

    Returns:
        (height, width) uint16, contiguous.
    """
    if vendor.photometric_interpretation == "MONOCHROME1":
        pixels = (2**vendor.bits_stored - 1 - pixels).astype(np.uint16)
    turn = vendor.turns[laterality]
    if turn == "mirror":
        pixels = pixels[:, ::-1]
    elif turn == "half turn":
        pixels = pixels[::-1, ::-1]
    return np.ascontiguousarray(pixels)


def patient_orientation(vendor: Vendor, laterality: str, view: str) -> list[str]:
    """DICOM's PatientOrientation: where rows and where columns lead, for the stored image.

    In canonical orientation the rows of a left view lead to the front (A) and its columns to the
    feet and, both views, to the middle of the body (R for the left breast).
    """
    medial = {"L": "R", "R": "L"}[laterality]
    rows = {"L": "A", "R": "P"}[laterality]
    columns = medial if view == "CC" else "F" + medial
    turn = vendor.turns[laterality]
    if turn != "none":
        rows = _opposite(rows)
    if turn == "half turn":
        columns = _opposite(columns)
    return [rows, columns]


def _opposite(letters: str) -> str:
    return "".join(_OPPOSITE[letter] for letter in letters)
