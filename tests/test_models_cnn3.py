"""CNN3: shapes and weights counted by hand, and its numbers computed a second time in NumPy."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import mammo_tf.models
from mammo_tf.errors import UserError
from mammo_tf.models import CNN3

# Nothing square, nothing default.
OPTIONS = {
    "image_shape": (80, 96, 2),
    "stackwise_num_filters": (3, 4, 5),
    "dense_units": (7, 6),
    "head_pooling": "flatten",
    "dropout": 0.25,
}


def images_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def with_random_weights(model, seed=1):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape).astype("float32") / 3 for w in model.get_weights()]
    # Running variances must be positive; they are told from the rest by their path.
    for index, variable in enumerate(model.weights):
        if "variance" in variable.path:
            weights[index] = np.abs(weights[index]) + 0.5
    model.set_weights(weights)
    return model


def test_shapes_by_hand():
    # Convolution: (n + 4 − 6) // 2 + 1; pool: n // 2.
    # 130 -> 65 -> 32 -> 16 -> 8 -> 4 -> 2 and 101 -> 50 -> 25 -> 12 -> 6 -> 3 -> 1.
    model = CNN3(image_shape=(130, 101, 1))
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["conv1"] == (65, 50, 16) and shapes["conv1_pool"] == (32, 25, 16)
    assert shapes["conv2"] == (16, 12, 32) and shapes["conv2_pool"] == (8, 6, 32)
    assert shapes["conv3"] == (4, 3, 64) and shapes["conv3_pool"] == (2, 1, 64)
    assert shapes["head_pool"] == (128,)
    assert model.output_shape == (None, 1)
    assert model(images_of((3, 130, 101, 1))).shape == (3, 1)


@pytest.mark.parametrize(("head_pooling", "features"), [("flatten", 2 * 3), ("max", 1)])
def test_weights_counted_by_hand(head_pooling, features):
    # 130×198 ends as 2×3 positions of 64 channels. No bias before batch normalisation.
    model = CNN3(image_shape=(130, 198, 1), head_pooling=head_pooling)
    convolutions = 36 * (1 * 16 + 16 * 32 + 32 * 64)
    dense = features * 64 * 128 + 128 * 32 + 32 + 1
    normalised = 16 + 32 + 64 + 128 + 32
    assert model.count_params() == convolutions + dense + 4 * normalised
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trainable == convolutions + dense + 2 * normalised


def numpy_cnn3(weights, x, head_pooling):
    """The same network once more, by loops over positions."""

    def normalised(name, x):
        gamma, beta, mean, variance = (
            weights[f"{name}_bn/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.maximum(0, (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)

    x = x.astype(np.float64)
    for name in ("conv1", "conv2", "conv3"):
        kernel = weights[f"{name}/kernel"]  # (6, 6, channels, filters)
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
        height, width = (x.shape[1] - 6) // 2 + 1, (x.shape[2] - 6) // 2 + 1
        y = np.empty((len(x), height, width, kernel.shape[-1]))
        for row in range(height):
            for column in range(width):
                window = x[:, 2 * row : 2 * row + 6, 2 * column : 2 * column + 6]
                y[:, row, column] = np.tensordot(window, kernel, 3)
        y = normalised(name, y)
        height, width = height // 2, width // 2
        y = y[:, : 2 * height, : 2 * width].reshape(len(y), height, 2, width, 2, -1)
        x = y.max(axis=(2, 4))
    pools = {
        "flatten": lambda x: x.reshape(len(x), -1),
        "average": lambda x: x.mean(axis=(1, 2)),
        "max": lambda x: x.max(axis=(1, 2)),
    }
    x = pools[head_pooling](x)
    for name in ("dense1", "dense2"):
        x = normalised(name, x @ weights[f"{name}/kernel"])
    return x @ weights["logit/kernel"] + weights["logit/bias"]


@pytest.mark.parametrize("head_pooling", ["flatten", "average", "max"])
def test_numbers_against_numpy(head_pooling):
    # 134×200 ends as 2×3 positions, so that the order of flattening and the pools matter.
    model = CNN3(
        image_shape=(134, 200, 2),
        stackwise_num_filters=(3, 4, 5),
        dense_units=(7, 6),
        head_pooling=head_pooling,
        dropout=0.5,
    )
    with_random_weights(model)
    images = images_of((2, 134, 200, 2))
    weights = {variable.path: np.asarray(variable) for variable in model.weights}
    expected = numpy_cnn3(weights, images, head_pooling)
    np.testing.assert_allclose(np.asarray(model(images)), expected, rtol=2e-4, atol=2e-4)


def test_config_round_trip_keeps_every_argument():
    model = CNN3(**OPTIONS, name="mine")
    again = CNN3.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    for key, value in OPTIONS.items():
        assert getattr(again, key) == value
    assert again.name == "mine"


def test_saved_and_loaded_in_safe_mode_gives_the_same_numbers(tmp_path):
    model = with_random_weights(CNN3(**OPTIONS))
    images = images_of((3, 80, 96, 2))
    expected = np.asarray(model(images))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(loaded, CNN3) and loaded.stackwise_num_filters == (3, 4, 5)
    np.testing.assert_array_equal(np.asarray(loaded(images)), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = CNN3(**OPTIONS)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(np.asarray(fresh(images)), expected)


def test_dropout_and_batch_statistics_are_for_training_only():
    model = with_random_weights(CNN3(**OPTIONS))
    images = images_of((8, 80, 96, 2))
    first, second = (np.asarray(model(images, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    alone = np.asarray(model(images[:1], training=False))
    np.testing.assert_allclose(alone, first[:1], rtol=1e-4, atol=1e-4)
    assert not np.allclose(np.asarray(model(images, training=True)), first)


def test_running_statistics_move_as_in_pytorch():
    # A tenth of the batch's mean enters a running mean that starts at 0.
    model = CNN3(image_shape=(64, 80, 1), stackwise_num_filters=(2, 2, 2), dense_units=(2, 2))
    images = images_of((4, 64, 80, 1)) + 1
    convolved = keras.Model(model.inputs[0], model.get_layer("conv1").output)(images)
    model(images, training=True)
    norm = model.get_layer("conv1_bn")
    expected = np.asarray(convolved).mean((0, 1, 2)) / 10
    np.testing.assert_allclose(np.asarray(norm.moving_mean), expected, rtol=1e-4)
    assert norm.epsilon == 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (63, 80, 1)}, r"at least 64.*\(63, 80, 1\)"),
        ({"image_shape": (80, 63, 1)}, "at least 64"),
        ({"head_pooling": "mean"}, "average.*flatten.*max"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(UserError, match=message):
        CNN3(**(OPTIONS | change))


def test_smallest_image():
    assert CNN3(image_shape=(64, 64, 1)).get_layer("head_pool").output.shape == (None, 64)


def test_models_and_evaluation_import_no_backend():
    package = Path(mammo_tf.models.__file__).parents[1]
    files = [*package.glob("models/**/*.py"), *package.glob("evaluation/**/*.py")]
    allowed = {*sys.stdlib_module_names, "keras", "mammo_tf", "numpy", "scipy", "sklearn"}
    # No backend either, or only when they are called.
    allowed |= {"h5py", "pycocotools", "keras_hub", "safetensors"}
    assert len(files) >= 4
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            assert {name.split(".")[0] for name in names} <= allowed, (file, names)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_runs_without_tensorflow_on_another_backend(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; Keras' NumPy backend needs JAX too")
    model = with_random_weights(CNN3(**OPTIONS))
    images = images_of((2, 80, 96, 2))
    np.savez(tmp_path / "in.npz", images, *model.get_weights())
    code = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Blocker())
import keras
import numpy as np
from mammo_tf.models import CNN3
stored = np.load({str(tmp_path / "in.npz")!r})
images, *weights = (stored[name] for name in stored.files)
model = CNN3(**{OPTIONS!r})
model.set_weights(weights)
np.save({str(tmp_path / "out.npy")!r}, keras.ops.convert_to_numpy(model(images)))
assert "tensorflow" not in sys.modules and keras.backend.backend() == {backend!r}
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    got = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(got, np.asarray(model(images)), rtol=1e-3, atol=1e-3)
