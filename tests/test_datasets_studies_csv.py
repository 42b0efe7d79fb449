"""studies.csv as Excel, pandas and people write it: 55 tables of the same twenty studies."""

import collections
import csv
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.datasets.ncc.ids import is_rounded, spelling_key
from mammo_tf.datasets.ncc.studies import read_studies
from mammo_tf.datasets.quarantine import Quarantine
from mammo_tf.datasets.splits import assign_splits
from mammo_tf.errors import DataError
from mammo_tf.ingest import Rejection

TABLES = Path(__file__).parent / "data" / "csv"
HEADER = "patient_id,study_id,laterality,view,path,finding,birads,age,vendor,mask,sha256"
# What cannot be used, by the reason that each such row gives; the others are twenty good studies.
REFUSED_ROWS = {
    "age_052Y": (0, 80, "age must be empty or a whole number from 0 to 130"),
    "age_minus_1": (0, 80, "age must be empty or a whole number from 0 to 130"),
    "age_question_mark": (0, 80, "age must be empty or a whole number from 0 to 130"),
    "duplicate_rows": (19, 4, "is there twice, also in row"),
    "exact_dup_one_row": (19, 1, "left_cc is there twice, also in row 2"),
    "finding_BENIGN_WITHOUT_CALLBACK": (14, 16, "finding must be one of"),
    "finding_cancer01": (0, 80, "finding must be one of"),
    "id_case_mixed": (0, 40, "the study has no"),
    "no_study_id_two_exams": (0, 40, "the column study_id tells a patient's studies apart"),
    "three_of_four_views": (19, 1, "the study has no right_mlo"),
    "three_of_four_views_many": (15, 5, "the study has no right_mlo"),
    "view_L_MLO": (0, 80, "view must be CC or MLO"),
}
FEWER = {"header_only": 0, "three_patients": 3, "two_patients": 2}
REFUSED_TABLES = {
    "empty_file": "The file is empty",
    "header_de": r"PatientID must be called patient_id",
    "latin1_umlaut_vendor": "not UTF-8",
    "leading_blank_line": "Its first row is empty",
    "pipe": "not separated by comma, semicolon or tab",
    "sep_hint_line": "'sep=' line",
    "title_line_first": "header is in row 2",
    "unterminated_quote": r"row 2: a quotation mark .* not closed",
}
GOOD = sorted({path.stem for path in TABLES.iterdir()} - {*REFUSED_ROWS, *FEWER, *REFUSED_TABLES})


