"""Decoded and resized images, kept per compression ratio so that nothing is decoded twice.

A cache folder holds, for each compression ratio, `cr100.npy` and beside it `cr100.json` with what
the array was made from and a checksum. The folder's own name ends with a fingerprint of the data
set and of the task's settings, so that other settings never meet these files.
"""

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from mammo_tf import files
from mammo_tf.codecs.cratios import format_cratio, join_cratios
from mammo_tf.errors import UserError
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress

logger = logging.getLogger(__name__)

VERSION = 1
# What a record gives: for each of its examples the row in the array, and the image at each CR.
Rows = Iterable[tuple[int, dict[float, np.ndarray]]]


def fingerprint(**parts) -> str:
    """A short name for what an array was made from: 16 hexadecimal digits.

    Args:
        **parts: Anything that JSON can hold; tuples count as lists.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


class ImageCache:
    """Arrays (n, height, width), one for each compression ratio, on disk or in memory.

    Args:
        folder: Where cache folders are kept; None keeps the arrays in memory.
        name: Beginning of the cache folder's name, e.g. the task.
        key: What the images were made from; see `fingerprint`.
        shape: (n, height, width).
        dtype: uint8 or uint16.

    Examples:
        >>> cache = ImageCache(None, name="demo", key="0", shape=(1, 2, 2), dtype=np.uint8)
        >>> cache.fill([1], lambda missing: [7], lambda record, missing: [
        ...     (0, {cratio: np.full((2, 2), record, np.uint8) for cratio in missing})
        ... ])
        >>> cache.images(1).sum()
        np.uint64(28)
    """

    def __init__(
        self,
        folder: str | os.PathLike | None,
        *,
        name: str,
        key: str,
        shape: tuple[int, int, int],
        dtype,
    ):
        self.shape = tuple(int(size) for size in shape)
        self.dtype = np.dtype(dtype)
        self.key = key
        self.folder = None if folder is None else Path(folder) / f"{name}-{key}"
        self._open: dict[float, np.ndarray] = {}

    def fill(
        self,
        cratios: Sequence[float],
        records: Callable[[list[float]], Iterable],
        make_rows: Callable[[object, list[float]], Rows],
        *,
        workers: int | None = None,
        total: int | None = None,
        description: str = "Decoding",
    ) -> None:
        """Makes the arrays that are missing or damaged, in one pass over the records.

        Memory stays flat: a few records are held at a time, and rows go to disk as they come.
        What a killed run left unfinished is made anew; what it finished stays.

        Args:
            cratios: The compression ratios wanted.
            records: Called with the missing ratios, if any; gives the records.
            make_rows: Called with a record and the missing ratios, in several threads at once;
                gives the rows of the record's examples.
            workers: Threads; None means one per available core.
            total: Number of records, for the progress bar.
            description: The progress bar's text.

        Raises:
            RuntimeError: If the records did not give every row exactly once.
        """
        missing = [cratio for cratio in cratios if not self._load(cratio)]
        if not missing:
            return
        with contextlib.ExitStack() as stack:
            writers = {cratio: stack.enter_context(self._writer(cratio)) for cratio in missing}
            rows = map_threaded(
                lambda record: list(make_rows(record, missing)), records(missing), workers=workers
            )
            bar = stack.enter_context(progress(description=description, total=total, unit="record"))
            for record_rows in rows:
                for row, images in record_rows:
                    for cratio, writer in writers.items():
                        writer.write(row, images[cratio])
                bar.update()
            for writer in writers.values():
                writer.check_complete()
        for cratio in missing:
            if not self._load(cratio):
                raise RuntimeError(f"{self.path(cratio)} could not be read back.")

    def images(self, cratio: float) -> np.ndarray:
        """The images at one compression ratio, read-only, memory-mapped if on disk.

        Returns:
            (n, height, width) of `dtype`.

        Raises:
            UserError: If `fill` was not asked for this ratio.
        """
        if cratio not in self._open:
            known = join_cratios(sorted(self._open))
            raise UserError(f"The cache holds CR {known}. Received: {format_cratio(cratio)}.")
        return self._open[cratio]

    def path(self, cratio: float) -> Path:
        """The array's file."""
        return self.folder / f"cr{format_cratio(cratio)}.npy"

    def _writer(self, cratio: float):
        if self.folder is None:
            return self._memory_writer(cratio)
        return self._disk_writer(cratio)

    @contextlib.contextmanager
    def _memory_writer(self, cratio: float) -> Iterator["_Writer"]:
        array = np.zeros(self.shape, self.dtype)
        yield _Writer(self, array.__setitem__)
        array.flags.writeable = False
        self._open[cratio] = array

    @contextlib.contextmanager
    def _disk_writer(self, cratio: float) -> Iterator["_Writer"]:
        path = self.path(cratio)
        with files.atomic_path(path) as temporary, temporary.open("r+b") as file:
            header = {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape}
            np.lib.format.write_array_header_1_0(file, header)
            start, size = file.tell(), self._row_bytes()

            def put(row: int, image: np.ndarray) -> None:
                file.seek(start + row * size)  # a full disk raises here; a memmap would crash
                file.write(np.ascontiguousarray(image).data)

            writer = _Writer(self, put)
            yield writer
        # Killed between the two files, the next run finds a checksum that does not fit.
        files.write_json(path.with_suffix(".json"), self._description(cratio, writer.checksum()))

    def _load(self, cratio: float) -> bool:
        """Opens an array if it is there and sound; says so if it is there and is not."""
        if cratio in self._open:
            return True
        if self.folder is None or not self.path(cratio).exists():
            return False
        try:
            self._open[cratio] = self._read(cratio)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            logger.warning("%s is damaged and is made anew: %s", self.path(cratio), error)
            return False
        return True

    def _read(self, cratio: float) -> np.ndarray:
        path = self.path(cratio)
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if described != self._description(cratio, described["checksum"]):
            raise ValueError("its description is that of another array")
        array = np.lib.format.open_memmap(path, mode="r")
        if array.shape != self.shape or array.dtype != self.dtype or not array.flags.c_contiguous:
            raise ValueError(f"expected {self.shape} {self.dtype}, got {array.shape} {array.dtype}")
        if _checksum([zlib.crc32(row.data) for row in array]) != described["checksum"]:
            raise ValueError("its checksum does not fit")
        return array

    def _description(self, cratio: float, checksum: int) -> dict:
        return {
            "version": VERSION,
            "key": self.key,
            "cratio": cratio,
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "checksum": checksum,
        }

    def _row_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


class _Writer:
    """Takes the rows of one array in any order, and sees that each comes once."""

    def __init__(self, cache: ImageCache, put: Callable[[int, np.ndarray], None]):
        self._cache, self._put = cache, put
        self._checksums: list[int | None] = [None] * cache.shape[0]

    def write(self, row: int, image: np.ndarray) -> None:
        cache = self._cache
        if image.shape != cache.shape[1:] or image.dtype != cache.dtype:
            raise RuntimeError(
                f"Expected an image of {cache.shape[1:]} {cache.dtype}. "
                f"Received: {image.shape} {image.dtype}."
            )
        if self._checksums[row] is not None:
            raise RuntimeError(f"Row {row} came twice.")
        self._put(row, image)
        self._checksums[row] = zlib.crc32(np.ascontiguousarray(image).data)

    def check_complete(self) -> None:
        missing = self._checksums.count(None)
        if missing:
            raise RuntimeError(
                f"{missing} of {len(self._checksums)} images were not in the records."
            )

    def checksum(self) -> int:
        return _checksum(self._checksums)


def _checksum(rows: Sequence[int]) -> int:
    return zlib.crc32(np.array(rows, "<u4").tobytes())
