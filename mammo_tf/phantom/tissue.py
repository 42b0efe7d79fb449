"""The tissue of a healthy breast: fat, parenchyma, ligaments, vessels, skin, muscle."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.phantom.anatomy import DETECTOR_MM, DRAWN_MM, GRID_MM, ViewGeometry
from mammo_tf.phantom.fields import coarse_field, draw_curve, sigmoid

PARENCHYMA_BETA = 3.0
"""Exponent of the parenchyma's power spectrum; mammograms measure 2.8 to 3.2."""


@dataclass(frozen=True, kw_only=True)
class TissueStyle:
    """What a woman's breasts are made of.

    Attributes:
        density: 0 (almost all fat, BI-RADS a) to 1 (extremely dense, BI-RADS d).
        beta: Exponent of the parenchyma's power spectrum.
        strands: Brightness of Cooper's ligaments.
        num_vessels: Vessels drawn in a view.
    """

    density: float
    beta: float = PARENCHYMA_BETA
    strands: float = 0.10
    num_vessels: int = 4


def draw_tissue_style(rng: np.random.Generator) -> TissueStyle:
    """Draws density, strands and vessels as they vary between women."""
    return TissueStyle(
        density=float(rng.beta(2.0, 2.2)),
        beta=float(np.clip(rng.normal(PARENCHYMA_BETA, 0.1), 2.7, 3.3)),
        strands=float(rng.uniform(0.05, 0.12)),
        num_vessels=int(rng.integers(2, 6)),
    )


def image_shape(scale: float) -> tuple[int, int]:
    """(height, width) in pixels of a view at `scale`; 2294×1914 at scale 1."""
    return round(DETECTOR_MM[0] * 10 * scale), round(DETECTOR_MM[1] * 10 * scale)


def drawn_columns(scale: float) -> int:
    """Columns from the chest wall that can hold tissue; beyond them is air."""
    return round(DRAWN_MM * 10 * scale)


def at_pixels(grid: np.ndarray, scale: float) -> np.ndarray:
    """Resizes a coarse map to the pixels of the drawn part of the image.

    Args:
        grid: (rows, columns) float32 on cells of `anatomy.GRID_MM`.
        scale: Scale of the image.

    Returns:
        (height, drawn columns) float32.
    """
    height = image_shape(scale)[0]
    cells_per_pixel = 0.1 / scale / GRID_MM
    columns = drawn_columns(scale)
    rows = np.clip((np.arange(height) + 0.5) * cells_per_pixel - 0.5, 0, grid.shape[0] - 1)
    cols = np.clip((np.arange(columns) + 0.5) * cells_per_pixel - 0.5, 0, grid.shape[1] - 1)
    return _interpolate(_interpolate(grid, rows).T, cols).T


