"""CBIS-DDSM's label files: the real ones, and small ones with every way to be damaged."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest

from mammo_tf.datasets.cbis_ddsm import labels
from mammo_tf.errors import DataError

UID = "1.3.6.1.4.1.9590.100.1.2.{}"
CALC = labels.table_name("calc", "train")
MASS = labels.table_name("mass", "train")


def a_row(kind="mass", number=1, patient="P_00001", side="LEFT", view="CC", key=1, **changes):
    folder = f"{kind}_{patient}"
    image = f"{folder}/{UID.format(900 + key)}/{UID.format(100 + key)}/000000.dcm"
    roi = f"{folder}/{UID.format(800 + key)}/{UID.format(200 + 10 * key + number)}"
    texts = ("OVAL", "NA") if kind == "mass" else ("PUNCTATE", "CLUSTERED")
    names = ("mass shape", "mass margins") if kind == "mass" else ("calc type", "calc distribution")
    row = {
        "patient_id": patient,
        "breast_density" if kind == "mass" else "breast density": "3",
        "left or right breast": side,
        "image view": view,
        "abnormality id": str(number),
        "abnormality type": "mass" if kind == "mass" else "calcification",
        **dict(zip(names, texts, strict=True)),
        "assessment": "4",
        "pathology": "MALIGNANT",
        "subtlety": "5",
        "image file path": image,
        "cropped image file path": f"{roi}/000000.dcm",
        "ROI mask file path": f"{roi}/000001.dcm\n",
    }
    return row | changes


def write(folder: Path, kind: str, split: str, rows: list[dict]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path = folder / labels.table_name(kind, split)
    path.write_bytes(text.getvalue().encode())
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two mass and two calcification tables, with a patient on both sides of the split."""
    write(
        tmp_path,
        "mass",
        "train",
        [
            a_row(),
            a_row(number=2, pathology="BENIGN_WITHOUT_CALLBACK"),
            a_row(patient="P_00002", key=2, side="RIGHT", view="MLO", pathology="BENIGN"),
        ],
    )
    write(tmp_path, "mass", "test", [a_row(patient="P_00003", key=3)])
    calc = {"kind": "calc", "key": 4}
    write(tmp_path, "calc", "train", [a_row(patient="P_00004", **calc)])
    shared = a_row("calc", patient="P_00001", key=5, pathology="BENIGN", **{"breast density": "0"})
    write(tmp_path, "calc", "test", [shared])
    return tmp_path


def test_rows_become_films_with_their_abnormalities(folder):
    films = labels.read_films(folder)
    assert [film.image_id for film in films] == [
        *("P_00001_LEFT_CC", "P_00002_RIGHT_MLO", "P_00003_LEFT_CC"),
        *("P_00004_LEFT_CC", "P_00001_LEFT_CC"),
    ]
    first = films[0]
    assert (first.patient_id, first.laterality, first.view) == ("P_00001", "L", "CC")
    assert (first.density, first.split, first.table, first.row) == (3, "train", MASS, 2)
    assert first.series == (UID.format(101),)
    one, two = first.abnormalities
    assert (one.number, one.row, one.label, one.pathology) == (1, 2, "malignant", "MALIGNANT")
    assert (two.number, two.row, two.label) == (2, 3, "benign")
    assert two.pathology == "BENIGN_WITHOUT_CALLBACK"
    assert (one.assessment, one.subtlety, one.type) == (4, 5, "mass")
    assert one.texts == {"mass_shape": "OVAL", "mass_margins": "NA"}
    assert one.series == (UID.format(211),)  # one series for both files
    calc = films[3].abnormalities[0]
    assert calc.texts == {"calc_type": "PUNCTATE", "calc_distribution": "CLUSTERED"}
    assert films[4].density == 0  # where a table lacks it


def test_crop_and_mask_in_series_of_their_own(tmp_path):
    mask = f"x/{UID.format(1)}/{UID.format(77)}/000000.dcm"
    write(tmp_path, "mass", "train", [a_row(**{"ROI mask file path": mask})])
    write(tmp_path, "mass", "test", [a_row(patient="P_00002", key=2)])
    (film, _) = labels.read_films(tmp_path, ["mass"])
    assert film.abnormalities[0].series == (UID.format(211), UID.format(77))


def test_merged_types_have_no_patient_on_both_sides(folder):
    films = labels.merge_types(labels.read_films(folder))
    by_id = {film.image_id: film for film in films}
    assert len(films) == len(by_id) == 4
    shared = by_id["P_00001_LEFT_CC"]
    assert (shared.split, shared.official_split) == ("test", "train")
    assert [found.type for found in shared.abnormalities] == ["mass", "mass", "calc"]
    assert shared.series == (UID.format(101), UID.format(105))
    assert shared.density == 3
    assert by_id["P_00002_RIGHT_MLO"].split == "train"
    sides = {"train": set(), "test": set()}
    for film in films:
        sides[film.split].add(film.patient_id)
    assert not sides["train"] & sides["test"]


def test_density_of_the_other_type_is_used_where_one_lacks_it(folder):
    path = folder / MASS
    path.write_text(path.read_text().replace("P_00001,3,", "P_00001,0,"))
    calc = folder / labels.table_name("calc", "test")
    calc.write_text(calc.read_text().replace("P_00001,0,", "P_00001,2,"))
    films = labels.merge_types(labels.read_films(folder))
    assert films[0].density == 2


