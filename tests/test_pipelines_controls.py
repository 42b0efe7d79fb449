"""Pasted and repeated lesions: their pixels by hand, where they may go, and where never."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.pipelines.controls import copy_paste, extend_task, join_patches, oversample
from mammo_tf.pipelines.synthesis import choose_pairs
from mammo_tf.pipelines.task import Task
from mammo_tf.training.folds import Fold

SIDE = 32
TRAIN = np.array([0, 2, 4, 5, 7, 8])


def make_task():
    """Rows 0–3 normal, 4–6 benign, 7–9 malignant; row k is of patient pk and has level 50 + 10k."""
    images = np.zeros((10, SIDE, SIDE), np.uint8)
    images[:] = (50 + 10 * np.arange(10))[:, None, None]
    masks = np.zeros((10, SIDE, SIDE), np.uint16)
    masks[4:, 6:26, 8:24] = 2  # bit 1
    names = [f"e{row}" for row in range(10)]
    return Task(
        name="gan",
        example_ids=tuple(names),
        image_ids=np.array(names),
        groups=np.array([f"p{row}" for row in range(10)]),
        labels=np.array([0] * 4 + [1] * 3 + [2] * 3),
        class_names=("normal", "benign", "malignant"),
        evaluated=np.ones(10, bool),
        split=np.full(10, "train"),
        images=lambda cratio: images,
        input_shape=(SIDE, SIDE),
        shapes=np.full((10, 2), 99),
        masks=masks,
    )


def test_a_pasted_lesion_keeps_its_levels_and_the_tissue_its_own():
    task = make_task()
    made = copy_paste(task, TRAIN, count=4, label="malignant", seed=1, zoom_range=(1.0, 1.0))
    assert set(made.normal_ids) == {"e0", "e2"} and set(made.lesion_ids) <= {"e7", "e8"}
    assert made.patients == ("p0", "p2", "p4", "p5", "p7", "p8")
    for image, mask, normal, lesion in zip(
        made.images, made.masks, made.normal_ids, made.lesion_ids, strict=True
    ):
        assert mask.sum() == 20 * 16 and mask[6:26, 8:24].all()
        assert (image[~mask] == 50 + 10 * int(normal[1])).all()
        assert image[16, 16] == 50 + 10 * int(lesion[1])  # ten pixels from the edge: 20 σ
        assert 50 + 10 * int(normal[1]) < image[6, 16] < 50 + 10 * int(lesion[1])
    # The network is given the same pairs.
    pairs = choose_pairs(
        task, TRAIN, count=4, label="malignant", seed=1, zoom_range=(1.0, 1.0)
    )  # fmt: skip
    assert [f"e{pair.normal}" for pair in pairs] == made.normal_ids.tolist()
    larger = copy_paste(task, TRAIN, count=1, label="benign", seed=1, zoom_range=(1.2, 1.2))
    assert larger.masks.sum() > 1.3 * 20 * 16
    assert larger.images[0][larger.masks[0]].min() > 50  # no black where nothing was magnified
    with pytest.raises(UserError, match="class 'benign'"):
        copy_paste(task, TRAIN[[0, 4]], count=1, label="benign", seed=1)


def test_oversampling_repeats_each_before_any_twice():
    made = oversample(make_task(), TRAIN, count=5, label="benign", seed=1)
    levels = made.images[:, 0, 0].tolist()
    assert sorted(levels[:2]) == sorted(levels[2:4]) == [90, 100] and levels[4] == levels[0]
    assert (made.masks.sum(axis=(1, 2)) == 320).all() and set(made.labels) == {"benign"}
    with pytest.raises(UserError, match="class 'malignant'"):
        oversample(make_task(), [0, 4], count=1, label="malignant", seed=1)


def test_extra_patches_train_their_own_fold_and_test_nothing():
    whole = make_task()
    lesions = dataclasses.replace(
        whole.take(np.arange(4, 10)),
        labels=np.array([0, 0, 0, 1, 1, 1]),
        class_names=("benign", "malignant"),
    )
    folds = (
        Fold(0, np.array([0, 1, 3, 4]), np.array([2]), np.array([5])),
        Fold(1, np.array([1, 2, 4, 5]), np.array([0]), np.array([3])),
    )
    first = join_patches(
        [
            oversample(whole, [0, 4, 5, 7, 8], count=1, label=label, seed=1)
            for label in ("malignant", "benign")
        ]
    )
    second = copy_paste(whole, [1, 5, 6, 8, 9], count=3, label="malignant", seed=1)
    task, extended = extend_task(lesions, folds, [first, second], "extra")
    assert len(task) == 6 + 2 + 3 and len(set(task.example_ids)) == 11
    assert extended[0].train.tolist() == [0, 1, 3, 4, 6, 7]
    assert extended[1].train.tolist() == [1, 2, 4, 5, 8, 9, 10]
    assert task.labels[6:].tolist() == [1, 0, 1, 1, 1] and not task.evaluated[6:].any()
    images = task.images(1)
    assert all(np.array_equal(images[6 + k], first.images[k]) for k in (0, 1))
    assert np.array_equal(images[10], second.images[2])
    assert np.array_equal(images[3], whole.images(1)[7])
    for old, new in zip(folds, extended, strict=True):
        assert np.array_equal(old.test, new.test)
        assert np.array_equal(old.validation, new.validation)
    # Made for fold 0 from its training patients, who are fold 1's test patients: a leak.
    with pytest.raises(UserError, match="'extra' of fold 1 was made by a network that learned"):
        extend_task(lesions, folds, [first, first], "extra")
