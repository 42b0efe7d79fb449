"""Speed as ratios, each pair measured in one run on one machine: `make bench`.

A section is a function that takes the image and yields `Row`s; add it to SECTIONS.
Times of a busy machine are noisy, ratios less so: every number is the best of some repeats.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs import openjpeg
from mammo_tf.codecs.jpeg2000 import PAPER_CRATIOS, encode_ladder

# A real mammogram where there is one, see CONTRIBUTING.md; a synthetic image does otherwise.
MAMMOGRAM = Path(os.environ.get("MAMMO_TF_REAL_DATA", ""), "dicom", "MG1_J2KI.dcm")
SYNTHETIC_SHAPE = (2294, 1914)  # the paper's smallest image


@dataclass(frozen=True)
class Row:
    """One comparison: the time of the baseline and of what is measured against it, in seconds."""

    what: str
    baseline: str
    baseline_s: float
    measured_s: float


def seconds(function: Callable[[], object], repeats: int = 1) -> float:
    """The shortest time that `function` took."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - started)
    return best


def load_image() -> tuple[np.ndarray, str]:
    """The real mammogram where it is, else a synthetic image; and what it is."""
    if MAMMOGRAM.is_file():
        from mammo_tf.dicom import read_mammogram

        image, name = read_mammogram(MAMMOGRAM).pixels, MAMMOGRAM.name
    else:
        image, name = synthetic_image(SYNTHETIC_SHAPE), "synthetic (the mammogram is not there)"
    return image, f"{name}, {image.shape[0]}×{image.shape[1]} {image.dtype}"


def synthetic_image(shape: tuple[int, int]) -> np.ndarray:
    """Noise with a 1/f² power spectrum behind a dark margin, 12 bits in 16."""
    height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(np.random.default_rng(0).normal(size=shape)) / frequency
    texture = np.fft.irfft2(spectrum, shape)
    texture = 0.5 + 0.12 * texture / texture.std()
    texture[:, width * 2 // 3 :] = 0
    return (4095 * texture.clip(0, 1)).astype(np.uint16)


def encoding(image: np.ndarray) -> Iterator[Row]:
    """The ladder against the paper's way, one encode for each compression ratio."""
    separate = seconds(lambda: encode_ladder(image, PAPER_CRATIOS, method="separate"))
    count = f"{len(PAPER_CRATIOS)} separate encodes"
    one = seconds(lambda: encode_ladder(image, PAPER_CRATIOS), 2)
    yield Row("encode a ladder", count, separate, one)
    two = seconds(lambda: encode_ladder(image, PAPER_CRATIOS, threads=2), 2)
    yield Row("encode a ladder, 2 threads in OpenJPEG", "1 thread", one, two)


def decoding(image: np.ndarray) -> Iterator[Row]:
    """Decoding a layer: how much a high ratio and a low resolution save."""
    ladder = encode_ladder(image, PAPER_CRATIOS, threads=2)
    whole = seconds(lambda: ladder.decode(1), 2)
    for cratio in (15, 100, 5000):
        full = seconds(lambda cratio=cratio: ladder.decode(cratio), 3)
        yield Row(f"decode CR {cratio}", "decode CR 1", whole, full)
        for reduce in (1, 2):
            small = seconds(lambda cratio=cratio, by=reduce: ladder.decode(cratio, by), 3)
            yield Row(f"decode CR {cratio}, reduce={reduce}", f"CR {cratio} in full", full, small)


def threads(image: np.ndarray) -> Iterator[Row]:
    """Two Python threads that decode at once, against one after the other."""
    ladder = encode_ladder(image, PAPER_CRATIOS, threads=2)
    for cratio, repeats in ((1, 2), (100, 6), (5000, 10)):
        jobs = [cratio] * repeats
        one = seconds(lambda jobs=jobs: [ladder.decode(job) for job in jobs], 2)
        with ThreadPoolExecutor(2) as pool:
            two = seconds(lambda jobs=jobs, pool=pool: list(pool.map(ladder.decode, jobs)), 2)
        yield Row(f"decode CR {cratio} in two Python threads", "in one", one, two)
    one = seconds(lambda: ladder.decode(1), 2)
    two = seconds(lambda: ladder.decode(1, threads=2), 2)
    yield Row("decode CR 1, 2 threads in OpenJPEG", "1 thread", one, two)


def records(image: np.ndarray) -> Iterator[Row]:
    """Reading a record, with all its checks, against decoding one layer of it."""
    ladder = encode_ladder(image, PAPER_CRATIOS, threads=2)
    content = ladder.to_bytes()
    decode = seconds(lambda: ladder.decode(5000), 3)
    read = seconds(lambda: type(ladder).from_bytes(content), 5)
    yield Row("read and check a record", "decode CR 5000", decode, read)


def reading(image: np.ndarray) -> Iterator[Row]:
    """Reading a DICOM file, with all its checks, against pydicom's decode; not of `image`."""
    from bench_reading import reading_rows

    for what, baseline, baseline_s, measured_s in reading_rows(seconds):
        yield Row(what, baseline, baseline_s, measured_s)


def cbis_ddsm(_: np.ndarray) -> Iterator[Row]:
    """Building CBIS-DDSM from a phantom tree, against TFDS' own builder of it."""
    import importlib.util

    if importlib.util.find_spec("cv2") is None:
        print("TFDS' builder needs OpenCV (pip install opencv-python-headless)", file=sys.stderr)
        return
    from bench_cbis_ddsm import build_times

    times = build_times()
    yield Row("build cbis_ddsm, an abnormality", "TFDS' builder", times["theirs"], times["ours"])


SECTIONS = {
    "cbis_ddsm": cbis_ddsm,
    "reading": reading,
    "encoding": encoding,
    "decoding": decoding,
    "threads": threads,
    "records": records,
}


def main() -> None:
    """Prints one table; sections may be named to run only some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    chosen = parser.parse_args().sections or list(SECTIONS)
    for name in chosen:
        if name not in SECTIONS:
            parser.error(f"expected some of {', '.join(SECTIONS)}; received {name!r}")
    image, description = load_image()
    library = openjpeg.configure()
    print(f"{description}; OpenJPEG {library.version} ({library.source})")
    print(f"{'':42}{'s':>8}  {'against':22}{'s':>8}{'times faster':>14}")
    for name in chosen:
        print(f"measuring {name} …", file=sys.stderr)
        for row in SECTIONS[name](image):
            ratio = row.baseline_s / row.measured_s
            print(
                f"{row.what:42}{row.measured_s:8.3f}  {row.baseline:22}"
                f"{row.baseline_s:8.3f}{ratio:13.1f}×",
                flush=True,
            )


if __name__ == "__main__":
    main()
