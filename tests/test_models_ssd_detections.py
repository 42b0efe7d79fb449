"""From SSD's output to detections: suppression against TensorFlow's, the rest by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.errors import UserError
from mammo_tf.models.ssd import find_detections, non_maximum_suppression

# Two that overlap by 0.152 / 0.168, one that leaves the image, one by itself.
DEFAULTS = np.array(
    [[0, 0, 0.4, 0.4], [0, 0.02, 0.4, 0.42], [0.5, 0.5, 1.1, 1.2], [0.5, 0, 0.9, 0.4]], "f4"
)
MODEL = SimpleNamespace(default_boxes=DEFAULTS)
# Background, class 1, class 2.
PROBABILITIES = np.array(
    [[0.1, 0.6, 0.3], [0.2, 0.1, 0.7], [0.5, 0.45, 0.05], [0.995, 0.004, 0.001]], "f4"
)


def outputs_of(*probabilities, offsets=None):
    """(batch, 4, 7) whose softmax is this; a constant added to logits changes nothing."""
    logits = np.log(np.stack(probabilities)) + np.float32(3)
    offsets = np.zeros((*logits.shape[:2], 4)) if offsets is None else offsets
    return np.concatenate([logits, offsets], -1).astype("f4")


class TestSuppression:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    @pytest.mark.parametrize(("iou", "max_boxes"), [(0.2, 500), (0.45, 500), (0.7, 40), (0.0, 500)])
    @pytest.mark.parametrize("ties", [False, True])
    def test_against_tensorflow(self, seed, iou, max_boxes, ties):
        rng = np.random.default_rng(seed)
        low = rng.uniform(-0.1, 0.9, (300, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.02, 0.4, (300, 2))], 1).astype("f4")
        scores = rng.uniform(0, 1, 300).astype("f4")
        if ties:
            scores = np.round(scores, 1)
        expected = tf.image.non_max_suppression(boxes, scores, max_boxes, iou).numpy()
        found = non_maximum_suppression(boxes, scores, iou=iou, max_boxes=max_boxes)
        assert 5 < len(expected) < 250
        assert found.tolist() == expected.tolist()

    def test_by_hand(self):
        # The second goes with the first, though the third, which is better than it, stays.
        found = non_maximum_suppression(DEFAULTS[:3], np.array([0.9, 0.2, 0.5]))
        assert found.tolist() == [0, 2]
        found = non_maximum_suppression(DEFAULTS[:3], np.array([0.9, 0.2, 0.5]), iou=0.95)
        assert found.tolist() == [0, 2, 1]

    def test_nothing(self):
        found = non_maximum_suppression(np.zeros((0, 4)), np.zeros(0))
        assert found.shape == (0,) and found.dtype.kind == "i"


class TestDetections:
    def test_lesions_of_any_class(self):
        (found,) = find_detections(MODEL, outputs_of(PROBABILITIES))
        assert len(found) == 2
        np.testing.assert_allclose(found.scores, [0.9, 0.5], atol=1e-6)
        assert found.labels.tolist() == [0, 0]
        np.testing.assert_allclose(found.boxes_yxyx, [DEFAULTS[0], [0.5, 0.5, 1, 1]], atol=1e-6)
        np.testing.assert_allclose(found.probabilities, PROBABILITIES[[0, 2]], atol=1e-6)
        assert found.boxes_yxyx.dtype == found.scores.dtype == np.float32

    def test_each_class_by_itself(self):
        (found,) = find_detections(MODEL, outputs_of(PROBABILITIES), by_class=True)
        assert found.labels.tolist() == [2, 1, 1, 2]
        np.testing.assert_allclose(found.scores, [0.7, 0.6, 0.45, 0.05], atol=1e-6)
        expected = DEFAULTS[[1, 0, 2, 2]].clip(0, 1)
        np.testing.assert_allclose(found.boxes_yxyx, expected, atol=1e-6)
        np.testing.assert_allclose(found.probabilities, PROBABILITIES[[1, 0, 2, 2]], atol=1e-6)

    @pytest.mark.parametrize(
        ("options", "scores"),
        [
            ({"min_score": 0.6}, [0.7, 0.6]),
            ({"min_score": 0.001}, [0.7, 0.6, 0.45, 0.05, 0.004, 0.001]),
            ({"max_boxes": 1}, [0.7]),
            ({"max_boxes": 3}, [0.7, 0.6, 0.45]),
            ({"max_candidates": 1}, [0.7, 0.6]),
            # Both of the overlapping pair stay, in both classes.
            ({"iou": 0.95}, [0.7, 0.6, 0.45, 0.3, 0.1, 0.05]),
        ],
    )
    def test_options(self, options, scores):
        if options.get("min_score"):
            options = {**options, "min_score": options["min_score"] - 1e-5}
        (found,) = find_detections(MODEL, outputs_of(PROBABILITIES), by_class=True, **options)
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)

    def test_offsets_move_boxes(self):
        offsets = np.zeros((1, 4, 4))
        # Down by half the height and twice as wide.
        offsets[0, 0] = [5, 0, 0, np.log(2) / 0.2]
        (found,) = find_detections(MODEL, outputs_of(PROBABILITIES, offsets=offsets), iou=0.99)
        np.testing.assert_allclose(found.boxes_yxyx[0], [0.2, 0, 0.6, 0.6], atol=1e-6)

    def test_images_do_not_mix(self):
        blank = np.tile(np.array([0.998, 0.001, 0.001], "f4"), (4, 1))
        for by_class in (False, True):
            found = find_detections(
                MODEL, outputs_of(blank, PROBABILITIES, PROBABILITIES[::-1]), by_class=by_class
            )
            assert [len(each) for each in found] == [0, *[len(each) for each in found[1:]]]
            alone = find_detections(MODEL, outputs_of(PROBABILITIES), by_class=by_class)[0]
            np.testing.assert_array_equal(found[1].boxes_yxyx, alone.boxes_yxyx)
            np.testing.assert_array_equal(found[1].labels, alone.labels)
            assert found[0].boxes_yxyx.shape == (0, 4)
            assert found[0].probabilities.shape == (0, 3)
            assert found[0].labels.shape == found[0].scores.shape == (0,)

    @pytest.mark.parametrize("value", [1e3, -1e3, 1e30, -1e30])
    def test_wild_offsets_stay_in_the_image(self, value):
        offsets = np.full((1, 4, 4), value)
        (found,) = find_detections(MODEL, outputs_of(PROBABILITIES, offsets=offsets))
        assert len(found)
        assert (found.boxes_yxyx >= 0).all() and (found.boxes_yxyx <= 1).all()

    @pytest.mark.parametrize("place", [2, 5])
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, place, value):
        outputs = outputs_of(PROBABILITIES)
        outputs[0, 1, place] = value
        with pytest.raises(UserError, match="not finite"):
            find_detections(MODEL, outputs)
