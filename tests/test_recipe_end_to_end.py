"""The compression recipe from raw files to the report, on a tiny phantom."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.settings import choose_config

pytestmark = pytest.mark.slow

SETTINGS = (
    "phantom.num_studies=16",
    "phantom.scale=0.125",
    "training.epochs=2",
    "training.batch_size=8",
    "model.stackwise_num_filters=2,4,4",
    "model.dropout=0.45",
    "num_resamples=100",
)
OPTIONS = [
    *("--preset", "demo", "--crs", "1,50", "--seed", "3"),
    *(word for setting in SETTINGS for word in ("--set", setting)),
]


def read_csv(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def command(run_dir, *more):
    options = [*OPTIONS, "--run-dir", str(run_dir), *more]
    return [sys.executable, "-m", "mammo_tf.cli", "recipe", "compression", *options]


def run(run_dir, *more):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command(run_dir, *more), capture_output=True, text=True, env=environment)


def tables(run_dir):
    return [(run_dir / name).read_text() for name in ("results.csv", "summary.csv")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = run(folder, "--experiment", "single", "--experiment", "cross", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done


def test_the_settings_are_known():
    assert isinstance(choose_config(overrides=SETTINGS), CompressionConfig)


def test_results_have_a_line_for_each_experiment_ratio_and_fold(finished):
    folder, _ = finished
    lines = read_csv(folder / "results.csv")
    single = [
        (row["train_crs"], row["test_cr"], row["fold"])
        for row in lines
        if row["experiment"] == "single"
    ]
    assert single == [("1", "1", "0"), ("1", "1", "1"), ("50", "50", "0"), ("50", "50", "1")]
    cross = {(row["train_crs"], row["test_cr"]) for row in lines if row["experiment"] == "cross"}
    assert cross == {("1", "1"), ("1", "50"), ("50", "1"), ("50", "50")}
    assert sum(int(row["n"]) for row in lines[:2]) == 32
    for row in lines:
        assert 0 <= float(row["auroc"]) <= 1
        assert int(row["n_positive"]) >= 1


def test_every_cell_is_the_network_of_the_settings(finished):
    folder, _ = finished
    records = [json.loads(path.read_text()) for path in folder.glob("cells/*/cell.json")]
    assert len(records) == 4
    for record in records:
        made = record["model_config"]
        assert made["stackwise_num_filters"] == [2, 4, 4]
        assert (made["dropout"], made["head_pooling"]) == (0.45, "max")
        assert record["settings"]["task"] == "pairs"


def test_json_is_the_summary(finished):
    folder, done = finished
    shown = json.loads(done.stdout)
    lines = read_csv(folder / "summary.csv")
    assert [row["auroc"] for row in lines] == [str(row["auroc"]) for row in shown["summary"]]
    assert [line["cratio"] for line in shown["quality"]] == [1, 50]
    assert shown["quality"][0]["breast_rmse"] == 0 < shown["quality"][1]["breast_rmse"]


def test_predictions_recompute_to_the_results(finished):
    from sklearn.metrics import roc_auc_score

    folder, _ = finished
    lines = read_csv(folder / "results.csv")
    file = folder / "predictions/cross_train1_test50.csv"
    cases = [row for row in read_csv(file) if row["fold"] == "1"]
    area = roc_auc_score([int(c["label"]) for c in cases], [float(c["score"]) for c in cases])
    row = next(
        row
        for row in lines
        if (row["experiment"], row["train_crs"], row["test_cr"], row["fold"])
        == ("cross", "1", "50", "1")
    )
    assert float(row["auroc"]) == pytest.approx(area, abs=1e-6)


def test_the_report_says_phantom_and_needs_no_other_file(finished):
    folder, _ = finished
    page = (folder / "report.html").read_text()
    assert re.search(r"<title>PHANTOM", page)
    assert not re.search(r'src="(?!data:)|<link|href="(?!data:|#|https?://)', page)
    assert page.count('<img src="data:image/svg') >= 7


def test_nothing_that_identifies_a_patient_is_in_the_results(finished):
    folder, _ = finished
    assert "PHANTOM-0" in (folder / "phantom/studies.csv").read_text()
    for path in folder.rglob("*"):
        if path.is_file() and "phantom" not in path.relative_to(folder).parts:
            assert b"PHANTOM-0" not in path.read_bytes(), path


def test_another_configuration_is_refused_before_anything_changes(finished):
    folder, _ = finished
    before = tables(folder)
    done = run(folder, "--set", "training.epochs=3")
    assert done.returncode == 2
    assert "training.epochs: 2, now 3" in done.stderr
    assert done.stderr.count("\n") == 1
    assert tables(folder) == before


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(finished, tmp_path):
    folder, _ = finished
    both = ("--experiment", "single", "--experiment", "cross")
    process = subprocess.Popen(
        command(tmp_path / "killed", *both), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("killed/cells/*")) and time.monotonic() < deadline:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/summary.csv").exists()
    done = run(tmp_path / "killed", *both)
    assert done.returncode == 0, done.stderr[-3000:]
    assert tables(tmp_path / "killed") == tables(folder)
