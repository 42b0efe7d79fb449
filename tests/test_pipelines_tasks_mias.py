"""The tasks on the real mini-MIAS, against the archive's own list and pixels."""

import re
import tarfile

import numpy as np
import pytest

from mammo_tf.breast import darkest_level
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import detection, lesion_patches, whole_images

pytestmark = pytest.mark.slow

LABELS = {"B": "benign", "M": "malignant"}
KINDS = {"CALC": "calcification", "ARCH": "distortion", "ASYM": "asymmetry"}  # others are masses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mias")


@pytest.fixture(scope="module")
def catalog(mini_mias, folder):
    return read_catalog(mini_mias, folder)


def lesions(builder, catalog, folder, cratios=(1, 100), **options):
    options = {"extra_normals": 3, "lesion_copies": 1, "input_size": 128} | options
    plan = lesion_patches(catalog, builder, cache_dir=folder, **options)
    return make_task(plan, catalog, builder, cratios=cratios, cache_dir=folder)


@pytest.fixture(scope="module")
def task(mini_mias, catalog, folder):
    return lesions(mini_mias, catalog, folder)


@pytest.fixture(scope="module")
def info_txt(real_data):
    """The list, read without our own code."""
    with tarfile.open(real_data / "mini-mias" / "all-mias.tar.gz") as archive:
        name = next(name for name in archive.getnames() if name.endswith("Info.txt"))
        return archive.extractfile(name).read().decode("latin-1")


