"""What a compressed frame says about itself, read from its header before anything is decoded.

JPEG 2000: ISO/IEC 15444-1, Annex A. JPEG and JPEG Lossless: ISO/IEC 10918-1, Annex B.
JPEG-LS: ISO/IEC 14495-1, Annex C.
"""

import dataclasses
import re
import struct

from mammo_tf.errors import DataError

_J2K_START = b"\xff\x4f\xff\x51"  # SOC, SIZ
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_SOT, _SOD, _COD, _COC, _EOC = 0xFF90, 0xFF93, 0xFF52, 0xFF53, 0xFFD9
_MAX_TILES = 65535  # ISO/IEC 15444-1, A.4.2: Isot is below 65535
_MIN_CODE_BLOCK_AREA_LOG2 = 8  # smaller blocks cost the decoder more memory than the pixels do
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # 0xF7 is JPEG-LS
_SEQUENTIAL_DCT, _LOSSLESS = {0xC0, 0xC1}, 0xC3
_SOS, _EOI = 0xDA, 0xD9
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
        irreversible: Whether a JPEG 2000 stream is coded with loss.
        signed: Whether a sample can be negative.
        has_offset: Whether the image begins elsewhere than at the origin of its reference grid.
    """

    rows: int
    columns: int
    components: int
    precision: int
    irreversible: bool = False
    signed: bool = False
    has_offset: bool = False


def describe_jpeg2000(frame: bytes, name: str) -> tuple[bytes, FrameInfo]:
    """Reads the SIZ and COD markers and follows the tile-parts to the end.

    Args:
        frame: The encoded frame; a JP2 file's boxes round the codestream are taken off.
        name: The file's name, for messages.

    Returns:
        The bare codestream, with the end marker that some encoders leave out where the tile-parts
        are whole, and what it claims.

    Raises:
        DataError: If the codestream is no JPEG 2000, makes impossible claims, or is cut off.
    """
    stream = _unwrap_jp2(frame, name) if frame.startswith(_JP2_SIGNATURE) else frame
    if not stream.startswith(_J2K_START):
        raise DataError(f"{name}: the pixel data is not JPEG 2000, as its transfer syntax claims.")
    try:
        info, end = _read_main_header(stream, name)
        return stream if end is None else stream[:end] + _EOC.to_bytes(2), info
    except (struct.error, IndexError):
        raise _cut_off(name, "JPEG 2000") from None


def _read_main_header(stream: bytes, name: str) -> tuple[FrameInfo, int | None]:
    """Returns the claims, and where the tile-parts end if the end marker is missing there."""
    x_size, y_size, x_start, y_start, tile_width, tile_height, tile_x, tile_y, components = (
        struct.unpack_from(">8LH", stream, 8)
    )
    depth, x_step, y_step = stream[42:45]
    tiles = -(-(x_size - tile_x) // max(tile_width, 1)) * -(
        -(y_size - tile_y) // max(tile_height, 1)
    )
    whole = x_size > x_start and y_size > y_start and tile_width and tile_height
    if (
        not whole
        or not 1 <= tiles <= _MAX_TILES
        or (components == 1 and (x_step, y_step) != (1, 1))
    ):
        raise DataError(
            f"{name}: the JPEG 2000 header (SIZ) makes impossible claims; the file is damaged."
        )
    irreversible = False
    position = 4 + struct.unpack_from(">H", stream, 4)[0]
    while (marker := struct.unpack_from(">H", stream, position)[0]) != _SOT:
        if marker in (_COD, _COC):
            style = position + (9 if marker == _COD else 6)
            irreversible |= _check_coding_style(stream, style, name)
        position += 2 + max(2, struct.unpack_from(">H", stream, position + 2)[0])
    info = FrameInfo(
        rows=y_size - y_start,
        columns=x_size - x_start,
        components=components,
        precision=(depth & 0x7F) + 1,
        irreversible=irreversible,
        signed=bool(depth & 0x80),
        has_offset=x_start > 0 or y_start > 0,
    )
    return info, _follow_tile_parts(stream, position, name)


def _check_coding_style(stream: bytes, position: int, name: str) -> bool:
    """Checks SPcod (levels, block size, style, wavelet); says if the wavelet is irreversible."""
    area = (stream[position + 1] & 0x0F) + (stream[position + 2] & 0x0F) + 4
    if area < _MIN_CODE_BLOCK_AREA_LOG2:
        raise DataError(
            f"{name}: JPEG 2000 code blocks of {2**area} samples are refused (at least "
            f"{2**_MIN_CODE_BLOCK_AREA_LOG2}: smaller ones exhaust memory); encode the image again."
        )
    return stream[position + 4] == 0


def _follow_tile_parts(stream: bytes, position: int, name: str) -> int | None:
    """Steps from tile-part to tile-part: OpenJPEG decodes a cut-off stream without complaint.

    Returns:
        None where the end marker follows; else the end of the tile-parts, which are whole.
    """
    end = len(stream)
    while position + 2 <= end:
        marker = struct.unpack_from(">H", stream, position)[0]
        if marker != _SOT:
            if marker == _EOC:
                return None
            break
        length = struct.unpack_from(">L", stream, position + 6)[0]
        if length == 0:  # the last tile-part: up to the end-of-codestream marker
            if stream.rstrip(b"\x00").endswith(b"\xff\xd9"):
                return None
            raise _cut_off(name, "JPEG 2000")
        if length < 14 or position + length > end:
            raise _cut_off(name, "JPEG 2000")
        position += length
    if stream[position:].strip(b"\x00"):
        raise DataError(f"{name}: the JPEG 2000 tile-parts do not follow on; the file is damaged.")
    return position


def _unwrap_jp2(frame: bytes, name: str) -> bytes:
    """Returns the contiguous codestream box of a JP2 file, walking from box to box."""
    position = 0
    while position + 8 <= len(frame):
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
        DataError: If it is no JPEG, has no frame header, or has no end marker.
    """
    if not frame.startswith(b"\xff\xd8"):
        raise DataError(f"{name}: the pixel data is not JPEG, as its transfer syntax claims.")
    try:
        info, kind, scans, end = _follow_markers(frame)
    except (struct.error, IndexError):
        raise _cut_off(name, "JPEG") from None
    if info is None:
        raise DataError(f"{name}: the JPEG stream has no frame header; the file is damaged.")
    return _with_right_scans(frame[:end], kind, scans), info