def read(folder: Path, text: str | bytes, **options):
    """Returns the studies, the bad rows and the notes."""
    (folder / "studies.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    notes = []
    studies, bad = read_studies(folder, note=notes.append, **options)
    return studies, bad, notes


def table(name: str) -> bytes:
    return (TABLES / f"{name}.csv").read_bytes()


def rows_of(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((TABLES / f"{name}.csv").read_text("utf-8-sig").splitlines()))


def lines(patient="ann", study="", **changes) -> list[str]:
    """The four rows of a study; `changes` replaces columns in the first."""
    result = []
    for side in "LR":
        for view in ("CC", "MLO"):
            row = dict.fromkeys(HEADER.split(","), "")
            row |= {"patient_id": patient, "study_id": study, "laterality": side, "view": view}
            row |= {"path": f"{patient}{study}/{side}{view}.dcm", "finding": "normal"}
            row |= {} if result else changes
            result.append(",".join(row.values()))
    return result


def join(*rows: list[str], header=HEADER) -> str:
    return "\n".join([header, *(line for part in rows for line in part)]) + "\n"


class TestTables:
    @pytest.mark.parametrize("name", GOOD)
    def test_as_other_programs_write_it(self, tmp_path, name):
        studies, bad, _ = read(tmp_path, table(name))
        assert bad == ()
        assert len(studies) == 20
        assert {study.views["left_cc"].path[-7:].lower() for study in studies} == {"lcc.dcm"}

    @pytest.mark.parametrize("name", REFUSED_ROWS)
    def test_all_bad_rows_are_told(self, tmp_path, name):
        num_studies, num_bad, reason = REFUSED_ROWS[name]
        studies, bad, _ = read(tmp_path, table(name))
        assert (len(studies), len(bad)) == (num_studies, num_bad)
        assert all(reason in row.reason for row in bad)
        assert [row.row for row in bad] == sorted(row.row for row in bad)

    @pytest.mark.parametrize("name", FEWER)
    def test_fewer_studies(self, tmp_path, name):
        studies, bad, _ = read(tmp_path, table(name))
        assert (len(studies), bad) == (FEWER[name], ())

    @pytest.mark.parametrize("name", REFUSED_TABLES)
    def test_no_such_table_says_why(self, tmp_path, name):
        with pytest.raises(DataError, match=REFUSED_TABLES[name]) as error:
            read(tmp_path, table(name))
        assert "\n" not in str(error.value)
        assert "PHANTOM-00001" not in str(error.value)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
    def test_utf_16(self, tmp_path, encoding):
        with pytest.raises(DataError, match="UTF-16"):
            read(tmp_path, table("crlf").decode().encode(encoding))


class TestCells:
    def test_excel_leaves_out_the_last_delimiters(self, tmp_path):
        expected, _, _ = read(tmp_path, table("crlf"))
        written = table("crlf").replace(b",\r\n", b"\r\n")
        assert written != table("crlf")
        studies, bad, _ = read(tmp_path, written)
        assert bad == ()
        assert [study.views for study in studies] == [study.views for study in expected]
        assert any(view.mask for study in studies for view in study.views.values())

    @pytest.mark.parametrize("surplus", [",", ",,,,", ", , ,"])
    def test_excel_adds_empty_cells(self, tmp_path, surplus):
        text = table("tab").decode().replace("\t", ",").replace("\n", f"{surplus}\n")
        header, _, rest = text.partition("\n")
        for first in (header, header.rstrip(", ")):
            studies, bad, notes = read(tmp_path, f"{first}\n{rest}")
            assert (len(studies), bad, notes) == (20, (), [])

    def test_cells_behind_the_header_that_hold_something(self, tmp_path):
        _, bad, _ = read(tmp_path, join([line + ",x" for line in lines()]))
        assert [row.reason for row in bad] == ["the row has 12 cells, the header 11"] * 4

    @pytest.mark.parametrize(
        "word", ["", "NaN", "nan", "NA", "N/A", "<NA>", "#N/A", "null", "None"]
    )
    def test_no_value(self, tmp_path, word):
        optional = ("study_id", "birads", "age", "vendor", "mask", "sha256")
        studies, bad, _ = read(tmp_path, join(lines(**dict.fromkeys(optional, word))))
        assert bad == ()
        (study,) = studies
        assert (study.study_id, study.age, study.birads["left"], study.vendor) == (
            "ann",
            -1,
            -1,
            "",
        )
        assert (study.views["left_cc"].mask, study.views["left_cc"].sha256) == ("", "")

    @pytest.mark.parametrize("word", ["nan", "NA", "null", "<NA>", ""])
    def test_no_value_where_one_is_needed(self, tmp_path, word):
        _, bad, _ = read(tmp_path, join(lines(patient_id=word), lines("bea", path=word)))
        assert [row.reason for row in bad] == [
            "patient_id is empty or too long",
            "the study has no left_cc",
            "the path is empty",
        ]

    def test_pandas_floats(self, tmp_path):
        by_row = {int(row["study_id"][-5:]): row["age"] for row in rows_of("pandas_float_age")}
        assert "52.0" in by_row.values() or any(age.endswith(".0") for age in by_row.values())
        studies, _, _ = read(tmp_path, table("pandas_float_age"))
        for study in studies:
            written = by_row[int(study.study_id[-5:])]
            assert study.age == (min(int(float(written)), 90) if written else -1)

    @pytest.mark.parametrize(
        ("written", "kept"),
        [("4A", 4), ("4b", 4), ("4 C", 4), ("4.0", 4), ("5", 5), ("0", 0), ("6,0", 6), ("03", 3)],
    )
    def test_birads(self, tmp_path, written, kept):
        text = join(lines(birads=f'"{written}"'))
        studies, bad, _ = read(tmp_path, text)
        assert bad == ()
        assert studies[0].birads == {"left": kept, "right": -1}

    @pytest.mark.parametrize("written", ["4D", "3A", "7", "4.5", "-1", "IV", "4AB", "٤", "4.0.0"])
    def test_no_birads(self, tmp_path, written):
        _, bad, _ = read(tmp_path, join(lines(birads=written)))
        assert len(bad) == 1
        assert bad[0].reason == "birads must be empty or a whole number from 0 to 6, or 4A, 4B, 4C"

    @pytest.mark.parametrize("age", ["52.5", "131", "52Y", "1e1", "5_2", "nan0"])
    def test_no_age(self, tmp_path, age):
        _, bad, _ = read(tmp_path, join(lines(age=age)))
        assert [row.reason for row in bad] == ["age must be empty or a whole number from 0 to 130"]

    def test_suspicious_studies_are_kept(self, tmp_path):
        studies, _, _ = read(tmp_path, table("birads_4A"))
        written = {row["study_id"] for row in rows_of("birads_4A") if row["birads"][:1] == "4"}
        assert written
        kept = {study.study_id for study in studies if 4 in study.birads.values()}
        assert kept == written

    @pytest.mark.parametrize("digits", ["0" * 63, "g" * 64, "0" * 65])
    def test_no_checksum(self, tmp_path, digits):
        _, bad, _ = read(tmp_path, join(lines(sha256=digits)))
        assert [row.reason for row in bad] == ["sha256 must be empty or 64 hex digits"]

    def test_two_stray_quotation_marks_hide_no_row(self, tmp_path):
        rows = [*lines("ann", "1"), *lines("bea", "1")]
        rows[1] = rows[1].replace(",normal,,,,", ',normal,,,"AC,')
        rows[2] = rows[2].replace(",normal,,,,", ',normal,,,ME",')
        studies, bad, _ = read(tmp_path, join(rows))
        assert [study.patient_id for study in studies] == ["bea"]
        assert any("quotation mark" in row.reason for row in bad)

    def test_dos_end_of_file_and_zero_width_characters(self, tmp_path):
        text = join(lines("\u200bann\ufeff")) + "\x1a\n"
        studies, bad, _ = read(tmp_path, text)
        assert (studies[0].patient_id, bad) == ("ann", ())


class TestHeader:
    @pytest.mark.parametrize(
        ("heading", "column"),
        [
            ("BI-RADS", "birads"),
            ("Age (years)", "age"),
            ("masks", "mask"),
            ("Mask-Path", "mask"),
            ("SHA-256", "sha256"),
            ("Manufacturer", "vendor"),
        ],
    )
    def test_a_column_that_looks_like_ours_is_named(self, tmp_path, heading, column):
        names = HEADER.split(",")
        names[names.index(column)] = heading
        _, _, notes = read(tmp_path, join(lines(), header=",".join([*names, "operator"])))
        assert notes == [
            f"studies.csv: not used: columns {heading} (is {column} meant?), operator."
        ]

    def test_nothing_is_said_where_all_are_used(self, tmp_path):
        assert read(tmp_path, join(lines()))[2] == []

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_without_a_header_the_first_patient_is_not_shown(self, tmp_path, delimiter):
        row = ["Doe^Jane", "2019-03", "L", "CC", "masks/Doe.dcm", "normal", "1", "19670203", "age"]
        text = "\n".join(delimiter.join(row) for _ in range(4))
        with pytest.raises(DataError, match="no header; it is not shown") as error:
            read(tmp_path, text)
        assert not [cell for cell in row[:2] + row[4:5] + row[7:8] if cell in str(error.value)]


class TestIds:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("00001", "1"),
            ("1.0", "1"),
            ("0012.0", "12"),
            ("Ann-07", "ANN-7"),
            ("M\u00fcller", "Mu\u0308ller"),
            ("\uff11\uff12", "12"),
            ("a\u200bb", "ab"),
            ("Doe  Ann", "doe ann"),
            ("0", "000"),
        ],
    )
    def test_spellings_of_one_id(self, one, other):
        assert spelling_key(one) == spelling_key(other)

    @pytest.mark.parametrize(
        ("one", "other"), [("1", "10"), ("12.05", "12.5"), ("1.2", "12"), ("P10", "P1"), ("0", "")]
    )
    def test_other_ids(self, one, other):
        assert spelling_key(one) != spelling_key(other)

    @pytest.mark.parametrize(
        "spellings", [("00001", "1"), ("1", "1.0"), ("ann", "ANN"), ("M\u00fc", "Mu\u0308")]
    )
    def test_two_studies_under_two_spellings(self, tmp_path, spellings):
        ids = [(a.replace("1", str(n)), n) for n in range(1, 11) for a in spellings]
        ids = [(f"{a}{n}" if "1" not in spellings[0] else a, n) for a, n in ids]
        text = join(*(lines(patient, str(k)) for k, (patient, _) in enumerate(ids)))
        women = dict(zip(range(20), (n for _, n in ids), strict=True))
        unicode_only = spellings[0] == "M\u00fc"

        def num_divided(studies):
            splits = assign_splits({study.patient_id: 0 for study in studies})
            seen = collections.defaultdict(set)
            for study in studies:
                seen[women[int(study.study_id)]].add(splits[study.patient_id])
            return sum(len(found) > 1 for found in seen.values())

        studies, bad, notes = read(tmp_path, text)
        assert (len(studies), bad, len(notes)) == (20, (), 1)
        assert (num_divided(studies) > 0) is not unicode_only
        assert "Unicode" in notes[0]
        assert unicode_only or "--join-ids" in notes[0]
        assert not [patient for patient, _ in ids if len(patient) > 3 and patient in notes[0]]
        joined, bad, notes = read(tmp_path, text, join_ids=True)
        assert (len(joined), bad, len(notes)) == (20, (), 1)
        assert len({study.patient_id for study in joined}) == 10
        assert num_divided(joined) == 0

    def test_joined_ids_do_not_depend_on_the_order_of_rows(self, tmp_path):
        rows = [*lines("007", "1"), *lines("7", "2"), *lines("8", "3")]
        found = set()
        for seed in range(4):
            random.Random(seed).shuffle(rows)
            studies, _, _ = read(tmp_path, join(rows), join_ids=True)
            found.add(tuple(sorted((s.patient_id, s.study_id) for s in studies)))
        assert found == {(("007", "1"), ("007", "2"), ("8", "3"))}

    def test_one_study_under_two_spellings(self, tmp_path):
        studies, bad, _ = read(tmp_path, table("id_case_mixed"), join_ids=True)
        assert (len(studies), bad) == (20, ())

    def test_without_study_id_each_spelling_is_a_study_if_a_view_is_there_twice(self, tmp_path):
        text = join(lines("1"), lines("001"))
        studies, bad, _ = read(tmp_path, text, join_ids=True)
        assert (len(studies), bad) == (2, ())
        assert len({study.patient_id for study in studies}) == 1
        assert len({study.study_id for study in studies}) == 2
        rows = [*lines("1")[:2], *lines("001")[2:]]
        studies, bad, _ = read(tmp_path, join(rows), join_ids=True)
        assert (len(studies), bad) == (1, ())

    def test_rounded_ids(self, tmp_path):
        assert is_rounded("1.23457E+11")
        assert not is_rounded("12E")
        _, _, notes = read(tmp_path, join(lines("1.23457E+11")))
        assert len(notes) == 1
        assert "rounded" in notes[0]


