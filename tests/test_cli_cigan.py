"""ciGAN from the command line on a phantom: trained, gone on with, and painting for another run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError
from mammo_tf.pipelines.synthetic_set import read_synthetic
from mammo_tf.training.cigan_run import CiganConfig, load_generator

SETTINGS = (
    "phantom.num_studies=20",
    "phantom.malignant_fraction=0.5",
    "phantom.benign_fraction=0.5",
    "phantom.scale=0.125",
    "patches.patch_size=32",
    "gan.pretrain_epochs=1",
    "gan.adversarial_epochs=1",
    "gan.num_panel=1",
    "gan.boundary_sigma_px=2",
    "gan.class_map_joined=false",
    "perceptual.backbone=vgg16",
    "perceptual.weights=random",
    "patches.most_per_class=40,40,40",
    "patches.least_lesion=0.2",
)


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def train(folder, *more):
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    options = ("--dataset", "cbis_ddsm", "--phantom", "--run-dir", folder, "--json")
    return run("cigan", "train", *options, *settings, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cigan") / "run"
    result = train(folder)
    assert result.exit_code == 0, (result.output, result.exception)
    return folder, json.loads(result.stdout.splitlines()[-1])


def test_a_trained_network_paints_patches_of_training_patients(trained, tmp_path):
    folder, summary = trained
    (row,) = summary["folds"]  # the official split
    assert summary["is_phantom"] and row["last"]["epoch"] == 2
    assert all(row["patches"]["train"].values())
    out = tmp_path / "out"
    result = run("cigan", "synthesize", folder, "--count", 5, "--class", "benign", "--out", out)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout.split() == [str(out / "synthetic_patches" / "1.0.0")]
    patches = read_synthetic(out)
    assert len(patches) == 5 and set(patches.labels) == {"benign"}
    assert patches.images.shape == (5, 32, 32)
    # What is painted is what the kept generator gives, not a fresh one.
    again = load_generator(folder, 0).get_weights()
    with np.load(folder / "gan" / "fold0" / "checkpoint.npz") as kept:
        assert not json.loads(str(kept["about"]))["settings"]["discriminator"]["class_map_joined"]
        for number, array in enumerate(again):
            assert np.array_equal(kept[f"v{number}"], array)
    refused = run("cigan", "synthesize", folder, "--count", 5, "--out", out)
    assert isinstance(refused.exception, UserError) and "not empty" in str(refused.exception)


def test_what_cannot_be_is_one_line(trained, tmp_path):
    folder, _ = trained
    for arguments, message in (
        (("cigan", "synthesize", tmp_path, "--count", 1, "--out", tmp_path / "o"), "is no run of"),
        (("cigan", "synthesize", folder, "--count", 1, "--out", tmp_path / "o", "--fold", 7),
         "no network of fold 7"),
        (("cigan", "train", "--set", "patches.patch_size=48"), "power of two"),
        (("cigan", "train", "--run-dir", tmp_path / "r", "--set", "perceptual.weights=no.h5"),
         "which is no file"),
    ):  # fmt: skip
        result = run(*arguments)
        assert isinstance(result.exception, UserError), result.output
        assert message in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "r").exists()
    changed = train(folder, "--set", "gan.loss_threshold=0.4")
    assert "another configuration (gan.loss_threshold: 0.3, now 0.4)" in str(changed.exception)


def test_the_papers_settings_are_the_default():
    config = CiganConfig()
    assert (config.patches.patch_size, config.gan.pretrain_epochs) == (256, 300)
    assert config.gan.adversarial_epochs == 2000 and config.gan.loss_threshold == 0.3
    assert config.perceptual.backbone == "vgg19" and config.perceptual.weights == "imagenet"
