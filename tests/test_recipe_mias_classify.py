"""The classifier of recipe mias on small films: what it keeps, goes on with, refuses and learns."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo_tf.errors import UserError
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.mias_films import Film, Films, Lesion
from mammo_tf.pipelines.mias_patches import centred_patches
from mammo_tf.recipes.mias import classify as classify_module
from mammo_tf.recipes.mias.classify import classify
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig, cut_patches
from mammo_tf.recipes.mias.classify_places import classify_places
from mammo_tf.recipes.mias.classify_store import load_classifier
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import predict_scores
from mammo_tf.training.folds import Fold, make_folds

HEIGHT, WIDTH = 176, 160
SMALL = ClassifyConfig(
    variants=("centred128",),
    input_size=16,
    extra_normals=1,
    lesion_copies=1,
    stackwise_num_filters=(4, 6, 8, 8),
    kernel_size=3,
    training=TrainingConfig(
        epochs=2,
        batch_size=16,
        learning_rate=3e-3,
        patience=None,
        dropout=0.2,
        num_test_views=1,
        augment=AugmentConfig(horizontal_flip=True, shift_px=1),
    ),
)


def make_films(num_women=24):
    """Dark noise; every second woman has a disc in her left breast, a ring if malignant."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(40, 90, (2 * num_women, HEIGHT, WIDTH)).astype(np.uint8)
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    films = []
    for woman in range(num_women):
        for breast, side in enumerate("LR"):
            number = 2 * woman + breast
            lesions = ()
            if side == "L" and woman % 2:
                severity = ("benign", "malignant")[woman // 2 % 2]
                middle = rng.integers(70, 100), rng.integers(70, 90)
                distance = np.hypot(row - middle[0], column - middle[1])
                inner = {"benign": 0, "malignant": 20}[severity]
                pixels[number][(inner <= distance) & (distance <= 30)] += 100
                lesions = (
                    Lesion(
                        row=int(middle[0]),
                        column=int(middle[1]),
                        radius_px=30,
                        severity=severity,
                        abnormality="CIRC",
                    ),
                )
            films.append(
                Film(
                    image_id=f"mdb{number + 1:03}",
                    patient_id=f"p{woman + 1:03}",
                    laterality=side,
                    tissue="F",
                    finding=lesions[0].severity if lesions else "normal",
                    lesions=lesions,
                    num_unplaced=0,
                )
            )
    return Films(films=tuple(films), pixels=pixels)


@pytest.fixture(scope="module")
def films():
    return make_films()


@pytest.fixture(scope="module")
def folds(films):
    # Three film parts, women together; each with benign and malignant.
    labels = films.has_lesion.astype(int)
    return make_folds(labels, films.patients, num_folds=2, seed=3, validation_fraction=0.4)


@pytest.fixture(scope="module")
def first_run(films, folds, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run")
    return run_dir, classify(films, folds, SMALL, run_dir, 7)


def same(left, right):
    assert [(r.variant, r.split, r.seconds) for r in left] == [
        (r.variant, r.split, r.seconds) for r in right
    ]
    same_numbers(left, right)


def same_numbers(left, right):
    for mine, other in zip(left, right, strict=True):
        for fold, again in zip(mine.folds, other.folds, strict=True):
            np.testing.assert_array_equal(fold.probabilities, again.probabilities)
            np.testing.assert_array_equal(fold.example_ids, again.example_ids)
            np.testing.assert_array_equal(fold.labels, again.labels)


def test_results_by_split(films, folds, first_run):
    _, (woman, poster) = first_run
    assert (woman.variant, woman.split, poster.split) == ("centred128", "woman", "poster")
    assert woman.patch_size == 128 and woman.num_patches[1:] == (12, 12)
    # 3·3·1·4 + 3·3·4·6 + (3·3·6 + 6·8) + (3·3·8 + 8·8), 4·(4 + 6 + 8 + 8), 8·3 + 3.
    assert woman.num_parameters == 36 + 216 + 102 + 136 + 104 + 27
    assert len(woman.folds) == 2 and len(poster.folds) == 1 and woman.seconds > 0
    tested = np.concatenate([fold.example_ids for fold in woman.folds])
    patches = cut_patches(films, "centred128", SMALL, seed=0)
    assert len(tested) == len(set(tested)) == patches.evaluated.sum() == 36
    for fold, film_fold in zip(woman.folds, folds, strict=True):
        held_out = set(films.patients[film_fold.test].tolist())
        assert set(fold.groups.tolist()) <= held_out
        assert fold.probabilities.shape == (len(fold.labels), 3)
        np.testing.assert_allclose(fold.probabilities.sum(axis=1), 1)
    assert len(poster.folds[0].labels) == round(0.2 * 8 * 36)
    assert all("-turn" in name for name in poster.folds[0].example_ids)


def test_what_the_run_folder_keeps(first_run):
    run_dir, (woman, _) = first_run
    folder = run_dir / "cells" / "depthwise_cnn_centred128_woman-cr1-fold1"
    lines = (folder / "predictions" / "test.csv").read_text().splitlines()
    assert lines[0] == "example_id,group,label,p_normal,p_benign,p_malignant"
    fold = woman.folds[1]
    assert len(lines) == 1 + len(fold.labels)
    name, group, label, *values = lines[1].split(",")
    assert (name, group, int(label)) == (fold.example_ids[0], fold.groups[0], fold.labels[0])
    assert [float(value) for value in values] == fold.probabilities[0].tolist()
    assert len(json.loads((folder / "history.json").read_text())) == 2
    assert list((run_dir / "tensorboard" / folder.name).glob("events*"))


def test_a_finished_run_is_only_read(films, folds, first_run, monkeypatch):
    run_dir, results = first_run
    monkeypatch.setattr(classify_module, "fit_classifier", None)
    monkeypatch.setattr(classify_module, "predict_scores", None)
    same(results, classify(films, folds, SMALL, run_dir, 7))


def test_goes_on_after_a_kill_with_the_same_numbers(films, folds, first_run, tmp_path, monkeypatch):
    _, results = first_run
    real, calls = classify_module.fit_classifier, []

    def stop_at_the_second(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(classify_module, "fit_classifier", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        classify(films, folds, SMALL, tmp_path, 7)
    assert len(list((tmp_path / "cells").iterdir())) == 1
    again = classify(films, folds, SMALL, tmp_path, 7)
    assert len(calls) == 2 + 2
    same_numbers(results, again)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text.replace("p001", "p999", 1) if "p001" in text else "",
        lambda text: "\n".join([*text.splitlines()[:-1], "x,y,0,0.5,0.4,0.2", ""]),
        lambda text: text.rpartition(",")[0] + ",nan\n",
        lambda text: text.rpartition(",")[0] + ",0.123\n",
    ],
)
def test_damaged_predictions_are_made_anew(films, folds, first_run, damage, capsys):
    run_dir, results = first_run
    path = run_dir / "cells" / "depthwise_cnn_centred128_woman-cr1-fold0" / "predictions/test.csv"
    whole = path.read_text()
    path.write_text(damage(whole))
    same(results, classify(films, folds, SMALL, run_dir, 7))
    assert path.read_text() == whole
    assert "Damaged, made anew" in capsys.readouterr().err


def test_damaged_weights_are_trained_again(films, folds, first_run, capsys):
    run_dir, results = first_run
    path = run_dir / "cells" / "depthwise_cnn_centred128_woman-cr1-fold1" / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        load_classifier(run_dir, "centred128", 1)
    same_numbers(results, classify(films, folds, SMALL, run_dir, 7))
    assert "a checksum differs" in capsys.readouterr().err


def test_other_settings_are_refused(films, folds, first_run):
    run_dir, _ = first_run
    changed = dataclasses.replace(SMALL, kernel_size=5)
    with pytest.raises(UserError, match="kernel_size: 3, now 5"):
        classify(films, folds, changed, run_dir, 7)
    with pytest.raises(UserError, match="data_and_folds"):
        classify(films, folds[::-1], SMALL, run_dir, 7)


def test_another_variant_joins_what_is_there(films, folds, first_run):
    run_dir, results = first_run
    more = dataclasses.replace(
        SMALL,
        variants=("centred128", "sliding128_inner_whole"),
        splits=("woman",),
        normals_per_film=1,
    )
    again = classify(films, folds, more, run_dir, 7)
    same_numbers(results[:1], again[:1])
    assert again[1].variant == "sliding128_inner_whole" and min(again[1].num_patches) > 0


def test_places_are_prepared_as_in_training(films, folds, first_run):
    run_dir, _ = first_run
    model = load_classifier(run_dir, "centred128", 0)
    patches = centred_patches(films, patch_size=128, input_size=16)
    feed = make_feed(
        [patches.pixels],
        np.arange(len(patches)),
        patches.labels,
        input_shape=(16, 16),
        batch_size=32,
    )
    expected = predict_scores(model, feed)
    for number in (2, 5, 9):
        mine = np.flatnonzero(patches.film_index == number)
        got = classify_places(
            model,
            films.pixels[number],
            patches.places[mine] + 0.4,
            128,
            16,
            films.films[number].laterality == "R",
        )
        np.testing.assert_allclose(got, expected[mine], rtol=1e-4, atol=1e-6)


def test_the_loaded_network_is_the_one_that_was_tested(films, folds, tmp_path):
    plain = dataclasses.replace(
        SMALL, splits=("woman",), training=dataclasses.replace(SMALL.training, num_test_views=0)
    )
    (result,) = classify(films, folds, plain, tmp_path, 7)
    patches = cut_patches(films, "centred128", plain, seed=0)
    lesions = patches.labels > 0  # their places do not depend on the seed
    place = dict(zip(patches.example_ids, patches.places, strict=True))
    for fold, scored in enumerate(result.folds):
        model = load_classifier(tmp_path, "centred128", fold)
        name = next(name for name in scored.example_ids if "at" not in name)
        index = scored.example_ids.tolist().index(name)
        film = patches.film_index[patches.example_ids.index(name)]
        got = classify_places(model, films.pixels[film], [place[name]], 128, 16, False)
        np.testing.assert_allclose(got[0], scored.probabilities[index], rtol=1e-4, atol=1e-6)
    assert lesions.any()


def test_bad_places_and_models(films, first_run):
    run_dir, _ = first_run
    model = load_classifier(run_dir, "centred128", 0, split="poster")
    film = films.pixels[0]
    assert classify_places(model, film, [], 128, 16, False).shape == (0, 3)
    far = classify_places(model, film, [(-500, 9000)], 128, 16, True)
    np.testing.assert_allclose(far.sum(), 1)  # a blank patch
    with pytest.raises(UserError, match="places"):
        classify_places(model, film, [(1, 2, 3)], 128, 16, False)
    with pytest.raises(UserError, match="places"):
        classify_places(model, film, [(1, np.nan)], 128, 16, False)
    with pytest.raises(UserError, match=r"pixels.*uint16"):
        classify_places(model, film.astype(np.uint16), [(1, 2)], 128, 16, False)
    with pytest.raises(UserError, match=r"input_size.*32"):
        classify_places(model, film, [(1, 2)], 128, 32, False)
    with pytest.raises(UserError, match=r"Train it first.*fold 4"):
        load_classifier(run_dir, "centred128", 4)


def test_a_split_by_woman_needs_folds(films, tmp_path):
    with pytest.raises(UserError, match="folds"):
        classify(films, [], SMALL, tmp_path, 7)
    swapped = tuple(dataclasses.replace(film, patient_id="p001") for film in films.films)
    mixed = [Fold(0, np.arange(20), np.arange(20, 30), np.arange(30, 48))]
    with pytest.raises(UserError, match=r"one part.*p001"):
        classify(dataclasses.replace(films, films=swapped), mixed, SMALL, tmp_path, 7)
    assert not list(tmp_path.iterdir())  # said before anything was trained


@pytest.mark.parametrize(
    "change",
    [
        {"variants": ()},
        {"variants": ("centred64",)},
        {"variants": ("centred128", "centred128")},
        {"splits": ("film",)},
        {"poster_repeats": 0},
        {"input_size": 8},
        {"stride_share": 0.0},
        {"normals_per_film": 0},
        {"extra_normals": -1},
        {"lesion_copies": 101},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        ClassifyConfig(**change)


def test_every_way_of_the_posters_figure_has_a_name():
    assert len(CUTS) == 10 and set(ClassifyConfig().variants) <= set(CUTS)
    cut = CUTS["sliding256_inner_break"]
    assert (cut.patch_size, cut.sliding, cut.keep_edges, cut.break_lesions) == (
        256,
        True,
        False,
        True,
    )


@pytest.mark.slow
def test_learns_discs_and_rings(films, folds, tmp_path):
    config = dataclasses.replace(
        SMALL,
        splits=("woman",),
        lesion_copies=5,
        training=dataclasses.replace(SMALL.training, epochs=40, learning_rate=1e-2),
    )
    (result,) = classify(films, folds, config, tmp_path, 7)
    labels = np.concatenate([fold.labels for fold in result.folds])
    probabilities = np.concatenate([fold.probabilities for fold in result.folds])
    assert roc_auc_score(labels > 0, 1 - probabilities[:, 0]) > 0.95
    lesions = labels > 0
    ratio = probabilities[lesions, 2] / probabilities[lesions, 1:].sum(axis=1)
    assert roc_auc_score(labels[lesions] == 2, ratio) > 0.8
