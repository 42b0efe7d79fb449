"""The mias recipe from real films to the report, and what it says of films that are no films."""

import csv
import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mammo_tf.cli import main as cli_main
from mammo_tf.datasets.build import build_dataset
from mammo_tf.files import read_checked_json
from mammo_tf.pipelines.detection.card import FOUND, read_card
from mammo_tf.pipelines.detection.detector import load_detector
from mammo_tf.recipes.mias import combine, detect, proposals
from mammo_tf.training import classifier_cells

# Each lesion has two normal images of its side with as much tissue at its place among these.
WITH_LESIONS = (8, 9, 14, 15, 38, 54, 58, 59)
NORMAL = (18, 25, 26, 28, 33, 37, 47)
FILMS = sorted(f"mdb{2 * w - e:03}" for w in (*WITH_LESIONS, *NORMAL) for e in (0, 1))
SETTINGS = (
    "num_resamples=100",
    "classify.variants=centred128",
    "classify.poster_variants=centred128",
    "classify.input_size=16",
    "classify.extra_normals=0",
    "classify.lesion_copies=1",
    "classify.model.stackwise_num_filters=4,6,8,8",
    "classify.model.kernel_size=3",
    "classify.training.warmup_epochs=0",
    "classify.training.epochs=1",
    "classify.training.num_test_copies=1",
    "detect.image_size=96",
    "detect.num_symmetries=1",
    "detect.poster_epochs=1",
    "detect.training.warmup_epochs=0",
    "detect.training.epochs=1",
    "combine.proposals=5",
    "combine.weights=0,0.5,1",
)
FOLDS = ("patient-fold0", "patient-fold1", "poster-fold0")
DETECTORS = [f"ssd300_light_{fold}" for fold in FOLDS]
CLASSIFIERS = [f"depthwise_cnn_centred128_{fold}" for fold in FOLDS]


def words(raw, run_dir, *more):
    options = [*("--manual-dir", raw), *("--run-dir", run_dir), *("--folds", 2), *more]
    options += [word for setting in SETTINGS for word in ("--set", setting)]
    return ["recipe", "mias", *map(str, options)]


