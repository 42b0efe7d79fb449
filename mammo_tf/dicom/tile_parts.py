"""The tiles of a JPEG 2000 codestream: that all are there, and what a decoder would need for them.

OpenJPEG allocates what the coding style claims and fills in for tiles that are missing, so both are
checked on the markers (ISO/IEC 15444-1, Annex A) before it sees the stream.
"""

import dataclasses
import struct

from mammo_tf import limits
from mammo_tf.dicom.budget import Budget, TooCostlyError
from mammo_tf.errors import DataError

_SOT, _SOD, _COD, _COC, _PPT = 0xFF90, 0xFF93, 0xFF52, 0xFF53, 0xFF61
_EOC = b"\xff\xd9"
_SOT_BYTES = 12
_LARGEST_PRECINCT_LOG2 = 15
_PACKET_ALLOWANCE = 1000


@dataclasses.dataclass(frozen=True)
class TileGrid:
    """How SIZ divides the reference grid into tiles; widths and heights in pixels."""

    width: int
    height: int
    num_columns: int
    num_rows: int

    @property
    def num_tiles(self) -> int:
        """Tiles that the image must have."""
        return self.num_columns * self.num_rows


def check_stream(stream: bytes, grid: TileGrid, name: str) -> tuple[bytes, bool]:
    """Checks the coding styles and that every tile is there.

    Args:
        stream: A codestream whose SIZ marker has been checked.
        grid: The tiles that SIZ claims.
        name: The file's name, for messages.

    Returns:
        The stream, with the end marker that some encoders leave out where the tile-parts are whole;
        and whether any wavelet is the irreversible one.

    Raises:
        DataError: If a tile or a part of one is missing, the stream is cut off or damaged, or has
            more or smaller tiles, code blocks or precincts than a mammogram needs.
    """
    if grid.num_tiles > limits.MAX_TILES:
        raise DataError(
            f"{name}: {grid.num_tiles} JPEG 2000 tiles are refused (at most {limits.MAX_TILES}); "
            "encode the image again."
        )
    budget = Budget(limits.MAX_MARKERS)
    try:
        irreversible = False
        position = 4 + struct.unpack_from(">H", stream, 4)[0]
        while (marker := struct.unpack_from(">H", stream, position)[0]) != _SOT:
            if marker in (_COD, _COC):
                irreversible |= _check_coding_style(stream, position, grid, name)
            position += 2 + max(2, struct.unpack_from(">H", stream, position + 2)[0])
            budget.spend()
        end, of_tiles = _check_tile_parts(stream, position, grid, budget, name)
    except (struct.error, IndexError):
        raise cut_off(name) from None
    except TooCostlyError:
        raise DataError(
            f"{name}: the JPEG 2000 stream has more markers than any encoder writes; encode the "
            "image again."
        ) from None
    return stream if end is None else stream[:end] + _EOC, irreversible or of_tiles


def cut_off(name: str) -> DataError:
    """The error for a stream that ends too early."""
    return DataError(f"{name}: the JPEG 2000 pixel data is cut off; copy the file again.")


def _check_coding_style(stream: bytes, position: int, grid: TileGrid, name: str) -> bool:
    """Checks a COD or COC segment; returns whether its wavelet is the irreversible one."""
    is_default = struct.unpack_from(">H", stream, position)[0] == _COD
    has_precincts = stream[position + (4 if is_default else 5)] & 1
    layers = struct.unpack_from(">H", stream, position + 6)[0] if is_default else 1
    position += 9 if is_default else 6
    levels = stream[position]
    area = (stream[position + 1] & 0x0F) + (stream[position + 2] & 0x0F) + 4
    if area < limits.MIN_CODE_BLOCK_AREA_LOG2:
        raise DataError(
            f"{name}: JPEG 2000 code blocks of {2**area} samples are refused (at least "
            f"{2**limits.MIN_CODE_BLOCK_AREA_LOG2}: smaller ones exhaust memory); encode the image "
            "again."
        )
    sizes = [(_LARGEST_PRECINCT_LOG2,) * 2] * (levels + 1)
    if has_precincts:
        sizes = [(byte & 0x0F, byte >> 4) for byte in stream[position + 5 : position + 6 + levels]]
        if len(sizes) != levels + 1:
            raise IndexError
    _check_precincts(sizes, layers, grid, len(stream), name)
    return stream[position + 4] == 0


