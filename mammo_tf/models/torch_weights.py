"""Reads the tensors of a PyTorch state dict (.pth, .pt) without PyTorch, and runs nothing in it.

Such a file is a pickle, which can call any function. Here it can call none but the three below,
which make plain descriptions of tensors; every other name is refused. Sizes are checked against the
file's before memory is taken.
"""

import collections
import io
import math
import os
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError

MAX_FILE_BYTES = 2 << 30
MAX_PICKLE_BYTES = 64 << 20
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    numel: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_state_dict(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name.

    Both formats of `torch.save` are read: that of a zip archive, and the older one; and of a
    checkpoint of a training what stands under "state_dict".

    Args:
        path: The file.

    Raises:
        DataError: If it is no state dict, holds anything beside tensors, or is damaged. One line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_FILE_BYTES >> 30} GiB.")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'cannot be read'}.") from error
    try:
        found, storages = (
            _read_zip(content) if content[:2] == b"PK" else _read_legacy(io.BytesIO(content))
        )
        if not isinstance(found, dict):
            raise ValueError("it is no dictionary of tensors")
        if isinstance(found.get("state_dict"), dict):  # a checkpoint of a training
            found = found["state_dict"]
        return {str(name): _array(value, storages) for name, value in found.items()}
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{path.name} is no state dict of PyTorch that can be read safely ({error})."
        ) from error


def _read_zip(content: bytes):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = [entry for entry in archive.namelist() if entry.endswith("data.pkl")]
        if archive.getinfo(name).file_size > MAX_PICKLE_BYTES:
            raise ValueError("its description is too long")
        unpickler = _Unpickler(io.BytesIO(archive.read(name)))
        found = unpickler.load()
        folder = name[: -len("data.pkl")]
        storages = {}
        for storage in unpickler.storages.values():
            info = archive.getinfo(f"{folder}data/{storage.key}")
            if info.file_size != storage.numel * storage.dtype.itemsize:
                raise ValueError("a tensor has another size than it says")
            if info.file_size > len(content):  # stored, never compressed, by PyTorch
                raise ValueError("a tensor is larger than the file")
            storages[storage.key] = np.frombuffer(archive.read(info), storage.dtype)
    return found, storages


def _read_legacy(stream: io.BytesIO):
    if _Unpickler(stream).load() != _MAGIC or _Unpickler(stream).load() != _PROTOCOL:
        raise ValueError("it does not begin as one")
    if not _Unpickler(stream).load().get("little_endian"):
        raise ValueError("it is of a big-endian machine")
    unpickler = _Unpickler(stream)
    found = unpickler.load()
    keys = _Unpickler(stream).load()
    storages = {}
    for key in keys:
        storage = unpickler.storages[str(key)]
        (numel,) = struct.unpack("<q", stream.read(8))
        if numel != storage.numel:
            raise ValueError("a tensor has another size than it says")
        data = stream.read(numel * storage.dtype.itemsize)
        storages[storage.key] = np.frombuffer(data, storage.dtype, numel)
    return found, storages


class _Unpickler(pickle.Unpickler):
    """Knows what a state dict is made of, and no other name."""

    def __init__(self, stream):
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise ValueError(f"it names {module}.{name}, which no weights need")

    def persistent_load(self, pid):
        kind, dtype, key, _place, numel = pid[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or (pid[5:] and pid[5]):
            raise ValueError("it refers to something that is no tensor")
        if not isinstance(numel, int) or not 0 <= numel <= MAX_FILE_BYTES:
            raise ValueError("a tensor's size makes no sense")
        storage = _Storage(str(key), dtype, numel)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError("two tensors contradict each other")
        return storage


def _rebuild_tensor(storage, offset, shape, stride, *_rest) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _rebuild_parameter(tensor, *_rest) -> _Tensor:
    return tensor


def _array(value, storages) -> np.ndarray:
    if not isinstance(value, _Tensor) or not isinstance(value.storage, _Storage):
        raise ValueError("it holds something that is no tensor")
    flat = storages[value.storage.key]
    sizes = zip(value.shape, value.stride, strict=True)
    if min([value.offset, *value.shape, *value.stride]) < 0:
        raise ValueError("a tensor's size makes no sense")
    if not math.prod(value.shape):
        return np.zeros(value.shape, flat.dtype)
    last = value.offset + sum((size - 1) * stride for size, stride in sizes)
    if last >= len(flat) or math.prod(value.shape) > len(flat):
        raise ValueError("a tensor reaches beyond its data")
    bytes_of = [stride * flat.itemsize for stride in value.stride]
    view = np.lib.stride_tricks.as_strided(flat[value.offset :], value.shape, bytes_of)
    return np.array(view)
