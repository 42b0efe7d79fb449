"""Training GLAM: it learns where lesions are from image labels; a kill changes nothing."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mammo_tf.errors import UserError
from mammo_tf.models.glam import GLAM
from mammo_tf.training.fit import seed_everything
from mammo_tf.training.fit_glam import GlamImages, fit_glam
from mammo_tf.training.glam_config import GlamTrainingConfig
from mammo_tf.training.glam_steps import memory_bytes

SHAPE = (96, 64)
CONFIG = GlamTrainingConfig(
    global_epochs=1, local_epochs=1, joint_epochs=1, batch_size=4, learning_rate=3e-3
)


def make():
    seed_everything(5)
    return GLAM(
        image_shape=SHAPE,
        crop_shape=(32, 32),
        num_crops=2,
        local_num_filters=(8,),
        local_num_blocks=(1,),
    )


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    pictures, labels = rng.normal(100, 5, (10, *SHAPE)), np.zeros((10, 2), int)
    for index in range(10):
        if index % 2:
            row, column = rng.integers(8, 80), rng.integers(8, 48)
            pictures[index, row : row + 8, column : column + 8] += 100
            labels[index, 1] = 1
    return GlamImages(images=pictures, labels=labels)


def test_each_stage_changes_its_own_networks(images, tmp_path):
    model, said, states = make(), [], []

    def keep(entry):
        parts = (model.global_network, model.local_network)
        states.append([np.concatenate([w.ravel() for w in p.get_weights()]) for p in parts])

    keep({})
    history = fit_glam(
        model, images, CONFIG, seed=1, folder=tmp_path, on_start=said.append, on_epoch=keep
    )
    changed = [
        [bool((a != b).any()) for a, b in zip(old, new, strict=True)]
        for old, new in itertools.pairwise(states)
    ]
    assert changed == [[True, False], [False, True], [True, True]]
    assert [set(entry) for entry in history] == [
        {"epoch", "global"},
        {"epoch", "local"},
        {"epoch", "global", "local"},
    ]
    assert "GB of memory" in said[0]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss/global", "loss/local"} <= set(events.Tags()["tensors"]) | set(
        events.Tags()["scalars"]
    )


def test_a_killed_training_ends_with_the_same_weights(images, tmp_path):
    whole = make()
    fit_glam(whole, images, CONFIG, seed=1, folder=tmp_path / "whole")

    def kill(entry):
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_glam(make(), images, CONFIG, seed=1, folder=tmp_path / "cut", on_epoch=kill)
    again = make()
    history = fit_glam(again, images, CONFIG, seed=1, folder=tmp_path / "cut")
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(UserError, match="other settings"):
        fit_glam(make(), images, CONFIG, seed=2, folder=tmp_path / "cut")


def test_too_little_memory_is_said_before_training(images, tmp_path):
    model = make()
    config = dataclasses.replace(CONFIG, most_memory_gb=1e-3)
    with pytest.raises(UserError, match=r"about .* GB, more than the 0\.001 GB"):
        fit_glam(model, images, config, seed=1, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    twice = dataclasses.replace(CONFIG, batch_size=8)
    weights = 16 * model.count_params()
    assert memory_bytes(model, twice) - weights == 2 * (memory_bytes(model, CONFIG) - weights)


@pytest.mark.parametrize(
    ("labels", "message"), [(np.zeros((1, 3)), "two labels"), ([[0, 2]], "0 or 1")]
)
def test_labels_that_cannot_be(labels, message):
    with pytest.raises(UserError, match=message):
        GlamImages(images=np.zeros((1, *SHAPE)), labels=np.asarray(labels))
    with pytest.raises(UserError, match="at least one epoch"):
        GlamTrainingConfig(global_epochs=0, local_epochs=0)


def test_stages_follow_one_another():
    config = GlamTrainingConfig(global_epochs=1, local_epochs=2, joint_epochs=1)
    assert [config.stage(epoch) for epoch in range(4)] == ["global", "local", "local", "joint"]


def test_the_global_loss_falls(images, tmp_path):
    keras.utils.set_random_seed(1)
    config = dataclasses.replace(CONFIG, global_epochs=8, local_epochs=0, joint_epochs=0)
    history = fit_glam(make(), images, config, seed=1, folder=tmp_path)
    assert history[-1]["global"] < 0.7 * history[0]["global"]
