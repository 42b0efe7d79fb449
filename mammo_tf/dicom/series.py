"""To which series a file belongs, from the first few kilobytes of it."""

import io
import os
from pathlib import Path

from pydicom import uid
from pydicom.filereader import read_dataset

from mammo_tf.dicom.header import collected_warnings
from mammo_tf.dicom.values import tag_of

HEAD_BYTES = 32 << 10  # in front of the series stands text of a few hundred bytes
_SERIES = tag_of("SeriesInstanceUID")
_META_GROUP = 2


def read_series_uid(path: str | os.PathLike) -> str:
    """Reads a file's SeriesInstanceUID; nothing behind it, and no other value.

    Args:
        path: A DICOM Part 10 file, of which only the head need be there.

    Returns:
        The UID; "" where there is none, or the file is no such file, damaged or deflated.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return ""
    if head[128:132] != b"DICM":
        return ""
    with collected_warnings():
        try:
            return _parse(head)
        except Exception:  # a hostile file can make pydicom raise nearly anything
            return ""


def _parse(head: bytes) -> str:
    stream = io.BytesIO(head)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != _META_GROUP)
    syntax = uid.UID(str(meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or syntax.is_deflated:
        return ""
    dataset = read_dataset(
        stream,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, *_: tag > _SERIES,
        specific_tags=[_SERIES],
    )
    return str(dataset[_SERIES].value).strip(" \0") if _SERIES in dataset else ""
