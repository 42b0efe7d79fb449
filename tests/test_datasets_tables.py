"""Info.txt and studies.csv as users really have them; splits, quarantine, configurations, salt."""

import collections
import os
import stat
from typing import ClassVar

import pytest

from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.mini_mias.info_txt import parse_info
from mammo_tf.datasets.mini_mias.mini_mias_dataset_builder import MiniMiasConfig
from mammo_tf.datasets.ncc import salt
from mammo_tf.datasets.ncc.ncc_dataset_builder import NccConfig
from mammo_tf.datasets.ncc.studies import read_studies
from mammo_tf.datasets.quarantine import Quarantine
from mammo_tf.datasets.splits import assign_splits
from mammo_tf.errors import DataError, UserError
from mammo_tf.ingest import Rejection

INFO = """MINI-MIAS
1st column: MIAS database reference number.

mdb001 G CIRC B 535 425 197
mdb002 D NORM \n\
mdb059 F CIRC B
mdb144 F MISC B 233 994 29
mdb144 F MISC M 313 540 27
mdb216 D CALC M *NOTE 3* \n\
"""


class TestInfo:
    def test_rows_of_every_kind(self):
        films, rejected = parse_info(INFO)
        assert rejected == ()
        by_id = {film.image_id: film for film in films}
        assert list(by_id) == ["mdb001", "mdb002", "mdb059", "mdb144", "mdb216"]
        circle = by_id["mdb001"].abnormalities[0]
        assert (circle.row, circle.column, circle.radius_px) == (1024 - 425, 535, 197)
        assert circle.box == pytest.approx((402 / 1024, 338 / 1024, 797 / 1024, 733 / 1024))
        assert by_id["mdb002"].finding == "normal"
        assert by_id["mdb144"].finding == "malignant"
        for image_id in ("mdb059", "mdb216"):
            (found,) = by_id[image_id].abnormalities
            assert not found.has_circle
            assert (found.row, found.column, found.radius_px) == (-1, -1, -1)
            assert found.box == (0, 0, 0, 0)

    def test_neighbours_are_one_woman(self):
        films, _ = parse_info("mdb001 G NORM\nmdb002 G NORM\nmdb003 G NORM\n")
        assert [(f.patient_id, f.laterality) for f in films] == [
            ("p001", "R"),
            ("p001", "L"),
            ("p002", "R"),
        ]

    def test_box_is_clipped_to_the_image(self):
        films, _ = parse_info("mdb001 G CIRC B 10 1020 30")
        assert films[0].abnormalities[0].box == pytest.approx((0, 0, 35 / 1024, 41 / 1024))

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ("mdb001 X NORM", "tissue"),
            ("mdb001 G", "tissue"),
            ("mdb001 G BLOB B 1 1 1", "class"),
            ("mdb001 G CIRC", "severity"),
            ("mdb001 G CIRC Q 1 1 1", "severity"),
            ("mdb001 G CIRC B 535 425", "three whole numbers"),
            ("mdb001 G CIRC B 535 4x5 10", "three whole numbers"),
            ("mdb001 G CIRC B 535 ٤٢٥ 10", "three whole numbers"),
            ("mdb001 G CIRC B 535 425 0", "radius"),
            ("mdb001 G CIRC B 1024 425 10", "outside"),
            ("mdb001 G CIRC B 535 0 10", "outside"),
            ("mdb001 G CIRC B -5 425 10", "outside"),
            ("mdb001 G NORM B", "NORM"),
            ("mdb001 G NORM\nmdb001 G CIRC B 535 425 10", "NORM"),
            ("mdb001 G CIRC B 5 5 5\nmdb001 D CIRC B 9 9 5", "tissue"),
            ("mdb1 G NORM", "first column"),
            ("mdb000 G NORM", "first column"),
        ],
    )
    def test_a_broken_row_rejects_its_film_only(self, row, reason):
        films, rejected = parse_info(f"mdb007 G NORM\n{row}\n")
        assert [film.image_id for film in films] == ["mdb007"]
        assert len(rejected) == 1
        assert reason in rejected[0].reason
        assert rejected[0].row in (2, 3)

    def test_another_text_is_refused(self):
        with pytest.raises(DataError, match=r"Info\.txt has no row"):
            parse_info("hello")