def _check_precincts(
    sizes: list[tuple[int, int]], layers: int, grid: TileGrid, num_bytes: int, name: str
) -> None:
    """`sizes` are (width, height) of a precinct as powers of two, from the lowest resolution on."""
    top = len(sizes) - 1
    if any(min(size) + top - k < limits.MIN_PRECINCT_SIDE_LOG2 for k, size in enumerate(sizes)):
        raise DataError(
            f"{name}: JPEG 2000 precincts of less than {2**limits.MIN_PRECINCT_SIDE_LOG2} pixels a "
            "side are refused: they exhaust memory; encode the image again."
        )
    # Resolutions below one pixel add nothing.
    useful = enumerate(sizes[max(0, top - max(grid.width, grid.height).bit_length()) :][::-1])
    precincts = grid.num_tiles * sum(
        -(-grid.width // (1 << width + halvings)) * -(-grid.height // (1 << height + halvings))
        for halvings, (width, height) in useful
    )
    packets = precincts * layers
    # A packet takes at least one byte, so more of them than bytes are a false claim. Eight times as
    # many are let pass: the count is an upper bound where resolutions are smaller than a pixel.
    if (
        precincts > limits.MAX_PRECINCTS
        or packets > limits.MAX_PACKETS
        or packets > 8 * num_bytes + _PACKET_ALLOWANCE
    ):
        raise DataError(
            f"{name}: the JPEG 2000 header claims {precincts} precincts in {layers} layers, more "
            f"than {num_bytes} bytes or any mammogram can hold; the file is damaged."
        )


def _check_tile_parts(
    stream: bytes, position: int, grid: TileGrid, budget: Budget, name: str
) -> tuple[int | None, bool]:
    """Steps from tile-part to tile-part: OpenJPEG decodes a cut-off stream without complaint.

    Returns:
        None where the end marker follows, else the end of the tile-parts, which are whole; and
        whether any tile has an irreversible wavelet of its own.
    """
    end, irreversible = len(stream), False
    parts = _Parts(grid, name)
    while position + 2 <= end:
        marker = struct.unpack_from(">H", stream, position)[0]
        if marker != _SOT:
            break
        tile, length, part, num_parts = struct.unpack_from(">HLBB", stream, position + 4)
        is_open = length == 0  # the last tile-part: up to the end-of-codestream marker
        if is_open:
            content = stream.rstrip(b"\x00")
            if not content.endswith(_EOC):
                raise cut_off(name)
            length = len(content) - 2 - position
        if length < _SOT_BYTES + 2 or position + length > end:
            raise cut_off(name)
        after = position + length
        body, style = _check_part_header(stream, position + _SOT_BYTES, after, grid, budget, name)
        irreversible |= style
        parts.add(tile, part, num_parts, body)
        position = after
    rest = stream[position:].strip(b"\x00")
    if rest and not rest.startswith(_EOC):
        raise DataError(f"{name}: the JPEG 2000 tile-parts do not follow on; the file is damaged.")
    parts.check_complete()
    return (None if rest else position), irreversible


def _check_part_header(
    stream: bytes, position: int, end: int, grid: TileGrid, budget: Budget, name: str
) -> tuple[int, bool]:
    """Returns how many bytes of packets follow (1 if their headers are elsewhere), and the wavelet.

    A tile may have a coding style of its own, so it is checked like the main header's.
    """
    irreversible = packed = False
    budget.spend()
    while (marker := struct.unpack_from(">H", stream, position)[0]) != _SOD:
        budget.spend()
        packed |= marker == _PPT
        if marker in (_COD, _COC):
            irreversible |= _check_coding_style(stream, position, grid, name)
        position += 2 + max(2, struct.unpack_from(">H", stream, position + 2)[0])
        if position + 2 > end:
            raise cut_off(name)
    return (1 if packed else end - position - 2), irreversible


class _Parts:
    """The tile-parts seen so far."""

    def __init__(self, grid: TileGrid, name: str):
        self._grid, self._name = grid, name
        self._seen: dict[int, int] = {}
        self._expected: dict[int, int] = {}
        self._bytes: dict[int, int] = {}

    def add(self, tile: int, part: int, num_parts: int, num_bytes: int) -> None:
        """Notes one tile-part. `num_parts` is 0 where the stream does not say it there."""
        seen = self._seen.get(tile, 0)
        if tile >= self._grid.num_tiles or part != seen:
            raise DataError(
                f"{self._name}: the JPEG 2000 tile-parts contradict each other or the image's "
                "size; the file is damaged."
            )
        self._seen[tile] = seen + 1
        # Some writers have one part more than they announce: only fewer is a fault.
        self._expected[tile] = self._expected.get(tile) or num_parts
        self._bytes[tile] = self._bytes.get(tile, 0) + num_bytes

    def check_complete(self) -> None:
        """Raises DataError unless every tile is there with all its parts and some content."""
        whole = sum(
            self._seen[tile] >= expected and self._bytes[tile] > 0
            for tile, expected in self._expected.items()
        )
        if whole < self._grid.num_tiles:
            raise DataError(
                f"{self._name}: the JPEG 2000 image is incomplete: {whole} of "
                f"{self._grid.num_tiles} tiles are there; copy or export the file again."
            )
