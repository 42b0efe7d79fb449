"""What a leak is worth: the same test examples both ways, and a leak that is known to be there."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.audit.measure import TRAINING, LeakWorth, list_pairs, measure_leak, task_of
from mammo_tf.audit.split import SplitImage
from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError
from mammo_tf.evaluation import Estimate
from mammo_tf.pipelines.task import Task


def make_task(images, labels, groups) -> Task:
    count = len(labels)
    return Task(
        name="toy",
        example_ids=tuple(f"e{number}" for number in range(count)),
        image_ids=np.array([f"e{number}" for number in range(count)]),
        groups=np.asarray(groups),
        labels=np.asarray(labels),
        evaluated=np.ones(count, bool),
        split=np.full(count, ""),
        images=lambda _cratio: images,
        input_shape=images.shape[1:],
        shapes=np.tile(images.shape[1:], (count, 1)),
    )


def by_chance(num_patients=60, copies=4, side=64):
    """Patients labelled by turns, four pictures each that are alike: only they can be learnt."""
    rng = np.random.default_rng(5)
    blobs = rng.integers(0, 200, (num_patients, 4, 4)).astype(np.uint8)
    pictures = np.kron(blobs, np.ones((1, side // 4, side // 4), np.uint8))
    noise = rng.integers(0, 20, (num_patients * copies, side, side)).astype(np.uint8)
    groups = np.repeat(np.arange(num_patients), copies)
    labels = np.arange(num_patients) % 2
    return make_task(pictures[groups] + noise, labels[groups], groups.astype(str))


LEAKY = np.array(["train", "train", "test", "train"] * 60)


def test_both_ways_have_one_test_part_and_no_more_to_learn_from():
    task = by_chance()
    pairs = list_pairs(task, LEAKY, seed=3)
    tested = np.concatenate([on_split.test for on_split, _ in pairs])
    assert sorted(tested.tolist()) == np.flatnonzero(LEAKY == "test").tolist()
    for on_split, by_patient in pairs:
        assert on_split.test.tolist() == by_patient.test.tolist()
        assert len(by_patient.train) <= len(on_split.train)
        seen = set(task.groups[by_patient.train]) | set(task.groups[by_patient.validation])
        assert not seen & set(task.groups[by_patient.test])
        # On the split every tested patient also trains, or nearly: that is the leak.
        assert set(LEAKY[on_split.train]) == {"train"}
        assert not set(on_split.train) & set(on_split.validation)
        both = set(task.groups[on_split.train]) & set(task.groups[on_split.test])
        assert len(both) > 0.9 * len(set(task.groups[on_split.test]))


def test_a_split_s_own_validation_part_is_used():
    parts = np.array(["train", "validation", "test", "train"] * 60)
    on_split, _ = list_pairs(by_chance(), parts, seed=3)[0]
    assert on_split.validation.tolist() == np.flatnonzero(parts == "validation").tolist()


def test_a_part_without_a_class_is_refused():
    task = by_chance()
    parts = np.where((LEAKY == "test") & (task.labels == 1), "train", LEAKY)
    with pytest.raises(UserError, match="test part has no example of one class in fold 1"):
        list_pairs(task, parts, seed=3)


def test_learning_by_heart_is_told_from_knowing():
    """Labels are chance: by patient about 0.5, on the split far above, and the interval knows."""
    training = dataclasses.replace(TRAINING, epochs=10, batch_size=32)
    task = by_chance(num_patients=40)
    worth = measure_leak(task, LEAKY[: len(task)], num_folds=2, training=training)
    assert worth.num_test == 40
    assert worth.on_split.value > 0.85
    assert worth.by_patient.low < 0.5
    assert worth.difference.low > 0
    assert worth.difference.value == pytest.approx(worth.on_split.value - worth.by_patient.value)
    assert worth.describe()["difference"][0] == worth.difference.value


def _opened(task):
    return SimpleNamespace(binary_task=lambda _name, *, seed: task)


def test_examples_have_the_part_of_their_image():
    parts = {f"e{number}": part for number, part in enumerate(LEAKY)}
    task, found = task_of(_opened(by_chance()), "images", parts)
    assert found.tolist() == LEAKY.tolist()
    kept = np.arange(240) % 4 != 1
    few = dataclasses.replace(task, evaluated=kept)
    task, found = task_of(_opened(few), "images", parts)
    assert len(task) == 180
    assert found.tolist() == LEAKY[kept].tolist()


def test_the_poster_s_copies_are_divided_seven_to_one_to_two():
    task, parts = task_of(_opened(by_chance(num_patients=5)), "poster", {})
    assert len(task) == 5 * 4 * 8
    assert [int((parts == name).sum()) for name in ("train", "validation", "test")] == [112, 16, 32]


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_measures_the_split_that_it_audits(monkeypatch, as_json):
    task = by_chance(num_patients=5)
    images = tuple(
        SplitImage(image, group, part)
        for image, group, part in zip(task.example_ids, task.groups.tolist(), LEAKY, strict=False)
    )
    received = {}

    def measure(given, parts, *, seed, num_repeats):
        received.update(parts=parts.tolist(), seed=seed, num_repeats=num_repeats)
        low, high = Estimate(0.5, 0.4, 0.6), Estimate(0.9, 0.8, 1.0)
        return LeakWorth(
            task="toy",
            num_test=5,
            on_split=high,
            by_patient=low,
            difference=Estimate(0.4, 0.3, 0.5),
            num_repeats=num_repeats,
        )

    prints = np.zeros((len(images), 64, 64), np.float32)
    monkeypatch.setattr("mammo_tf.data_source.open_data", lambda *a, **k: _opened(task))
    monkeypatch.setattr("mammo_tf.audit.dataset.split_of", lambda *a, **k: (images, prints))
    monkeypatch.setattr("mammo_tf.audit.measure.measure_leak", measure)
    arguments = ["audit", "--dataset", "mini_mias", "--scheme", "images", "--seed", "7"]
    arguments += ["--measure", "--repeats", "2", *(["--json"] if as_json else [])]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1, result.output
    assert received == {"parts": LEAKY[:20].tolist(), "seed": 7, "num_repeats": 2}
    if as_json:
        assert json.loads(result.stdout)["measured"]["on_split"] == [0.9, 0.8, 1.0]
    else:
        assert "trained by patient      0.50 (0.40, 0.60)" in result.stdout
        assert "what the leak is worth  0.40 (0.30, 0.50)" in result.stdout


def test_measuring_needs_a_data_set():
    with pytest.raises(UserError, match="goes with --dataset"):
        CliRunner().invoke(cli, ["audit", "s.csv", "--measure"], catch_exceptions=False)