@pytest.fixture(scope="module")
def films(real_data):
    """Every film's pixels by name, read without our own code."""
    films = {}
    with tarfile.open(real_data / "mini-mias" / "all-mias.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".pgm"):
                pixels = archive.extractfile(member).read()[-(1024 * 1024) :]
                name = member.name.split("/")[-1].removesuffix(".pgm")
                films[name] = np.frombuffer(pixels, np.uint8).reshape(1024, 1024)
    return films


@pytest.fixture(scope="module")
def circles(info_txt):
    """(film, row, column) of every circle, as Info.txt gives them; and the normal films."""
    found = re.findall(r"^(mdb\d{3}) [FGD] [A-Z]{4} [BM] (\d+) (\d+) \d+", info_txt, re.MULTILINE)
    normal = set(re.findall(r"^(mdb\d{3}) [FGD] NORM", info_txt, re.MULTILINE))
    return [(film, 1024 - int(y), int(x)) for film, x, y in found], normal


def _window(film, row, column, size=128):
    """Slices out of a film that was padded all round, so that no edge needs care."""
    padded = np.pad(film, 512, constant_values=darkest_level(film))
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


def test_groups_are_patients(task):
    for name, group in zip(task.example_ids, task.groups, strict=True):
        assert group == f"p{(int(name[3:6]) + 1) // 2:03d}"


def test_again_from_the_cache(mini_mias, folder, task, monkeypatch):
    monkeypatch.setattr(type(mini_mias), "as_dataset", None)  # any reading would fail
    again = lesions(mini_mias, read_catalog(mini_mias, folder), folder, cratios=(100,))
    assert again.example_ids == task.example_ids
    assert (again.images(100) == task.images(100)).all()
    assert isinstance(again.images(100), np.memmap)


def test_small_patches_and_other_seeds(mini_mias, catalog, folder, task):
    options = {"seed": 1, "extra_normals": 4, "lesion_copies": 5, "input_size": 64}
    small = lesions(mini_mias, catalog, folder, cratios=(100,), **options)
    assert small.input_shape == (64, 64)
    assert small.images(100).shape[1:] == (96, 96)
    assert small.evaluated.sum() == 357
    assert small.example_ids[:119] == task.example_ids[:119]
    assert small.example_ids[119:357] != task.example_ids[119:357]
    halved = task.images(100)[0].reshape(96, 2, 96, 2).mean((1, 3))
    assert np.abs(small.images(100)[0] - halved).mean() < 2


def test_whole_films(mini_mias, catalog, films):
    task = make_task(whole_images(catalog), catalog, mini_mias, cratios=(1, 100), cache_dir=None)
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


def test_wrong_arguments(mini_mias, catalog):
    with pytest.raises(UserError, match=r"CR 1, 100, 1000\. Received: 7"):
        make_task(whole_images(catalog), catalog, mini_mias, cratios=(7,), cache_dir=None)
    for name, value in (("extra_normals", -1), ("lesion_copies", 101), ("input_size", 8)):
        with pytest.raises(UserError, match=name):
            lesion_patches(catalog, mini_mias, cache_dir=None, **{name: value})


def test_the_catalog_counts(catalog):
    assert [image.image_id for image in catalog.images] == [
        f"mdb{number:03}" for number in range(1, 323)
    ]
    assert sum(len(image.placed_findings) for image in catalog.images) == 119
    assert sum(len(image.findings) for image in catalog.images) == 123
    unplaced = {image.image_id for image in catalog.images
                if len(image.findings) > len(image.placed_findings)}  # fmt: skip
    assert unplaced == {"mdb059", "mdb216", "mdb233", "mdb245"}
    labels = [image.label for image in catalog.images]
    assert labels.count("normal") == 207 and labels.count("malignant") == 52
    assert len(set(catalog.patients.tolist())) == 161
    assert not catalog.is_phantom and not catalog.has_official_splits
    three = [image.image_id for image in catalog.images if len(image.placed_findings) == 3]
    assert three == ["mdb226"]


def test_the_catalog_s_findings_are_those_of_the_list(catalog, info_txt, circles):
    rows = re.findall(
        r"^(mdb\d{3}) [FGD] ([A-Z]{4}) ([BM]) (\d+) (\d+) +(\d+)", info_txt, re.MULTILINE
    )
    expected = []
    for film, kind, label, x, y, radius in rows:
        row, column, radius = 1024 - int(y), int(x), int(radius)
        box = (row - radius, column - radius, row + radius + 1, column + radius + 1)
        expected.append((film, KINDS.get(kind, "mass"), LABELS[label], "circle", box))
    found = [
        (image.image_id, one.kind, one.label, one.mark, one.box_yxyx_px)
        for image in catalog.images
        for one in image.placed_findings
    ]
    assert len(expected) == 119
    assert sorted(found) == sorted(expected)
    assert {image.image_id for image in catalog.images if image.label == "normal"} == circles[1]


def test_patients_and_sides(catalog):
    for number, image in enumerate(catalog.images, start=1):
        assert image.patient_id == f"p{(number + 1) // 2:03}"
        assert image.laterality == ("R" if number % 2 else "L")
        assert image.view == "MLO"
        assert image.pixel_spacing_mm == (0.2, 0.2) and image.shape == (1024, 1024)
        assert not image.is_canonical


def test_detection_at_full_size_shows_the_archives_pixels(mini_mias, catalog, films):
    plan = detection(catalog, size=1024)
    assert len(plan.examples) == 322 - 4
    rows = {example.example_id: example for example in plan.examples}
    some = ("mdb001", "mdb144", "mdb322")
    few = type(plan)(**{**vars(plan), "examples": tuple(rows[name] for name in some)})
    task = make_task(few, catalog, mini_mias, cratios=(1,), cache_dir=None)
    for row, name in enumerate(some):
        np.testing.assert_array_equal(task.images(1)[row], films[name])
    # mdb001: x 535, y 425 from below, radius 197.
    np.testing.assert_array_equal(
        task.boxes[0] * 1024, [[599 - 197, 535 - 197, 599 + 198, 535 + 198]]
    )


@pytest.mark.parametrize("box", [(1025, 40, 1030, 45), (-9, 4, -2, 9), (5, 1030, 9, 1035)])
def test_a_circle_outside_its_film(mini_mias, box, monkeypatch):
    genuine = records.iterate_records

    def damaged(*args, **kwargs):
        for record in genuine(*args, **kwargs):
            if record["image_id"] == b"mdb002":
                found = record["findings"]
                changed = np.full_like(found["box_px"], 0) + np.array(box, np.float32)
                record = {**record, "findings": {**found, "box_px": changed}}
            yield record

    monkeypatch.setattr(records, "iterate_records", damaged)
    with pytest.raises(DataError, match=r"mdb002 has a finding.*outside its 1024×1024"):
        lesion_patches(read_catalog(mini_mias), mini_mias, cache_dir=None)
