"""Default boxes and matching, by hand; overlaps also against Keras."""

import keras
import numpy as np
import pytest

from mammo_tf.boxes import pairwise_iou
from mammo_tf.errors import UserError
from mammo_tf.models.ssd import BoxLayout, default_boxes, make_targets, match_boxes
from mammo_tf.models.ssd.boxes import (
    SSD300_RATIOS,
    SSD300_SCALES,
    SSD512_RATIOS,
    SSD512_SCALES,
)


def square_layout(sides, scales, ratios):
    shapes = tuple((side, side) for side in sides)
    return BoxLayout(feature_shapes=shapes, scales=scales, aspect_ratios=ratios)


SSD300 = square_layout((38, 19, 10, 5, 3, 1), SSD300_SCALES, SSD300_RATIOS)
SSD512 = square_layout((64, 32, 16, 8, 4, 2, 1), SSD512_SCALES, SSD512_RATIOS)


def middles_and_sizes(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


@pytest.mark.parametrize(("layout", "count"), [(SSD300, 8732), (SSD512, 24564)])
def test_as_many_boxes_as_in_the_paper(layout, count):
    boxes = default_boxes(layout)
    assert layout.num_boxes == count
    assert boxes.shape == (count, 4) and boxes.dtype == np.float32
    assert len(np.unique(boxes, axis=0)) == count
    middles = middles_and_sizes(boxes)[:, :2]
    assert middles.min() > 0 and middles.max() < 1


def test_first_and_last_boxes_of_ssd300():
    found = middles_and_sizes(default_boxes(SSD300))
    root = 0.1 * 2**0.5
    kinds = [(0.1, 0.1), (0.02**0.5, 0.02**0.5), (0.1 / 2**0.5, root), (root, 0.1 / 2**0.5)]
    step = 1 / 38
    # The first two columns, then the first column of the second row.
    for start, row, column in ((0, 0.5, 0.5), (4, 0.5, 1.5), (4 * 38, 1.5, 0.5)):
        expected = [(row * step, column * step, *kind) for kind in kinds]
        np.testing.assert_allclose(found[start : start + 4], expected, atol=1e-6)
    # The second map: 0.2, √(0.2 × 0.37), then 2 : 1 and 3 : 1, wide before tall.
    expected = [
        (0.2, 0.2),
        (0.272029, 0.272029),
        (0.141421, 0.282843),
        (0.282843, 0.141421),
        (0.115470, 0.346410),
        (0.346410, 0.115470),
    ]
    second = found[4 * 38 * 38 :][:6]
    np.testing.assert_allclose(second[:, :2], 0.5 / 19, atol=1e-6)
    np.testing.assert_allclose(second[:, 2:], expected, atol=2e-6)
    # The only cell of the last map: 0.88, √(0.88 × 1.05), and 2 : 1.
    expected = [(0.88, 0.88), (0.961249, 0.961249), (0.622254, 1.244508), (1.244508, 0.622254)]
    np.testing.assert_allclose(found[-4:, :2], 0.5, atol=1e-6)
    np.testing.assert_allclose(found[-4:, 2:], expected, atol=2e-6)


def test_a_layout_that_is_not_square():
    layout = BoxLayout(
        feature_shapes=((2, 3), (1, 2)), scales=(0.4, 0.9, 1.0), aspect_ratios=((4.0,), ())
    )
    assert layout.boxes_per_cell == (4, 2)
    assert layout.num_boxes == 2 * 3 * 4 + 2 * 2
    kinds = [(0.4, 0.4), (0.6, 0.6), (0.2, 0.8), (0.8, 0.2)]
    expected = [
        (y, x, *kind) for y in (1 / 4, 3 / 4) for x in (1 / 6, 3 / 6, 5 / 6) for kind in kinds
    ]
    large = 0.9**0.5
    expected += [(0.5, x, side, side) for x in (1 / 4, 3 / 4) for side in (0.9, large)]
    np.testing.assert_allclose(middles_and_sizes(default_boxes(layout)), expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"scales": (0.1, 0.2)}, {"aspect_ratios": ((2.0,),)}])
def test_lengths_must_agree(wrong):
    right = {"scales": (0.1, 0.2, 0.3), "aspect_ratios": ((2.0,), ())}
    with pytest.raises(UserError, match="`scales` must have one entry more than the 2 maps"):
        BoxLayout(feature_shapes=((2, 3), (1, 2)), **right | wrong)


