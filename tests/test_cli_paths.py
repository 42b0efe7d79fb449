"""A leading `~` is the user's home in every path that a command or a builder takes."""

import click
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.cli.options import UserPath
from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.ncc.ncc_dataset_builder import Builder
from mammo_tf.errors import UserError
from mammo_tf.models.ssd.vgg16_weights import load_vgg16_weights


def all_commands(group=cli, name=""):
    """Yields (name, command), groups left out."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{name} {word}".strip())
        else:
            yield f"{name} {word}".strip(), command


def path_parameters():
    return [
        (name, parameter)
        for name, command in all_commands()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
        or parameter.name.endswith(("_dir", "_path", "folder"))
        or parameter.name in ("out", "path", "images", "weights_file")
    ]


def test_every_path_of_every_command_is_a_user_path():
    found = path_parameters()
    assert {"data build", "data list", "predict", "recipe mias"} <= {name for name, _ in found}
    wrong = [
        f"{name} {parameter.name}"
        for name, parameter in found
        if not isinstance(parameter.type, UserPath)
    ]
    assert wrong == []


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def run(*arguments):
    result = CliRunner().invoke(cli, arguments)
    assert not result.exception, (result.output, result.exception)
    return result


def test_from_raw_files_to_a_data_set_by_home(home, tmp_path):
    run("phantom", "ncc", "~/raw", "--studies=3", "--scale=0.125", "--workers=1")
    assert (home / "raw" / "studies.csv").is_file()
    run(
        *("data", "build", "ncc", "--manual-dir=~/raw", "--data-dir=~/tf", "--cratios=1"),
        *("--workers=1", "--max-quarantine=0"),
    )
    assert (home / "tf" / "ncc" / "ladder_1").is_dir()
    assert "ncc/ladder_1/" in run("data", "list", "--data-dir=~/tf").output
    # From Python, too: the same data set is found, and its raw files are looked at.
    builder = build_dataset("ncc", manual_dir="~/raw", data_dir="~/tf", cratios=(1,))
    assert builder.was_there
    assert Builder(data_dir="~/tf", config=builder.builder_config).data_path == builder.data_path
    assert list((tmp_path / "work").iterdir()) == []  # no folder called ~


def test_weights_by_home(home):
    with pytest.raises(UserError, match="which is not a file"):
        load_vgg16_weights(None, "~/none.h5")
    (home / "w.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match="no HDF5 file"):
        load_vgg16_weights(None, "~/w.h5")
