"""Kills commands with SIGKILL at seeded random moments and looks whether they end the same.

    python tools/kills.py                       every command, ten times each
    python tools/kills.py --only build --times 3

Each command is first run undisturbed, which gives its duration and its results. Then, from nothing,
it is killed with all its processes at a moment drawn from that duration, and given again until it
ends; the results must be the same to the last bit. Prints a table; the exit code is 1 if any
differs.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MOST_TRIES = 5
_PHANTOM = ("--set", "phantom.num_studies=10", "--set", "phantom.scale=0.125")
# Enough patients of either kind for two folds.
_LESIONS = ("--phantom", "--set", "phantom.num_studies=20", "--set", "phantom.scale=0.125")
_LESIONS += ("--set", "phantom.malignant_fraction=0.5")


@dataclasses.dataclass(frozen=True)
class Target:
    """A command to kill.

    Attributes:
        words: Of the command line; OUT stands for its folder, SHARED for the one of all tries.
        results: Patterns of the files that must come out the same.
        first: Words of a command that is not killed and makes what this one reads, in SHARED.
    """

    words: tuple[str, ...]
    results: tuple[str, ...]
    first: tuple[str, ...] = ()


RUN = ("--run-dir", "OUT/run")
TARGETS = {
    "phantom": Target(("phantom", "ncc", "OUT/raw", "--studies", "10", "--scale", "0.125"),
                      ("raw/studies.csv", "raw/**/*.dcm")),
    "build": Target(
        ("data", "build", "ncc", "--manual-dir", "SHARED/raw", "--data-dir", "OUT/data",
         "--workers", "2"),
        ("data/ncc/**/*.tfrecord*", "data/ncc/**/*.csv"),
        first=("phantom", "ncc", "SHARED/raw", "--studies", "10", "--scale", "0.125"),
    ),
    "compression": Target(
        ("recipe", "compression", "--preset", "demo", "--cratios", "1,100", *_PHANTOM,
         "--set", "training.epochs=2", *RUN),
        ("run/summary.csv", "run/results.csv", "run/cells/*/model.weights.h5",
         "run/cache/**/*.npy"),
    ),
    "cigan": Target(
        ("cigan", "train", "--dataset", "ncc", *_LESIONS, "--set",
         "patches.patch_size=32", "--set", "gan.pretrain_epochs=2", "--set",
         "gan.adversarial_epochs=2", "--set", "perceptual.backbone=vgg16", "--set",
         "perceptual.weights=random", "--set", "patches.most_per_class=20,20,20", "--folds", "2",
         *RUN),
        ("run/gan/fold*/checkpoint.npz",),
    ),
    "detector": Target(
        ("recipe", "mias", "--dataset", "ncc", *_LESIONS, "--part", "detect",
         "--folds", "2", "--set", "detect.training.epochs=2", "--set", "detect.image_size=96",
         "--set", "detect.splits=patient", "--set", "detect.num_symmetries=1", *RUN),
        ("run/summary.csv", "run/detections/*", "run/cells/*/model.weights.h5"),
    ),
    "glam": Target(
        ("recipe", "glam", "--preset", "demo", *_PHANTOM, "--set", "network.image_shape=96,80",
         "--set", "network.crop_shape=32,32", "--set", "training.global_epochs=2", "--set",
         "training.local_epochs=1", "--set", "network.local_num_filters=4,4", "--set",
         "baselines=unet", "--set", "unet.training.epochs=1", "--set", "unet.num_filters=4,8",
         *RUN),
        ("run/summary.csv", "run/cases.csv", "run/cells/*/model.weights.h5"),
    ),
}  # fmt: skip


def main() -> int:
    """Returns the exit code: 1 if a killed command did not end as an undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(TARGETS), action="append", help="which commands")
    parser.add_argument("--times", type=int, default=10, help="kills of each")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    worst = 0
    print(f"{'command':<12} {'killed at':<24} {'runs':>4}  result")
    for name in options.only or TARGETS:
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            worst |= try_target(name, Path(folder), options.times, options.seed)
    return worst


def try_target(name: str, folder: Path, times: int, seed: int) -> int:
    """Kills one command several times. Returns 1 if any run ended otherwise."""
    target, worst = TARGETS[name], 0
    if target.first:
        run(dataclasses.replace(target, words=target.first), folder / "undisturbed")
    started = time.monotonic()
    run(target, folder / "undisturbed")
    duration = time.monotonic() - started
    expected = digest(target, folder / "undisturbed")
    rng = random.Random(f"{seed}/{name}")
    for number in range(times):
        out, moments = folder / str(number), []
        for _ in range(MOST_TRIES):
            moments.append(rng.uniform(0.05, 0.9) * duration)
            if run(target, out, kill_after=moments[-1]):
                moments.pop()  # it had ended
                break
            if rng.random() < 0.5:
                break
        run(target, out)
        same = digest(target, out) == expected
        worst |= not same
        shown = ", ".join(f"{moment:.1f} s" for moment in moments) or "not in time"
        print(f"{name:<12} {shown:<24} {len(moments) + 1:>4}  {'same' if same else 'DIFFERS'}",
              flush=True)  # fmt: skip
        shutil.rmtree(out, ignore_errors=True)
    return int(worst)


def run(target: Target, out: Path, kill_after: float | None = None) -> bool:
    """Runs a command, or kills it and all its processes. Returns whether it ended by itself."""
    out.mkdir(exist_ok=True)
    shared = str(out.parent / "shared")
    words = [word.replace("OUT", str(out)).replace("SHARED", shared) for word in target.words]
    code = "from mammo_tf.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, error = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}:\n{error.decode()[-2000:]}")
    return True


def digest(target: Target, out: Path) -> str:
    """Returns what changes with any byte of the results."""
    files = {path for pattern in target.results for path in out.glob(pattern) if path.is_file()}
    if not files:
        sys.exit(f"{out} has none of {', '.join(target.results)}.")
    found = {
        str(path.relative_to(out)): hashlib.sha256(content_of(path)).hexdigest()
        for path in sorted(files)
    }
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def content_of(path: Path) -> bytes:
    """A file's bytes; of HDF5 and npz the arrays, since the files hold times.

    Of TFRecords the features by name, record after record: protobuf writes them in any order.
    """
    if ".tfrecord" in path.name:
        return b"".join(records_of(path))
    if path.suffix == ".npz":
        import numpy as np

        with np.load(path, allow_pickle=False) as arrays:
            return b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays))
    if path.suffix == ".h5":
        import h5py

        found: list[bytes] = []

        def keep(name, item):
            if isinstance(item, h5py.Dataset):
                found.append(name.encode() + item[()].tobytes())

        with h5py.File(path) as file:
            file.visititems(keep)
        return b"".join(found)
    return path.read_bytes()


def records_of(path: Path) -> Iterator[bytes]:
    """Yields each record's features, sorted by name."""
    import tensorflow as tf

    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        for name in sorted(features):
            yield name.encode() + features[name].SerializeToString(deterministic=True)


if __name__ == "__main__":
    sys.exit(main())
