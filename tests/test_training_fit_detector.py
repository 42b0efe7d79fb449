"""Training SSD: it finds discs; averages, schedule and seeds on a network small enough to redo."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from mammo_tf.boxes import pairwise_iou
from mammo_tf.errors import DataError, UserError
from mammo_tf.models.ssd import SSD, BoxLayout, default_boxes, find_detections
from mammo_tf.pipelines.detection.augment import DetectionAugmentConfig
from mammo_tf.pipelines.detection.batches import DetectionBatches, make_detection_feed
from mammo_tf.pipelines.detection.examples import detection_task
from mammo_tf.training.detector_checkpoint import DetectorCheckpoint
from mammo_tf.training.detector_config import DetectorTrainingConfig
from mammo_tf.training.fit_detector import fit_detector

SIZE = 64
TINY = DetectorTrainingConfig(
    epochs=4, batch_size=4, learning_rate=3e-3, warmup_epochs=1, ema_momentum=None, mosaic_share=0.5
)


def discs(count, seed, num_normals=0):
    """Noise with one bright disc each; the last ones without."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    images, boxes, labels = [], [], []
    for number in range(count + num_normals):
        image = rng.normal(80, 12, (SIZE, SIZE))
        radius = rng.uniform(6, 10)
        row, column = rng.uniform(radius + 1, SIZE - radius - 1, 2)
        if number < count:
            image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] += 90
            box = np.array([[row - radius, column - radius, row + radius, column + radius]])
        else:
            box = np.zeros((0, 4))
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        boxes.append((box / SIZE).astype("f4"))
        labels.append(np.ones(len(box), int))
    ids = tuple(f"disc{number}" for number in range(len(images)))
    return detection_task(
        np.stack(images), boxes, labels, box_class_names=("disc",), example_ids=ids
    )


class TinyDetector(keras.Model):
    """All that training asks of an SSD, in two convolutions."""

    layout = BoxLayout(feature_shapes=((4, 4),), scales=(0.25, 0.35), aspect_ratios=((),))
    default_boxes = default_boxes(layout)

    def __init__(self):
        images = keras.Input((SIZE, SIZE, 3))
        features = layers.Conv2D(4, 8, strides=8, activation="relu")(images)
        features = layers.BatchNormalization()(features)
        outputs = layers.Conv2D(2 * 6, 2, strides=2)(features)
        super().__init__(images, layers.Reshape((-1, 6))(outputs))


def batches_of(examples, model, config, seed=0, **options):
    return DetectionBatches(
        examples,
        model.default_boxes,
        shape=(SIZE, SIZE),
        batch_size=config.batch_size,
        seed=seed,
        augment=config.augment,
        lesion_copies=config.lesion_copies,
        normals_per_lesion=config.normals_per_lesion,
        mosaic_epochs=round(config.mosaic_share * config.epochs),
        **options,
    )


def train_tiny(config=TINY, seed=0, through_tf=False, on_epoch=None, spy=None, **options):
    """Returns the model and its history."""
    keras.utils.set_random_seed(seed)
    model = TinyDetector()
    batches = batches_of(discs(6, 0, num_normals=6), model, config, seed, **options)
    if spy is not None:
        spy(batches)
    feed = make_detection_feed(batches) if through_tf else batches
    callback = None if on_epoch is None else lambda entry: on_epoch(model, entry)
    return model, fit_detector(model, feed, config, seed=seed, on_epoch=callback)


def trainable(model):
    return [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]


def surest(model, examples):
    """The score of the surest box of each image, and how far it overlaps with the disc."""
    unchanged = DetectionBatches(
        examples, model.default_boxes, shape=(SIZE, SIZE), batch_size=len(examples)
    )
    found = find_detections(model, model.predict_on_batch(unchanged.batch(0, 0)[0]), min_score=0)
    overlaps = [
        pairwise_iou(each.boxes_yxyx[:1], truths).max(initial=0)
        for each, truths in zip(found, examples.boxes, strict=True)
    ]
    return np.array([each.scores[0] for each in found]), np.array(overlaps)


