"""A trained detector at each compression ratio: which images each fold's sees, and the changes."""

import csv
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli import recipe_run
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.errors import DataError, UserError
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.detection.parts import PARTS_FILE, keep_parts, read_parts
from mammo_tf.recipes.compression import detection as module
from mammo_tf.recipes.compression import run as recipe
from mammo_tf.recipes.compression import run_detection
from mammo_tf.recipes.compression.command import compression
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.detection import (
    SEEN_NOTE,
    FoldDetector,
    find_detectors,
    measure_detection,
)
from mammo_tf.recipes.compression.report_detection import detection_answer, detection_section
from mammo_tf.record import Finding

pytest.importorskip("pycocotools", reason="PYCOCOTOOLS ABSENT: pip install 'mammo-tf[detection]'")

SHAPE = (96, 80)
COUNT = 8
CONFIG = CompressionConfig(
    dataset="mini_mias", task="detection", detector="x", cratios=(1, 20), num_resamples=100
)


def lesion(number):
    return 4.0 * number, 10.0, 4.0 * number + 24, 34.0


@pytest.fixture(scope="module")
def opened(build_records, tmp_path_factory):
    images = []
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 180, SHAPE).astype(np.uint8)
        top, left, bottom, right = map(int, lesion(number))
        if number % 4:
            pixels[top:bottom, left:right] = 255
        finding = Finding(mark="box", box_yxyx_px=lesion(number), label="benign")
        known = {
            "image_id": f"i{number}",
            "patient_id": f"p{number}",
            "laterality": "L",
            "view": "CC",
            "label": "benign" if number % 4 else "normal",
            "bits_stored": 8,
            "findings": (finding,) if number % 4 else (),
        }
        images.append((pixels, known))
    builder = build_records(images, cratios=(1, 20))
    cache = tmp_path_factory.mktemp("cache")
    return OpenData(builder=builder, catalog=read_catalog(builder), cache_dir=cache)


class FakeDetector:
    """Finds the white square, but only in pixels as the lossless image has them."""

    model = SimpleNamespace(image_shape=(96, 96, 3), variant="ssd300", backbone="light")
    num_symmetries = 1

    def __init__(self):
        self.seen = []

    def detect(self, images, *, max_boxes):
        self.seen += images
        return [self._find(image) for image in images]

    def _find(self, image):
        rows, columns = np.nonzero(image == image.max())
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        exact = len(rows) == (box[2] - box[0]) * (box[3] - box[1])  # a whole white square
        box = np.array(box) / np.tile(image.shape, 2) if exact else np.array([0.0, 0.9, 0.1, 1])
        return Detections(
            boxes_yxyx=box[np.newaxis],
            labels=np.ones(1, int),
            scores=np.array([0.9 if exact else 0.1]),
            probabilities=np.ones((1, 1)),
        )


def fold(name, test, validation=()):
    return FoldDetector(
        name=name,
        detector=FakeDetector(),
        digest=name * 2,
        test=None if test is None else frozenset(f"i{number}" for number in test),
        validation=frozenset(f"i{number}" for number in validation),
    )


def numbers_of(task, images, cratio):
    """Which of the task's images these are at one ratio."""
    known = {task.images(cratio)[k].tobytes(): task.image_ids[k] for k in range(len(task))}
    size = task.input_shape
    padded = [np.zeros(size, np.uint8) for _ in images]
    for whole, image in zip(padded, images, strict=True):
        whole[: image.shape[0], : image.shape[1]] = image
    return [str(known.get(whole.tobytes())) for whole in padded]


