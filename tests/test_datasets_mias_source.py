"""mini-MIAS as people keep it, and archives that are damaged or made to cost much."""

import gzip
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.mini_mias import archive
from mammo_tf.errors import DataError, UserError

NUM_FILMS = 6
INFO = "INFORMATION\n" + "".join(f"mdb{n:03d} G NORM\n" for n in range(1, NUM_FILMS + 1))


def film(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (1024, 1024), np.uint8)
    return b"P5\n1024 1024\n255\n" + pixels.tobytes()


def files() -> list[tuple[str, bytes]]:
    return [("Info.txt", INFO.encode())] + [
        (f"mdb{number:03d}.pgm", film(number)) for number in range(1, NUM_FILMS + 1)
    ]


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raw") / archive.ARCHIVE_NAME
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    for name, content in files():
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    source = archive.find_source(folder)
    return dict(archive.iterate_files(source, ("info.txt", ".pgm")))


def as_distributed(folder: Path, plain: Path) -> None:
    for path in plain.iterdir():
        shutil.copy(path, folder)


def kaggle(folder: Path, plain: Path) -> None:
    (folder / "all-mias").mkdir()
    for path in plain.glob("*.pgm"):
        shutil.copy(path, folder / "all-mias")
    shutil.copy(plain / "Info.txt", folder)


def kaggle_lower_case(folder: Path, plain: Path) -> None:
    kaggle(folder, plain)
    (folder / "Info.txt").rename(folder / "info.txt")
    (folder / "all-mias").rename(folder / "All-MIAS")


def kaggle_one_below(folder: Path, plain: Path) -> None:
    (folder / "mias-mammography").mkdir()
    kaggle(folder / "mias-mammography", plain)


def upper_case(folder: Path, plain: Path) -> None:
    for path in plain.iterdir():
        shutil.copy(path, folder / path.name.upper())


def links(folder: Path, plain: Path) -> None:
    for path in plain.iterdir():
        (folder / path.name).symlink_to(path)


def kaggle_of_links(folder: Path, plain: Path) -> None:
    (folder / "all-mias").symlink_to(plain)
    (folder / "info.txt").symlink_to(plain / "Info.txt")


class TestLayouts:
    @pytest.mark.parametrize(
        "lay_out",
        [
            as_distributed,
            kaggle,
            kaggle_lower_case,
            kaggle_one_below,
            upper_case,
            links,
            kaggle_of_links,
        ],
    )
    def test_every_film_is_found(self, plain, tmp_path, lay_out):
        lay_out(tmp_path, plain)
        found = {name.lower(): content for name, content in read(tmp_path).items()}
        assert found == {name.lower(): content for name, content in files()}

    def test_built_from_kaggles_layout(self, plain, tmp_path):
        (tmp_path / "raw").mkdir()
        kaggle(tmp_path / "raw", plain)
        builder = build_dataset(
            "mini_mias",
            manual_dir=tmp_path / "raw",
            data_dir=tmp_path / "tf",
            plain=True,
            workers=1,
            max_quarantine=0,
        )
        assert sum(split.num_examples for split in builder.info.splits.values()) == NUM_FILMS

    def test_the_archive_may_be_a_link(self, packed, tmp_path):
        (tmp_path / archive.ARCHIVE_NAME).symlink_to(packed)
        assert read(tmp_path) == dict(files())

    def test_what_is_missing_is_said(self, plain, tmp_path):
        shutil.copy(plain / "Info.txt", tmp_path)
        with pytest.raises(DataError, match=r"Info\.txt in .*no \.pgm file beside it"):
            archive.find_source(tmp_path)
        (tmp_path / "Info.txt").unlink()
        shutil.copy(plain / "mdb001.pgm", tmp_path)
        with pytest.raises(DataError, match=r"Expected Info\.txt beside the films"):
            archive.find_source(tmp_path)

    def test_links_to_nothing_and_to_themselves_are_no_films(self, plain, tmp_path):
        as_distributed(tmp_path, plain)
        (tmp_path / "mdb001.pgm").unlink()
        (tmp_path / "mdb001.pgm").symlink_to("mdb001.pgm")
        (tmp_path / "mdb002.pgm").unlink()
        (tmp_path / "mdb002.pgm").symlink_to(tmp_path / "none")
        assert sorted(set(dict(files())) - set(read(tmp_path))) == ["mdb001.pgm", "mdb002.pgm"]


def consume(path: Path) -> None:
    for _ in archive.iterate_files(path, (".pgm",)):
        pass