@pytest.mark.slow
def test_it_learns_to_find_discs():
    config = DetectorTrainingConfig(
        epochs=24, batch_size=8, learning_rate=4e-3, ema_momentum=0.9, lesion_copies=2,
        mosaic_share=0.5,
    )  # fmt: skip
    unseen = discs(16, 1)
    keras.utils.set_random_seed(0)
    model = SSD(num_classes=1, backbone="light", image_shape=(SIZE, SIZE, 3))
    assert np.mean(surest(model, unseen)[1] > 0.5) < 0.4

    feed = make_detection_feed(batches_of(discs(24, 0), model, config))
    history = fit_detector(model, feed, config, seed=0)
    losses = [entry["loss"] for entry in history]
    assert len(losses) == 24
    assert np.mean(losses[8:12]) < 0.5 * losses[0]  # mosaics
    assert np.mean(losses[-3:]) < 0.75 * losses[12]  # whole images
    scores, overlaps = surest(model, unseen)
    assert np.mean(overlaps > 0.5) > 0.8
    assert np.mean(overlaps) > 0.65
    nothing, _ = surest(model, discs(0, 2, num_normals=8))
    assert np.median(scores) > 2 * np.median(nothing)


class TestSeeds:
    def test_same_seed_same_weights_and_both_ways_to_feed(self):
        first, history = train_tiny(seed=3)
        again, history_again = train_tiny(seed=3)
        fed, history_fed = train_tiny(seed=3, through_tf=True)
        assert history == history_again == history_fed
        for expected, got, got_fed in zip(
            first.get_weights(), again.get_weights(), fed.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(got_fed, expected)
        other, _ = train_tiny(seed=4)
        assert np.abs(other.get_weights()[0] - first.get_weights()[0]).max() > 1e-3

    @pytest.mark.parametrize("options", [{}, {"through_tf": True}, {"workers": 2}])
    def test_epochs_are_counted_from_0(self, options):
        made = set()

        def spy(batches):
            genuine = batches.batch

            def batch(epoch, index):
                made.add((epoch, index))
                return genuine(epoch, index)

            batches.batch = batch

        config = dataclasses.replace(TINY, epochs=3)
        train_tiny(config, spy=spy, **options)
        assert made == {(epoch, index) for epoch in range(3) for index in range(3)}


class TestGoingOn:
    SETTINGS = {"epochs": 4}  # noqa: RUF012
    CONFIG = dataclasses.replace(TINY, ema_momentum=0.6)

    def train(self, folder, *, stop_after=None, through_tf=False):
        """Trains TINY, or what is left of it; a stop comes after an epoch has been kept."""
        checkpoint = DetectorCheckpoint(folder, self.SETTINGS)

        def on_epoch(entry):
            if entry["epoch"] == stop_after:
                raise KeyboardInterrupt

        keras.utils.set_random_seed(7)
        model = TinyDetector()
        batches = batches_of(
            discs(6, 0, num_normals=6), model, self.CONFIG, 7, first_epoch=checkpoint.epoch
        )
        feed = make_detection_feed(batches) if through_tf else batches
        history = fit_detector(
            model, feed, self.CONFIG, seed=7, on_epoch=on_epoch, checkpoint=checkpoint
        )
        return model, history, checkpoint

    @pytest.mark.parametrize("through_tf", [False, True])
    def test_the_weights_are_those_of_a_run_that_was_never_stopped(self, tmp_path, through_tf):
        undisturbed, history, _ = self.train(tmp_path / "a", through_tf=through_tf)
        for stop_after in (1, 3, 4):  # after the last one only the average is left to be taken
            with pytest.raises(KeyboardInterrupt):
                self.train(tmp_path / "b", stop_after=stop_after, through_tf=through_tf)
            assert DetectorCheckpoint(tmp_path / "b", self.SETTINGS).epoch == stop_after
        resumed, whole, checkpoint = self.train(tmp_path / "b", through_tf=through_tf)
        assert whole == history and [entry["epoch"] for entry in whole] == [1, 2, 3, 4]
        for expected, got in zip(undisturbed.get_weights(), resumed.get_weights(), strict=True):
            np.testing.assert_array_equal(got, expected)
        checkpoint.delete()
        assert not (tmp_path / "b").exists()

    def test_other_settings_networks_and_damage_are_refused(self, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            self.train(tmp_path, stop_after=1)
        with pytest.raises(UserError, match=r"other settings \(epochs"):
            DetectorCheckpoint(tmp_path, {"epochs": 5})
        other = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
        other.compile("sgd", "mse")
        with pytest.raises(DataError, match="weights of another network"):
            DetectorCheckpoint(tmp_path, self.SETTINGS).restore(other)
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(DataError, match="is damaged"):
            DetectorCheckpoint(tmp_path, self.SETTINGS)


class TestOptimizer:
    # One batch an epoch, so that each step's weights can be looked at.
    ONE = dataclasses.replace(TINY, epochs=6, batch_size=12, warmup_epochs=2)

    def test_the_weights_kept_are_a_moving_average(self):
        steps = []
        config = dataclasses.replace(self.ONE, ema_momentum=0.6)
        model, _ = train_tiny(config, on_epoch=lambda model, _: steps.append(trainable(model)))
        assert len(steps) == 6
        expected = steps[0]
        for weights in steps[1:]:
            expected = [0.6 * mean + 0.4 * new for mean, new in zip(expected, weights, strict=True)]
        for got, mean, last in zip(trainable(model), expected, steps[-1], strict=True):
            np.testing.assert_allclose(got, mean, atol=1e-6)
            assert np.abs(got - last).max() > 1e-5

    def test_without_average_the_last_weights_are_kept(self):
        steps = []
        model, _ = train_tiny(self.ONE, on_epoch=lambda model, _: steps.append(trainable(model)))
        for got, last, before in zip(trainable(model), steps[-1], steps[-2], strict=True):
            np.testing.assert_array_equal(got, last)
            assert np.abs(last - before).max() > 0

    @pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
    def test_schedule_and_history(self, optimizer):
        told = []
        config = dataclasses.replace(self.ONE, optimizer=optimizer, learning_rate=1e-3)
        model, history = train_tiny(config, on_epoch=lambda _, entry: told.append(entry))
        assert told == history
        assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
        # Up over two steps, then along a cosine of four steps to a hundredth.
        cosine = [0.01 + 0.99 * (1 + np.cos(np.pi * step / 4)) / 2 for step in range(5)]
        rates = [entry["learning_rate"] * 1000 for entry in history]
        np.testing.assert_allclose(rates, [0.5, *cosine], rtol=1e-4)
        assert type(model.optimizer).__name__.lower() == optimizer

    def test_a_single_step(self):
        config = dataclasses.replace(self.ONE, epochs=1, warmup_epochs=1)
        model, history = train_tiny(config)
        assert len(history) == 1 and np.isfinite(model.get_weights()[0]).all()


class TestMistakes:
    def test_divergence(self):
        # A decay of 10 × 1 a step turns each weight into −9 times itself.
        config = dataclasses.replace(
            TINY, optimizer="sgd", learning_rate=10, weight_decay=1, warmup_epochs=0, epochs=20
        )
        with pytest.raises(UserError, match=r"diverged.*epoch \d+\. Lower `learning_rate`.*=10\."):
            train_tiny(config)

    def test_no_lesion(self):
        model = TinyDetector()
        with pytest.raises(UserError, match="images with lesions"):
            batches_of(discs(0, 0, num_normals=4), model, TINY)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("epochs", 0),
            ("batch_size", 0),
            ("learning_rate", 0),
            ("learning_rate", float("nan")),
            ("warmup_epochs", -1),
            ("weight_decay", -1),
            ("clip_norm", 0),
            ("ema_momentum", 1.0),
            ("ema_momentum", -0.1),
            ("lesion_copies", 0),
            ("normals_per_lesion", -1),
            ("mosaic_share", 1.1),
            ("negative_ratio", -1),
            ("min_negatives", -1),
            ("box_weight", -1),
            ("label_smoothing", 0.6),
            ("optimizer", "lion"),
        ],
    )
    def test_out_of_range(self, name, value):
        with pytest.raises(UserError, match=f"`{name}` must be"):
            dataclasses.replace(TINY, **{name: value})

    def test_defaults_are_in_range(self):
        assert DetectorTrainingConfig().augment == DetectionAugmentConfig()