def test_each_fold_s_detector_sees_its_own_test_images_at_each_ratio(opened, tmp_path):
    folds = [fold("a", (0, 1, 2), (5, 6)), fold("b", (3, 4), (1,))]
    task, rows = measure_detection(folds, CONFIG, opened, tmp_path)
    assert sorted(task.image_ids) == ["i0", "i1", "i2", "i3", "i4"]
    whole = module._divide([fold("all", None)], CONFIG, opened)[0]
    first = numbers_of(whole, folds[0].detector.seen, 1)
    # Validation images at the first ratio alone, then test images; then these at the next ratio.
    assert (first[:2], first[2:5]) == (["i5", "i6"], ["i0", "i1", "i2"])
    assert numbers_of(whole, folds[0].detector.seen, 20)[5:] == ["i0", "i1", "i2"]
    assert len(folds[0].detector.seen) == 8 and len(folds[1].detector.seen) == 5
    assert [row.cratio for row in rows] == [1, 20]
    # Three lesions among the five test images, all of them found losslessly and none later.
    assert rows[0].found[1].value == rows[0].precision.value == 1
    assert rows[1].found[1].value == rows[1].precision.value == 0
    change = rows[1].found_change[1]
    assert (change.value, change.low, change.high) == (-1, -1, -1)
    assert rows[1].precision_change.value == pytest.approx(-1)
    with (tmp_path / "detection.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [line["found_at_1_change"] for line in table] == ["", "-1.0"]


def test_the_bootstrap_is_the_configuration_s(opened, tmp_path, monkeypatch):
    given = []
    for name in ("froc", "froc_change", "average_precision", "average_precision_change"):
        known = getattr(module, name)

        def spy(*images, known=known, **options):
            given.append((options["num_resamples"], options["seed"]))
            return known(*images, **options)

        monkeypatch.setattr(module, name, spy)
    config = dataclasses.replace(CONFIG, seed=9, num_resamples=101)
    measure_detection([fold("a", (1, 2, 3))], config, opened, tmp_path)
    assert given == [(101, 9)] * 6


def test_what_was_found_is_read_again_unless_damaged_or_of_other_weights(opened, tmp_path):
    one = fold("a", (0, 1, 2))
    _, rows = measure_detection([one], CONFIG, opened, tmp_path)
    assert len(one.detector.seen) == 6
    again = fold("a", (0, 1, 2))
    assert measure_detection([again], CONFIG, opened, tmp_path)[1] == rows
    assert again.detector.seen == []
    (tmp_path / "detections" / "a-test-cr20.json").write_text("{")
    assert measure_detection([again], CONFIG, opened, tmp_path)[1] == rows
    assert len(again.detector.seen) == 3
    other = dataclasses.replace(fold("a", (0, 1, 2)), digest="other")
    measure_detection([other], CONFIG, opened, tmp_path)
    assert len(other.detector.seen) == 6


def test_a_detector_from_elsewhere_sees_all_and_the_report_says_what_is_not_known(opened, tmp_path):
    task, _ = measure_detection([fold("x", None)], CONFIG, opened, tmp_path)
    assert len(task) == COUNT and SEEN_NOTE in task.notes
    # One whose images are known, all of another data set, has seen none of these.
    stranger = dataclasses.replace(fold("y", ()), test=frozenset({"else"}))
    task, _ = measure_detection([stranger], CONFIG, opened, tmp_path)
    assert len(task) == COUNT and SEEN_NOTE not in task.notes
    several = [dataclasses.replace(stranger, name=name) for name in "yz"]
    with pytest.raises(UserError, match="learned from another data set"):
        measure_detection(several, CONFIG, opened, tmp_path)


def test_the_whole_run(opened, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe_run, "open_data", lambda *args, **options: opened)
    monkeypatch.setattr(run_detection, "find_detectors", lambda folder: [fold(folder, (1, 2, 3))])
    options = {"experiments": ("single",), "paths": DataPaths(), "as_json": True}
    recipe.run(CONFIG, run_dir=str(tmp_path / "run"), **options)
    printed = json.loads(capsys.readouterr().out)
    assert [line["found_at_1"] for line in printed["summary"]] == [1, 0]
    assert printed["conclusion"][0].startswith("Not even at CR20 is it ruled out")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "The detector at each compression ratio" in page and "lesion detection" in page
    kept = json.loads((tmp_path / "run" / "config.json").read_text())
    assert kept["detectors"] == {"x": "xx"}


def test_in_words(opened, tmp_path):
    _, rows = measure_detection([fold("a", range(8))], CONFIG, opened, tmp_path)
    same = dataclasses.replace(
        rows[0], cratio=10, found_change=dict.fromkeys(rows[0].found, rows[1].found_change[1])
    )
    unchanged = dataclasses.replace(same.found_change[1], value=0.0, low=-0.01, high=0.01)
    same = dataclasses.replace(same, found_change=dict.fromkeys(rows[0].found, unchanged))
    said = detection_answer([rows[0], same, rows[1]], margin=0.02)
    assert said[0] == (
        "Up to CR10 it is ruled out that the share of lesions found at 1 false positive an image "
        "falls by more than 0.02."
    )
    assert said[2] == "At CR20 the change is -1.000 (-1.000, -1.000)."
    assert detection_answer([rows[0], same], margin=0.005)[0].startswith("Not even at CR10")
    table = detection_section(rows).parts[0]
    assert table.rows[1][3] == str(rows[1].found[1]) and table.rows[0][6] == "reference"


def test_parts_beside_a_detector(opened, tmp_path):
    task, _ = measure_detection([fold("a", range(8))], CONFIG, opened, tmp_path / "run")
    parts = {"train": np.array([3]), "validation": np.array([1, 2]), "test": np.array([0])}
    keep_parts(tmp_path, "patient", task, parts)
    names = {name: tuple(f"i{row}" for row in rows) for name, rows in parts.items()}
    assert read_parts(tmp_path) == ("patient", names)
    assert read_parts(tmp_path / "run") is None
    (tmp_path / PARTS_FILE).write_text((tmp_path / PARTS_FILE).read_text().replace("i3", "i4"))
    with pytest.raises(DataError, match="damaged"):
        read_parts(tmp_path)


def test_the_detectors_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_detector", lambda weights: str(weights))
    for name, split in (("light_patient-fold0", "patient"), ("light_poster-fold0", "poster")):
        cell = tmp_path / "cells" / name
        cell.mkdir(parents=True)
        (cell / "detector.json").write_text("{}")
        (cell / "model.weights.h5").write_bytes(b"weights")
        task = SimpleNamespace(image_ids=np.array([f"{split}0", f"{split}1", f"{split}2"]))
        rows = {"train": [0], "validation": [1], "test": [2]}
        keep_parts(cell, split, task, rows)
    (found,) = find_detectors(str(tmp_path))
    assert (found.name, found.test) == ("light_patient-fold0", frozenset({"patient2"}))
    assert found.validation == frozenset({"patient1"})
    (tmp_path / "cells" / "light_patient-fold0" / PARTS_FILE).unlink()
    with pytest.raises(UserError, match="which images"):
        find_detectors(str(tmp_path))
    assert find_detectors(str(tmp_path / "cells" / "light_patient-fold0"))[0].test is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "detection"], "each needs the other"),
        (["--detector", ".", "--task", "lesion"], "each needs the other"),
        (["--detector", ".", "--model", "cnn3"], "--model has no meaning with --detector"),
        (["--detector", ".", "--repeats", "3"], "--repeats has no meaning"),
        (["--detector", ".", "--set", "training.epochs=3"], "--set training.epochs=3 has no"),
        (["--detector", ".", "--folds", "3"], "--folds"),
        (["--detector", "."], "None is at"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(compression, [*arguments, "--run-dir", "run"], catch_exceptions=False)
