"""What is installed is what is on the disk, under the right names, from a wheel too."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"mammo_tf": "mammo_tf", "mammo_tf.datasets": "datasets", "mammo_tf.recipes": "recipes"}


def packages_on_disk():
    for package, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            yield ".".join([package, *init.parent.relative_to(ROOT / folder).parts])


@pytest.mark.parametrize("name", ["datasets", "recipes"])
def test_the_bare_name_is_refused(name):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"Import 'mammo_tf.{name}'" in done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_code_texts_and_templates(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in packages_on_disk():
        assert f"{package.replace('.', '/')}/__init__.py" in names, package
    for expected in (
        "mammo_tf/report/templates/report.html.j2",
        "mammo_tf/datasets/ncc/ncc_dataset_builder.py",
        "mammo_tf/datasets/ncc/README.md",
        "mammo_tf/datasets/mini_mias/CITATIONS.bib",
        "mammo_tf/datasets/mini_mias/TAGS.txt",
        "mammo_tf/recipes/compression/command.py",
    ):
        assert expected in names
    assert not {name.split("/")[0] for name in names} & {"datasets", "recipes", "tests", "tools"}


@pytest.mark.slow
def test_another_project_loads_the_data_sets_from_the_wheel(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import mammo_tf.datasets, tensorflow_datasets as tfds\n"
        "b = tfds.builder('mini_mias', data_dir='data')\n"
        "print(mammo_tf.__file__, b.info.name, 'MIAS' in b.info.description)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    file, name, described = done.stdout.split()[-3:]
    assert Path(file).is_relative_to(tmp_path)
    assert (name, described) == ("mini_mias", "True")
