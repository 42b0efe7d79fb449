"""Fitting: learns what is there, nothing where nothing is, and the same from the same seed."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from mammo_tf.errors import UserError
from mammo_tf.models import CNN3
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import fit_classifier, predict_scores, seed_everything
from mammo_tf.training.schedule import learning_rate_at

SHAPE = (72, 64)
SMALL = TrainingConfig(
    epochs=8,
    batch_size=16,
    learning_rate=3e-3,
    patience=None,
)
NETWORK = {"stackwise_num_filters": (8, 16, 16), "dense_units": (16, 16)}


def blob_images(count=96, seed=0):
    """Noise; every second image has a bright blob somewhere."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (count, *SHAPE), "uint8")
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        if label:
            row, column = rng.integers(8, SHAPE[0] - 20), rng.integers(8, SHAPE[1] - 20)
            image[row : row + 12, column : column + 12] += 100
    return images, labels


def train(config=SMALL, seed=1, labels=None, log_dir=None, dropout=0.0, **options):
    images, truth = blob_images()
    labels = truth if labels is None else labels
    part = {"input_shape": SHAPE, "batch_size": config.batch_size}
    train_feed = make_feed([images], range(56), labels, seed=seed, augment=config.augment, **part)
    validation_feed = make_feed([images], range(56, 72), labels, **part)
    test_feed = make_feed([images], range(72, 96), labels, **part)
    keras.utils.clear_session()
    seed_everything(seed)
    model = CNN3(
        image_shape=(*SHAPE, 1),
        dropout=dropout,
        **NETWORK,
    )
    result = fit_classifier(
        model, train_feed, validation_feed, config, seed=seed, log_dir=log_dir, **options
    )
    return model, result, validation_feed, predict_scores(model, test_feed), labels[72:]


def test_learns_blobs():
    _, result, _, scores, labels = train()
    assert roc_auc_score(labels, scores) > 0.9
    assert len(result.history) == 8
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_learns_nothing_where_labels_and_blobs_are_unrelated():
    images, truth = blob_images()
    unrelated = np.arange(len(images)) // 2 % 2
    assert roc_auc_score(unrelated[72:], truth[72:]) == 0.5
    _, _, _, scores, labels = train(labels=unrelated)
    assert 0.25 < roc_auc_score(labels, scores) < 0.75


def test_same_seed_same_everything():
    augment = AugmentConfig(horizontal_flip=True, rotation_degrees=30, contrast=0.1)
    config = dataclasses.replace(SMALL, epochs=2, augment=augment)
    _, first, _, scores, _ = train(config, dropout=0.3)
    _, second, _, scores_again, _ = train(config, dropout=0.3)
    _, _, _, scores_other, _ = train(config, seed=2, dropout=0.3)
    assert first == second
    np.testing.assert_array_equal(scores, scores_again)
    assert not np.array_equal(scores, scores_other)


@pytest.mark.parametrize("momentum", [None, 0.9])
@pytest.mark.parametrize("monitor", ["val_loss", "val_auroc"])
def test_the_model_is_left_with_its_best_epoch(monitor, momentum):
    config = dataclasses.replace(SMALL, epochs=4, monitor=monitor, ema_momentum=momentum)
    model, result, validation_feed, _, _ = train(config)
    values = [entry[monitor] for entry in result.history]
    best = min(values) if monitor == "val_loss" else max(values)
    assert result.best_epoch == 1 + values.index(best)
    labels = np.concatenate([y.numpy().ravel() for _, y in validation_feed])
    scores = predict_scores(model, validation_feed)
    cross_entropy = -np.mean(np.log(np.where(labels == 1, scores, 1 - scores)))
    assert roc_auc_score(labels, scores) == pytest.approx(result.best["val_auroc"])
    assert cross_entropy == pytest.approx(result.best["val_loss"], rel=1e-5)


