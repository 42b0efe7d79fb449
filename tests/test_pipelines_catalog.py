"""The catalog: all that records say but pixels, kept between runs; and what it says of damage."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.errors import DataError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.record import NO_BOX, Finding, ImageInfo

# Every field away from its default, and an image of which nothing is known.
FULL = {
    "image_id": "b-left_mlo",
    "patient_id": "p2",
    "exam_id": "visit-2",
    "laterality": "L",
    "view": "XCCL",
    "label": "benign",
    "breast_label": "malignant",
    "exam_label": "malignant",
    "birads": 4,
    "density": 3,
    "age_years": 61,
    "vendor": "Häuser & Co",
    "bits_stored": 13,
    "pixel_spacing_mm": (0.07, 0.094),
    "is_canonical": False,
    "findings": (
        Finding(label="benign", kind="mass", mark="box", box_yxyx_px=(-3.0, 2.0, 9.5, 30.25)),
        Finding(label="unknown", kind="calcification", mark="none"),
        Finding(label="malignant", kind="distortion", mark="circle", box_yxyx_px=(1, 2, 4, 5)),
    ),
}
BARE = {"image_id": "a", "patient_id": "p1"}
THIRD = {"image_id": "c", "patient_id": "p3", "exam_id": "visit-1", "laterality": "R"}


def pixels(seed, shape=(40, 28)):
    return np.random.default_rng(seed).integers(0, 2**13, shape).astype(np.uint16)


IMAGES = [(pixels(0), FULL), (pixels(1, (33, 31)), BARE), (pixels(2), THIRD)]


@pytest.fixture(scope="module")
def builder(build_records):
    return build_records(IMAGES)


def test_every_field_comes_back(builder):
    catalog = read_catalog(builder)
    bare, full, third = catalog.images
    assert dataclasses.replace(full, split="") == ImageInfo(**FULL, shape=(40, 28))
    assert dataclasses.replace(bare, split="") == ImageInfo(
        **BARE, exam_id="p1", shape=(33, 31), bits_stored=16
    )
    assert (third.exam_id, third.laterality, third.view) == ("visit-1", "R", "unknown")
    assert full.findings[1].box_yxyx_px == NO_BOX and not full.findings[1].has_place
    assert [found.kind for found in full.placed_findings] == ["mass", "distortion"]
    assert sorted(image.split for image in catalog.images) == ["test", "train", "validation"]
    assert catalog.name == "toy/ladder_1_20/2.0.0"
    assert not catalog.is_phantom and not catalog.has_official_splits
    assert catalog.patients.tolist() == ["p1", "p2", "p3"]
    assert catalog.rows() == {"a": 0, "b-left_mlo": 1, "c": 2}


def test_where_the_records_are_from_is_kept(build_records):
    images = [(pixel, known | {"split": "test"}) for pixel, known in IMAGES[:2]]
    images.append((pixels(3), THIRD | {"split": "train"}))
    catalog = read_catalog(build_records(images, metadata={"is_phantom": True}))
    assert catalog.has_official_splits and catalog.is_phantom
    assert [image.split for image in catalog.images] == ["test", "test", "train"]


def test_no_pixel_is_decoded(builder, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(Ladder, "from_bytes", refuse)
    monkeypatch.setattr(records, "read_masks", refuse)
    assert len(read_catalog(builder).images) == 3


def test_it_is_kept_and_read_back_without_the_records(builder, tmp_path, monkeypatch):
    first = read_catalog(builder, tmp_path)
    (file,) = tmp_path.glob("catalog-*.json")
    monkeypatch.setattr(type(builder), "as_dataset", None)  # any reading would fail
    assert read_catalog(builder, tmp_path) == first
    kept = json.loads(file.read_text())
    assert len(kept["value"]) == 3


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[:-10],
        lambda text: text.replace("visit-2", "visit-3"),
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_a_damaged_one_is_made_anew_and_said(builder, tmp_path, caplog, harm):
    first = read_catalog(builder, tmp_path)
    (file,) = tmp_path.glob("catalog-*.json")
    sound = file.read_text()
    file.write_text(harm(sound))
    assert read_catalog(builder, tmp_path) == first
    assert "is damaged and is made anew" in caplog.text
    assert json.loads(file.read_text()) == json.loads(sound)


def test_rows_do_not_depend_on_the_order_of_the_records(builder, monkeypatch):
    """Nor may one image's labels be another's."""
    first, genuine = read_catalog(builder), records.iterate_records
    monkeypatch.setattr(
        records, "iterate_records", lambda *a, **k: reversed(list(genuine(*a, **k)))
    )
    assert read_catalog(builder) == first
    for image in first.images:
        known = {"a": BARE, "b-left_mlo": FULL, "c": THIRD}[image.image_id]
        assert image.patient_id == known["patient_id"]
        assert image.breast_label == known.get("breast_label", "unknown")


def test_an_image_that_is_there_twice_is_named(builder, monkeypatch):
    genuine = records.iterate_records

    def doubled(*args, **kwargs):
        for record in genuine(*args, **kwargs):
            yield record
            if record["image_id"] == b"a":
                yield record

    monkeypatch.setattr(records, "iterate_records", doubled)
    with pytest.raises(DataError, match="Image a is in the data set twice"):
        read_catalog(builder)


def test_damaged_records_are_one_line(build_records):
    builder = build_records(IMAGES)
    for path in Path(builder.data_dir).glob("*.tfrecord*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged \(DataLossError\)\. Delete") as error:
        read_catalog(builder)
    assert "\n" not in str(error.value)
    assert str(builder.data_dir) in str(error.value)


def test_breasts_join_the_views_of_one_visit():
    def image(name, exam, side, view):
        return ImageInfo(image_id=name, patient_id="p", exam_id=exam, shape=(2, 2),
                         laterality=side, view=view)  # fmt: skip

    images = (
        image("1", "e2", "L", "CC"),
        image("2", "e1", "L", "MLO"),
        image("3", "e1", "L", "CC"),
        image("4", "e1", "L", "CC"),  # a second one: the first stays
        image("5", "e1", "R", "CC"),
    )
    breasts = Catalog("toy", images, "x").breasts()
    assert list(breasts) == [("e1", "L"), ("e1", "R"), ("e2", "L")]
    assert breasts["e1", "L"] == {"MLO": 1, "CC": 2}
    assert breasts["e1", "R"] == {"CC": 4}
