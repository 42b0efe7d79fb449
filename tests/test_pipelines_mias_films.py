"""All films of mini-MIAS: the real archive against its own bytes; the rest by hand."""

import re
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds

import mammo_tf.datasets  # noqa: F401  (registers mini_mias)
from mammo_tf.datasets.mini_mias.mini_mias_dataset_builder import MiniMiasConfig
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import mias_films
from mammo_tf.pipelines.mias_films import Lesion, load_films

SEVERITIES = {"B": "benign", "M": "malignant"}


@pytest.mark.parametrize(
    ("row", "column", "radius", "box"),
    [
        (0, 7, 0, (0, 7, 1, 8)),  # one pixel
        (100, 50, 3, (97, 47, 104, 54)),  # three on each side of the middle one
        (10, 1020, 20, (-10, 1000, 31, 1041)),  # leaves the film
    ],
)
def test_box_of_a_circle(row, column, radius, box):
    lesion = Lesion(row=row, column=column, radius_px=radius, severity="benign", abnormality="CIRC")
    assert lesion.box_yxyx_px == box
    # The middles of the circle's pixels, drawn.
    rows, columns = np.mgrid[-40:200, -40:1100]
    inside = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    found = rows[inside].min(), columns[inside].min(), rows[inside].max(), columns[inside].max()
    assert found == (box[0], box[1], box[2] - 1, box[3] - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mias_films")


@pytest.fixture(scope="module")
def builder(shared_data, folder):
    builder = tfds.builder("mini_mias", data_dir=folder, config=MiniMiasConfig(cratios=(1,)))
    manual = tfds.download.DownloadConfig(manual_dir=shared_data / "mini-mias")
    builder.download_and_prepare(download_config=manual)
    return builder


@pytest.fixture(scope="module")
def films(builder, folder):
    return load_films(builder, cache_dir=folder / "cache")


@pytest.fixture(scope="module")
def archive(shared_data):
    """Info.txt, and some films' pixels, read without our own code."""
    pixels = {}
    with tarfile.open(shared_data / "mini-mias" / "all-mias.tar.gz") as tar:
        for member in tar:
            name = member.name.split("/")[-1]
            if name == "Info.txt":
                info = tar.extractfile(member).read().decode("latin-1")
            if name in ("mdb001.pgm", "mdb144.pgm", "mdb322.pgm"):
                raw = tar.extractfile(member).read()[-(1024 * 1024) :]
                pixels[name[:6]] = np.frombuffer(raw, np.uint8).reshape(1024, 1024)
    return info, pixels


@pytest.mark.slow
def test_counts(films):
    assert len(films.films) == 322
    assert films.pixels.shape == (322, 1024, 1024) and films.pixels.dtype == np.uint8
    assert sum(len(film.lesions) for film in films.films) == 119
    assert sum(film.num_unplaced for film in films.films) == 4
    assert len(set(films.patients)) == 161
    ids = [film.image_id for film in films.films]
    assert ids == [f"mdb{number:03}" for number in range(1, 323)]
    findings = [film.finding for film in films.films]
    assert findings.count("normal") == 207 and findings.count("malignant") == 52
    assert not films.is_phantom
    unplaced = {film.image_id for film in films.films if film.num_unplaced}
    assert unplaced == {"mdb059", "mdb216", "mdb233", "mdb245"}


@pytest.mark.slow
def test_lesions_are_those_of_the_list(films, archive):
    rows = re.findall(
        r"^(mdb\d{3}) ([FGD]) ([A-Z]{4}) ([BM]) (\d+) (\d+) +(\d+)", archive[0], re.MULTILINE
    )
    expected = [
        (film, tissue, kind, SEVERITIES[severity], 1024 - int(y), int(x), int(radius))
        for film, tissue, kind, severity, x, y, radius in rows
    ]
    found = [
        (
            film.image_id,
            film.tissue,
            one.abnormality,
            one.severity,
            one.row,
            one.column,
            one.radius_px,
        )
        for film in films.films
        for one in film.lesions
    ]
    assert len(expected) == 119
    assert sorted(found) == sorted(expected)
    assert [film.image_id for film in films.films if len(film.lesions) == 3] == ["mdb226"]
    normal = set(re.findall(r"^(mdb\d{3}) [FGD] NORM", archive[0], re.MULTILINE))
    assert {film.image_id for film in films.films if film.finding == "normal"} == normal
    placed = {film.image_id for film in films.films if film.lesions}
    assert set(np.array([film.image_id for film in films.films])[films.has_lesion]) == placed


@pytest.mark.slow
def test_women_and_sides(films):
    for number, film in enumerate(films.films, start=1):
        assert film.patient_id == f"p{(number + 1) // 2:03}"
        assert film.laterality == ("R" if number % 2 else "L")
    assert films.patients[143] == "p072"


@pytest.mark.slow
def test_pixels_are_the_archives(films, archive):
    assert len(archive[1]) == 3
    for name, pixels in archive[1].items():
        np.testing.assert_array_equal(films.pixels[int(name[3:]) - 1], pixels)


@pytest.mark.slow
def test_again_from_the_cache(builder, folder, films, monkeypatch):
    monkeypatch.setattr(mias_films.records, "decode", None)  # any decoding would fail
    again = load_films(builder, cache_dir=folder / "cache")
    assert again.films == films.films
    np.testing.assert_array_equal(again.pixels[7], films.pixels[7])
    assert isinstance(again.pixels, np.memmap)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [("row", 1024), ("row", -1), ("column", 1030)])
def test_a_circle_outside_its_film(name, value, builder, folder, monkeypatch):
    genuine = mias_films.records.iterate_records

    def damaged(builder):
        for record in genuine(builder):
            if record["image_id"] == b"mdb002":
                found = record["abnormalities"]
                changed = np.full_like(np.asarray(found[name]), value)
                record = {**record, "abnormalities": {**found, name: changed}}
            yield record

    monkeypatch.setattr(mias_films.records, "iterate_records", damaged)
    with pytest.raises(DataError, match=rf"mdb002.* {name} {value}.*outside its 1024×1024"):
        load_films(builder, cache_dir=folder / "cache")


def test_without_the_uncompressed_films():
    builder = SimpleNamespace(
        builder_config=SimpleNamespace(cratios=(20, 100)),
        info=SimpleNamespace(full_name="mini_mias"),
    )
    with pytest.raises(UserError, match=r"holds CR 20, 100\. Received: 1\."):
        load_films(builder, cache_dir=None)
