"""The classifier of recipe mias on small images: what it keeps, refuses and learns."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo_tf.config import apply_overrides
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.recipes.mias.classify import classify, make_classifier
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig
from mammo_tf.recipes.mias.cut import cut_patches
from mammo_tf.recipes.mias.division import divide_images
from mammo_tf.testing import draw_lesions
from mammo_tf.training import classifier_cells
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import SplitConfig
from mammo_tf.training.seeds import derive_seed

SMALL = ClassifyConfig(
    variants=("centred128",),
    input_size=16,
    extra_normals=1,
    lesion_copies=1,
    model=ModelConfig(
        name="depthwise_cnn",
        options={"stackwise_num_filters": (4, 6, 8, 8), "kernel_size": 3, "dropout": 0.2},
    ),
    training=TrainingConfig(
        epochs=2,
        batch_size=16,
        learning_rate=3e-3,
        patience=None,
        num_test_copies=1,
        augment=AugmentConfig(horizontal_flip=True, shift_px=1),
    ),
)
TWO = SplitConfig(num_folds=2, validation_fraction=0.4)
CELLS = "depthwise_cnn_centred128_"


def open_records(builder, cache_dir):
    return OpenData(builder=builder, catalog=read_catalog(builder), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def opened(build_records, tmp_path_factory):
    return open_records(build_records(draw_lesions(24)), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def official(build_records, tmp_path_factory):
    """Sixteen patients to train with, eight to test."""
    images = draw_lesions(24, split=lambda patient: "test" if patient >= 16 else "train")
    return open_records(build_records(images), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def division(opened):
    return divide_images(opened.catalog, TWO, 3)


@pytest.fixture(scope="module")
def first_run(opened, division, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run")
    return run_dir, classify(opened, division, SMALL, run_dir, 7)


def same(left, right):
    assert [(r.variant, r.split, r.seconds) for r in left] == [
        (r.variant, r.split, r.seconds) for r in right
    ]
    same_numbers(left, right)


def same_numbers(left, right):
    for mine, other in zip(left, right, strict=True):
        for fold, again in zip(mine.folds, other.folds, strict=True):
            np.testing.assert_array_equal(fold.scores, again.scores)
            np.testing.assert_array_equal(fold.example_ids, again.example_ids)
            np.testing.assert_array_equal(fold.labels, again.labels)


def patients_of(opened, indices):
    return {opened.catalog.images[index].patient_id for index in indices}


def test_each_fold_is_tested_on_its_own_patients(opened, division, first_run):
    _, (honest, poster) = first_run
    assert (honest.variant, honest.split, poster.split) == ("centred128", "patient", "poster")
    assert honest.num_patches[1:] == (12, 12)
    # 3·3·1·4 + 3·3·4·6 + (3·3·6 + 6·8) + (3·3·8 + 8·8), 4·(4 + 6 + 8 + 8), 8·3 + 3.
    assert honest.num_parameters == 36 + 216 + 102 + 136 + 104 + 27
    assert len(honest.folds) == 2 and len(poster.folds) == 1 and honest.seconds > 0
    patches = cut_patches(opened, "centred128", SMALL, seed=derive_seed(7, "patches", "centred128"))
    evaluated = {
        name for name, yes in zip(patches.example_ids, patches.evaluated, strict=True) if yes
    }
    tested = np.concatenate([fold.example_ids for fold in honest.folds])
    # What only trains, further normals and copies, is never tested; all the rest is, once.
    assert len(patches) > len(evaluated) == 36
    assert sorted(tested) == sorted(evaluated)
    for fold, images in zip(honest.folds, division.folds, strict=True):
        assert set(fold.groups.tolist()) <= patients_of(opened, images.test)
        assert fold.scores.shape == (len(fold.labels), 3)
        np.testing.assert_allclose(fold.scores.sum(axis=1), 1)
    assert len(poster.folds[0].labels) == round(0.2 * 8 * 36)
    assert all("@" in name for name in poster.folds[0].example_ids)


def test_patches_can_be_had_at_the_ratios_that_augmentation_draws_from(build_records, tmp_path):
    opened = open_records(build_records(draw_lesions(4)), tmp_path)
    augment = AugmentConfig(cratios=(20,))
    config = dataclasses.replace(
        SMALL, training=dataclasses.replace(SMALL.training, num_test_copies=0, augment=augment)
    )
    patches = cut_patches(opened, "centred128", config, seed=1)
    assert (np.asarray(patches.images(20)) != np.asarray(patches.images(1))).any()
    other = apply_overrides(config, ("training.augment.cratios=19",))
    with pytest.raises(UserError, match=r"holds CR 1, 20\. Received: 19"):
        cut_patches(opened, "centred128", other, seed=1)


def test_what_trains_is_in_no_part_that_is_tested(opened, division):
    patches = cut_patches(opened, "centred128", SMALL, seed=1)
    only_train = np.flatnonzero(~patches.evaluated)
    assert only_train.size
    for fold, images in zip(division.folds_of(patches), division.folds, strict=True):
        assert not np.isin(only_train, [*fold.validation, *fold.test]).any()
        assert np.isin(only_train, fold.train).any()
        for name in ("train", "validation", "test"):
            own = set(patches.groups[getattr(fold, name)].tolist())
            assert own and own <= patients_of(opened, getattr(images, name))


def test_what_the_run_folder_keeps(first_run):
    run_dir, (honest, _) = first_run
    folder = run_dir / "cells" / f"{CELLS}patient-fold1"
    lines = (folder / "predictions" / "test.csv").read_text().splitlines()
    assert lines[0] == "example_id,group,label,p_normal,p_benign,p_malignant"
    fold = honest.folds[1]
    assert len(lines) == 1 + len(fold.labels)
    name, group, label, *values = lines[1].split(",")
    assert (name, group, int(label)) == (fold.example_ids[0], fold.groups[0], fold.labels[0])
    assert [float(value) for value in values] == fold.scores[0].tolist()
    assert len(json.loads((folder / "history.json").read_text())) == 2
    assert list((run_dir / "tensorboard" / folder.name).glob("events*"))


def test_a_finished_run_is_only_read(opened, division, first_run, monkeypatch):
    run_dir, results = first_run
    monkeypatch.setattr(classifier_cells, "fit_classifier", None)
    monkeypatch.setattr(classifier_cells, "predict_scores", None)
    same(results, classify(opened, division, SMALL, run_dir, 7))


def test_goes_on_after_a_kill_with_the_same_numbers(
    opened, division, first_run, tmp_path, monkeypatch
):
    _, results = first_run
    real, calls = classifier_cells.fit_classifier, []

    def stop_at_the_second(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(classifier_cells, "fit_classifier", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        classify(opened, division, SMALL, tmp_path, 7)
    assert len(list((tmp_path / "cells").iterdir())) == 1
    again = classify(opened, division, SMALL, tmp_path, 7)
    assert len(calls) == 2 + 2
    same_numbers(results, again)


def test_damaged_predictions_are_made_anew(opened, division, first_run, capsys):
    run_dir, results = first_run
    path = run_dir / "cells" / f"{CELLS}patient-fold0" / "predictions/test.csv"
    whole = path.read_text()
    path.write_text(whole.replace("0.", "0.0", 1))
    same(results, classify(opened, division, SMALL, run_dir, 7))
    assert path.read_text() == whole
    assert "Damaged, made anew" in capsys.readouterr().err


def test_the_network_of_a_fold_is_the_one_that_was_tested(opened, division, tmp_path):
    plain = dataclasses.replace(
        SMALL,
        splits=("patient",),
        training=dataclasses.replace(SMALL.training, num_test_copies=0),
    )
    (result,) = classify(opened, division, plain, tmp_path, 7)
    patches = cut_patches(opened, "centred128", plain, seed=derive_seed(7, "patches", "centred128"))
    for number, fold in enumerate(division.folds_of(patches)):
        stored = np.stack([patches.images(1)[index] for index in fold.test]).astype(np.float64)
        seen = stored[:, 4:20, 4:20]  # 16 of 24
        seen = seen - seen.mean(axis=(1, 2), keepdims=True)
        seen /= seen.std(axis=(1, 2), keepdims=True)
        logits = result.model_of(number).predict_on_batch(seen[..., np.newaxis].astype("f4"))
        likely = np.exp(np.asarray(logits, float))
        likely /= likely.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(likely, result.folds[number].scores, rtol=1e-3, atol=1e-5)


def test_other_settings_are_refused(opened, division, first_run):
    run_dir, _ = first_run
    changed = dataclasses.replace(SMALL, model=SMALL.model.replace_options({"kernel_size": "5"}))
    with pytest.raises(UserError, match="kernel_size: 3, now 5"):
        classify(opened, division, changed, run_dir, 7)
    swapped = dataclasses.replace(division, folds=division.folds[::-1])
    with pytest.raises(UserError, match="data_and_folds"):
        classify(opened, swapped, SMALL, run_dir, 7)


def test_another_variant_joins_what_is_there(opened, division, first_run):
    run_dir, results = first_run
    more = dataclasses.replace(
        SMALL,
        variants=("centred128", "sliding128_inner_whole"),
        splits=("patient",),
        normals_per_image=1,
    )
    again = classify(opened, division, more, run_dir, 7)
    same_numbers(results[:1], again[:1])
    assert again[1].variant == "sliding128_inner_whole" and min(again[1].num_patches) > 0


def test_a_patient_in_two_parts_is_refused(opened, division):
    patches = cut_patches(opened, "centred128", SMALL, seed=1)
    mixed = dataclasses.replace(patches, groups=np.full(len(patches), "p001"))
    with pytest.raises(UserError, match=r"Fold 0 must keep each patient .* of 1 patients"):
        division.folds_of(mixed)


class TestOfficialSplit:
    def test_nothing_labelled_test_trains(self, official):
        division = divide_images(official.catalog, SplitConfig(validation_fraction=0.3), 3)
        (images,) = division.folds
        held = {f"p{number:03}" for number in range(17, 25)}
        assert division.is_official and patients_of(official, images.test) == held
        patches = cut_patches(official, "centred128", SMALL, seed=1)
        (fold,) = division.folds_of(patches)
        for part in (fold.train, fold.validation):
            assert set(patches.split[part]) == {"train"}
        assert set(patches.groups[fold.test]) <= held and len(fold.test)
        copies, (leak,) = division.like_poster(patches, repeats=1, seed=1)
        assert set(copies.split) == {"train"} and len(leak.test)

    def test_the_poster_s_kind_only_if_asked_for(self, official, opened, division):
        by_own = divide_images(official.catalog, SplitConfig(), 3)
        folds = divide_images(official.catalog, SplitConfig(official="no", num_folds=2), 3)
        assert by_own.splits(None) == folds.splits(None) == ("patient",)
        assert by_own.splits(("poster", "patient")) == ("patient", "poster")
        assert division.splits(None) == ("patient", "poster")
        assert len(folds.folds) == 2 and not folds.is_official
        with pytest.raises(UserError, match="--folds official needs a data set with a split"):
            divide_images(opened.catalog, SplitConfig(official="yes"), 3)

    def test_without_images_without_lesions_the_malignant_ones_are_shared_out(self, build_records):
        images = [one for one in draw_lesions(24) if one[1]["findings"]]
        catalog = open_records(build_records(images), None).catalog
        labels = np.array([image.label == "malignant" for image in catalog.images])
        for fold in divide_images(catalog, TWO, 3).folds:
            assert labels[fold.test].sum() == len(fold.test) / 2 == 3


class TestModel:
    def test_any_model_of_several_classes_and_its_options(self):
        config = apply_overrides(ClassifyConfig(), ("model.dropout=0.1", "model.kernel_size=3"))
        model = make_classifier(config)
        assert (model.dropout, model.kernel_size, model.num_classes) == (0.1, 3, 3)
        assert model.input_shape == (None, 64, 64, 1)
        assert make_classifier(ClassifyConfig()).dropout == 0.3
        again = apply_overrides(ClassifyConfig(), ("model.name=depthwise_cnn",))
        assert again == ClassifyConfig()

    def test_another_model_starts_from_its_own_defaults(self):
        config = apply_overrides(ClassifyConfig(), ("model.name=cnn3", "model.dropout=0.1"))
        assert config.model == ModelConfig(name="cnn3", options={"dropout": 0.1})
        with pytest.raises(UserError, match="'cnn3' has one output, for two classes"):
            make_classifier(config)
        with pytest.raises(UserError, match="`model` must be one of cnn3, depthwise_cnn"):
            apply_overrides(ClassifyConfig(), ("model.name=cnn4",))
        with pytest.raises(UserError, match="no option `separable`"):
            apply_overrides(ClassifyConfig(), ("model.name=cnn3", "model.separable=no"))


@pytest.mark.parametrize(
    "change",
    [
        {"variants": ()},
        {"variants": ("centred64",)},
        {"variants": ("centred128", "centred128")},
        {"splits": ("film",)},
        {"splits": ()},
        {"poster_repeats": 0},
        {"input_size": 8},
        {"stride_share": 0.0},
        {"normals_per_image": 0},
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
def test_learns_discs_and_rings(opened, division, tmp_path):
    config = dataclasses.replace(
        SMALL,
        splits=("patient",),
        lesion_copies=5,
        training=dataclasses.replace(SMALL.training, epochs=40, learning_rate=1e-2),
    )
    (result,) = classify(opened, division, config, tmp_path, 7)
    labels = np.concatenate([fold.labels for fold in result.folds])
    scores = np.concatenate([fold.scores for fold in result.folds])
    assert roc_auc_score(labels > 0, 1 - scores[:, 0]) > 0.95
    lesions = labels > 0
    ratio = scores[lesions, 2] / scores[lesions, 1:].sum(axis=1)
    assert roc_auc_score(labels[lesions] == 2, ratio) > 0.8
