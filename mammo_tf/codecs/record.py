"""A ladder as bytes: the format of records. All numbers are big-endian, as in JPEG 2000.

| bytes | what |
|---|---|
| 8 | `MTFJ2KL1`: magic and version |
| 4, 4, 1 | height, width, bits of a pixel (8 or 16) |
| 2, 2 | number of compression ratios n, number of codestreams m |
| n × (8, 2, 2) | compression ratio (double), its codestream, its number of layers |
| m × 8 | length of each codestream |
| … | the codestreams |
| 4 | CRC-32 of everything before |

What a compression ratio achieved is not stored: the codestreams' packet lengths say it.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from mammo_tf.codecs import codestream
from mammo_tf.codecs.codestream import MAX_LAYERS, Codestream
from mammo_tf.errors import CodecError

_MAGIC = b"MTFJ2KL1"
_HEADER = struct.Struct(">8sIIBHH")
_STEP = struct.Struct(">dHH")
_LENGTH = struct.Struct(">Q")
_CHECKSUM = struct.Struct(">I")


@dataclass(frozen=True)
class Step:
    """Where a compression ratio is: the first `num_layers` layers of `streams[stream]`."""

    cratio: float
    stream: int
    num_layers: int


def pack(
    streams: Sequence[Codestream], steps: Sequence[Step], *, shape: tuple[int, int], bits: int
) -> bytes:
    """The bytes of a ladder.

    Args:
        streams: Its codestreams.
        steps: Where each compression ratio is.
        shape: (height, width) in pixels.
        bits: Of a pixel, 8 or 16.
    """
    parts = [_HEADER.pack(_MAGIC, *shape, bits, len(steps), len(streams))]
    parts += [_STEP.pack(step.cratio, step.stream, step.num_layers) for step in steps]
    parts += [_LENGTH.pack(len(stream.data)) for stream in streams]
    parts += [stream.data for stream in streams]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join((*parts, _CHECKSUM.pack(checksum)))


def unpack(data: bytes, *, max_pixels: int) -> tuple[tuple[Codestream, ...], tuple[Step, ...]]:
    """The streams and steps of a ladder, checked in full.

    Raises:
        CodecError: If the bytes are not a ladder, cut off, damaged, or too large an image.
    """
    try:
        return _unpack(memoryview(data), max_pixels)
    except struct.error as error:
        raise _broken("it ends inside its header") from error


def _unpack(view: memoryview, max_pixels: int):
    magic, height, width, bits, num_steps, num_streams = _HEADER.unpack_from(view)
    if magic != _MAGIC:
        raise CodecError(
            "Expected a mammo_tf JPEG 2000 ladder (magic MTFJ2KL1). "
            f"Received bytes that begin with {bytes(magic)!r}."
        )
    if not 1 <= num_steps <= MAX_LAYERS or not 1 <= num_streams <= num_steps + 1:
        raise _broken(f"{num_steps} compression ratios in {num_streams} codestreams")
    position = _HEADER.size
    raw_steps = [_STEP.unpack_from(view, position + k * _STEP.size) for k in range(num_steps)]
    position += num_steps * _STEP.size
    lengths = [_LENGTH.unpack_from(view, position + k * 8)[0] for k in range(num_streams)]
    position += num_streams * _LENGTH.size
    if position + sum(lengths) + _CHECKSUM.size != len(view):
        raise _broken(
            f"it should have {position + sum(lengths) + _CHECKSUM.size} bytes, it has {len(view)}"
        )
    if _CHECKSUM.unpack(view[-4:])[0] != zlib.crc32(view[:-4]):
        raise _broken("its checksum is wrong")
    streams = []
    for length in lengths:
        data = bytes(view[position : position + length])
        streams.append(codestream.parse(data, max_pixels=max_pixels))
        position += length
    for stream in streams:
        if stream.shape != (height, width) or 8 * stream.dtype.itemsize != bits:
            raise _broken("its header and its codestreams disagree about the image's size")
    return tuple(streams), _steps(raw_steps, streams)


def _steps(raw_steps, streams) -> tuple[Step, ...]:
    steps = []
    for cratio, stream, num_layers in raw_steps:
        if not (math.isfinite(cratio) and cratio >= 1):
            raise _broken(f"a compression ratio of {cratio}")
        if stream >= len(streams) or not 1 <= num_layers <= streams[stream].num_layers:
            raise _broken(f"no layer {num_layers} in codestream {stream}")
        if streams[stream].layer_bytes is None and num_layers != streams[stream].num_layers:
            raise _broken(f"codestream {stream} has no packet lengths")
        steps.append(Step(int(cratio) if cratio.is_integer() else cratio, stream, num_layers))
    if len({step.cratio for step in steps}) != len(steps):
        raise _broken("a compression ratio twice")
    return tuple(steps)


def _broken(how: str) -> CodecError:
    return CodecError(f"The JPEG 2000 ladder is cut off or damaged: {how}. Build the record again.")
