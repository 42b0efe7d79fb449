"""The fingerprints of a split's image files."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_tf.audit.copies import SIDE, fingerprint
from mammo_tf.audit.split import SplitImage
from mammo_tf.dicom.safety import safe_name
from mammo_tf.errors import DataError
from mammo_tf.files import resolve_inside
from mammo_tf.images import read_display_image
from mammo_tf.limits import MAX_PIXELS
from mammo_tf.parallel import imap_bounded
from mammo_tf.progress import progress


def read_fingerprints(
    images: Sequence[SplitImage], folder: str | Path, *, workers: int | None = None
) -> np.ndarray:
    """Reads the fingerprint of every image of a split.

    Args:
        images: Each one's `image` is a path below `folder`.
        folder: The folder; no path may leave it.
        workers: Processes; None means one per core.

    Returns:
        (n, 64, 64) float32, see `mammo_tf.audit.copies.fingerprint`.

    Raises:
        UserError: If a file is missing or cannot be read.
    """
    paths = [image.image for image in images]
    found = np.empty((len(paths), SIDE, SIDE), np.float32)
    results = imap_bounded(functools.partial(_fingerprint, str(folder)), paths, workers=workers)
    bar = progress(results, description="Reading", total=len(paths), unit="image")
    for place, result in enumerate(bar):
        found[place] = result
    return found


def _fingerprint(folder: str, path: str) -> np.ndarray:
    return fingerprint(_pixels(resolve_inside(folder, path)))


def _pixels(path: Path) -> np.ndarray:
    if path.is_file():
        with path.open("rb") as file:
            if file.read(3) == b"\xff\xd8\xff":
                return _read_jpeg(path)
    return read_display_image(path, allow_for_processing=True).pixels


def _read_jpeg(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path, formats=["JPEG"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{safe_name(path)} has more than {MAX_PIXELS} pixels.")
            return np.asarray(picture.convert("L"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{safe_name(path)} is no JPEG file that can be read.") from None
