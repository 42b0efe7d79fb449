"""From the Pixel Data element to an array of stored values: exactly one decode."""

import functools
import struct
from collections.abc import Callable

import numpy as np
from pydicom import uid
from pydicom.encaps import parse_basic_offsets, parse_fragments

from mammo_tf.dicom import codestream
from mammo_tf.dicom.header import Header
from mammo_tf.dicom.run_length import decode_run_length
from mammo_tf.errors import CodecError, DataError

_JPEG2000 = frozenset(uid.JPEG2000TransferSyntaxes) | {
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
}
_JPEG = frozenset(uid.JPEGTransferSyntaxes) | frozenset(uid.JPEGLSTransferSyntaxes)
_ALWAYS_LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless}
_PLUGINS = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


def decode_samples(header: Header) -> tuple[np.ndarray, bool]:
    """Decodes the one frame of a file whose header has passed `check_header`.

    Args:
        header: The file's header and pixel data.

    Returns:
        The samples, (rows, columns) uint8 or uint16, writeable, upper bits not yet masked but the
        high bit at BitsStored − 1; and whether the frame's own coding is lossy.

    Raises:
        DataError: If the pixel data is cut off, has the wrong length, contradicts the header or
            cannot be decoded.
        CodecError: If the plug-in for the transfer syntax is not installed.
    """
    if not header.transfer_syntax.is_encapsulated:
        return _at_high_bit(_native(header), header), False
    frame = _single_frame(header)
    if header.transfer_syntax == uid.RLELossless:
        rows, columns = header.get("Rows"), header.get("Columns")
        num_bytes = header.get("BitsAllocated") // 8
        decoded = decode_run_length(frame, rows, columns, num_bytes, header.name)
        return _at_high_bit(decoded, header), False
    if header.transfer_syntax in _JPEG2000:
        frame, info = codestream.describe_jpeg2000(frame, header.name)
    elif header.transfer_syntax in _JPEG:
        info = codestream.describe_jpeg(frame, header.name)
    else:
        raise _unsupported(header)
    _check_claims(info, header)
    dtype = np.dtype("u1" if info.precision <= 8 else "<u2")
    samples = _shaped(_run_decoder(frame, header), dtype, header)
    return samples, info.irreversible or header.transfer_syntax in _ALWAYS_LOSSY


def limit_bits(samples: np.ndarray, bits_stored: int, lossy: bool) -> np.ndarray:
    """Brings every sample into BitsStored bits.

    Junk above the stored bits (overlays, in old files) is masked off. A lossy codec may instead
    overshoot the largest value by a little: masking would make such a white pixel black, so there
    it is clipped.

    Args:
        samples: (height, width) uint8 or uint16.
        bits_stored: Bits that carry the image.
        lossy: Whether the samples come from a lossy codec.

    Returns:
        (height, width); uint8 up to 8 bits, else uint16.
    """
    limit = 2**bits_stored - 1
    if samples.size and int(samples.max()) > limit:
        bound = samples.dtype.type(limit)
        samples = np.minimum(samples, bound) if lossy else samples & bound
    return samples.astype(np.uint8 if bits_stored <= 8 else np.uint16, copy=False)


def _native(header: Header) -> np.ndarray:
    num_bytes = header.get("BitsAllocated") // 8
    dtype = np.dtype(f"{'<' if header.little_endian else '>'}u{num_bytes}")
    expected = header.get("Rows") * header.get("Columns") * num_bytes
    data = header.pixel_data
    if len(data) not in (expected, expected + expected % 2):
        state = "cut off" if len(data) < expected else "of the wrong length"
        raise DataError(
            f"{header.name}: the pixel data is {state}: expected {expected} bytes, received "
            f"{len(data)}; copy the file again."
        )
    if num_bytes == 1 and not header.little_endian and header.pixel_vr == "OW":
        # PS3.5 8.2: 8-bit samples inside 16-bit words, so big endian swaps each pair.
        data = np.frombuffer(data, "u2").byteswap().tobytes()
    return _shaped(data[:expected], dtype, header)