def _follow_markers(frame: bytes) -> tuple[FrameInfo | None, int, list[int], int]:
    """Returns the claims, the frame's marker, the ends of the scan headers, and the stream's end.

    Raises:
        IndexError: If the stream ends before its end marker.
    """
    info, kind, scans, position = None, 0, [], 2
    while frame[position] == 0xFF and (marker := frame[position + 1]) != _EOI:
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        length = struct.unpack_from(">H", frame, position + 2)[0]
        if marker in _START_OF_FRAME and info is None:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            info, kind = FrameInfo(rows, columns, components, precision), marker
        position += 2 + max(2, length)
        if marker == _SOS:
            scans.append(position)
            found = _MARKER.search(frame, position)
            position = found.start() if found else len(frame)
    return info, kind, scans, position + 2


def _with_right_scans(frame: bytes, kind: int, scans: list[int]) -> bytes:
    """Puts Ss, Se, Ah and Al right where ISO/IEC 10918-1, table B.3 leaves no choice.

    A sequential DCT scan has 0, 63, 0 and 0, but some mammographs write Se = 0; a lossless one has
    Se = 0 and Ah = 0. Decoders refuse or misread others.
    """
    changes = {}
    for end in scans:
        written = frame[end - 3 : end]
        if kind in _SEQUENTIAL_DCT:
            right = b"\x00\x3f\x00"
        elif kind == _LOSSLESS:
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


def _cut_off(name: str, kind: str) -> DataError:
    return DataError(f"{name}: the {kind} pixel data is cut off; copy the file again.")
