"""Offsets by hand, mining by hand, and the loss against the paper's formulas in plain Python."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.models.ssd import (
    BoxLayout,
    MultiBoxLoss,
    decode_boxes,
    default_boxes,
    encode_boxes,
    make_targets,
)
from mammo_tf.models.ssd.loss import hard_negatives

LAYOUT = BoxLayout(
    feature_shapes=((2, 3), (1, 1)), scales=(0.4, 0.7, 0.9), aspect_ratios=((2,), ())
)
NUM_BOXES = 2 * 3 * 4 + 2
DEFAULTS = default_boxes(LAYOUT)
LESIONS = (
    [([0.05, 0.1, 0.45, 0.3], 1), ([0.4, 0.5, 0.9, 0.95], 2)],
    [],
    [([0.1, 0.2, 0.95, 0.9], 2)],
    [],
)


def targets_of(images):
    made = []
    for lesions in images:
        boxes = np.array([box for box, _ in lesions], "f4").reshape(-1, 4)
        made.append(make_targets(DEFAULTS, boxes, [label for _, label in lesions]))
    return np.stack(made)


def outputs_of(batch, seed=0, num_classes=2):
    shape = (batch, NUM_BOXES, num_classes + 5)
    return (2 * np.random.default_rng(seed).normal(size=shape)).astype("f4")


TARGETS, OUTPUTS = targets_of(LESIONS), outputs_of(4)


def offsets_by_hand(default, box):
    """Eq. 2 of the paper, divided by the variances of the authors' code."""
    top, left, bottom, right = (float(value) for value in default)
    height, width = bottom - top, right - left
    box = [float(value) for value in box]
    return [
        ((box[0] + box[2]) / 2 - (top + bottom) / 2) / height / 0.1,
        ((box[1] + box[3]) / 2 - (left + right) / 2) / width / 0.1,
        math.log((box[2] - box[0]) / height) / 0.2,
        math.log((box[3] - box[1]) / width) / 0.2,
    ]


def entropy_by_hand(logits, label, smoothing):
    """The cross-entropy of the softmax with the class, moved towards uniform."""
    logits = [float(value) for value in logits]
    logarithm = math.log(sum(math.exp(value) for value in logits))
    shares = [smoothing / len(logits)] * len(logits)
    shares[label] += 1 - smoothing
    return sum(share * (logarithm - value) for share, value in zip(shares, logits, strict=True))


def paper_loss(targets, outputs, *, ratio=3.0, weight=1.0, smoothing=0.0, at_least=0):
    """(Lconf + α Lloc) / N of a batch, in loops. Negatives are the worst of each image."""
    total, num_positives, num_negatives = 0.0, 0, 0
    for image_targets, image_outputs in zip(targets, outputs, strict=True):
        positives, backgrounds = 0, []
        for default, target, output in zip(DEFAULTS, image_targets, image_outputs, strict=True):
            label = int(target[0])
            entropy = entropy_by_hand(output[:-4], label, smoothing)
            if label == 0:
                backgrounds.append(entropy)
                continue
            positives += 1
            total += entropy
            wanted = offsets_by_hand(default, target[1:])
            for got, offset in zip(output[-4:], wanted, strict=True):
                gap = abs(float(got) - offset)
                total += weight * (gap**2 / 2 if gap < 1 else gap - 0.5)
        taken = sorted(backgrounds, reverse=True)[: max(int(ratio * positives), at_least)]
        total += sum(taken)
        num_positives += positives
        num_negatives += len(taken)
    return total / max(num_positives, num_negatives / ratio, 1)


