"""The loop over cells, and the store's scores, with models that are only numbers."""

import dataclasses

import keras
import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold
from mammo_tf.training.cells import CellJob, run_cells
from mammo_tf.training.store import Cell, CellStore


def tiny_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def jobs_of(store, log, names=("a", "b", "c"), epochs=4):
    """Jobs that write down what is done, and keep a model of constant weights."""

    def job(number, name):
        cell = Cell(name, number, ("tag",))

        def train(on_epoch):
            for _ in range(2):
                on_epoch()
            log.append(("train", cell.name))
            model = tiny_model()
            model.set_weights([np.full((2, 1), number, "f4"), np.zeros(1, "f4")])
            store.save(cell, model, [{"epoch": 1}], best_epoch=1)
            return 2

        def test():
            log.append(("test", cell.name))
            model = tiny_model()
            store.load_weights(cell, model)
            return float(model.get_weights()[0][0, 0])

        return CellJob(cell=cell, store=store, epochs=epochs, train=train, test=test)

    return [job(number, name) for number, name in enumerate(names)]


def test_every_cell_is_trained_once_and_answers_for_itself(tmp_path):
    log = []
    assert run_cells(jobs_of(CellStore(tmp_path, {}), log)) == [0.0, 1.0, 2.0]
    names = ["a-tag-fold0", "b-tag-fold1", "c-tag-fold2"]
    expected = [(step, name) for name in names for step in ("train", "test")]
    assert log == [*expected, *(("test", name) for name in names)]
    log.clear()
    # In another order, with one more: only that is trained, and the answers keep their places.
    jobs = jobs_of(CellStore(tmp_path, {}), log, names=("a", "b", "c", "d"))[::-1]
    assert run_cells(jobs) == [3.0, 2.0, 1.0, 0.0]
    assert [what for what in log if what[0] == "train"] == [("train", "d-tag-fold3")]


def test_other_settings_are_refused_before_anything_is_trained(tmp_path):
    log = []
    run_cells(jobs_of(CellStore(tmp_path, {"rate": 1}), log)[:1])
    log.clear()
    with pytest.raises(UserError, match="rate: 1, now 2"):
        run_cells(jobs_of(CellStore(tmp_path, {"rate": 2}), log)[::-1])
    assert log == []


FOLD = ScoredFold(
    labels=np.array([0, 1, 1]),
    scores=np.array([0.1, 1 / 3, 1.0]),
    groups=np.array(["p", "q", "q"]),
    example_ids=np.array(["x", "y", "z"]),
)
CELL = Cell("m", 0)


@pytest.fixture
def store(tmp_path):
    store = CellStore(tmp_path, {})
    store.save(CELL, tiny_model(), [])
    return store


@pytest.mark.parametrize("columns", [("score",), ("p_normal", "p_benign", "p_malignant")])
def test_scores_come_back_to_the_last_bit(store, columns):
    scores = FOLD.scores if len(columns) == 1 else np.random.default_rng(0).random((3, 3))
    fold = dataclasses.replace(FOLD, scores=scores)
    store.save_scores(CELL, "cr1", fold, columns)
    empty = dataclasses.replace(fold, scores=np.zeros_like(scores))
    read = store.load_scores(CELL, "cr1", empty, columns)
    np.testing.assert_array_equal(read.scores, scores)
    assert read.scores.shape == scores.shape
    assert store.load_scores(CELL, "cr15", empty, columns) is None
    header = store.scores_path(CELL, "cr1").read_text().splitlines()[0]
    assert header == ",".join(("example_id", "group", "label", *columns))


def harm(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    "spoil",
    [harm("0.1\n", "0.2\n"), harm("0.333", "0.334"), harm("1.0\n", "1.00\n"), harm("y,q", "y,p")],
)
def test_a_changed_character_is_noticed_and_said(store, capsys, spoil):
    store.save_scores(CELL, "cr1", FOLD)
    before = store.scores_path(CELL, "cr1").read_text()
    spoil(store.scores_path(CELL, "cr1"))
    assert store.scores_path(CELL, "cr1").read_text() != before
    assert store.load_scores(CELL, "cr1", FOLD) is None
    said = capsys.readouterr().err
    assert "Damaged, made anew" in said and "its checksum does not fit" in said


@pytest.mark.parametrize(
    ("expected", "reason"),
    [
        (dataclasses.replace(FOLD, labels=np.array([1, 1, 1])), "not those of the fold"),
        (dataclasses.replace(FOLD, example_ids=np.array(["x", "z", "y"])), "not those of the fold"),
        (dataclasses.replace(FOLD, groups=np.array(["p", "q", "r"])), "not those of the fold"),
    ],
)
def test_scores_of_another_fold_are_not_taken(store, capsys, expected, reason):
    store.save_scores(CELL, "cr1", FOLD)
    assert store.load_scores(CELL, "cr1", expected) is None
    assert reason in capsys.readouterr().err


def test_a_score_that_is_no_probability_is_refused(store, capsys):
    store.save_scores(CELL, "cr1", dataclasses.replace(FOLD, scores=np.array([0.1, 1.5, 0.2])))
    assert store.load_scores(CELL, "cr1", FOLD) is None
    assert "not between 0 and 1" in capsys.readouterr().err


def test_names_of_cells():
    assert Cell("cnn3", 2, ("cr1_15",)).name == "cnn3-cr1_15-fold2"
    assert Cell("ssd_300", 0).name == "ssd_300-fold0"
