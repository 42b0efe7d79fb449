"""Where things are in a compressed breast: outline, nipple, pectoral muscle, in mm.

All of it is for a left breast in canonical orientation: chest wall at column 0, the nipple to the
right, the axilla (MLO) or the lateral side (CC) at the top. Positions are (row, column) in mm
from the image's top-left corner. Right breasts are mirrored when drawn.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

DETECTOR_MM = (229.4, 191.4)
"""(height, width) of the detector: 2294×1914 pixels of 0.1 mm, the paper's smallest image."""

VIEWS = ("CC", "MLO")

DRAWN_MM = 97.0
"""Columns from the chest wall that can hold tissue; beyond them is air."""

GRID_MM = 2.0
"""Cell of the coarse grid on which distances to the outline are computed."""


@dataclass(frozen=True, kw_only=True)
class BreastShape:
    """The shape of one breast under compression, in mm.

    Attributes:
        depth: Nipple to chest wall in CC; at most 88, so that the breast is within the half of
            the detector that the paper keeps.
        half_width: Half of the breast's extent along the chest wall in CC.
        center_row: Row of the nipple in CC.
        mlo_depth: Nipple to image edge in MLO.
        mlo_nipple_row: Row of the nipple in MLO.
        mlo_bottom_row: Row of the inframammary fold.
        axilla_column: Column of the skin at the top edge in MLO.
        pectoral_column: Where the pectoral muscle's edge meets the top edge in MLO.
        pectoral_row: Where it meets the chest-wall edge in MLO.
        pectoral_bulge: How far the edge is bent outward.
    """

    depth: float
    half_width: float
    center_row: float
    mlo_depth: float
    mlo_nipple_row: float
    mlo_bottom_row: float
    axilla_column: float
    pectoral_column: float
    pectoral_row: float
    pectoral_bulge: float


def draw_breast_shape(rng: np.random.Generator, like: BreastShape | None = None) -> BreastShape:
    """Draws a breast; with `like`, one that differs from it as a woman's two breasts differ."""
    if like is not None:
        jitter = {name: value + rng.normal(0, 1.5) for name, value in vars(like).items()}
        jitter["depth"] = min(jitter["depth"], 88.0)
        jitter["mlo_depth"] = min(jitter["mlo_depth"], 90.0)
        return BreastShape(**jitter)
    depth = rng.uniform(66, 88)
    nipple_row = rng.uniform(124, 138)
    pectoral_column = rng.uniform(38, 54)
    return BreastShape(
        depth=depth,
        half_width=rng.uniform(0.92, 1.08) * depth,
        center_row=rng.uniform(98, 106),
        mlo_depth=min(depth + rng.uniform(0, 5), 90.0),
        mlo_nipple_row=nipple_row,
        mlo_bottom_row=nipple_row + rng.uniform(0.72, 0.85) * depth,
        axilla_column=pectoral_column + rng.uniform(10, 18),
        pectoral_column=pectoral_column,
        pectoral_row=rng.uniform(112, 140),
        pectoral_bulge=rng.uniform(1, 5),
    )


