"""Which images `mammo-tf predict` looks at, and where the results of each go."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.errors import UserError

_MAX_NAME_BYTES = 200  # file systems take 255, and a temporary file's name is longer
# Only these are cut off: names such as 1.2.840.113619 have dots of their own.
SUFFIXES = (".dcm", ".dicom", ".pgm", ".png", ".tif", ".tiff")
RESULT_SUFFIXES = (".json", ".png")
_SHOWN = 3  # names of files that were left aside


@dataclass(frozen=True)
class Target:
    """An image and where its results go.

    Attributes:
        path: The image.
        name: Its path below the folder that was given, else its own name.
        json_path: Where what was found in it goes.
        png_path: Where its picture goes.
    """

    path: Path
    name: Path
    json_path: Path
    png_path: Path

    def result(self, suffix: str) -> Path:
        """Returns where the result goes whose name is the image's, then `suffix`."""
        return self.png_path.with_name(self.png_path.name.removesuffix(".png") + suffix)


def find_targets(
    images: Sequence[str],
    out: Path,
    read: Iterable[Path],
    say=lambda line: None,
    *,
    suffixes: Sequence[str] = SUFFIXES,
    result_suffixes: Sequence[str] = RESULT_SUFFIXES,
) -> list[Target]:
    """Lists the images with the paths of their results.

    Args:
        images: Files, folders (with all that lies below them) and patterns such as "study/*.dcm".
        out: Folder of the results; what lies in it is not looked at in a folder that holds it.
        read: Further files that are read, which no result may replace.
        say: Told in one line which files of a folder are no images.
        suffixes: Endings of images' names, in lower case.
        result_suffixes: What the names of an image's results end in.

    Raises:
        UserError: If there is no such image, or two results, or a result and what is read, would
            be one file.
    """
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import resolve_path

    found = [pair for given in images for pair in _expand(given, out, say, suffixes)]
    inputs = {resolve_path(path) for path in (*(path for path, _ in found), *read)}
    owners: dict[str, Path] = {}
    targets = []
    for path, relative in found:
        name = relative.stem if path.suffix.lower() in suffixes else relative.name
        if len(os.fsencode(name)) > _MAX_NAME_BYTES:
            raise UserError(f"Give the image a shorter name. Received: {safe_name(path)}.")
        place = out / relative.with_name(name)
        results = [place.with_name(name + suffix) for suffix in result_suffixes]
        for result in results:
            other = owners.setdefault(str(result).casefold(), path)
            if other is not path:
                raise UserError(
                    f"The results of {safe_name(other)} and {safe_name(path)} would have the same "
                    "name. Run the command once for each, with another --out."
                )
            if resolve_path(result) in inputs:
                raise UserError(
                    f"--out must be another folder: {safe_name(result)} would replace a file that "
                    "is read."
                )
        targets.append(
            Target(path, relative, *(place.with_name(name + s) for s in RESULT_SUFFIXES))
        )
    return targets


def _expand(given: str, out: Path, say, suffixes) -> list[tuple[Path, Path]]:
    """Returns the files that an argument means, each with its name among the results."""
    from mammo_tf.dicom.safety import safe_name

    path = Path(given)
    if path.is_dir():
        return _in_folder(path, out, say, suffixes)
    if os.path.lexists(path):
        return [(path, Path(path.name))]
    if not glob.has_magic(given):
        raise UserError(f"{safe_name(path)} does not exist.")
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]
    if not matches:
        raise UserError(f"No file fits the pattern {safe_name(path)}.")
    found = []
    for match in matches:
        if match.is_dir():
            found += _in_folder(match, out, say, suffixes)
        else:
            found.append((match, Path(match.name)))
    return found


def _in_folder(folder: Path, out: Path, say, suffixes) -> list[tuple[Path, Path]]:
    """Returns the images below a folder, by their names' endings or as DICOM by their content."""
    from mammo_tf.dicom.safety import safe_name
    from mammo_tf.files import resolve_path

    if resolve_path(folder) == resolve_path(out):
        raise UserError("--out must be another folder than that of the images.")
    results = resolve_path(out)
    found: list[tuple[Path, Path]] = []
    others: list[tuple[Path, Path]] = []
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and resolve_path(Path(top, name)) != results
        )
        for path in (Path(top, name) for name in sorted(files) if not name.startswith(".")):
            kept = found if _is_image(path, suffixes) else others
            kept.append((path, path.relative_to(folder)))
    if not found:
        kinds = (
            "DICOM, PGM, PNG or TIFF" if suffixes is SUFFIXES else "DICOM, JPEG, PGM, PNG or TIFF"
        )
        raise UserError(f"No {kinds} file lies in {safe_name(folder)}.")
    if others:
        shown = ", ".join(safe_name(path) for path, _ in others[:_SHOWN])
        more = ", …" * (len(others) > _SHOWN)
        say(
            f"Note: {len(others)} file{'s' * (len(others) > 1)} of {safe_name(folder)} left aside "
            f"as no image, by name and content: {shown}{more}"
        )
    return found


def _is_image(path: Path, suffixes: Sequence[str]) -> bool:
    from mammo_tf.codecs.images import is_dicom

    if path.suffix.lower() in suffixes:
        return True
    try:
        return path.is_file() and is_dicom(path)
    except OSError:
        return True  # named as unreadable when its turn comes