def rewrite(old: str, new: str):
    return lambda content: content.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda content: b"", "no column patient id"),
        (lambda content: content.split(b"\r\n")[0] + b"\r\n", "has no row"),
        (rewrite("breast_density", "density"), "no column breast density"),
        (rewrite("mass margins", "mass shape"), "no column mass shape, mass margins"),
        (rewrite("P_00001", "Jane Doe"), "row 2: patient_id"),
        (rewrite("P_00001", "P_0001"), "row 2: patient_id"),
        (rewrite(",LEFT,", ",BOTH,"), "row 2: left or right breast must be one of LEFT, RIGHT"),
        (rewrite(",CC,", ",LATERAL,"), "row 2: image view"),
        (rewrite(",CC,1,mass", ",CC,one,mass"), "row 2: abnormality id"),
        (rewrite(",CC,1,mass", ",CC,0,mass"), "row 2: abnormality id"),
        (rewrite(",CC,1,mass", ",CC,2,mass"), "row 3: the image has abnormality 2 twice"),
        (rewrite(",1,mass,", ",1,calcification,"), "row 2: abnormality type"),
        (rewrite(",MALIGNANT,", ",CANCER,"), "row 2: pathology"),
        (rewrite(",4,MALIGNANT", ",9,MALIGNANT"), "row 2: assessment"),
        (rewrite("P_00001,3,", "P_00001,7,"), "row 2: breast density"),
        (
            rewrite("P_00001,3,", "P_00001,2,"),
            "row 3: the breast density differs from that of row 2",
        ),
        (rewrite("/000000.dcm", ""), "row 2: a file path"),
        (rewrite(UID.format(101), "../../etc"), "row 2: a file path"),
        (rewrite(UID.format(101), "1" * 65 + ".2"), "row 2: a file path"),
        (rewrite(UID.format(101), UID.format(199)), "row 3: its image is another"),
        (rewrite(UID.format(212), UID.format(211)), "row 3: its file is also that of row 2"),
        (rewrite("MALIGNANT,5", "MALIGNANT,5,5"), "row 2 has 15 cells, the header 14"),
        (rewrite(",OVAL,", ',"OVAL,'), "row [23]"),
        (rewrite(",OVAL,", ",\0,"), "NUL character"),
        (rewrite(",OVAL,", ",Oval since 2003,"), "row 2: mass shape must be words"),
        (lambda content: content + b"\xff", "not UTF-8"),
        (lambda content: content[: len(content) * 2 // 3], "row [34]"),
        (rewrite("P_00002", "P_00003"), "in training and test"),
    ],
)
def test_a_damaged_table_is_told_in_one_line(folder, damage, text):
    path = folder / MASS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=text) as caught:
        labels.read_films(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert MASS in message or "mass_case_description_test" in message
    assert "Jane" not in message


def test_a_missing_table_is_named(folder):
    (folder / CALC).unlink()
    with pytest.raises(DataError, match=f"Expected {CALC}"):
        labels.read_films(folder)
    assert len(labels.read_films(folder, ["mass"])) == 3  # which does not need it


def test_a_huge_table_is_not_read(folder):
    with (folder / MASS).open("r+b") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(DataError, match="larger than"):
        labels.read_films(folder)


def test_byte_order_mark_and_blank_lines_do_not_matter(folder):
    expected = labels.read_films(folder)
    path = folder / MASS
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n\r\n,,,,,,,,,,,,,\r\n")
    assert labels.read_films(folder) == expected


def test_too_many_abnormalities(folder):
    rows = [a_row(number=number) for number in range(1, 18)]
    write(folder, "mass", "train", rows)
    with pytest.raises(DataError, match="row 18: the image has more than 16"):
        labels.read_films(folder)


@pytest.fixture(scope="module")
def films(real_data):
    folder = real_data / "cbis-ddsm"
    if not folder.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {folder} is not there; this test ran on nothing")
    return labels.read_films(folder)


class TestRealTables:
    """Numbers counted in the published files by hand."""

    def test_counts(self, films):
        assert len(films) == 3103
        assert sum(len(film.abnormalities) for film in films) == 3568
        assert len({film.patient_id for film in films}) == 1566
        rows = Counter((f.abnormalities[0].type, f.split) for f in films for _ in f.abnormalities)
        assert rows == {
            ("mass", "train"): 1318,
            ("mass", "test"): 378,
            ("calc", "train"): 1546,
            ("calc", "test"): 326,
        }
        files = Counter((film.abnormalities[0].type, film.split) for film in films)
        assert sorted(files.values()) == [284, 361, 1227, 1231]
        assert max(len(film.abnormalities) for film in films) == 7

    def test_labels(self, films):
        worst = Counter(max(found.label for found in film.abnormalities) for film in films)
        pathologies = Counter(found.pathology for f in films for found in f.abnormalities)
        mixed = [f for f in films if len({found.label for found in f.abnormalities}) == 2]
        assert pathologies == {"MALIGNANT": 1457, "BENIGN": 1429, "BENIGN_WITHOUT_CALLBACK": 682}
        assert len(mixed) == 17
        assert worst["malignant"] + worst["benign"] == 3103

    def test_series(self, films):
        wanted = [uid for film in films for uid in film.series]
        apart = sum(len(found.series) == 2 for film in films for found in film.abnormalities)
        assert len(set(wanted)) == 3103
        assert apart == 104

    def test_merged(self, films):
        merged = labels.merge_types(films)
        assert len(merged) == 3032
        assert sum(len(film.abnormalities) for film in merged) == 3568
        assert sum(len(film.series) == 2 for film in merged) == 71
        sides = {s: {f.patient_id for f in merged if f.split == s} for s in labels.SPLITS}
        assert not sides["train"] & sides["test"]
        published = {s: {f.patient_id for f in films if f.split == s} for s in labels.SPLITS}
        assert len(published["train"] & published["test"]) == 31
        assert sides["test"] == published["test"]
