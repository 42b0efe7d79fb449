"""From the Pixel Data element to an array of stored values: exactly one decode."""

import dataclasses
import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from pydicom import uid

from mammo_tf.breast import darkest_level
from mammo_tf.dicom import codestream, encapsulation
from mammo_tf.dicom.header import Header
from mammo_tf.dicom.run_length import decode_run_length
from mammo_tf.dicom.tile_parts import check_stream
from mammo_tf.errors import CodecError, DataError

_JPEG2000 = frozenset(uid.JPEG2000TransferSyntaxes) | {
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
}
_JPEG = frozenset(uid.JPEGTransferSyntaxes) | frozenset(uid.JPEGLSTransferSyntaxes)
_ALWAYS_LOSSY = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless}


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """One decoded frame.

    Attributes:
        values: (rows, columns) uint8 or uint16, writeable, upper bits not yet masked but the high
            bit at BitsStored − 1.
        lossy: Whether the frame's own coding is lossy.
        may_overshoot: Whether values above BitsStored bits are whiter than white, not junk.
    """

    values: np.ndarray = dataclasses.field(repr=False)
    lossy: bool = False
    may_overshoot: bool = False


def decode_samples(header: Header) -> Samples:
    """Decodes the one frame of a file whose header has passed `check_header`.

    Args:
        header: The file's header and pixel data.

    Returns:
        The samples; what had to be overlooked is added to `header.notes`.

    Raises:
        DataError: If the pixel data is cut off, has the wrong length, contradicts the header or
            cannot be decoded.
        CodecError: If the plug-in for the transfer syntax is not installed.
    """
    if not header.transfer_syntax.is_encapsulated:
        return Samples(_at_high_bit(_native(header), header))
    frame = _frame(header)
    if header.transfer_syntax == uid.RLELossless:
        rows, columns = header.get("Rows"), header.get("Columns")
        num_bytes = header.get("BitsAllocated") // 8
        decoded = decode_run_length(frame, rows, columns, num_bytes, header.name)
        return Samples(_at_high_bit(decoded, header))
    frame = bytes(frame)
    if header.transfer_syntax in _JPEG2000:
        frame, info = codestream.describe_jpeg2000(frame, header.name)
    elif header.transfer_syntax in _JPEG:
        frame, info = codestream.describe_jpeg(frame, header.name)
    else:
        raise _unsupported(header)
    _check_claims(info, header)
    codestream.check_density(info, len(frame), header.name)
    lossy = header.transfer_syntax in _ALWAYS_LOSSY
    if info.grid is not None:
        frame, lossy = check_stream(frame, info.grid, header.name)
    dtype = np.dtype("u1" if info.precision <= 8 else "<u2")
    if info.has_offset:
        decoded = _decode_with_offset(frame, info, header)
    else:
        decoded = _shaped(_run_decoder(frame, header), dtype, header)
    if info.precision == header.high_bit + 1 > header.get("BitsStored"):
        decoded = _at_high_bit(decoded, header)
    # Signed samples under an unsigned header are bit patterns: what is above BitsStored is sign.
    return Samples(decoded, lossy, may_overshoot=lossy and not info.signed)


def limit_bits(samples: Samples, bits_stored: int) -> np.ndarray:
    """Brings every sample into BitsStored bits.

    Junk above the stored bits (overlays, in old files) is masked off. A lossy codec may instead
    overshoot the largest value by a little: masking would make such a white pixel black, so there
    it is clipped.

    Args:
        samples: As decoded.
        bits_stored: Bits that carry the image.

    Returns:
        (height, width); uint8 up to 8 bits, else uint16.
    """
    limit, values = 2**bits_stored - 1, samples.values
    if values.size and int(values.max()) > limit:
        bound = values.dtype.type(limit)
        values = np.minimum(values, bound) if samples.may_overshoot else values & bound
    return values.astype(np.uint8 if bits_stored <= 8 else np.uint16, copy=False)


