"""The phantom as a data set: table, DICOM files, determinism, resuming, the command line."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from PIL import Image
from pydicom.uid import JPEG2000Lossless

from mammo_tf.breast import breast_mask
from mammo_tf.cli.phantom import phantom
from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import UserError
from mammo_tf.phantom import is_complete, write_ncc
from mammo_tf.phantom.exam import draw_breasts, render_view
from mammo_tf.phantom.plan import plan_studies
from mammo_tf.phantom.tissue import at_pixels, image_shape
from mammo_tf.phantom.vendors import VENDOR_TABLE

SMALL = {"num_studies": 4, "seed": 3, "scale": 0.125, "malignant_fraction": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "set"
    assert write_ncc(out, workers=1, **SMALL) == out / "studies.csv"
    return out


@pytest.fixture(scope="module")
def rows(folder) -> list[dict]:
    with (folder / "studies.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_table_has_four_views_a_study(folder, rows):
    assert len(rows) == 16
    views = {(row["patient_id"], row["laterality"], row["view"]) for row in rows}
    assert len(views) == 16
    worst = Counter()
    for number in range(1, 5):
        found = {row["finding"] for row in rows if row["patient_id"] == f"PHANTOM-{number:05d}"}
        worst[max(found, key=("normal", "benign", "malignant").index)] += 1
    assert worst == {"malignant": 2, "benign": 1, "normal": 1}
    for row in rows:
        assert (folder / row["path"]).is_file()
        assert bool(row["mask"]) == (row["finding"] != "normal")
        assert (
            int(row["birads"])
            in {"normal": (1,), "benign": (2, 3), "malignant": (4, 5)}[row["finding"]]
        )
    assert {row["vendor"] for row in rows} == set(VENDOR_TABLE)
    assert len((folder / "salt.txt").read_text().strip()) == 64
    marker = json.loads((folder / "PHANTOM.json").read_text())
    assert (marker["phantom"], marker["seed"], marker["scale"]) == ("ncc", 3, 0.125)


def test_files_are_digital_mammography_for_presentation(folder, rows):
    for row in rows:
        dataset = pydicom.dcmread(folder / row["path"])
        assert dataset.file_meta.TransferSyntaxUID == JPEG2000Lossless
        assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert (dataset.Modality, dataset.PresentationIntentType) == ("MG", "FOR PRESENTATION")
        assert dataset.ImageLaterality == row["laterality"]
        code = {"CC": "399162004", "MLO": "399368009"}[row["view"]]
        assert dataset.ViewCodeSequence[0].CodeValue == code
        assert [float(side) for side in dataset.ImagerPixelSpacing] == [0.8, 0.8]
        assert dataset.PatientAge == f"{int(row['age']):03d}Y"
        bits = 16 if row["vendor"] == "PHANTOM-C" else 12
        assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, bits, bits - 1)
        assert dataset.pixel_array.shape == (287, 239)
        assert dataset.pixel_array.max() < 4096


def test_the_third_machine_pads_at_the_dark_end_of_a_narrow_range(folder, rows):
    """As files of a screening set are stored: MONOCHROME1, 16 bits, 1466 to 3076."""
    narrow = [row for row in rows if row["vendor"] == "PHANTOM-C"]
    assert len(narrow) == 4
    for row in narrow:
        dataset = pydicom.dcmread(folder / row["path"])
        stored = dataset.pixel_array
        assert (dataset.PixelPaddingValue, stored.max()) == (3076, 3076)
        tissue = stored[stored != 3076]
        assert tissue.min() >= 1466
        assert 2800 < tissue.max() <= 2948
        mammogram = read_mammogram(folder / row["path"])
        assert mammogram.padding.sum() == (stored == 3076).sum()
        breast = breast_mask(mammogram.pixels, mammogram.padding)
        np.testing.assert_array_equal(breast, ~mammogram.padding)
        assert (breast_mask(mammogram.pixels) != breast).sum() <= 0.001 * breast.sum()


def test_the_three_machines_differ(folder, rows):
    kinds = {}
    for row in rows:
        dataset = pydicom.dcmread(folder / row["path"])
        kinds[row["vendor"], row["laterality"], row["view"]] = (
            "\\".join(dataset.PatientOrientation),
            dataset.PhotometricInterpretation,
            dataset.VOILUTFunction,
        )
    assert kinds["PHANTOM-A", "L", "MLO"] == ("A\\FR", "MONOCHROME2", "LINEAR")
    assert kinds["PHANTOM-A", "R", "CC"] == ("P\\L", "MONOCHROME2", "LINEAR")
    assert kinds["PHANTOM-B", "L", "MLO"] == ("P\\HL", "MONOCHROME1", "SIGMOID")
    assert kinds["PHANTOM-B", "L", "CC"] == ("P\\L", "MONOCHROME1", "SIGMOID")
    assert kinds["PHANTOM-B", "R", "MLO"] == ("A\\FL", "MONOCHROME1", "SIGMOID")
    assert kinds["PHANTOM-C", "L", "MLO"] == ("P\\FR", "MONOCHROME1", "SIGMOID")
    assert kinds["PHANTOM-C", "R", "CC"] == ("P\\L", "MONOCHROME1", "SIGMOID")


def _inside(breast, view: str) -> np.ndarray:
    """Where tissue was drawn: (height, width) bool."""
    drawn = at_pixels(breast.geometries[view].distance_inside, 0.125) > 0
    inside = np.zeros(image_shape(0.125), bool)
    inside[:, : drawn.shape[1]] = drawn
    return inside[:, ::-1] if breast.laterality == "R" else inside


def test_reader_gives_back_the_drawn_pixels_and_masks_fit(folder, rows):
    plans = plan_studies(num_studies=4, seed=3, malignant_fraction=0.5, benign_fraction=0.3)
    number = {("L", "CC"): 0, ("L", "MLO"): 1, ("R", "CC"): 2, ("R", "MLO"): 3}
    for row in rows:
        plan = plans[int(row["patient_id"][-5:]) - 1]
        breast = draw_breasts(np.random.default_rng([3, 1, plan.index]), plan.findings)
        place = (row["laterality"], row["view"])
        drawn, mask = render_view(
            breast[place[0]],
            place[1],
            VENDOR_TABLE[plan.vendor].exposure,
            scale=0.125,
            rng=np.random.default_rng([3, 2, plan.index, number[place]]),
        )
        mammogram = read_mammogram(folder / row["path"])
        tissue = _inside(breast[place[0]], place[1])
        if plan.vendor == "PHANTOM-C":
            np.testing.assert_array_equal(mammogram.padding, ~tissue)
            drawn[~tissue] = drawn[tissue].min()  # what the reader puts for padding
        np.testing.assert_array_equal(mammogram.pixels, drawn)
        assert (mammogram.metadata.laterality, mammogram.metadata.view) == place
        assert mammogram.metadata.age_years == plan.age
        assert mammogram.metadata.lossy is False
        display = mammogram.display()
        assert display[tissue].mean() > 3 * display[~tissue].mean()
        if mask is not None:
            stored = np.asarray(Image.open(folder / row["mask"]))
            np.testing.assert_array_equal(stored > 0, mask)


def test_same_seed_same_bytes_however_many_workers(folder, tmp_path):
    write_ncc(tmp_path / "again", workers=2, **SMALL)
    assert _digests(tmp_path / "again") == _digests(folder)


def test_another_seed_gives_other_pixels(folder, tmp_path):
    write_ncc(tmp_path / "other", workers=1, **{**SMALL, "num_studies": 1, "seed": 4})
    path = "dicom/PHANTOM-00001/LCC.dcm"
    other = pydicom.dcmread(tmp_path / "other" / path).pixel_array
    assert not np.array_equal(other, pydicom.dcmread(folder / path).pixel_array)


def test_interrupted_set_is_completed_with_the_same_bytes(tmp_path):
    arguments = {**SMALL, "num_studies": 2}
    write_ncc(tmp_path / "set", workers=1, **arguments)
    expected = _digests(tmp_path / "set")
    for name in ("studies.csv", "dicom/PHANTOM-00002/RCC.dcm"):
        (tmp_path / "set" / name).unlink()
    kept = tmp_path / "set" / "dicom/PHANTOM-00001/RCC.dcm"
    before = kept.stat().st_mtime_ns
    assert not is_complete(tmp_path / "set")
    write_ncc(tmp_path / "set", workers=1, **arguments)
    assert _digests(tmp_path / "set") == expected
    assert kept.stat().st_mtime_ns == before


def test_lost_file_is_noticed_though_the_marker_says_complete(tmp_path):
    arguments = {**SMALL, "num_studies": 1}
    write_ncc(tmp_path / "set", workers=1, **arguments)
    lost = tmp_path / "set" / "dicom/PHANTOM-00001/LCC.dcm"
    lost.unlink()
    write_ncc(tmp_path / "set", workers=1, **arguments)
    assert lost.is_file()


def test_complete_set_is_used_as_it_is(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    result = CliRunner().invoke(phantom, _command(folder))
    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'studies.csv'}\n"
    assert "used as it is" in result.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def _command(folder, **changes) -> list[str]:
    options = {"studies": 4, "seed": 3, "scale": 0.125, "malignant": 0.5, "workers": 1}
    words = [word for name, value in {**options, **changes}.items() for word in (name, value)]
    return ["ncc", str(folder)] + [
        f"--{word}" if index % 2 == 0 else str(word) for index, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed=3, asked for seed=4"),
        ({"scale": 0.25}, "scale=0.125, asked for scale=0.25"),
        ({"scale": 0.1}, "scale must be between"),
        ({"scale": 3}, "scale must be between"),
        ({"scale": "nan"}, "scale must be between"),
        ({"studies": 0}, "at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"malignant": 0.9}, "sum to at most 1"),
        ({"malignant": "nan"}, "sum to at most 1"),
        ({"workers": 0}, "workers must be at least 1"),
    ],
)
def test_mistakes_on_the_command_line(folder, changes, message):
    before = _digests(folder)
    result = CliRunner().invoke(phantom, _command(folder, **changes))
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert _digests(folder) == before


def test_foreign_folder_and_broken_marker_are_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_ncc(tmp_path, **SMALL)
    with pytest.raises(UserError, match="Received a file"):
        write_ncc(tmp_path / "letter.txt", **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    (tmp_path / "PHANTOM.json").write_text("{")
    with pytest.raises(UserError, match="not a phantom's marker"):
        write_ncc(tmp_path, **SMALL)


def test_plans_follow_the_fractions_and_ages_are_plausible():
    plans = plan_studies(num_studies=400, seed=1, malignant_fraction=0.25, benign_fraction=0.5)
    assert Counter(plan.finding for plan in plans) == {
        "malignant": 100,
        "benign": 200,
        "normal": 100,
    }
    ages = [plan.age for plan in plans]
    assert min(ages) >= 30
    assert max(ages) <= 90
    assert 50 < np.mean(ages) < 58
    assert Counter(plan.vendor for plan in plans) == {
        "PHANTOM-A": 134,
        "PHANTOM-B": 133,
        "PHANTOM-C": 133,
    }
