"""Building CBIS-DDSM against TFDS' own builder of it, on one phantom tree, with the same cores.

TFDS' `curated_breast_imaging_ddsm` wants 8-bit PNG files made by hand; making them is not counted.
Ours reads the 16-bit DICOM files and keeps the 16 bits. Needs OpenCV, which TFDS' builder uses.
"""

import re
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

SCALE = 1.0  # 2294×1914 pixels; a film is three times as large
PATIENTS = 12
COPIES = 4  # of every patient, so that starting the worker processes does not count
_HEADER_BYTES = 1000
_UID_ROOT, _PATIENT = b"1.2.826.0.1.3680043.8.498.", b"P_9"


def build_times(
    patients: int = PATIENTS, scale: float = SCALE, copies: int = COPIES
) -> dict[str, float]:
    """Seconds that each builder takes for one abnormality, and how many there are.

    Args:
        patients: Of the phantom, at least 12.
        scale: Of its images.
        copies: How often each patient is there, under other ids; at most 8.

    Returns:
        "ours", "theirs" in seconds an abnormality, and the same of the processor's time, workers
        included; "abnormalities", and how many of them "kept by theirs".
    """
    import mammo_tf.datasets.build  # noqa: F401  TensorFlow's import is nobody's
    from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm

    with tempfile.TemporaryDirectory() as folder:
        raw = write_cbis_ddsm(
            Path(folder) / "raw", num_patients=patients, seed=1, scale=scale, damaged=False
        )
        _write_pngs(raw)
        _multiply(raw, copies)
        before = _processor_s()
        ours, listed = _build_ours(raw, Path(folder) / "ours")
        between = _processor_s()
        theirs, kept = _build_theirs(raw, Path(folder) / "theirs")
        after = _processor_s()
    return {
        "ours": ours / listed,
        "theirs": theirs / listed,
        "ours, processor": (between - before) / listed,
        "theirs, processor": (after - between) / listed,
        "abnormalities": listed,
        "kept by theirs": kept,
    }


def _processor_s() -> float:
    """Seconds of the processor that this process and its ended children have taken."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _write_pngs(raw: Path) -> None:
    """Makes the files that TFDS' builder asks its user to make."""
    import pydicom

    for path in raw.rglob("*.dcm"):
        pixels = pydicom.dcmread(path).pixel_array
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        Image.fromarray(pixels).save(path.with_suffix(".png"))


def _multiply(raw: Path, copies: int) -> None:
    """Copies every patient under other ids of the same length, in files, names and tables."""
    originals = sorted(path for path in raw.rglob("*") if path.suffix in (".dcm", ".png"))
    tables = {path: path.read_bytes() for path in raw.glob("*.csv")}
    for copy in range(1, copies):
        renamed = partial(_rename, copy=copy)
        for path in originals:
            target = raw / renamed(str(path.relative_to(raw)).encode()).decode()
            if path.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                content = path.read_bytes()
                if path.suffix == ".dcm":  # what names it is in front; pixels stay as they are
                    content = renamed(content[:_HEADER_BYTES]) + content[_HEADER_BYTES:]
                target.write_bytes(content)
        for path, content in tables.items():
            rows = renamed(content.split(b"\r\n", 1)[1])
            path.write_bytes(path.read_bytes() + rows)


def _rename(content: bytes, *, copy: int) -> bytes:
    content = content.replace(_UID_ROOT, _UID_ROOT[:-2] + b"%d." % copy)
    return content.replace(_PATIENT, b"P_%d" % copy)


def _build_ours(raw: Path, data_dir: Path) -> tuple[float, int]:
    from mammo_tf.datasets.build import build_dataset

    seconds, count = 0.0, 0
    for kind in ("mass", "calc"):
        started = time.perf_counter()
        builder = build_dataset(
            "cbis_ddsm", manual_dir=raw, data_dir=data_dir, variant=kind, plain=True
        )
        seconds += time.perf_counter() - started
        count += _count(builder, "findings", "label")
    return seconds, count


def _build_theirs(raw: Path, data_dir: Path) -> tuple[float, int]:
    import tensorflow_datasets as tfds

    # The label files are there; TFDS would fetch them, and knows "N/A" for what is now "NA".
    tables = data_dir.with_name("tables")
    tables.mkdir()
    for path in raw.glob("*.csv"):
        (tables / path.name).write_bytes(re.sub(rb"(?<=,)NA(?=,)", b"N/A", path.read_bytes()))
    tfds.download.DownloadManager.download_and_extract = lambda manager, urls: {
        split: tables / url.partition("?")[0].rpartition("/")[2] for split, url in urls.items()
    }
    seconds, count = 0.0, 0
    for kind in ("mass", "calc"):
        builder = tfds.builder(f"curated_breast_imaging_ddsm/original-{kind}", data_dir=data_dir)
        config = tfds.download.DownloadConfig(manual_dir=raw)
        started = time.perf_counter()
        builder.download_and_prepare(download_config=config)
        seconds += time.perf_counter() - started
        count += _count(builder, "abnormalities", "id")
    return seconds, count


def _count(builder, sequence: str, name: str) -> int:
    import tensorflow_datasets as tfds

    decoders = tfds.decode.PartialDecoding(
        {sequence: {name: builder.info.features[sequence][name]}}
    )
    dataset = builder.as_dataset(split="all", decoders=decoders)
    return sum(len(record[sequence][name]) for record in tfds.as_numpy(dataset))


def main() -> None:
    """Prints the times; number of patients and scale may be given."""
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else SCALE
    for name, value in build_times(patients, scale).items():
        print(f"{name:20} {value:.3f}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()
