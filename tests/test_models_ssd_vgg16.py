"""SSD's VGG-16 and its weights, compared with `keras.applications.VGG16` and with NumPy."""

import shutil

import h5py
import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.ssd import vgg16_weights
from mammo_tf.models.ssd.vgg16 import L2Normalization, vgg16_base
from mammo_tf.models.ssd.vgg16_weights import load_vgg16_weights

SCALE = 57.63  # mean of 0.229, 0.224 and 0.225, times 255


def build(height=64, width=96):
    image = keras.Input((height, width, 3))
    return keras.Model(image, vgg16_base(image))


def convolutions(model):
    return [layer for layer in model.layers if layer.name.startswith("block") and layer.weights]


@pytest.fixture(scope="module")
def reference():
    """Keras' own VGG-16 without top, biases not 0."""
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 96, 3))
    rng = np.random.default_rng(3)
    for layer in convolutions(model):
        kernel, bias = layer.get_weights()
        spread = np.sqrt(2 / np.prod(kernel.shape[:3]))
        layer.set_weights(
            [rng.normal(0, spread, kernel.shape).astype("f4"), rng.normal(0, 9, bias.shape)]
        )
    return model


def write_as_downloaded(path, model):
    """The layout of vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5, by hand."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            names = [f"{layer.name}_W_1:0", f"{layer.name}_b_1:0"] if layer.weights else []
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, layer.get_weights(), strict=True):
                group[name] = array


@pytest.fixture(scope="module")
def files(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vgg16")
    write_as_downloaded(folder / "as_downloaded.h5", reference)
    reference.save_weights(folder / "keras3.weights.h5")
    return folder


@pytest.fixture
def damaged(files, tmp_path):
    """A copy of the file as downloaded, to be damaged."""
    return shutil.copy(files / "as_downloaded.h5", tmp_path / "damaged.h5")


@pytest.fixture(scope="module")
def target():
    return build()


def reset(model, value=0.5):
    model.set_weights([np.full(weight.shape, value, "f4") for weight in model.get_weights()])


def outputs_of(model, images, *names):
    part = keras.Model(model.input, [model.get_layer(name).output for name in names])
    return [keras.ops.convert_to_numpy(output) for output in part(images)]


def test_keras_itself_reads_the_handmade_file(files, reference):
    model = keras.applications.VGG16(
        weights=str(files / "as_downloaded.h5"), include_top=False, input_shape=(64, 96, 3)
    )
    for got, expected in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", ["as_downloaded.h5", "keras3.weights.h5"])
def test_activations_are_those_of_keras(name, files, reference, target):
    reset(target)
    filled = load_vgg16_weights(target, files / name)
    assert filled == tuple(layer.name for layer in convolutions(reference))
    assert len(filled) == 13

    for untouched in ("fc6", "fc7"):
        assert all((weight == 0.5).all() for weight in target.get_layer(untouched).get_weights())
    images = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("f4")
    names = ("block4_conv3", "block5_conv3")
    ours = outputs_of(target, images, *names)
    theirs = outputs_of(reference, images * SCALE, *names)
    for got, expected in zip(ours, theirs, strict=True):
        assert 0.2 < np.mean(expected > 0) < 0.8
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_whole_model_file(files, reference, target):
    """Keras' older format of a whole model, a group deeper."""
    path = files / "whole.h5"
    with h5py.File(files / "as_downloaded.h5") as source, h5py.File(path, "w") as file:
        source.copy(source["/"], file, "model_weights")
    reset(target)
    assert len(load_vgg16_weights(target, str(path))) == 13
    np.testing.assert_array_equal(
        target.get_layer("block3_conv2").get_weights()[0],
        reference.get_layer("block3_conv2").get_weights()[0],
    )


def test_imagenet_comes_from_keras(monkeypatch, capsys, reference, target):
    def download(*, weights, include_top):
        assert weights == "imagenet" and not include_top
        print("progress")
        return reference

    monkeypatch.setattr(keras.applications, "VGG16", download)
    reset(target)
    assert load_vgg16_weights(target, "imagenet")[0] == "block1_conv1"
    for ours, theirs in zip(convolutions(target)[:13], convolutions(reference), strict=True):
        np.testing.assert_array_equal(ours.get_weights()[1], theirs.get_weights()[1])
    assert capsys.readouterr().out == ""


