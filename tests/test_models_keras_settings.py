"""What a file keeps of a network, a user's real keras.json, and arguments that are refused."""

import json
import os
import subprocess
import sys

import keras
import pytest

from mammo_tf.errors import UserError
from mammo_tf.models import CNN3, DepthwiseCNN
from mammo_tf.models.base import KeywordModel
from mammo_tf.models.ssd import SSD


def cnn3():
    return CNN3(image_shape=(64, 80, 1), stackwise_num_filters=(2, 3, 4), dense_units=(4, 4))


def test_vgg16_under_channels_first():
    keras.config.set_image_data_format("channels_first")
    try:
        model = SSD(num_classes=1, backbone="vgg16", image_shape=(48, 64, 3))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert tuple(model.get_layer("block1_conv1").kernel.shape) == (3, 3, 3, 64)
    assert {x.data_format for x in model.layers if hasattr(x, "data_format")} == {"channels_last"}


def test_a_model_frozen_as_a_whole_stays_so_but_for_what_was_freed():
    model = cnn3()
    model.trainable = False
    model.get_layer("logit").trainable = True
    again = CNN3.from_config(json.loads(json.dumps(model.get_config())))
    assert not again.trainable and again.get_layer("logit").trainable
    assert not again.get_layer("conv1").trainable


def test_frozen_layers_of_an_inner_network_are_kept():
    @keras.saving.register_keras_serializable(package="mammo_tf_tests")
    class Outer(KeywordModel):
        def __init__(self, *, width: int = 2, **kwargs):
            inner = keras.Sequential([keras.layers.Dense(width, name="deep")], name="inner")
            inputs = keras.Input((3,))
            super().__init__(inputs, inner(inputs), **kwargs)
            self.width = width

    model = Outer(width=4)
    model.get_layer("inner").get_layer("deep").trainable = False
    again = Outer.from_config(model.get_config())
    assert again.get_layer("inner").trainable
    assert not again.get_layer("inner").get_layer("deep").trainable
    assert again.width == 4


def test_configs_without_the_new_entries_are_still_read():
    config = cnn3().get_config()
    del config["dtype"], config["frozen_layers"]
    assert CNN3.from_config(config).image_shape == (64, 80, 1)


@pytest.mark.parametrize("model", [CNN3, DepthwiseCNN])
@pytest.mark.parametrize("shape", [(None, None, 1), (128, 96)])
def test_a_shape_that_is_none_is_refused(model, shape):
    with pytest.raises(UserError, match="`image_shape` must be"):
        model(image_shape=shape)


def test_cnn3_has_three_convolutions_and_two_hidden_layers():
    with pytest.raises(UserError, match="`stackwise_num_filters` must be 3 numbers"):
        CNN3(image_shape=(64, 64, 1), stackwise_num_filters=(8,))
    with pytest.raises(UserError, match="`dense_units` must be 2 numbers"):
        CNN3(image_shape=(64, 64, 1), dense_units=(8, 4, 2))


def test_a_keras_json_with_channels_first(tmp_path):
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    code = (
        "import keras; from mammo_tf.models import CNN3; "
        "model = CNN3(image_shape=(64, 80, 1)); "
        "print(keras.config.image_data_format(), tuple(model.get_layer('conv1').kernel.shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_HOME": str(tmp_path)},
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "channels_first (6, 6, 1, 16)"
