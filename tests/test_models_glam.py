"""GLAM: the authors' answers, its parts against plain NumPy, and what users do with a network."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.glam import (
    GLAM,
    GlamLocalNetwork,
    PatchProposal,
    glam_loss,
    load_torch_state_dict,
    local_predictions,
    paste_crops,
    propose_corners,
    standardise,
    torch_shapes,
)
from mammo_tf.models.glam.parts import resize_nearest, top_k_mean

HERE = Path(__file__).parent
SHAPE, CROP = (160, 96), (48, 32)
SMALL = {
    "image_shape": SHAPE,
    "crop_shape": CROP,
    "num_crops": 2,
    "local_num_filters": (8, 12),
    "local_num_blocks": (1, 2),
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return GLAM(**SMALL)


def some_images(count=2, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE, 1)).astype(np.float32)


def answers(model, images):
    return {name: np.asarray(value) for name, value in model(images, training=False).items()}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_authors_answers_on_every_backend(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"BACKEND ABSENT: pip install {backend}")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [sys.executable, HERE / "glam_parity.py"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found.pop("corners") == found.pop("expected_corners") == [[2432, 864]]
    assert found.pop("notes") == []
    assert len(found) == 5
    assert max(found.values()) < 1e-4, found


def test_shapes_of_the_answer(model):
    found = answers(model, some_images())
    assert {name: value.shape for name, value in found.items()} == {
        "prediction": (2, 2),
        "layer_predictions": (2, 3, 2),
        "layer_saliency": (2, 3, 10, 6, 2),
        "global_saliency": (2, 10, 6, 2),
        "saliency": (2, *SHAPE, 2),
        "crop_corners": (2, 2, 2),
        "crops": (2, 2, *CROP),
        "local_saliency": (2, 2, 12, 8, 2),
    }
    declared = {name: spec.shape[1:] for name, spec in model.output.items()}
    assert declared == {name: value.shape[1:] for name, value in found.items()}
    assert found["crop_corners"].dtype == np.int32


def test_an_image_s_answer_does_not_depend_on_its_batch(model):
    images = some_images(3)
    together = answers(model, images)
    for index in range(3):
        alone = answers(model, images[index : index + 1])
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][index], value[0], atol=1e-5)


def test_saliency_is_put_together_as_the_paper_says(model):
    images = some_images()
    found = answers(model, images)
    np.testing.assert_allclose(
        found["global_saliency"],
        np.tensordot([0.2, 0.6, 0.2], found["layer_saliency"], axes=(0, 1)),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        found["prediction"], found["layer_predictions"].mean(axis=1), atol=1e-6
    )
    np.testing.assert_allclose(  # k = round(0.03 · 60) = 2
        found["layer_predictions"],
        np.sort(found["layer_saliency"].reshape(2, 3, 60, 2), axis=2)[:, :, -2:].mean(axis=2),
        atol=1e-6,
    )
    for number in range(2):
        whole = np.kron(found["global_saliency"][number], np.ones((16, 16, 1)))
        local = np.zeros_like(whole)
        for index, (row, column) in enumerate(found["crop_corners"][number]):
            part = slice(row, row + CROP[0]), slice(column, column + CROP[1])
            np.testing.assert_array_equal(
                found["crops"][number, index], images[number][part][..., 0]
            )
            saliency = np.asarray(model.local_network(images[number][part][None]))[0]
            local[part] = np.kron(saliency, np.ones((4, 4, 1)))  # the later on top
        np.testing.assert_allclose(found["saliency"][number], (local + whole) / 2, atol=1e-5)


def brute_force_corners(saliency, window, count):
    scaled = saliency - saliency.min(axis=(0, 1))
    rest = (scaled / scaled.max(axis=(0, 1))).sum(axis=-1)
    for _ in range(count):
        best = max(
            ((rest[r : r + window[0], c : c + window[1]].mean(), -r, -c)
             for r in range(rest.shape[0] - window[0] + 1)
             for c in range(rest.shape[1] - window[1] + 1)),
        )  # fmt: skip
        r, c = -best[1], -best[2]
        rest[r : r + window[0], c : c + window[1]] = 0
        yield [r, c]


def test_crops_are_those_that_a_search_finds():
    rng = np.random.default_rng(5)
    saliency = rng.random((3, 10, 6, 2)).astype(np.float32) * [1.0, 3.0]
    found = propose_corners(
        saliency.astype(np.float32), image_shape=SHAPE, crop_shape=CROP, num_crops=4
    )
    for each, corners in zip(saliency, np.asarray(found), strict=True):
        wanted = np.array(list(brute_force_corners(each, (3, 2), 4))) * 16
        np.testing.assert_array_equal(corners, wanted)


def test_crops_stay_inside_where_the_grid_does_not_divide_the_image():
    saliency = np.zeros((1, 7, 5, 2), np.float32)
    saliency[0, -1, -1] = 1
    corners = PatchProposal(image_shape=(117, 83), crop_shape=(50, 40), num_crops=1)(saliency)
    np.testing.assert_array_equal(corners, [[[67, 43]]])


def test_a_later_crop_lies_on_top():
    maps = np.ones((1, 2, 2, 2, 1), np.float32) * np.array([0.25, 0.75]).reshape(1, 2, 1, 1, 1)
    corners = np.array([[[0, 0], [2, 1]]], np.int32)
    found = np.asarray(
        paste_crops(maps.astype("float32"), corners, image_shape=(6, 5), crop_shape=(4, 4))
    )
    wanted = np.zeros((6, 5))
    wanted[0:4, 0:4], wanted[2:6, 1:5] = 0.25, 0.75
    np.testing.assert_array_equal(found[0, ..., 0], wanted)


def test_nearest_is_pytorch_s_where_sizes_do_not_divide():
    image = np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    found = np.asarray(resize_nearest(image, (8, 1)))[0, :, 0, 0]
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 2, 3, 3, 4])  # floor(i · 5 / 8)


def test_losses_by_hand():
    labels = np.array([[0, 1]], np.float32)
    predictions = np.array([[[0.2, 0.6], [0.5, 0.9]]], np.float32)
    saliency = np.full((1, 2, 3, 2, 2), 0.25, np.float32)
    first = -(np.log(0.8) + np.log(0.6)) / 2
    second = -(np.log(0.5) + np.log(0.9)) / 2
    found = glam_loss(labels, predictions, saliency, l1_weight=0.1)
    np.testing.assert_allclose(np.asarray(found), [first + second + 2 * 0.1 * 0.25], rtol=1e-5)
    maps = np.zeros((1, 2, 5, 1, 2), np.float32)
    maps[0, 0, :2, 0, 0], maps[0, 1, 0, 0, 0] = [0.9, 0.5], 0.7
    found = local_predictions(maps, 0.2)  # 2 of the 10 pixels of both crops
    np.testing.assert_allclose(np.asarray(found), [[0.8, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(top_k_mean(maps[:, 0], 0.01)), [[0.9, 0.0]])


def test_saved_and_loaded_with_its_arguments(model, tmp_path):
    model.save(tmp_path / "glam.keras")
    again = keras.saving.load_model(tmp_path / "glam.keras")
    assert type(again) is GLAM and again.local_num_blocks == (1, 2)
    images = some_images()
    for name, value in answers(model, images).items():
        np.testing.assert_allclose(answers(again, images)[name], value, atol=1e-5)


def test_the_local_network_alone(tmp_path):
    network = GlamLocalNetwork(
        crop_shape=(40, 24), stackwise_num_filters=(4,), stackwise_num_blocks=(1,)
    )
    network.save(tmp_path / "local.keras")
    crops = np.random.default_rng(1).normal(size=(3, 40, 24, 1)).astype(np.float32)
    found = np.asarray(network(crops))
    assert found.shape == (3, *network.map_shape, 2) == (3, 10, 6, 2)
    again = keras.saving.load_model(tmp_path / "local.keras")
    np.testing.assert_allclose(np.asarray(again(crops)), found, atol=1e-6)


def test_mixed_precision_keeps_saliency_in_float32(model):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = GLAM(**SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(model.get_weights())
    assert mixed.local_network.get_layer("stem").compute_dtype == "bfloat16"
    images = some_images()
    exact, found = answers(model, images), answers(mixed, images)
    assert found["saliency"].dtype == np.float32
    np.testing.assert_allclose(found["prediction"], exact["prediction"], atol=0.1)


def test_a_blank_image_has_its_crops_at_the_top_left(model):
    blank = np.stack([np.zeros(SHAPE), np.random.default_rng(0).normal(size=SHAPE)])
    found = answers(model, blank[..., None].astype(np.float32))
    assert np.isfinite(found["saliency"]).all() and np.isfinite(found["prediction"]).all()
    flat = propose_corners(
        np.full((1, 10, 6, 2), 0.3, np.float32), image_shape=SHAPE, crop_shape=CROP, num_crops=3
    )
    np.testing.assert_array_equal(np.asarray(flat), np.zeros((1, 3, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_image_gives_nan_and_leaves_its_neighbour_alone(model, bad):
    images = some_images()
    before = answers(model, images)
    images[1, 70, 3] = bad
    after = answers(model, images)
    for name in ("prediction", "layer_predictions", "global_saliency", "saliency"):
        assert np.isnan(after[name][1]).all(), name
        np.testing.assert_allclose(after[name][0], before[name][0], atol=1e-6)
    assert (after["crop_corners"] >= 0).all()


def test_standardise():
    image = np.array([[1, 2], [3, 6]], np.uint16)
    np.testing.assert_allclose(  # mean 3, deviation sqrt(3.5)
        standardise(image), (np.array([[1, 2], [3, 6]]) - 3) / np.sqrt(3.5), rtol=1e-6
    )
    np.testing.assert_array_equal(standardise(np.full((3, 2), 7)), np.zeros((3, 2)))
    with pytest.raises(DataError, match="1 of the image's pixels"):
        standardise(np.array([[0, np.nan]]))
    with pytest.raises(DataError, match="grey"):
        standardise(np.zeros((2, 2, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_shape": (161, 32)}, "crop_shape"),
        ({"num_crops": 0}, "num_crops"),
        ({"image_shape": (60, 96)}, "at least 64"),
        ({"top_k_fraction": 0.0}, "top_k_fraction"),
        ({"local_num_filters": (8,)}, "as many numbers"),
    ],
)
def test_arguments_that_cannot_be(change, message):
    with pytest.raises(UserError, match=message):
        GLAM(**SMALL | change)


def test_weights_are_refused_by_name_and_leave_the_model_as_it_was(model):
    right = {name: np.ones(shape, np.float32) for name, shape in torch_shapes(model).items()}
    before = model.get_weights()
    missing = dict(right)
    del missing["detection_network.gn_conv_last.weight"]
    with pytest.raises(DataError, match=r"detection_network\.gn_conv_last\.weight missing"):
        load_torch_state_dict(model, missing)
    name = "global_network.downsampling_branch.final_bn.bias"
    with pytest.raises(DataError, match=r"final_bn\.bias is \(3,\), not \(256,\)"):
        load_torch_state_dict(model, right | {name: np.ones(3, np.float32)})
    with pytest.raises(DataError, match=r"final_bn\.bias not finite"):
        load_torch_state_dict(model, right | {name: np.full(256, np.nan, np.float32)})
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_extra_weights_are_told(model):
    keras.utils.set_random_seed(3)
    other = GLAM(**SMALL)
    extra = {"somewhere.else": np.ones(3), "a.bn1.num_batches_tracked": np.zeros(())}
    arrays = {name: np.ones(shape, np.float32) for name, shape in torch_shapes(other).items()}
    notes = load_torch_state_dict(other, arrays | extra)
    assert notes == ["1 of the weights not used: somewhere.else."]
    kernel = other.local_network.get_layer("stem").get_weights()[0]
    np.testing.assert_array_equal(kernel, np.full((7, 7, 1, 8), 3))  # three grey channels