def _native(header: Header) -> np.ndarray:
    num_bytes = header.get("BitsAllocated") // 8
    dtype = np.dtype(f"{'<' if header.little_endian else '>'}u{num_bytes}")
    expected = header.get("Rows") * header.get("Columns") * num_bytes
    data, name = header.pixels.value, header.name
    looks_compressed = encapsulation.starts_with_item(data) and len(data) != expected
    if looks_compressed or not header.pixels.has_defined_length:
        raise DataError(
            f"{name}: the pixel data is compressed although the transfer syntax "
            f"({header.transfer_syntax.name}) says that it is not; export the file again."
        )
    # PS3.5 8.1.1: readers should be prepared for more padding than the one byte that is right.
    if not expected <= len(data) < 2 * expected:
        state = "cut off" if len(data) < expected else "of the wrong length"
        raise DataError(
            f"{name}: the pixel data is {state}: expected {expected} bytes, received "
            f"{len(data)}; copy the file again."
        )
    if len(data) > expected + expected % 2:
        header.notes.append(f"{len(data) - expected} bytes after the pixels are left out.")
    if num_bytes == 1 and not header.little_endian and header.pixels.vr == "OW":
        # PS3.5 8.2: 8-bit samples inside 16-bit words, so big endian swaps each pair.
        pairs = np.frombuffer(data[: len(data) // 2 * 2], "u2").byteswap()
        return _shaped(pairs.tobytes()[:expected], dtype, header)
    return _shaped(data[:expected], dtype, header)


def _frame(header: Header) -> bytes | memoryview:
    data, name = header.pixels.value, header.name
    if header.pixels.has_defined_length and not encapsulation.starts_with_item(data):
        raise DataError(
            f"{name}: the pixel data is not encapsulated although the transfer syntax "
            f"({header.transfer_syntax.name}) says that it is compressed; export the file again."
        )
    frame, is_delimited = encapsulation.join_fragments(data, name)
    if not (is_delimited or header.pixels.has_defined_length):
        header.notes.append("The delimiter after the pixel data is missing.")
    return frame


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
    # The codestream has its own depth; Bits Stored and High Bit say which of its bits count.
    stored, high = header.get("BitsStored"), header.high_bit
    if info.precision not in (stored, high + 1) and high != stored - 1:
        raise DataError(
            f"{header.name}: HighBit={high} does not fit BitsStored={stored} nor the compressed "
            f"image's {info.precision} bits; export it again."
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
        raise _undecodable(header) from error


def _decode_with_offset(frame: bytes, info: codestream.FrameInfo, header: Header) -> np.ndarray:
    """Decodes a JPEG 2000 image that does not begin at the origin of its reference grid.

    The plug-in (pylibjpeg-openjpeg 2.6) takes memory for the whole grid, up to 2^32 squared, and
    returns what happens to lie behind the image; Pillow decodes the image area alone.
    """
    try:
        with Jpeg2KImageFile(io.BytesIO(frame)) as image:
            decoded = np.array(image)
    except MemoryError:
        raise DataError(f"{header.name}: not enough memory to decode the image.") from None
    except Exception as error:
        raise _undecodable(header) from error
    # Pillow moves samples to the top of 8 or 16 bits, and signed ones up by half the range.
    decoded = decoded >> decoded.dtype.type(8 * decoded.itemsize - info.precision)
    return decoded ^ decoded.dtype.type(1 << info.precision - 1) if info.signed else decoded


@functools.cache
def _decoders() -> dict[str, Callable]:
    """Returns one pylibjpeg decoder per transfer syntax.

    pydicom's own decoders are not used: they log a traceback for a damaged frame, then decode it
    again with the next plug-in, and take a frame with rows and columns exchanged for a good one.
    """
    from pylibjpeg.utils import get_pixel_data_decoders

    found: dict[str, Any] = get_pixel_data_decoders(version=2)
    return {syntax: next(iter(plugins.values())) for syntax, plugins in found.items() if plugins}


def _shaped(data: bytes | bytearray | memoryview, dtype: np.dtype, header: Header) -> np.ndarray:
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


def _undecodable(header: Header) -> DataError:
    return DataError(
        f"{header.name}: the pixel data ({header.transfer_syntax.name}) cannot be decoded; "
        "the file is damaged, copy it again."
    )


def _unsupported(header: Header) -> DataError | CodecError:
    syntax = header.transfer_syntax
    if syntax in _JPEG:  # an extra: its licence is the GPL
        return CodecError(
            f"{header.name}: no decoder for {syntax.name}; run: pip install 'mammo-tf[jpeg]'"
        )
    if syntax in _JPEG2000:
        return CodecError(
            f"{header.name}: no decoder for {syntax.name}; "
            "run: pip install pylibjpeg pylibjpeg-openjpeg"
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
    if min(value, limit) < 0 <= max(value, limit) < 2**15:
        # Written as signed numbers: a range from −5 to 3 is 65531 to 65535 and 0 to 3.
        padding = (values >= high) | (values <= low)
    else:
        padding = values == low if low == high else (values >= low) & (values <= high)
    return padding if padding.any() else None


def fill_padding(pixels: np.ndarray, padding: np.ndarray) -> None:
    """Puts the darkest level of the image proper where there is no image; 0 where there is none.

    Any other value would be an edge round the breast, which compression spends its bits on and
    which decides mean and standard deviation.

    Args:
        pixels: (rows, columns) uint8 or uint16, tissue brighter than air; changed in place.
        padding: (rows, columns) bool, True where there is no image.
    """
    image = pixels[~padding]
    pixels[padding] = darkest_level(image) if image.size else 0