def _interpolate(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    low = np.minimum(positions.astype(int), len(values) - 2)
    share = (positions - low).astype(np.float32)[:, np.newaxis]
    return values[low] * (1 - share) + values[low + 1] * share


def healthy_tissue(
    geometry: ViewGeometry, style: TissueStyle, *, scale: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws the tissue of one view: 0 is fat, 1 dense parenchyma.

    Args:
        geometry: The view.
        style: The woman's tissue.
        scale: Scale of the image, 1 for 0.1 mm pixels.
        rng: Source of randomness.

    Returns:
        (height, drawn columns) float32. Values outside the breast mean nothing: `exam.expose`
        puts air there.
    """
    pixel_mm = 0.1 / scale
    inside = at_pixels(geometry.distance_inside, scale)
    before_muscle = at_pixels(geometry.distance_pectoral, scale)
    options = {"pixel_mm": pixel_mm, "grid_mm": 0.2, "beta": style.beta, "rng": rng}
    texture = coarse_field(inside.shape, outer_scale_mm=45, **options)
    envelope = _gland_envelope(geometry, style, scale, inside, before_muscle)
    gland = sigmoid(2.6 * (texture + 2.6 * (style.density - 0.55))) * envelope
    fine = coarse_field(inside.shape, outer_scale_mm=25, **options)
    tissue = 0.04 * fine + gland * (0.46 + 0.07 * fine)
    tissue += _strands(geometry, style, scale, fine, rng) * (0.4 + 0.6 * envelope)
    tissue += _vessels(geometry, style, scale, rng)
    tissue = _add_muscle(tissue, before_muscle, geometry, scale, fine)
    return (tissue + 0.45 * np.exp(-((inside / 1.3) ** 2))).astype(np.float32)


def _gland_envelope(geometry, style, scale, inside, before_muscle) -> np.ndarray:
    """Where parenchyma is: behind the nipple, not under the skin nor before the muscle."""
    height, width = inside.shape
    rows = np.arange(height, dtype=np.float32)[:, np.newaxis] * (0.1 / scale)
    columns = np.arange(width, dtype=np.float32)[np.newaxis, :] * (0.1 / scale)
    rows, columns = rows - geometry.nipple[0], columns - geometry.nipple[1]
    depth = rows * geometry.posterior[0] + columns * geometry.posterior[1]
    across = rows * geometry.upward[0] + columns * geometry.upward[1]
    reach = 28 + 30 * style.density
    fan = (np.abs(across - 6) - 8 - 0.35 * np.clip(depth, 0, 60)) / (0.35 * reach)
    envelope = sigmoid(-2.2 * (fan - 0.8))
    envelope *= sigmoid((inside - 9) / 2.5)
    envelope *= sigmoid((reach + 0.25 * geometry.shape.depth - depth) / 5)
    return envelope * sigmoid((before_muscle - 8) / 3)


def _strands(geometry, style, scale, fine, rng) -> np.ndarray:
    """Thin curved lines where a random field crosses zero: a net of ligaments."""
    net = coarse_field(
        fine.shape, pixel_mm=0.1 / scale, grid_mm=0.2, beta=3.6, rng=rng, outer_scale_mm=18
    )
    lines = np.exp(-((net / 0.09) ** 2))
    return style.strands * lines * sigmoid(1.5 * fine)


def _vessels(geometry, style, scale, rng) -> np.ndarray:
    canvas = np.zeros((image_shape(scale)[0], drawn_columns(scale)), np.float32)
    per_mm = 10 * scale
    for _ in range(style.num_vessels):
        depth = np.linspace(geometry.shape.depth * rng.uniform(0.85, 1.1), rng.uniform(8, 22), 40)
        start = rng.uniform(-0.75, 0.75) * geometry.shape.half_width
        drift = np.cumsum(rng.normal(0, 0.6, 40)) + np.cumsum(np.cumsum(rng.normal(0, 0.06, 40)))
        across = start * (0.35 + 0.65 * depth / depth[0]) + drift
        points = geometry.nipple + depth[:, None] * geometry.posterior
        points = (points + across[:, None] * geometry.upward) * per_mm
        width = np.linspace(rng.uniform(0.5, 0.9), 0.3, 40) * per_mm
        draw_curve(canvas, points, width, np.full(40, rng.uniform(0.08, 0.18)))
    return canvas


def _add_muscle(tissue, before_muscle, geometry, scale, fine) -> np.ndarray:
    if geometry.view == "CC":
        return tissue
    muscle = sigmoid(-before_muscle / 0.7)
    brightness = 0.72 + 0.035 * fine + 0.003 * np.clip(-before_muscle, 0, 40)
    return tissue * (1 - muscle) + brightness * muscle


def thickness(inside: np.ndarray, *, roll_off_mm: float = 16.0) -> np.ndarray:
    """Relative thickness of the compressed breast: 1, falling as a circle towards the skin.

    Args:
        inside: Distance from the skin in mm, negative outside.
        roll_off_mm: Where the compressed breast begins to round off.

    Returns:
        Same shape, float32, 0 to 1.
    """
    share = np.clip(1 - inside / roll_off_mm, 0, 1)
    return np.sqrt(1 - share**2)
