"""Atomic writes and paths that stay inside."""

import pytest

from mammo_tf.errors import DataError
from mammo_tf.files import (
    atomic_path,
    read_checked_json,
    resolve_inside,
    write_checked_json,
    write_json,
)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "table.json"
    write_json(target, {"a": 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == '{\n  "a": 1\n}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.json"]


@pytest.mark.parametrize("relative", ["../secret", "/etc/passwd", "a/../../secret", "link/secret"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, relative):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(DataError, match="leaves the data folder"):
        resolve_inside(folder, relative)


def test_a_path_inside_is_resolved(tmp_path):
    assert resolve_inside(tmp_path, "a/./b.dcm") == tmp_path.resolve() / "a/b.dcm"


class TestLinks:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "archive" / "ann").mkdir(parents=True)
        (tmp_path / "archive" / "ann" / "LCC.dcm").write_text("x")
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "dicom").symlink_to(tmp_path / "archive")
        (tmp_path / "data" / "loop").symlink_to("loop")
        return tmp_path / "data"

    def test_a_link_out_of_the_folder_is_called_a_link(self, folder):
        with pytest.raises(DataError, match=r"leaves the data folder .* through a symbolic link"):
            resolve_inside(folder, "dicom/ann/LCC.dcm")

    def test_it_is_followed_when_asked_for(self, folder, tmp_path):
        target = tmp_path.resolve() / "archive" / "ann" / "LCC.dcm"
        for path in ("dicom/ann/LCC.dcm", "./dicom/ann/LCC.dcm", folder / "dicom/ann/LCC.dcm"):
            assert resolve_inside(folder, path, follow_links=True) == target

    @pytest.mark.parametrize(
        "path", ["../archive/ann/LCC.dcm", "dicom/../secret", "/etc/passwd", "a/../../secret"]
    )
    def test_dots_and_other_folders_stay_refused(self, folder, path):
        with pytest.raises(DataError, match="leaves the data folder") as error:
            resolve_inside(folder, path, follow_links=True)
        assert "link" not in str(error.value)

    def test_the_folder_itself_may_be_reached_by_a_link(self, folder, tmp_path):
        (tmp_path / "raw").symlink_to(folder)
        assert resolve_inside(tmp_path / "raw", "a.dcm") == folder.resolve() / "a.dcm"
        absolute = tmp_path / "raw" / "dicom" / "ann" / "LCC.dcm"
        assert resolve_inside(tmp_path / "raw", absolute, follow_links=True).is_file()

    @pytest.mark.parametrize("path", ["loop", "loop/a.dcm", "a/../loop/b"])
    @pytest.mark.parametrize("follow_links", [False, True])
    def test_a_loop_is_one_clear_error(self, folder, path, follow_links):
        with pytest.raises(DataError, match="in a loop of symbolic links"):
            resolve_inside(folder, path, follow_links=follow_links)

    def test_no_path(self, folder):
        with pytest.raises(DataError, match="is no path"):
            resolve_inside(folder, "a\0b")


def test_checked_json_notices_a_changed_digit(tmp_path):
    path = tmp_path / "kept.json"
    write_checked_json(path, {"said": [0.25, 1]}, key="a")
    assert read_checked_json(path, key="a") == {"said": [0.25, 1]}
    with pytest.raises(ValueError, match="something else"):
        read_checked_json(path, key="b")
    path.write_text(path.read_text().replace("0.25", "0.35"))
    with pytest.raises(ValueError, match="checksum does not fit"):
        read_checked_json(path, key="a")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"value": 1}', '{"checksum": "0"'])
def test_checked_json_refuses_what_has_no_checksum(tmp_path, content):
    path = tmp_path / "kept.json"
    path.write_text(content)
    with pytest.raises(ValueError):
        read_checked_json(path)
