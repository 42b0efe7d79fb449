"""The measured tables of the docs agree with docs/numbers.json, and the check can fail."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("numbers", ROOT / "tools" / "docs_numbers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_agrees(tool):
    assert tool.main(["--check"]) == 0
    marked = [name for name in tool.PAGES if "<!-- numbers: " in (ROOT / name).read_text("utf-8")]
    assert len(marked) >= 3


def test_another_number_on_a_page_is_seen_and_mended(tool):
    numbers = json.loads(tool.NUMBERS.read_text("utf-8"))
    text = (ROOT / "docs" / "phantom.md").read_text("utf-8")
    value = f"{numbers['demo']['rows'][0]['auroc']:.2f} ("
    wrong = text.replace(f"| 1 | {value}", "| 1 | 0.99 (")
    assert wrong != text
    assert tool.rewrite(wrong, numbers) == text


def test_a_run_s_summary_is_taken_as_it_is(tool, tmp_path):
    facts = {"environment": {"git_revision": "abc", "openjpeg": "2.5"}}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    header = "experiment,test_cr,auroc,auroc_low,auroc_high,auprc,auprc_low,auprc_high"
    lines = [header, "single,1000,0.876,0.8,0.9,0.5,0.4,0.6", "cross,1,0,0,0,0,0,0"]
    (tmp_path / "summary.csv").write_text("\n".join(lines))
    entry = tool.record("x", tmp_path)["x"]
    assert tool.table(entry).splitlines()[2:] == [
        "| 1,000 | 0.88 (0.80, 0.90) | 0.50 (0.40, 0.60) |"
    ]