def _single_frame(header: Header) -> bytes:
    """Joins the fragments of the only frame (PS3.5 A.4)."""
    data, name = header.pixel_data, header.name
    try:
        if len(parse_basic_offsets(data)) > 1:
            raise DataError(f"{name}: several frames are not read; give one image per file.")
        start = 8 + struct.unpack_from("<L", data, 4)[0]
        count, offsets = parse_fragments(data[start:])
    except struct.error:
        raise DataError(f"{name}: the pixel data is cut off; copy the file again.") from None
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: the encapsulation of the pixel data is damaged.") from None
    fragments = []
    for offset in offsets:
        begin = start + offset + 8
        length = struct.unpack_from("<L", data, begin - 4)[0]
        fragments.append(data[begin : begin + length])
        if len(fragments[-1]) < length:
            raise DataError(f"{name}: the pixel data is cut off; copy the file again.")
    if not count:
        raise DataError(f"{name}: the pixel data holds no frame; copy the file again.")
    return fragments[0] if count == 1 else b"".join(fragments)


def _check_claims(info: codestream.FrameInfo, header: Header) -> None:
    rows, columns = header.get("Rows"), header.get("Columns")
    if (info.rows, info.columns) != (rows, columns):
        raise DataError(
            f"{header.name}: Rows x Columns is {rows} x {columns} but the compressed image is "
            f"{info.rows} x {info.columns}; the file is damaged, export it again."
        )
    if info.components != 1:
        raise DataError(
            f"{header.name}: expected one grey component, received {info.components}; "
            "colour images are not mammograms."
        )
    if info.precision > header.get("BitsAllocated"):
        raise DataError(
            f"{header.name}: the compressed image has {info.precision} bits, more than "
            f"BitsAllocated={header.get('BitsAllocated')}; export it again."
        )


def _run_decoder(frame: bytes, header: Header) -> bytes | bytearray:
    decoder = _decoders().get(header.transfer_syntax)
    if decoder is None:
        raise _unsupported(header)
    try:
        return decoder(frame, version=2)
    except MemoryError:
        raise DataError(f"{header.name}: not enough memory to decode the image.") from None
    except Exception as error:  # each plug-in raises kinds of its own
        raise DataError(
            f"{header.name}: the pixel data ({header.transfer_syntax.name}) cannot be decoded; "
            "the file is damaged, copy it again."
        ) from error


@functools.cache
def _decoders() -> dict[str, Callable]:
    """Returns one pylibjpeg decoder per transfer syntax.

    pydicom's own decoders are not used: they log a traceback for a damaged frame, then decode it
    again with the next plug-in, and take a frame with rows and columns exchanged for a good one.
    """
    from pylibjpeg.utils import get_pixel_data_decoders

    return {
        syntax: next(iter(plugins.values()))
        for syntax, plugins in get_pixel_data_decoders(version=2).items()
        if plugins
    }


def _shaped(data: bytes | bytearray, dtype: np.dtype, header: Header) -> np.ndarray:
    rows, columns = header.get("Rows"), header.get("Columns")
    if len(data) != rows * columns * dtype.itemsize:
        raise DataError(
            f"{header.name}: the decoded image has {len(data)} bytes, not "
            f"{rows * columns * dtype.itemsize}; the file is damaged, copy it again."
        )
    samples = np.frombuffer(data, dtype).reshape(rows, columns)
    return samples.astype(dtype.newbyteorder("="), copy=not isinstance(data, bytearray))


def _at_high_bit(samples: np.ndarray, header: Header) -> np.ndarray:
    """Shifts samples down whose high bit is not BitsStored − 1 (allowed until DICOM 2014)."""
    shift = header.high_bit + 1 - header.get("BitsStored")
    return samples >> samples.dtype.type(shift) if shift else samples


def _unsupported(header: Header) -> DataError | CodecError:
    syntax = header.transfer_syntax
    if syntax in _JPEG2000 | _JPEG:
        return CodecError(
            f"{header.name}: no decoder for {syntax.name}; run: pip install {_PLUGINS}"
        )
    return DataError(
        f"{header.name}: the transfer syntax {syntax.name} is not read; "
        "export the image uncompressed or as JPEG 2000."
    )


def find_padding(header: Header, decoded: np.ndarray, pixels: np.ndarray) -> np.ndarray | None:
    """Marks the pixels that Pixel Padding Value says are no image (PS3.3 C.7.5.1.1.2).

    Args:
        header: The file's header.
        decoded: (rows, columns) samples with their upper bits.
        pixels: (rows, columns) the same without.

    Returns:
        (rows, columns) bool; None where the file names no padding or has none.
    """
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limit = header.get("PixelPaddingRangeLimit", value)
    low, high = sorted((value & 0xFFFF, limit & 0xFFFF))
    # Some devices pad with a value that needs the bits above BitsStored.
    values = decoded if high >= 2 ** header.get("BitsStored") else pixels
    padding = values == low if low == high else (values >= low) & (values <= high)
    return padding if padding.any() else None