class TestOffsets:
    def test_by_hand(self):
        default = np.array([[0.2, 0.3, 0.4, 0.7]], "f4")
        box = np.array([[0.25, 0.4, 0.65, 0.6]], "f4")
        # The middle moves 0.15 of a height of 0.2; twice as high, half as wide.
        expected = [[0.75 / 0.1, 0, math.log(2) / 0.2, -math.log(2) / 0.2]]
        found = keras.ops.convert_to_numpy(encode_boxes(default, box))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(decode_boxes(default, found[np.newaxis])[0], box, atol=1e-6)

    def test_decode_by_hand(self):
        # Middle 0.3 + 0.1 × 0.2 × −1, width 0.4 × e^0.4.
        default = np.array([[0.2, 0.3, 0.4, 0.7]], "f4")
        found = decode_boxes(default, np.array([[[-1, 0, 0, 2]]], "f4"))
        half = 0.2 * math.exp(0.4)
        np.testing.assert_allclose(found, [[[0.18, 0.5 - half, 0.38, 0.5 + half]]], atol=1e-6)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_inverse_pair(self, seed):
        rng = np.random.default_rng(seed)
        low = rng.uniform(-0.2, 0.9, (3, NUM_BOXES, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.006, 0.8, low.shape)], -1).astype("f4")
        offsets = keras.ops.convert_to_numpy(encode_boxes(DEFAULTS, boxes))
        assert offsets.shape == boxes.shape
        expected = offsets_by_hand(DEFAULTS[5], boxes[2, 5])
        np.testing.assert_allclose(offsets[2, 5], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(decode_boxes(DEFAULTS, offsets), boxes, atol=1e-5)

    def test_a_box_without_area_stays_finite(self):
        points = np.repeat(DEFAULTS[np.newaxis, :, :2], 2, -1)
        assert np.isfinite(keras.ops.convert_to_numpy(encode_boxes(DEFAULTS, points))).all()


class TestMining:
    def mine(self, losses, positive, wanted):
        found = hard_negatives(np.array(losses, "f4"), np.array(positive, bool), np.array(wanted))
        return keras.ops.convert_to_numpy(found)

    def test_the_worst_negatives(self):
        losses = [[0.1, 0.9, 0.5, 0.3, 0.7], [0.5, 0.4, 0.3, 0.2, 0.1]]
        positive = [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1]]
        found = self.mine(losses, positive, [2, 1])
        assert found.tolist() == [
            [False, False, True, False, True],
            [True, False, False, False, False],
        ]

    @pytest.mark.parametrize("wanted", [0, 1, 3, 7])
    def test_no_more_than_asked_for_where_all_are_equal(self, wanted):
        positive = np.arange(8) == 2
        found = self.mine(np.full((1, 8), 0.25), positive[np.newaxis], [wanted])
        assert found.sum() == wanted
        assert not found[0, 2]

    def test_fewer_where_there_are_no_more(self):
        found = self.mine([[0.0, 0.0, 3.0]], [[0, 0, 1]], [9])
        assert found.tolist() == [[True, True, False]]


