"""DepthwiseCNN: weights counted by hand, and its numbers computed a second time in NumPy."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate2d

from mammo_tf.errors import UserError
from mammo_tf.models import DepthwiseCNN
from mammo_tf.models.depthwise_cnn import count_parameters

# Nothing square, nothing default.
OPTIONS = {
    "image_shape": (48, 32, 2),
    "num_classes": 4,
    "stackwise_num_filters": (3, 4, 5, 6),
    "kernel_size": 3,
    "pooling": "max",
    "dropout": 0.25,
    "separable": True,
}


def images_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def with_random_weights(model, seed=1):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape).astype("float32") / 3 for w in model.get_weights()]
    for index, variable in enumerate(model.weights):
        if "variance" in variable.path:
            weights[index] = np.abs(weights[index]) + 0.5
    model.set_weights(weights)
    return model


def test_parameters_of_both_versions_by_hand():
    shared = 25 * 16 + 25 * 16 * 32 + 4 * (16 + 32 + 64 + 64) + 64 * 3 + 3
    separable = shared + (25 * 32 + 32 * 64) + (25 * 64 + 64 * 64)
    plain = shared + 25 * 32 * 64 + 25 * 64 * 64
    assert (separable, plain) == (22_643, 167_699)
    assert DepthwiseCNN(image_shape=(64, 64, 1)).count_params() == separable
    assert DepthwiseCNN(image_shape=(64, 64, 1), separable=False).count_params() == plain
    assert (count_parameters(), count_parameters(separable=False)) == (separable, plain)
    assert "22,643" in DepthwiseCNN.__doc__ and "167,699" in DepthwiseCNN.__doc__


@pytest.mark.parametrize("separable", [True, False])
def test_counted_without_making_it(separable):
    options = OPTIONS | {"separable": separable}
    counted = count_parameters(
        channels=2,
        num_classes=4,
        stackwise_num_filters=(3, 4, 5, 6),
        kernel_size=3,
        separable=separable,
    )
    assert counted == DepthwiseCNN(**options).count_params()


def test_the_layers_are_the_posters():
    model = DepthwiseCNN(image_shape=(64, 96, 1), dropout=0.1)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == 2 and kinds.count("SeparableConv2D") == 2
    assert sum("Pooling" in kind for kind in kinds) == 1 and kinds.count("Dense") == 1
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["conv1"] == (32, 48, 16) and shapes["conv2"] == (16, 24, 32)
    assert shapes["conv3"] == shapes["conv4"] == (8, 12, 64)
    assert shapes["pool"] == (64,) and model.output_shape == (None, 3)


def same_padded(image, kernel, stride):
    """One channel's correlation with TensorFlow's "same" padding: an odd pixel goes below."""
    size = kernel.shape[0]
    pads = []
    for length in image.shape:
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        pads.append((total // 2, total - total // 2))
    return correlate2d(np.pad(image, pads), kernel, mode="valid")[::stride, ::stride]


def convolved(features, kernel, stride):
    """(height, width, c) with a (k, k, c, f) kernel."""
    return np.stack(
        [
            sum(
                same_padded(features[..., c], kernel[..., c, f], stride)
                for c in range(kernel.shape[2])
            )
            for f in range(kernel.shape[3])
        ],
        axis=-1,
    )


def numpy_cnn(weights, image, *, pooling, separable):
    features = image.astype(float)
    for name, stride in (("conv1", 2), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
        if separable and name in ("conv3", "conv4"):
            depthwise = weights[f"{name}/depthwise_kernel"]
            channels = [
                same_padded(features[..., c], depthwise[..., c, 0], stride)
                for c in range(depthwise.shape[2])
            ]
            features = np.stack(channels, axis=-1) @ weights[f"{name}/pointwise_kernel"][0, 0]
        else:
            features = convolved(features, weights[f"{name}/kernel"], stride)
        gamma, beta, mean, variance = (
            weights[f"{name}_bn/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        features = (features - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        features = np.maximum(features, 0)
    pooled = features.mean((0, 1)) if pooling == "average" else features.max((0, 1))
    return pooled @ weights["logits/kernel"] + weights["logits/bias"]


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_against_numpy(pooling, separable):
    options = OPTIONS | {"image_shape": (37, 22, 2), "pooling": pooling, "separable": separable}
    model = with_random_weights(DepthwiseCNN(**options))
    images = images_of((2, 37, 22, 2))
    weights = {variable.path: np.asarray(variable) for variable in model.weights}
    expected = [numpy_cnn(weights, image, pooling=pooling, separable=separable) for image in images]
    np.testing.assert_allclose(np.asarray(model(images)), expected, rtol=2e-4, atol=2e-4)


def test_config_round_trip_keeps_every_argument():
    model = DepthwiseCNN(**OPTIONS, name="mine")
    again = DepthwiseCNN.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    for key, value in OPTIONS.items():
        assert getattr(again, key) == value
    assert again.name == "mine"


def test_saved_and_loaded_in_safe_mode_gives_the_same_numbers(tmp_path):
    model = with_random_weights(DepthwiseCNN(**OPTIONS))
    images = images_of((3, 48, 32, 2))
    expected = np.asarray(model(images))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(loaded, DepthwiseCNN) and loaded.kernel_size == 3
    np.testing.assert_array_equal(np.asarray(loaded(images)), expected)


def test_dropout_is_for_training_only():
    model = with_random_weights(DepthwiseCNN(**OPTIONS))
    images = images_of((8, 48, 32, 2))
    first, second = (np.asarray(model(images, training=False)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(np.asarray(model(images, training=True)), first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_shape": (15, 32, 1)}, r"image_shape.*\(15, 32, 1\)"),
        ({"image_shape": (32, 15, 1)}, "at least 16"),
        ({"num_classes": 0}, "num_classes.*Received: 0"),
        ({"stackwise_num_filters": (8, 8, 8)}, "stackwise_num_filters"),
        ({"stackwise_num_filters": (8, 8, 8, 0)}, "stackwise_num_filters"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"pooling": "mean"}, "average.*max.*mean"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(UserError, match=message):
        DepthwiseCNN(**(OPTIONS | change))
