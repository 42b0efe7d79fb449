"""`--config`: what --show-config prints comes back the same; what is wrong is one line."""

import json

import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.config import from_plain, to_plain
from mammo_tf.errors import UserError
from mammo_tf.found import recipes
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.mias.config import MiasConfig


def show(recipe, *words):
    result = CliRunner().invoke(cli, ["recipe", recipe, *map(str, words), "--show-config"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("recipe", sorted(recipes()))
def test_settings_that_are_shown_can_be_given_again(recipe, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(show(recipe, "--dataset", "cbis_ddsm", "--seed", 5, "--folds", 3))
    assert show(recipe, "--config", file) == file.read_text()
    changed = json.loads(show(recipe, "--config", file, "--seed", 6, "--set", "split.num_folds=4"))
    expected = json.loads(file.read_text()) | {"seed": 6}
    expected["split"]["num_folds"] = 4
    assert changed == expected
    # as a run folder keeps them
    kept = tmp_path / "config.json"
    kept.write_text(json.dumps({"recipe": recipe, "configuration": changed, "environment": {}}))
    assert json.loads(show(recipe, "--config", kept)) == changed


def test_settings_with_parts_that_may_be_missing():
    config = CompressionConfig(
        cratios=(1, 2.5), others=CompressionConfig().others, resize_fraction=0.5
    )
    assert from_plain(CompressionConfig, to_plain(config)) == config
    assert from_plain(MiasConfig, {"seed": 3}) == MiasConfig(seed=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "The settings` must be an object"),
        ("{", "is no JSON"),
        ('{"sed": 3}', "Unknown key `sed`. Did you mean seed"),
        ('{"split": {"folds": 3}}', "Unknown key `split.folds`. Did you mean split.num_folds"),
        ('{"seed": "3"}', "`seed` must be a whole number. Received: '3'"),
        ('{"seed": true}', "`seed` must be a whole number"),
        ('{"seed": -1}', "`seed` must be between"),
        ('{"split": 3}', "`split` must be an object"),
        ('{"classify": {"variants": "centred128"}}', "`classify.variants` must be"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_what_is_wrong_is_one_line(content, message, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        show("mias", "--config", file)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_option_that_says_the_same_is_refused(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(show("mias"))
    with pytest.raises(UserError, match="--backbone and --config both say"):
        show("mias", "--config", file, "--backbone", "light")
