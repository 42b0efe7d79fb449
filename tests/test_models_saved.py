"""A run's networks, loaded in one line and exported; what is wrong with them is one line."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import DataError, UserError
from mammo_tf.models import CNN3, EfficientNetLite0
from mammo_tf.models.glam import GLAM
from mammo_tf.models.saved import load_cell
from mammo_tf.training.store import Cell, CellStore

MODELS = {
    "cnn3": lambda: CNN3(image_shape=(64, 64, 1), stackwise_num_filters=(2, 3, 4)),
    "efficientnet_lite0": lambda: EfficientNetLite0(image_shape=(32, 32, 1), weights="none"),
    "glam": lambda: GLAM(
        image_shape=(128, 96),
        crop_shape=(32, 32),
        num_crops=2,
        local_num_filters=(4, 4),
        local_num_blocks=(1, 1),
    ),
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """{name: (folder, network)}"""
    store = CellStore(tmp_path_factory.mktemp("run"), {})
    found = {}
    for name, make in MODELS.items():
        keras.utils.set_random_seed(4)
        model, cell = make(), Cell(name, 0)
        store.save(cell, model, [], best_epoch=1, model_config=model.get_config())
        found[name] = (store.folder / cell.name, model)
    return found


def inputs_of(model):
    shape = (2, *model.input_shape[1:])
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def outputs_of(model):
    found = model(inputs_of(model), training=False)
    return np.asarray(found["saliency"] if isinstance(found, dict) else found)


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_network_gives_what_the_trained_one_gave(cells, name):
    folder, model = cells[name]
    np.testing.assert_array_equal(outputs_of(load_cell(folder)), outputs_of(model))


def export(*words):
    return CliRunner().invoke(cli, ["export", *map(str, words)], catch_exceptions=False)


def test_an_exported_keras_file_gives_the_same(cells, tmp_path):
    folder, model = cells["glam"]
    assert export(folder, tmp_path / "out.keras").exit_code == 0
    again = keras.saving.load_model(tmp_path / "out.keras")
    np.testing.assert_array_equal(outputs_of(again), outputs_of(model))


def test_an_exported_onnx_file_gives_the_same_for_any_batch(cells, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    folder, model = cells["cnn3"]
    assert export(folder, tmp_path / "out.onnx").exit_code == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "out.onnx"))
    found = session.run(None, {session.get_inputs()[0].name: inputs_of(model)})[0]
    np.testing.assert_allclose(found, outputs_of(model), atol=1e-5)
    # the proposals of GLAM have no ONNX: said, and nothing is left behind
    with pytest.raises(UserError, match="ONNX has no operations"):
        export(cells["glam"][0], tmp_path / "glam.onnx")
    assert not list(tmp_path.glob("*glam*"))


def test_what_cannot_be_loaded(cells, tmp_path):
    with pytest.raises(UserError, match=r"holds no trained network: expected cell\.json"):
        load_cell(tmp_path)
    with pytest.raises(UserError, match=r"must end in \.keras or \.onnx"):
        export(cells["cnn3"][0], tmp_path / "out.h5")
    folder = tmp_path / "cell"
    shutil.copytree(cells["cnn3"][0], folder)
    record = json.loads((folder / "cell.json").read_text())

    def with_record(**changes):
        (folder / "cell.json").write_text(json.dumps(record | changes))
        return folder

    with pytest.raises(UserError, match="no network 'os'"):
        load_cell(with_record(model="os"))
    with pytest.raises(UserError, match=r"no network 'ssd\.model'"):
        load_cell(with_record(model="ssd.model"))
    config = record["model_config"] | {"stackwise_num_filters": [2, 3, 5]}
    with pytest.raises(DataError, match="not those of its network"):
        load_cell(with_record(model_config=config))
    with_record()
    weights = folder / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(DataError, match="its checksum differs"):
        load_cell(folder)
    (folder / "cell.json").write_text("[")
    with pytest.raises(DataError, match="is damaged"):
        load_cell(folder)
