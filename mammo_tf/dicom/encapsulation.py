"""The fragments of an encapsulated Pixel Data element, joined to its one frame (PS3.5 A.4)."""

import struct

from mammo_tf import limits
from mammo_tf.errors import DataError

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
# JPEG and JPEG 2000 streams begin with a marker and the first byte of the next, an RLE frame with
# the number of its segments.
_SIGNATURE_BYTES = 3


def starts_with_item(data: memoryview) -> bool:
    """Whether a value begins as encapsulated fragments do."""
    return data[: len(_ITEM)] == _ITEM


def join_fragments(data: memoryview, name: str) -> tuple[bytes | memoryview, bool]:
    """Joins the fragments of the only frame.

    The offset table is not needed for that and often wrong (an entry too many, for the end), so it
    is not read: a second frame shows by the beginning of a fragment.

    Args:
        data: From the first item, the offset table, on.
        name: The file's name, for messages.

    Returns:
        The frame, a part of `data` where it has one fragment; and whether a delimiter follows it.

    Raises:
        DataError: If the items are damaged or cut off, or hold no frame or several.
    """
    (_, *fragments), is_delimited = _items(data, name)
    fragments = [fragment for fragment in fragments if fragment]
    if not fragments:
        raise DataError(f"{name}: the pixel data holds no frame; copy the file again.")
    signature = fragments[0][:_SIGNATURE_BYTES]
    if any(fragment[:_SIGNATURE_BYTES] == signature for fragment in fragments[1:]):
        raise DataError(f"{name}: several frames are not read; give one image per file.")
    return fragments[0] if len(fragments) == 1 else b"".join(fragments), is_delimited


def _items(data: memoryview, name: str) -> tuple[list[memoryview], bool]:
    """Returns the value of every item up to the delimiter or the end, and if it is the former."""
    items: list[memoryview] = []
    position = 0
    while position < len(data):
        tag = data[position : position + 4]
        if tag == _DELIMITER:
            return items, True
        if not (any(tag) or bytes(data[position:]).strip(b"\0")):
            break
        if len(data) < position + 8:
            raise DataError(f"{name}: the pixel data is cut off; copy the file again.")
        length = struct.unpack_from("<L", data, position + 4)[0]
        if tag != _ITEM or length == 0xFFFFFFFF:
            raise DataError(f"{name}: the encapsulation of the pixel data is damaged.")
        if len(items) > limits.MAX_FRAGMENTS:
            raise DataError(
                f"{name}: the pixel data is in more than {limits.MAX_FRAGMENTS} fragments; export "
                "the file again."
            )
        items.append(data[position + 8 : position + 8 + length])
        position += 8 + length
        if position > len(data):
            raise DataError(f"{name}: the pixel data is cut off; copy the file again.")
        if length % 2 and bytes(data[position : position + 1]) == b"\0":
            position += 1  # an odd length that does not count its padding
    if not items:
        raise DataError(f"{name}: the pixel data holds no frame; copy the file again.")
    return items, False
