"""What is installed is what is on the disk, under the right names, from a wheel too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mammo_tf import __version__

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"datasets": "mammo_tf/datasets", "recipes": "mammo_tf/recipes", "mammo_tf": "mammo_tf"}


@pytest.mark.parametrize("name", ["datasets", "recipes"])
def test_the_bare_name_is_refused(name):
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"Import 'mammo_tf.{name}'" in done.stderr


def test_versions_that_stand_in_two_places_agree():
    constraints = (ROOT / "tools" / "constraints.txt").read_text("utf-8").splitlines()
    ruff = next(line for line in constraints if line.startswith("ruff=="))
    assert (ROOT / ".pre-commit-config.yaml").read_text("utf-8").count(f"[{ruff}]") == 2
    citation = (ROOT / "CITATION.cff").read_text("utf-8").splitlines()
    assert f"version: {__version__}" in citation


@pytest.fixture(scope="module")
def source_and_site(tmp_path_factory, copy_source, build_wheel):
    folder = tmp_path_factory.mktemp("wheel")
    copy_source(folder / "source")
    return folder / "source", build_wheel(folder / "source", folder)


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(source_and_site):
    source, site = source_and_site
    expected = {
        (Path(target) / path.relative_to(source / folder)).as_posix()
        for folder, target in FOLDERS.items()
        for path in (source / folder).rglob("*")
        if path.is_file()
    }
    found = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert {name for name in found if ".dist-info/" not in name} == expected
    assert expected > {
        "mammo_tf/datasets/mini_mias/CITATIONS.bib",
        "mammo_tf/datasets/mini_mias/TAGS.txt",
        "mammo_tf/datasets/ncc/README.md",
        "mammo_tf/py.typed",
        "mammo_tf/recipes/compression/table_1.csv",
        "mammo_tf/report/templates/report.html.j2",
    }


@pytest.mark.slow
def test_another_project_loads_the_data_sets_from_the_wheel(source_and_site, tmp_path):
    code = (
        "import mammo_tf.datasets, tensorflow_datasets as tfds\n"
        "b = tfds.builder('mini_mias', data_dir='data')\n"
        "print(mammo_tf.__file__, b.info.name, 'MIAS' in b.info.description)\n"
    )
    site = source_and_site[1]
    environment = os.environ | {"PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    file, name, described = done.stdout.split()[-3:]
    assert Path(file).is_relative_to(site)
    assert (name, described) == ("mini_mias", "True")
