"""Lesions: what is planned in the breast's own coordinates, and how a view shows it."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.phantom.anatomy import ViewGeometry
from mammo_tf.phantom.fields import draw_curve, sigmoid

KINDS = ("spiculated mass", "spiculated mass with calcifications", "calcifications", "smooth mass")
MALIGNANT_KINDS = KINDS[:3]
MALIGNANT_SHARES = (0.50, 0.35, 0.15)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesion:
    """A lesion in the breast, the same for both views.

    Attributes:
        kind: One of `KINDS`.
        center: (3,) float, mm: depth behind the nipple, lateral, superior.
        radius_mm: Of the mass, or of the cluster of calcifications.
        contrast: Brightness of the mass at its centre; the step from fat to dense parenchyma is
            about 0.6. 0 when there is no mass.
        wobble: (4, 2) float: cosine and sine parts of the mass outline's harmonics 2 to 5,
            as shares of the radius.
        spicules: (n, 3) float, mm: from the mass's edge outwards, in the breast's coordinates.
        spicule_width_mm: (n,) float: standard deviation at the base.
        calcifications: (n, 3) float, mm, relative to the centre.
        diameters_mm: (n,) float, of the calcifications.
        calcification_contrast: Brightness of a calcification of 0.5 mm.
    """

    kind: str
    center: np.ndarray
    radius_mm: float
    contrast: float
    wobble: np.ndarray
    spicules: np.ndarray
    spicule_width_mm: np.ndarray
    calcifications: np.ndarray
    diameters_mm: np.ndarray
    calcification_contrast: float

    @property
    def is_malignant(self) -> bool:
        return self.kind in MALIGNANT_KINDS


def draw_lesion(
    rng: np.random.Generator,
    *,
    malignant: bool,
    geometries: dict[str, ViewGeometry],
    kind: str | None = None,
) -> Lesion:
    """Draws a lesion and a place for it that both views show.

    Args:
        rng: Source of randomness.
        malignant: Whether it is a cancer or a smooth benign mass.
        geometries: The breast's views, by name.
        kind: One of `KINDS`; None draws one for a cancer, and means a smooth mass otherwise.
    """
    if kind is None:
        kind = rng.choice(MALIGNANT_KINDS, p=MALIGNANT_SHARES) if malignant else "smooth mass"
    has_mass, has_calcifications = "mass" in kind, "calcifications" in kind
    radius = _draw_radius(rng, malignant, has_mass)
    center, radius = _draw_center(rng, geometries, radius)
    conspicuity = rng.beta(2.2, 1.6)
    low, high = (0.30, 1.00) if malignant else (0.15, 0.55)
    num_spicules = int(rng.integers(16, 30)) if malignant and has_mass else 0
    num_calcifications = int(rng.integers(10, 36)) if has_calcifications else 0
    reach = min(radius, 10.0)
    roughness = 0.10 if malignant else 0.025
    return Lesion(
        kind=str(kind),
        center=center,
        radius_mm=radius,
        contrast=float(low + (high - low) * conspicuity) if has_mass else 0.0,
        wobble=rng.normal(0, roughness, (4, 2)) / np.arange(2, 6)[:, np.newaxis] ** 0.5,
        spicules=_directions(rng, num_spicules) * reach * rng.uniform(0.5, 2.0, (num_spicules, 1)),
        spicule_width_mm=rng.uniform(0.25, 0.6, num_spicules),
        calcifications=_draw_cluster(rng, num_calcifications, radius),
        diameters_mm=rng.lognormal(np.log(0.48), 0.35, num_calcifications).clip(0.2, 1.2),
        calcification_contrast=float(rng.uniform(0.7, 2.0)),
    )


def _draw_radius(rng, malignant: bool, has_mass: bool) -> float:
    if not has_mass:
        return float(rng.uniform(5, 9))
    return float(rng.uniform(6.0, 15.0) if malignant else rng.uniform(4.5, 11.0))


def _directions(rng, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _draw_cluster(rng, count: int, radius: float) -> np.ndarray:
    return _directions(rng, count) * radius * rng.uniform(0, 1, (count, 1)) ** 0.5


def _draw_center(rng, geometries, radius: float):
    """A place inside the parts of CC and MLO that the paper's crop keeps; smaller if need be."""
    shape = geometries["CC"].shape
    for attempt in range(400):
        size = radius * (0.98 ** max(0, attempt - 100))
        center = np.array(
            [
                rng.uniform(0.22, 0.85) * shape.depth,
                rng.normal(0.12, 0.4) * shape.half_width,
                rng.normal(0.12, 0.4) * shape.half_width,
            ]
        )
        if all(_fits(geometry, center, size) for geometry in geometries.values()):
            return center, float(size)
    return np.array([0.45 * shape.depth, 0.0, 0.0]), float(size)


