"""`mammo-tf compare`: what stands side by side, and runs that cannot."""

import json

import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import DataError, UserError
from mammo_tf.report.compare import read_numbers

WIDE = (
    "experiment,model,test_cr,folds,auroc,auroc_sd,auroc_low,auroc_high,auroc_change_p\n"
    "single,cnn3,1,2,{0},0.01,0.7,0.9,\n"
    "single,cnn3,100,2,0.75,0.01,0.6,0.85,0.2\n"
)
LONG = "what,set,measure,value,low,high\npatches,test,auroc,0.8,0.7,\nfilms,,ap,0.2,0.1,0.3\n"


@pytest.fixture
def runs(tmp_path):
    """Two runs of compression, one of mias, one that is not finished."""
    for name, recipe, seed, table in (
        ("a/x", "recipe compression", 1, WIDE.format(0.8)),
        ("b/x", "recipe compression", 2, WIDE.format(0.6)),
        ("mias", "recipe mias", 1, LONG),
        ("begun", "recipe mias", 1, None),
    ):
        (tmp_path / name).mkdir(parents=True)
        config = {"recipe": recipe, "configuration": {"seed": seed}, "environment": {}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        if table:
            (tmp_path / name / "summary.csv").write_text(table)
    return tmp_path


def compare(*words):
    return CliRunner().invoke(cli, ["compare", *map(str, words)], catch_exceptions=False)


def test_both_kinds_of_table():
    assert read_numbers(WIDE.format(0.8)) == {
        ("single, cnn3, 1", "auroc"): (0.8, 0.7, 0.9),
        ("single, cnn3, 100", "auroc"): (0.75, 0.6, 0.85),
    }
    found = read_numbers(LONG)
    assert found["films", "ap"] == (0.2, 0.1, 0.3)
    value, low, high = found["patches, test", "auroc"]
    assert (value, low) == (0.8, 0.7) and high != high


def test_two_runs_side_by_side(runs, tmp_path):
    result = compare(runs / "a" / "x", runs / "b" / "x", "--out", tmp_path / "out")
    assert result.exit_code == 0
    line = next(one for one in result.output.splitlines() if one.startswith("single, cnn3, 1,"))
    assert "0.800 (0.700, 0.900)" in line and "0.600 (0.700, 0.900)" in line
    assert "Settings of b/x against a/x: seed: 1, now 2" in result.output
    assert "no paired test" in result.output
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "0.600 (0.700, 0.900)" in page and "image/svg" in page
    rows = (tmp_path / "out" / "compare.csv").read_text().splitlines()
    assert '"single, cnn3, 1",auroc,b/x,0.6,0.7,0.9' in rows and len(rows) == 5
    content = json.loads(compare(runs / "a" / "x", runs / "b" / "x", "--json").output)
    assert content["numbers"][0]["runs"] == {"a/x": [0.8, 0.7, 0.9], "b/x": [0.6, 0.7, 0.9]}
    assert content["settings"] == {"b/x": ["seed: 1, now 2"]}


def test_runs_that_cannot_stand_side_by_side(runs):
    first = runs / "a" / "x"
    for others, message in (
        ((), "at least two"),
        ((first,), "given twice"),
        ((runs / "mias",), "several recipes: recipe compression, recipe mias"),
        ((runs / "begun",), r"has no summary\.csv yet"),
        ((runs,), r"is no run folder: it has no config\.json"),
    ):
        with pytest.raises(UserError, match=message):
            compare(first, *others)
    (runs / "b" / "x" / "summary.csv").write_text("model,auroc\ncnn3,high\n")
    with pytest.raises(DataError, match="is damaged"):
        compare(first, runs / "b" / "x")
