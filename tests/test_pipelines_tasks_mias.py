"""The mini-MIAS tasks on the real archive, against the archive's own pixels."""

import re
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

import mammo_tf.datasets  # noqa: F401  (registers mini_mias)
from mammo_tf.datasets.mini_mias.mini_mias_dataset_builder import MiniMiasConfig
from mammo_tf.errors import UserError
from mammo_tf.pipelines.mias_tasks import lesion_task, malignant_task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mias")


@pytest.fixture(scope="module")
def builder(shared_data, folder):
    builder = tfds.builder(
        "mini_mias", data_dir=folder / "data", config=MiniMiasConfig(cratios=(1, 100))
    )
    manual = tfds.download.DownloadConfig(manual_dir=shared_data / "mini-mias")
    builder.download_and_prepare(download_config=manual)
    return builder


@pytest.fixture(scope="module")
def task(builder, folder):
    return lesion_task(
        builder,
        cratios=(1, 100),
        cache_dir=folder / "cache",
        extra_negatives=3,
        lesion_copies=1,
        input_size=128,
    )


@pytest.fixture(scope="module")
def films(shared_data):
    """Every film's pixels by name, read without our own code."""
    films = {}
    with tarfile.open(shared_data / "mini-mias" / "all-mias.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".pgm"):
                pixels = archive.extractfile(member).read()[-(1024 * 1024) :]
                name = member.name.split("/")[-1].removesuffix(".pgm")
                films[name] = np.frombuffer(pixels, np.uint8).reshape(1024, 1024)
    return films


@pytest.fixture(scope="module")
def circles(shared_data):
    """(film, row, column) of every circle, as Info.txt gives them; and the normal films."""
    with tarfile.open(shared_data / "mini-mias" / "all-mias.tar.gz") as archive:
        name = next(name for name in archive.getnames() if name.endswith("Info.txt"))
        text = archive.extractfile(name).read().decode("latin-1")
    found = re.findall(r"^(mdb\d{3}) [FGD] [A-Z]{4} [BM] (\d+) (\d+) \d+", text, re.MULTILINE)
    normal = set(re.findall(r"^(mdb\d{3}) [FGD] NORM", text, re.MULTILINE))
    return [(film, 1024 - int(y), int(x)) for film, x, y in found], normal


def _window(film, row, column, size=128):
    """Slices out of a film that was padded all round, so that no edge needs care."""
    padded = np.pad(film, 512)
    top, left = row + 512 - size // 2, column + 512 - size // 2
    return padded[top : top + size, left : left + size]


def _places(task, circles):
    """(film, row, column) of each example, from its name."""
    numbered, seen = {}, {}
    for film, row, column in circles:
        seen[film] = seen.get(film, 0) + 1
        numbered[f"{film}-{seen[film]}"] = (row, column)
    for name in task.example_ids:
        film, _, lesion = name.partition("-copy")[0].partition("-at-")
        yield name.split("-")[0], *numbered[lesion or film]


def test_counts(task):
    assert task.evaluated.sum() == 357
    assert task.labels[task.evaluated].sum() == task.labels[~task.evaluated].sum() == 119
    # One lesion has two extra candidates, not three.
    assert len(task.example_ids) == len(set(task.example_ids)) == 713 + 119
    assert not task.is_phantom
    assert task.input_shape == (128, 128)


def test_the_lesions_are_those_of_the_list(task, circles):
    found, normal = circles
    lesions = [
        place for place, label in zip(_places(task, found), task.labels, strict=True) if label
    ]
    assert sorted(lesions) == sorted(2 * found)  # each with its copy
    negatives = {
        name[:6] for name, label in zip(task.example_ids, task.labels, strict=True) if not label
    }
    assert negatives <= normal
    assert len(negatives) > 200  # of 207: different films are preferred


def test_same_side_and_as_much_tissue(task, circles, films):
    for name, (film, row, column) in zip(task.example_ids, _places(task, circles[0]), strict=True):
        if "-at-" in name:
            lesion = name.split("-at-")[1][:6]
            assert int(film[3:]) % 2 == int(lesion[3:]) % 2
            shares = [(_window(films[which], row, column) > 20).mean() for which in (film, lesion)]
            assert abs(shares[0] - shares[1]) <= 0.05


def test_pixels_are_the_archives(task, circles, films):
    images = task.images(1)
    assert images.shape == (len(task.example_ids), 192, 192)
    assert images.dtype == np.uint8
    mirrored = 0
    for image, (film, row, column) in zip(images, _places(task, circles[0]), strict=True):
        expected = _window(films[film], row, column, 192)
        if (image == expected).all():
            continue
        mirrored += 1
        assert (image == expected[:, ::-1]).all()
        assert int(film[3:]) % 2 == 1  # right breasts
    assert 0 < mirrored < len(images)
    assert (task.images(100) != images).any()


def test_groups_are_women(task):
    for name, group in zip(task.example_ids, task.groups, strict=True):
        assert group == f"p{(int(name[3:6]) + 1) // 2:03d}"


def test_again_from_the_cache_and_other_seeds(builder, folder, task, monkeypatch):
    monkeypatch.setattr(type(builder), "as_dataset", None)  # any reading would fail
    again = lesion_task(
        builder,
        cratios=(100,),
        cache_dir=folder / "cache",
        extra_negatives=3,
        lesion_copies=1,
        input_size=128,
    )
    assert again.example_ids == task.example_ids
    assert (again.images(100) == task.images(100)).all()


def test_small_patches_and_other_seeds(builder, folder, task):
    small = lesion_task(builder, cratios=(100,), cache_dir=folder / "cache", seed=1)
    assert small.input_shape == (64, 64)
    assert small.images(100).shape[1:] == (96, 96)
    assert small.evaluated.sum() == 357
    assert small.example_ids[:119] == task.example_ids[:119]
    assert small.example_ids[119:357] != task.example_ids[119:357]
    halved = task.images(100)[0].reshape(96, 2, 96, 2).mean((1, 3))
    assert np.abs(small.images(100)[0] - halved).mean() < 2


def test_malignant_task(builder, films):
    task = malignant_task(builder, cratios=(1, 100), cache_dir=None)
    assert task.labels.sum() == 52
    assert task.evaluated.all()
    assert task.images(100).shape == (322, *task.input_shape) == (322, 307, 307)
    assert task.example_ids[0] == "mdb001"
    assert task.groups[:3].tolist() == ["p001", "p001", "p002"]
    means = np.array([films[name].mean() for name in task.example_ids])
    # Resizing keeps the mean up to rounding; at CR 100 ringing below black is clipped, which
    # lifts a film's mean by up to 0.7, the more the larger its empty background.
    assert np.abs(task.images(1).mean((1, 2)) - means).max() < 0.1
    assert np.abs(task.images(100).mean((1, 2)) - means).max() < 1


def test_wrong_arguments(builder):
    with pytest.raises(UserError, match=r"CR 1, 100\. Received: 7"):
        lesion_task(builder, cratios=(7,), cache_dir=None)
    with pytest.raises(UserError, match="extra_negatives"):
        lesion_task(builder, cratios=(1,), cache_dir=None, extra_negatives=-1)
    with pytest.raises(UserError, match="input_size"):
        lesion_task(builder, cratios=(1,), cache_dir=None, input_size=32)
    with pytest.raises(UserError, match="lesion_copies"):
        lesion_task(builder, cratios=(1,), cache_dir=None, lesion_copies=101)
