"""State dicts of PyTorch, written here by hand in both of its formats; and hostile ones."""

import collections
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from mammo_tf.errors import DataError
from mammo_tf.models.torch_weights import read_state_dict


class Named:
    """Pickled as a name of PyTorch's, which is not installed here."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Rebuilt:
    """Pickled as a call of `torch._utils._rebuild_tensor_v2`."""

    def __init__(self, array, key, *, shape=None, stride=None, offset=0, numel=None):
        self.array, self.key = np.ascontiguousarray(array), key
        self.shape = array.shape if shape is None else shape
        itemsize = self.array.itemsize
        self.stride = tuple(s // itemsize for s in array.strides) if stride is None else stride
        self.offset, self.numel = offset, self.array.size if numel is None else numel


class Call:
    """Pickled as a call of any function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Pickler(pickle._Pickler):
    """Pure Python, so that names can be written of things that are not there."""

    def persistent_id(self, value):
        if isinstance(value, tuple) and value and value[0] == "storage":
            return value
        return None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Named):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
            return None
        if isinstance(value, Rebuilt):
            kind = {"f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage"}
            storage = ("storage", Named("torch", kind[value.array.dtype.str[1:]]), value.key,
                       "cpu", value.numel)  # fmt: skip
            call = Call(
                Named("torch._utils", "_rebuild_tensor_v2"),
                storage, value.offset, value.shape, value.stride, False, collections.OrderedDict(),
            )  # fmt: skip
            return self.save(call)
        if isinstance(value, Call):
            self.save(value.function)
            self.save(tuple(value.arguments))
            self.write(pickle.REDUCE)
            return None
        return super().save(value, save_persistent_id)


def pickled(value):
    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def zipped(path, tensors, compression=zipfile.ZIP_STORED, whole=None):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(tensors if whole is None else whole))
        for tensor in tensors.values():
            if isinstance(tensor, Rebuilt):
                archive.writestr(f"archive/data/{tensor.key}", tensor.array.tobytes())
    return path


def legacy(path, tensors):
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled({"little_endian": True})]
    parts += [pickled(tensors), pickled([tensor.key for tensor in tensors.values()])]
    for tensor in tensors.values():
        parts += [struct.pack("<q", tensor.array.size), tensor.array.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


ARRAYS = {
    "conv.weight": np.arange(24, dtype="<f4").reshape(2, 3, 2, 2),
    "norm.bias": np.linspace(0, 1, 5).astype("<f2"),
    "count": np.array(7, "<i8"),
}


@pytest.mark.parametrize("write", [zipped, legacy])
def test_both_formats(tmp_path, write):
    tensors = {name: Rebuilt(array, str(k)) for k, (name, array) in enumerate(ARRAYS.items())}
    found = read_state_dict(write(tmp_path / "w.pth", tensors))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_a_training_s_checkpoint_gives_its_state_dict(tmp_path):
    tensors = {"a.weight": Rebuilt(np.arange(6, dtype="<f4"), "0")}
    whole = {"epoch": 3, "state_dict": tensors, "lr": [0.1]}
    found = read_state_dict(zipped(tmp_path / "w.ckpt", tensors, whole=whole))
    assert list(found) == ["a.weight"]
    np.testing.assert_array_equal(found["a.weight"], np.arange(6))


def test_views_of_one_storage(tmp_path):
    base = np.arange(12, dtype="<f4")
    tensors = {
        "turned": Rebuilt(base, "0", shape=(3, 4), stride=(1, 3)),
        "part": Rebuilt(base, "0", shape=(2, 2), stride=(2, 1), offset=5),
    }
    found = read_state_dict(zipped(tmp_path / "w.pth", {"turned": tensors["turned"]}))
    np.testing.assert_array_equal(found["turned"], base.reshape(4, 3).T)
    found = read_state_dict(zipped(tmp_path / "w.pth", {"part": tensors["part"]}))
    np.testing.assert_array_equal(found["part"], [[5, 6], [7, 8]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (4, 4), "stride": (4, 1)}, "beyond its data"),
        ({"shape": (12,), "stride": (1,), "offset": 1}, "beyond its data"),
        ({"shape": (1 << 40,), "stride": (0,)}, "beyond its data"),
        ({"shape": (2,), "stride": (-1,)}, "makes no sense"),
        ({"numel": 1 << 40}, "makes no sense"),
        ({"numel": 13}, "another size"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, changes, message):
    tensor = Rebuilt(np.arange(12, dtype="<f4"), "0", **changes)
    with pytest.raises(DataError, match=message):
        read_state_dict(zipped(tmp_path / "w.pth", {"a": tensor}))


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("nt", "x")]
)
def test_no_other_function_is_ever_called(tmp_path, module, name, monkeypatch):
    called = []
    monkeypatch.setattr(os, "system", called.append)
    content = {"a": Call(Named(module, name), "touch /tmp/harm")}
    with pytest.raises(DataError, match=rf"names {module}\.{name}, which no weights need"):
        read_state_dict(zipped(tmp_path / "w.pth", content))
    assert not called


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    tensor = Rebuilt(np.zeros(30_000_000, "<f4"), "0")
    path = zipped(tmp_path / "w.pth", {"a": tensor}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match="larger than the file"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04junk", b"junk" * 100, pickled([1])])
def test_anything_else_is_one_line(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"w\.pth is no state dict") as error:
        read_state_dict(path)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="No such file"):
        read_state_dict(tmp_path / "absent.pth")


def test_what_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(DataError, match="no tensor"):
        read_state_dict(zipped(tmp_path / "w.pth", {"a": 5}))