class TestPaths:
    def test_all_rows_that_leave_are_told_at_once(self, tmp_path):
        text = join(lines(path="/etc/passwd"), lines("bea", mask="../x"), lines("eve", path="a\0b"))
        with pytest.raises(
            DataError,
            match=r"row 2: the path leaves .*; row 6: the mask leaves .*row 10: .* no path",
        ):
            read(tmp_path, text)

    def test_a_link_is_called_a_link(self, tmp_path):
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "ann").symlink_to(tmp_path)
        text = join(lines())
        with pytest.raises(
            DataError,
            match=r"rows 2, 3, 4, 5: the path leaves .* through a symbolic link.*--follow",
        ):
            read(tmp_path / "raw", text)
        assert len(read(tmp_path / "raw", text, follow_links=True)[0]) == 1

    def test_a_loop_of_links(self, tmp_path):
        (tmp_path / "ann").symlink_to("ann")
        with pytest.raises(DataError, match="in a loop of symbolic links") as error:
            read(tmp_path, join(lines()))
        assert "ann/" not in str(error.value)

    def test_links_inside_stay_allowed(self, tmp_path):
        (tmp_path / "annex").mkdir()
        (tmp_path / "ann").symlink_to("annex")
        (tmp_path / "annex" / "LCC.dcm").symlink_to("../annex/object")
        assert len(read(tmp_path, join(lines()))[0]) == 1


