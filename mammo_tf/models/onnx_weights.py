"""Reads the weights of an ONNX file without ONNX, and runs nothing in it.

The file is a Protocol Buffers message. Only the graph's initializers are looked at: their name,
shape, type and bytes. Sizes are checked against the file's before memory is taken.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mammo_tf.errors import DataError

MAX_FILE_BYTES = 2 << 30
_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto and GraphProto
_DIMS, _TYPE, _FLOATS, _NAME, _RAW, _LOCATION = 1, 2, 4, 8, 9, 14  # of TensorProto
_FLOAT32 = 1
_WIRE_FIXED = {1: 8, 5: 4}


def read_initializers(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the float32 tensors of an ONNX file by name; those of other types are left out.

    Args:
        path: The file.

    Raises:
        DataError: If it is no ONNX file, keeps its tensors in other files, or is damaged. One line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_FILE_BYTES >> 30} GiB.")
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'cannot be read'}.") from error
    found = {}
    try:
        for graph in _messages(content, _GRAPH):
            for tensor in _messages(graph, _INITIALIZER):
                name, array = _tensor(tensor)
                if array is not None:
                    found[name] = array
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is no ONNX file, or damaged ({error}).") from error
    if not found:
        raise DataError(f"{path.name} is no ONNX file with weights in it.")
    return found


def _tensor(content: memoryview) -> tuple[str, np.ndarray | None]:
    name, shape, kind, data = "", [], 0, b""
    for field, value in _fields(content):
        if field == _DIMS:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif field == _TYPE:
            kind = value
        elif field == _NAME:
            name = bytes(value).decode("utf-8")
        elif field in (_RAW, _FLOATS) and isinstance(value, memoryview) and len(value):
            data = value
        elif field == _LOCATION and value:
            raise ValueError("its tensors are in another file")
    if kind != _FLOAT32:
        return name, None
    if math.prod(shape) * 4 != len(data):
        raise ValueError("a tensor has another size than it says")
    return name, np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)


def _messages(content: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(content):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields (field number, number or bytes) of a message."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield field, value
            continue
        if wire == 2:
            length, place = _varint(content, place)
        elif wire in _WIRE_FIXED:
            length = _WIRE_FIXED[wire]
        else:
            raise ValueError("it has a field of an unknown kind")
        if length > len(content) - place:
            raise ValueError("it is cut off")
        yield field, content[place : place + length]
        place += length


def _varints(content: memoryview) -> Iterator[int]:
    place = 0
    while place < len(content):
        value, place = _varint(content, place)
        yield value


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number is too long")