class TestOverlap:
    def test_by_hand(self):
        boxes = np.array([[0, 0, 2, 4], [5, 5, 6, 6]])
        others = np.array([[1, 2, 3, 6], [0, 0, 2, 4], [0, 0, 2, 1]])
        # Shared 1 × 2 of 8 + 8 − 2; all; a quarter.
        np.testing.assert_allclose(pairwise_iou(boxes, others), [[1 / 7, 1, 1 / 4], [0, 0, 0]])

    @pytest.mark.parametrize("seed", [0, 1])
    def test_against_keras(self, seed):
        rng = np.random.default_rng(seed)
        low, other_low = rng.uniform(-0.2, 1, (30, 2)), rng.uniform(-0.2, 1, (20, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.01, 0.6, (30, 2))], 1).astype("f4")
        others = np.concatenate([other_low, other_low + rng.uniform(0.01, 0.6, (20, 2))], 1)
        others = others.astype("f4")
        expected = keras.utils.bounding_boxes.compute_iou(boxes, others, "yxyx")
        expected = keras.ops.convert_to_numpy(expected)
        assert 0.1 < (expected > 0).mean() < 0.9
        np.testing.assert_allclose(pairwise_iou(boxes, others), expected, atol=1e-5)

    def test_empty_boxes(self):
        point, line = [0.3, 0.3, 0.3, 0.3], [0.2, 0.1, 0.2, 0.9]
        inverted, square = [0.6, 0.6, 0.2, 0.2], [0.0, 0.0, 1.0, 1.0]
        found = pairwise_iou(
            np.array([point, line, inverted]), np.array([point, line, inverted, square])
        )
        assert (found == 0).all()
        assert pairwise_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
        assert pairwise_iou(np.zeros((2, 4)), np.zeros((0, 4))).shape == (2, 0)


# Four unit squares side by side.
STRIP = np.array([[0, left, 1, left + 1] for left in range(4)], float)


def strip(left, right):
    return [0, left, 1, right]


class TestMatching:
    @pytest.mark.parametrize(
        ("truths", "expected"),
        [
            # 0.4 / 1.6 with the first, 0.6 / 1.4 with the second: none reaches 0.5.
            ([strip(0.6, 1.6)], [-1, 0, -1, -1]),
            # Both want the second square. 1 there; the other has 0.8 / 1.2, and 0.2 / 1.8 with
            # the third, which it gets; and the same in the other order.
            ([strip(1, 2), strip(1.2, 2.2)], [-1, 0, 1, -1]),
            ([strip(1.2, 2.2), strip(1, 2)], [-1, 1, 0, -1]),
            # Exactly 0.5 with two.
            ([strip(2, 4)], [-1, -1, 0, 0]),
            # Far away; and beside another one.
            ([strip(9, 10)], [-1, -1, -1, -1]),
            ([strip(9, 10), strip(3, 4)], [-1, -1, -1, 1]),
            # Without area.
            ([strip(1.5, 1.5)], [-1, -1, -1, -1]),
        ],
    )
    def test_by_hand(self, truths, expected):
        assert match_boxes(STRIP, np.array(truths)).tolist() == expected

    def test_the_first_of_equals(self):
        assert match_boxes(STRIP, np.array([strip(2, 4)]), iou=0.51).tolist() == [-1, -1, 0, -1]

    def test_being_best_goes_before_being_close(self):
        # The first box overlaps truth 0 by 0.8 and truth 1 by 0.6; but truth 0 has a better one
        # (0.96), and truth 1 has none better.
        defaults = np.array([strip(0, 1), strip(0, 1.2)])
        truths = np.array([strip(0, 1.25), strip(0, 0.6)])
        assert match_boxes(defaults, truths).tolist() == [1, 0]

    def test_more_truths_than_boxes(self):
        truths = np.array([strip(0, 0.5), strip(0, 0.9), strip(0, 0.7)])
        assert match_boxes(STRIP[:1], truths).tolist() == [1]

    @pytest.mark.parametrize("truths", [np.zeros((0, 4)), []])
    def test_no_truth(self, truths):
        found = match_boxes(STRIP, truths)
        assert found.tolist() == [-1] * 4

    def test_every_lesion_of_a_film_gets_a_box(self):
        rng = np.random.default_rng(0)
        defaults = default_boxes(SSD300)
        for _ in range(20):
            middles, sides = rng.uniform(0.2, 0.8, (3, 2)), rng.uniform(0.006, 0.38, (3, 1))
            truths = np.concatenate([middles - sides / 2, middles + sides / 2], 1)
            assert set(match_boxes(defaults, truths)) == {-1, 0, 1, 2}


class TestTargets:
    def test_by_hand(self):
        truths = np.array([strip(2.5, 3.5), strip(0.1, 1.1)], np.float32)
        found = make_targets(STRIP, truths, np.array([2, 5]))
        # Truth 0 ties between the last two and gets the third; truth 1 has 0.9 / 1.1 of the first.
        expected = [
            [5, 0, 0.1, 1, 1.1],
            [0, 0, 1, 1, 2],
            [2, 0, 2.5, 1, 3.5],
            [0, 0, 3, 1, 4],
        ]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_a_lower_threshold(self):
        # 0.5 / 1.5 with the third and the fourth.
        found = make_targets(STRIP, [strip(2.5, 3.5)], [3], iou=0.3)
        assert found[:, 0].tolist() == [0, 0, 3, 3]

    def test_background_is_the_default_box_itself(self):
        found = make_targets(STRIP, np.zeros((0, 4)), np.zeros(0, int))
        np.testing.assert_array_equal(found, np.c_[np.zeros(4), STRIP])

    @pytest.mark.parametrize("labels", [[], [1, 2], [0], [-1]])
    def test_wrong_labels(self, labels):
        with pytest.raises(UserError, match="`labels` must be one class from 1"):
            make_targets(STRIP, [strip(0, 1)], labels)
