"""Small PGM, PNG and TIFF files that claim much, or keep a parser busy."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def image_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of one file of each kind, their sizes drawn from `rng`."""
    yield from _pgm(rng)
    yield from png_bombs(rng)
    yield from _tiff(rng)


def _pgm(rng) -> Iterator[tuple[str, bytes]]:
    blanks = int(rng.integers(30, 60_000))
    yield "pgm_blanks", b"P5" + b" " * blanks + b"x"
    yield "pgm_comments", b"P5" + b" #\n" * (blanks // 3) + b"x"
    yield "pgm_blank_comments", b"P5\n#" + b" " * blanks + b"\n" + b" " * blanks + b"#x"
    yield "pgm_digits", b"P5 " + b"1" * blanks + b" 2 255\n"
    height, width = (int(2 ** rng.uniform(0, 20)) for _ in range(2))
    for magic in (b"P5", b"P2"):
        claim = f" {width} {height} {int(rng.choice((1, 255, 4095, 65535, 10**8)))}\n".encode()
        yield f"{magic.decode()}_claim", magic + claim + b"7 " * int(rng.integers(0, 10**5))
    yield "p2_one_number", b"P2 100 100 255\n" + b"1" * int(rng.integers(10**4, 10**7))
    yield "p2_blanks", b"P2 1000 1000 255\n" + b" " * int(rng.integers(10**6, 2 * 10**7))


def png_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of PNG files only; most have 48 × 64 pixels."""
    good = _png()
    header, rest = good[:33], good[33:]
    text = zlib.compress(bytes(int(rng.integers(2**20, 2**26))), 9)
    yield "png_ztxt", header + _chunk(b"zTXt", b"Comment\0\0" + text) + rest
    yield "png_itxt", header + _chunk(b"iTXt", b"Comment\0\1\0\0\0" + text) + rest
    yield "png_iccp", header + _chunk(b"iCCP", b"profile\0\0" + text) + rest
    size = int(rng.integers(2**20, 2**23))
    yield "png_text", header + _chunk(b"tEXt", b"Comment\0" + b"x" * size) + rest
    many = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000), 9))
    yield "png_many_texts", header + many * int(rng.integers(2, 200)) + rest
    yield "png_chunks", header + _chunk(b"abCd", b"") * int(rng.integers(10**5, 10**6)) + rest
    yield "png_idats", header + _chunk(b"IDAT", b"") * int(rng.integers(10**3, 10**6)) + rest
    damaged = bytearray(rest)
    for position in rng.integers(8, len(rest) - 12, 4):
        damaged[position] ^= int(rng.integers(1, 256))
    yield "png_damaged_stream", header + bytes(damaged)
    yield "png_cut", good[: int(rng.integers(9, len(good)))]
    height, width = (int(2 ** rng.uniform(10, 31)) for _ in range(2))
    yield "png_claim", _png_claim(height, width, zlib.compress(bytes(1000)))
    side = int(rng.integers(9_000, 20_000))
    packed = zlib.compress(bytes(side * (side + 1)), 9)
    yield f"png_black_{side}", _png_claim(side, side, packed)
    frames = _chunk(b"acTL", struct.pack(">2L", int(rng.integers(2, 2**31)), 0))
    yield "png_frames", header + frames + rest


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", checksum)


def _png() -> bytes:
    stream = io.BytesIO()
    pixels = np.zeros((64, 48), np.uint8)
    pixels[20:40, 10:30] = 255
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _png_claim(height: int, width: int, packed: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0))
    return SIGNATURE + header + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _tiff(rng) -> Iterator[tuple[str, bytes]]:
    count = int(rng.integers(2, 200_000))
    yield "tiff_chain", tiff(chain=count)
    yield "tiff_loop", tiff(chain=-1)
    entries = int(rng.integers(1001, 45_000))
    size = int(rng.integers(10**5, 10**6))
    yield (
        "tiff_overlapping",
        tiff(extra=[(20_000 + k, 1, size, 8) for k in range(entries)], pad=size),
    )
    few = [(20_000 + k, 1, size, 8) for k in range(900)]
    yield "tiff_few_overlapping", tiff(extra=few, pad=size)
    number = int(rng.integers(10**6, 2**32 - 1))
    yield "tiff_value_claim", tiff(extra=[(20_000, 12, number, 8)])
    yield "tiff_strips", tiff(offsets=int(rng.integers(10**4, 10**6)))
    side = int(2 ** rng.uniform(8, 31)) // 16 * 16
    tiles = [(322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8), (325, 4, 1, 100)]
    yield f"tiff_tile_{side}", tiff(extra=tiles)
    height, width = (int(2 ** rng.uniform(8, 20)) for _ in range(2))
    compression = int(rng.choice((1, 5, 7, 8, 32773, 32946, 34925, 50000)))
    yield f"tiff_claim_{compression}", tiff(height=height, width=width, compression=compression)


def tiff(
    *,
    height: int = 64,
    width: int = 48,
    compression: int = 1,
    extra: list[tuple[int, int, int, int]] = (),
    chain: int = 1,
    offsets: int = 1,
    pad: int = 0,
) -> bytes:
    """Makes an 8-bit grey TIFF with (tag, type, number, value) entries of any kind.

    Args:
        height: Rows that it claims; the pixels of 64 are there.
        width: Columns that it claims; the pixels of 48 are there.
        compression: TIFF's number; the pixels are not compressed.
        extra: Further entries.
        chain: Directories; −1 for one that follows itself.
        offsets: Strips.
        pad: Bytes behind everything.
    """
    pixels = bytes(64 * 48)
    table = struct.pack("<L", 8) * offsets
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, offsets, 8 if offsets == 1 else 8 + len(pixels)),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(pixels)),
        *extra,
    ]
    start = 8 + len(pixels) + len(table)
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHLL", *entry) for entry in sorted(entries))
    length = len(directory) + 4
    parts = [b"II*\0", struct.pack("<L", start), pixels, table]
    for k in range(max(1, chain)):
        following = start + (k + 1) * length if k + 1 < chain else 0
        parts += [directory, struct.pack("<L", start if chain < 0 else following)]
    return b"".join((*parts, bytes(pad)))
