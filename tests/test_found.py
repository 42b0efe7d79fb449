"""Data sets, models and recipes are told from folders, and nothing is imported for it."""

import subprocess
import sys

import mammo_tf.datasets
from mammo_tf import found


def test_what_is_there():
    assert {"ncc", "mini_mias"} <= set(found.data_sets())
    assert {"compression", "mias"} <= set(found.recipes())
    assert {"cnn3", "depthwise_cnn"} <= set(found.models())
    assert set(found.data_sets()) == set(mammo_tf.datasets.NAMES)
    for texts in (found.data_sets(), found.recipes()):
        assert all(text.strip() and "\n" not in text for text in texts.values())


def test_folders_make_the_lists(tmp_path, monkeypatch):
    good = tmp_path / "inbreast"
    good.mkdir()
    (good / "inbreast_dataset_builder.py").write_text("raise RuntimeError")
    (good / "README.md").write_text("# INbreast: 410 images\nmore")
    (good / "__init__.py").write_text('"""A study.\n\nMore."""\n')
    (good / "command.py").write_text("raise RuntimeError")
    (tmp_path / "no_builder").mkdir()
    (tmp_path / "no_builder" / "__init__.py").write_text("")
    monkeypatch.setattr(found, "_package_folder", lambda package: tmp_path)
    assert found.data_sets() == {"inbreast": "INbreast: 410 images"}
    assert found.recipes() == {"inbreast": "A study."}


def test_nothing_heavy_is_imported():
    code = (
        "import sys\nfrom mammo_tf import found\n"
        "found.data_sets(), found.recipes(), found.models()\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'mammo_tf.models.cnn3'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