HEADER = "patient_id,laterality,view,path,finding,birads,age,vendor,mask"


def rows(patient="ann", finding="normal", **changes):
    lines = []
    for side in "LR":
        for view in ("CC", "MLO"):
            name = f"{side}{view}"
            path = changes.get(f"{name}_path", f"{patient}/{name}.dcm")
            lines.append(f"{patient},{side},{view},{path},{finding},1,50,ACME,")
    return lines


def write(folder, lines, encoding="utf-8", newline="\n"):
    (folder / "studies.csv").write_bytes((newline.join(lines) + newline).encode(encoding))
    return folder


class TestStudies:
    def test_a_good_table(self, tmp_path):
        studies, bad = read_studies(write(tmp_path, [HEADER, *rows(), *rows("bea", "malignant")]))
        assert bad == ()
        assert [study.patient_id for study in studies] == ["ann", "bea"]
        study = studies[1]
        assert list(study.views) == ["left_cc", "left_mlo", "right_cc", "right_mlo"]
        assert study.views["right_mlo"].path == "bea/RMLO.dcm"
        assert (study.row, study.age, study.vendor, study.worst_finding) == (6, 50, "ACME", 2)
        assert study.birads == {"left": 1, "right": 1}

    @pytest.mark.parametrize("delimiter", [";", "\t", ","])
    def test_what_spreadsheets_write(self, tmp_path, delimiter):
        lines = [" Patient ID ,LATERALITY,View,PATH,Finding,extra", ""]
        for side in ("left", "R"):
            for view in ("cc", "mlo"):
                lines.append(f"ann, {side},{view},a/{side}{view}.dcm,Normal,x")
        lines = [line.replace(",", delimiter) for line in lines]
        studies, bad = read_studies(write(tmp_path, lines, "utf-8-sig", "\r\n"))
        assert bad == ()
        assert studies[0].findings == {"left": "normal", "right": "normal"}
        assert (studies[0].age, studies[0].birads["left"], studies[0].row) == (-1, -1, 3)

    def test_high_ages_become_90(self, tmp_path):
        lines = [line.replace(",50,", ",97,") for line in rows()]
        studies, _ = read_studies(write(tmp_path, [HEADER, *lines]))
        assert studies[0].age == 90

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("ann,L,CC,ann/LCC.dcm,normal", "ann,L,CC,ann/LCC.dcm,benine", "finding must be"),
            ("ann,L,CC,", "ann,X,CC,", "laterality must be"),
            ("ann,L,CC,", "ann,L,ML,", "view must be"),
            ("ann,L,CC,", "ann,L,MLO,", "twice"),
            ("ann,L,CC,ann/LCC.dcm", "ann,L,CC,", "path is empty"),
            ("ann,L,CC,ann/LCC.dcm", "ann,L,CC,ann/LMLO.dcm", "also that of row"),
            ("ann,L,CC,ann/LCC.dcm", "ann,L,CC,bea/LCC.dcm", "also that of row"),
            ("ann/LCC.dcm,normal,1", "ann/LCC.dcm,benign,1", "finding differs"),
            ("ann/LCC.dcm,normal,1", "ann/LCC.dcm,normal,7", "birads must be"),
            ("ann/LCC.dcm,normal,1", "ann/LCC.dcm,normal,4", "birads differs"),
            ("ann/LCC.dcm,normal,1,50", "ann/LCC.dcm,normal,1,old", "age must be"),
            ("ann/LCC.dcm,normal,1,50,ACME,", "ann/LCC.dcm,normal,1,50,AC,ME,", "cells"),
            ("ann/LCC.dcm,normal,1,50,ACME,", "ann/LCC.dcm,normal,1,50,A,C,ME", "cells"),
            ("ann/LCC.dcm,normal,1,50,ACME,", "ann/LCC.dcm", "finding must be"),
        ],
    )
    def test_a_bad_row_rejects_its_study_only(self, tmp_path, old, new, reason):
        text = "\n".join([HEADER, *rows("bea"), *rows()])
        assert old in text
        studies, bad = read_studies(write(tmp_path, [text.replace(old, new)]))
        assert [study.patient_id for study in studies] == ["bea"]
        assert len(bad) == 1
        assert reason in bad[0].reason
        assert bad[0].row >= 6
        assert "ann" not in bad[0].reason

    def test_a_missing_view(self, tmp_path):
        studies, bad = read_studies(write(tmp_path, [HEADER, *rows()[:3]]))
        assert studies == ()
        assert bad[0].reason == "the study has no right_mlo"

    def test_a_row_without_patient(self, tmp_path):
        _, bad = read_studies(write(tmp_path, [HEADER, ",L,CC,a.dcm,normal,,,,", *rows()]))
        assert [(b.row, b.reason) for b in bad] == [(2, "patient_id is empty or too long")]

    def test_two_studies_of_one_patient_and_one_study_id_of_two_patients(self, tmp_path):
        lines = ["study_id," + HEADER]
        for patient, study in (("ann", "1"), ("ann", "2"), ("bea", "1")):
            lines += [f"{study}," + line.replace("/", f"/{study}") for line in rows(patient)]
        studies, bad = read_studies(write(tmp_path, lines))
        assert bad == ()
        assert [(s.patient_id, s.study_id) for s in studies] == [
            ("ann", "1"),
            ("ann", "2"),
            ("bea", "1"),
        ]

    @pytest.mark.parametrize(
        "path", ["../secret.dcm", "/etc/passwd", "a/../../b.dcm", "link/b.dcm", "a\0b"]
    )
    @pytest.mark.parametrize("column", ["path", "mask"])
    def test_a_path_out_of_the_folder_stops_everything(self, tmp_path, path, column):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "link").symlink_to(tmp_path)
        lines = rows(LCC_path=path) if column == "path" else [rows()[0] + path, *rows()[1:]]
        with pytest.raises(DataError, match="row 2: the " + column) as error:
            read_studies(write(tmp_path / "data", [HEADER, *lines]))
        assert path not in str(error.value)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "has no column patient_id, laterality"),
            (b"patient_id,laterality,view,path\n", "no column finding.*Received: patient_id"),
            (HEADER.encode() + b",Path\n", "column path twice"),
            ("patient_id,M\u00fcller".encode("cp1252"), "UTF-8"),
            (b"\x00" * 10, "no column|NUL"),
        ],
    )
    def test_no_such_table(self, tmp_path, content, message):
        (tmp_path / "studies.csv").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_studies(tmp_path)

    def test_no_table_at_all(self, tmp_path):
        with pytest.raises(DataError, match=r"Expected studies.csv in"):
            read_studies(tmp_path)


