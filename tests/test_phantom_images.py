"""Phantom images: spectrum, anatomy, lesions and masks, noise."""

from itertools import pairwise

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.phantom.anatomy import VIEWS, ViewGeometry, draw_breast_shape
from mammo_tf.phantom.exam import draw_breasts, expose, render_view
from mammo_tf.phantom.fields import draw_curve, power_law_field
from mammo_tf.phantom.lesions import draw_lesion, render_lesion
from mammo_tf.phantom.tissue import at_pixels, draw_tissue_style, healthy_tissue, image_shape
from mammo_tf.phantom.vendors import VENDOR_TABLE

SCALE = 0.25
PER_MM = 10 * SCALE
EXPOSURE = VENDOR_TABLE["PHANTOM-A"].exposure
FINDINGS = {"L": "malignant", "R": "benign"}


def _slope(image: np.ndarray, pixel_mm: float, low: float, high: float) -> float:
    """Exponent of the radially averaged power spectrum between two frequencies in 1/mm."""
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    frequency = np.hypot(
        np.fft.fftfreq(image.shape[0], pixel_mm)[:, None], np.fft.fftfreq(image.shape[1], pixel_mm)
    )
    edges = np.geomspace(low, high, 9)
    bins = [(frequency >= a) & (frequency < b) for a, b in pairwise(edges)]
    middle = [np.log(frequency[inside]).mean() for inside in bins]
    height = [np.log(power[inside].mean()) for inside in bins]
    return -np.polyfit(middle, height, 1)[0]


@pytest.mark.parametrize("beta", [2.0, 3.0, 3.5])
def test_power_law_field_has_the_asked_slope(beta):
    slopes = [
        _slope(
            power_law_field((240, 200), beta=beta, pixel_mm=0.4, rng=np.random.default_rng(s)),
            0.4,
            0.08,
            0.6,
        )
        for s in range(6)
    ]
    assert np.mean(slopes) == pytest.approx(beta, abs=0.15)


def test_parenchyma_of_a_breast_is_a_power_law_near_three():
    slopes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        geometry = ViewGeometry("CC", draw_breast_shape(rng))
        tissue = healthy_tissue(geometry, draw_tissue_style(rng), scale=0.5, rng=rng)
        row, column = (geometry.nipple * 5).astype(int)
        patch = tissue[row - 100 : row + 100, column - 270 : column - 70]
        slopes.append(_slope(patch, 0.2, 0.1, 1.0))
    assert 2.5 < np.mean(slopes) < 3.4


def test_power_law_field_refuses_bad_arguments():
    with pytest.raises(UserError, match="beta"):
        power_law_field((8, 8), beta=-1, pixel_mm=1, rng=np.random.default_rng(0))
    with pytest.raises(UserError, match="pixel_mm"):
        power_law_field((8, 8), beta=1, pixel_mm=0, rng=np.random.default_rng(0))


def test_thin_curve_is_fainter_but_a_pixel_wide():
    canvas = np.zeros((20, 30), np.float32)
    points = np.array([[10.0, 3.0], [10.0, 26.0]])
    draw_curve(canvas, points, np.array([0.1, 0.1]), np.array([1.0, 1.0]))
    assert canvas[10, 15] == pytest.approx(0.2, abs=1e-3)
    assert canvas[3, 15] == 0
    draw_curve(canvas, points + 100, np.array([1.0, 1.0]), np.array([1.0, 1.0]))  # off the canvas
    assert canvas.max() == pytest.approx(0.2, abs=1e-3)


def test_full_scale_is_the_papers_smallest_detector():
    assert image_shape(1.0) == (2294, 1914)
    assert image_shape(0.25) == (574, 478)