def test_no_network_is_an_error_and_changes_nothing(monkeypatch, target):
    def download(**_):
        raise Exception("URL fetch failure on https://x: None --\n[Errno -2] Name not known")

    monkeypatch.setattr(keras.applications, "VGG16", download)
    reset(target, 0.25)
    with pytest.raises(UserError, match=r"Name not known.*_notop\.h5.*give its path") as caught:
        load_vgg16_weights(target, "imagenet")
    assert "\n" not in str(caught.value)
    assert all((weight == 0.25).all() for weight in target.get_weights())


def add_top(path, *, keras3):
    """Writes fc1 and fc2, 478 MB, of which all but a few chunks are 0 and take no room."""
    rng = np.random.default_rng(5)
    small = {}
    with h5py.File(path, "a") as file:
        for index, (name, rows) in enumerate([("fc1", 25088), ("fc2", 4096)]):
            if keras3:
                group = file.create_group(f"layers/dense{'_1' * index}/vars")
                paths = ("0", "1")
            else:
                group = file.create_group(name)
                paths = (f"{name}/kernel:0", f"{name}/bias:0")
                group.attrs["weight_names"] = paths
            kernel = group.create_dataset(paths[0], (rows, 4096), "f4", chunks=(8, 4096))
            for start in range(0, rows, 512 if name == "fc1" else 1024):
                kernel[start : start + 8] = rng.normal(size=(8, 4096))
            group[paths[1]] = rng.normal(size=4096).astype("f4")
            small[name] = (kernel[:, 8::1024], group[paths[1]][()], kernel[::1024])
    return small


@pytest.mark.parametrize("keras3", [False, True])
def test_fully_connected_layers_are_subsampled(keras3, files, target, tmp_path):
    name = "keras3.weights.h5" if keras3 else "as_downloaded.h5"
    path = shutil.copy(files / name, tmp_path / name)
    top = add_top(path, keras3=keras3)
    reset(target)
    assert load_vgg16_weights(target, path)[13:] == ("fc6", "fc7")

    kernel, bias = target.get_layer("fc6").get_weights()
    np.testing.assert_array_equal(bias, top["fc1"][1][::4])
    # Where only every third row and column is not 0, fc6 with dilation 3 is fc1 on 7×7.
    features = np.zeros((1, 7, 7, 512), "f4")
    features[:, ::3, ::3, :10] = np.random.default_rng(1).normal(size=(1, 3, 3, 10))
    flat = keras.ops.convert_to_numpy(keras.layers.Flatten()(features))
    expected = flat @ top["fc1"][0] + top["fc1"][1][8::1024]
    convolved = keras.ops.conv(features, kernel, padding="valid", dilation_rate=3)
    assert convolved.shape == (1, 1, 1, 1024)
    got = keras.ops.convert_to_numpy(convolved)[0, 0, 0] + bias
    np.testing.assert_allclose(got[2::256], expected[0], rtol=1e-4, atol=1e-4)

    kernel, bias = target.get_layer("fc7").get_weights()
    np.testing.assert_array_equal(bias, top["fc2"][1][::4])
    np.testing.assert_array_equal(kernel[0, 0, ::256], top["fc2"][2][:, ::4])
    # Inputs 1, 257 and 2 come from rows 4, 1028 and 8, of which the last was not written.
    assert kernel[0, 0, 1].all() and kernel[0, 0, 257].all() and not kernel[0, 0, 2].any()


def test_a_model_without_fc6_takes_the_convolutions(files, tmp_path):
    path = shutil.copy(files / "as_downloaded.h5", tmp_path / "top.h5")
    add_top(path, keras3=False)
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 48, 3))
    assert len(load_vgg16_weights(model, path)) == 13


def test_shapes_by_hand():
    # 300 → 150 → 75 → 38 → 19: pools round up.
    fine, coarse = build(300, 300).outputs
    assert fine.shape[1:] == (38, 38, 512) and coarse.shape[1:] == (19, 19, 1024)
    # 90 → 45 → 23 → 12 → 6 and 134 → 67 → 34 → 17 → 9
    model = build(90, 134)
    assert [output.shape[1:3] for output in model.outputs] == [(12, 17), (6, 9)]
    fc6, pool5 = model.get_layer("fc6"), model.get_layer("block5_pool")
    assert fc6.kernel.shape == (3, 3, 512, 1024) and fc6.dilation_rate == (6, 6)
    assert pool5.pool_size == (3, 3) and pool5.strides == (1, 1)
    # VGG-16 has 14,714,688 weights without top (keras.io); then fc6, fc7 and the scale.
    added = 9 * 512 * 1024 + 1024 + 1024 * 1024 + 1024 + 512
    assert model.count_params() == 14_714_688 + added