class TestSplits:
    def test_shares_overall_and_per_stratum(self):
        strata = {f"p{i}": i % 3 for i in range(300)}
        splits = assign_splits(strata)
        assert collections.Counter(splits.values()) == {"train": 210, "validation": 30, "test": 60}
        for stratum in range(3):
            count = collections.Counter(splits[p] for p in strata if strata[p] == stratum)
            assert count == {"train": 70, "validation": 10, "test": 20}

    def test_order_of_rows_does_not_matter(self):
        strata = {f"p{i}": i % 2 for i in range(50)}
        backwards = dict(reversed(strata.items()))
        assert assign_splits(strata) == assign_splits(backwards)

    @pytest.mark.parametrize("count", [3, 4, 5, 7, 10])
    def test_no_split_is_empty(self, count):
        assert len(set(assign_splits({f"p{i}": 0 for i in range(count)}).values())) == 3

    def test_too_few_patients(self):
        with pytest.raises(DataError, match=r"at least 3 patients.*Received: 2"):
            assign_splits({"a": 0, "b": 1})


class TestQuarantine:
    def make(self, **kwargs):
        return Quarantine(total=200, unit=("study", "studies"), source="studies.csv", **kwargs)

    def test_more_than_the_share_stops(self):
        quarantine = self.make()
        quarantine.add(Rejection("k1", 6, "cut off"))
        quarantine.add(Rejection("k0", 2, "a, b"))
        with pytest.raises(DataError, match=r"3 of 200 studies.*1.00%.*row 10: late") as error:
            quarantine.add(Rejection("k2", 10, "late"))
        assert "\n" not in str(error.value)
        assert quarantine.to_csv() == ('row,record,reason\n2,k0,"a, b"\n6,k1,cut off\n10,k2,late\n')

    def test_strict_stops_at_the_first(self):
        with pytest.raises(DataError, match=r"first unusable study.*row 6: cut off"):
            self.make(strict=True).add(Rejection("k1", 6, "cut off"))

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_share_out_of_range(self, share):
        with pytest.raises(UserError, match="max_quarantine"):
            self.make(max_fraction=share)


