"""A real TensorBoard server, asked over loopback, shows what a grid wrote."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from mammo_tf.training.classifier_cells import _flat
from mammo_tf.training.tensorboard_log import CellLog

LABELS = np.array([0, 0, 1, 1])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def write_run(folder, number):
    with CellLog(folder) as log:
        for epoch in (1, 2):
            log.epoch(
                {
                    "epoch": epoch,
                    "loss": 0.5 / epoch,
                    "val_loss": 0.6 / epoch,
                    "val_auroc": 0.7 + 0.1 * epoch,
                    "learning_rate": 1e-3,
                }
            )
    # A run of its own for each test, below the cell's.
    with CellLog(folder / "test_cr15") as log:
        log.hparams({"learning_rate": 10.0**-number, "test_cr": 15.0}, name=folder.name)
        log.pr_curve("test", LABELS, SCORES, step=2)
        log.scalars({"test/auroc": 0.75 + number / 100}, step=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for number in (1, 2):
        write_run(folder / "tensorboard" / f"cnn3-cr15-fold{number}", number)
    # Another run with a cell of the same name.
    write_run(folder / "other" / "tensorboard" / "cnn3-cr15-fold1", 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--load_fast=false"]
    command += ["--reload_interval", "1"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    output = (folder / "server.log").open("w")
    process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield f"http://127.0.0.1:{port}/data/plugin", process, folder / "server.log"
    finally:
        process.terminate()
        process.wait(timeout=30)
        output.close()


def ask(server, path, ready, body=None):
    """Asks until the answer is ready, for two minutes at most: the server reads files by itself."""
    url, process, log = server
    deadline = time.monotonic() + 120
    answer = None
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(url + path, data=data, headers=headers)
            with urllib.request.urlopen(request, timeout=10) as reply:
                answer = json.load(reply)
            if ready(answer):
                return answer
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"no answer from TensorBoard: {answer}\n{log.read_text()[-2000:]}")


RUNS = {f"tensorboard/cnn3-cr15-fold{number}" for number in (1, 2)}
TESTS = {f"{run}/test_cr15" for run in RUNS}


@pytest.mark.slow
def test_scalars(server):
    shown = RUNS | TESTS
    tags = ask(server, "/scalars/tags", lambda a: a.keys() >= shown and all(map(len, a.values())))
    wanted = {"train/loss", "validation/loss", "validation/auroc"}
    for run in RUNS:
        assert wanted <= tags[run].keys()
    for run in TESTS:
        assert tags[run].keys() >= {"test/auroc"}
    query = urllib.parse.urlencode({"run": sorted(RUNS)[0], "tag": "validation/auroc"})
    points = ask(server, f"/scalars/scalars?{query}", lambda a: len(a) == 2)
    assert [step for _, step, _ in points] == [1, 2]
    np.testing.assert_allclose([value for *_, value in points], [0.8, 0.9], rtol=1e-6)


@pytest.mark.slow
def test_precision_recall_curves(server):
    run = sorted(TESTS)[0]
    tags = ask(server, "/pr_curves/tags", lambda a: a.keys() >= TESTS)
    assert set(tags[run]) == {"test/pr_curves"}
    query = urllib.parse.urlencode({"run": run, "tag": "test/pr_curves"})
    (curve,) = ask(server, f"/pr_curves/pr_curves?{query}", lambda a: a.get(run))[run]
    assert curve["step"] == 2
    # Above 0.5 only one positive of two is left; above 0.2 both, and one negative.
    thresholds = np.array(curve["thresholds"])
    values = zip(curve["precision"], curve["recall"], strict=True)
    points = dict(zip(thresholds.round(3), values, strict=True))
    assert points[0.5] == pytest.approx((1, 0.5))
    assert points[0.2] == pytest.approx((2 / 3, 1))


@pytest.mark.slow
def test_hyperparameters_with_metrics(server):
    experiment = ask(server, "/hparams/experiment", lambda a: a.get("hparamInfos"), body={})
    assert {info["name"] for info in experiment["hparamInfos"]} == {"learning_rate", "test_cr"}
    metrics = [info["name"] for info in experiment["metricInfos"]]
    assert "test/auroc" in {metric["tag"] for metric in metrics}
    body = {
        "colParams": [{"metric": metric} for metric in metrics],
        "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        "startIndex": 0,
        "sliceSize": 10,
    }
    groups = ask(
        server, "/hparams/session_groups", lambda a: len(a.get("sessionGroups", [])) == 3, body=body
    )["sessionGroups"]
    found = {}
    for group in groups:
        assert len(group["sessions"]) == 1
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        found[group["hparams"]["learning_rate"]] = values["test/auroc"]
    assert found == {
        0.1: pytest.approx(0.76),
        0.01: pytest.approx(0.77),
        0.001: pytest.approx(0.78),
    }


def test_a_setting_that_is_none_is_no_text():
    settings = {"patience": None, "rate": 0.1, "augment": {"gamma": None, "shift": (1, 2)}}
    assert _flat(settings) == {"rate": 0.1, "augment.shift": "(1, 2)"}
