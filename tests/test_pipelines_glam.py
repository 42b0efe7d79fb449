"""GLAM on images of any size: there and back again; and what is refused."""

import itertools
import json
import shutil

import keras
import numpy as np
import pytest

from mammo_tf.dicom.orientation import Orientation
from mammo_tf.errors import DataError, UserError
from mammo_tf.models.glam import GLAM, standardise
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.glam.placement import place_breast, place_whole
from mammo_tf.pipelines.glam.predictor import find_lesions
from mammo_tf.pipelines.glam.saved import load_glam
from mammo_tf.testing import make_breast

SIZE = {
    "image_shape": (96, 64), "num_crops": 2, "crop_shape": (24, 20), "local_num_filters": (4,),
    "local_num_blocks": (1,),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    return GLAM(**SIZE)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """A cell as a run has it."""
    folder = tmp_path_factory.mktemp("run") / "cells" / "glam-fold0"
    folder.mkdir(parents=True)
    model.save_weights(folder / "model.weights.h5")
    about = {"model": "glam", "model_config": model.get_config()}
    (folder / "cell.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "glam-fold0")


@pytest.mark.parametrize("place", [place_whole, place_breast])
@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("shape", [(70, 50), (200, 90), (300, 260)])
def test_what_is_seen_is_put_back_where_it_was(place, is_mirrored, shape):
    image = make_breast(*shape, bits=8, chest_wall="R" if is_mirrored else "L")
    image = np.minimum(image, 200)
    rows, columns = slice(shape[0] // 2, shape[0] // 2 + 24), slice(0, 20)
    columns = slice(shape[1] - 20, shape[1]) if is_mirrored else columns
    image[rows, columns] = 255
    placed = place(image, (96, 64), is_mirrored=is_mirrored)
    given = placed.apply(image)
    assert given.shape == (96, 64) and given.dtype == np.uint8
    seen = given > 228
    assert seen[:, :10].any(1).sum() > 3, "the chest wall must be at the left"
    found = placed.undo(seen[..., None].astype(np.float32))[..., 0] > 0
    lesion = np.zeros(shape, bool)
    lesion[rows, columns] = True
    assert (found & lesion).sum() > 0.7 * (found | lesion).sum()
    inside = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    box = [inside[0][0], inside[1][0], inside[0][-1] + 1, inside[1][-1] + 1]
    expected = (rows.start, columns.start, rows.stop, columns.stop)
    step = max(1, 1 / (placed.fitted[0] / (placed.window[2] - placed.window[0])))
    np.testing.assert_allclose(placed.undo_boxes([box])[0], expected, atol=1.01 * step)


def test_fit_is_what_networks_of_the_recipe_learn_from():
    image = make_breast(150, 80, bits=8, chest_wall="R")
    expected = geometry.fit_and_pad(geometry.mirror(image), (96, 64))
    found = place_whole(image, (96, 64), is_mirrored=True).apply(image)
    np.testing.assert_array_equal(found, expected)


def test_breast_keeps_the_scale_and_cuts_off_air():
    image = np.full((400, 300), 3, np.uint8)
    image[200:260, 20:60] = make_breast(60, 40, bits=8) // 2 + 100
    placed = place_breast(image, (96, 64), is_mirrored=False)
    top, left, bottom, right = placed.window_px
    assert top <= 200 and left <= 20 and bottom >= 260 and right >= 60
    assert placed.fitted == (bottom - top, right - left) and bottom - top < 80
    inside = placed.apply(image)[placed.corner[0] :, :][: placed.fitted[0], : placed.fitted[1]]
    np.testing.assert_array_equal(inside, image[top:bottom, left:right])


@pytest.mark.parametrize("turns", list(itertools.product([False, True], repeat=3)))
def test_undo_is_the_inverse_of_apply(turns):
    stored = np.arange(24).reshape(6, 4)
    turn = Orientation(*turns, "pixels")
    np.testing.assert_array_equal(turn.undo(turn.apply(stored)), stored)


def test_a_right_breast_is_found_as_its_mirror_image(model):
    image = make_breast(150, 80, bits=8)
    left = find_lesions(model, image, is_right=False)
    right = find_lesions(model, geometry.mirror(image), is_right=True)
    assert (left.benign, left.malignant) == (right.benign, right.malignant)
    np.testing.assert_array_equal(left.saliency, right.saliency[:, ::-1])
    np.testing.assert_allclose(left.crops_px[:, [1, 3]], 80 - right.crops_px[:, [3, 1]])
    np.testing.assert_array_equal(left.crops, right.crops[..., ::-1])


def test_the_answer_is_the_network_s(model):
    image = make_breast(96, 64, bits=8)
    expected = model.predict_on_batch(standardise(image)[None, ..., None])
    found = find_lesions(model, image, is_right=False)
    np.testing.assert_array_equal(found.saliency, expected["saliency"][0])
    assert found.malignant == expected["prediction"][0, 1]
    corners = expected["crop_corners"][0]
    np.testing.assert_allclose(found.crops_px, np.hstack([corners, corners + np.array((24, 20))]))


@pytest.mark.parametrize("placement", ["fit", "breast"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (90, 60)])
def test_blank_and_tiny_images_have_a_finite_answer(model, placement, shape):
    found = find_lesions(model, np.full(shape, 9, np.uint8), is_right=False, placement=placement)
    assert found.saliency.shape == (*shape, 2) and np.isfinite(found.saliency).all()
    assert 0 <= found.benign <= 1 and 0 <= found.malignant <= 1


def test_what_cannot_be_looked_at_is_refused(model):
    broken = np.zeros((96, 64))
    broken[3, 4] = np.nan
    with pytest.raises(DataError, match="1 of the image's pixels are NaN"):
        standardise(broken)
    with pytest.raises(UserError, match="uint8 or uint16"):
        find_lesions(model, broken, is_right=False)
    with pytest.raises(UserError, match="placement"):
        find_lesions(model, np.zeros((96, 64), np.uint8), is_right=False, placement="middle")


def test_a_network_is_loaded_from_a_run_a_cell_and_a_keras_file(model, saved, tmp_path):
    model.save(tmp_path / "glam.keras")
    image = make_breast(96, 64, bits=8)
    expected = find_lesions(model, image, is_right=False).saliency
    for path in (saved, saved / "model.weights.h5", saved.parents[1], tmp_path / "glam.keras"):
        found = find_lesions(load_glam(path), image, is_right=False).saliency
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_run_with_several_networks_asks_which(saved, tmp_path):
    for name in ("glam-fold0", "glam-fold1"):
        shutil.copytree(saved, tmp_path / "cells" / name)
    with pytest.raises(UserError, match="2 networks"):
        load_glam(tmp_path)


def test_another_model_s_files_are_refused(saved, copied, tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(DataError, match=r"other.keras is not GLAM's"):
        load_glam(tmp_path / "other.keras")
    other.save_weights(copied / "model.weights.h5")
    with pytest.raises(DataError, match="damaged, or of another GLAM"):
        load_glam(copied)
    about = json.loads((copied / "cell.json").read_text())
    (copied / "cell.json").write_text(json.dumps(about | {"model": "unet"}))
    with pytest.raises(DataError, match=r"another network's. Received: unet"):
        load_glam(copied)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"model": "glam"}', b'{"model": "glam", "model_config": {}}',
     b'{"model": "glam", "model_config": {"image_shape": [900000, 900000]}}'],
)  # fmt: skip
def test_damaged_descriptions_are_refused(copied, content):
    (copied / "cell.json").write_bytes(content)
    with pytest.raises(DataError):
        load_glam(copied)


def test_missing_files_are_named(copied, tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(DataError, match="no file that Keras wrote"):
        load_glam(tmp_path / "broken.keras")
    (copied / "cell.json").unlink()
    with pytest.raises(UserError, match=r"cell.json must lie beside"):
        load_glam(copied / "model.weights.h5")
    with pytest.raises(UserError, match="WEIGHTS must be"):
        load_glam(tmp_path)