class TestConfig:
    def test_names_follow_from_the_content(self):
        assert NccConfig().name == "ladder"
        assert NccConfig().cratios[-1] == 11000
        assert NccConfig(plain=True).name == "plain"
        assert NccConfig(cratios=(1000, 1, 100.0)).name == "ladder_1_100_1000"
        assert NccConfig(cratios=[2.5]).name == "ladder_2.5"
        assert MiniMiasConfig(cratios=MiniMiasConfig.VARIANTS[""][::-1]).name == "ladder"

    @pytest.mark.parametrize("cratios", [(0.5,), (1, 1.0), (), ("1",), (True,), (float("nan"),)])
    def test_ratios_are_checked(self, cratios):
        with pytest.raises(UserError, match="ompression ratio"):
            NccConfig(cratios=cratios)

    def test_variants_stand_in_front_of_the_name(self):
        class Variants(LadderConfig):
            VARIANTS: ClassVar[dict] = {"mass": (1, 20), "mass_800": (1,)}

        assert (Variants().name, Variants().cratios) == ("mass", (1, 20))
        assert Variants(variant="mass_800").name == "mass_800"
        assert Variants(variant="mass_800", plain=True).name == "mass_800_plain"
        assert Variants(cratios=(100, 1)).name == "mass_ladder_1_100"
        names = [config.name for config in Variants.defaults()]
        assert names == ["mass", "mass_plain", "mass_800", "mass_800_plain"]
        with pytest.raises(UserError, match=r"`variant` must be one of mass, mass_800.*'calc'"):
            Variants(variant="calc")

    def test_a_name_of_ones_own_is_refused(self):
        with pytest.raises(UserError, match=r"'ladder_1'.*Received: name='mine'"):
            NccConfig(name="mine", cratios=(1,))
        with pytest.raises(UserError, match="plain"):
            NccConfig(cratios=(1,), plain=True)


class TestSalt:
    def test_created_once_for_its_owner_only(self, tmp_path, monkeypatch, capsys):
        monkeypatch.delenv(salt.VARIABLE, raising=False)
        assert salt.find_salt(tmp_path) is None
        made = salt.find_or_create_salt(tmp_path)
        assert len(made) == 64
        path = tmp_path / "salt.txt"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        captured = capsys.readouterr()
        assert "Made" in captured.err
        assert made not in captured.err + captured.out
        assert salt.find_or_create_salt(tmp_path) == made
        monkeypatch.setenv(salt.VARIABLE, "another secret of mine")
        assert salt.find_salt(tmp_path) == "another secret of mine"

    def test_too_short(self, tmp_path, monkeypatch):
        monkeypatch.setenv(salt.VARIABLE, "pepper")
        with pytest.raises(UserError, match=r"16 to 1024 characters. Received: 6") as error:
            salt.find_salt(tmp_path)
        assert "pepper" not in str(error.value)

    def test_cannot_be_written(self, tmp_path, monkeypatch):
        monkeypatch.delenv(salt.VARIABLE, raising=False)

        def refuse(*args, **kwargs):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(UserError, match=r"Read-only.*MAMMO_TF_SALT"):
            salt.find_or_create_salt(tmp_path)