class TestLoss:
    @pytest.mark.parametrize(
        "options", [{}, {"ratio": 2.0, "weight": 0.5}, {"ratio": 1.5, "smoothing": 0.1}]
    )
    def test_against_the_paper(self, options):
        assert (TARGETS[..., 0] > 0).sum(1).tolist()[1::2] == [0, 0]
        loss = MultiBoxLoss(
            LAYOUT,
            min_negatives=0,
            negative_ratio=options.get("ratio", 3.0),
            box_weight=options.get("weight", 1.0),
            label_smoothing=options.get("smoothing", 0.0),
        )
        expected = paper_loss(TARGETS, OUTPUTS, **options)
        assert float(loss(TARGETS, OUTPUTS)) == pytest.approx(expected, rel=1e-5)

    def test_three_negatives_a_positive(self):
        # All logits 0 but one class of one background box: it is the worst, and counts once.
        targets, outputs = targets_of([LESIONS[2]]), np.zeros((1, NUM_BOXES, 7), "f4")
        positives = int((targets[..., 0] > 0).sum())
        matched = targets[0, :, 0] > 0
        offsets = keras.ops.convert_to_numpy(encode_boxes(DEFAULTS, targets[0, :, 1:]))
        outputs[0, :, -4:] = offsets  # so that no box is wrong
        outputs[0, np.flatnonzero(~matched)[3], 1] = 5
        worst = math.log(2 + math.exp(5))
        expected = (positives * 4 - 1) * math.log(3) + worst
        found = MultiBoxLoss(LAYOUT, min_negatives=0)(targets, outputs)
        assert float(found) == pytest.approx(expected / positives, rel=1e-5)

    @pytest.mark.parametrize("at_least", [3, 5])
    def test_normals_teach_too(self, at_least):
        loss = MultiBoxLoss(LAYOUT, min_negatives=at_least)
        for part in ([1, 3], [0, 1, 2, 3], [1]):
            expected = paper_loss(TARGETS[part], OUTPUTS[part], at_least=at_least)
            found = float(loss(TARGETS[part], OUTPUTS[part]))
            assert found > 0.1
            assert found == pytest.approx(expected, rel=1e-5)

    def test_normals_alone_are_0_in_the_paper(self):
        found = MultiBoxLoss(LAYOUT, min_negatives=0)(TARGETS[1:2], OUTPUTS[1:2])
        assert float(found) == 0

    @pytest.mark.parametrize("at_least", [0, 3])
    @pytest.mark.parametrize("images", [[0, 1, 2, 3], [1, 3]])
    @pytest.mark.parametrize("scale", [0, 1, 1e4, 1e30])
    def test_gradients_are_finite(self, at_least, images, scale):
        targets = TARGETS[images].copy()
        if 0 in images:
            targets[0, 0] = [1, 0.3, 0.3, 0.3, 0.3]  # a lesion without area
        outputs = tf.constant(np.float32(scale) * OUTPUTS[images])
        loss = MultiBoxLoss(LAYOUT, min_negatives=at_least, label_smoothing=0.1)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = loss(targets, outputs)
        gradient = tape.gradient(value, outputs).numpy()
        assert np.isfinite(value) and np.isfinite(gradient).all()
        assert (gradient != 0).any() == (at_least > 0 or 0 in images)

    def test_order_and_number_of_images(self):
        loss = MultiBoxLoss(LAYOUT)
        order = [2, 0, 3, 1]
        expected = float(loss(TARGETS, OUTPUTS))
        assert float(loss(TARGETS[order], OUTPUTS[order])) == pytest.approx(expected, rel=1e-6)
        twice = float(loss(np.tile(TARGETS, (2, 1, 1)), np.tile(OUTPUTS, (2, 1, 1))))
        assert twice == pytest.approx(expected, rel=1e-6)

    def test_reductions(self):
        mean, total, each = (
            keras.ops.convert_to_numpy(MultiBoxLoss(LAYOUT, reduction=name)(TARGETS, OUTPUTS))
            for name in ("sum_over_batch_size", "sum", "none")
        )
        assert each.shape == (4,)
        assert total == pytest.approx(each.sum(), rel=1e-6)
        assert mean == pytest.approx(each.mean(), rel=1e-6)

    def test_batches_of_any_size_in_a_graph(self):
        loss = MultiBoxLoss(LAYOUT)
        shapes = ((None, NUM_BOXES, 5), (None, NUM_BOXES, 7))
        compiled = tf.function(loss, input_signature=[tf.TensorSpec(shape) for shape in shapes])
        for count in (4, 3, 1):
            expected = paper_loss(TARGETS[:count], OUTPUTS[:count], at_least=3)
            found = float(compiled(TARGETS[:count], OUTPUTS[:count]))
            assert found == pytest.approx(expected, rel=1e-5)

    def test_config_round_trip(self):
        loss = MultiBoxLoss(
            LAYOUT,
            negative_ratio=2.0,
            min_negatives=4,
            box_weight=0.5,
            label_smoothing=0.2,
            name="other",
            reduction="sum",
        )
        config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
        again = keras.saving.deserialize_keras_object(config)
        assert (again.name, again.reduction) == ("other", "sum")
        assert float(again(TARGETS, OUTPUTS)) == float(loss(TARGETS, OUTPUTS))
        options = {"ratio": 2.0, "weight": 0.5, "smoothing": 0.2, "at_least": 4}
        expected = 4 * paper_loss(TARGETS, OUTPUTS, **options)
        assert float(again(TARGETS, OUTPUTS)) == pytest.approx(expected, rel=1e-5)
