"""`mammo-tf weights import`: a checkpoint becomes a Keras file, or one line says why not."""

import functools

import keras
import numpy as np
import pytest

from mammo_tf.cli import main
from mammo_tf.models import glam, torch_weights


@pytest.fixture
def small(monkeypatch):
    make = functools.partial(
        glam.GLAM,
        image_shape=(96, 64),
        crop_shape=(32, 32),
        num_crops=1,
        local_num_filters=(8,),
        local_num_blocks=(1,),
    )
    monkeypatch.setattr(glam, "GLAM", make)
    rng = np.random.default_rng(0)
    shapes = glam.torch_shapes(make())
    return {name: rng.random(shape).astype(np.float32) for name, shape in shapes.items()}


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["mammo-tf", "weights", "import", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main.main()
        raise SystemExit(0)
    return stopped.value.code


def test_a_checkpoint_becomes_a_keras_file(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "sep.ckpt").write_bytes(b"x")
    monkeypatch.setattr(torch_weights, "read_state_dict", lambda path: small | {"more": np.ones(1)})
    out = tmp_path / "glam.keras"
    assert run(monkeypatch, "glam", tmp_path / "sep.ckpt", out) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(out) and "not used: more" in printed.err
    model = keras.saving.load_model(out)
    kernel = model.local_network.get_layer("maps").get_weights()[0]
    np.testing.assert_array_equal(
        kernel[0, 0].T, small["detection_network.gn_conv_last.weight"][..., 0, 0]
    )


def test_what_is_no_glam_is_one_line_and_writes_nothing(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.ckpt").write_bytes(b"junk" * 50)
    out = tmp_path / "glam.keras"
    assert run(monkeypatch, "glam", tmp_path / "other.ckpt", out) == 2
    assert "no state dict" in capsys.readouterr().err
    monkeypatch.setattr(torch_weights, "read_state_dict", lambda path: {"a": np.ones(3)})
    assert run(monkeypatch, "glam", tmp_path / "other.ckpt", out) == 2
    error = capsys.readouterr().err
    assert "missing" in error and error.count("\n") == 1
    assert run(monkeypatch, "glam", tmp_path / "other.ckpt", tmp_path / "glam.h5") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["other.ckpt"]
