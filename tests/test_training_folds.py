"""Folds: every patient in one part, both classes in every part, 7:1:2."""

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.training.folds import SplitConfig, divide, make_folds, official_fold


def screening_set(patients=200, malignant=0.2, seed=0):
    """Two breasts a patient; a malignant patient has one malignant breast."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((patients, 2), int)
    ill = rng.permutation(patients)[: round(malignant * patients)]
    labels[ill, rng.integers(0, 2, len(ill))] = 1
    groups = np.repeat([f"p{index:03d}" for index in range(patients)], 2)
    return labels.ravel(), groups


def parts_of(fold):
    return fold.train, fold.validation, fold.test


@pytest.mark.parametrize("num_folds", [2, 5])
def test_no_patient_is_in_two_parts_and_every_example_is_tested_once(num_folds):
    labels, groups = screening_set()
    folds = make_folds(labels, groups, num_folds=num_folds, seed=4)
    assert [fold.index for fold in folds] == list(range(num_folds))
    for fold in folds:
        train, validation, test = (set(groups[part]) for part in parts_of(fold))
        assert not (train & validation or train & test or validation & test)
        assert sorted(np.concatenate(parts_of(fold)).tolist()) == list(range(len(labels)))
        for part in parts_of(fold):
            assert part.tolist() == sorted(part.tolist())
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(labels)))


def test_seven_one_two_and_stratified():
    labels, groups = screening_set()
    for fold in make_folds(labels, groups):
        shares = [len(part) / len(labels) for part in parts_of(fold)]
        np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)
        for part in parts_of(fold):
            assert labels[part].mean() == pytest.approx(0.1, abs=0.03)


def test_the_seed_decides():
    labels, groups = screening_set()
    first, again, other = (make_folds(labels, groups, seed=seed) for seed in (1, 1, 2))
    for left, right in zip(first, again, strict=True):
        for a, b in zip(parts_of(left), parts_of(right), strict=True):
            np.testing.assert_array_equal(a, b)
    assert any(
        not np.array_equal(left.test, right.test) for left, right in zip(first, other, strict=True)
    )


def test_more_negatives_train_only_and_never_beside_their_patient():
    labels, groups = screening_set(60)
    # Two more negatives of every patient, and some of patients that are seen nowhere else.
    more = np.concatenate([np.repeat(np.unique(groups), 2), np.repeat("elsewhere", 5)])
    all_groups = np.concatenate([groups, more])
    all_labels = np.concatenate([labels, np.zeros(len(more), int)])
    evaluated = np.arange(len(all_labels)) < len(labels)
    folds = make_folds(all_labels, all_groups, evaluated=evaluated, seed=1)
    plain = make_folds(labels, groups, seed=1)
    for fold, without in zip(folds, plain, strict=True):
        np.testing.assert_array_equal(fold.test, without.test)
        np.testing.assert_array_equal(fold.validation, without.validation)
        held_out = set(all_groups[np.concatenate([fold.validation, fold.test])])
        extras = fold.train[~evaluated[fold.train]]
        assert not held_out & set(all_groups[extras])
        expected = sum(group not in held_out for group in more)
        assert len(extras) == expected > 5
        assert np.sum(all_groups[fold.train] == "elsewhere") == 5


def test_few_positive_patients_still_reach_every_part():
    # Five malignant patients of thirty; the validation part must grow beyond an eighth.
    labels, groups = screening_set(30, malignant=5 / 30)
    for seed in range(10):
        for fold in make_folds(labels, groups, num_folds=2, seed=seed):
            for part in parts_of(fold):
                assert set(labels[part]) == {0, 1}


@pytest.mark.parametrize(
    ("positives", "num_folds", "message"),
    [
        (4, 5, "4 patients with a positive and 40 with a negative"),
        (2, 2, "2 patients with a positive and 40 with a negative"),
        (0, 2, "0 patients with a positive and 40 with a negative"),
    ],
)
def test_too_few_patients_are_counted(positives, num_folds, message):
    labels, groups = screening_set(40, malignant=positives / 40)
    with pytest.raises(UserError, match=message):
        make_folds(labels, groups, num_folds=num_folds)


def test_wrong_arguments_are_named():
    labels, groups = screening_set(40)
    with pytest.raises(UserError, match="num_folds"):
        make_folds(labels, groups, num_folds=1)
    with pytest.raises(UserError, match="validation_fraction"):
        make_folds(labels, groups, validation_fraction=0)
    with pytest.raises(UserError, match="0 or 1"):
        make_folds(labels + 1, groups)
    with pytest.raises(UserError, match="one length"):
        make_folds(labels, groups[:-1])


def official_set(validation=False):
    """60 patients of two breasts; every third is in test, and of the rest some in validation."""
    labels, groups = screening_set(60, malignant=0.4)
    number = np.repeat(np.arange(60), 2)
    split = np.where(number % 3 == 0, "test", "train").astype("U10")
    if validation:
        split[number % 6 == 1] = "validation"
    return labels, groups, split


class TestOfficial:
    def test_what_is_labelled_test_is_tested_and_trains_nothing(self):
        labels, groups, split = official_set()
        fold = official_fold(labels, groups, split, seed=3)
        assert fold.index == 0
        assert fold.test.tolist() == np.flatnonzero(split == "test").tolist()
        assert set(split[fold.train]) == set(split[fold.validation]) == {"train"}
        together = np.sort(np.concatenate([fold.train, fold.validation]))
        assert together.tolist() == np.flatnonzero(split == "train").tolist()
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        for part in parts_of(fold):
            assert set(labels[part]) == {0, 1}
        # An eighth of the rest, as with make_folds.
        assert len(fold.validation) / len(together) == pytest.approx(1 / 8, abs=0.03)

    def test_a_validation_split_of_its_own_is_taken(self):
        labels, groups, split = official_set(validation=True)
        fold = official_fold(labels, groups, split)
        for name in ("train", "validation", "test"):
            assert getattr(fold, name).tolist() == np.flatnonzero(split == name).tolist()

    @pytest.mark.parametrize("validation", [False, True])
    def test_examples_that_only_train_are_in_training_only(self, validation):
        labels, groups, split = official_set(validation)
        evaluated = np.arange(len(labels)) % 5 != 0
        fold = official_fold(labels, groups, split, evaluated=evaluated)
        assert evaluated[fold.test].all() and evaluated[fold.validation].all()
        assert not evaluated[fold.train].all()
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        assert set(split[fold.train]) == {"train"}

    def test_the_seed_sets_aside_and_nothing_else(self):
        labels, groups, split = official_set()
        first, again, other = (official_fold(labels, groups, split, seed=s) for s in (1, 1, 2))
        assert first.validation.tolist() == again.validation.tolist() != other.validation.tolist()
        assert first.test.tolist() == other.test.tolist()

    def test_a_patient_in_test_and_training_is_refused(self):
        labels, groups, split = official_set()
        split[np.flatnonzero(split == "test")[0]] = "train"
        with pytest.raises(UserError, match="1 patients both in test and in training") as error:
            official_fold(labels, groups, split)
        assert "p0" not in str(error.value)

    def test_a_part_without_a_class_is_refused(self):
        labels, groups, split = official_set(validation=True)
        for name in ("train", "validation", "test"):
            only = np.where(split == name, 0, labels)
            with pytest.raises(UserError, match=f"no example of one class in its {name} part"):
                official_fold(only, groups, split)
        labels, groups, split = official_set()
        few = np.where(split == "train", 0, labels)
        few[np.flatnonzero(split == "train")[0]] = 1
        with pytest.raises(UserError, match=r"too few training patients of one class \(1\)"):
            official_fold(few, groups, split)


class TestDivide:
    def divide(self, config, has_official_splits=True):
        labels, groups, split = official_set()
        options = {"has_official_splits": has_official_splits, "seed": 5}
        return split, divide(labels, groups, split, config, **options)

    @pytest.mark.parametrize("official", ["auto", "yes"])
    def test_the_own_split_is_the_default(self, official):
        split, folds = self.divide(SplitConfig(official=official))
        (fold,) = folds
        assert set(split[fold.test]) == {"test"}
        assert "test" not in set(split[np.concatenate([fold.train, fold.validation])])

    def test_a_number_of_folds_is_over_everything(self):
        _, folds = self.divide(SplitConfig().with_folds(3))
        assert len(folds) == 3
        tested = np.sort(np.concatenate([fold.test for fold in folds]))
        assert tested.tolist() == list(range(120))

    def test_splits_that_are_ours_are_no_official_ones(self):
        _, folds = self.divide(SplitConfig(num_folds=4), has_official_splits=False)
        assert len(folds) == 4
        with pytest.raises(UserError, match=r"this one has none\. Give a number"):
            self.divide(SplitConfig().with_folds("official"), has_official_splits=False)

    def test_the_words_of_a_report(self):
        assert "own split; no patient" in SplitConfig().describe(True)
        assert SplitConfig().describe(False).startswith("5 folds, stratified")
        assert "own split is not used" in SplitConfig(official="no").describe(True)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"official": "maybe"}, "`split.official` must be one of auto, yes, no"),
            ({"num_folds": 1}, "between 2 and 20"),
            ({"validation_fraction": 0.6}, "between 0.01 and 0.5"),
        ],
    )
    def test_values_out_of_range(self, values, message):
        with pytest.raises(UserError, match=message):
            SplitConfig(**values)
