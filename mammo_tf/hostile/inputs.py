"""The inputs of `tools/fuzz.py`: for each target bombs, and right files with damage."""

import functools
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import uid

from mammo_tf.hostile import image_bombs, ladder_bombs, mutators, table_bombs
from mammo_tf.hostile.dicom_bombs import dicom_bombs
from mammo_tf.testing import make_breast, write_mammogram

MUTATIONS_A_BOMB = 20
Inputs = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Target:
    """Something to fuzz.

    Attributes:
        function: Of `mammo_tf.hostile.targets`, takes a path.
        file_name: What the input's file is called.
        bombs: Yields bombs; takes a scratch folder and a generator.
        mutations: Returns one damaged file; takes a scratch folder and a generator.
    """

    function: str
    file_name: str
    bombs: Callable[[Path, np.random.Generator], Inputs]
    mutation: Callable[[Path, np.random.Generator], bytes]

    def round(self, folder: Path, seed: tuple[int, ...]) -> Inputs:
        """Yields (name, content) of one round of inputs, the same for the same seed."""
        bombs = self.bombs(folder, np.random.default_rng(seed))
        for place, bomb in enumerate(bombs):
            for k in range(MUTATIONS_A_BOMB):
                rng = np.random.default_rng((*seed, place, k))
                yield f"mutation_{place}_{k}", self.mutation(folder, rng)
            yield bomb


@functools.cache
def _dicom_seeds(folder: Path) -> tuple[bytes, ...]:
    path = folder / "seed.dcm"
    syntaxes = (
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        uid.JPEGBaseline8Bit,
    )
    files = []
    for syntax in syntaxes:
        bits = 8 if syntax == uid.JPEGBaseline8Bit else 12
        for k, photometric in enumerate(("MONOCHROME1", "MONOCHROME2")):
            elements = {} if k else {"WindowCenter": ["2000", "500"], "WindowWidth": ["4000", "9"]}
            pixels = make_breast(64, 48, bits=bits)
            options = {"bits_stored": bits, "photometric": photometric, "transfer_syntax": syntax}
            files.append(write_mammogram(path, pixels, **options, **elements).read_bytes())
    return tuple(files)


@functools.cache
def _image_seeds() -> tuple[bytes, ...]:
    small = make_breast(64, 48, bits=8)
    deep = make_breast(64, 48, bits=16)
    files = [image_bombs.tiff()]
    for pixels in (small, deep):
        for options in (
            {"format": "PNG"},
            {"format": "TIFF"},
            {"format": "TIFF", "compression": "tiff_lzw"},
            {"format": "TIFF", "compression": "tiff_adobe_deflate"},
            {"format": "TIFF", "compression": "packbits"},
        ):
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, **options)
            files.append(stream.getvalue())
    files.append(b"P5\n48 64\n255\n" + small.tobytes())
    files.append(b"P5 48 64 # of 12 bits\n65535\r" + deep.astype(">u2").tobytes())
    files.append(b"P2\n48 64\n255\n" + b" ".join(b"%d" % value for value in small.ravel()))
    return tuple(files)


def _png_mutation(_, rng) -> bytes:
    seeds = [image_bombs._png()]
    for kind in ("L", "1"):
        stream = io.BytesIO()
        Image.fromarray(make_breast(64, 48, bits=8)).convert(kind).save(stream, "PNG")
        seeds.append(stream.getvalue())
    return mutators.mutate(seeds, rng)


def _ladder_mutation(_, rng) -> bytes:
    damaged = mutators.mutate(ladder_bombs.ladder_seeds(), rng)
    is_mended = rng.random() < 0.7 and len(damaged) > 4
    return ladder_bombs.with_right_checksum(damaged) if is_mended else damaged


def _archive_mutation(_, rng) -> bytes:
    good = table_bombs.right_archive()
    if rng.random() < 0.8:
        return table_bombs.zipped(mutators.mutate([good], rng))
    return mutators.mutate([table_bombs.zipped(good)], rng)


def _csv_bombs(folder: Path, rng) -> Inputs:
    loop = folder / "loop"
    if not loop.is_symlink():
        loop.symlink_to(loop)
    yield from table_bombs.csv_bombs(rng)


TARGETS = {
    "dicom": Target(
        "mammogram",
        "fuzz.dcm",
        dicom_bombs,
        lambda folder, rng: mutators.mutate(_dicom_seeds(folder), rng),
    ),
    "ladder": Target(
        "ladder", "fuzz.ladder", lambda _, rng: ladder_bombs.ladder_bombs(rng), _ladder_mutation
    ),
    "grey": Target(
        "grey_image",
        "fuzz.img",
        lambda _, rng: image_bombs.image_bombs(rng),
        lambda _, rng: mutators.mutate(_image_seeds(), rng),
    ),
    "display": Target(
        "display_image",
        "fuzz.img",
        lambda _, rng: image_bombs.image_bombs(rng),
        lambda folder, rng: mutators.mutate((*_image_seeds(), *_dicom_seeds(folder)), rng),
    ),
    "mask": Target("mask", "fuzz.png", lambda _, rng: image_bombs.png_bombs(rng), _png_mutation),
    "archive": Target(
        "tables",
        "all-mias.tar.gz",
        lambda _, rng: table_bombs.archive_bombs(rng),
        _archive_mutation,
    ),
    "info": Target(
        "tables",
        "Info.txt",
        lambda _, rng: table_bombs.info_bombs(rng),
        lambda _, rng: mutators.mutate([table_bombs.INFO.encode()], rng),
    ),
    "studies": Target(
        "tables",
        "studies.csv",
        _csv_bombs,
        lambda _, rng: mutators.mutate([table_bombs.studies_csv()], rng),
    ),
}


def remove(folder: Path) -> None:
    """Removes a scratch folder, which may hold what an input made."""
    shutil.rmtree(folder, ignore_errors=True)
