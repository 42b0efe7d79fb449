"""The CBIS-DDSM phantom: its tables, its files in each layout, and every oddity of the archive."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from mammo_tf.cli.phantom import phantom
from mammo_tf.errors import UserError
from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm
from mammo_tf.phantom.config import PhantomConfig, write_phantom

SMALL = {"num_patients": 12, "seed": 3, "scale": 0.125, "workers": 1}
TABLES = tuple(
    f"{k}_case_description_{s}_set.csv" for k in ("mass", "calc") for s in ("train", "test")
)


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("phantom")
    return {
        layout: write_cbis_ddsm(root / layout, layout=layout, **SMALL)
        for layout in ("uid", "nbia", "idc")
    }


def rows_of(folder: Path) -> list[dict]:
    rows = []
    for table in TABLES:
        with (folder / table).open(newline="") as lines:
            rows += [row | {"table": table} for row in csv.DictReader(lines)]
    return rows


def dicom_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.dcm") if path.is_file())


def digests(paths) -> list[str]:
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def test_every_layout_holds_the_same_bytes(trees):
    expected = digests(dicom_files(trees["uid"]))
    assert len(expected) > 60
    for layout in ("nbia", "idc"):
        assert digests(dicom_files(trees[layout])) == expected
        for table in TABLES:
            assert (trees[layout] / table).read_bytes() == (trees["uid"] / table).read_bytes()


def test_the_same_seed_gives_the_same_bytes_with_two_workers_and_another_seed_others(
    trees, tmp_path
):
    again = write_cbis_ddsm(tmp_path / "again", **SMALL | {"workers": 2})
    assert digests(dicom_files(again)) == digests(dicom_files(trees["uid"]))
    other = write_cbis_ddsm(tmp_path / "other", **SMALL | {"seed": 4})
    assert not set(digests(dicom_files(other))) & set(digests(dicom_files(again)))


def test_tables_have_the_archives_form(trees):
    for table in TABLES:
        content = (trees["uid"] / table).read_bytes()
        header, first = content.split(b"\r\n")[:2]
        density = b"breast_density" if table.startswith("mass") else b"breast density"
        assert header.startswith(b"patient_id," + density + b",left or right breast,image view,")
        # One path of each row ends in a newline inside its quotes: the mask's or the crop's.
        assert content.count(b'.dcm\n"') == len(content.split(b"\r\n")) - 2
        assert first.endswith(b'.dcm\n"') == table.startswith("mass")


def test_uid_paths_are_those_of_the_tables_except_what_was_left_out(trees):
    named = {
        row[column].strip()
        for row in rows_of(trees["uid"])
        for column in ("image file path", "cropped image file path", "ROI mask file path")
    }
    there = {str(path.relative_to(trees["uid"])) for path in dicom_files(trees["uid"])}
    assert there < named
    assert len(named - there) == 2  # one image, one mask


def test_every_oddity_is_in_every_table(trees):
    folder = trees["uid"]
    for table in TABLES:
        swapped, apart, resized = 0, 0, 0
        for row in rows_of(folder):
            if row["table"] != table:
                continue
            crop, mask = (
                folder / row[c].strip() for c in ("cropped image file path", "ROI mask file path")
            )
            apart += crop.parent != mask.parent
            image = folder / row["image file path"].strip()
            if not (crop.is_file() and mask.is_file() and image.is_file()):
                continue
            shown = pydicom.dcmread(crop, stop_before_pixels=True)
            swapped += shown.BitsAllocated == 8
            found = pydicom.dcmread(
                crop if shown.BitsAllocated == 8 else mask, stop_before_pixels=True
            )
            full = pydicom.dcmread(image, stop_before_pixels=True)
            resized += (found.Rows, found.Columns) != (full.Rows, full.Columns)
        assert min(swapped, apart, resized) >= 1, table


def test_rows_cover_what_the_labels_can_say(trees):
    rows = rows_of(trees["uid"])
    assert {row["pathology"] for row in rows} == {"MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"}
    assert max(int(row["abnormality id"]) for row in rows) >= 3
    splits = {}
    for row in rows:
        splits.setdefault(row["patient_id"], set()).add(row["table"].split("_")[3])
    assert sum(len(found) == 2 for found in splits.values()) == 1  # on both sides of the split


def test_files_are_secondary_captures_as_in_the_archive(trees):
    odd = 0
    for path in dicom_files(trees["idc"]):
        file = pydicom.dcmread(path, force=True)
        assert file.file_meta.TransferSyntaxUID == pydicom.uid.ImplicitVRLittleEndian
        assert file.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
        assert file.PhotometricInterpretation == "MONOCHROME2"
        assert file.PatientOrientation in ("CC", "MLO")
        assert path.parent.name == f"MG_{file.SeriesInstanceUID}"
        assert path.parent.parent.name == file.StudyInstanceUID
        assert path.parent.parent.parent.name == file.PatientID
        odd += file.PatientID.endswith(".dcm")
        if file.PatientID.endswith(".dcm"):
            assert file.BodyPartExamined in ("Left Breast", "Right Breast")
            full = not path.parent.parent.parent.name[:-4].endswith(("_1", "_2", "_3"))
            assert full == ("SeriesDescription" not in file)
    assert odd >= 4


def test_a_crop_is_cut_from_its_image_round_its_mask(trees):
    folder = trees["uid"]
    row = next(r for r in rows_of(folder) if r["table"].startswith("mass"))
    image, crop, mask = (
        pydicom.dcmread(folder / row[c].strip()).pixel_array
        for c in ("image file path", "cropped image file path", "ROI mask file path")
    )
    assert image.dtype == crop.dtype == np.uint16
    assert image.max() == 62000 or image.max() > 60000
    assert sorted(np.unique(mask)) == [0, 255]
    height, width = crop.shape
    windows = np.lib.stride_tricks.sliding_window_view(image, crop.shape)
    (top, left), *others = np.argwhere(
        (windows[:, :, 0, 0] == crop[0, 0]) & (windows[:, :, -1, -1] == crop[-1, -1])
    )
    assert not others
    np.testing.assert_array_equal(image[top : top + height, left : left + width], crop)
    inside = mask[top : top + height, left : left + width]
    assert inside.sum() == mask.sum() > 0


def test_command_writes_and_leaves_a_complete_folder_alone(tmp_path):
    out = tmp_path / "out"
    arguments = ["cbis_ddsm", str(out), "--patients", "12", "--scale", "0.125", "--whole"]
    result = CliRunner().invoke(phantom, [*arguments, "--layout", "nbia", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    named = [row["image file path"].split("/")[0] for row in rows_of(out)]
    odd = [f"{name.removeprefix('Calc-Test_')}.dcm" for name in named]
    assert all(
        (out / name).is_dir() or (out / other).is_dir()
        for name, other in zip(named, odd, strict=True)
    )
    one = dicom_files(out)[0]
    before = one.stat().st_mtime_ns
    assert CliRunner().invoke(phantom, [*arguments, "--layout", "nbia"]).exit_code == 0
    assert one.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"num_patients": 11}, "at least|from 12"),
        ({"seed": -1}, "seed"),
        ({"scale": 0.1}, "scale"),
        ({"layout": "flat"}, "layout"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, wrong, text):
    with pytest.raises(UserError, match=text):
        write_cbis_ddsm(tmp_path / "out", **SMALL | wrong)
    assert not (tmp_path / "out").exists()


def test_another_phantoms_folder_is_refused(trees):
    with pytest.raises(UserError, match="layout='uid'"):
        write_cbis_ddsm(trees["uid"], layout="idc", **SMALL)


def test_a_recipes_phantom_is_this_one(trees, tmp_path):
    config = PhantomConfig(num_studies=12, scale=0.125, seed=3)
    write_phantom("cbis_ddsm", tmp_path / "out", config)
    assert digests(dicom_files(tmp_path / "out")) == digests(dicom_files(trees["uid"]))
