"""The layout of our JPEG 2000 codestreams, read from their bytes: nothing is decoded here.

Only what `mammo_tf.codecs.coder.encode` writes is accepted: one unsigned component of 8 or 16
bits, one tile in one tile-part, layers in order (LRCP), no precincts, reversible wavelet. A
stream from elsewhere, cut off or tampered with is refused before OpenJPEG sees it.

Reference: ITU-T T.800 (ISO/IEC 15444-1), Annex A (markers) and B.12 (order of the packets).
"""

import itertools
import struct
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import CodecError
from mammo_tf.limits import MAX_PIXELS

MAX_LAYERS = 100  # as many as OpenJPEG's encoder takes

_SOC, _SIZ, _COD, _QCD, _COM = 0xFF4F, 0xFF51, 0xFF52, 0xFF5C, 0xFF64
_SOT, _PLT, _SOD, _EOC = 0xFF90, 0xFF58, 0xFF93, b"\xff\xd9"
_PRECINCT = 1 << 15  # the largest: without explicit sizes, one covers 32768 × 32768 samples
_SOT_BYTES = 12


@dataclass(frozen=True)
class Codestream:
    """A checked codestream: header fields, and where each quality layer ends.

    Attributes:
        data: The whole stream, from SOC to EOC.
        shape: (height, width) in pixels.
        dtype: uint8 or uint16.
        num_layers: Quality layers.
        num_resolutions: Resolutions; the stream can be halved `num_resolutions - 1` times.
        layer_bytes: Bytes of packets up to and including each layer, or None where the stream
            has no packet lengths (PLT); then it can only be used whole.
        layer_is_empty: For each layer whether it adds nothing to the one before; None likewise.
    """

    data: bytes
    shape: tuple[int, int]
    dtype: np.dtype
    num_layers: int
    num_resolutions: int
    layer_bytes: tuple[int, ...] | None
    layer_is_empty: tuple[bool, ...] | None
    _layers_at: int  # offset of the number of layers, in COD
    _tile_at: int  # offset of SOT
    _packets_at: int  # offset of the first packet

    def prefix(self, num_layers: int) -> bytes:
        """A stand-alone codestream with the first `num_layers` layers and nothing else.

        The number of layers (COD) and the tile-part's length (Psot) are rewritten, the packet
        lengths dropped (a decoder has no use for them) and an end marker added.
        """
        if self.layer_bytes is None:
            if num_layers != self.num_layers:
                raise CodecError("The JPEG 2000 stream has no packet lengths to split it by.")
            return self.data
        length = self.layer_bytes[num_layers - 1]
        header = bytearray(self.data[: self._tile_at])
        struct.pack_into(">H", header, self._layers_at, num_layers)
        tile = struct.pack(">HHHIBB", _SOT, 10, 0, _SOT_BYTES + 2 + length, 0, 1)
        packets = memoryview(self.data)[self._packets_at : self._packets_at + length]
        return b"".join((header, tile, struct.pack(">H", _SOD), packets, _EOC))

    def prefix_num_bytes(self, num_layers: int) -> int:
        """len(prefix(num_layers)), without making it."""
        if self.layer_bytes is None:
            return len(self.data)
        return self._tile_at + _SOT_BYTES + 2 + self.layer_bytes[num_layers - 1] + len(_EOC)


