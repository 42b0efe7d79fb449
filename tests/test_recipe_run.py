"""What all recipes share: options become settings, and a run keeps and prints its summary."""

import contextlib
import dataclasses
import json
from types import SimpleNamespace

import pytest

from mammo_tf.cli import recipe_run
from mammo_tf.errors import UserError
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.recipes.mias.config import MiasConfig

BASE = RecipeConfig(dataset="ncc")
OPTIONS = {
    "dataset": None,
    "variant": None,
    "phantom": None,
    "folds": None,
    "seed": None,
    "overrides": (),
    "manual_dir": "raw",
    "data_dir": None,
    "max_quarantine": 0.5,
    "run_dir": None,
    "show_config": False,
    "as_json": False,
}


def test_options_change_the_configuration_and_none_changes_nothing():
    assert BASE.with_options() == BASE
    changed = BASE.with_options(
        dataset="mini_mias",
        variant="v",
        phantom=True,
        folds=3,
        seed=7,
        overrides=("seed=8", "phantom.scale=0.5"),
    )
    assert (changed.dataset, changed.variant, changed.seed) == ("mini_mias", "v", 8)
    assert changed.phantom == PhantomConfig(scale=0.5)
    assert (changed.split.official, changed.split.num_folds) == ("no", 3)
    assert BASE.with_options(folds="official").split.official == "yes"
    kept = dataclasses.replace(BASE, phantom=PhantomConfig(seed=5))
    assert kept.with_options(phantom=True).phantom.seed == 5


@pytest.mark.parametrize("wrong", [{"dataset": "nowhere"}, {"seed": -1}, {"overrides": ("x=1",)}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(UserError):
        BASE.with_options(**wrong)


@pytest.fixture
def opened(monkeypatch, tmp_path):
    """What `open_run` was asked for; its data set is a phantom."""
    asked = []

    @contextlib.contextmanager
    def open_run(name, config, run_dir, paths):
        asked.append((name, config, run_dir, paths))
        yield tmp_path, SimpleNamespace(catalog=SimpleNamespace(is_phantom=True))

    monkeypatch.setattr(recipe_run, "open_run", open_run)
    return asked


def test_the_summary_is_kept_and_printed_with_the_phantoms_warning(opened, tmp_path, capsys):
    def work(config, data, folder):
        return {"auroc": 0.75, "data": data.catalog.is_phantom, "seed": config.seed}

    recipe_run.run_recipe("hello", BASE, work, **OPTIONS | {"seed": 4})
    assert capsys.readouterr().out.splitlines() == [
        recipe_run.PHANTOM_NOTE,
        "auroc          0.75",
        "data           True",
        "seed           4",
    ]
    assert json.loads((tmp_path / "summary.json").read_text())["auroc"] == 0.75
    ((name, config, run_dir, paths),) = opened
    assert (name, config.seed, run_dir) == ("hello", 4, "runs/hello")
    assert (paths.manual_dir, paths.max_quarantine) == ("raw", 0.5)


def test_the_data_set_is_opened_with_the_ratios_that_augmentation_draws_from(monkeypatch, tmp_path):
    config = MiasConfig().with_options(
        overrides=(
            "classify.training.augment.cratios=100,20",
            "detect.training.augment.cratios=20,500",
        )
    )
    assert config.augment_cratios == (20, 100, 500)
    assert BASE.augment_cratios == ()
    given = {}

    def open_data(*args, **options):
        given.update(options)
        return SimpleNamespace(describe=dict)

    monkeypatch.setattr(recipe_run, "open_data", open_data)
    with recipe_run.open_run("mias", config, tmp_path / "run", None):
        pass
    assert given["augment_cratios"] == (20, 100, 500)
    with pytest.raises(UserError, match="from 1"):
        MiasConfig().with_options(overrides=("detect.training.augment.cratios=0.5",))


def test_json_and_settings_alone(opened, capsys):
    recipe_run.run_recipe("hello", BASE, lambda *_: {"n": 1}, **OPTIONS | {"as_json": True})
    assert json.loads(capsys.readouterr().out) == {"n": 1}
    recipe_run.run_recipe("hello", BASE, None, **OPTIONS | {"show_config": True})
    assert json.loads(capsys.readouterr().out)["dataset"] == "ncc"
    assert len(opened) == 1
