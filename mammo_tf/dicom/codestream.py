"""What a compressed frame says about itself, read from its header before anything is decoded.

JPEG 2000: ISO/IEC 15444-1, Annex A. JPEG and JPEG Lossless: ISO/IEC 10918-1, Annex B.
JPEG-LS: ISO/IEC 14495-1, Annex C.
"""

import dataclasses
import re
import struct

from mammo_tf import limits
from mammo_tf.dicom.budget import Budget
from mammo_tf.dicom.tile_parts import TileGrid, cut_off
from mammo_tf.errors import DataError

_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_MAX_TILES = 65535  # ISO/IEC 15444-1, A.4.2: Isot is below 65535
JPEG2000, JPEG, JPEG_LOSSLESS, JPEG_LS = "JPEG 2000", "JPEG", "JPEG Lossless", "JPEG-LS"
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# Baseline, extended sequential, lossless, JPEG-LS. Progressive, hierarchical and arithmetic coding
# belong to no transfer syntax in use, and progressive scans can cost without end.
_CODINGS = {0xC0: JPEG, 0xC1: JPEG, 0xC3: JPEG_LOSSLESS, 0xF7: JPEG_LS}
_SOS, _EOI, _LSE, _LSE_SIZE = 0xDA, 0xD9, 0xF8, 4
# What ends entropy-coded data: neither a stuffed FF (00 in JPEG, up to 7F in JPEG-LS) nor RSTn.
_MARKER = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


@dataclasses.dataclass(frozen=True)
class FrameInfo:
    """The claims of a codestream.

    Attributes:
        rows: Height in pixels.
        columns: Width in pixels.
        components: 1 for grey.
        precision: Bits of a sample.
        coding: "JPEG 2000", "JPEG", "JPEG Lossless" or "JPEG-LS".
        grid: The tiles of JPEG 2000; else None.
        signed: Whether a sample can be negative.
        has_offset: Whether the image begins elsewhere than at the origin of its reference grid.
    """

    rows: int
    columns: int
    components: int
    precision: int
    coding: str
    grid: TileGrid | None = None
    signed: bool = False
    has_offset: bool = False


def describe_jpeg2000(frame: bytes, name: str) -> tuple[bytes, FrameInfo]:
    """Reads the SIZ marker; `tile_parts.check_stream` reads the rest.

    Args:
        frame: The encoded frame; a JP2 file's boxes round the codestream are taken off.
        name: The file's name, for messages.

    Returns:
        The bare codestream and what it claims.

    Raises:
        DataError: If the codestream is no JPEG 2000, makes impossible claims, or is cut off.
    """
    stream = _unwrap_jp2(frame, name) if frame.startswith(_JP2_SIGNATURE) else frame
    if not stream.startswith(_J2K_START):
        raise DataError(f"{name}: the pixel data is not JPEG 2000, as its transfer syntax claims.")
    try:
        return stream, _read_size(stream, name)
    except (struct.error, IndexError):
        raise cut_off(name) from None