def linear_model(**options):
    inputs = keras.Input((2, 1, 1))
    outputs = keras.layers.Dense(1, **options)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def linear_feed(labels, batch_size=4):
    labels = np.asarray(labels, "float32")[:, None]
    images = np.random.default_rng(0).normal(size=(len(labels), 2, 1, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(batch_size)


def test_ties_keep_the_first_epoch_and_patience_counts_from_it():
    config = TrainingConfig(epochs=50, learning_rate=1e-9, monitor="val_auroc", patience=3)
    seen = []
    feed = linear_feed([0, 1, 0, 1, 1, 0])
    result = fit_classifier(linear_model(), feed, feed, config, seed=0, on_epoch=seen.append)
    assert result.best_epoch == 1
    assert len(result.history) == 4
    assert tuple(seen) == result.history


def test_balanced_class_weights_by_hand():
    # 6 negatives, 2 positives: weights 8/12 and 8/4. Zero weights give logit 0, loss ln 2.
    feed = linear_feed([0, 0, 0, 1, 0, 0, 0, 1], batch_size=8)
    skewed = linear_feed([0, 1, 1, 1], batch_size=4)
    config = TrainingConfig(epochs=1, learning_rate=1e-9)
    model = linear_model(kernel_initializer="zeros")
    entry = fit_classifier(model, feed, skewed, config, seed=0).best
    assert entry["loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert entry["val_loss"] == pytest.approx(np.log(2) * (2 / 3 + 3 * 2) / 4, rel=1e-5)
    config = dataclasses.replace(config, class_weights="none")
    model = linear_model(kernel_initializer="zeros")
    entry = fit_classifier(model, feed, skewed, config, seed=0).best
    assert entry["val_loss"] == pytest.approx(np.log(2), rel=1e-5)


def test_divergence_is_one_clear_error():
    feed = linear_feed([0, 1, 0, 1])
    model = linear_model(kernel_initializer=keras.initializers.Constant(3e38))
    with pytest.raises(UserError, match=r"diverged.*epoch 1.*learning_rate"):
        fit_classifier(model, feed, feed, TrainingConfig(epochs=2), seed=0)
    with pytest.raises(UserError, match="not finite"):
        predict_scores(linear_model(kernel_initializer=keras.initializers.Constant(np.nan)), feed)


def test_feeds_that_cannot_work_are_refused():
    both, one = linear_feed([0, 1, 0, 1]), linear_feed([1, 1, 1])
    config = TrainingConfig(epochs=1)
    with pytest.raises(UserError, match="0 negative and 3 positive"):
        fit_classifier(linear_model(), one, both, config, seed=0)
    with pytest.raises(UserError, match="validation part needs"):
        fit_classifier(linear_model(), both, one, config, seed=0)
    with pytest.raises(UserError, match="finite number of batches"):
        fit_classifier(linear_model(), both.repeat(), both, config, seed=0)


def test_scores_are_probabilities_that_do_not_tie():
    images = np.array([[[[20.0]], [[0.0]]], [[[21.0]], [[0.0]]], [[[0.0]], [[0.0]]]], "float32")
    scores = predict_scores(linear_model(kernel_initializer="ones"), images)
    assert scores.dtype == np.float64 and scores.shape == (3,)
    assert scores[0] < scores[1] < 1 and scores[2] == 0.5


def test_other_views_are_averaged_as_logits():
    model = linear_model(kernel_initializer="ones")
    plain, other = linear_feed([0, 1, 0, 1]), linear_feed([0, 1, 0, 1]).map(lambda x, y: (x + 1, y))
    logit = predict_scores(model, plain)
    logit = np.log(logit / (1 - logit))
    expected = 1 / (1 + np.exp(-(logit + 2 * (logit + 2)) / 3))
    got = predict_scores(model, plain, copies=other, num_copies=2)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_learning_rate_by_hand():
    config = TrainingConfig(epochs=3, learning_rate=0.1, schedule="cosine", warmup_epochs=1)
    rates = [learning_rate_at(step, config, 2) for step in range(6)]
    # Two steps up, then half a cosine over four steps: 1, 0.75, 0.25, 0 of the way above 0.001.
    expected = [0.05, 0.1, 0.1, 0.001 + 0.099 * 0.75, 0.001 + 0.099 * 0.25, 0.001]
    np.testing.assert_allclose(rates, expected)
    constant = TrainingConfig(epochs=3, learning_rate=0.1)
    assert {learning_rate_at(step, constant, 2) for step in range(6)} == {0.1}
    stairs = TrainingConfig(epochs=90, learning_rate=0.1, schedule="staircase")
    found = [learning_rate_at(2 * epoch + 1, stairs, 2) for epoch in (0, 29, 30, 59, 60)]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.09, 0.09, 0.081])


def test_the_history_records_the_rate_used():
    config = TrainingConfig(epochs=3, learning_rate=0.1, schedule="cosine", warmup_epochs=1)
    feed = linear_feed([0, 1, 0, 1, 0, 1, 0, 1])
    history = fit_classifier(linear_model(), feed, feed, config, seed=0).history
    rates = [entry["learning_rate"] for entry in history]
    np.testing.assert_allclose(rates, [0.1, 0.001 + 0.099 * 0.75, 0.001], rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"schedule": "step"},
        {"warmup_epochs": -1},
        {"weight_decay": -1.0},
        {"label_smoothing": 0.6},
        {"class_weights": "auto"},
        {"monitor": "val_accuracy"},
        {"patience": 0},
        {"ema_momentum": 1.0},
        {"num_test_copies": 4},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        TrainingConfig(**change)


def three_class_model(**options):
    inputs = keras.Input((2, 1, 1))
    outputs = keras.layers.Dense(3, **options)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


def three_class_feed(labels, batch_size=16):
    return linear_feed(labels, batch_size)


def test_three_class_weights_and_losses_by_hand():
    # 6, 2 and 1 of 9 examples: weights 9/18, 9/6 and 9/3. Zero weights give ln 3.
    feed = three_class_feed([0, 0, 1, 0, 2, 0, 0, 1, 0])
    skewed = three_class_feed([2, 1, 2, 0])
    config = TrainingConfig(epochs=1, learning_rate=1e-9)
    model = three_class_model(kernel_initializer="zeros")
    entry = fit_classifier(model, feed, skewed, config, seed=0).best
    assert entry["loss"] == pytest.approx(np.log(3), rel=1e-5)
    assert entry["val_loss"] == pytest.approx(np.log(3) * (3 + 1.5 + 3 + 0.5) / 4, rel=1e-5)


def test_three_class_label_smoothing_by_hand():
    # Logits (0, ln 2, ln 5) give 1/8, 2/8 and 5/8. Label 1 smoothed by 0.3: 0.1, 0.8, 0.1.
    bias = keras.initializers.Constant(np.log([1.0, 2.0, 5.0]))
    model = three_class_model(kernel_initializer="zeros", bias_initializer=bias)
    config = TrainingConfig(epochs=1, learning_rate=1e-9, label_smoothing=0.3, class_weights="none")
    feed = three_class_feed([1, 1, 1, 1])
    entry = fit_classifier(model, feed, three_class_feed([0, 1]), config, seed=0).best
    logs = np.log([1 / 8, 2 / 8, 5 / 8])
    assert entry["loss"] == pytest.approx(-logs @ [0.1, 0.8, 0.1], rel=1e-5)
    assert entry["val_loss"] == pytest.approx(-(logs[0] + logs[1]) / 2, rel=1e-5)
    scores = predict_scores(model, feed)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, [[1 / 8, 2 / 8, 5 / 8]] * 4, rtol=1e-6)


