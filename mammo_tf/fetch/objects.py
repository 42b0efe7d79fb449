"""One series from a public object store: listed, downloaded, taken up again, checked by size."""

import errno
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from mammo_tf.dicom.series import read_series_uid
from mammo_tf.errors import DataError, UserError
from mammo_tf.fetch.index import Series

T = TypeVar("T")
ENDPOINT = "https://{bucket}.s3.amazonaws.com"
PART_SUFFIX = ".part"
TIMEOUT_S = 60
TRIES = 5
FIRST_WAIT_S = 1.0
MAX_LISTING_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 20
_OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\.dcm", re.ASCII)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EISDIR, errno.ENOTDIR)
_DOES_NOT_PASS = (400, 401, 403, 404, 410)  # trying again would not help


def check_endpoint(endpoint: str) -> str:
    """Returns the address of a store without a slash at its end.

    Raises:
        UserError: If it is no http or https address.
    """
    parts = urllib.parse.urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise UserError(f"--endpoint must be an http or https address. Received: {endpoint!r}.")
    return endpoint.rstrip("/")


def is_there(series: Series, folder: Path) -> bool:
    """Whether all files of a series are in `folder`, as far as number and sizes tell."""
    files = [path for path in folder.glob("*.dcm") if path.is_file()]
    sizes = sum(path.stat().st_size for path in files)
    return (len(files), sizes) == (series.num_files, series.num_bytes)


def fetch_series(
    series: Series,
    folder: Path,
    *,
    endpoint: str = ENDPOINT,
    on_bytes: Callable[[int], object] = lambda count: None,
) -> None:
    """Downloads what is missing of a series; a file that is half there is taken up again.

    Args:
        series: The series.
        folder: Where its files go.
        endpoint: The store's address; "{bucket}" stands for the series' bucket.
        on_bytes: Called with the number of bytes that have become there.

    Raises:
        DataError: If the store does not have it as the index says, or cannot be reached.
    """
    base = endpoint.replace("{bucket}", series.bucket)
    objects = _list_objects(base, series)
    received = (len(objects), sum(objects.values()))
    if received != (series.num_files, series.num_bytes):
        raise DataError(
            f"series {series.uid}: the index has {series.num_files} files of {series.num_bytes} "
            f"bytes, the store {received[0]} of {received[1]}. Update the index."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sorted(objects.items()):
        path = folder / name
        if path.is_file() and path.stat().st_size == size:
            on_bytes(size)
            continue
        part = path.with_name(name + PART_SUFFIX)
        url = f"{base}/{series.prefix}/{name}"
        _with_retries(lambda url=url, part=part, size=size: _download(url, part, size, on_bytes))
        if read_series_uid(part) != series.uid:
            part.unlink()
            raise DataError(f"series {series.uid}: the store sent a file of another series.")
        os.replace(part, path)


def _list_objects(base: str, series: Series) -> dict[str, int]:
    """The names and sizes of a series' objects. Reference: Amazon S3 API, ListObjectsV2."""
    objects: dict[str, int] = {}
    token = ""
    while True:
        query = {"list-type": "2", "prefix": f"{series.prefix}/"}
        query |= {"continuation-token": token} if token else {}
        url = f"{base}/?{urllib.parse.urlencode(query)}"
        content = _with_retries(lambda url=url: _read(url))
        try:
            if b"<!DOCTYPE" in content:
                raise ValueError
            root = ElementTree.fromstring(content)
            for found in root.iterfind("{*}Contents"):
                prefix, _, name = found.findtext("{*}Key", "").rpartition("/")
                size = int(found.findtext("{*}Size", ""))
                if prefix != series.prefix or not _OBJECT_NAME.fullmatch(name) or size < 0:
                    raise ValueError
                objects[name] = size
            token = root.findtext("{*}NextContinuationToken", "")
        except (ValueError, ElementTree.ParseError):
            raise DataError(f"series {series.uid}: the store's listing cannot be read.") from None
        if not token or len(objects) > series.num_files:
            return objects


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        content = response.read(MAX_LISTING_BYTES + 1)
    if len(content) > MAX_LISTING_BYTES:
        raise DataError(f"a listing of the store is larger than {MAX_LISTING_BYTES} bytes.")
    return content


def _download(url: str, part: Path, size: int, on_bytes: Callable[[int], object]) -> None:
    """Appends to `part` what it lacks; a store that does not know ranges begins anew."""
    have = part.stat().st_size if part.is_file() else 0
    if have > size:
        part.unlink()
        have = 0
    counted = 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        if have < size or not size:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                if response.status != 206:
                    have = 0
                on_bytes(have)
                counted += have
                with part.open("ab" if have else "wb") as file:
                    while have <= size and (chunk := response.read(_CHUNK_BYTES)):
                        file.write(chunk)
                        have += len(chunk)
                        on_bytes(len(chunk))
                        counted += len(chunk)
        else:
            on_bytes(have)
            counted += have
        if have != size:
            raise OSError(f"received {have} of {size} bytes")
    except BaseException:
        on_bytes(-counted)
        if have > size:
            part.unlink(missing_ok=True)
        raise


def _with_retries(action: Callable[[], T]) -> T:
    """Does something over the network, several times if need be."""
    wait = FIRST_WAIT_S
    for _ in range(TRIES - 1):
        try:
            return _once(action)
        except _Passing:
            time.sleep(wait)
            wait *= 2
    try:
        return _once(action)
    except _Passing as error:
        raise DataError(f"the store cannot be read: {error}.") from None


class _Passing(Exception):
    """A fault that may be gone at the next try."""


def _once(action: Callable[[], T]) -> T:
    try:
        return action()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _DOES_NOT_PASS:
            raise DataError(f"the store cannot be read: HTTP status {error.code}.") from None
        raise _Passing(f"HTTP status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        if getattr(error, "errno", None) in _OF_THE_DISK:
            raise
        raise _Passing(_explain(error)) from None


def _explain(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split())[:200] or type(error).__name__
