"""Paths in a table that are long or deep: one line, without recursion."""

import pytest

from mammo_tf.datasets.ncc.paths import PathChecker


@pytest.mark.parametrize("depth", [150, 700])
def test_a_deep_path_stays_inside(tmp_path, depth):
    checker = PathChecker(tmp_path, follow_links=False)
    assert checker.problem("a/" * depth + "b.dcm") == ""
    assert checker.problem("a/" * 2000 + "b.dcm") == ""
    assert "leaves the data folder" in checker.problem("a/" * depth + "../" * (depth + 1) + "b")


def test_a_path_longer_than_any_file_system_takes(tmp_path):
    checker = PathChecker(tmp_path, follow_links=False)
    for path in ("a/" * 100_000 + "b", "a" * 5000):
        assert checker.problem(path) == "is no path: it has more than 4096 characters"


def test_a_loop_of_links(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    checker = PathChecker(tmp_path, follow_links=True)
    assert checker.problem("loop/a.dcm") == "is in a loop of symbolic links"
