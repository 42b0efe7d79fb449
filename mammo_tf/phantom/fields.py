"""Random fields and curves drawn on a grid: what the tissue of a phantom is made of."""

import numpy as np
from PIL import Image
from scipy import fft

from mammo_tf.errors import UserError


def power_law_field(
    shape: tuple[int, int],
    *,
    beta: float,
    pixel_mm: float,
    rng: np.random.Generator,
    outer_scale_mm: float = 60.0,
) -> np.ndarray:
    """Draws a Gaussian field whose power spectrum falls as 1/f^beta.

    The spectrum is (f² + f0²)^(−beta/2) with f0 = 1/`outer_scale_mm`, so that it stays finite at
    zero; well above f0 it is the 1/f^beta, beta about 3, that mammograms are known for. The field
    is cut from a larger one, since the discrete Fourier transform would join opposite edges.

    Args:
        shape: (height, width) in pixels.
        beta: Exponent of the power (not amplitude) spectrum, at least 0.
        pixel_mm: Side of a pixel in mm.
        rng: Source of randomness.
        outer_scale_mm: Length in mm above which the spectrum is flat.

    Returns:
        (height, width) float32, of mean 0 and standard deviation 1 over the larger field.

    Raises:
        UserError: If `beta` is negative, or `pixel_mm` or `outer_scale_mm` is not positive.

    Examples:
        >>> power_law_field((8, 6), beta=3, pixel_mm=1, rng=np.random.default_rng(0)).shape
        (8, 6)

    Reference:
        Burgess 2001, "Human observer detection experiments with mammograms and power-law noise".
    """
    if beta < 0 or pixel_mm <= 0 or outer_scale_mm <= 0:
        raise UserError(
            "`beta` must be at least 0, `pixel_mm` and `outer_scale_mm` above 0. "
            f"Received: beta={beta}, pixel_mm={pixel_mm}, outer_scale_mm={outer_scale_mm}."
        )
    margin = round(min(outer_scale_mm / pixel_mm, max(shape)) / 4)
    height, width = (fft.next_fast_len(side + margin, real=True) for side in shape)
    rows = np.fft.fftfreq(height, pixel_mm)[:, np.newaxis]
    columns = np.fft.rfftfreq(width, pixel_mm)[np.newaxis, :]
    power = rows**2 + columns**2 + outer_scale_mm**-2
    amplitude = (power ** (-beta / 4)).astype(np.float32)
    amplitude[0, 0] = 0
    white = rng.standard_normal((height, width), dtype=np.float32)
    field = fft.irfft2(fft.rfft2(white) * amplitude, s=(height, width))
    field = field / field.std()
    return field[: shape[0], : shape[1]].astype(np.float32)


def resample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resizes a smooth float image to `shape`, bicubic, pixel edges kept in place.

    Args:
        image: (height, width) float32.
        shape: (height, width) wanted.

    Returns:
        Array of `shape`, float32.
    """
    if image.shape == tuple(shape):
        return image.astype(np.float32)
    source = Image.fromarray(np.ascontiguousarray(image, dtype=np.float32))
    return np.asarray(source.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def coarse_field(
    shape: tuple[int, int], *, pixel_mm: float, grid_mm: float, **kwargs
) -> np.ndarray:
    """Draws `power_law_field` on a grid no finer than `grid_mm` and resizes it to `shape`.

    Args:
        shape: (height, width) in pixels of `pixel_mm`.
        pixel_mm: Side of an output pixel in mm.
        grid_mm: Side of a grid cell in mm; finer detail than this is absent.
        **kwargs: `beta`, `rng` and `outer_scale_mm` of `power_law_field`.

    Returns:
        Array of `shape`, float32.
    """
    step = max(1.0, grid_mm / pixel_mm)
    coarse = tuple(max(2, round(side / step)) for side in shape)
    return resample(power_law_field(coarse, pixel_mm=pixel_mm * step, **kwargs), shape)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow, in the dtype of `values`."""
    return 0.5 * (1 + np.tanh(0.5 * values))


def draw_curve(
    canvas: np.ndarray, points: np.ndarray, widths: np.ndarray, strengths: np.ndarray
) -> None:
    """Draws a soft curve into `canvas`, in place, keeping the brighter of old and new.

    The profile across is Gaussian. A curve thinner than a pixel is drawn a pixel wide and
    fainter by as much, as a detector would see it.

    Args:
        canvas: (height, width) float32, changed in place.
        points: (n, 2) float, (row, column) in pixels of the curve's points.
        widths: (n,) float, standard deviation of the profile in pixels at each point.
        strengths: (n,) float, brightness at each point.
    """
    drawn = np.maximum(widths, 0.5)
    strengths = strengths * widths / drawn
    for index in range(len(points) - 1):
        _draw_segment(
            canvas,
            points[index : index + 2],
            drawn[index : index + 2],
            strengths[index : index + 2],
        )


def _draw_segment(canvas, ends, widths, strengths) -> None:
    reach = 3 * widths.max() + 1
    low = np.maximum(np.floor(ends.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(ends.max(axis=0) + reach).astype(int) + 1, canvas.shape)
    if np.any(high <= low):
        return
    rows = np.arange(low[0], high[0], dtype=np.float32)[:, np.newaxis]
    columns = np.arange(low[1], high[1], dtype=np.float32)[np.newaxis, :]
    step = ends[1] - ends[0]
    length2 = max(float(step @ step), 1e-6)
    along = ((rows - ends[0, 0]) * step[0] + (columns - ends[0, 1]) * step[1]) / length2
    along = np.clip(along, 0, 1)
    distance2 = (rows - ends[0, 0] - along * step[0]) ** 2
    distance2 += (columns - ends[0, 1] - along * step[1]) ** 2
    width = widths[0] + along * (widths[1] - widths[0])
    strength = strengths[0] + along * (strengths[1] - strengths[0])
    profile = (strength * np.exp(-0.5 * distance2 / width**2)).astype(np.float32)
    region = canvas[low[0] : high[0], low[1] : high[1]]
    np.maximum(region, profile, out=region)