def _read_size(stream: bytes, name: str) -> FrameInfo:
    x_size, y_size, x_start, y_start, tile_width, tile_height, tile_x, tile_y, components = (
        struct.unpack_from(">8LH", stream, 8)
    )
    depth, x_step, y_step = stream[42:45]
    columns = -(-(x_size - tile_x) // max(tile_width, 1))
    rows = -(-(y_size - tile_y) // max(tile_height, 1))
    whole = x_size > x_start and y_size > y_start
    anchored = tile_x <= x_start < tile_x + tile_width and tile_y <= y_start < tile_y + tile_height
    if (
        not (whole and anchored)
        or not (columns >= 1 and rows >= 1 and columns * rows <= _MAX_TILES)
        or (components == 1 and (x_step, y_step) != (1, 1))
    ):
        raise DataError(
            f"{name}: the JPEG 2000 header (SIZ) makes impossible claims; the file is damaged."
        )
    grid = TileGrid(
        width=min(tile_width, x_size - x_start),
        height=min(tile_height, y_size - y_start),
        num_columns=columns,
        num_rows=rows,
    )
    return FrameInfo(
        rows=y_size - y_start,
        columns=x_size - x_start,
        components=components,
        precision=(depth & 0x7F) + 1,
        coding=JPEG2000,
        grid=grid,
        signed=bool(depth & 0x80),
        has_offset=x_start > 0 or y_start > 0,
    )


def check_density(info: FrameInfo, num_bytes: int, name: str) -> None:
    """Refuses more pixels than the frame's bytes can hold, before a decoder allocates them.

    JPEG Lossless takes at least one bit a pixel, sequential JPEG two bits for each block of 64,
    JPEG-LS one bit a line. Since the last is little, and JPEG 2000 has no bound, a large image of
    these two must also be of a plausible size.

    Args:
        info: What the frame claims.
        num_bytes: Its length.
        name: The file's name, for messages.

    Raises:
        DataError: If the claim cannot be true.
    """
    pixels = info.rows * info.columns
    if info.coding == JPEG_LS and pixels > limits.MAX_JPEG_LS_PIXELS:
        raise DataError(
            f"{name}: {pixels} pixels are more than {limits.MAX_JPEG_LS_PIXELS}, the most that are "
            "read of JPEG-LS, which is slow; export the image uncompressed or as JPEG 2000."
        )
    least_bits = {JPEG: pixels // 32, JPEG_LOSSLESS: pixels, JPEG_LS: info.rows, JPEG2000: 0}
    most_per_byte = {
        JPEG_LS: limits.MAX_JPEG_LS_PIXELS_PER_BYTE,
        JPEG2000: limits.MAX_JPEG2000_PIXELS_PER_BYTE,
    }.get(info.coding, pixels)
    large = pixels > limits.LARGE_IMAGE_PIXELS
    if least_bits[info.coding] > 8 * num_bytes or (large and pixels > most_per_byte * num_bytes):
        raise DataError(
            f"{name}: the compressed image claims {pixels} pixels in {num_bytes} bytes, which "
            "cannot be; the file is damaged, export it again."
        )


def _unwrap_jp2(frame: bytes, name: str) -> bytes:
    """Returns the contiguous codestream box of a JP2 file, walking from box to box."""
    position, budget = 0, Budget(limits.MAX_MARKERS)
    while position + 8 <= len(frame) and budget.has_left():
        length, kind = struct.unpack_from(">L4s", frame, position)
        start = position + 8
        if length == 1 and start + 8 <= len(frame):
            length = struct.unpack_from(">Q", frame, start)[0]
            start += 8
        end = len(frame) if length == 0 else position + length
        if kind == b"jp2c":
            return frame[start:end]
        if end < start:
            break
        position = end
    raise DataError(f"{name}: the pixel data is a JP2 file without a codestream; it is damaged.")


def describe_jpeg(frame: bytes, name: str) -> tuple[bytes, FrameInfo]:
    """Reads the markers of a JPEG, JPEG Lossless or JPEG-LS stream to its end.

    Returns:
        The stream up to its end marker, without padding, and what it claims. Parameters of a scan
        that can have but one value, and that some encoders write wrongly, are put right.

    Raises:
        DataError: If it is no JPEG, has no frame header or no end marker, is coded in a way that no
            transfer syntax in use allows, or has several scans.
    """
    if not frame.startswith(b"\xff\xd8"):
        raise DataError(f"{name}: the pixel data is not JPEG, as its transfer syntax claims.")
    try:
        info, scans, end = _follow_markers(frame, name)
    except (struct.error, IndexError):
        raise DataError(f"{name}: the JPEG pixel data is cut off; copy the file again.") from None
    if info is None:
        raise DataError(f"{name}: the JPEG stream has no frame header; the file is damaged.")
    if info.components == 1 and len(scans) > 1:  # each would cost a pass over all the pixels
        raise DataError(f"{name}: the JPEG stream has several scans; the file is damaged.")
    return _with_right_scans(frame[:end], info.coding, scans), info


def _follow_markers(frame: bytes, name: str) -> tuple[FrameInfo | None, list[int], int]:
    """Returns the claims, the ends of the scan headers, and the stream's end.

    Raises:
        DataError: If it is coded in a way that no transfer syntax in use allows, or has several
            frame headers.
        IndexError: If the stream ends before its end marker.
    """
    info, scans, position = None, [], 2
    budget = Budget(limits.MAX_MARKERS)
    while frame[position] == 0xFF and (marker := frame[position + 1]) != _EOI:
        if not budget.has_left():
            raise IndexError
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        length = struct.unpack_from(">H", frame, position + 2)[0]
        if marker == _LSE and frame[position + 4] == _LSE_SIZE:
            raise DataError(f"{name}: JPEG-LS with a size outside its frame header is not read.")
        if marker in _START_OF_FRAME:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            if info is not None:
                raise DataError(f"{name}: the JPEG stream has several frames; it is damaged.")
            if marker not in _CODINGS:
                raise DataError(
                    f"{name}: progressive, hierarchical and arithmetic JPEG are not read; "
                    "export the image uncompressed or as JPEG 2000."
                )
            info = FrameInfo(rows, columns, components, precision, _CODINGS[marker])
        position += 2 + max(2, length)
        if marker == _SOS:
            scans.append(position)
            found = _MARKER.search(frame, position)
            position = found.start() if found else len(frame)
    return info, scans, position + 2


def _with_right_scans(frame: bytes, coding: str, scans: list[int]) -> bytes:
    """Puts Ss, Se, Ah and Al right where ISO/IEC 10918-1, table B.3 leaves no choice.

    A sequential DCT scan has 0, 63, 0 and 0, but some mammographs write Se = 0; a lossless one has
    Se = 0 and Ah = 0. Decoders refuse or misread others.
    """
    changes = {}
    for end in scans:
        written = frame[end - 3 : end]
        if coding == JPEG:
            right = b"\x00\x3f\x00"
        elif coding == JPEG_LOSSLESS:
            right = bytes([written[0], 0, written[2] & 0x0F])
        else:
            right = written
        if written != right:
            changes[end] = right
    if not changes:
        return frame
    patched = bytearray(frame)
    for end, right in changes.items():
        patched[end - 3 : end] = right
    return bytes(patched)