def parse(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Codestream:
    """Checks a codestream and finds its layers.

    Args:
        data: The bytes of a .j2k file.
        max_pixels: Larger images are refused.

    Returns:
        The stream with its layout.

    Raises:
        CodecError: If it is cut off, too large, or not of the kind that this package writes.
    """
    try:
        return _parse(bytes(data), max_pixels)
    except (struct.error, IndexError) as error:
        raise _damaged("it ends inside a header") from error


def _parse(data: bytes, max_pixels: int) -> Codestream:
    segments, tile_at = _main_header(data)
    shape, dtype = _read_siz(segments[_SIZ][1], max_pixels)
    num_layers, num_resolutions = _read_cod(segments[_COD][1])
    if num_resolutions > min(shape).bit_length():
        raise _foreign("more resolutions than the image has powers of two")
    lengths, packets_at = _read_tile_header(data, tile_at)
    ends = empty = None
    if lengths is not None:
        ends, empty = _layer_ends(lengths, num_layers, _packets_per_layer(shape, num_resolutions))
        if ends[-1] != len(data) - len(_EOC) - packets_at:
            raise _damaged("its packet lengths do not add up to its size")
    layers_at = segments[_COD][0] + 2  # after Scod and the progression order
    return Codestream(
        data, shape, dtype, num_layers, num_resolutions, ends, empty, layers_at, tile_at, packets_at
    )


def _main_header(data: bytes) -> tuple[dict[int, tuple[int, bytes]], int]:
    """{marker: (offset of its content, content)} and the offset of the first SOT."""
    if struct.unpack_from(">H", data)[0] != _SOC:
        raise CodecError(
            "Expected a JPEG 2000 codestream (FF4F at its start); it is something else."
        )
    segments: dict[int, tuple[int, bytes]] = {}
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _SOT:
            break
        content = data[position + 4 : position + 2 + length]
        if length < 2 or len(content) != length - 2:
            raise _damaged("it ends inside its main header")
        if marker not in (_SIZ, _COD, _QCD, _COM) or (marker != _COM and marker in segments):
            raise _foreign(f"marker {marker:04X} in the main header")
        segments[marker] = (position + 4, content)
        position += 2 + length
    if not {_SIZ, _COD, _QCD} <= segments.keys():
        raise _foreign("no SIZ, COD or QCD marker")
    return segments, position


def _read_siz(content: bytes, max_pixels: int) -> tuple[tuple[int, int], np.dtype]:
    _, width, height, *grid, components, depth, dx, dy = struct.unpack(">HIIIIIIIIHBBB", content)
    x0, y0, tile_width, tile_height, tile_x0, tile_y0 = grid
    if components != 1 or depth not in (7, 15) or (dx, dy) != (1, 1):
        raise _foreign("not one unsigned component of 8 or 16 bits")
    if (x0, y0, tile_x0, tile_y0) != (0, 0, 0, 0) or (tile_width, tile_height) != (width, height):
        raise _foreign("more than one tile, or an offset")
    if not 0 < width * height <= max_pixels:
        raise CodecError(
            f"A JPEG 2000 stream says it has {height}×{width} pixels. "
            f"Expected 1 to {max_pixels:,}: it is damaged, or not a mammogram."
        )
    return (height, width), np.dtype(np.uint8 if depth == 7 else np.uint16)


def _read_cod(content: bytes) -> tuple[int, int]:
    style, order, layers, colour, levels, block_x, block_y, block_style, wavelet = struct.unpack(
        ">BBHBBBBBB", content
    )
    if (style, order, colour, block_style, wavelet) != (0, 0, 0, 0, 1) or block_x + block_y > 8:
        raise _foreign("other coding options")
    if not 1 <= layers <= MAX_LAYERS:
        raise _foreign(f"{layers} quality layers")
    return layers, levels + 1


def _read_tile_header(data: bytes, position: int) -> tuple[list[int] | None, int]:
    """Packet lengths (None without PLT) and the offset of the first packet."""
    _, size, tile, length, part, parts = struct.unpack_from(">HHHIBB", data, position)
    if (size, tile, part, parts) != (10, 0, 0, 1):
        raise _foreign("more than one tile-part")
    if position + length + len(_EOC) != len(data) or data[-2:] != _EOC:
        raise _damaged(f"its length should be {position + length + len(_EOC)}, it is {len(data)}")
    position += _SOT_BYTES
    segments = []
    while struct.unpack_from(">H", data, position)[0] != _SOD:
        marker, length = struct.unpack_from(">HH", data, position)
        if marker != _PLT or length < 4:
            raise _foreign(f"marker {marker:04X} in the tile's header")
        segments.append(data[position + 4 : position + 2 + length])
        position += 2 + length
    return packet_lengths(segments) if segments else None, position + 2


def packet_lengths(segments: list[bytes]) -> list[int]:
    """The lengths that PLT markers hold: 7 bits a byte, the high bit says that more follow.

    glymur 0.14.8 returns them cut to 8 bits.

    Args:
        segments: The markers' contents, each with its index (Zplt) in front, in order.

    Returns:
        The length in bytes of each packet.

    Raises:
        CodecError: If the markers are out of order or end within a length.
    """
    lengths = []
    for index, segment in enumerate(segments):
        if segment[0] != index:
            raise _foreign("packet lengths out of order")
        value = 0
        for byte in segment[1:]:
            value = value << 7 | byte & 0x7F
            if value >= 1 << 32:
                raise _damaged("a packet length is beyond 32 bits")
            if not byte & 0x80:
                lengths.append(value)
                value = 0
        if segment[-1] & 0x80:
            raise _damaged("it ends inside a packet length")
    return lengths


def _packets_per_layer(shape: tuple[int, int], num_resolutions: int) -> int:
    def precincts(size, level):
        return -(-size // (_PRECINCT << level))

    height, width = shape
    return sum(precincts(height, k) * precincts(width, k) for k in range(num_resolutions))


def _layer_ends(lengths: list[int], num_layers: int, per_layer: int):
    if len(lengths) != num_layers * per_layer:
        raise _damaged(f"{len(lengths)} packet lengths for {num_layers}×{per_layer} packets")
    layers = [lengths[k : k + per_layer] for k in range(0, len(lengths), per_layer)]
    ends = tuple(itertools.accumulate(map(sum, layers)))
    # A packet without content is a single byte.
    return ends, tuple(max(layer) <= 1 for layer in layers)


def _damaged(how: str) -> CodecError:
    return CodecError(f"The JPEG 2000 stream is cut off or damaged: {how}.")


def _foreign(what: str) -> CodecError:
    return CodecError(f"The JPEG 2000 stream was not written by mammo_tf: {what}.")