class TestDamage:
    def test_whole(self, packed):
        consume(packed)

    @pytest.mark.parametrize("seed", range(12))
    def test_one_flipped_bit_is_refused(self, packed, tmp_path, seed):
        content = bytearray(packed.read_bytes())
        position = random.Random(seed).randrange(64, len(content))  # behind gzip's own header
        content[position] ^= 1 << random.Random(seed).randrange(8)
        path = tmp_path / archive.ARCHIVE_NAME
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged or cut off .*Download it again"):
            consume(path)

    @pytest.mark.parametrize("back", [1, 4, 5, 8])
    def test_the_checksum_itself(self, packed, tmp_path, back):
        content = bytearray(packed.read_bytes())
        content[-back] ^= 1
        (tmp_path / archive.ARCHIVE_NAME).write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            consume(tmp_path / archive.ARCHIVE_NAME)

    @pytest.mark.parametrize("cut", [1, 8, 9, 5000])
    def test_cut_off(self, packed, tmp_path, cut):
        (tmp_path / archive.ARCHIVE_NAME).write_bytes(packed.read_bytes()[:-cut])
        with pytest.raises(DataError, match="cut off"):
            consume(tmp_path / archive.ARCHIVE_NAME)

    def test_nothing_is_built_from_it(self, packed, tmp_path):
        (tmp_path / "raw").mkdir()
        content = bytearray(packed.read_bytes())
        content[-8] ^= 1
        (tmp_path / "raw" / archive.ARCHIVE_NAME).write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            build_dataset(
                "mini_mias", manual_dir=tmp_path / "raw", data_dir=tmp_path / "tf", workers=1
            )
        assert not list((tmp_path / "tf").rglob("*tfrecord*"))

    @pytest.mark.slow
    def test_the_real_archive(self, real_data, tmp_path):
        content = bytearray((real_data / "mini-mias" / archive.ARCHIVE_NAME).read_bytes())
        for seed in range(3):
            position = random.Random(seed).randrange(64, len(content))
            content[position] ^= 1
            (tmp_path / archive.ARCHIVE_NAME).write_bytes(content)
            content[position] ^= 1
            with pytest.raises(DataError, match="damaged"):
                consume(tmp_path / archive.ARCHIVE_NAME)


def pax_header(payload: bytes, *, size: int | None = None, kind: bytes = b"x") -> bytes:
    member = tarfile.TarInfo("PaxHeader")
    member.type = kind
    member.size = len(payload) if size is None else size
    return member.tobuf(tarfile.GNU_FORMAT) + payload + bytes(-len(payload) % 512)


def tail() -> bytes:
    member = tarfile.TarInfo("mdb001.pgm")
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def record(text: str) -> bytes:
    """One PAX record, which begins with its own length."""
    length = len(text) + 3
    while len(f"{length} {text}\n") != length:
        length = len(f"{length} {text}\n")
    return f"{length} {text}\n".encode()


BOMBS = {
    "one large header": pax_header(bytes(64 << 20)),
    "a large claim": pax_header(b"", size=3 << 30),
    "a large global header": pax_header(bytes(64 << 20), kind=b"g"),
    "a large long name": pax_header(b"a" * (64 << 20), kind=b"L"),
    "nested": pax_header(record("comment=a")) * 3000,
    "many digits": pax_header(b"1" * 2000) * 400,
    "no number": pax_header(b"x comment=a\n"),
    "sparse": pax_header(record("GNU.sparse.map=1,2,x") + record("GNU.sparse.size=9")),
    "size": pax_header(record("size=99999999999999")),
    "size is no number": pax_header(record("size=x")),
    "no utf-8": pax_header(b"13 path=\xff\xfe\xfd\n"),
}
SCRIPT = """
import json, resource, sys
from pathlib import Path
from mammo_tf.datasets.mini_mias import archive
from mammo_tf.errors import DataError
found = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        for _ in archive.iterate_files(path, (".pgm",)):
            pass
        said = "read"
    except DataError as error:
        said = str(error)
    after = resource.getrusage(resource.RUSAGE_SELF)
    found[path.stem] = said, after.ru_maxrss - before.ru_maxrss, after.ru_utime - before.ru_utime
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def costs(tmp_path_factory) -> dict[str, tuple[str, int, float]]:
    """What was said of each archive, the memory it took in kB, and the seconds; in one process."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, content in BOMBS.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content + tail(), 1))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", BOMBS)
def test_headers_of_an_archive_cost_little(costs, name):
    said, kilobytes, seconds = costs[name]
    if "large" in name or name == "nested":
        assert "no mini-MIAS" in said or "damaged" in said
    assert kilobytes < 200_000
    assert seconds < 10


def test_short_headers_of_other_programs_are_read(tmp_path):
    """As macOS and Python write them: a time with fractions, an extended attribute."""
    path = tmp_path / archive.ARCHIVE_NAME
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for number in range(1, 300):
            member = tarfile.TarInfo(f"all-mias/mdb{number:03d}.pgm")
            member.mtime = 1e9 + 0.25
            member.pax_headers = {"LIBARCHIVE.xattr.com.apple.quarantine": "A" * 300}
            tar.addfile(member)
    names = [name for name, _ in archive.iterate_files(path, (".pgm",))]
    assert names == [f"mdb{number:03d}.pgm" for number in range(1, 300)]
