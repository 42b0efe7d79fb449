"""One exam: the plan of a woman's two breasts, and the pixels of each view."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.phantom.anatomy import VIEWS, ViewGeometry, draw_breast_shape
from mammo_tf.phantom.lesions import Lesion, draw_lesion, render_lesion
from mammo_tf.phantom.tissue import (
    TissueStyle,
    at_pixels,
    draw_tissue_style,
    drawn_columns,
    healthy_tissue,
    image_shape,
    thickness,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposure:
    """How one machine turns tissue into grey levels.

    Attributes:
        offset: Grey levels from no thickness to fat in the full thickness of the breast.
        gain: Grey levels from fat to dense parenchyma.
        edge_power: Falling thickness at the skin darkens by this power (peripheral equalisation
            keeps it small).
        air_level: Grey level of air.
        air_noise: Standard deviation of the grey level of air.
        base: Grey level of no thickness.
        noise: Standard deviation of the noise in fat, in grey levels, for 0.1 mm pixels.
        limits: Grey levels that tissue is clipped to, both included.
    """

    offset: float
    gain: float
    edge_power: float
    air_level: float
    air_noise: float
    base: float = 0.0
    noise: float = 26.0
    limits: tuple[int, int] = (1, 4095)


@dataclass(frozen=True, kw_only=True, eq=False)
class Breast:
    """One breast: its views' geometry and its lesion, if any."""

    laterality: str
    finding: str
    geometries: dict[str, ViewGeometry]
    style: TissueStyle
    lesion: Lesion | None


def draw_breasts(rng: np.random.Generator, findings: dict[str, str]) -> dict[str, Breast]:
    """Draws a woman's two breasts.

    Args:
        rng: Source of randomness.
        findings: "normal", "benign" or "malignant" for "L" and "R".
    """
    style = draw_tissue_style(rng)
    first = draw_breast_shape(rng)
    breasts = {}
    for laterality in ("L", "R"):
        shape = first if laterality == "L" else draw_breast_shape(rng, like=first)
        geometries = {view: ViewGeometry(view, shape) for view in VIEWS}
        finding = findings[laterality]
        lesion = None
        if finding != "normal":
            lesion = draw_lesion(rng, malignant=finding == "malignant", geometries=geometries)
        breasts[laterality] = Breast(
            laterality=laterality,
            finding=finding,
            geometries=geometries,
            style=style,
            lesion=lesion,
        )
    return breasts


def render_view(
    breast: Breast, view: str, exposure: Exposure, *, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draws one view in canonical orientation (right breasts have the chest wall at the right).

    Args:
        breast: The breast.
        view: "CC" or "MLO".
        exposure: The machine.
        scale: Scale of the image, 1 for 0.1 mm pixels.
        rng: Source of the randomness of tissue and noise.

    Returns:
        Pixels, (height, width) uint16, MONOCHROME2; and the lesion's mask of the same shape, bool,
        or None.
    """
    lesions = () if breast.lesion is None else (breast.lesion,)
    pixels, masks = render_lesions(breast, view, lesions, exposure, scale=scale, rng=rng)
    return pixels, (masks[0] if masks else None)


def render_lesions(
    breast: Breast,
    view: str,
    lesions: Sequence[Lesion],
    exposure: Exposure,
    *,
    scale: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Draws one view as `render_view` does, with any number of lesions in place of the breast's.

    Returns:
        Pixels, (height, width) uint16 of 12 bits, MONOCHROME2; and a mask of the same shape, bool,
        for each lesion.
    """
    geometry = breast.geometries[view]
    tissue = healthy_tissue(geometry, breast.style, scale=scale, rng=rng)
    inside = at_pixels(geometry.distance_inside, scale)
    masks = []
    for lesion in lesions:
        added, lesion_mask = render_lesion(lesion, geometry, tissue.shape, scale=scale)
        tissue += added
        mask = np.zeros(image_shape(scale), bool)
        mask[:, : drawn_columns(scale)] = lesion_mask & (inside > 0)
        masks.append(mask)
    breast_part = expose(tissue, inside, exposure, scale=scale, rng=rng)
    air = rng.normal(exposure.air_level, exposure.air_noise, image_shape(scale))
    pixels = np.clip(np.rint(air), 0, None).astype(np.uint16)
    covered = inside > 0
    pixels[:, : covered.shape[1]][covered] = breast_part[covered]
    if breast.laterality == "R":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        masks = [np.ascontiguousarray(mask[:, ::-1]) for mask in masks]
    return pixels, tuple(masks)


def expose(
    tissue: np.ndarray,
    inside: np.ndarray,
    exposure: Exposure,
    *,
    scale: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turns tissue into grey levels with quantum-like noise.

    Fewer photons come through dense tissue, so on the logarithmic image the noise grows with
    brightness. Pixels of 0.1/`scale` mm gather more photons: the noise shrinks with `scale`.

    Args:
        tissue: (height, columns) float32: 0 fat, 1 dense parenchyma.
        inside: Distance from the skin in mm, same shape.
        exposure: The machine.
        scale: Scale of the image.
        rng: Source of randomness.

    Returns:
        Same shape, uint16, within the exposure's limits.
    """
    profile = thickness(inside) ** exposure.edge_power
    level = exposure.base + (exposure.offset + exposure.gain * tissue) * profile
    noise = rng.standard_normal(tissue.shape, dtype=np.float32)
    spread = exposure.noise * scale * np.exp(0.35 * np.clip(tissue, 0, 2))
    level = level + noise * spread
    return np.clip(np.rint(level), *exposure.limits).astype(np.uint16)
