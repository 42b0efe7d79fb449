"""The detector on images whose aspect is not the network's."""

import numpy as np
import pytest

from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection import detector as module
from mammo_tf.pipelines.detection.detector import Detector


class FakeNetwork:
    """Sees the images and gives them back; 40 rows and 20 columns."""

    image_shape = (40, 20, 3)
    layout = None

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, batch):
        self.seen.append(batch)
        return np.zeros((len(batch), 1, 6), np.float32)


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(module, "restore_outputs", lambda outputs, layout, view: outputs)
    return FakeNetwork()


def test_canvas_is_the_smallest_with_the_networks_aspect(network):
    detector = Detector(network, ("lesion",))
    assert detector.canvas(np.zeros((80, 40))) == (0, 0, 1, 1)
    # 30 rows and 40 columns: the canvas needs 80 rows.
    assert detector.canvas(np.zeros((30, 40))) == (0, 0, pytest.approx(80 / 30), 1)
    # 100 rows and 10 columns: the canvas needs 50 columns.
    assert detector.canvas(np.zeros((100, 10))) == (0, 0, 1, 5)


def test_a_disc_keeps_its_shape_and_the_rest_is_black(network):
    rows, columns = np.mgrid[:60, :80]
    disc = (rows - 30) ** 2 + (columns - 40) ** 2 < 15**2
    image = np.where(disc, 250, 60).astype(np.uint8)
    Detector(network, ("lesion",), num_symmetries=1).outputs([image])
    (seen,) = network.seen
    bright = seen[0, :, :, 0] > seen[0, 2, 2, 0] + 0.5
    # The network sees a quarter of each side: a disc of 30 pixels has 7 or 8 there.
    assert abs(bright.any(axis=1).sum() - 7.5) <= 1
    assert abs(bright.any(axis=0).sum() - 7.5) <= 1
    assert (seen[0, 15:] == seen[0, -1, -1]).all()  # 60 / 4 rows of image, then black
    assert seen[0, 14].mean() > seen[0, -1].mean()


def test_boxes_are_relative_to_the_image_and_those_beside_it_go(network, monkeypatch):
    boxes = np.array([[0.1, 0.5, 0.2, 1.0], [0.3, 0.0, 0.5, 0.2], [0.5, 0.1, 0.9, 0.3]], np.float32)
    found = Detections(
        boxes_yxyx=boxes,
        labels=np.array([1, 1, 1]),
        scores=np.array([0.9, 0.8, 0.7]),
        probabilities=np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]),
    )
    monkeypatch.setattr(module, "find_detections", lambda *_, **__: [found])
    (kept,) = Detector(network, ("lesion",), num_symmetries=1).detect(
        [np.zeros((30, 40), np.uint8)]
    )
    # 30 of the canvas' 80 rows are image: rows grow by 8/3, columns stay; the third lies below.
    expected = [[0.8 / 3, 0.5, 1.6 / 3, 1.0], [0.8, 0.0, 1.0, 0.2]]
    np.testing.assert_allclose(kept.boxes_yxyx, expected, rtol=1e-5)
    np.testing.assert_allclose(kept.scores, [0.9, 0.8])
