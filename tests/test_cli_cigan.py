"""ciGAN from the command line on a phantom: trained, gone on with, and painting for another run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError
from mammo_tf.pipelines.synthetic_set import read_synthetic
from mammo_tf.training.cigan_config import CiganConfig
from mammo_tf.training.cigan_run import load_generator

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
        (("cigan", "train", "--phantom", "--run-dir", tmp_path / "r",
          "--set", "perceptual.weights=no.h5"), "which is no file"),
        # Before weights are looked for, which may be a download.
        (("cigan", "train", "--run-dir", tmp_path / "r", "--set", "perceptual.weights=no.h5"),
         "is not built in"),
        (("recipe", "cigan", "--dataset", "cbis_ddsm", "--manual-dir", tmp_path / "none",
          "--run-dir", tmp_path / "r", "--set", "perceptual.weights=no.h5"),
         "must be a folder with raw files"),
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


RECIPE = (
    "patches.patch_size=32",
    "patches.least_lesion=0.2",
    "patches.most_per_class=40,40,40",
    "patches.image_scale=1",
    "perceptual.backbone=vgg16",
    "perceptual.weights=random",
    "gan.pretrain_epochs=0",
    "gan.adversarial_epochs=1",
    "gan.num_panel=1",
    "classify.shares=0.25",
    "classify.kinds=cigan,copy_paste",
    "classify.extras_on=pretrained",
    "classify.shallow.training.warmup_epochs=0",
    "classify.shallow.training.epochs=1",
    "classify.pretrained.model.name=shallow_cnn",
    "classify.pretrained.training.warmup_epochs=0",
    "classify.pretrained.training.epochs=1",
    "quality.embedding_weights=none",
    "quality.most=20",
)


def recipe(trained, folder, *more):
    settings = [word for setting in RECIPE for word in ("--set", setting)]
    data = ("--dataset", "cbis_ddsm", "--data-dir", trained[0] / "data", "--run-dir", folder)
    return run("recipe", "cigan", "--preset", "cpu", "--repeats", 1, *data, *settings, *more)


def test_the_recipe_goes_from_patches_to_the_answer_and_goes_on_after_a_kill(
    trained, tmp_path, monkeypatch
):
    from mammo_tf.training import classifier_cells

    folder = tmp_path / "run"
    fit, fitted = classifier_cells.fit_classifier, []

    def killed(*arguments, **options):
        if len(fitted) == 1:
            raise KeyboardInterrupt
        fitted.append(1)
        return fit(*arguments, **options)

    monkeypatch.setattr(classifier_cells, "fit_classifier", killed)
    assert recipe(trained, folder).exit_code != 0 and len(list((folder / "cells").iterdir())) == 1
    made = {path: path.stat().st_mtime_ns for path in folder.rglob("*.h5")}
    painted = read_synthetic(folder / "synthetic" / "fold0")
    monkeypatch.setattr(classifier_cells, "fit_classifier", fit)
    done = recipe(trained, folder, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["is_phantom"] and summary["repeats"] == 1 and len(summary["rows"]) == 5
    assert summary["verdict"] in ("helped", "did not help", "cannot be told")
    (counts,) = summary["patches"]
    lesions = counts["train"]["benign"] + counts["train"]["malignant"]
    assert len(painted) == round(0.25 * lesions)
    assert summary["turns"][0] == {"discriminator": 1, "generator": 0, "epochs": 1}
    sets = summary["quality"]["sets"]
    assert list(sets) == ["real lesions trained on", "ciGAN", "pasted real lesions"]
    assert sets["ciGAN"]["patches"] == min(20, len(painted))
    # The network of the recipe's run folder paints on.
    result = run("cigan", "synthesize", folder, "--count", 2, "--out", tmp_path / "more",
                 "--data-dir", trained[0] / "data")  # fmt: skip
    assert result.exit_code == 0, (result.output, result.exception)
    assert len(read_synthetic(tmp_path / "more")) == 2
    report = (folder / "report.html").read_text("utf-8")
    for text in (
        "PHANTOM",
        "1,743",
        "5,466",
        "paper 0.716",
        "random weights",
        "Which are painted?",
        "Losses of ciGAN",
        "Learning curves",
        "4 trainings took",
        "arxiv.org/abs/1807.08093",
        'download="summary.csv"',
    ):
        assert text in report, text
    for scored in (folder / "cells").glob("*/predictions/test.csv"):
        assert len(scored.read_text("utf-8").splitlines()) == 1 + sum(
            counts["test"][name] for name in ("benign", "malignant")
        )