def _fits(geometry: ViewGeometry, center: np.ndarray, radius: float) -> bool:
    row, column = position = geometry.project(center)
    low, high = (8.0, 183.5) if geometry.view == "CC" else (45.9, 221.0)
    return bool(
        low + radius + 4 <= row <= high - radius - 4
        and column >= radius + 3
        and geometry.depth_behind_skin(position) >= radius + 5
        and geometry.depth_before_pectoral(position) >= radius + 2
    )


def render_lesion(
    lesion: Lesion, geometry: ViewGeometry, shape: tuple[int, int], *, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draws what one view shows of a lesion.

    Args:
        lesion: The lesion.
        geometry: The view.
        shape: (height, columns) of the drawn part of the image.
        scale: Scale of the image, 1 for 0.1 mm pixels.

    Returns:
        The brightness to add, (height, columns) float32, and the mask of the same shape, bool:
        mass with its spicules, or the hull of the cluster of calcifications.
    """
    per_mm = 10 * scale
    center = geometry.project(lesion.center) * per_mm
    added = np.zeros(shape, np.float32)
    mask = np.zeros(shape, bool)
    if lesion.contrast:
        _render_mass(lesion, geometry, center, per_mm, added, mask)
    if len(lesion.calcifications):
        _render_calcifications(lesion, geometry, center, per_mm, added, mask)
    return added, mask


def _polar_patch(center, reach: float, shape):
    """Slices of the patch within `reach` pixels of `center`, with radius and angle there."""
    low = np.maximum(np.floor(center - reach).astype(int), 0)
    high = np.minimum(np.ceil(center + reach).astype(int) + 1, shape)
    rows = np.arange(low[0], high[0])[:, np.newaxis] - center[0]
    columns = np.arange(low[1], high[1])[np.newaxis, :] - center[1]
    patch = (slice(low[0], high[0]), slice(low[1], high[1]))
    return patch, np.hypot(rows, columns), np.arctan2(rows, columns)


def _render_mass(lesion, geometry, center, per_mm, added, mask) -> None:
    radius = lesion.radius_mm * per_mm
    patch, distance, angle = _polar_patch(center, 1.9 * radius, added.shape)
    turn = 0.0 if geometry.view == "CC" else 1.0
    edge = np.ones_like(angle)
    for harmonic, (cosine, sine) in enumerate(lesion.wobble, start=2):
        edge += cosine * np.cos(harmonic * angle + turn) + sine * np.sin(harmonic * angle + turn)
    share = distance / (radius * edge)
    softness = 0.13 if lesion.is_malignant else 0.03
    body = np.sqrt(np.clip(1 - (0.92 * share) ** 2, 0, 1)) * 0.75 + 0.25
    body *= sigmoid((1 - share) / softness)
    added[patch] += (lesion.contrast * body).astype(np.float32)
    mask[patch] |= share <= 1
    if len(lesion.spicules):
        _render_spicules(lesion, geometry, center, per_mm, added, mask)


def _render_spicules(lesion, geometry, center, per_mm, added, mask) -> None:
    canvas = np.zeros_like(added)
    origin = geometry.project(np.zeros(3))
    share = np.linspace(0, 1, 9)[:, np.newaxis]
    fade = np.minimum(1, share[:, 0] / 0.35) * (1 - 0.85 * share[:, 0])
    for index, spicule in enumerate(lesion.spicules):
        flat = geometry.project(spicule) - origin
        length = np.linalg.norm(flat)
        outward = flat / max(length, 1e-6)
        bend = np.array([-outward[1], outward[0]]) * 0.12 * length * np.sin(7.0 * index)
        path = outward * 0.7 * lesion.radius_mm + share * flat + share**2 * bend
        width = lesion.spicule_width_mm[index] * per_mm * (1 - 0.65 * share[:, 0])
        draw_curve(canvas, center + path * per_mm, width, 0.75 * lesion.contrast * fade)
    np.maximum(added, canvas + 0.6 * added, out=added)
    mask |= canvas > 0.2 * lesion.contrast


def _render_calcifications(lesion, geometry, center, per_mm, added, mask) -> None:
    origin = geometry.project(np.zeros(3))
    places = center + (geometry.project(lesion.calcifications) - origin) * per_mm
    for place, diameter in zip(places, lesion.diameters_mm, strict=True):
        width = diameter / 2.6 * per_mm
        drawn = max(width, 0.45)
        brightness = lesion.calcification_contrast * (diameter / 0.5) * (width / drawn) ** 2
        patch, distance, _ = _polar_patch(place, 4 * drawn + 1, added.shape)
        added[patch] += (brightness * np.exp(-0.5 * (distance / drawn) ** 2)).astype(np.float32)
    middle = places.mean(axis=0)
    reach = np.linalg.norm(places - middle, axis=1).max() + 1.0 * per_mm
    patch, distance, _ = _polar_patch(middle, reach, added.shape)
    mask[patch] |= distance <= reach
