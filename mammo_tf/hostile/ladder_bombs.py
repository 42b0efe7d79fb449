"""Ladder records with a right checksum whose codestreams lie."""

import functools
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from mammo_tf.testing import make_breast

_SOC = b"\xff\x4f\xff\x51"


@functools.cache
def ladder_seeds() -> tuple[bytes, ...]:
    """Returns records of small images: layered, separate, of 8 and 16 bits, and one row."""
    from mammo_tf.codecs.jpeg2000 import encode_ladder

    breast = make_breast(200, 150)
    return (
        encode_ladder(breast, (1, 5, 20, 100)).to_bytes(),
        encode_ladder(breast, (1, 30), method="separate").to_bytes(),
        encode_ladder(make_breast(64, 48, bits=8), (1, 10, 11, 12)).to_bytes(),
        encode_ladder(make_breast(1, 400), (1, 2)).to_bytes(),
    )


def with_right_checksum(record: bytes) -> bytes:
    """Returns a record whose last four bytes are the CRC-32 of all before."""
    return record[:-4] + struct.pack(">L", zlib.crc32(record[:-4]))


def ladder_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of one record of each kind, their claims drawn from `rng`."""
    for k, seed in enumerate(ladder_seeds()):
        for shape in (_shape(rng), (1, 10**8), (10**4, 10**4), (99_999_999, 1)):
            yield f"siz_{shape[0]}x{shape[1]}_of_{k}", resized(seed, *shape)
        style = seed.index(b"\xff\x52")
        for name, offset, value in (
            ("layers", 6, int(rng.integers(1, 101)).to_bytes(2)),
            ("levels", 9, bytes([int(rng.integers(0, 33))])),
            ("blocks", 10, bytes(rng.integers(0, 9, 2).tolist())),
        ):
            start = style + offset
            damaged = seed[:start] + value + seed[start + len(value) :]
            yield f"{name}_of_{k}", with_right_checksum(damaged)
        counts = struct.pack(">HH", *rng.integers(1, 65536, 2).tolist())
        yield f"counts_of_{k}", with_right_checksum(seed[:17] + counts + seed[21:])


def resized(record: bytes, height: int, width: int) -> bytes:
    """Returns a record that claims another size, in its header and in every codestream."""
    changed = bytearray(record)
    struct.pack_into(">LL", changed, 8, height, width)
    position = record.find(_SOC)
    while position >= 0:
        struct.pack_into(">LL", changed, position + 8, width, height)
        struct.pack_into(">LL", changed, position + 24, width, height)
        position = record.find(_SOC, position + 1)
    return with_right_checksum(bytes(changed))


def _shape(rng) -> tuple[int, int]:
    return tuple(int(2 ** rng.uniform(0, 17)) for _ in range(2))