def exit_2(monkeypatch, capsys, arguments):
    """Runs the command as a shell does; returns its one line of error."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["mammo-tf", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli_main.main()
    assert caught.value.code == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error")]


def read_csv(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def raw(real_data, tmp_path_factory):
    """Thirty real films of fifteen patients, and their rows of Info.txt."""
    folder = tmp_path_factory.mktemp("raw")
    with tarfile.open(real_data / "mini-mias" / "all-mias.tar.gz") as archive:
        for member in archive:
            name = member.name.split("/")[-1]
            if name.removesuffix(".pgm") in FILMS:
                (folder / name).write_bytes(archive.extractfile(member).read())
            elif name == "Info.txt":
                text = archive.extractfile(member).read().decode("latin-1")
    rows = [line for line in text.splitlines() if line[:6] in FILMS]
    (folder / "Info.txt").write_text("\n".join(rows) + "\n")
    assert len(list(folder.glob("*.pgm"))) == 30
    return folder


@pytest.fixture(scope="module")
def lesions(raw):
    """{film: [(row, column, letter), …]} of the circles, as Info.txt gives them."""
    found = re.findall(
        r"^(mdb\d{3}) [FGD] \w{4} ([BM]) (\d+) (\d+) \d+", (raw / "Info.txt").read_text(), re.M
    )
    circles = {}
    for film, letter, x, y in found:
        circles.setdefault(film, []).append((1024 - int(y), int(x), letter))
    return circles


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mias"
    done = CliRunner().invoke(cli_main.cli, words(raw, folder))
    assert done.exit_code == 0, (done.output[-3000:], done.exception)
    return folder, done


def contents(folder):
    """A digest of everything that numbers come from, by path."""
    kept = ("summary.csv", "summary.json", "config.json", "cells", "combine", "detections")
    files = [f for f in folder.rglob("*") if f.relative_to(folder).parts[0] in kept and f.is_file()]
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns * ("cells" in file.parts))
        or hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


@pytest.mark.slow
class TestRun:
    def test_every_model_is_there(self, finished):
        folder, _ = finished
        assert sorted(path.name for path in (folder / "cells").iterdir()) == sorted(
            [*DETECTORS, *CLASSIFIERS]
        )
        for name in DETECTORS:
            names = {path.name for path in (folder / "cells" / name).iterdir()}
            assert {"model.weights.h5", "detector.json", "detections.json"} <= names
            card = read_card(folder / "cells" / name)
            kind = "by patient" if "patient" in name else "poster's kind, test"
            rows = [row for row in read_csv(folder / "summary.csv") if row["set"] == kind]
            found = card["measured"][FOUND]  # None where the interval cannot be had
            assert found is None or f"{found['value']:.6f}" in {row["value"] for row in rows}
            assert load_detector(folder / "cells" / name).class_names == ("benign", "malignant")

    def test_the_summary_and_what_is_printed(self, finished):
        folder, done = finished
        rows = read_csv(folder / "summary.csv")
        assert {(row["what"], row["set"]) for row in rows} == {
            ("patches centred128", "by patient"),
            ("patches centred128", "poster's kind"),
            ("detection", "by patient"),
            ("detection", "by patient, with lesions"),
            ("detection", "poster's kind, test"),
            ("detection", "poster's kind, all sets"),
            ("detection", "detector alone"),
            ("detection", "detector and classifier"),
            ("images", "by patient"),
        }
        shown = json.loads((folder / "summary.json").read_text())
        # ECE and Brier score before and after, of patches and two questions on images; two AUROC
        assert len(shown) == len(rows) == 2 * 4 + 6 * 14 + 3 * 4 + 2
        for row, line in zip(rows, shown, strict=True):
            assert (row["measure"], row["set"]) == (line["measure"], line["set"])
            assert 0 <= line["value"] <= 1
            assert float(row["value"]) == pytest.approx(line["value"], abs=1e-6)
        assert f"Report: {folder / 'report.html'}" in done.stdout
        weights = folder / "cells" / DETECTORS[0] / "model.weights.h5"
        assert f"Detector for `mammo-tf predict --model ssd`: {weights}" in done.stdout
        mean = next(row for row in rows if row["measure"] == "mAP")
        assert re.search(rf"by patient +mAP +{float(mean['value']):.2f} \(", done.stdout)

    def test_every_image_is_looked_at_by_a_detector_that_does_not_know_it(self, finished):
        folder, _ = finished
        tested = []
        for name in DETECTORS[:2]:
            found = read_checked_json(folder / "cells" / name / "detections.json")["found"]
            rows = read_csv(folder / "detections" / f"{name}.csv")
            films = {row["image_id"] for row in rows}
            assert films <= set(found["lesion"])  # test; validation images are looked at too
            tested += films
            for row in rows:
                edges = [float(row[f"{n}_px"]) for n in ("ymin", "xmin", "ymax", "xmax")]
                assert 0 <= edges[0] <= edges[2] <= 1024 and 0 <= edges[1] <= edges[3] <= 1024
                share = float(row["p_benign"]) + float(row["p_malignant"])
                assert share == pytest.approx(float(row["score"]), abs=3e-5)
        assert len(tested) == len(set(tested)) and set(tested) <= set(FILMS)
        poster = read_csv(folder / "detections" / f"{DETECTORS[2]}.csv")
        assert all("@" in row["image_id"] for row in poster)

    def test_patches_of_every_lesion_are_tested_once(self, finished, lesions):
        folder, _ = finished
        cases = [
            case
            for name in CLASSIFIERS[:2]
            for case in read_csv(folder / "cells" / name / "predictions" / "test.csv")
        ]
        labels = {"B": "1", "M": "2"}
        expected = sorted(
            (f"{film}-{number}", labels[letter])
            for film, circles in lesions.items()
            for number, (_, _, letter) in enumerate(circles, start=1)
        )
        found = [(case["example_id"], case["label"]) for case in cases if case["label"] != "0"]
        assert sorted(found) == expected
        assert len(cases) == 3 * len(expected)

    def test_the_report_is_whole(self, finished):
        folder, _ = finished
        page = (folder / "report.html").read_text()
        assert not re.search(r'src="(?!data:)|<link|href="(?!data:|#|https?://)', page)
        for words_ in ("30 of 15 patients", "Hits and misses", "Detector and classifier together"):
            assert words_ in page
        assert page.count('<img src="data:image/') >= 2

    def test_tensorboard_has_curves_and_images(self, finished):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder, _ = finished
        for name in DETECTORS:
            log = EventAccumulator(str(folder / "tensorboard" / name), size_guidance={"tensors": 0})
            log.Reload()
            tags = set(log.PluginTagToContent("images"))
            assert "test/image1" in tags and tags <= {f"test/image{n}" for n in range(1, 7)}
            content = log.Tensors("test/image1")[0].tensor_proto.string_val[2]
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
            assert pixels.shape == (192, 192, 3)
            assert (pixels.max(axis=2) - pixels.min(axis=2) > 60).any()  # a detection's colour
            assert {"train/loss", "train/learning_rate"} <= set(log.Tags()["tensors"])

    def test_the_same_command_again_trains_and_changes_nothing(self, raw, finished, monkeypatch):
        folder, _ = finished
        before = contents(folder)
        monkeypatch.setattr(detect, "fit_detector", None)
        monkeypatch.setattr(detect, "look", None)
        monkeypatch.setattr(classifier_cells, "fit_classifier", None)
        monkeypatch.setattr(classifier_cells, "predict_scores", None)
        monkeypatch.setattr(proposals, "predict_scores", None)
        monkeypatch.setattr(combine, "_judge", checked(combine._judge))
        done = CliRunner().invoke(cli_main.cli, words(raw, folder, "--json"))
        assert done.exit_code == 0, (done.output[-3000:], done.exception)
        assert contents(folder) == before
        shown = json.loads(done.stdout)
        assert shown["summary"] == json.loads((folder / "summary.json").read_text())
        assert [path.split("/")[-2] for path in shown["weights"]] == DETECTORS

    def test_another_seed_in_the_same_folder_is_refused(self, raw, finished, monkeypatch, capsys):
        folder, _ = finished
        before = contents(folder)
        (error,) = exit_2(monkeypatch, capsys, words(raw, folder, "--seed", 2))
        assert "seed: 1, now 2" in error and "Nothing was changed" in error
        assert contents(folder) == before


def checked(judge):
    """`_judge` that must find what it said before."""

    def wrapped(opened, fold, classified, folder, variant, sizes):
        assert (folder / f"{fold.cell.name}-{variant}.json").is_file()
        return judge(opened, fold, classified, folder, variant, sizes)

    return wrapped


# One film of a patient at most, so that each part of the data set keeps some.
BAD = {
    "mdb002": "three whole numbers",
    "mdb003": "missing",
    "mdb006": "outside the 1024×1024 image",
    "mdb007": "8-bit",
    "mdb010": "colour",
}
BAD_ROWS = {"mdb002": "CIRC B 500 500 x", "mdb006": "CIRC M 1100 500 20"}
GREY = b"P5\n1024 1024\n255\n" + bytes(1024 * 1024)
FILES = {
    "mdb003": None,
    "mdb007": b"P5\n1024 1024\n65535\n" + bytes(2 * 1024 * 1024),
    "mdb010": b"P6\n1024 1024\n255\n" + bytes(3 * 1024 * 1024),
}


@pytest.mark.slow
def test_films_that_cannot_be_used_are_all_named(tmp_path, monkeypatch, capsys):
    raw, folder = tmp_path / "raw", tmp_path / "run"
    raw.mkdir()
    films = [f"mdb{number:03}" for number in range(1, 15)]
    rows = [f"{film} G {BAD_ROWS.get(film, 'NORM')}" for film in films]
    (raw / "Info.txt").write_text("\n".join(rows))
    for film in films:
        content = FILES.get(film, GREY)
        if content:
            (raw / f"{film}.pgm").write_bytes(content)
    # What the table rules out is too much of so few; nothing is trained on the rest.
    (error,) = exit_2(monkeypatch, capsys, words(raw, folder))
    assert "2 of 14 films cannot be used" in error
    assert "Info.txt: row 2: " in error and "; row 6: " in error
    assert not (folder / "cells").exists()
    builder = build_dataset(
        "mini_mias", manual_dir=raw, data_dir=tmp_path / "data", cratios=(1,), max_quarantine=0.9
    )
    rows = read_csv(Path(builder.data_dir) / "quarantine.csv")
    assert sorted(row["record"] for row in rows) == list(BAD)
    for row in rows:
        assert BAD[row["record"]] in row["reason"]
    # Of what is left no folds can be made, which is said before anything is trained too.
    (error,) = exit_2(monkeypatch, capsys, words(raw, folder, "--data-dir", tmp_path / "data"))
    assert "2 folds need patients of both classes" in error
    assert not (folder / "cells").exists()
