"""Leaks between the parts of a split: patients, images, copies whatever turned them."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage

from mammo_tf.audit.copies import POSITIONS, Copy, _means, find_copies, fingerprint
from mammo_tf.audit.leaks import audit_split
from mammo_tf.audit.split import Columns, SplitImage, read_parts, read_split
from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError
from mammo_tf.record import Finding


def _picture(seed: int, shape=(150, 110)) -> np.ndarray:
    """A breast-like outline with tissue of its own."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = ((rows / shape[0] - 0.5) ** 2 * 4 + (columns / shape[1]) ** 2) < 0.8
    tissue = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3)
    return (inside * np.clip(120 + 600 * tissue, 1, 255)).astype(np.uint8)


def _write_split(path, rows, header=("image", "patient", "part")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_means_do_not_depend_on_the_size():
    """Each of 64 × 64 cells is a block of the larger picture."""
    small = np.random.default_rng(0).normal(size=(64, 64))
    for factor in (3, 5):
        large = np.kron(small, np.ones((factor, factor)))
        np.testing.assert_allclose(fingerprint(large), fingerprint(small), atol=1e-5)


def test_a_row_on_an_edge_counts_for_both_cells():
    """96 rows make 64 cells of one and a half: (0 + 1/2) / 1.5 and (1/2 + 2) / 1.5."""
    ramp = np.tile(np.arange(96.0)[:, np.newaxis], (1, 64))
    cells = _means(ramp)
    assert cells.shape == (64, 64)
    np.testing.assert_allclose(cells[:3, 0], [1 / 3, 5 / 3, 10 / 3])
    assert cells.mean() == pytest.approx(ramp.mean())


def test_a_picture_without_structure_is_nobody_s_copy():
    blank = np.stack([fingerprint(np.full((20, 30), 7, np.uint8))] * 2)
    assert not blank.any()
    assert not list(find_copies(blank))


@pytest.mark.parametrize("number", range(8))
def test_each_position_is_found_and_named(number):
    first = _picture(1)
    second = np.rot90(first, number % 4)
    second = second[:, ::-1] if number >= 4 else second
    prints = np.stack([fingerprint(image) for image in (first, _picture(2), second)])
    (copy,) = find_copies(prints)
    assert (copy.first, copy.second, copy.position) == (0, 2, POSITIONS[number])
    assert copy.similarity == pytest.approx(1, abs=1e-3)


def test_blocks_change_nothing(monkeypatch):
    prints = np.stack([fingerprint(_picture(seed)) for seed in (1, 2, 1, 3, 2, 1)])
    pairs = [(copy.first, copy.second) for copy in find_copies(prints)]
    assert sorted(pairs) == [(0, 2), (0, 5), (1, 4), (2, 5)]
    monkeypatch.setattr("mammo_tf.audit.copies._BLOCK", 2)
    assert sorted((copy.first, copy.second) for copy in find_copies(prints)) == sorted(pairs)


def test_leaks_counted_by_hand():
    images = [
        SplitImage("a1", "A", "train"),
        SplitImage("a2", "A", "train"),
        SplitImage("a3", "A", "test"),
        SplitImage("b1", "B", "train"),
        SplitImage("c1", "C", "validation"),
        SplitImage("c1", "C", "test"),
        SplitImage("d1", "D", "test"),
    ]
    copies = [
        Copy(0, 1, 0.9, "as it is"),  # within one part
        Copy(3, 6, 0.95, "mirrored"),
        Copy(4, 5, 1.0, "as it is"),  # the same image, which counts as that
        Copy(2, 3, 0.85, "as it is"),
    ]
    audit = audit_split(images, copies)
    assert audit.counts == {"patient": 2, "image": 1, "copy": 1, "turned copy": 1}
    assert audit.parts == {"train": 3, "test": 3, "validation": 1}
    turned = audit.leaks[-1]
    assert (turned.first_patient, turned.second_patient, turned.similarity) == ("B", "D", 0.95)
    assert audit.notes[0].startswith("1 pairs of copies lie within one part")
    assert not audit_split(images).pixels_compared


def test_a_patient_of_three_parts_leaks_between_each_two():
    images = [SplitImage(part, "A", part) for part in ("train", "validation", "test")]
    pairs = [(leak.first_part, leak.second_part) for leak in audit_split(images).leaks]
    assert pairs == [("train", "validation"), ("train", "test"), ("validation", "test")]


def test_ids_written_in_two_ways_are_noted():
    images = [SplitImage("a", "007", "train"), SplitImage("b", "7.0", "test")]
    audit = audit_split(images)
    assert not audit.leaks
    assert "1 patient ids are written in several ways" in audit.notes[0]


def test_columns_are_found_whatever_their_case(tmp_path):
    rows = [("a", "x", "1", "train"), ("a", "x", "2", "train"), ("b", "y", "1", "test")]
    path = _write_split(tmp_path / "s.csv", rows, ("File Name", "patient_id", "row", "Split"))
    found = read_split(path, Columns(image="file_name", patient="Patient ID", part="split"))
    assert found == (SplitImage("a", "x", "train"), SplitImage("b", "y", "test"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x", "train")], "two parts or more. Received: train"),
        ([("a", "x", "train"), ("a", "y", "test")], "one patient"),
        ([("a", "", "train")], "row 2: patient is empty"),
        ([("a", "x")], "row 2: part is empty"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read_split(_write_split(tmp_path / "s.csv", rows))


def test_a_missing_column_is_named(tmp_path):
    path = _write_split(tmp_path / "s.csv", [("a", "x", "train")], ("image", "who", "part"))
    with pytest.raises(UserError, match=r"one column 'patient'. Received: image, who, part"):
        read_split(path)


def _split_with_pictures(folder, test_patient, test_picture):
    Image.fromarray(_picture(1)).save(folder / "a.png")
    Image.fromarray(_picture(2)).save(folder / "b.png")
    Image.fromarray(test_picture).resize((200, 300)).save(folder / "c.jpg", quality=60)
    rows = [("a.png", "A", "train"), ("b.png", "B", "train"), ("c.jpg", test_patient, "test")]
    return _write_split(folder / "split.csv", rows)


def _run(*arguments):
    return CliRunner().invoke(cli, ["audit", *map(str, arguments)])


@pytest.mark.parametrize(
    ("patient", "picture", "counts", "code"),
    [
        ("C", _picture(3), (0, 0, 0, 0), 0),
        ("A", _picture(3), (1, 0, 0, 0), 1),
        ("C", _picture(2), (0, 0, 1, 0), 1),
        ("C", np.rot90(_picture(1)), (0, 0, 0, 1), 1),
    ],
    ids=["clean", "patient", "copy", "turned"],
)
def test_the_command_says_what_leaks(tmp_path, patient, picture, counts, code):
    split = _split_with_pictures(tmp_path, patient, picture)
    table = tmp_path / "leaks.csv"
    options = ("--image-dir", tmp_path, "--workers", 1, "--csv", table)
    result = _run(split, *options, "--json")
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert tuple(found["counts"].values()) == counts
    assert found["leaks"] is bool(code)
    assert len(table.read_text("utf-8").splitlines()) == 1 + sum(counts)
    assert ("The split leaks." in _run(split, *options).stdout) is bool(code)


def test_without_images_copies_are_not_called_absent(tmp_path):
    result = _run(_split_with_pictures(tmp_path, "C", _picture(1)))
    assert result.exit_code == 0
    assert "?  pairs of copies" in result.stdout
    assert "no pixels were compared" in result.stdout


@pytest.mark.parametrize("name", ["gone.png", "../a.png"])
def test_an_image_that_cannot_be_read_stops_it(tmp_path, name):
    inner = tmp_path / "in"
    inner.mkdir()
    Image.fromarray(_picture(1)).save(tmp_path / "a.png")
    path = _write_split(tmp_path / "s.csv", [(name, "A", "train"), (name, "A", "test")])
    result = _run(path, "--image-dir", inner, "--workers", 1)
    assert isinstance(result.exception, UserError)


@pytest.mark.parametrize("arguments", [(), ("s.csv", "--part", "train=t.csv")])
def test_one_way_to_give_the_split(arguments):
    with pytest.raises(UserError, match=r"Give one of SPLIT.csv, --part"):
        CliRunner().invoke(cli, ["audit", *arguments], catch_exceptions=False)


def test_cbis_ddsm_as_published_leaks_31_patients(real_data):
    """29 (patient, side, view) are in both; each type by itself is clean."""
    columns = Columns(image="image file path", patient="patient_id")

    def read(*kinds):
        files = [
            (split, real_data / "cbis-ddsm" / f"{kind}_case_description_{split}_set.csv")
            for kind in kinds
            for split in ("train", "test")
        ]
        return audit_split(read_parts(files, columns))

    both = read("mass", "calc")
    assert both.counts == {"patient": 31, "image": 0, "copy": 0, "turned copy": 0}
    assert both.parts == {"train": 2458, "test": 645}
    assert both.num_patients == 1566
    assert not read("mass").leaks
    assert not read("calc").leaks


def _finding():
    return Finding(label="benign", kind="mass", mark="box", box_yxyx_px=(40, 20, 70, 50))


@pytest.fixture(scope="module")
def opened(build_records, tmp_path_factory):
    """Six images of three patients; the last image, in test, is the first one mirrored."""
    from mammo_tf.data_source import OpenData
    from mammo_tf.pipelines.catalog import read_catalog

    pictures = [_picture(seed) for seed in range(5)]
    pictures.append(pictures[0][:, ::-1])
    splits = ("train", "train", "train", "train", "test", "test")
    patients = ("p1", "p1", "p2", "p2", "p3", "p3")
    images = [
        (
            picture.astype(np.uint16) * 16,
            {
                "image_id": f"i{place}",
                "patient_id": patient,
                "split": split,
                "label": "benign" if place < 2 else "normal",
                "findings": (_finding(),) if place < 2 else (),
            },
        )
        for place, (picture, patient, split) in enumerate(
            zip(pictures, patients, splits, strict=True)
        )
    ]
    builder = build_records(images, metadata={"has_official_splits": True})
    cache = tmp_path_factory.mktemp("cache")
    return OpenData(builder=builder, catalog=read_catalog(builder), cache_dir=cache)


def _audit_of(opened, scheme):
    from mammo_tf.audit.dataset import split_of

    images, prints = split_of(opened, scheme)
    return images, audit_split(images, find_copies(prints))


def test_a_data_set_s_own_split_and_its_pixels(opened):
    images, audit = _audit_of(opened, "official")
    assert [image.part for image in images] == ["train"] * 4 + ["test"] * 2
    (leak,) = audit.leaks
    assert (leak.first_image, leak.second_image) == ("i0", "i5")
    assert (leak.kind, leak.position) == ("turned copy", "mirrored")


def test_a_split_by_image_takes_seven_to_one_to_two(opened):
    images, audit = _audit_of(opened, "images")
    assert sorted(audit.parts.values()) == [1, 1, 4]
    assert {image.patient for image in images} == {"p1", "p2", "p3"}
    assert audit.counts["patient"] >= 1


def test_the_poster_s_copies_are_all_told_from_the_pixels(opened):
    """Two images with lesions, eight copies each, 28 pairs of each; not square ones either."""
    images, audit = _audit_of(opened, "poster")
    assert sorted(audit.parts.values()) == [2, 3, 11]
    part = {image.image: image.part for image in images}
    names = sorted(part)
    apart = sum(
        one.split("@")[0] == other.split("@")[0] and part[one] != part[other]
        for place, one in enumerate(names)
        for other in names[place + 1 :]
    )
    assert apart > 0
    assert audit.counts["turned copy"] == apart
    assert audit.counts["copy"] == 0
    within = 2 * 28 - apart
    assert audit.notes[0].startswith(f"{within} pairs of copies")


def test_a_data_set_without_a_split_of_its_own_says_so(opened):
    import dataclasses

    from mammo_tf.audit.dataset import split_of

    catalog = dataclasses.replace(opened.catalog, has_official_splits=False)
    with pytest.raises(UserError, match="no split of its own"):
        split_of(dataclasses.replace(opened, catalog=catalog), "official")


def test_the_command_opens_a_data_set(opened, monkeypatch):
    monkeypatch.setattr("mammo_tf.data_source.open_data", lambda *args, **options: opened)
    result = _run("--dataset", "mini_mias", "--scheme", "official", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["counts"]["turned copy"] == 1
