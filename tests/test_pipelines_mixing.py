"""Synthetic patches in training: how many, of which class, fitted how, and never elsewhere."""

import dataclasses
import functools

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.mixing import mix_synthetic, synthetic_settings
from mammo_tf.pipelines.synthesis import SyntheticPatches
from mammo_tf.pipelines.synthetic_set import write_synthetic
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.mias import classify
from mammo_tf.recipes.mias.settings import choose_config
from mammo_tf.training import classifier_cells, grid
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import Fold
from mammo_tf.training.grid import GridCell, run_grid

INPUT, STORED = 64, 96
FOLD = Fold(0, np.arange(12), np.arange(12, 16), np.arange(16, 24))


def write(folder, *, patients=("p0", "p1"), level=200, size=32, dtype=np.uint8):
    """Two benign patches (levels 200, 201), one malignant (202), brighter to the right."""
    ramp = np.arange(size, dtype=dtype)[None, None] * np.ones((3, size, 1), dtype)
    images = (level + np.arange(3))[:, None, None].astype(dtype) - ramp // 2
    write_synthetic(
        SyntheticPatches(
            images=images,
            masks=np.ones((3, size, size), bool),
            labels=np.array(["benign", "benign", "malignant"]),
            normal_ids=np.array(["n"] * 3),
            lesion_ids=np.array(["l"] * 3),
            patients=patients,
        ),
        folder,
    )
    return images


def make_task(name="patch", class_names=("benign", "malignant"), dtype=np.uint8):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (24, STORED, STORED)).astype(dtype)
    images[1::2, 40:60, 40:60] += 100
    return Task(
        name=name,
        example_ids=tuple(f"e{row}" for row in range(24)),
        image_ids=np.array([f"i{row}" for row in range(24)]),
        groups=np.array([f"p{row // 2}" for row in range(24)]),
        split=np.full(24, "train"),
        shapes=np.full((24, 2), STORED),
        labels=np.arange(24) % 2,
        class_names=class_names,
        evaluated=np.ones(24, bool),
        images=lambda cratio: images,
        input_shape=(INPUT, INPUT),
    )


def mix(task, folder, share, seed=1):
    augment = AugmentConfig(synthetic=str(folder), synthetic_share=share)
    return mix_synthetic(task, [task.images(1)], FOLD, augment, seed)


def test_without_a_set_nothing_is_added():
    task = make_task()
    arrays, indices, labels = mix_synthetic(task, [task.images(1)], FOLD, AugmentConfig(), 1)
    assert arrays[0] is task.images(1) and labels is task.labels
    assert indices.tolist() == list(range(12))
    assert synthetic_settings(task, [FOLD], AugmentConfig()) == {}


@pytest.mark.parametrize(("share", "count"), [(0.5, 12), (0.25, 4), (0.9, 108)])
def test_the_share_is_that_of_all_training_images(tmp_path, share, count):
    images = write(tmp_path / "s", size=INPUT)
    task = make_task()
    (array,), indices, labels = mix(task, tmp_path / "s", share)
    assert indices.tolist() == [*range(12), *range(24, 24 + count)]
    assert array.shape == (24 + count, STORED, STORED) and len(labels) == 24 + count
    assert np.array_equal(labels[:24], task.labels)
    assert np.array_equal(array[5], task.images(1)[5])
    used = [int(array[24 + k][48, 16]) for k in range(count)]  # the input's first column
    # Each as often as the others, as long as the set lasts.
    times = np.bincount(used, minlength=203)[200:203]
    assert times.sum() == count and times.max() - times.min() <= 1
    # Level 202 is the malignant one.
    assert labels[24:].tolist() == [int(level == 202) for level in used]
    middle = array[24][16:80, 16:80]
    assert np.array_equal(middle, images[used[0] - 200])
    assert np.array_equal(array[24][:, :16], array[24][:, 17:33][:, ::-1])  # mirrored outside


def test_patches_are_scaled_and_levels_kept(tmp_path):
    write(tmp_path / "s", size=32)
    (array,), *_ = mix(make_task(dtype=np.uint16), tmp_path / "s", 0.5)
    patch = array[24][16:80, 16:80]
    assert patch.dtype == np.uint16 and (patch % 257 == 0).all()
    assert patch.min() // 257 >= 184 and patch.max() // 257 <= 202
    write(tmp_path / "deep", level=51400, dtype=np.uint16)
    (array,), *_ = mix(make_task(), tmp_path / "deep", 0.5)
    assert array[24].dtype == np.uint8 and array[24][48, 48] == 200


@pytest.mark.parametrize(
    ("class_names", "benign", "malignant"),
    [
        (("rest", "malignant"), 0, 1),
        (("normal", "benign", "malignant"), 1, 2),
        (("normal", "lesion"), 1, 1),
    ],
)
def test_classes_are_the_tasks_own(tmp_path, class_names, benign, malignant):
    write(tmp_path / "s", size=INPUT)
    (array,), _, labels = mix(make_task(class_names=class_names), tmp_path / "s", 0.5)
    for row in range(24, 36):
        assert labels[row] == (malignant if array[row][48, 16] == 202 else benign)


