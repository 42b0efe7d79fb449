"""A built data set whose files are damaged: one line that says to build it again."""

import shutil

import pytest

from mammo_tf.datasets.build import build_dataset
from mammo_tf.errors import DataError
from mammo_tf.phantom import write_ncc
from mammo_tf.pipelines.catalog import read_catalog


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    write_ncc(folder / "raw", num_studies=4, seed=1, scale=0.125, workers=1)
    builder = build_dataset(
        "ncc", manual_dir=folder / "raw", data_dir=folder / "data", cratios=(1,), workers=1
    )
    return folder / "data", builder.data_path


@pytest.fixture
def copied(built, tmp_path):
    root, path = built
    shutil.copytree(root, tmp_path / "data")
    return tmp_path / "data", tmp_path / "data" / path.relative_to(root)


def open_again(root):
    return read_catalog(build_dataset("ncc", data_dir=root, cratios=(1,)))


@pytest.mark.parametrize("name", ["dataset_info.json", "metadata.json"])
@pytest.mark.parametrize("content", [b"garbage", b"", b"\xff\xfe{", b'{"name": '])
def test_damaged_descriptions(copied, name, content):
    root, path = copied
    (path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged .* build it again"):
        open_again(root)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_records(copied, damage):
    root, path = copied
    shard = next(path.glob("*train*tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes({"flip": content, "cut": content[:5000], "empty": b""}[damage])
    with pytest.raises(DataError, match=r"(is damaged|holds .* of) .*build the data set again"):
        open_again(root)