class TestSize:
    TABLES = {  # noqa: RUF012
        "line 1 is longer": lambda: b"x" * (250 << 20),
        "line 2 is longer": lambda: HEADER.encode() + b"\n" + b"," * (100 << 20),
        "more than 1000 cells": lambda: HEADER.encode() + b"\n" + (b"," * 60_000 + b"\n") * 1000,
        "more than 1048576 rows": lambda: HEADER.encode() + b"\n" + b"\n" * (200 << 20),
        "quotation mark": lambda: HEADER.encode() + b'\na,"' + b"x\n" * (100 << 20),
        "more than 1000 columns": lambda: b",".join(b"c%d" % n for n in range(2000)),
        "is larger than": lambda: b"x" * (257 << 20),
    }
    SCRIPT = """
import resource, sys
from pathlib import Path
from mammo_tf.datasets.ncc.studies import read_studies
from mammo_tf.errors import DataError
for line in sys.stdin:
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        read_studies(Path(line.strip()))
        said = "read"
    except DataError as error:
        said = str(error)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cost = after.ru_maxrss - before.ru_maxrss, after.ru_utime - before.ru_utime
    print(*cost, said, flush=True)
"""

    def test_a_large_table_costs_little(self, tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            for message, content in self.TABLES.items():
                (tmp_path / "studies.csv").write_bytes(content())
                process.stdin.write(f"{tmp_path}\n")
                process.stdin.flush()
                kilobytes, seconds, said = process.stdout.readline().split(maxsplit=2)
                assert message in said
                assert int(kilobytes) < 100_000, message
                assert float(seconds) < 10, message
            process.stdin.close()
        assert process.returncode == 0
        (tmp_path / "studies.csv").unlink()

    def test_each_folder_is_looked_at_once(self, tmp_path, monkeypatch):
        import os

        counted = collections.Counter()
        lstat = os.lstat

        def count(path, *args, **kwargs):
            counted[str(path)] += 1
            return lstat(path, *args, **kwargs)

        text = join(*(lines(f"p{n}") for n in range(50)))
        monkeypatch.setattr(os, "lstat", count)
        assert len(read(tmp_path, text)[0]) == 50
        below = {path: n for path, n in counted.items() if f"{tmp_path}/p" in path}
        assert len(below) == 250  # 50 folders, 200 files
        assert set(below.values()) == {1}


class TestQuarantine:
    def test_rows_are_summarized_and_counted_by_study(self):
        quarantine = Quarantine(total=20, unit=("study", "studies"), source="studies.csv")
        reason = "birads must be a number"
        rows = [Rejection(f"k{row // 4}", row, reason) for row in range(2, 34)]
        rows.append(Rejection("", 50, "it is also that of row 3"))
        with pytest.raises(
            DataError,
            match=r"10 of 20 studies.*rows 2, 3, 4, 5, 6 and 27 more: birads must be a number; "
            r"row 50: it is also that of row 3\.",
        ):
            quarantine.add_all(rows)
        assert len(quarantine.to_csv().splitlines()) == 34
        assert quarantine.num_records == 10

    def test_few_enough(self):
        quarantine = Quarantine(
            total=20, unit=("study", "studies"), source="studies.csv", max_fraction=0.1
        )
        quarantine.add_all([Rejection("k", 2, "a"), Rejection("k", 3, "b"), Rejection("l", 9, "c")])
        assert quarantine.num_records == 2

    def test_strict_lists_them_all(self):
        quarantine = Quarantine(
            total=20, unit=("study", "studies"), source="studies.csv", strict=True
        )
        with pytest.raises(DataError, match=r"strict.*row 2: a; row 3: b"):
            quarantine.add_all([Rejection("k", 2, "a"), Rejection("l", 3, "b")])


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    from mammo_tf.phantom import write_ncc

    folder = tmp_path_factory.mktemp("raw") / "phantom"
    write_ncc(folder, num_studies=20, seed=1, scale=0.125)
    return folder


class TestCommand:
    def build(self, raw, folder, text, *options):
        (folder / "raw").mkdir()
        for path in raw.iterdir():
            if path.name not in ("studies.csv", "salt.txt", "PHANTOM.json"):
                shutil.copytree(path, folder / "raw" / path.name, symlinks=True)
        (folder / "raw" / "studies.csv").write_bytes(text)
        arguments = ["data", "build", "ncc", "--plain", "--workers=2", *options]
        arguments += [f"--manual-dir={folder / 'raw'}", f"--data-dir={folder / 'tf'}"]
        return CliRunner().invoke(cli, arguments)

    def test_every_bad_row_is_in_the_message_and_in_the_list(self, raw, tmp_path):
        text = table("birads_4A").replace(b",malignant,4A,", b",malignant,4D,")
        text = text.replace(b",malignant,4B,", b",malignant,4D,").replace(b",4C,", b",4D,")
        num_bad = text.count(b",4D,")
        assert num_bad >= 2
        result = self.build(raw, tmp_path, text)
        assert isinstance(result.exception, DataError)
        message = str(result.exception)
        assert "birads must be" in message
        listing = tmp_path / "tf" / "ncc" / "plain" / "stopped_build_quarantine.csv"
        assert str(listing) in message
        listed = list(csv.DictReader(listing.read_text().splitlines()))
        assert len(listed) == num_bad
        assert {int(entry["row"]) for entry in listed} == {
            number for number, line in enumerate(text.splitlines(), 1) if b",4D," in line
        }
        assert "PHANTOM-" not in listing.read_text() + message

    def test_missing_files_are_told_at_once(self, raw, tmp_path):
        result = self.build(raw, tmp_path, table("backslash_paths"))
        assert isinstance(result.exception, DataError)
        assert "20 of 20 studies" in str(result.exception)
        assert "no such file; write / instead of" in str(result.exception)

    def test_what_is_not_used_is_said_on_stderr(self, raw, tmp_path):
        result = self.build(raw, tmp_path, table("birads_name_BI-RADS"))
        assert result.exit_code == 0
        assert "Note: studies.csv: not used: column BI-RADS (is birads meant?)" in result.output

    def test_join_ids(self, raw, tmp_path):
        import tensorflow_datasets as tfds

        rows = table("id_zero_vs_no_zero")
        result = self.build(raw, tmp_path, rows, "--join-ids", "--json")
        assert result.exit_code == 0, result.exception
        (folder,) = (tmp_path / "tf" / "ncc" / "plain").glob("[0-9]*")
        builder = tfds.builder_from_directory(folder)
        splits = collections.defaultdict(set)
        for split in builder.info.splits:
            for record in tfds.as_numpy(builder.as_dataset(split=split)):
                splits[record["patient_id"]].add(split)
        assert len(splits) == 10
        assert all(len(found) == 1 for found in splits.values())