@pytest.mark.parametrize("view", VIEWS)
def test_breast_is_in_the_half_that_the_paper_keeps(view):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        geometry = ViewGeometry(view, draw_breast_shape(rng))
        inside = at_pixels(geometry.distance_inside, SCALE) > 0
        assert inside.shape[0] == image_shape(SCALE)[0]
        assert inside[:, image_shape(SCALE)[1] // 2 :].sum() == 0
        assert inside[:, 0].any()  # touches the chest wall
        assert 0.15 < inside.sum() / np.prod(image_shape(SCALE)) < 0.45


def test_no_tissue_outside_the_outline():
    breasts = draw_breasts(np.random.default_rng(3), FINDINGS)
    for laterality, breast in breasts.items():
        for view in VIEWS:
            pixels, _ = render_view(
                breast, view, EXPOSURE, scale=SCALE, rng=np.random.default_rng(0)
            )
            inside = np.zeros(pixels.shape, bool)
            drawn = at_pixels(breast.geometries[view].distance_inside, SCALE) > 0
            inside[:, : drawn.shape[1]] = drawn
            if laterality == "R":
                inside = inside[:, ::-1]
            assert pixels.dtype == np.uint16
            assert pixels.max() < 4096
            assert not pixels[~inside].any()  # machine A's air is 0
            assert (pixels[inside] > 0).all()


def test_the_narrow_machine_has_the_others_contrast_over_noise():
    narrow = VENDOR_TABLE["PHANTOM-C"].exposure
    assert narrow.gain / narrow.noise == pytest.approx(EXPOSURE.gain / EXPOSURE.noise, rel=0.01)
    breast = draw_breasts(np.random.default_rng(3), FINDINGS)["L"]
    pixels, _ = render_view(breast, "MLO", narrow, scale=SCALE, rng=np.random.default_rng(0))
    drawn = at_pixels(breast.geometries["MLO"].distance_inside, SCALE) > 0
    inside = np.zeros(pixels.shape, bool)
    inside[:, : drawn.shape[1]] = drawn
    assert (pixels[~inside] == 65535 - 3076).all()
    assert pixels[inside].min() >= 65535 - 2948
    assert pixels[inside].max() <= 65535 - 1466


def test_only_mlo_has_a_bright_pectoral_triangle():
    breast = draw_breasts(np.random.default_rng(4), {"L": "normal", "R": "normal"})["L"]
    views = {
        view: render_view(breast, view, EXPOSURE, scale=SCALE, rng=np.random.default_rng(0))[0]
        for view in VIEWS
    }
    corner = (slice(0, 40), slice(0, 40))
    below = (slice(400, 430), slice(0, 40))
    assert views["MLO"][corner].mean() > 1.5 * views["MLO"][below].mean()
    assert views["CC"][corner].mean() < 100


def _lesion(seed: int, malignant: bool):
    rng = np.random.default_rng(seed)
    shape = draw_breast_shape(rng)
    geometries = {view: ViewGeometry(view, shape) for view in VIEWS}
    return draw_lesion(rng, malignant=malignant, geometries=geometries), geometries


@pytest.mark.parametrize("malignant", [False, True])
def test_lesion_is_seen_in_both_views_at_one_depth(malignant):
    for seed in range(15):
        lesion, geometries = _lesion(seed, malignant)
        assert lesion.is_malignant == malignant
        depths = []
        for view, geometry in geometries.items():
            shape = (image_shape(SCALE)[0], round(97 * PER_MM))
            added, mask = render_lesion(lesion, geometry, shape, scale=SCALE)
            assert mask.any()
            weights = added * mask
            place = np.array(
                [
                    (weights.sum(1) @ np.arange(shape[0])) / weights.sum(),
                    (weights.sum(0) @ np.arange(shape[1])) / weights.sum(),
                ]
            )
            behind = (place / PER_MM - geometry.nipple) @ geometry.posterior
            depths.append(behind)
            low, high = (0, 183.5) if view == "CC" else (45.9, 229.4)
            assert low * PER_MM < place[0] < high * PER_MM  # what the paper's crop keeps
            assert place[1] < 95.7 * PER_MM
        assert abs(depths[0] - depths[1]) < 4.0


def test_mask_is_where_the_lesion_is():
    for seed in range(15):
        lesion, geometries = _lesion(seed, malignant=seed % 2 == 0)
        for geometry in geometries.values():
            shape = (image_shape(SCALE)[0], round(97 * PER_MM))
            added, mask = render_lesion(lesion, geometry, shape, scale=SCALE)
            assert added[mask].mean() > 10 * max(added[~mask].mean(), 1e-6)
            assert added[mask].sum() > 0.8 * added.sum()


def test_findings_decide_lesions_and_right_breasts_are_mirrored():
    breasts = draw_breasts(np.random.default_rng(7), {"L": "normal", "R": "malignant"})
    assert breasts["L"].lesion is None
    assert breasts["R"].lesion.is_malignant
    left, none = render_view(
        breasts["L"], "MLO", EXPOSURE, scale=SCALE, rng=np.random.default_rng(0)
    )
    right, mask = render_view(
        breasts["R"], "MLO", EXPOSURE, scale=SCALE, rng=np.random.default_rng(0)
    )
    assert none is None
    assert mask.shape == right.shape == left.shape
    assert left[:, 0].mean() > left[:, -1].mean()
    assert right[:, -1].mean() > right[:, 0].mean()
    assert not mask[right == 0].any()


def test_noise_falls_with_pixel_size_and_grows_with_density():
    inside = np.full((200, 200), 50.0)
    spread = {}
    for scale in (1.0, 0.5):
        for tissue in (0.0, 1.0):
            level = np.full((200, 200), tissue, np.float32)
            rng = np.random.default_rng(0)
            spread[scale, tissue] = expose(level, inside, EXPOSURE, scale=scale, rng=rng).std()
    assert spread[0.5, 0.0] == pytest.approx(spread[1.0, 0.0] / 2, rel=0.05)
    assert spread[1.0, 1.0] > 1.3 * spread[1.0, 0.0]
