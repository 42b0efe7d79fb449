"""`mammo-tf predict` on folders, patterns and runs, and its boxes in the file's own pixels."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mammo_tf.cli import main as cli_main
from mammo_tf.dicom.orientation import Orientation
from mammo_tf.errors import UserError
from mammo_tf.models.ssd import SSD
from mammo_tf.pipelines.detection.detector import Detector, describe_detector, find_weights
from mammo_tf.testing import make_breast, write_mammogram


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A run folder with one detector of random weights, many of whose boxes are shown."""
    folder = tmp_path_factory.mktemp("run") / "cells" / "ssd-fold0"
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(3)
    model = SSD(num_classes=2, backbone="light", image_shape=(64, 48, 3))
    model.save_weights(folder / "model.weights.h5")
    describe_detector(Detector(model, ("benign", "malignant"), num_symmetries=1), folder)
    return folder.parent.parent


@pytest.fixture
def run(weights, tmp_path):
    def predict(*arguments, out=tmp_path / "out"):
        words = ["predict", "--threshold", "0.3", weights, *arguments, "--out", out]
        return CliRunner().invoke(cli_main.cli, list(map(str, words)))

    return predict


@pytest.fixture
def study(tmp_path):
    """A folder of two breasts in two folders, files of the same name, and a text."""
    for name, seed in (("a", 0), ("b", 1)):
        folder = tmp_path / "study" / name
        folder.mkdir(parents=True)
        pixels = make_breast(90, 60, bits=8, seed=seed)
        Image.fromarray(pixels).save(folder / "1.png")
    write_mammogram(tmp_path / "study" / "IM0001")  # as PACS exports it, without an ending
    (tmp_path / "study" / "notes.txt").write_text("no image")
    return tmp_path / "study"


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_s_images_have_one_csv_and_results_in_the_same_folders(run, study, tmp_path):
    done = run(
        study, "--max-boxes", "2", "--pixel-spacing-mm", "0.5", "--batch-size", "2", "--json"
    )
    assert done.exit_code == 0, done.output
    assert "1 file of study left aside" in done.stderr and "notes.txt" in done.stderr
    out = tmp_path / "out"
    results = json.loads(done.stdout)
    assert [result["path"] for result in results] == ["IM0001", "a/1.png", "b/1.png"]
    for result, name in zip(results, ("IM0001", "a/1", "b/1"), strict=True):
        assert json.loads((out / f"{name}.json").read_text("utf-8")) == result
        assert (out / f"{name}.png").is_file()
    rows = read_csv(out / "predictions.csv")
    assert [row["path"] for row in rows] == [
        name for name in ("IM0001", "a/1.png", "b/1.png") for _ in "12"
    ]
    first = results[1]["detections"][0]
    row = next(row for row in rows if row["path"] == "a/1.png")
    assert float(row["score"]) == first["score"]
    assert float(row["p_malignant"]) == first["probabilities"]["malignant"]
    assert float(row["bottom_px"]) == first["box_px"]["bottom"] == first["file_box_px"]["bottom"]
    assert float(row["height_mm"]) == first["box_mm"]["height"]


def test_a_batch_gives_what_one_image_gives(run, study, tmp_path):
    one = json.loads(run(study / "b" / "1.png", "--json", out=tmp_path / "one").stdout)[0]
    many = json.loads(run(study, "--json", "--batch-size", "3").stdout)[2]
    assert len(one["detections"]) == len(many["detections"]) > 0
    for single, batched in zip(one["detections"], many["detections"], strict=True):
        assert single["box_px"] == pytest.approx(batched["box_px"], abs=0.02)


def test_results_within_the_folder_are_not_looked_at_again(run, study):
    for _ in range(2):
        done = run(study, "--json", out=study / "found")
        assert len(json.loads(done.stdout)) == 3
    done = run(study, out=study)
    assert isinstance(done.exception, UserError) and "--out must be another" in str(done.exception)


def test_patterns_and_images_that_are_not_there(run, study, tmp_path):
    done = run(f"{study}/*/1.png")
    assert "would have the same name" in str(done.exception)
    done = run(f"{study}/a/*.png", "--json")
    assert [result["path"] for result in json.loads(done.stdout)] == ["1.png"]
    assert "No file fits the pattern *.tif" in str(run(f"{study}/*.tif").exception)
    (tmp_path / "empty").mkdir()
    assert "No DICOM, PGM, PNG or TIFF file" in str(run(tmp_path / "empty").exception)


def test_an_image_that_is_not_read_or_has_nothing_has_a_row(run, study, tmp_path):
    (study / "a" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = run(study, "--threshold", "1")
    assert "1 of 3 images could not be read" in str(done.exception)
    rows = read_csv(tmp_path / "out" / "predictions.csv")
    assert [row["path"] for row in rows] == ["IM0001", "a/1.png", "b/1.png"]
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert not any(row["score"] for row in rows)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("left_right", [False, True])
@pytest.mark.parametrize("up_down", [False, True])
def test_a_box_goes_back_to_where_the_file_has_it(transpose, left_right, up_down):
    stored = np.zeros((40, 30))
    stored[4:10, 20:29] = 1
    turn = Orientation(transpose, left_right, up_down, "pixels")
    shown = turn.apply(stored)
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    box = np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]]) / np.tile(shown.shape, 2)
    found = turn.undo_boxes(box) * np.tile(stored.shape, 2)
    np.testing.assert_allclose(found, [[4, 20, 10, 29]])


def test_a_turned_file_s_boxes_are_in_its_own_rows_and_columns(run, tmp_path):
    """Stored lying down: rows run to the feet, columns to the front, 0.1 and 0.05 mm apart."""
    breast = make_breast(96, 64, bits=12)
    path = write_mammogram(
        tmp_path / "lying.dcm", breast.T.copy(), orientation=("F", "A"), PixelSpacing=[0.1, 0.05]
    )
    (result,) = json.loads(run(path, "--json", "--max-boxes", "3").stdout)
    assert result["turned"]["transposed"]
    assert (result["file_rows"], result["file_columns"]) == (64, 96)
    assert (result["height_px"], result["width_px"]) == (96, 64)
    assert result["pixel_spacing_mm"] == [0.05, 0.1]
    for one in result["detections"]:
        shown, own = one["box_px"], one["file_box_px"]
        height, width = own["bottom"] - own["top"], own["right"] - own["left"]
        assert height == pytest.approx(shown["right"] - shown["left"], abs=0.02)
        assert width == pytest.approx(shown["bottom"] - shown["top"], abs=0.02)
        assert one["file_box_mm"]["height"] == pytest.approx(0.1 * height, abs=0.006)
        assert one["file_box_mm"]["width"] == pytest.approx(0.05 * width, abs=0.006)
        assert one["box_mm"]["height"] == one["file_box_mm"]["width"]


def test_a_run_of_several_detectors_asks_for_one(weights, tmp_path):
    assert find_weights(weights).parent.name == "ssd-fold0"
    run_dir = tmp_path / "run"
    for fold in (0, 1):
        shutil.copytree(weights / "cells" / "ssd-fold0", run_dir / "cells" / f"ssd-fold{fold}")
    with pytest.raises(UserError, match=r"has 2 detectors: give one of them, e.g. .*ssd-fold0"):
        find_weights(run_dir)
