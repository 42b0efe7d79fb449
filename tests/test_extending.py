"""docs/extending.md, as pasted: a data set, a model and a recipe that touch no other file."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mammo_tf.phantom.exam import draw_breasts, render_view
from mammo_tf.phantom.vendors import VENDOR_TABLE
from mammo_tf.testing import write_mammogram

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
PLACES = ("datasets/clinic/", "mammo_tf/models/tiny_net.py", "recipes/hello/")
MOST_LINES = {"datasets/clinic/": 40, "mammo_tf/models/": 30, "recipes/hello/": 90}
DRIVER = """
import contextlib, io, json, sys
import mammo_tf
from mammo_tf.cli.main import cli

outputs = {"installed": mammo_tf.__file__}
for name, arguments in json.loads(sys.argv[1]).items():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        cli(arguments, standalone_mode=False)
    outputs[name] = out.getvalue()

import mammo_tf.datasets
import tensorflow_datasets as tfds

outputs["films"] = [
    {
        "id": film["image_id"].decode(),
        "shape": film["image"].shape,
        "box": film["findings"]["box_px"].tolist(),
        "label": int(film["label"]),
    }
    for film in tfds.as_numpy(tfds.load("clinic/plain", split="all", data_dir="data"))
]
print(json.dumps(outputs))
"""

pytestmark = pytest.mark.slow


def blocks() -> dict[str, str]:
    """The whole files that the page shows, by name."""
    found = re.findall(r'^```\w+ title="(.+?)"\n(.*?)^```$', PAGE.read_text("utf-8"), re.M | re.S)
    return dict(found)


def commands(films: Path) -> dict[str, list[str]]:
    """The page's commands, as short as can be."""
    raw = ["--manual-dir", str(films)]
    build = ["data", "build", "clinic", *raw, "--data-dir", "data", "--json"]
    short = ["--dataset", "clinic", *raw, "--folds", "3", "--set", "training.epochs=1", "--json"]
    compression = ["recipe", "compression", "--model", "tiny_net"]
    return {
        "data sets": ["data", "list", "--data-dir", "none"],
        "recipes": ["recipe", "list"],
        "settings": [*compression, "--show-config"],
        "ladder": build,
        "built": ["data", "list", "--data-dir", "data"],
        "plain": [*build, "--plain"],
        "hello": ["recipe", "hello", *short, "--set", "task=whole"],
        "compression": [*compression, *short, "--task", "whole", "--cratios", "1,20"],
    }


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Six DICOM files of six patients, and images.csv."""
    folder = tmp_path_factory.mktemp("films")
    rows = []
    for number, label in enumerate(("benign", "malignant") * 3):
        rng = np.random.default_rng(number)
        breast = draw_breasts(rng, {"L": label, "R": "normal"})["L"]
        exposure = next(iter(VENDOR_TABLE.values())).exposure
        pixels, mask = render_view(breast, "MLO", exposure, scale=0.125, rng=rng)
        write_mammogram(folder / f"film{number}.dcm", pixels)
        lines, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = f"{lines[0]} {columns[0]} {lines[-1] + 1} {columns[-1] + 1}"
        rows.append([f"film{number}.dcm", f"patient{number}", "L", "MLO", label, box])
    with (folder / "images.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["File", "Patient", "Side", "View", "Label", "Box"], *rows])
    return folder


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, copy_source, build_wheel, films) -> dict:
    """What the commands print with the extended copy installed, and the records as TFDS gives."""
    folder = tmp_path_factory.mktemp("extended")
    source, work = folder / "source", folder / "work"
    copy_source(source)
    for name, content in blocks().items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content, "utf-8")
    command = ["git", "-C", str(source), "status", "--porcelain", "--untracked-files=all"]
    changed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert changed
    for line in changed.splitlines():
        assert line.startswith("?? ") and line[3:].startswith(PLACES), line
    site = build_wheel(source, folder)
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands(films))],
        capture_output=True,
        text=True,
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_additions_are_as_short_as_the_page_says():
    lines = dict.fromkeys(MOST_LINES, 0)
    for name, content in blocks().items():
        place = next(place for place in MOST_LINES if name.startswith(place))
        lines[place] += content.count("\n")
    assert all(0 < lines[place] <= most for place, most in MOST_LINES.items()), lines


def test_they_are_found_by_name(outputs):
    assert Path(outputs["installed"]).parts[-3:-1] == ("site", "mammo_tf")
    assert "clinic     Mammograms of one clinic" in outputs["data sets"]
    assert "hello          One small network" in outputs["recipes"]
    shown = json.loads(outputs["settings"])
    assert shown["model"] == {"name": "tiny_net", "options": {"filters": 8}}


def test_the_data_set_builds(outputs):
    ladder = json.loads(outputs["ladder"])
    assert sum(ladder["splits"].values()) == 6 and ladder["num_quarantined"] == 0
    assert "clinic/ladder/2.0.0" in outputs["built"]


def test_another_project_loads_the_data_set(outputs, films):
    rows = sorted(outputs["films"], key=lambda row: row["id"])
    with (films / "images.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["id"] + ".dcm" for row in rows] == [row["File"] for row in table]
    assert [row["box"] for row in rows] == [[[*map(float, r["Box"].split())]] for r in table]
    assert [row["label"] for row in rows] == [2, 3] * 3
    assert {tuple(row["shape"]) for row in rows} == {(287, 239, 1)}


def test_the_recipe_runs_on_the_data_set_with_the_model(outputs):
    summary = json.loads(outputs["hello"])
    assert summary["task"] == "whole" and (summary["cases"], summary["folds"]) == (6, 3)


def test_recipe_compression_runs_on_the_data_set_with_the_model(outputs):
    found = json.loads(outputs["compression"])
    rows = [(row["model"], row["test_cr"], row["n"]) for row in found["summary"]]
    assert rows == [("tiny_net", "1", 6), ("tiny_net", "20", 6)]
