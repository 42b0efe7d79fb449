"""What is fuzzed: functions that take a path and return the bytes that their result needs.

A result that is not what its docstring promises raises `AssertionError`, which counts as an error.
"""

from pathlib import Path

import numpy as np

MAX_DECODED = 2  # compression ratios of a ladder


def mammogram(path: str) -> int:
    """Reads a DICOM mammogram and its first display values."""
    from mammo_tf.dicom import read_mammogram
    from mammo_tf.errors import DataError

    found = read_mammogram(path, salt="fuzz")
    _check(found.pixels.ndim == 2 and found.pixels.size > 0, "no image")
    _check(int(found.pixels.max()) < 2**found.metadata.bits_stored, "more bits than stored")
    try:
        shown = found.display()
    except DataError:  # what is needed for it alone may be unusable
        return found.pixels.nbytes
    _check(bool(np.isfinite(shown).all()), "display values that are not finite")
    _check(shown.min() >= 0 and shown.max() <= 1, "display values outside 0 to 1")
    return found.pixels.nbytes + shown.nbytes


def ladder(path: str) -> int:
    """Reads a ladder's record and decodes some of its compression ratios."""
    from mammo_tf.codecs.jpeg2000 import Ladder

    found = Ladder.from_bytes(Path(path).read_bytes())
    for cratio in found.cratios[:MAX_DECODED]:
        image = found.decode(cratio)
        _check(image.shape == found.shape and image.dtype == found.dtype, "another shape or type")
    return image.nbytes


def grey_image(path: str) -> int:
    """Reads a PGM, PNG or TIFF as `codec measure` does."""
    from mammo_tf.codecs.images import read_grey_image

    found = read_grey_image(path)
    _check(found.pixels.ndim == 2 and found.pixels.dtype in (np.uint8, np.uint16), "no grey image")
    _check(int(found.pixels.max()) <= found.max_stored, "values above the maximum")
    return found.pixels.nbytes


def display_image(path: str) -> int:
    """Reads and draws an image of any format as `predict` does."""
    from mammo_tf.images import read_display_image
    from mammo_tf.report.overlay import draw_detections, png_bytes

    found = read_display_image(path)
    pixels = found.pixels
    if pixels.itemsize > 1:
        pixels = (pixels >> 8).astype(np.uint8)
    boxes = np.array([[0.25, 0.25, 0.75, 0.75]]) * np.tile(pixels.shape, 2)
    png_bytes(draw_detections(pixels, boxes_px=boxes, captions=["0.50"], max_side=1600))
    return found.pixels.nbytes + pixels.nbytes


def mask(path: str) -> int:
    """Reads a lesion mask of the size that it claims, as the builder does."""
    from mammo_tf.ingest import read_mask

    content = Path(path).read_bytes()
    shape = tuple(int.from_bytes(content[k : k + 4]) for k in (20, 16))
    if not 0 < shape[0] * shape[1] <= 10_000_000:
        shape = (64, 48)
    found = read_mask(Path(path), shape)
    _check(found.shape == shape and found.max() <= 1, "another shape, or values beside 0 and 1")
    return found.nbytes


def tables(path: str) -> int:
    """Reads studies.csv, Info.txt or an archive of mini-MIAS, whichever the name says."""
    name = Path(path).name
    if name == "studies.csv":
        from mammo_tf.datasets.ncc.studies import read_studies

        return 1000 * len(read_studies(Path(path).parent)[0])
    if name == "Info.txt":
        from mammo_tf.datasets.mini_mias.info_txt import parse_info

        parse_info(Path(path).read_bytes().decode("latin-1"))
        return 0
    return _mini_mias(path)


def _mini_mias(path: str) -> int:
    from mammo_tf.datasets.mini_mias import archive, info_txt
    from mammo_tf.errors import DataError
    from mammo_tf.ingest import parse_pgm

    num_bytes = 0
    for name, content in archive.iterate_files(Path(path), (".pgm", "info.txt")):
        num_bytes = max(num_bytes, len(content))
        if name.lower() == "info.txt":
            info_txt.parse_info(content.decode("latin-1"))
            continue
        try:
            parse_pgm(content, shape=(64, 64))
        except DataError:  # one film is quarantined, the others go on
            continue
    return num_bytes


def _check(is_right: bool, what: str) -> None:
    if not is_right:
        raise AssertionError(what)
