"""The grid: kept cells, resumption after a kill, damage, and what TensorBoard shows."""

import csv
import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import psutil
import pytest
from sklearn.metrics import roc_auc_score

from mammo_tf.errors import UserError
from mammo_tf.models import CNN3
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.task import Task
from mammo_tf.training import grid
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import make_folds
from mammo_tf.training.grid import GridCell, run_grid
from mammo_tf.training.store import Cell, CellStore

SHAPE = (68, 64)
CONFIG = TrainingConfig(epochs=2, batch_size=16, learning_rate=3e-3)
MODEL = ModelConfig(
    options={"stackwise_num_filters": (4, 8, 8), "dense_units": (8, 8), "dropout": 0.2}
)
CELLS = [GridCell(crs, fold, crs[-1:]) for crs in ((1,), (1, 20)) for fold in (0, 1)]


def folder_of(cell):
    """Name of a cell's folder."""
    return f"cnn3-cr{'_'.join(map(str, cell.train_crs))}-fold{cell.fold}"


def make_task(count=48, pixels_at=None):
    """Noise with a bright blob in every second image; mirrored at CR 20.

    `pixels_at` maps some ratios to other images.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (count, *SHAPE), "uint8")
    images[1::2, 20:36, 16:40] += 100
    shown = {20: np.ascontiguousarray(images[:, :, ::-1])} | (pixels_at or {})
    return Task(
        name="blobs",
        example_ids=tuple(f"e{index:02d}" for index in range(count)),
        image_ids=np.array([f"i{index:02d}" for index in range(count)]),
        groups=np.array([f"p{index // 2:02d}" for index in range(count)]),
        split=np.full(count, "train"),
        shapes=np.full((count, 2), SHAPE),
        labels=np.arange(count) % 2,
        evaluated=np.ones(count, bool),
        images=lambda cratio: shown.get(cratio, images),
        input_shape=SHAPE,
    )


def make_model(image_shape):
    return CNN3(image_shape=image_shape, **MODEL.options)


def run(folder, cells=CELLS, config=CONFIG, seed=5, task=None, model=MODEL):
    task = task or make_task()
    folds = make_folds(task.labels, task.groups, num_folds=2, seed=seed)
    return run_grid(task, cells, folds=folds, model=model, config=config, run_dir=folder, seed=seed)


def assert_same(left, right):
    assert list(left) == list(right)
    for key, fold in left.items():
        for name in ("labels", "scores", "groups", "example_ids"):
            np.testing.assert_array_equal(getattr(fold, name), getattr(right[key], name))


@pytest.fixture
def refuse_to_build(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a finished cell was built again")

    return lambda: monkeypatch.setattr(grid, "build_model", refuse)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder)


def test_every_cell_leaves_its_files(finished):
    folder, scored = finished
    assert list(scored) == [(cell, cell.test_crs[0]) for cell in CELLS]
    assert sorted(path.name for path in (folder / "cells").iterdir()) == [
        "cnn3-cr1-fold0",
        "cnn3-cr1-fold1",
        "cnn3-cr1_20-fold0",
        "cnn3-cr1_20-fold1",
    ]
    cell = folder / "cells" / "cnn3-cr1_20-fold1"
    history = json.loads((cell / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2]
    record = json.loads((cell / "cell.json").read_text())
    assert (record["model"], record["tags"], record["fold"]) == ("cnn3", ["cr1_20"], 1)
    assert record["settings"]["model"]["options"]["dropout"] == 0.2
    assert record["settings"]["training"]["learning_rate"] == 3e-3
    with (cell / "predictions" / "cr20.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    fold = scored[CELLS[3], 20]
    assert [row["example_id"] for row in rows] == list(fold.example_ids)
    assert [float(row["score"]) for row in rows] == fold.scores.tolist()
    assert [int(row["label"]) for row in rows] == fold.labels.tolist()
    assert [row["group"] for row in rows] == list(fold.groups)


def test_the_tests_of_all_folds_are_all_examples(finished):
    _, scored = finished
    task = make_task()
    ids = [
        i for (cell, _), fold in scored.items() if cell.train_crs == (1,) for i in fold.example_ids
    ]
    assert sorted(ids) == list(task.example_ids)
    for fold in scored.values():
        index = [task.example_ids.index(i) for i in fold.example_ids]
        np.testing.assert_array_equal(fold.labels, task.labels[index])
        np.testing.assert_array_equal(fold.groups, task.groups[index])


def test_a_second_call_only_reads(finished, refuse_to_build):
    folder, scored = finished
    refuse_to_build()
    assert_same(run(folder), scored)


def test_order_and_company_of_cells_do_not_change_them(finished, tmp_path):
    _, scored = finished
    last = CELLS[-1]
    assert_same(
        run(tmp_path, [last]),
        {key: fold for key, fold in scored.items() if key[0] == last},
    )


def test_other_test_crs_are_predicted_from_the_kept_weights(finished, tmp_path):
    folder, scored = finished
    before = (folder / "cells" / folder_of(CELLS[0]) / "model.weights.h5").stat().st_mtime_ns
    # Kept scores are the same as those that kept weights give.
    (folder / "cells" / folder_of(CELLS[0]) / "predictions" / "cr1.csv").unlink()
    cross = [dataclasses.replace(cell, test_crs=(1, 20)) for cell in CELLS]
    both = run(folder, cross)
    assert list(both) == [(cell, test_cr) for cell in cross for test_cr in (1, 20)]
    for (cell, test_cr), fold in scored.items():
        again = both[dataclasses.replace(cell, test_crs=(1, 20)), test_cr]
        np.testing.assert_array_equal(again.scores, fold.scores)
    for cell in cross:  # the images of the ratio asked for: mirrored ones at 20
        assert not np.array_equal(both[cell, 1].scores, both[cell, 20].scores)
    assert (
        folder / "cells" / folder_of(CELLS[0]) / "model.weights.h5"
    ).stat().st_mtime_ns == before


def test_a_kept_cell_of_other_settings_is_refused(finished):
    folder, _ = finished
    other = dataclasses.replace(CONFIG, learning_rate=1e-2)
    with pytest.raises(UserError, match=r"training.learning_rate: 0.003, now 0.01"):
        run(folder, config=other)
    with pytest.raises(UserError, match="seed: 5, now 6"):
        run(folder, seed=6)


@pytest.mark.parametrize("test_cr", [1, 20])
def test_scores_are_the_kept_network_s_of_that_ratio_s_images(finished, test_cr):
    """By hand: the kept weights, the images centred and divided by their deviation."""
    folder, _ = finished
    cell, task = CELLS[1], make_task()
    (scored,) = run(folder, [dataclasses.replace(cell, test_crs=(test_cr,))]).values()
    model = make_model((*SHAPE, 1))
    model.load_weights(folder / "cells" / folder_of(cell) / "model.weights.h5")
    rows = [task.example_ids.index(name) for name in scored.example_ids]
    images = task.images(test_cr)[rows].astype(np.float32)
    means, deviations = (f(images, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    logits = model.predict(((images - means) / deviations)[..., None], verbose=0)[:, 0]
    np.testing.assert_allclose(scored.scores, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_training_sees_the_images_of_its_own_ratios_only(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    blank = np.random.default_rng(9).integers(0, 200, (48, *SHAPE), "uint8")

    def scores(name, pixels_at):
        (fold,) = run(
            tmp_path / name,
            [GridCell((20,), 0, (20,))],
            config,
            task=make_task(pixels_at=pixels_at),
        ).values()
        return fold.scores

    usual = scores("a", {})
    np.testing.assert_array_equal(scores("b", {1: blank}), usual)
    # Blank where it learns: another network, whatever it is tested on.
    task = make_task()
    fold = make_folds(task.labels, task.groups, num_folds=2, seed=5)[0]
    learnt = task.images(20).copy()
    learnt[fold.train] = blank[fold.train]
    assert not np.array_equal(scores("c", {20: learnt}), usual)


def test_augmentation_draws_from_its_own_ratios_for_training_only(tmp_path):
    """What is asked of the task: training at drawn ratios, the rest at the cell's own."""
    task, asked = make_task(), []

    def images(cratio):
        asked.append(cratio)
        return task.images(cratio)

    watched = dataclasses.replace(task, images=images)
    augment = AugmentConfig(cratios=(7, 8), shift_px=2)
    config = dataclasses.replace(CONFIG, epochs=1, augment=augment, num_test_copies=1)
    run(tmp_path, [GridCell((20,), 0, (1,))], config, task=watched)
    assert asked == [7, 8, 20, 1, 1]  # training, validation, test copies, test
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["cnn3-any-cr20-fold0"]


