"""`mammo-tf predict` on a batch with files that are hostile or too narrow: the others are done."""

import sys

import keras
import numpy as np
import pytest
from PIL import Image

from mammo_tf import images
from mammo_tf.cli import main as cli_main
from mammo_tf.models.ssd import SSD
from mammo_tf.pipelines.detection.detector import Detector, describe_detector
from mammo_tf.testing import make_breast, write_mammogram


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    keras.utils.set_random_seed(3)
    model = SSD(num_classes=2, backbone="light", image_shape=(64, 48, 3))
    detector = Detector(model, ("benign", "malignant"), num_symmetries=2, threshold=0.45)
    detector.model.save_weights(folder / "model.weights.h5")
    describe_detector(detector, folder)
    return folder / "model.weights.h5"


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path, weights):
    """(exit code, stderr) of the command on some images."""

    def predict(*paths, out=tmp_path / "out"):
        words = ["mammo-tf", "predict", weights, *paths, "--out", out]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        try:
            cli_main.main()
        except SystemExit as stopped:
            return stopped.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return predict


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (2, 2000), (4000, 10)])
def test_narrow_images_are_done_like_others(shell, tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    names = ("a.png", "narrow.dcm", "z.png")
    for name in names:
        Image.fromarray(make_breast(90, 60, bits=8)).save(tmp_path / name, "PNG")
    write_mammogram(tmp_path / "narrow.dcm", pixels)
    code, shown = shell(*(tmp_path / name for name in names))
    assert (code, "Traceback" in shown, "Warning" in shown) == (0, False, False)
    for name in names:
        assert (tmp_path / "out" / name).with_suffix(".json").is_file()


def test_an_unexpected_fault_stops_one_image_only(shell, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.png", "Doe^Jane.png", "z.png")]
    for path in paths:
        Image.fromarray(make_breast(90, 60, bits=8)).save(path)
    original = images.read_display_image

    def faulty(path, **options):
        if path.name.startswith("Doe"):
            raise IndexError("index 1 of Doe^Jane")
        return original(path, **options)

    monkeypatch.setattr(images, "read_display_image", faulty)
    code, shown = shell(*paths)
    assert code == 2
    assert "Doe^Jane.png: unexpected IndexError while reading" in shown
    assert "1 of 3 images could not be read" in shown
    assert (tmp_path / "out" / "z.json").is_file()


def test_a_loop_of_links_is_one_line(shell, tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / "a.png"
    Image.fromarray(make_breast(90, 60, bits=8)).save(path)
    for arguments, options in (
        ((path,), {"out": tmp_path / "loop" / "results"}),
        ((tmp_path / "loop",), {}),
    ):
        code, shown = shell(*arguments, **options)
        assert (code, "Traceback" in shown) == (2, False)
        assert len(shown.strip().splitlines()) <= 4  # click adds its usage
