"""Run folders: made once, taken up again, never mixed."""

import datetime
import json
import os

import pytest

from mammo_tf import run_folder
from mammo_tf.errors import UserError
from mammo_tf.run_folder import add_to_config, open_run_folder, read_config

CONFIGURATION = {"seed": 1, "training": {"epochs": 3}}


def open_once(path, **changes):
    options = {"recipe": "compression", "configuration": CONFIGURATION} | changes
    with open_run_folder(path, **options):
        pass


def test_keeps_what_is_needed_to_run_it_again(tmp_path):
    open_once(tmp_path / "run")
    content = json.loads((tmp_path / "run/config.json").read_text())
    assert content["configuration"] == CONFIGURATION
    assert {"tensorflow", "keras", "glymur"} <= content["environment"]["packages"].keys()


def test_the_same_configuration_is_taken_up_again(tmp_path):
    open_once(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    open_once(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before


def test_another_configuration_is_refused_and_nothing_changes(tmp_path):
    open_once(tmp_path)
    (tmp_path / "cells").mkdir()
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"training.epochs: 3, now 4"):
        open_once(tmp_path, configuration={"seed": 1, "training": {"epochs": 4}})
    with pytest.raises(UserError, match=r"recipe: compression, now mias"):
        open_once(tmp_path, recipe="mias")
    assert (tmp_path / "config.json").read_bytes() == before


def test_what_only_says_which_parts_are_wanted_may_change(tmp_path):
    open_once(tmp_path)
    (tmp_path / "cells").mkdir()
    more = {"seed": 1, "training": {"epochs": 4}}
    open_once(tmp_path, configuration=more, may_change=("training.epochs",))
    assert read_config(tmp_path)["configuration"] == more
    with pytest.raises(UserError, match=r"\(seed: 1, now 2\)"):
        open_once(tmp_path, configuration=more | {"seed": 2}, may_change=("training.epochs",))


def test_a_folder_in_which_nothing_was_computed_takes_another_configuration(tmp_path):
    open_once(tmp_path)
    (tmp_path / "data").mkdir()
    add_to_config(tmp_path, dataset={"name": "ncc"})
    changed = {"seed": 1, "training": {"epochs": 4}}
    open_once(tmp_path, configuration=changed)
    content = read_config(tmp_path)
    assert content["configuration"] == changed and "dataset" not in content


def test_a_phantom_of_other_settings_is_no_start(tmp_path):
    open_once(tmp_path, configuration={"dataset": "ncc", "phantom": {"scale": 1}, "seed": 1})
    (tmp_path / "phantom").mkdir()
    open_once(tmp_path, configuration={"dataset": "ncc", "phantom": {"scale": 1}, "seed": 2})
    with pytest.raises(UserError, match=r"phantom.scale: 1, now 2"):
        open_once(tmp_path, configuration={"dataset": "ncc", "phantom": {"scale": 2}, "seed": 2})


def test_a_run_of_an_earlier_version_is_taken_up_with_the_defaults_of_later_keys(tmp_path):
    open_once(tmp_path, configuration={"seed": 1})
    (tmp_path / "cells").mkdir()

    def complete(kept):
        return {"jit": False} | kept

    open_once(tmp_path, configuration={"seed": 1, "jit": False}, complete=complete)
    with pytest.raises(UserError, match=r"jit: False, now True"):
        open_once(tmp_path, configuration={"seed": 1, "jit": True}, complete=complete)


def test_command_and_date_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["mammo-tf", "recipe", "a b"])
    open_once(tmp_path)
    content = read_config(tmp_path)
    assert content["command"] == "mammo-tf recipe 'a b'"
    assert datetime.datetime.fromisoformat(content["started"]).tzinfo is not None


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="no run folder"):
        open_once(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UserError, match="is a file"):
        open_once(tmp_path / "thesis.tex")


def test_a_damaged_configuration_is_said(tmp_path):
    (tmp_path / "config.json").write_text('{"recipe": ')
    with pytest.raises(UserError, match="not a run's configuration"):
        open_once(tmp_path)


def test_one_process_at_a_time(tmp_path):
    options = {"recipe": "compression", "configuration": CONFIGURATION}
    with (
        open_run_folder(tmp_path, **options),
        pytest.raises(UserError, match="Another process"),
        open_run_folder(tmp_path, **options),
    ):
        pass


def test_later_facts_must_stay_the_same(tmp_path):
    open_once(tmp_path)
    add_to_config(tmp_path, dataset={"name": "ncc", "version": "1.0.0"})
    add_to_config(tmp_path, dataset={"name": "ncc", "version": "1.0.0"})
    assert read_config(tmp_path)["dataset"]["version"] == "1.0.0"
    with pytest.raises(UserError, match="another dataset"):
        add_to_config(tmp_path, dataset={"name": "ncc", "version": "2.0.0"})


def environment(**changes):
    known = {"cores": 2, "onednn": "1", "openjpeg": "2.5.4 (pillow)", "packages": {"keras": "3"}}
    keras = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
    return known | {"keras": keras} | changes


def open_in(path, monkeypatch, **changes):
    monkeypatch.setattr(run_folder, "describe_environment", lambda: environment(**changes))
    open_once(path)
    return json.loads((path / "config.json").read_text())


@pytest.mark.parametrize(
    ("name", "value"), [("cores", 1), ("onednn", "0"), ("openjpeg", "2.5.0 (system)")]
)
def test_a_run_taken_up_in_another_environment_says_so_and_keeps_both(
    tmp_path, monkeypatch, capsys, name, value
):
    first = open_in(tmp_path, monkeypatch)
    second = open_in(tmp_path, monkeypatch, **{name: value})
    said = capsys.readouterr().err
    assert f"{name}: {environment()[name]}, now {value}" in said and said.count("\n") == 1
    assert second["environment"] == first["environment"]
    assert second["resumed_in"] == [environment(**{name: value})]
    assert open_in(tmp_path, monkeypatch, **{name: value}) == second
    assert capsys.readouterr().err == ""


def test_another_backend_is_refused(tmp_path, monkeypatch):
    first = open_in(tmp_path, monkeypatch)
    keras = environment()["keras"] | {"backend": "jax"}
    with pytest.raises(UserError, match="backend: tensorflow, now jax"):
        open_in(tmp_path, monkeypatch, keras=keras)
    assert json.loads((tmp_path / "config.json").read_text()) == first


def test_cores_onednn_codec_and_keras_are_kept(tmp_path):
    import keras

    found = run_folder.describe_environment()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["openjpeg"].endswith(")")
    assert found["keras"]["backend"] == keras.backend.backend()
