"""ciGAN's networks, its losses by hand, and where its perceptual network's weights come from."""

import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.cigan import (
    CiganDiscriminator,
    CiganGenerator,
    PerceptualConfig,
    boundary_loss,
    class_loss,
    discriminator_loss,
    generator_adversarial_loss,
    perceptual_loss,
    perceptual_network,
)
from mammo_tf.models.onnx_weights import read_initializers
from mammo_tf.pipelines.infill import boundary_weights, corrupt, from_unit_range, unit_range


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize(
    ("side", "filters"),
    [(32, (128, 128, 64, 64)), (256, (128, 128, 64, 64, 32, 32, 32))],
)
def test_the_generators_blocks(side, filters):
    model = CiganGenerator(patch_size=side)
    blocks = [layer for layer in model.layers if layer.name.endswith("_conv2")]
    sides = [4 << k for k in range(len(filters))]
    assert [layer.filters for layer in blocks] == list(filters)
    assert [layer.output.shape[1] for layer in blocks] == sides and sides[-1] == side
    # Two 3×3 convolutions a block; the stack has 4 channels: corrupted, mask, two of the class.
    inputs = [4, *(4 + before for before in filters[:-1])]
    weights = sum(9 * i * f + f + 9 * f * f + f for i, f in zip(inputs, filters, strict=True))
    assert model.count_params() == weights + filters[-1] + 1


def test_the_generator_sees_all_its_inputs():
    model = CiganGenerator(patch_size=32)
    patch, mask = noise(1, 32, 32, 1), np.zeros((1, 32, 32, 1), np.float32)
    label = np.array([[1, 0]], np.float32)
    plain = np.asarray(model([patch, mask, label]))
    assert plain.min() >= 0
    for other in ([1 - patch, mask, label], [patch, mask + 1, label], [patch, mask, 1 - label]):
        assert not np.allclose(plain, np.asarray(model(other)))


def test_the_discriminators_two_answers():
    model = CiganDiscriminator(patch_size=64, stackwise_num_filters=(8, 8, 8, 8))
    patch, label = noise(2, 64, 64, 1), np.eye(2, dtype=np.float32)
    real, classes = model([patch, label])
    assert tuple(real.shape) == (2, 1) and tuple(classes.shape) == (2, 2)
    assert not np.allclose(np.asarray(classes), np.asarray(model([patch, label[::-1]])[1]))
    # Without the map the trunk has to see the class in the pixels.
    blind = CiganDiscriminator(
        patch_size=64, stackwise_num_filters=(8, 8, 8, 8), class_map_joined=False
    )
    assert np.allclose(
        np.asarray(blind([patch, label])[1]), np.asarray(blind([patch, 1 - label])[1])
    )
    assert model.get_layer("conv1").kernel.shape[2] == 34
    assert blind.get_layer("conv1").kernel.shape[2] == 32


