"""ResNet18 and ResNet50: weights by torchvision's names give torchvision's numbers."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models import resnet
from mammo_tf.models.registry import ModelConfig, build_model
from mammo_tf.models.resnet18 import ResNet18
from mammo_tf.models.resnet50 import ResNet50

pytest.importorskip("keras_hub", reason="KERAS-HUB ABSENT: pip install 'mammo-tf[resnet]'")

SHAPE = (75, 64, 1)
PEER = json.loads((Path(__file__).parent / "data" / "resnet.json").read_text())


def by_rule(name, shape):
    """The weights with which torchvision computed `data/resnet.json`."""
    seed = sum(ord(letter) * index for index, letter in enumerate(name, start=1))
    values = np.random.default_rng(seed).normal(size=shape)
    if name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif name.endswith(("running_mean", "bias")):
        values = 0.1 * values
    elif len(shape) == 1:
        values = 1 + 0.1 * values
    else:
        values = values * np.sqrt(2 / np.prod(shape[1:]))
    return values.astype(np.float32)


def state_dict(model):
    """All tensors of torchvision's network, made from ours by name; the stem has colours."""
    facts = {"bottleneck": isinstance(model, ResNet50)}
    blocks = (3, 4, 6, 3) if facts["bottleneck"] else (2, 2, 2, 2)
    found = {}
    for layer, names in resnet._torch_names(num_blocks=blocks, **facts):
        for name, weight in zip(names, model.get_layer(layer).weights, strict=True):
            shape = tuple(weight.shape)
            if len(shape) == 4:
                shape = (shape[3], 3 if name == "conv1.weight" else shape[2], *shape[:2])
            found[name] = by_rule(name, shape)
    return found


@pytest.mark.parametrize(("cls", "name"), [(ResNet18, "resnet18"), (ResNet50, "resnet50")])
def test_features_are_those_of_torchvision(cls, name, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "network.safetensors"
    save_file(state_dict(cls(image_shape=SHAPE, weights="none")), path)
    model = cls(image_shape=SHAPE, weights=str(path))
    images = np.random.default_rng(0).normal(size=(2, 1, 75, 64)).astype(np.float32)
    pooled = keras.Model(model.inputs[0], model.get_layer("pool").output)
    found = np.asarray(pooled(images.transpose(0, 2, 3, 1), training=False))
    expected = np.array(PEER[name])
    found = found[:, :: found.shape[1] // expected.shape[1]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.std())


def test_sizes_are_the_published_ones_less_two_colours_and_the_classes():
    # torchvision: 11,689,512 and 25,557,032 with 1000 classes and colours; 4,800 and 26,560 filters
    # with running statistics, which it does not count.
    for cls, published, filters, wide in (
        (ResNet18, 11_689_512, 4_800, 512),
        (ResNet50, 25_557_032, 26_560, 2048),
    ):
        model = cls(image_shape=SHAPE, weights="none")
        backbone = published - (wide + 1) * 1000 - 2 * 49 * 64 + 2 * filters
        assert model.count_params() == backbone + wide + 1


@pytest.fixture(scope="module")
def small():
    return ResNet18(image_shape=SHAPE, weights="none", num_classes=3)


def test_a_saved_network_is_the_same(small, tmp_path):
    images = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    small.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again(images)), np.asarray(small(images)), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_backbone_of_keras_hub_loads_from_a_file_and_a_preset(channels, tmp_path):
    source = resnet._backbone((64, 64, channels), bottleneck=False, num_blocks=(2, 2, 2, 2))
    source.save_weights(tmp_path / "backbone.weights.h5")
    source.save_to_preset(str(tmp_path / "preset"))
    kernel = np.asarray(source.get_layer("conv1_conv").kernel).sum(axis=2, keepdims=True)
    last = np.asarray(source.get_layer("stack3_block1_2_conv").kernel)
    for weights in ("backbone.weights.h5", "preset"):
        model = ResNet18(image_shape=SHAPE, weights=str(tmp_path / weights))
        np.testing.assert_array_equal(np.asarray(model.get_layer("conv1_conv").kernel), kernel)
        np.testing.assert_array_equal(
            np.asarray(model.get_layer("stack3_block1_2_conv").kernel), last
        )


def test_without_weights_there_is_one_line_and_no_network(monkeypatch, tmp_path):
    config = ModelConfig(name="resnet18")
    assert config.options["weights"] == "imagenet"

    def no_network(preset):
        raise ConnectionError("no route to host\nand more")

    backbone = resnet._keras_hub().models.ResNetBackbone
    monkeypatch.setattr(backbone, "from_preset", staticmethod(no_network))
    with pytest.raises(UserError, match=r"no route to host.*model\.weights=none") as error:
        build_model(config, image_shape=SHAPE)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="imagenet, none, the folder"):
        ResNet18(image_shape=SHAPE, weights=str(tmp_path / "absent.pth"))


def test_files_of_other_networks_are_refused(small, tmp_path):
    from safetensors.numpy import save_file

    tensors = state_dict(small)
    incomplete = {name: v for name, v in tensors.items() if name != "layer4.1.conv2.weight"}
    for content, message in (
        (incomplete, "has no layer4.1.conv2.weight"),
        (tensors | {"bn1.bias": np.zeros(8, "f4")}, "conv1_bn is of shape"),
        (tensors | {"conv1.weight": np.zeros(8, "f4")}, "conv1.weight is no kernel"),
    ):
        save_file(content, tmp_path / "other.safetensors")
        with pytest.raises(DataError, match=message):
            ResNet18(image_shape=SHAPE, weights=str(tmp_path / "other.safetensors"))
    for name in ("damaged.safetensors", "damaged.weights.h5", "damaged.pth"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(DataError) as error:
            ResNet18(image_shape=SHAPE, weights=str(tmp_path / name))
        assert "\n" not in str(error.value)
    fifty = resnet._backbone((64, 64, 1), bottleneck=True, num_blocks=(3, 4, 6, 3))
    fifty.save_to_preset(str(tmp_path / "fifty"))
    with pytest.raises(DataError, match="another network"):
        ResNet18(image_shape=SHAPE, weights=str(tmp_path / "fifty"))


@pytest.mark.parametrize("shape", [(31, 64, 1), (64, 64, 3)])
def test_images_that_cannot_be(shape):
    with pytest.raises(UserError, match="at least 32"):
        ResNet18(image_shape=shape, weights="none")
