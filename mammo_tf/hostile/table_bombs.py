"""Tables and archives that claim much: studies.csv, Info.txt, all-mias.tar.gz."""

import gzip
import io
import tarfile
from collections.abc import Iterator

import numpy as np

_HEADER = "patient_id,laterality,view,path,finding"
INFO = (
    "mdb001 G CIRC B 535 425 197\nmdb002 G NORM\nmdb003 D NORM\nmdb005 F CIRC B 477 133 30\n"
    "mdb005 F CIRC B 500 168 26\nmdb059 F CIRC B\nmdb216 D CALC M *NOTE 3*\n"
)


def studies_csv(num_studies: int = 3) -> bytes:
    """Returns a right table."""
    rows = [_HEADER + ",birads,age"]
    for k in range(num_studies):
        for side, view in (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")):
            rows.append(f"p{k},{side},{view},{k}/{side}{view}.dcm,normal,1,50")
    return ("\n".join(rows) + "\n").encode()


def csv_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of one table of each kind, their sizes drawn from `rng`."""
    good = studies_csv()
    size = int(rng.integers(10**6, 3 * 10**7))
    yield "commas", good + b"," * size
    yield "commas_in_header", b"," * size + b"\n" + good
    yield "one_line", (good.replace(b"\n", b",") * (1 + size // len(good)))[:size]
    yield "one_cell", good + b'"' + b"a" * size
    yield "quotes", good + b'"' * (size // 10)
    yield "short_lines", good + b"\n" * size
    yield "empty_rows", good + b",,\n" * (size // 10)
    yield "many_rows", studies_csv(int(rng.integers(1000, 5000)))
    rows = (f"p{k},L,CC,x{k}.dcm,normal\n" for k in range(int(rng.integers(1000, 20_000))))
    yield "many_bad_rows", _HEADER.encode() + b"\n" + "".join(rows).encode()
    path = "a/" * int(rng.integers(100, 100_000)) + "b"
    yield "deep_path", good + f"q,L,CC,{path},normal\n".encode()
    for name, path in (
        ("loop", "loop/a.dcm"),
        ("parent", "../a.dcm"),
        ("nul", "a\0b.dcm"),
        ("absolute", "/etc/passwd"),
        ("long", "a" * 5000),
    ):
        yield f"path_{name}", good + f"q,L,CC,{path},normal,,\n".encode()
    yield "not_utf8", good + b"\xff\xfe\n"
    yield "utf16", good.decode().encode("utf-16")


def info_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of Info.txt of each kind."""
    count = int(rng.integers(10**4, 3 * 10**5))
    yield "many_rows", b"mdb001 G NORM\n" * count
    yield "blanks", b"mdb001" + b" " * count + b"G" + b"\t" * count
    yield "digits", b"mdb001 G CIRC B " + b"1" * count + b" 2 3\n"
    yield "one_word", b"mdb" + b"0" * count


def archive(members: dict[str, bytes], *, pax: dict[str, str] | None = None) -> bytes:
    """Returns a tar archive that is not compressed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = pax or {}
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def right_archive() -> bytes:
    """Returns an archive of three small films and Info.txt, not compressed."""
    pgm = b"P5\n64 64\n255\n" + bytes(range(256)) * 16
    films = {f"mdb00{k}.pgm": pgm for k in (1, 2, 3)}
    return archive({"Info.txt": INFO.encode(), **films})


def archive_bombs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of one .tar.gz of each kind, their sizes drawn from `rng`."""
    good = right_archive()
    yield (
        "headers_in_a_row",
        zipped(_extended(b"x", 100) * int(rng.integers(100, 5000)) + good),
    )
    size = int(rng.integers(10**7, 2 * 10**8))
    yield "pax_of_millions", zipped(_extended(b"x", size), good)
    yield "long_name", zipped(_extended(b"L", size), good)
    yield "zeros", zipped(good[:-10_240], bytes(size))
    claim = bytearray(good)
    claim[124:136] = b"77777777777\0"
    yield "size_claim", zipped(_with_checksum(claim))
    count = int(rng.integers(10**4, 10**5))
    yield "members", zipped(_member(b"a.txt", b"0", 0) * count, good)
    sparse = _member(b"a.pgm", b"S", 512)
    yield "sparse", zipped(sparse + bytes(512) + good)
    flipped = bytearray(zipped(good))
    flipped[int(rng.integers(20, len(flipped)))] ^= 1 << int(rng.integers(8))
    yield "flipped_bit", bytes(flipped)


def zipped(*parts: bytes) -> bytes:
    """Returns the parts, one after the other, as one gzip file that says no time."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as file:
        for part in parts:
            file.write(part)
    return stream.getvalue()


def _extended(kind: bytes, size: int) -> bytes:
    """A header that extends the next one: a pax record, or a long name."""
    content = b"x" * size
    if kind == b"x":
        record = b" comment=" + b"y" * (size - 40) + b"\n"
        length = len(record)
        while length != len(str(length)) + len(record):
            length = len(str(length)) + len(record)
        content = str(length).encode() + record
    padding = bytes(-len(content) % 512)
    return _member(b"PaxHeader", kind, len(content)) + content + padding


def _member(name: bytes, kind: bytes, size: int) -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = f"{size:011o}\0".encode()
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    return _with_checksum(block)


def _with_checksum(archive: bytearray) -> bytes:
    archive[148:156] = b" " * 8
    archive[148:156] = f"{sum(archive[:512]):06o}\0 ".encode()
    return bytes(archive)