@pytest.mark.parametrize(
    "model",
    [
        CiganGenerator(patch_size=32, stackwise_num_filters=(4, 4, 4, 4)),
        CiganDiscriminator(
            patch_size=32, first_filters=4, stackwise_num_filters=(4, 5, 6, 7), dense_units=(3,),
            negative_slope=0.1, class_map_joined=False,
        ),
    ],
)  # fmt: skip
def test_saved_and_loaded_it_is_the_same(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("side", [16, 48, 512, 0])
def test_other_sides_are_refused(side):
    for make in (CiganGenerator, CiganDiscriminator):
        with pytest.raises(UserError, match="power of two from 32 to 256"):
            make(patch_size=side)


def test_losses_by_hand():
    logits = np.array([[0.0], [2.0]], np.float32)
    soft = np.log1p(np.exp(np.array([0.0, 2.0])))
    assert float(discriminator_loss(logits, logits)) == pytest.approx(
        (np.mean(soft - [0, 2]) + np.mean(soft)) / 2
    )
    assert float(generator_adversarial_loss(logits)) == pytest.approx(np.mean(soft - [0, 2]))
    assert float(class_loss(np.array([[1.0, 3.0]], np.float32), np.array([[1.0, 0.0]]))) == (
        pytest.approx(np.log1p(np.exp(2.0)))
    )
    real, synthetic = np.zeros((2, 2, 2, 1), np.float32), np.zeros((2, 2, 2, 1), np.float32)
    synthetic[0, 0, 0, 0], synthetic[1, 1, 1, 0] = 4, -8
    edges = np.zeros_like(real)
    edges[0, 0, 0, 0], edges[0, 0, 1, 0] = 1, 3
    # 4 · 1 / 4 in the first patch, no edge at all in the second.
    assert float(boundary_loss(real, synthetic, edges)) == pytest.approx((1 + 0) / 2)


def test_the_perceptual_loss_takes_each_region_for_itself():
    real = [np.full((1, 4, 4, 2), 2.0, np.float32), np.full((1, 2, 2, 1), -5.0, np.float32)]
    synthetic = [array.copy() for array in real]
    masks, edges = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4, 1), np.float32)
    masks[0, :2, :2] = 1
    edges[0, 0, 0] = 0.5
    synthetic[0][0, 0, 0, 0] += 6  # one of two channels of one of four pixels of the lesion
    synthetic[1][0, 1, 1, 0] += 10  # outside alone
    # Layer 0, divided by 2: pixel (0, 0) is 3 / 2. Inside 1.5 / 4; on the boundary 1.5.
    # Layer 1, divided by 5: pixel (1, 1) is 2, one of three outside.
    expected = 1.5 / 4 + 1.5 + 2 / 3
    assert float(perceptual_loss(real, synthetic, masks, edges)) == pytest.approx(
        expected, rel=1e-4
    )
    assert float(perceptual_loss(real, real, masks, edges)) == 0


def test_noise_only_in_the_lesion():
    patch, mask = noise(8, 6), np.zeros((8, 6), bool)
    mask[2:5, 1:4] = True
    corrupted = corrupt(patch, mask, np.random.default_rng(1))
    assert np.array_equal(corrupted[~mask], patch[~mask])
    assert not np.isin(corrupted[mask], patch).any() and 0 <= corrupted.min() < corrupted.max() < 1
    levels = np.array([[0, 65535]], np.uint16)
    assert unit_range(levels).tolist() == [[0, 1]]
    assert from_unit_range(unit_range(levels), np.uint16).tolist() == [[0, 65535]]


def test_the_boundarys_weights_fall_as_a_gaussian():
    mask = np.zeros((81, 81), bool)
    mask[:, :40] = True  # columns 39 and 40 are the edge, along the whole patch
    weights = boundary_weights(mask, sigma_px=4.0)
    columns = np.arange(81)
    expected = np.exp(-0.5 * ((columns - 39) / 4) ** 2) + np.exp(-0.5 * ((columns - 40) / 4) ** 2)
    near = np.abs(columns - 39.5) < 14
    assert np.allclose(weights[40, near], (expected / expected.max())[near], atol=1e-3)
    assert weights.max() == 1 and not boundary_weights(np.zeros((9, 9), bool)).any()
    assert not boundary_weights(np.ones((9, 9), bool)).any()


