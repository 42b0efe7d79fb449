"""Subgroups of examples by hand, through every plan that needs no pixels."""

import pytest

from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.subgroups import lesion_size, lesion_subgroups
from mammo_tf.pipelines.tasks import (
    detection,
    finding_patches,
    segmentation,
    view_pairs,
    whole_images,
)
from mammo_tf.record import Finding, ImageInfo


def found(label, kind, side, mark="box"):
    """A finding whose box is `side` pixels high and a third as wide."""
    box = (10.0, 10.0, 10.0 + side, 10.0 + side / 3)
    return Finding(label=label, kind=kind, mark=mark, box_yxyx_px=box)


def image(name, *findings, label="unknown", view="CC", **more):
    known = {
        "image_id": f"{name}-{view}",
        "patient_id": name,
        "exam_id": name,
        "shape": (1000, 800),
        "laterality": "L",
        "view": view,
        "label": label,
        "breast_label": label,
        "pixel_spacing_mm": (0.1, 0.1),
        "findings": findings,
    }
    return ImageInfo(**known | more)


SMALL = found("malignant", "mass", 99)  # 9.9 mm
LARGE = found("benign", "calcification", 300)  # 30 mm, but not the worst
IMAGES = (
    image("a", SMALL, LARGE, label="malignant", density=2),
    image("b", label="normal", density=4),
    image("c", LARGE, label="benign", view="MLO"),
)


def of_plan(plan, name):
    return {one.example_id: one.subgroups.get(name, "-") for one in plan.examples}


@pytest.mark.parametrize(
    ("plan", "options"),
    [(whole_images, {}), (detection, {"size": 64}), (segmentation, {"shape": (64, 48)})],
)
def test_whole_images_have_the_worst_finding(plan, options):
    made = plan(Catalog("toy", IMAGES, "x"), **options)
    ids = ("a-CC", "b-CC", "c-MLO")
    expected = {
        "lesion_size": ("0–10 mm", "none", "over 20 mm"),
        "finding_type": ("mass", "none", "calcification"),
        "density": ("b", "d", "unknown"),
        "view": ("CC", "CC", "MLO"),
    }
    for name, values in expected.items():
        assert of_plan(made, name) == dict(zip(ids, values, strict=True))


def test_a_finding_has_its_own():
    plan = finding_patches(Catalog("toy", IMAGES, "x"))
    assert of_plan(plan, "finding_type") == {
        "a-CC-1": "mass", "a-CC-2": "calcification", "c-MLO-1": "calcification"
    }  # fmt: skip
    assert of_plan(plan, "lesion_size")["a-CC-2"] == "over 20 mm"
    assert of_plan(plan, "view")["c-MLO-1"] == "MLO"
    assert of_plan(plan, "density")["a-CC-1"] == "b"


def test_a_breast_has_what_either_view_shows_and_no_view():
    images = (
        image("a", found("malignant", "mass", 90), label="malignant"),
        image("a", found("malignant", "mass", 150), label="malignant", view="MLO", density=3),
        image("b", label="normal"),
        image("b", label="normal", view="MLO"),
        image("c", label="benign"),
        image("c", label="benign", view="MLO"),
    )
    plan = view_pairs(Catalog("toy", images, "x"), fraction=1)
    assert of_plan(plan, "lesion_size") == {
        "a-left": "10–20 mm", "b-left": "none", "c-left": "unknown"
    }  # fmt: skip
    assert of_plan(plan, "finding_type")["a-left"] == "mass"
    assert of_plan(plan, "density") == {"a-left": "c", "b-left": "unknown", "c-left": "unknown"}
    assert set(of_plan(plan, "view").values()) == {"-"}


@pytest.mark.parametrize(
    ("side", "spacing", "expected"),
    [
        (100, (0.1, 0.1), "0–10 mm"),
        (101, (0.1, 0.1), "10–20 mm"),
        (200, (0.1, 0.1), "10–20 mm"),
        (201, (0.1, 0.1), "over 20 mm"),
        (90, (0.1, 0.4), "10–20 mm"),  # 9 mm high, 12 mm wide
        (50, (0.0, 0.0), "0–5 % of the height"),
        (100, (0.0, 0.0), "5–10 % of the height"),
        (101, (0.0, 0.0), "over 10 % of the height"),
    ],
)
def test_size_groups(side, spacing, expected):
    assert (
        lesion_size(image("a", pixel_spacing_mm=spacing), found("benign", "mass", side)) == expected
    )


def test_what_is_not_known_is_not_guessed():
    nowhere = Finding(label="malignant", kind="distortion")
    picture = image("a")
    assert lesion_subgroups([(picture, nowhere), (picture, LARGE)], "malignant") == {
        "lesion_size": "unknown",
        "finding_type": "distortion",
    }
    assert set(lesion_subgroups([], "unknown").values()) == {"unknown"}
    assert set(lesion_subgroups([], "malignant").values()) == {"unknown"}
    nothing = [(picture, found("normal", "other", 50))]
    assert set(lesion_subgroups(nothing, "normal").values()) == {"none"}
