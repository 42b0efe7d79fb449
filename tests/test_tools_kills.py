"""The tool that kills commands: it sees a difference, and a killed command ends the same."""

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "kills.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("kills", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_any_changed_array_or_byte_is_another_result(tool, tmp_path):
    target = tool.Target((), ("*.h5", "*.npz", "*.csv"))

    def write(value):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["layers/kernel"] = np.full(3, value)
        np.savez(tmp_path / "b.npz", epoch=np.array(value))
        (tmp_path / "c.csv").write_text("1")
        return tool.digest(target, tmp_path)

    first = write(1.0)
    assert write(1.0) == first != write(1.5)
    write(1.0)
    (tmp_path / "c.csv").write_text("2")
    assert tool.digest(target, tmp_path) != first
    with pytest.raises(SystemExit, match="has none of"):
        tool.digest(tool.Target((), ("*.png",)), tmp_path)


def test_records_are_compared_by_their_features_and_in_their_order(tool, tmp_path):
    """Protobuf writes the same features in another order in another process."""
    import tensorflow as tf

    target = tool.Target((), ("*.tfrecord*",))

    def entry(name: str, value: bytes) -> bytes:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        features = tf.train.Features(feature={name: feature})
        return features.SerializeToString()

    def write(*records: bytes) -> str:
        with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord-00000-of-00001")) as writer:
            for record in records:
                writer.write(b"\n" + bytes([len(record)]) + record)
        return tool.digest(target, tmp_path)

    a, b, c = entry("a", b"1"), entry("b", b"2"), entry("b", b"3")
    first = write(a + b, a + c)
    assert write(b + a, a + c) == first
    assert write(a + c, a + b) != first
    assert write(a + b) != first
    assert write(a + b, a + b) != first


@pytest.mark.slow
def test_a_killed_phantom_is_completed(tool, tmp_path, capsys):
    assert tool.try_target("phantom", tmp_path, times=1, seed=2) == 0
    assert "same" in capsys.readouterr().out


def test_a_difference_is_seen(tool, tmp_path, monkeypatch, capsys):
    """A command that leaves what it was killed at."""
    digests = iter(["a", "a", "b"])
    monkeypatch.setattr(tool, "run", lambda *_, **__: True)
    monkeypatch.setattr(tool, "digest", lambda *_: next(digests))
    assert tool.try_target("phantom", tmp_path, times=2, seed=1) == 1
    assert "DIFFERS" in capsys.readouterr().out
