"""Streams mini-MIAS' files from all-mias.tar.gz or from an extracted folder.

Nothing is extracted to disk. Only regular files are looked at, by their last name, and every
size is capped, since an archive can claim anything.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mammo_tf.errors import DataError

ARCHIVE_NAME = "all-mias.tar.gz"
INFO_NAME = "Info.txt"
MAX_FILE_BYTES = 4 << 20  # a film is 1 MB
MAX_TOTAL_BYTES = 1 << 30  # the real archive unpacks to 338 MB
MAX_FILES = 10_000


def find_source(manual_dir: Path) -> Path:
    """Finds the archive, or the folder with Info.txt, in `manual_dir` or one folder below.

    Raises:
        DataError: If neither is there.
    """
    for folder in (manual_dir, manual_dir / "mini_mias", manual_dir / "all-mias"):
        if (folder / ARCHIVE_NAME).is_file():
            return folder / ARCHIVE_NAME
        if (folder / INFO_NAME).is_file():
            return folder
    raise DataError(
        f"Expected {ARCHIVE_NAME}, or the folder extracted from it with {INFO_NAME} and the .pgm "
        f"files, in {manual_dir}. Download it and give its folder as --manual-dir."
    )


def iterate_files(source: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of the wanted files, in the archive's order or by name.

    Args:
        source: What `find_source` returned.
        suffixes: Name endings, lower case; others are passed over. Names are compared and
            yielded without their folder.

    Raises:
        DataError: If the archive is damaged, too large or has too many files.
    """
    if source.is_dir():
        yield from _iterate_folder(source, suffixes)
        return
    try:
        with gzip.open(source) as unzipped:
            stream = _Capped(unzipped)
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                yield from _iterate_archive(archive, suffixes)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{source} is damaged or cut off ({type(error).__name__}). Download it again."
        ) from None


def _iterate_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(suffixes) and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                yield path.name, _capped_content(path.name, file)


def _iterate_archive(archive: tarfile.TarFile, suffixes) -> Iterator[tuple[str, bytes]]:
    for count, member in enumerate(archive):
        if count >= MAX_FILES:
            raise DataError(f"The archive has more than {MAX_FILES} entries; that is no mini-MIAS.")
        name = member.name.rpartition("/")[2]
        regular = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        if regular and name.lower().endswith(suffixes):
            yield name, _capped_content(name, archive.extractfile(member))


def _capped_content(name: str, file: BinaryIO) -> bytes:
    content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"{name} is larger than {MAX_FILE_BYTES} bytes; that is no mini-MIAS.")
    return content


class _Capped:
    """Reads on until a total, so that a small archive cannot unpack without end."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._left = MAX_TOTAL_BYTES

    def read(self, size: int) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"The archive unpacks to more than {MAX_TOTAL_BYTES} bytes; that is no mini-MIAS."
            )
        return content
