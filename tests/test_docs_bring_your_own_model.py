"""docs/bring-your-own-model.md: its example as pasted, and what its run folder then holds."""

import csv
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bring-your-own-model.md"


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)[1]


def command():
    program, *words = shlex.split(block("bash").replace("\\\n", " "))
    assert program == "mammo-tf"
    return words


def invoke(words, **options):
    return CliRunner().invoke(cli, words, **options)


def rows(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    """The folder in which the page was followed, and what was printed."""
    folder = tmp_path_factory.mktemp("own-model")
    (folder / "my_scorer.py").write_text(block("python"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [entry for entry in sys.path if entry])
        done = invoke(command(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder, done


@pytest.mark.slow
def test_the_example_prints_what_the_page_says(pasted):
    _, done = pasted
    assert done.stdout.strip() == block("text").strip()
    assert len(block("python").splitlines()) <= 30


@pytest.mark.slow
def test_the_report_begins_with_how_far_this_model_can_go(pasted):
    folder, _ = pasted
    page = (folder / "runs/my-scorer/report.html").read_text("utf-8")
    first = "Up to CR100 the loss of AUROC is shown to be at most 0.02"
    assert page.index(first) < page.index("This model at each compression ratio")
    assert "PHANTOM" in page and "my_scorer:score" in page
    assert "Whether the model has seen these patients" in page
    assert "trained once" not in page and "Paper's" not in page and "shapes, not" not in page
    assert "Calibration and operating points" in page and "Subgroups" in page


@pytest.mark.slow
def test_the_tables_are_of_the_function_on_the_records_own_pixels(pasted):
    """From the score of every image to the summary, against scikit-learn and a decoding by hand."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    from mammo_tf.datasets.build import build_dataset
    from mammo_tf.pipelines import records
    from mammo_tf.pipelines.catalog import read_catalog
    from mammo_tf.scoring.config import ScorerConfig
    from mammo_tf.scoring.views import make_view

    folder, _ = pasted
    run = folder / "runs/my-scorer"
    names = {}
    exec(compile(block("python"), "my_scorer.py", "exec"), names)
    builder = build_dataset("ncc", manual_dir=None, data_dir=run / "data", cratios=(1, 100, 1000))
    known = {image.image_id: image for image in read_catalog(builder).images}
    record = next(records.iterate_records(builder))
    image = known[record["image_id"].decode()]
    ladder = records.read_ladder(record["image"], "x")
    for row, cratio in zip(rows(run / "summary.csv"), (1, 100, 1000), strict=True):
        cases = rows(run / f"predictions/scorer_test{cratio}.csv")
        assert len(cases) == 160 == len({case["example_id"] for case in cases})
        assert {case["group"] for case in cases} == {i.patient_id for i in known.values()}
        for case in cases:
            assert int(case["label"]) == (known[case["example_id"]].label == "malignant")
        labels = [int(case["label"]) for case in cases]
        scores = [float(case["score"]) for case in cases]
        assert float(row["auroc"]) == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
        area = average_precision_score(labels, scores)
        assert float(row["auprc"]) == pytest.approx(area, abs=1e-6)
        asked = make_view(ladder.decode(cratio), image, ScorerConfig(model="my_scorer:score"))
        own = next(c for c in cases if c["example_id"] == image.image_id)
        assert float(own["score"]) == pytest.approx(names["score"](asked), rel=1e-8)


@pytest.mark.slow
def test_the_same_command_asks_no_case_again_and_another_model_is_refused(pasted, monkeypatch):
    folder, done = pasted
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys.modules["my_scorer"], "score", lambda image: 1 / 0)
    again = invoke([*command(), "--json"], catch_exceptions=False)
    summary = json.loads(again.stdout)["summary"]
    kept = rows(folder / "runs/my-scorer/summary.csv")
    assert [row["auroc"] for row in summary] == [float(row["auroc"]) for row in kept]
    assert json.loads(again.stdout)["conclusion"][0] in done.stdout

    source = Path("my_scorer.py").read_text()
    Path("my_scorer.py").write_text(source.replace("3 *", "2 *"))
    with pytest.raises(UserError, match="another scorer"):
        invoke(command(), catch_exceptions=False)
    Path("my_scorer.py").write_text(source)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--scorer", "model.pt"], r"\*\.keras"),
        (["--scorer", "absent.keras"], "no such file"),
        (["--scorer", "a:b", "--task", "whole"], "--task is about training"),
        (["--scorer", "a:b", "--model", "cnn3"], "--model is about training"),
        (["--scorer", "a:b", "--repeats", "3"], "--repeats is about training"),
        (["--scorer", "a:b", "--experiment", "cross"], "--experiment is about training"),
        (["--scorer", "a:b", "--folds", "5"], "no folds"),
        (
            ["--scorer", "a:b", "--set", "training.epochs=2"],
            "epochs=2 is about training",
        ),
        (["--scorer-unit", "study"], "Give one by --scorer"),
    ],
)
def test_a_mistake_is_one_line(words, text, tmp_path):
    done = invoke(["recipe", "compression", *words, "--run-dir", str(tmp_path / "run")])
    assert isinstance(done.exception, UserError)
    assert re.search(text, str(done.exception)) and "\n" not in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_settings_say_how_the_scorer_is_asked():
    words = ["--scorer", "a:b", "--scorer-unit", "study", "--scorer-input", "display"]
    words += ["--set", "scorer.input_shape=32,24", "--folds", "official", "--dataset", "mini_mias"]
    done = invoke(["recipe", "compression", *words, "--show-config"], catch_exceptions=False)
    shown = json.loads(done.stdout)
    asked = {"model": "a:b", "unit": "study", "input": "display", "input_shape": [32, 24]}
    assert shown["scorer"] | asked == shown["scorer"]
    assert shown["split"]["official"] == "yes"
    assert shown["cratios"] == [1, 15, 20, 25, 50, 100, 200, 500, 1000]  # those of films
    assert shown["phantom"] is None
