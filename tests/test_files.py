"""Atomic writes and paths that stay inside."""

import pytest

from mammo_tf.errors import DataError
from mammo_tf.files import atomic_path, resolve_inside, write_json


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
