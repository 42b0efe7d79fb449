"""The check of types: which errors fail, and where the ceiling is."""

import importlib.util
import json
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "types_report.py"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool, with a ceiling and errors of this test."""
    spec = importlib.util.spec_from_file_location("types_report", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CEILING", tmp_path / "ceiling.json")
    monkeypatch.setattr("sys.argv", ["types_report.py"])

    def check(ceiling: dict, *errors: str, lower: bool = False) -> int:
        module.CEILING.write_text(json.dumps(ceiling))
        monkeypatch.setattr(module, "run_mypy", lambda: [f"{error}: error: x" for error in errors])
        monkeypatch.setattr("sys.argv", ["types_report.py", *["--lower"] * lower])
        return module.main()

    check.module = module
    return check


def test_more_errors_than_there_were_fail(tool, capsys):
    assert tool({"mammo_tf/cli": 1}, "mammo_tf/cli/a.py:1") == 0
    assert tool({"mammo_tf/cli": 1}, "mammo_tf/cli/a.py:1", "mammo_tf/cli/b.py:2") == 1
    assert "mammo_tf/cli: 2 type errors, at most 1 may be." in capsys.readouterr().out
    assert tool({}, "recipes/mias/run.py:9") == 1


@pytest.mark.parametrize("path", ["mammo_tf/dicom/header.py", "datasets/schema.py"])
def test_no_error_is_allowed_where_types_must_hold(tool, path):
    assert tool({"mammo_tf/dicom": 5, "datasets": 5}, f"{path}:3") == 1


def test_the_ceiling_only_falls(tool):
    assert tool({"datasets": 3}, "datasets/a.py:1", lower=True) == 0
    assert json.loads(tool.module.CEILING.read_text()) == {"datasets": 1}
    assert tool({"datasets": 0}, "datasets/a.py:1", lower=True) == 1
    assert json.loads(tool.module.CEILING.read_text()) == {"datasets": 0}


def test_the_kept_ceiling_has_no_strict_part():
    kept = json.loads(TOOL.with_name("types_ceiling.json").read_text())
    assert not [name for name in kept if name.startswith(("mammo_tf/dicom", "mammo_tf/codecs"))]
    assert "mammo_tf/evaluation" not in kept