def test_normalisation_against_numpy():
    features = np.random.default_rng(2).normal(0, 300, (2, 3, 5, 7)).astype("f4")
    layer = L2Normalization()
    layer.build(features.shape)
    scale = np.linspace(1, 40, 7, dtype="f4")
    np.testing.assert_array_equal(layer.get_weights()[0], np.full(7, 20))
    layer.set_weights([scale])
    length = np.linalg.norm(features.astype("f8"), axis=-1, keepdims=True)
    got = keras.ops.convert_to_numpy(layer(features))
    np.testing.assert_allclose(got, features / length * scale, rtol=1e-5)
    # Below ε the length counts as ε.
    small = np.array([[[[3e-3, 4e-3]]]], "f4")
    got = keras.ops.convert_to_numpy(L2Normalization(initial_scale=2, epsilon=0.5)(small))
    np.testing.assert_allclose(got, [[[[0.012, 0.016]]]], rtol=1e-5)


def test_normalisation_of_zeros_is_finite_and_so_is_its_gradient():
    import tensorflow as tf

    layer = L2Normalization()
    zeros = tf.zeros((1, 2, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        normalised = layer(zeros)
        total = tf.reduce_sum(normalised)
    assert not np.any(normalised)
    gradient, of_scale = tape.gradient(total, [zeros, layer.scale.value])
    np.testing.assert_allclose(gradient, np.full((1, 2, 3, 4), 20 / 1e-5), rtol=1e-5)
    np.testing.assert_array_equal(of_scale, np.zeros(4))


def test_normalisation_in_half_precision():
    # 200 squared, 512 times, is more than float16 holds.
    layer = L2Normalization(dtype="mixed_float16")
    got = keras.ops.convert_to_numpy(layer(np.full((1, 1, 2, 512), 200, "f2")))
    assert got.dtype == "float16" and layer.scale.dtype == "float32"
    np.testing.assert_allclose(got, np.full((1, 1, 2, 512), 20 / np.sqrt(512)), rtol=1e-3)


def test_normalisation_round_trip(tmp_path):
    image = keras.Input((4, 6, 3))
    layer = L2Normalization(initial_scale=7.5, epsilon=1e-3, name="norm")
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer("norm").get_config() == layer.get_config()
    assert layer.get_config()["initial_scale"] == 7.5 and layer.get_config()["epsilon"] == 1e-3
    images = np.random.default_rng(4).normal(size=(2, 4, 6, 3))
    np.testing.assert_array_equal(*(m.predict(images, verbose=0) for m in (model, again)))


def refused(model, path, message, error=DataError):
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(error, match=message) as caught:
        load_vgg16_weights(model, path)
    assert "\n" not in str(caught.value)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("source", ["", "no/such/file.h5", ".", "a\0b", None, 5, "x" * 5000])
def test_not_a_file(source, target):
    refused(target, source, "`source` must be 'imagenet' or the path", UserError)


def test_other_files(target, tmp_path, files):
    text, pickle, cut = tmp_path / "text.h5", tmp_path / "pickle.h5", tmp_path / "cut.h5"
    text.write_text("no weights here")
    pickle.write_bytes(b"\x80\x04cos\nsystem\n.")
    content = (files / "as_downloaded.h5").read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    for path in (text, pickle, cut):
        refused(target, path, "no HDF5 file, cut off or damaged")


def test_a_file_too_large(target, tmp_path):
    path = tmp_path / "large.h5"
    with path.open("wb") as file:
        file.truncate(1_000_000_001)  # sparse
    refused(target, path, "at most 1000 MB")


def replace(file, name, array, **options):
    del file[name]
    file.create_dataset(name, data=array, **options)


KERNEL = "block2_conv1/block2_conv1_W_1:0"


def test_missing_layer(damaged, target):
    with h5py.File(damaged, "a") as file:
        del file["block5_conv3"]
    refused(target, damaged, "no layer 'block5_conv3'")


def test_missing_array(damaged, target):
    with h5py.File(damaged, "a") as file:
        del file[KERNEL]
    refused(target, damaged, "it has no 'block2_conv1_W_1:0'")


def test_other_shape(damaged, target):
    with h5py.File(damaged, "a") as file:
        replace(file, KERNEL, np.zeros((3, 3, 64, 127), "f4"))
    refused(target, damaged, r"'block2_conv1' must have.*Received: \[\(3, 3, 64, 127\)")


def test_huge_shape_is_refused_before_it_is_read(damaged, target):
    with h5py.File(damaged, "a") as file:
        del file[KERNEL]
        file.create_dataset(KERNEL, (10**6, 10**6, 64, 128), "f4", chunks=(1, 1, 64, 128))
    refused(target, damaged, "'block2_conv1' must have the shapes")


def test_half_a_top(damaged, target):
    with h5py.File(damaged, "a") as file:
        file.create_group("fc2").attrs["weight_names"] = []
    refused(target, damaged, "no layer 'fc1'")


def test_another_top(damaged, target):
    with h5py.File(damaged, "a") as file:
        group = file.create_group("fc1")
        group.attrs["weight_names"] = ["kernel", "bias"]
        group["kernel"], group["bias"] = np.zeros((512, 256), "f4"), np.zeros(256, "f4")
    refused(target, damaged, "'fc1' must have the shapes")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_not_finite(value, damaged, target):
    with h5py.File(damaged, "a") as file:
        file[KERNEL][1, 2, 3, 4] = value
    refused(target, damaged, "not finite")


def test_integers_and_objects(damaged, target):
    for dtype in ("i4", h5py.vlen_dtype(np.int32)):
        with h5py.File(damaged, "a") as file:
            del file[KERNEL]
            file.create_dataset(KERNEL, (3, 3, 64, 128), dtype)
        refused(target, damaged, "floating-point numbers in the file itself")


def test_compressed(damaged, target):
    with h5py.File(damaged, "a") as file:
        replace(file, KERNEL, file[KERNEL][()], compression="gzip")
    refused(target, damaged, "must not be compressed")


def test_links_and_outside_storage(damaged, target, tmp_path, files):
    kernel = np.zeros((3, 3, 64, 128), "f4")
    (tmp_path / "secret.bin").write_bytes(kernel.tobytes())
    layout = h5py.VirtualLayout(kernel.shape, "f4")
    layout[...] = h5py.VirtualSource(str(files / "as_downloaded.h5"), KERNEL, kernel.shape)
    with h5py.File(damaged, "a") as file:
        del file[KERNEL]
        file[KERNEL] = h5py.ExternalLink(str(files / "as_downloaded.h5"), KERNEL)
    refused(target, damaged, "is a link")
    with h5py.File(damaged, "a") as file:
        del file[KERNEL]
        outside = [(str(tmp_path / "secret.bin"), 0, kernel.nbytes)]
        file.create_dataset(KERNEL, kernel.shape, "f4", external=outside)
    refused(target, damaged, "in the file itself")
    with h5py.File(damaged, "a") as file:
        del file[KERNEL]
        file.create_virtual_dataset(KERNEL, layout)
    refused(target, damaged, "in the file itself")


def test_vgg19(damaged, files, target, tmp_path):
    """It has all names of VGG-16, and the same shapes under them."""
    with h5py.File(damaged, "a") as file:
        file.create_group("block3_conv4").attrs["weight_names"] = []
    refused(target, damaged, "it has a layer 'block3_conv4'")
    path = shutil.copy(files / "keras3.weights.h5", tmp_path / "vgg19.weights.h5")
    with h5py.File(path, "a") as file:
        file.create_group("layers/conv2d_13/vars")
    refused(target, path, "more than 13 convolutions")


def test_layers_in_another_order(files, target, tmp_path):
    path = shutil.copy(files / "keras3.weights.h5", tmp_path / "other.weights.h5")
    with h5py.File(path, "a") as file:
        file["layers/conv2d_5/vars"].attrs["name"] = "block9_conv9"
    refused(target, path, "'block9_conv9' in the place of 'block3_conv2'")


def test_nonsense_groups(damaged, target, tmp_path):
    for name in ("layers", "model_weights"):
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file[name] = np.zeros(3)
        refused(target, path, "is no group")
    with h5py.File(damaged, "a") as file:
        file["block1_conv1"].attrs["weight_names"] = 5
    refused(target, damaged, "damaged")


def test_models_that_do_not_fit(files):
    image = keras.Input((32, 48, 3))
    other = keras.layers.Conv2D(8, 3, name="light1_1")(image)
    refused(
        keras.Model(image, other), files / "as_downloaded.h5", "layers of VGG-16", error=UserError
    )
    other = keras.layers.Conv2D(8, 3, name="block1_conv1")(image)
    refused(
        keras.Model(image, other), files / "as_downloaded.h5", "VGG-16's shapes", error=UserError
    )


def test_limits_admit_the_real_file():
    # VGG-16 has 138,357,544 weights with top (keras.io), of four bytes each.
    assert vgg16_weights.MAX_FILE_BYTES > 1.5 * 4 * 138_357_544
