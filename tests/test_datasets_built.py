"""Data sets that are asked for and not built, of another version, plain, or built otherwise."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import tensorflow_datasets as tfds
from click.testing import CliRunner

import mammo_tf.datasets as md
from mammo_tf.cli.main import cli
from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.built import describe_not_built, list_built
from mammo_tf.datasets.ncc.ncc_dataset_builder import Builder
from mammo_tf.errors import UserError
from mammo_tf.phantom import write_ncc


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "phantom"
    write_ncc(folder, num_studies=3, seed=3, scale=0.125, workers=1)
    return folder


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    return build_dataset("ncc", manual_dir=raw, data_dir=data_dir, plain=True, workers=1)


def pretend(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "dataset_info.json").write_text("{}")


class TestNotBuilt:
    def test_what_is_there_is_named(self, tmp_path):
        pretend(
            tmp_path, "mini_mias/ladder_1_100/2.0.0", "mini_mias/plain/2.1.0", "ncc/plain/2.0.0"
        )
        (tmp_path / "mini_mias" / "ladder" / "incomplete.ABC123_2.0.0").mkdir(parents=True)
        assert list_built(tmp_path, "mini_mias") == [
            "mini_mias/ladder_1_100/2.0.0",
            "mini_mias/plain/2.1.0",
        ]
        assert describe_not_built(tmp_path, "mini_mias/ladder/2.0.0") == (
            f"mini_mias/ladder/2.0.0 is not built in {tmp_path}. "
            "Built here: mini_mias/ladder_1_100, mini_mias/plain."
        )

    def test_an_older_version_says_build_again(self, tmp_path):
        pretend(tmp_path, "ncc/ladder/1.0.0")
        text = describe_not_built(tmp_path, "ncc/ladder/2.0.0")
        assert "another version of mammo_tf: ncc/ladder/1.0.0" in text
        assert "build them again" in text
        assert "Built here:" not in text

    @pytest.mark.parametrize("name", ["mini_mias", "ncc"])
    def test_records_of_version_1_are_one_line_that_says_build_again(self, tmp_path, name):
        pretend(tmp_path, f"{name}/ladder/1.0.0", f"{name}/ladder_1_100/1.0.0")
        assert str(tfds.builder_cls(name).VERSION) == "2.0.0"
        result = CliRunner().invoke(cli, ["data", "build", name, "--data-dir", str(tmp_path)])
        assert isinstance(result.exception, UserError)
        text = str(result.exception)
        assert text.startswith(f"{name}/ladder/2.0.0 is not built in {tmp_path}. ")
        assert f"another version of mammo_tf: {name}/ladder/1.0.0, {name}/ladder_1_100" in text
        assert "build them again from the raw files" in text and "--manual-dir" in text
        assert "\n" not in text

    def test_nothing_there(self, tmp_path):
        assert describe_not_built(tmp_path / "none", "ncc/ladder/2.0.0").endswith("none.")

    @pytest.mark.parametrize("name", ["mini_mias", "ncc"])
    @pytest.mark.parametrize("how", ["load", "as_dataset", "as_data_source", "build_dataset"])
    def test_every_way_of_asking_names_it(self, tmp_path, name, how):
        version = str(tfds.builder_cls(name).VERSION)
        pretend(tmp_path, f"{name}/ladder_1_100/{version}", f"{name}/ladder/0.9.0")
        asks = {
            "load": lambda: tfds.load(name, data_dir=tmp_path),
            "as_dataset": lambda: tfds.builder(name, data_dir=tmp_path).as_dataset(split="train"),
            "as_data_source": lambda: tfds.builder(name, data_dir=tmp_path).as_data_source(),
            "build_dataset": lambda: build_dataset(name, data_dir=tmp_path),
        }
        with pytest.raises(UserError, match=rf"Built here: {name}/ladder_1_100\. ") as error:
            asks[how]()
        assert f"another version of mammo_tf: {name}/ladder/0.9.0" in str(error.value)
        assert "\n" not in str(error.value)


class TestPlain:
    @pytest.mark.parametrize("cratio", [1, 100, 12345])
    def test_decoders_for_refuses(self, plain, cratio):
        with pytest.raises(UserError, match=rf"ncc/plain/.* is plain.*cratio={cratio}\."):
            md.decoders_for(plain, cratio=cratio, reduce=2)

    def test_also_when_opened_without_the_builder(self, plain):
        opened = tfds.builder_from_directory(plain.data_dir)
        with pytest.raises(UserError, match="is plain"):
            md.decoders_for(opened, cratio=100)


class TestOptions:
    def test_an_option_that_the_data_set_lacks(self, tmp_path):
        with pytest.raises(UserError, match="mini_mias has no option --follow-links, --join-ids"):
            build_dataset("mini_mias", data_dir=tmp_path, join_ids=True, follow_links=True)

    def test_options_are_kept_with_the_data_set(self, raw, tmp_path):
        shutil.copytree(raw, tmp_path / "raw")
        shutil.move(tmp_path / "raw" / "dicom", tmp_path / "archive")
        (tmp_path / "raw" / "dicom").symlink_to(tmp_path / "archive")
        arguments = {"manual_dir": tmp_path / "raw", "data_dir": tmp_path / "data", "plain": True}
        built = build_dataset("ncc", workers=1, follow_links=True, **arguments)
        stored = json.loads((Path(built.data_dir) / "metadata.json").read_text())
        assert stored["options"] == ["follow_links"]
        assert stored["num_quarantined"] == 0
        # The raw files are compared as they were read then, with or without the option.
        for options in ({}, {"follow_links": True}):
            assert build_dataset("ncc", **arguments, **options).was_there
        with pytest.raises(UserError, match="was built without --allow-burned-in"):
            build_dataset("ncc", allow_burned_in=True, **arguments)
        copy = pickle.loads(pickle.dumps(Builder(data_dir=tmp_path, join_ids=True)))
        assert copy.options == {"join_ids"}
