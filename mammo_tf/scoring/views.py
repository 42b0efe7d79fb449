"""One image as a scorer is given it; nothing in it tells the label."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.tasks import grey
from mammo_tf.record import ImageInfo
from mammo_tf.scoring.config import ScorerConfig

MIN_STANDARD_DEVIATION = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredView:
    """One mammogram at one compression ratio.

    Attributes:
        pixels: (height, width). Stored values, uint8 or uint16, black low, for the input "pixels"
            (float32 where they were resized); else float32, see `ScorerConfig.input`.
        view: One of `mammo_tf.record.VIEWS`, e.g. "CC", "MLO" or "unknown".
        laterality: "L", "R" or "unknown".
        pixel_spacing_mm: (row, column) distance between stored pixels; None if unknown.
        bits_stored: Bits of a stored value.
        vendor: Of the machine; "" if unknown.
    """

    pixels: np.ndarray
    view: str
    laterality: str
    pixel_spacing_mm: tuple[float, float] | None
    bits_stored: int
    vendor: str


def make_view(
    pixels: np.ndarray,
    info: ImageInfo,
    config: ScorerConfig,
    size: tuple[int, int] | None = None,
) -> ScoredView:
    """Makes a scorer's image of decoded pixels.

    Args:
        pixels: (height, width) uint8 or uint16, stored values. What lossy compression put above
            the stored range is clipped.
        info: What is known of the image.
        config: How the scorer is asked.
        size: (height, width) to resize to; None leaves the size.
    """
    highest = 2**info.bits_stored - 1
    values = np.minimum(pixels, pixels.dtype.type(min(highest, np.iinfo(pixels.dtype).max)))
    if config.mirror:
        values = grey.faces_left(info, values)
    if size is not None and size != values.shape:
        # Spread over 16 bits first, so that resizing does not round to few grey levels.
        resized = _resized(geometry.to_full_range(values, info.bits_stored), size, config.fit)
        values = resized.astype(np.float32) / np.float32(2 ** (16 - info.bits_stored))
    spacing = tuple(map(float, info.pixel_spacing_mm))
    return ScoredView(
        pixels=np.ascontiguousarray(_levels(values, config.given, highest)),
        view=info.view,
        laterality=info.laterality,
        pixel_spacing_mm=spacing if min(spacing) > 0 else None,
        bits_stored=info.bits_stored,
        vendor=info.vendor,
    )


def _resized(image: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    return geometry.resize(image, *size) if fit == "stretch" else geometry.fit_and_pad(image, size)


def _levels(values: np.ndarray, given: str, highest: int) -> np.ndarray:
    if given == "pixels":
        return values
    if given in ("display", "255"):
        top = np.float32(255 if given == "255" else 1)
        return values.astype(np.float32) * (top / np.float32(highest))
    centred = values.astype(np.float64) - values.mean(dtype=np.float64)
    return (centred / max(float(centred.std()), MIN_STANDARD_DEVIATION)).astype(np.float32)