def test_the_model_is_the_one_that_is_asked_for(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    options = {"stackwise_num_filters": (2, 3, 5), "dropout": 0.45, "head_pooling": "max"}
    run(tmp_path, CELLS[:1], config, model=ModelConfig(options=options))
    record = json.loads((tmp_path / "cells" / folder_of(CELLS[0]) / "cell.json").read_text())
    made = record["model_config"]
    assert made["stackwise_num_filters"] == [2, 3, 5]
    assert (made["dropout"], made["head_pooling"]) == (0.45, "max")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def _change_a_digit(path):
    head, _, last = path.read_text().rstrip("\n").rpartition("\n")
    changed = last[:-1] + ("1" if last[-1] != "1" else "2")
    path.write_text(f"{head}\n{changed}\n")


def _swap_two_labels(path):
    path.write_text(path.read_text().translate(str.maketrans("01", "10")))


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("model.weights.h5", _cut),
        ("history.json", lambda path: path.unlink()),
        ("cell.json", _cut),
        ("cell.json", lambda path: path.write_text("[]")),
        ("predictions/cr1.csv", _cut),
        ("predictions/cr1.csv", lambda path: path.write_text("")),
        ("predictions/cr1.csv", _change_a_digit),
        ("predictions/cr1.csv", _swap_two_labels),
        ("predictions/cr1.csv.sha256", lambda path: path.unlink()),
        (
            "predictions/cr1.csv",
            lambda path: path.write_text(path.read_text().replace("e0", "x0", 1)),
        ),
    ],
)
def test_damage_is_said_and_mended(finished, capsys, refuse_to_build, name, harm):
    folder, scored = finished
    harm(folder / "cells" / folder_of(CELLS[1]) / name)
    (folder / "cells" / ".partial-left-by-a-kill").mkdir()
    assert_same(run(folder), scored)
    errors = capsys.readouterr().err
    assert "Damaged, made anew" in errors and folder_of(CELLS[1]) in errors
    assert not list((folder / "cells").glob(".partial*"))
    refuse_to_build()
    assert_same(run(folder), scored)
    assert "Damaged" not in capsys.readouterr().err