@pytest.fixture(scope="module", params=["vgg16", "vgg19"])
def vgg(request, tmp_path_factory):
    """Keras' network with weights of its own, and a file of them."""
    name = request.param
    make = getattr(keras.applications, name.upper())
    model = make(weights=None, include_top=False, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp(name) / f"{name}.weights.h5"
    model.save_weights(path)
    return name, model, path


def test_features_are_those_of_keras(vgg):
    name, reference, path = vgg
    config = PerceptualConfig(backbone=name, weights=str(path))
    patch = noise(2, 32, 32, 1)
    found = perceptual_network(config, 32)(patch)
    process = getattr(keras.applications, name).preprocess_input
    images = process(np.repeat(patch, 3, axis=-1) * 255)
    assert np.allclose(np.asarray(found[0]), images, atol=1e-3)
    for block in (1, 2, 3):
        part = keras.Model(reference.input, reference.get_layer(f"block{block}_pool").output)
        assert np.allclose(np.asarray(found[block]), np.asarray(part(images)), atol=1e-3)


def test_another_networks_file_is_refused(vgg):
    name, _, path = vgg
    other = {"vgg16": "vgg19", "vgg19": "vgg16"}[name]
    with pytest.raises(
        DataError, match=f"not a weights file of keras.applications.{other.upper()}"
    ):
        perceptual_network(PerceptualConfig(backbone=other, weights=str(path)), 32)


def write_onnx(path, *, drop=None):
    """A file as tf2onnx makes of Keras' VGG-16, its first three blocks alone."""
    onnx = pytest.importorskip("onnx")
    rng, channels, tensors, weights = np.random.default_rng(0), 3, [], {}
    for block, filters in ((1, (64,) * 2), (2, (128,) * 2), (3, (256,) * 3)):
        for index, number in enumerate(filters, start=1):
            name = f"block{block}_conv{index}"
            kernel = rng.normal(0, 0.05, (3, 3, channels, number)).astype("f4")
            bias = rng.normal(0, 1, number).astype("f4")
            weights[name], channels = (kernel, bias), number
            parts = {
                f"functional_1/{name}_1/convolution/ReadVariableOp:0": kernel.transpose(3, 2, 0, 1),
                f"functional_1/{name}_1/Squeeze:0": bias,
            }
            tensors += [
                onnx.numpy_helper.from_array(np.ascontiguousarray(array), part)
                for part, array in parts.items()
                if part != drop
            ]
    tensors.append(onnx.numpy_helper.from_array(np.array([3, 4]), "shape"))
    tensors.append(onnx.helper.make_tensor("listed", onnx.TensorProto.FLOAT, (2, 1), [0.5, 1.5]))
    graph = onnx.helper.make_graph([], "graph", [], [], initializer=tensors)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return weights


def test_an_onnx_file_gives_its_weights(tmp_path):
    path = tmp_path / "vgg16.onnx"
    weights = write_onnx(path)
    model = perceptual_network(PerceptualConfig(backbone="vgg16", weights=str(path)), 32)
    for name, arrays in weights.items():
        for array, found in zip(arrays, model.get_layer(name).get_weights(), strict=True):
            assert np.array_equal(array, found)
    assert not model.trainable_weights
    assert read_initializers(path)["listed"].tolist() == [[0.5], [1.5]]
    with pytest.raises(DataError, match="block3_conv4"):
        perceptual_network(PerceptualConfig(backbone="vgg19", weights=str(path)), 32)


def test_damaged_onnx_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "vgg16.onnx"
    missing = "functional_1/block2_conv1_1/Squeeze:0"
    write_onnx(path, drop=missing)
    with pytest.raises(DataError, match="has no block2_conv1"):
        perceptual_network(PerceptualConfig(backbone="vgg16", weights=str(path)), 32)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\xff" * 99, b"no network"):
        path.write_bytes(damaged)
        with pytest.raises(DataError) as caught:
            read_initializers(path)
        assert "\n" not in str(caught.value)


def test_random_weights_are_never_taken_in_silence():
    for backbone in ("vgg16", "vgg19"):
        with pytest.raises(UserError, match="which is no file"):
            perceptual_network(PerceptualConfig(backbone=backbone, weights="nowhere.h5"), 32)
    with pytest.raises(UserError, match="perceptual"):
        PerceptualConfig(backbone="resnet")


def test_a_download_that_fails_says_which_files_to_fetch(monkeypatch):
    def refuse(**_):
        raise OSError("no network")

    monkeypatch.setattr(keras.applications, "VGG19", refuse)
    with pytest.raises(UserError, match=r"VGG-19 .*no network.*vgg19_weights.*/vgg19/ by hand"):
        perceptual_network(PerceptualConfig(), 32)
