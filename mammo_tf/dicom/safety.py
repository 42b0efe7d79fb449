"""What is checked about a file before anything is believed: names, sizes, claims of sizes."""

import stat
import zlib
from pathlib import Path

from mammo_tf.dicom import part10
from mammo_tf.errors import DataError
from mammo_tf.limits import HEADER_ALLOWANCE_BYTES
from mammo_tf.signatures import SIGNATURE_BYTES, describe_signature

MAX_BYTES_PER_PIXEL = 2


def safe_name(path: Path) -> str:
    """Returns the file's own name, printable: folders may be called after patients."""
    return "".join(c if c.isprintable() else "?" for c in path.name) or "?"


def max_file_bytes(max_pixels: int) -> int:
    """Returns how large a file with one image of at most `max_pixels` pixels can sensibly be."""
    return MAX_BYTES_PER_PIXEL * max_pixels + HEADER_ALLOWANCE_BYTES


def read_file(path: Path, max_pixels: int) -> bytes:
    """Reads a whole DICOM file into memory, unless it is too large for a single mammogram.

    Args:
        path: The file.
        max_pixels: Largest number of pixels that the caller will accept.

    Returns:
        The file's bytes.

    Raises:
        DataError: If the file is missing, a folder, unreadable, too large or not DICOM.
    """
    name = safe_name(path)
    limit = max_file_bytes(max_pixels)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{name}: expected a DICOM file, received a folder or device.")
        if status.st_size <= limit:  # read() takes memory for all that it is asked for
            with path.open("rb") as file:
                content = file.read(status.st_size)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file; check the path.") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{name}: cannot be read ({reason}); check the file.") from None
    if status.st_size > limit:
        raise DataError(
            f"{name}: expected one image of at most {max_pixels} pixels, received a file of more "
            f"than {limit} bytes; raise max_pixels if it really is a single mammogram."
        )
    if part10.find_first_element(content) is None:
        kind = describe_signature(content[:SIGNATURE_BYTES])
        if kind is not None:
            raise DataError(f"{name}: not a DICOM file: it is {kind}.")
        raise DataError(
            f"{name}: not a DICOM file (no 'DICM' after the preamble); give a DICOM Part 10 file."
        )
    return content


def inflate(deflated: bytes, name: str, max_pixels: int) -> bytes:
    """Inflates the data set of a Deflated Explicit VR file, up to the largest sensible size.

    Raises:
        DataError: If the stream is damaged, cut off, or inflates to more than one image needs.
    """
    limit = max_file_bytes(max_pixels)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = stream.decompress(deflated, limit)
    except zlib.error:
        raise DataError(f"{name}: the deflated data set is damaged; copy the file again.") from None
    if stream.eof:
        return content
    if stream.unconsumed_tail:
        raise DataError(
            f"{name}: the deflated data set grows beyond {limit} bytes, more than one image of "
            f"{max_pixels} pixels needs; raise max_pixels if the file is to be trusted."
        )
    raise DataError(f"{name}: the deflated data set is cut off; copy the file again.")


def check_matrix(rows: int | None, columns: int | None, name: str, max_pixels: int) -> None:
    """Checks the image size that the header claims.

    Raises:
        DataError: If Rows or Columns is missing or 0, or they multiply to over `max_pixels`.
    """
    if not rows or not columns:
        raise DataError(
            f"{name}: Rows and Columns must be at least 1. Received: Rows={rows}, "
            f"Columns={columns}; export the image again."
        )
    if rows * columns > max_pixels:
        raise DataError(
            f"{name}: {rows} x {columns} pixels are more than max_pixels={max_pixels}; "
            "raise max_pixels if the file is to be trusted."
        )
