"""Shared fixtures: where the real data is, data sets made by hand, and a quiet TensorFlow."""

import dataclasses
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mammo_tf.record import MammogramRecord

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the commands do
os.environ["MAMMO_TF_WEIGHTS"] = "no/such/folder"  # weights that a user has fetched decide no test

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = "MAMMO_TF_REAL_DATA"  # a folder; CONTRIBUTING.md says what lies in it


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real images; the test is skipped, and says so, where none is named."""
    folder = os.environ.get(REAL_DATA)
    if not folder:
        pytest.skip(f"REAL DATA ABSENT: {REAL_DATA} is not set; this test ran on nothing")
    if not Path(folder).is_dir():
        pytest.fail(f"{REAL_DATA} is no folder. Received: {folder}")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def copy_source() -> Callable[[Path], None]:
    """Copies what git tracks here, or would, into a folder: a repository of its own, committed."""

    def copy(folder: Path) -> None:
        if not (ROOT / ".git").exists():
            pytest.skip("not a git checkout")
        listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
        _git(folder, "init", "--quiet")
        _git(folder, "add", "--all")
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        _git(folder, *identity, "commit", "--quiet", "--no-verify", "-m", "copy")

    return copy


@pytest.fixture(scope="session")
def build_wheel() -> Callable[[Path, Path], Path]:
    """Builds the wheel of a source folder without network, unpacked: (source, out) -> site."""

    def build(source: Path, out: Path) -> Path:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(out), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        zipfile.ZipFile(next(out.glob("*.whl"))).extractall(out / "site")
        return out / "site"

    return build


@pytest.fixture(scope="session")
def build_records(tmp_path_factory):
    """A function from (pixels, what is known of the image) pairs to a data set, really built.

    `build(images, cratios=(1, 20), metadata=None)`: `images` holds ((height, width) array, dict of
    `MammogramRecord` arguments) pairs. An argument `split` makes the splits the data set's own;
    without, there must be three patients.
    """

    def build(images, *, cratios=(1, 20), metadata=None):
        from mammo_tf.datasets.base import Item, MammogramBuilder, Source
        from mammo_tf.datasets.config import LadderConfig

        class Toy(MammogramBuilder, skip_registration=True):
            """Records made by hand."""

            TABLE = "table"
            MANUAL_DOWNLOAD_INSTRUCTIONS = "None: the records are made by hand."

            def _read_source(self, manual_dir, *, create_salt):
                items = [
                    Item(
                        key=known["image_id"],
                        row=row,
                        patient=known["patient_id"],
                        stratum=0,
                        content=(pixels, known),
                        split=known.get("split"),
                    )
                    for row, (pixels, known) in enumerate(images)
                ]

                def jobs(part):
                    return ((item, item.key) for item in part)

                return Source(tuple(items), (), "toy", jobs, metadata or {})

            def _worker(self):
                return str

            def _records(self, item, result):
                yield make_record(*item.content, cratios)

        raw, data = tmp_path_factory.mktemp("toy-raw"), tmp_path_factory.mktemp("toy-data")
        (raw / "table").write_text("")
        builder = Toy(data_dir=data, config=LadderConfig(cratios=cratios), workers=1)
        prepare(builder, raw)
        return builder

    return build


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def make_record(pixels: np.ndarray, known: dict, cratios) -> MammogramRecord:
    """A record of these pixels; its exam is the patient unless it is given."""
    from mammo_tf.ingest import encode_image

    fields = {field.name for field in dataclasses.fields(MammogramRecord)}
    assert set(known) <= fields, set(known) - fields
    record = {
        "exam_id": known["patient_id"],
        "shape": pixels.shape,
        "bits_stored": 8 * pixels.dtype.itemsize,
        "image": encode_image(pixels, cratios),
    }
    return MammogramRecord(**record | known)


def prepare(builder, manual_dir) -> None:
    """Builds a data set from raw files."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)


@pytest.fixture(scope="session")
def mini_mias(real_data, tmp_path_factory):
    """The real mini-MIAS with CR 1 and 100, built once for all files and worker processes."""
    import fcntl

    from mammo_tf.datasets.build import build_dataset

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with (root / "mini_mias.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build_dataset(
            "mini_mias",
            manual_dir=real_data / "mini-mias",
            data_dir=root / "mini_mias",
            cratios=(1, 100, 1000),  # as the data set that the digests were made of
        )
