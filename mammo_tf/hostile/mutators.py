"""Damage to bytes: flips, cuts, splices, lies about lengths. All drawn from a seeded generator."""

import re
import struct
from collections.abc import Callable, Sequence

import numpy as np

_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBERS = (b"0", b"-1", b"1e308", b"nan", b"999999999", b"4294967296", b"", b"1" * 400)


def mutate(seeds: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Returns one of `seeds` with one to four kinds of damage."""
    content = seeds[int(rng.integers(len(seeds)))]
    for _ in range(int(rng.integers(1, 5))):
        if not content:
            break
        mutator = _MUTATORS[int(rng.integers(len(_MUTATORS)))]
        content = mutator(content, seeds, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    """A position; half of the time in the first 2 kB, where headers are."""
    bound = min(len(content), 2048) if rng.random() < 0.5 else len(content)
    return int(rng.integers(bound))


def _flip_bits(content: bytes, _, rng) -> bytes:
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        damaged[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def _set_bytes(content: bytes, _, rng) -> bytes:
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        damaged[_place(content, rng)] = int(rng.integers(256))
    return bytes(damaged)


def _cut(content: bytes, _, rng) -> bytes:
    return content[: _place(content, rng)]


def _remove(content: bytes, _, rng) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + int(2 ** rng.uniform(0, 12)) :]


def _repeat(content: bytes, _, rng) -> bytes:
    start = _place(content, rng)
    piece = content[start : start + int(2 ** rng.uniform(0, 10))]
    return content[:start] + piece * int(2 ** rng.uniform(0, 8)) + content[start:]


def _insert(content: bytes, _, rng) -> bytes:
    start = _place(content, rng)
    return content[:start] + rng.bytes(int(2 ** rng.uniform(0, 10))) + content[start:]


def _fill(content: bytes, _, rng) -> bytes:
    start, length = _place(content, rng), int(2 ** rng.uniform(0, 12))
    filler = bytes([int(rng.choice((0, 255, 32, int(rng.integers(256)))))])
    return content[:start] + filler * min(length, len(content) - start) + content[start + length :]


def _splice(content: bytes, seeds: Sequence[bytes], rng) -> bytes:
    other = seeds[int(rng.integers(len(seeds)))]
    if not other:
        return content
    start, length = _place(other, rng), int(2 ** rng.uniform(0, 12))
    here = _place(content, rng)
    return content[:here] + other[start : start + length] + content[here + length :]


def _lie_about_a_length(content: bytes, _, rng) -> bytes:
    size, letter = ((2, "H"), (4, "L"))[int(rng.integers(2))]
    if len(content) <= size:
        return content
    damaged = bytearray(content)
    start = min(_place(content, rng), len(content) - size)
    value = int(rng.choice(_EXTREMES))
    if rng.random() < 0.5:  # near what is there
        (value,) = struct.unpack_from(">" + letter, content, start)
        value += int(rng.integers(-3, 4))
    order = "<>"[int(rng.integers(2))]
    struct.pack_into(order + letter, damaged, start, value & (256**size - 1))
    return bytes(damaged)


def _lie_in_a_number(content: bytes, _, rng) -> bytes:
    numbers = [match.span() for match in re.finditer(rb"[0-9]+", content[:4096])]
    if not numbers:
        return content
    start, end = numbers[int(rng.integers(len(numbers)))]
    return content[:start] + _NUMBERS[int(rng.integers(len(_NUMBERS)))] + content[end:]


_MUTATORS: tuple[Callable[[bytes, Sequence[bytes], np.random.Generator], bytes], ...] = (
    _flip_bits,
    _set_bytes,
    _cut,
    _remove,
    _repeat,
    _insert,
    _fill,
    _splice,
    _lie_about_a_length,
    _lie_in_a_number,
)
