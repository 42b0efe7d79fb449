"""docs/from-another-project.md: its blocks run one after the other, on a small phantom."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.phantom import write_ncc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-another-project.md"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Built as the page says, but smaller."""
    folder = tmp_path_factory.mktemp("other")
    write_ncc(folder / "RAW", num_studies=4, seed=1, scale=0.125, malignant_fraction=0.5)
    commands = re.findall(r"^mammo-tf (data build .*)$", PAGE.read_text("utf-8"), re.M)
    assert len(commands) == 2
    for command in commands:
        words = command.replace("RAW", f"{folder}/RAW").replace("DATA", f"{folder}/DATA").split()
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return folder


@pytest.mark.slow
def test_the_page_as_it_stands(data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    names = {}
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    out = capsys.readouterr().out
    assert "(4, 256, 224, 1) (4,)" in out
    assert "['unknown', 'normal', 'benign', 'malignant']" in out
    assert len(names["table"]) == 16
    found = re.findall(r"(?:benign|malignant) \[(.+?)\] (\d+) pixels", out)
    assert found and all(int(count) > 0 for _, count in found)
    one, other = names["record"]["image"], names["compressed"]["image"]
    assert one.dtype == other.dtype == np.uint16

    import tensorflow_datasets as tfds

    for name in ("ncc/plain", "ncc/ladder_1_20_100"):
        builder = tfds.builder(name, data_dir="DATA")
        table = tfds.as_dataframe(builder.as_dataset(split="test").take(2), builder.info)
        assert table._repr_html_().count("data:image/png") >= 4  # images and masks
