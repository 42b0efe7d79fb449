"""Networks as Keras' users know them: any keras.json, frozen layers, mixed precision."""

import keras
import numpy as np
import pytest

from mammo_tf.models.cnn3 import CNN3
from mammo_tf.models.depthwise_cnn import DepthwiseCNN
from mammo_tf.models.efficientnet_lite0 import EfficientNetLite0
from mammo_tf.models.resnet18 import ResNet18
from mammo_tf.models.ssd import SSD


def cnn3():
    return CNN3(image_shape=(96, 80, 1), stackwise_num_filters=(2, 3, 4), dense_units=(4, 4))


def depthwise():
    return DepthwiseCNN(image_shape=(64, 64, 1), stackwise_num_filters=(4, 4, 4, 4))


def efficientnet():
    return EfficientNetLite0(image_shape=(64, 48, 1), weights="none")


def ssd():
    return SSD(num_classes=2, variant="ssd300", backbone="light", image_shape=(128, 128, 3))


def resnet():
    pytest.importorskip("keras_hub", reason="KERAS-HUB ABSENT: pip install 'mammo-tf[resnet]'")
    return ResNet18(image_shape=(64, 48, 1), weights="none")


NETWORKS = (cnn3, depthwise, efficientnet, resnet, ssd)


@pytest.fixture
def channels_first():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.fixture
def mixed():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_user_s_keras_json_changes_no_network(make, request, tmp_path):
    keras.utils.set_random_seed(1)
    usual = make()
    usual.save(tmp_path / "usual.keras")
    request.getfixturevalue("channels_first")
    keras.utils.set_random_seed(1)
    model = make()
    assert keras.config.image_data_format() == "channels_first"  # the user's is left as it was
    again = keras.saving.load_model(tmp_path / "usual.keras")
    for other in (model, again):
        for weight, expected in zip(other.weights, usual.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(weight), np.asarray(expected))
    images = np.random.default_rng(0).normal(size=(1, *usual.input_shape[1:])).astype("f4")
    expected = np.asarray(usual(images))
    np.testing.assert_allclose(np.asarray(model(images)), expected, atol=1e-5)
    np.testing.assert_allclose(np.asarray(again(images)), expected, atol=1e-5)


@pytest.mark.parametrize("make", NETWORKS)
def test_a_file_keeps_what_is_frozen(make, tmp_path):
    model = make()
    frozen = [layer for layer in model.layers if layer.weights][:3]
    for layer in frozen:
        layer.trainable = False
    trained = len(model.trainable_weights)
    assert trained < len(make().trainable_weights)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.trainable_weights) == trained
    names = {layer.name for layer in again.layers if layer.weights and not layer.trainable}
    assert names == {layer.name for layer in frozen}


@pytest.mark.parametrize("make", NETWORKS)
def test_mixed_precision_is_kept_and_gives_float32(make, request, tmp_path):
    before = keras.config.dtype_policy()
    request.getfixturevalue("mixed")
    model = make()
    images = np.zeros((1, *model.input_shape[1:]), "f4")
    assert keras.backend.standardize_dtype(model(images).dtype) == "float32"
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy(before)  # as another program that loads it
    again = keras.saving.load_model(tmp_path / "model.keras")
    kinds = {layer.compute_dtype for layer in again.layers if layer.weights}
    assert "bfloat16" in kinds
    assert keras.config.dtype_policy().name == before.name
    assert keras.backend.standardize_dtype(again(images).dtype) == "float32"
