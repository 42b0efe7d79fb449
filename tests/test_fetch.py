"""`mammo-tf data fetch cbis_ddsm` against a store on loopback, and its index against the tables."""

import http.server
import json
import re
import threading
import urllib.parse
import uuid
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import pydicom
import pytest
from click.testing import CliRunner

from mammo_tf.cli.data import data
from mammo_tf.errors import DataError, UserError
from mammo_tf.fetch import cbis_ddsm, index, objects
from mammo_tf.fetch.index import Series, series_folder
from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm


class Store(http.server.ThreadingHTTPServer):
    """As much of an object store as the client uses, and faults on demand."""

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.requests: list[tuple[str, str]] = []
        self.faults: dict[str, list] = {}
        self.page = 1000
        self.knows_ranges = True
        self.listing = None
        self.sent = Counter()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        store = self.server
        path, _, query = self.path.partition("?")
        store.requests.append((self.path, self.headers.get("Range", "")))
        if query:
            self._send(200, store.listing or self._list(urllib.parse.parse_qs(query)))
        else:
            self._send_file(path.lstrip("/"))

    def _send_file(self, name: str):
        store = self.server
        fault = store.faults.get(name, []).pop(0) if store.faults.get(name) else None
        if isinstance(fault, int) and fault >= 400:
            self._send(fault, b"no")
            return
        content = store.files.get(name)
        if content is None:
            self._send(404, b"no")
            return
        start, status = 0, 200
        if store.knows_ranges and (found := self.headers.get("Range")):
            start, status = int(found.removeprefix("bytes=").rstrip("-")), 206
        content = content[start:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        keep = len(content) if fault is None else len(content) // 2
        self.wfile.write(content[:keep])
        store.sent[name] += keep
        if keep < len(content):
            self.close_connection = True

    def _list(self, query) -> bytes:
        store = self.server
        names = sorted(n for n in store.files if n.startswith(query["prefix"][0]))
        first = int(query.get("continuation-token", ["0"])[0])
        shown = names[first : first + store.page]
        more = first + store.page < len(names)
        items = "".join(
            f"<Contents><Key>{escape(n)}</Key><Size>{len(store.files[n])}</Size></Contents>"
            for n in shown
        )
        token = f"<NextContinuationToken>{first + store.page}</NextContinuationToken>"
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        return (
            f'<?xml version="1.0"?><ListBucketResult xmlns="{space}">{items}'
            f"{token if more else ''}</ListBucketResult>"
        ).encode()

    def _send(self, status: int, content: bytes):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A phantom as the store has it: objects by name, and the index of its series."""
    root = write_cbis_ddsm(
        tmp_path_factory.mktemp("raw") / "idc",
        layout="idc",
        num_patients=12,
        seed=3,
        scale=0.125,
        damaged=False,
        workers=1,
    )
    contents: dict[str, bytes] = {}
    series = []
    for folder in sorted({path.parent for path in root.rglob("*.dcm") if path.is_file()}):
        prefix = str(uuid.uuid5(uuid.NAMESPACE_OID, folder.name))
        files = sorted(path for path in folder.iterdir())
        contents |= {f"{prefix}/{path.name}": path.read_bytes() for path in files}
        series.append(
            Series(
                patient_id=folder.parent.parent.name,
                study=folder.parent.name,
                uid=folder.name.removeprefix("MG_"),
                num_files=len(files),
                num_bytes=sum(path.stat().st_size for path in files),
                bucket="phantom",
                prefix=prefix,
            )
        )
    return root, contents, tuple(series)


@pytest.fixture
def store(archive, monkeypatch):
    _, contents, series = archive
    monkeypatch.setattr(cbis_ddsm, "list_series", lambda collection: series)
    monkeypatch.setattr(objects, "FIRST_WAIT_S", 0.01)
    store = Store(dict(contents))
    thread = threading.Thread(target=store.serve_forever, daemon=True)
    thread.start()
    yield store
    store.shutdown()
    store.server_close()
    thread.join()


def run(store, out: Path, *arguments: str):
    command = ["fetch", "cbis_ddsm", "--out", str(out), "--endpoint", store.address, *arguments]
    return CliRunner().invoke(data, command)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".csv" and path.name != "PHANTOM.json"
    }


def test_the_whole_archive_arrives_byte_for_byte(archive, store, tmp_path):
    result = run(store, tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    assert files_of(tmp_path / "out") == files_of(archive[0])
    numbers = json.loads(result.stdout)
    assert numbers["missing_bytes"] == numbers["bytes"] == sum(map(len, store.files.values()))
    assert "label files" in result.stderr


def test_a_second_call_fetches_nothing(store, tmp_path):
    assert run(store, tmp_path / "out").exit_code == 0
    store.requests.clear()
    result = run(store, tmp_path / "out", "--json")
    assert result.exit_code == 0
    assert store.requests == []
    assert json.loads(result.stdout)["missing_files"] == 0


def test_a_dry_run_asks_nothing_and_writes_nothing(archive, store, tmp_path):
    result = run(store, tmp_path / "out", "--dry-run")
    assert result.exit_code == 0
    total = sum(one.num_bytes for one in archive[2])
    assert f"({total:,} bytes)" in result.stdout
    assert f"{len(store.files)} files" in result.stdout
    assert store.requests == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        (["--only", "mass", "--split", "test"], ("Mass-Test",)),
        (["--only", "calc"], ("Calc-Training", "Calc-Test", "P_")),
        (["--split", "train"], ("Mass-Training", "Calc-Training")),
        (["--only", "calc", "--split", "test"], ("Calc-Test", "P_")),
    ],
)
def test_parts_are_chosen_by_type_and_split(archive, store, tmp_path, arguments, folders):
    assert run(store, tmp_path / "out", *arguments).exit_code == 0
    found = {path.split("/")[1] for path in files_of(tmp_path / "out")}
    expected = {one.patient_id for one in archive[2] if one.patient_id.startswith(folders)}
    assert found == expected
    assert expected


def test_one_patient(archive, store, tmp_path):
    assert run(store, tmp_path / "out", "--patient", "P_90004").exit_code == 0
    found = {path.split("/")[1] for path in files_of(tmp_path / "out")}
    assert found == {one.patient_id for one in archive[2] if "P_90004" in one.patient_id}
    result = run(store, tmp_path / "out", "--patient", "90004")
    assert isinstance(result.exception, UserError)


def test_a_broken_connection_is_taken_up_where_it_broke(archive, store, tmp_path):
    name = max(store.files, key=lambda one: len(store.files[one]))
    store.faults[name] = ["half", "half"]
    assert run(store, tmp_path / "out").exit_code == 0
    assert files_of(tmp_path / "out") == files_of(archive[0])
    assert store.sent[name] == len(store.files[name])  # no byte was sent twice
    ranges = [found for path, found in store.requests if path == f"/{name}"]
    assert ranges == ["", f"bytes={len(store.files[name]) // 2}-", ranges[2]]


def test_a_stopped_download_is_taken_up_by_the_next_call(archive, store, tmp_path):
    one = max(archive[2], key=lambda s: s.num_bytes)
    name = next(n for n in sorted(store.files) if n.startswith(one.prefix))
    folder = series_folder(tmp_path / "out", "cbis_ddsm", one)
    folder.mkdir(parents=True)
    part = folder / f"{name.split('/')[1]}.part"
    part.write_bytes(store.files[name][:1000])
    assert run(store, tmp_path / "out").exit_code == 0
    assert store.sent[name] == len(store.files[name]) - 1000
    assert files_of(tmp_path / "out") == files_of(archive[0])


@pytest.mark.parametrize("length", [10**6, None])
def test_a_part_that_is_too_long_or_complete(archive, store, tmp_path, length):
    one = archive[2][0]
    name = next(n for n in sorted(store.files) if n.startswith(one.prefix))
    folder = series_folder(tmp_path / "out", "cbis_ddsm", one)
    folder.mkdir(parents=True)
    part = folder / f"{name.split('/')[1]}.part"
    part.write_bytes(store.files[name] if length is None else bytes(length))
    assert run(store, tmp_path / "out").exit_code == 0
    assert files_of(tmp_path / "out") == files_of(archive[0])
    assert store.sent[name] == (0 if length is None else len(store.files[name]))


def test_a_store_without_ranges_begins_anew(archive, store, tmp_path):
    store.knows_ranges = False
    name = max(store.files, key=lambda one: len(store.files[one]))
    store.faults[name] = ["half"]
    assert run(store, tmp_path / "out").exit_code == 0
    assert files_of(tmp_path / "out") == files_of(archive[0])


def test_a_listing_on_several_pages(archive, store, tmp_path):
    store.page = 1
    assert run(store, tmp_path / "out").exit_code == 0
    assert files_of(tmp_path / "out") == files_of(archive[0])


def test_a_busy_store_is_asked_again(archive, store, tmp_path):
    store.faults[min(store.files)] = [503, 500, 503]
    assert run(store, tmp_path / "out").exit_code == 0
    assert files_of(tmp_path / "out") == files_of(archive[0])


def one_line(result) -> str:
    assert isinstance(result.exception, DataError), result.output
    message = str(result.exception)
    assert "\n" not in message
    return message


def test_what_fails_is_told_and_the_rest_is_there(archive, store, tmp_path):
    name = min(store.files)
    store.faults[name] = [403]
    message = one_line(run(store, tmp_path / "out"))
    assert message.startswith(f"1 of {len(archive[2])} series could not be fetched")
    assert "HTTP status 403" in message
    there = files_of(tmp_path / "out")
    assert there == {k: v for k, v in files_of(archive[0]).items() if k in there}
    one = next(s for s in archive[2] if name.startswith(s.prefix))
    assert len(files_of(archive[0])) - len(there) in (1, one.num_files)
    assert run(store, tmp_path / "out").exit_code == 0  # and the same command goes on
    assert files_of(tmp_path / "out") == files_of(archive[0])


@pytest.mark.parametrize(
    ("listing", "text"),
    [
        (b"not xml", "listing cannot be read"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "listing cannot be read"),
        (b"<a><Contents><Key>../../x.dcm</Key><Size>1</Size></Contents></a>", "cannot be read"),
        (b"<a><Contents><Key>{}/../x.dcm</Key><Size>1</Size></Contents></a>", "cannot be read"),
        (b"<a><Contents><Key>{}/x.dcm</Key><Size>-1</Size></Contents></a>", "cannot be read"),
        (b"<a><Contents><Key>{}/x.exe</Key><Size>1</Size></Contents></a>", "cannot be read"),
        (b"<a><Contents><Key>{}/x.dcm</Key><Size>1</Size></Contents></a>", "Update the index"),
        (b"<a></a>", "Update the index"),
        (b"<a>" + b" " * (4 << 20) + b"</a>", "larger than"),
    ],
)
def test_a_hostile_listing_writes_nothing(archive, store, tmp_path, listing, text):
    one = archive[2][0]
    store.listing = listing.replace(b"{}", one.prefix.encode())
    patient = next(part for part in re.findall(r"P_\d{5}", one.patient_id))
    message = one_line(run(store, tmp_path / "out", "--patient", patient, "--workers", "1"))
    assert "could not be fetched" in message
    assert text in message
    assert files_of(tmp_path / "out") == {}


def test_a_file_of_another_series_is_refused(archive, store, tmp_path):
    one, other = archive[2][0], archive[2][1]
    name = next(n for n in store.files if n.startswith(one.prefix))
    wrong = next(n for n in store.files if n.startswith(other.prefix))
    store.files[name] = store.files[wrong][: len(store.files[name])].ljust(len(store.files[name]))
    message = one_line(run(store, tmp_path / "out"))
    assert "a file of another series" in message
    folder = series_folder(tmp_path / "out", "cbis_ddsm", one)
    assert not (folder / name.split("/")[1]).exists()
    assert not list(folder.glob("*.part"))


def test_no_store_at_all(archive, store, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "TRIES", 2)
    command = ["fetch", "cbis_ddsm", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(data, [*command, "--endpoint", "http://127.0.0.1:9"])
    assert "cannot be read" in one_line(result)


@pytest.mark.parametrize("endpoint", ["file:///etc", "ftp://x", "host", "http://h/?a=b"])
def test_other_addresses_are_refused(store, tmp_path, endpoint):
    command = ["fetch", "cbis_ddsm", "--out", str(tmp_path / "out"), "--endpoint", endpoint]
    result = CliRunner().invoke(data, command)
    assert isinstance(result.exception, UserError)
    assert "http" in str(result.exception)


def test_a_disk_that_is_too_small(store, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(cbis_ddsm.shutil, "disk_usage", lambda path: usage)
    result = run(store, tmp_path / "out")
    assert "are missing and" in str(result.exception)
    assert store.requests == []


def test_without_the_index_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "idc_index_data", None)
    with pytest.raises(UserError, match=r"pip install 'mammo_tf\[fetch\]'"):
        index.list_series("cbis_ddsm")


class TestRealIndex:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("idc_index_data", reason="INDEX ABSENT: pip install 'mammo_tf[fetch]'")

    def test_the_archive_as_a_whole(self):
        plan = cbis_ddsm.plan_fetch("nowhere").describe()
        assert (plan["series"], plan["files"]) == (6775, 10239)
        assert plan["bytes"] == 163_512_966_728

    @pytest.mark.parametrize("kind", ["mass", "calc"])
    @pytest.mark.parametrize("split", ["train", "test"])
    def test_a_choice_is_what_the_label_file_names(self, real_data, kind, split):
        from mammo_tf.datasets.cbis_ddsm import labels

        films = labels.read_films(real_data / "cbis-ddsm", [kind])
        wanted = {
            uid
            for film in films
            if film.split == split
            for uid in (*film.series, *(u for found in film.abnormalities for u in found.series))
        }
        chosen = cbis_ddsm.plan_fetch("nowhere", only=kind, split=split).series
        assert {one.uid for one in chosen} == wanted

    def test_an_unknown_collection(self):
        with pytest.raises(UserError, match="no collection nothing"):
            index.list_series("nothing")


def test_what_was_fetched_builds(archive, store, tmp_path):
    assert run(store, tmp_path / "out").exit_code == 0
    for table in archive[0].glob("*.csv"):
        (tmp_path / "out" / table.name).write_bytes(table.read_bytes())
    from mammo_tf.datasets.build import build_dataset

    builder = build_dataset(
        "cbis_ddsm",
        manual_dir=tmp_path / "out",
        data_dir=tmp_path / "data",
        variant="mass",
        plain=True,
        workers=1,
    )
    assert builder.info.metadata["num_images_missing"] == 0
    first = next(iter((tmp_path / "out").rglob("MG_*/*.dcm")))
    assert pydicom.dcmread(first).SeriesInstanceUID == first.parent.name.removeprefix("MG_")