def test_three_class_auroc_is_scikit_learns():
    labels = np.arange(30) % 3
    feed = three_class_feed(labels)
    model = three_class_model()
    result = fit_classifier(model, feed, feed, TrainingConfig(epochs=2), seed=1)
    expected = roc_auc_score(labels, predict_scores(model, feed), multi_class="ovr")
    assert result.best["val_auroc"] == pytest.approx(expected)
    # A class that the validation part lacks does not count.
    few = three_class_feed([0, 2, 0, 2, 2])
    entry = fit_classifier(model, feed, few, TrainingConfig(epochs=1), seed=1).best
    scores = predict_scores(model, few)
    truth = np.array([0, 2, 0, 2, 2])
    expected = [roc_auc_score(truth == k, scores[:, k]) for k in (0, 2)]
    assert entry["val_auroc"] == pytest.approx(np.mean(expected))


def test_three_classes_are_learned():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = rng.normal(size=(90, 2, 1, 1)).astype("float32") / 3
    images[:, 0, 0, 0] += labels == 1
    images[:, 1, 0, 0] += labels == 2
    feed = tf.data.Dataset.from_tensor_slices((images, labels[:, None].astype("float32")))
    feed = feed.batch(30)
    model = three_class_model()
    config = TrainingConfig(epochs=60, learning_rate=0.05, monitor="val_auroc")
    result = fit_classifier(model, feed, feed, config, seed=0)
    assert result.best["val_auroc"] > 0.9
    assert (predict_scores(model, feed).argmax(axis=1) == labels).mean() > 0.8


def test_three_class_feeds_that_cannot_work_are_refused():
    every, config = three_class_feed([0, 1, 2]), TrainingConfig(epochs=1)
    with pytest.raises(UserError, match=r"every class.*2 of class 0, 1 of class 1, 0 of class 2"):
        fit_classifier(three_class_model(), three_class_feed([0, 1, 0]), every, config, seed=0)
    with pytest.raises(UserError, match=r"at least two classes.*0 of class 0, 2 of class 1"):
        fit_classifier(three_class_model(), every, three_class_feed([1, 1]), config, seed=0)
    with pytest.raises(UserError, match=r"from 0 to 2.*3"):
        fit_classifier(three_class_model(), three_class_feed([0, 1, 2, 3]), every, config, seed=0)


def test_one_epoch_of_a_configuration_with_a_longer_warm_up():
    """The warm-up is then all of it: `--set training.epochs=1` needs no second setting."""
    config = TrainingConfig(epochs=1, learning_rate=0.1, schedule="cosine", warmup_epochs=2)
    rates = [learning_rate_at(step, config, 10) for step in range(10)]
    np.testing.assert_allclose(rates, np.arange(1, 11) / 100)