@dataclass(frozen=True)
class ViewGeometry:
    """One view of one breast: what a point in the breast becomes on the image.

    Attributes:
        view: "CC" or "MLO".
        shape: The breast.
        nipple: (2,) position of the nipple, mm.
        posterior: (2,) unit vector from the nipple along the posterior nipple line.
        upward: (2,) unit vector across it, towards the top of the image.
        distance_inside: (rows, columns) float32, mm from the skin on a grid of `GRID_MM`,
            negative outside the breast.
        distance_pectoral: The same for the pectoral muscle's edge, positive in the breast and
            negative in the muscle; all large in CC.
    """

    view: str
    shape: BreastShape
    nipple: np.ndarray = field(init=False)
    posterior: np.ndarray = field(init=False)
    upward: np.ndarray = field(init=False)
    distance_inside: np.ndarray = field(init=False, repr=False)
    distance_pectoral: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        shape = self.shape
        if self.view == "CC":
            nipple, posterior = np.array([shape.center_row, shape.depth]), np.array([0.0, -1.0])
        else:
            nipple = np.array([shape.mlo_nipple_row, shape.mlo_depth])
            posterior = -np.array([shape.pectoral_column, shape.pectoral_row])
            posterior = posterior / np.linalg.norm(posterior)
        object.__setattr__(self, "nipple", nipple)
        object.__setattr__(self, "posterior", posterior)
        object.__setattr__(self, "upward", np.array([posterior[1], -posterior[0]]))
        object.__setattr__(self, "distance_inside", _distance_inside(outline(self.view, shape)))
        object.__setattr__(self, "distance_pectoral", _distance_pectoral(self.view, shape))

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects points in the breast onto the image.

        The depth behind the nipple is the same in both views, as radiologists expect of a
        lesion; the MLO view sees the upward and the lateral position along one diagonal.

        Args:
            points: (..., 3) float, mm: depth behind the nipple, lateral, superior.

        Returns:
            (..., 2) float: (row, column) in mm.
        """
        points = np.asarray(points, dtype=float)
        depth, lateral, superior = points[..., 0], points[..., 1], points[..., 2]
        across = lateral if self.view == "CC" else (lateral + superior) / np.sqrt(2)
        offset = depth[..., np.newaxis] * self.posterior + across[..., np.newaxis] * self.upward
        return self.nipple + offset

    def depth_behind_skin(self, position: np.ndarray) -> float:
        """Distance in mm from a (row, column) position in mm to the skin; negative outside."""
        return _look_up(self.distance_inside, position)

    def depth_before_pectoral(self, position: np.ndarray) -> float:
        """Distance in mm from a position to the pectoral muscle; negative in the muscle."""
        return _look_up(self.distance_pectoral, position)


def _look_up(grid: np.ndarray, position: np.ndarray) -> float:
    cells = np.asarray(position) / GRID_MM
    row = int(np.clip(cells[0], 0, grid.shape[0] - 1))
    column = int(np.clip(cells[1], 0, grid.shape[1] - 1))
    return float(grid[row, column])


def outline(view: str, shape: BreastShape) -> np.ndarray:
    """The skin line from top to bottom as a dense polyline.

    Args:
        view: "CC" or "MLO".
        shape: The breast.

    Returns:
        (n, 2) float: (row, column) in mm, spaced about 0.3 mm.
    """
    if view == "CC":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 1001)
        flat = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.92
        rows = shape.center_row + shape.half_width * flat
        columns = -4 + (shape.depth + 4) * np.cos(angle) ** 0.85
    else:
        rows, columns = _mlo_curve(shape)
    nipple_row = shape.center_row if view == "CC" else shape.mlo_nipple_row
    columns = columns + 3.0 * np.exp(-(((rows - nipple_row) / 4.2) ** 2)) * (columns > 40)
    return np.stack([rows, columns], axis=1)


def _mlo_curve(shape: BreastShape):
    nipple, bottom, depth = shape.mlo_nipple_row, shape.mlo_bottom_row, shape.mlo_depth
    height = bottom - nipple
    knots = np.array(
        [
            [-25, shape.axilla_column - 6],
            [10, shape.axilla_column],
            [nipple - 0.95 * height, shape.axilla_column + 0.52 * (depth - shape.axilla_column)],
            [nipple - 0.4 * height, depth - 3.5],
            [nipple, depth],
            [nipple + 0.45 * height, 0.90 * depth],
            [nipple + 0.83 * height, 0.58 * depth],
            [bottom, 0.18 * depth],
            [bottom + 5, -12],
        ]
    )
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = CubicSpline(arc, knots)(np.linspace(0, arc[-1], 1201))
    return curve[:, 0], curve[:, 1]


def _grid_centers():
    height, width = (int(np.ceil(side / GRID_MM)) for side in (DETECTOR_MM[0], DRAWN_MM))
    rows = (np.arange(height) + 0.5) * GRID_MM
    columns = (np.arange(width) + 0.5) * GRID_MM
    return rows, columns


def _distance_inside(curve: np.ndarray) -> np.ndarray:
    rows, columns = _grid_centers()
    positions = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    nearest, index = cKDTree(curve).query(positions)
    tangent = np.gradient(curve, axis=0)[index]
    to_point = positions - curve[index]
    side = tangent[..., 0] * to_point[..., 1] - tangent[..., 1] * to_point[..., 0]
    return np.where(side <= 0, nearest, -nearest).astype(np.float32)


def _distance_pectoral(view: str, shape: BreastShape) -> np.ndarray:
    rows, columns = (axis.astype(np.float32) for axis in _grid_centers())
    if view == "CC":
        return np.full((len(rows), len(columns)), 1e3, np.float32)
    share = np.clip(rows / shape.pectoral_row, 0, 1.3)
    edge = shape.pectoral_column * (1 - share) + 4 * shape.pectoral_bulge * share * (1 - share)
    slope = np.hypot(1, shape.pectoral_column / shape.pectoral_row)
    return ((columns[np.newaxis, :] - edge[:, np.newaxis]) / slope).astype(np.float32)