@pytest.mark.slow
def test_test_views_are_the_same_each_time(tmp_path):
    augment = AugmentConfig(horizontal_flip=True, shift_px=2)
    config = dataclasses.replace(CONFIG, epochs=1, augment=augment, num_test_copies=2)
    wanted = CELLS[:1]
    first = run(tmp_path / "a", wanted, config)
    plain = run(tmp_path / "b", wanted, dataclasses.replace(config, num_test_copies=0))
    assert_same(run(tmp_path / "c", wanted, config), first)
    key = (CELLS[0], 1)
    assert not np.array_equal(first[key].scores, plain[key].scores)


def test_seeds_differ_by_fold_repeat_and_run_and_by_nothing_else():
    cells = [Cell("cnn3", fold, ("cr1",), repeat) for fold in (0, 1) for repeat in (0, 1)]
    seeds = {cell.seed(run_seed) for run_seed in (1, 2) for cell in cells}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**32 for seed in seeds)
    for cell in cells:
        other = dataclasses.replace(cell, model="depthwise_cnn", tags=("cr1_20",))
        assert other.seed(1) == cell.seed(1)


def test_ratios_of_a_fold_and_repeat_share_their_random_numbers(tmp_path):
    """Where two ratios have the same pixels, their networks are the same; repeats' are not."""
    task = make_task()
    same = make_task(pixels_at={20: task.images(1)})
    cells = [GridCell((cr,), 0, (1,), repeat) for cr in (1, 20) for repeat in (0, 1)]
    config = dataclasses.replace(CONFIG, augment=AugmentConfig(shift_px=2), num_test_copies=1)
    scores = [fold.scores for fold in run(tmp_path, cells, config, task=same).values()]
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(scores[1], scores[3])
    assert not np.array_equal(scores[0], scores[1])
    record = json.loads((tmp_path / "cells/cnn3-cr20-fold0-repeat1/cell.json").read_text())
    assert record["repeat"] == 1


