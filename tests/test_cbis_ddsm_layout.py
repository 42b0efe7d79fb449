"""Series are found by their UID in every layout of the archive, and in mixed-up ones."""

import os
import shutil
from pathlib import Path

import pydicom
import pytest

from mammo_tf.datasets.cbis_ddsm import layout
from mammo_tf.dicom.series import read_series_uid
from mammo_tf.errors import DataError
from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("layout")
    for name in ("uid", "nbia", "idc"):
        write_cbis_ddsm(
            root / name, layout=name, num_patients=12, seed=3, scale=0.125, damaged=False, workers=1
        )
    return {name: root / name for name in ("uid", "nbia", "idc")}


@pytest.fixture(scope="module")
def expected(trees) -> dict[str, int]:
    """How many files each series has, as the files themselves say."""
    counts: dict[str, int] = {}
    for path in trees["uid"].rglob("*.dcm"):
        if path.is_file():
            uid = str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
            counts[uid] = counts.get(uid, 0) + 1
    return counts


@pytest.mark.parametrize("name", ["uid", "nbia", "idc"])
def test_every_series_is_found_and_only_those_wanted(trees, expected, name):
    tree = layout.find_series(trees[name], expected)
    assert {uid: len(paths) for uid, paths in tree.files.items()} == expected
    for uid, paths in tree.files.items():
        for path in paths:
            assert read_series_uid(tree.folder / path) == uid
    assert (tree.num_unreadable, tree.num_second_copies) == (0, 0)
    some = sorted(expected)[::7]
    assert sorted(layout.find_series(trees[name], some).files) == some


def test_two_series_with_the_same_ending_are_told_apart(trees, expected):
    endings: dict[str, list[str]] = {}
    for uid in expected:
        endings.setdefault(uid[-5:], []).append(uid)
    shared = [uids for uids in endings.values() if len(uids) > 1]
    assert shared  # the phantom makes some
    tree = layout.find_series(trees["nbia"], expected)
    for one, two in shared:
        assert not set(tree.files[one]) & set(tree.files[two])


def test_of_unwanted_endings_no_file_is_opened(trees, expected, monkeypatch):
    opened = []
    monkeypatch.setattr(layout, "read_series_uid", lambda p: opened.append(p) or read_series_uid(p))
    wanted = next(uid for uid in expected if sum(uid[-5:] == other[-5:] for other in expected) == 1)
    tree = layout.find_series(trees["nbia"], [wanted])
    assert len(opened) == expected[wanted] == len(tree.files[wanted])


def test_files_in_folders_of_any_name_say_themselves_what_they_are(trees, expected, tmp_path):
    flat = tmp_path / "my mammograms"
    flat.mkdir()
    for number, path in enumerate(p for p in trees["uid"].rglob("*.dcm") if p.is_file()):
        shutil.copy(path, flat / f"{number}.DCM")
    tree = layout.find_series(tmp_path, expected)
    assert {uid: len(paths) for uid, paths in tree.files.items()} == expected


def test_layouts_may_be_mixed_and_second_copies_are_counted_not_doubled(trees, expected, tmp_path):
    shutil.copytree(trees["uid"], tmp_path / "a")
    shutil.copytree(trees["idc"], tmp_path / "b")
    uid, paths = next(
        (uid, paths)
        for uid, paths in layout.find_series(tmp_path / "a", expected).files.items()
        if len(paths) == 2
    )
    (tmp_path / "a" / paths[0]).unlink()
    tree = layout.find_series(tmp_path, expected)
    assert {uid: len(paths) for uid, paths in tree.files.items()} == expected
    assert all(path.startswith("b/") for path in tree.files[uid])  # the fuller one
    assert tree.num_second_copies == len(expected)


def test_missing_series_are_absent(trees, expected):
    tree = layout.find_series(trees["uid"], [*expected, "1.2.3.4.5.6.7.8"])
    assert sorted(tree.files) == sorted(expected)
    assert not tree.has_any(["1.2.3.4.5.6.7.8"])
    assert tree.has_any(["1.2.3.4.5.6.7.8", min(expected)])


def test_a_damaged_file_is_given_to_the_only_series_of_its_ending(trees, expected, tmp_path):
    shutil.copytree(trees["nbia"], tmp_path / "raw")
    full = layout.find_series(tmp_path / "raw", expected)
    alone = [u for u in sorted(expected) if sum(u[-5:] == v[-5:] for v in expected) == 1]
    (path,) = next(full.files[uid] for uid in alone if expected[uid] == 1)
    (full.folder / path).write_bytes(b"")
    (tmp_path / "raw" / "empty.dcm").write_bytes(b"")
    tree = layout.find_series(tmp_path / "raw", expected)
    assert tree.files == full.files
    assert tree.num_unreadable == 1  # the one that nothing names


def test_links_and_hidden_files_are_passed_over(trees, expected, tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    (root / "linked").symlink_to(trees["uid"], target_is_directory=True)
    source = next(p for p in trees["uid"].rglob("*.dcm") if p.is_file())
    (root / "file.dcm").symlink_to(source)
    shutil.copy(source, root / "._file.dcm")
    shutil.copytree(source.parent, root / ".trash")
    (root / "loop").symlink_to(root, target_is_directory=True)
    assert layout.find_series(root, expected).files == {}
    # The folder that was asked for may itself be a link.
    assert layout.find_series(root / "linked", expected).files


def test_absurd_trees_are_refused(trees, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_FILES", 5)
    with pytest.raises(DataError, match=r"more than 5 \.dcm files"):
        layout.find_series(trees["uid"], expected)
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    with pytest.raises(DataError, match="deep"):
        layout.find_series(tmp_path, expected)


def test_a_folder_that_cannot_be_read_is_told(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every folder")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError, match="cannot be read"):
        layout.find_series(tmp_path, ["1.2.3"])


class TestReadSeriesUid:
    def test_only_the_head_is_needed(self, trees, tmp_path):
        source = next(p for p in trees["uid"].rglob("*.dcm") if p.is_file())
        uid = str(pydicom.dcmread(source, stop_before_pixels=True).SeriesInstanceUID)
        head = tmp_path / "head.dcm"
        head.write_bytes(source.read_bytes()[:2000])
        assert read_series_uid(source) == read_series_uid(head) == uid

    @pytest.mark.parametrize(
        "content",
        [b"", b"\0" * 200, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + os.urandom(4000)],
    )
    def test_what_is_no_dicom_has_none(self, tmp_path, content):
        path = tmp_path / "x.dcm"
        path.write_bytes(content)
        assert read_series_uid(path) == ""
        assert read_series_uid(tmp_path / "absent.dcm") == ""
        assert read_series_uid(tmp_path) == ""

    def test_an_element_in_front_that_claims_more_than_there_is(self, trees, tmp_path):
        source = next(p for p in trees["uid"].rglob("*.dcm") if p.is_file())
        content = bytearray(source.read_bytes())
        place = content.index(b"\x08\x00\x60\x00")  # Modality
        content[place + 4 : place + 8] = (0x7FFFFFF0).to_bytes(4, "little")
        path = tmp_path / "claims.dcm"
        path.write_bytes(content)
        assert read_series_uid(path) == ""
