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
FILM_SUFFIX = ".pgm"
MAX_FILE_BYTES = 4 << 20  # a film is 1 MB
MAX_TOTAL_BYTES = 1 << 30  # the real archive unpacks to 338 MB
MAX_FILES = 10_000
MAX_HEADER_BYTES = 2 << 10  # a long name or a PAX header; the real archive has neither
MAX_HEADERS_BYTES = 512 << 10  # of all of them
_BLOCK_BYTES = 1 << 20
_FOLDERS = ("all-mias", "mini_mias", "mini-mias", "mias-mammography")
_HEADER_TYPES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
# By nested headers, numbers that are none, and names that are no text.
_TARFILE_LETS_OUT = (RecursionError, ValueError, OverflowError, IndexError, AttributeError)


def find_source(manual_dir: Path) -> Path:
    """Finds the archive, or the folder with Info.txt, in `manual_dir` or one folder below.

    The films lie beside Info.txt or, as Kaggle hands them out, in a folder all-mias below it.
    Upper and lower case do not matter, and symbolic links are followed.

    Raises:
        DataError: If neither is there, or no film is.
    """
    folders = [manual_dir, *_below(manual_dir)]
    for folder in folders:
        if found := _find(folder, ARCHIVE_NAME):
            return found
        if _find(folder, INFO_NAME):
            if not _films(folder):
                raise DataError(
                    f"There is an {INFO_NAME} in {folder}, but no {FILM_SUFFIX} file beside it or "
                    "in a folder all-mias below it. Put the films there."
                )
            return folder
    if any(_films(folder) for folder in folders):
        raise DataError(
            f"Expected {INFO_NAME} beside the films in {manual_dir}. Add the one that came with "
            "them."
        )
    raise DataError(
        f"Expected {ARCHIVE_NAME}, or the folder extracted from it with {INFO_NAME} and the .pgm "
        f"files, in {manual_dir}. Download it and give its folder as --manual-dir."
    )


def iterate_files(source: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of the wanted files, in the archive's order or by name.

    An archive is read to the end of its gzip stream, where its checksum is compared: what was
    yielded is whole only if the iteration ends without an error.

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
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_guarded_headers()) as archive:
                yield from _iterate_archive(archive, suffixes)
            while stream.read(_BLOCK_BYTES):
                pass
    except DataError:
        raise
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, *_TARFILE_LETS_OUT) as error:
        raise DataError(
            f"{source} is damaged or cut off ({type(error).__name__}). Download it again."
        ) from None


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _below(folder: Path) -> list[Path]:
    """The folders in which people keep the database."""
    return [path for path in _entries(folder) if path.name.lower() in _FOLDERS and path.is_dir()]


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name, in whatever case."""
    same = [path for path in _entries(folder) if path.name.lower() == name.lower()]
    same.sort(key=lambda path: path.name != name)
    return next((path for path in same if path.is_file()), None)


def _films(folder: Path) -> list[Path]:
    """The films beside Info.txt; where there are none, those in a folder below."""
    for place in (folder, *_below(folder)):
        films = [path for path in _entries(place) if path.name.lower().endswith(FILM_SUFFIX)]
        if films:
            return films
    return []


def _iterate_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    info = _find(folder, INFO_NAME)
    for path in ([] if info is None else [info]) + _films(folder):
        if path.name.lower().endswith(suffixes) and path.is_file():
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


def _guarded_headers() -> type[tarfile.TarInfo]:
    """A `TarInfo` for one archive that refuses large headers (long names, PAX).

    `tarfile` reads such a header whole, searches it in a time that grows with its square, and
    reads the entry behind it inside the same call.
    """

    class Guarded(tarfile.TarInfo):
        left = MAX_HEADERS_BYTES

        @classmethod
        def frombuf(cls, buf, encoding, errors):
            member = super().frombuf(buf, encoding, errors)
            if member.type in _HEADER_TYPES:
                cls.left -= max(member.size, tarfile.BLOCKSIZE)
                if member.size > MAX_HEADER_BYTES or cls.left < 0:
                    raise DataError(
                        f"The archive has headers of more than {MAX_HEADER_BYTES} bytes, or of "
                        f"{MAX_HEADERS_BYTES} together; that is no mini-MIAS."
                    )
            return member

    return Guarded


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
