"""Builders of a table with a row an image: what rows mean, and rows that cannot be used."""

import csv
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mammo_tf.datasets import tables
from mammo_tf.datasets.table_builder import TableBuilder, TableImage
from mammo_tf.errors import DataError
from mammo_tf.record import Finding, ImageInfo
from mammo_tf.testing import make_breast, write_mammogram

HEADER = ("file", "patient", "side", "label", "box", "split")


class SixFilms(TableBuilder):
    """A data set of this test."""

    TABLE = "images.csv"
    COLUMNS = HEADER
    EXTRA: ClassVar = {"room": tfds.features.Text()}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Nothing to download."

    def _image(self, row):
        box = tables.numbers(row, "box", 4)
        finding = Finding(label=row["label"], mark="box", box_yxyx_px=box)
        info = ImageInfo(
            image_id=row["file"],
            patient_id=row["patient"],
            exam_id=row["patient"],
            laterality=row["side"],
            view="MLO",
            label=row["label"],
            findings=(finding,) if box else (),
            split=row["split"],
        )
        return TableImage(file=row["file"], info=info, extra={"room": "1"})


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for number, side in enumerate("LRLR"):
        pixels = make_breast(chest_wall=side, seed=number)
        write_mammogram(folder / f"{number}.dcm", pixels, laterality=side, Manufacturer="Maker")
    return folder


def build(films, out, rows, **options):
    with (films / "images.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([HEADER, *rows])
    builder = SixFilms(data_dir=out, workers=1, **options)
    config = tfds.download.DownloadConfig(manual_dir=films)
    builder.download_and_prepare(download_config=config)
    return builder


GOOD = [
    ("0.dcm", "a", "L", "normal", "", "train"),
    ("1.dcm", "b", "R", "malignant", "2 3 40.5 50", "train"),
    ("2.dcm", "c", "L", "benign", "", "test"),
]


def test_a_row_becomes_a_record_and_the_file_says_the_rest(films, tmp_path):
    builder = build(films, tmp_path, GOOD)
    assert builder.info.metadata["has_official_splits"]
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 2,
        "test": 1,
    }
    records = {r["image_id"]: r for r in tfds.as_numpy(builder.as_dataset(split="train"))}
    record, features = records[b"1.dcm"], builder.info.features
    expected = make_breast(chest_wall="R", seed=1)
    np.testing.assert_array_equal(record["image"][..., 0], expected)
    assert record["shape"].tolist() == list(expected.shape)
    assert (record["vendor"], record["bits_stored"], record["patient_id"]) == (b"Maker", 12, b"b")
    assert features["laterality"].int2str(int(record["laterality"])) == "R"
    assert record["findings"]["box_px"].tolist() == [[2, 3, 40.5, 50]]
    assert record["extra"]["room"] == b"1"
    assert records[b"0.dcm"]["findings"]["box_px"].shape == (0, 4)


def test_rows_that_cannot_be_used_are_in_the_quarantine_with_their_reason(films, tmp_path):
    bad = {
        "laterality must be one of": ("3.dcm", "d", "Jane", "normal", "", "train"),
        "label must be one of": ("4.dcm", "e", "L", "Jane", "", "train"),
        "box must be empty or 4 numbers": ("5.dcm", "f", "L", "normal", "1 2 Jane 4", "train"),
        "4 numbers with spaces": ("6.dcm", "g", "L", "normal", "1 2 3", "train"),
        "also that of row 2": ("0.dcm", "h", "L", "normal", "", "train"),
        "box is outside the image": ("3.dcm", "d", "R", "benign", "96 0 99 5", "train"),
        "no such file": ("Jane.dcm", "i", "R", "benign", "", "train"),
        "leaves": ("../Jane.dcm", "j", "R", "benign", "", "train"),
    }
    build(films, tmp_path, [*GOOD, *bad.values()], max_quarantine=0.9)
    text = next(tmp_path.rglob("quarantine.csv")).read_text()
    lines = {int(row["row"]): row["reason"] for row in csv.DictReader(text.splitlines())}
    assert sorted(lines) == list(range(5, 13))
    for number, reason in enumerate(bad, start=5):
        assert reason in lines[number], lines
    assert "Jane" not in " ".join(lines.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,side\n", "has no column patient, label, box, split"),
        (b"file,patient,side,label,box,split,file\n", "has no column file, or has it twice"),
        (b"file,patient,side,label,box,split\na,b\n", "row 2 has 2 cells, the header 6"),
        (b'file,patient,side,label,box,split\n"a,b\n', "row 2: unexpected end of data"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"file\0", "NUL"),
    ],
)
def test_what_is_no_such_table_is_one_line(tmp_path, content, message):
    (tmp_path / "images.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(tables.read_rows(tmp_path / "images.csv", HEADER))
    assert "\n" not in str(caught.value)


def test_cells(tmp_path):
    path = tmp_path / "images.csv"
    path.write_text("\ufeffAge ; Room name;Other\n\n 52 ;north; x\n", "utf-8")
    ((number, row),) = tables.read_rows(path, ("age", "room_name"))
    assert (number, row) == (3, {"age": "52", "room_name": "north"})
    assert tables.whole(row, "age", 0, 90) == 52
    assert tables.choice(row, "room_name", ("north", "south")) == "north"
    for call in (
        lambda: tables.whole(row, "age", 0, 51),
        lambda: tables.whole(row, "room_name", 0, 9),
        lambda: tables.choice(row, "room_name", ("south",)),
        lambda: tables.numbers({"box": "nan 1"}, "box", 2),
    ):
        with pytest.raises(DataError, match="must be"):
            call()
    assert tables.numbers({"box": ""}, "box", 2) == ()
    assert tables.numbers({"box": "1 2.5"}, "box", 2) == (1, 2.5)