def test_cells_whose_seeds_followed_from_their_names_are_refused(finished):
    folder, _ = finished
    path = folder / "cells" / folder_of(CELLS[0]) / "cell.json"
    text = path.read_text()
    record = json.loads(text)
    del record["settings"]["seeds_follow_from"]
    path.write_text(json.dumps(record))
    try:
        with pytest.raises(UserError, match="seeds_follow_from"):
            run(folder)
    finally:
        path.write_text(text)


def test_cells_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(UserError, match="from 0 to 1"):
        run(tmp_path, [GridCell((1,), 2, (1,))])
    for train_crs, test_crs in (((), (1,)), ((1,), ())):
        with pytest.raises(UserError, match="needs training and test ratios"):
            run(tmp_path, [GridCell(train_crs, 0, test_crs)])


@pytest.mark.slow
def test_memory_stays_flat_from_cell_to_cell(tmp_path, monkeypatch):
    used, genuine = [], grid.build_model

    def build(*args, **kwargs):
        gc.collect()
        used.append(psutil.Process().memory_info().rss / 2**20)
        return genuine(*args, **kwargs)

    monkeypatch.setattr(grid, "build_model", build)
    config = dataclasses.replace(CONFIG, epochs=1)
    run(tmp_path, [GridCell((number,), 0, (1,)) for number in range(30, 42)], config)
    assert len(used) == 12
    # A new graph for every cell would add 17 MiB each.
    assert used[-1] - used[3] < 60, used


def test_a_full_disk_leaves_no_cell(tmp_path, monkeypatch):
    store = CellStore(tmp_path, {})

    def full(*args, **kwargs):
        raise OSError("Can't write data (errno = 28, error message = 'No space left on device')")

    model = make_model((*SHAPE, 1))
    monkeypatch.setattr(type(model), "save_weights", full)
    with pytest.raises(OSError, match="No space left") as caught:
        store.save(Cell("cnn3", 0), model, [])
    assert caught.value.errno == 28
    assert not list((tmp_path / "cells").iterdir())


@pytest.mark.slow
def test_the_grid_learns(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=12, batch_size=8, learning_rate=1e-2)
    scored = run(tmp_path, CELLS[:1], config)
    fold = scored[CELLS[0], 1]
    assert roc_auc_score(fold.labels, fold.scores) > 0.9


@pytest.mark.slow
def test_a_killed_grid_goes_on_and_ends_with_the_same_numbers(finished, tmp_path):
    _, scored = finished
    script = textwrap.dedent(f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("grid_test", {__file__!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.run({str(tmp_path)!r})
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    first, second = (tmp_path / "cells" / folder_of(cell) for cell in CELLS[:2])
    deadline = time.monotonic() + 300
    try:
        # In the midst of the second cell: the first is whole, the second has begun its log.
        log = tmp_path / "tensorboard" / folder_of(CELLS[1])
        while not (first.exists() and log.exists()):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert first.exists() and not second.exists()
    kept = (first / "model.weights.h5").stat().st_mtime_ns
    assert_same(run(tmp_path), scored)
    assert (first / "model.weights.h5").stat().st_mtime_ns == kept


def test_models_go_through_clear_session(finished, monkeypatch):
    # Names count up from one only in a session of its own.
    folder, _ = finished
    (folder / "cells" / folder_of(CELLS[0]) / "predictions" / "cr1.csv").unlink(missing_ok=True)
    names, genuine = [], grid.build_model

    def build(*args, **kwargs):
        names.append(keras.layers.Dense(1).name)
        return genuine(*args, **kwargs)

    monkeypatch.setattr(grid, "build_model", build)
    run(folder, CELLS[:1])
    assert names == ["dense"]
