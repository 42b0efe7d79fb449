"""CDD-CESM: what a row of images.csv means, masks, and rows that cannot be used."""

import csv

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mammo_tf.datasets.cdd_cesm.cdd_cesm_dataset_builder import Builder
from mammo_tf.pipelines.catalog import read_catalog
from tests.conftest import prepare

HEADER = ("path", "finding", "side", "mask", "cesm_id")
SHAPE = (90, 60)
ROWS = [
    ("images/IM0001.jpg", "normal", "left", "", ""),
    ("images/IM0002.jpg", "benign", "right", "", ""),
    ("images/IM0003.jpg", "malignant", "left", "masks/IM0003.png", "P3_L_DM_CC"),
    ("images/IM0004.jpg", "mixed", "right", "masks/IM0004.png", "P3_R_DM_CC"),
]


# Enough patients that one unusable row empties no split.
MORE = [(f"images/IM{number:04}.jpg", "normal", "left", "", "") for number in range(10, 22)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cesm")
    for name in ("images", "masks"):
        (root / name).mkdir()
    rng = np.random.default_rng(1)
    for number in [*range(1, 6), *range(10, 22)]:
        pixels = rng.integers(0, 255, SHAPE, dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"images/IM{number:04}.jpg", quality=90)
        mask = np.zeros(SHAPE, np.uint8)
        mask[10 * (number % 8) : 10 * (number % 8) + 8, 5:25] = 255
        Image.fromarray(mask).save(root / f"masks/IM{number:04}.png")
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(root / "masks/IM0009.png")
    Image.fromarray(np.zeros((90, 61), np.uint8)).save(root / "masks/IM0008.png")
    return root


def build(folder, out, rows, **options):
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    builder = Builder(data_dir=out, workers=1, **options)
    prepare(builder, folder)
    return builder


def test_a_row_becomes_an_image_with_its_findings_and_mask(folder, tmp_path):
    builder = build(folder, tmp_path, ROWS)
    catalog = read_catalog(builder)
    images = {image.image_id: image for image in catalog.images}
    assert [images[f"IM000{n}"].label for n in (1, 2, 3, 4)] == [
        "normal",
        "benign",
        "malignant",
        "malignant",
    ]
    assert [images[f"IM000{n}"].patient_id for n in (1, 2, 3, 4)] == [
        "IM0001",
        "IM0002",
        "P3",
        "P3",
    ]
    assert {image.view for image in catalog.images} == {"CC"}
    found = {name: [(f.label, f.mark) for f in image.findings] for name, image in images.items()}
    assert found == {
        "IM0001": [],
        "IM0002": [("benign", "none")],
        "IM0003": [("malignant", "mask")],
        "IM0004": [("unknown", "mask"), ("benign", "none"), ("malignant", "none")],
    }
    assert images["IM0003"].findings[0].box_yxyx_px == (30, 5, 38, 25)
    for record in tfds.as_numpy(builder.as_dataset(split="all")):
        name = record["image_id"].decode()
        with Image.open(folder / f"images/{name}.jpg") as file:
            np.testing.assert_array_equal(record["image"][..., 0], np.asarray(file))
    assert any("two breasts of one woman" in note for note in catalog.notes)


def test_tfds_shows_examples_of_it(folder, tmp_path):
    builder = build(folder, tmp_path, [*ROWS, *MORE])
    dataset = builder.as_dataset(split="train")
    figure = tfds.show_examples(dataset, builder.info, rows=1, cols=2, image_key="image")
    assert len(figure.axes) == 2
    assert len(tfds.as_dataframe(dataset.take(3), builder.info)) == 3


def test_rows_that_cannot_be_used_are_in_the_quarantine_with_their_reason(folder, tmp_path):
    bad = {
        "finding must be one of": ("images/IM0005.jpg", "cyst", "left", "", ""),
        "side must be one of": ("images/IM0005.jpg", "normal", "middle", "", ""),
        "path must end in IM": ("images/Jane.jpg", "normal", "left", "", ""),
        "cesm_id must be like": ("images/IM0005.jpg", "normal", "left", "", "Jane"),
        "normal image has no mask": ("images/IM0005.jpg", "normal", "left", "masks/IM0005.png", ""),
        "its mask is empty": ("images/IM0005.jpg", "benign", "left", "masks/IM0009.png", ""),
    }
    build(folder, tmp_path, [*ROWS, *MORE, *bad.values()], max_quarantine=0.9)
    text = next(tmp_path.rglob("quarantine.csv")).read_text()
    reasons = {int(row["row"]): row["reason"] for row in csv.DictReader(text.splitlines())}
    assert sorted(reasons) == list(range(18, 18 + len(bad)))
    for number, reason in enumerate(bad, start=18):
        assert reason in reasons[number], reasons
    assert "Jane" not in text


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("images/IM0005.jpg", "benign", "left", "masks/IM0008.png", ""), "the mask has 90×61"),
        (("images/IM0006.jpg", "benign", "left", "", ""), "No such file"),
        (("../IM0005.jpg", "benign", "left", "", ""), "leaves"),
    ],
)
def test_files_that_cannot_be_used_are_named_by_their_row(folder, tmp_path, row, reason):
    build(folder, tmp_path, [*ROWS, *MORE, row], max_quarantine=0.9)
    text = next(tmp_path.rglob("quarantine.csv")).read_text()
    assert reason in text


def test_the_real_table_has_the_counts_of_its_readme(real_data, tmp_path):
    source = Builder(data_dir=tmp_path)._read_source(real_data / "cdd-cesm-cc", create_salt=False)
    assert not source.rejected
    images = [item.content for item in source.items]
    assert len(images) == 163 and sum(bool(image.mask) for image in images) == 46
    labels = [image.info.label for image in images]
    assert [labels.count(name) for name in ("normal", "benign", "malignant")] == [86, 29, 48]