def test_the_seed_draws(tmp_path):
    write(tmp_path / "s", size=INPUT)
    task = make_task()

    def order(seed):
        (array,), *_ = mix(task, tmp_path / "s", 0.5, seed)
        return [int(array[24 + k][48, 16]) for k in range(3)]

    assert order(1) == order(1) and len({tuple(order(seed)) for seed in range(9)}) > 1


def test_what_does_not_fit_is_said_before_anything_is_trained(tmp_path):
    write(tmp_path / "s", patients=("p0", "p7"))  # p7 is of the validation part
    augment = AugmentConfig(synthetic=str(tmp_path / "s"), synthetic_share=0.5)
    for function in (
        lambda task: synthetic_settings(task, [FOLD], augment),
        lambda task: mix(task, tmp_path / "s", 0.5),
    ):
        with pytest.raises(UserError, match="learned from 1 patients of this run's validation"):
            function(make_task())
        with pytest.raises(UserError, match="the task 'pairs' has none to mix"):
            function(make_task("pairs"))
    with pytest.raises(UserError, match="holds no synthetic patches"):
        mix(make_task(), tmp_path, 0.5)
    with pytest.raises(UserError, match="together or not at all"):
        AugmentConfig(synthetic="x")
    with pytest.raises(UserError, match="synthetic_share"):
        AugmentConfig(synthetic="x", synthetic_share=1.0)


def test_each_fold_may_have_a_set_of_its_own(tmp_path):
    write(tmp_path / "0", patients=("p0",))
    write(tmp_path / "1", patients=("p9",), level=100)
    other = Fold(1, np.arange(12, 24), np.arange(4), np.arange(4, 12))
    augment = AugmentConfig(synthetic=str(tmp_path / "{fold}"), synthetic_share=0.5)
    task = make_task()
    both = synthetic_settings(task, [FOLD, other], augment)
    assert both != synthetic_settings(task, [FOLD], augment)
    for fold, level in ((FOLD, 200), (other, 100)):
        (array,), indices, _ = mix_synthetic(task, [task.images(1)], fold, augment, 1)
        assert indices[:12].tolist() == fold.train.tolist()
        assert level <= array[24][48, 16] <= level + 2


@pytest.fixture
def fed(monkeypatch):
    """What each feed of a training is made of."""
    found, make_feed = [], classifier_cells.make_feed

    def note(arrays, indices, labels, **options):
        found.append((arrays, np.asarray(indices), np.asarray(labels), options))
        return make_feed(arrays, indices, labels, **options)

    monkeypatch.setattr(classifier_cells, "make_feed", note)
    return found


def test_the_grid_trains_on_them_and_tests_without(tmp_path, fed):
    write(tmp_path / "s", size=INPUT)
    augment = AugmentConfig(synthetic=str(tmp_path / "s"), synthetic_share=0.25)
    small = {"stackwise_num_filters": (2, 2, 2), "dense_units": (4, 4)}
    run = functools.partial(
        run_grid, make_task(), [GridCell((1,), 0, (1,))], folds=[FOLD],
        model=ModelConfig(name="cnn3", options=small), run_dir=tmp_path / "run", seed=1,
    )  # fmt: skip
    config = TrainingConfig(epochs=1, batch_size=8, augment=augment)
    run(config=config)
    train, validation, test = fed[:3]
    assert train[1].tolist() == [*range(12), *range(24, 28)] and len(train[2]) == 28
    assert train[0][0].shape == (28, STORED, STORED)
    for part, expected in ((validation, FOLD.validation), (test, FOLD.test)):
        assert part[1].tolist() == expected.tolist() and part[0][0].shape[0] == 24
    (record,) = (tmp_path / "run" / "cells").glob("*/cell.json")
    assert '"num_synthetic": 4' in record.read_text()
    # Another set in the same folder is another training.
    for path in sorted((tmp_path / "s").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    write(tmp_path / "s", size=INPUT, level=90)
    from mammo_tf.pipelines import mixing

    mixing._read_at.cache_clear()
    with pytest.raises(UserError, match="synthetic: "):
        run(config=config)


def config_of(folder):
    keys = (f"synthetic={folder}", "synthetic_share=0.3")
    overrides = tuple(f"classify.training.augment.{key}" for key in keys)
    return choose_config(overrides=overrides).classify


def test_recipes_take_it_from_the_command_line(tmp_path):
    keys = ("synthetic=D", "synthetic_share=0.3")
    config = choose_config(overrides=tuple(f"classify.training.augment.{key}" for key in keys))
    assert config.classify.training.augment.synthetic == "D"
    assert config.classify.training.augment.synthetic_share == 0.3
    from mammo_tf.recipes.compression.config import CompressionConfig

    base = CompressionConfig()
    changed = base.with_options(overrides=tuple(f"training.augment.{key}" for key in keys))
    assert changed.training.augment.synthetic_share == 0.3
    # Another set is another training there too.
    for level, folder in ((200, "a"), (90, "b")):
        write(tmp_path / folder, size=INPUT, level=level)
    settings = [
        classify._settings(make_task(), [FOLD], config_of(tmp_path / folder), 1, 128)
        for folder in ("a", "b")
    ]
    assert settings[0]["synthetic"] != settings[1]["synthetic"]
    # Runs of before had neither setting, and go on.
    assert dataclasses.asdict(base.training.augment)["synthetic"] is None
    assert grid.to_plain(base.training)["augment"]["synthetic_share"] is None
