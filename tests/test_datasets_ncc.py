"""The ncc builder and `mammo-tf data` on a small phantom."""

import csv
import errno
import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from click.testing import CliRunner
from PIL import Image, PngImagePlugin

import mammo_tf.datasets as md
from mammo_tf.cli.data import data as data_command
from mammo_tf.cli.main import main
from mammo_tf.datasets import base
from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.ncc.ncc_dataset_builder import Builder, NccConfig
from mammo_tf.dicom import patient_key, read_mammogram
from mammo_tf.errors import DataError, UserError
from mammo_tf.ingest import ImageFile, Job, Rejection, ingest
from mammo_tf.phantom import write_ncc

NUM_STUDIES = 6
CRATIOS = (1, 20)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "phantom"
    write_ncc(folder, num_studies=NUM_STUDIES, seed=3, scale=0.125, workers=1)
    return folder


@pytest.fixture
def copy(phantom, tmp_path) -> Path:
    """A phantom to spoil."""
    return Path(shutil.copytree(phantom, tmp_path / "raw"))


@pytest.fixture(scope="module")
def builder(phantom, tmp_path_factory):
    return build(phantom, tmp_path_factory.mktemp("data"))


def build(folder, data_dir, **kwargs):
    kwargs = {"cratios": CRATIOS, "workers": 1, **kwargs}
    return build_dataset("ncc", manual_dir=folder, data_dir=data_dir, **kwargs)


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "studies.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def write_table(folder: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    (folder / "studies.csv").write_text(text.getvalue())


def image_file(row) -> ImageFile:
    """The row's image as a.dcm, with mask.png."""
    side = row["laterality"]
    return ImageFile(row=2, path="a.dcm", view=row["view"], laterality=side, mask="mask.png")


def read_all(builder, split="train+validation+test", **kwargs):
    return list(tfds.as_numpy(builder.as_dataset(split=split, **kwargs)))


def plain_words(features, record) -> dict[str, str]:
    """The texts and labels of a record as words."""
    said = {}
    for name, value in record.items():
        if hasattr(features[name], "int2str"):
            said[name] = features[name].int2str(int(value))
        elif isinstance(value, bytes):
            said[name] = value.decode()
    return said


def worst_findings(rows) -> dict[str, str]:
    """The worst finding of each patient, from the table (one study each)."""
    order = ("normal", "benign", "malignant")
    worst = {}
    for row in rows:
        before = worst.get(row["patient_id"], "normal")
        worst[row["patient_id"]] = max(before, row["finding"], key=order.index)
    return worst


class NccTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, for both configurations."""

    DATASET_CLASS = Builder
    SPLITS = {"train": 16, "validation": 4, "test": 4}  # noqa: RUF012
    BUILDER_CONFIG_NAMES_TO_TEST = [NccConfig(cratios=CRATIOS), "plain"]  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _raw_files(self, phantom):
        type(self).EXAMPLE_DIR = str(phantom)

    def _make_builder(self, config=None):
        return Builder(data_dir=self.tmp_dir, config=config, workers=1)


class TestRecords:
    def test_pixels_labels_and_masks(self, phantom, builder):
        salt = (phantom / "salt.txt").read_text().strip()
        records, features = read_all(builder), builder.info.features
        words = [plain_words(features, record) for record in records]
        found = {
            (said["patient_id"], said["laterality"], said["view"]): (record, said)
            for record, said in zip(records, words, strict=True)
        }
        rows = read_table(phantom)
        assert len(found) == len(records) == len(rows) == 4 * NUM_STUDIES
        worst = worst_findings(rows)
        for row in rows:
            patient = patient_key(row["patient_id"], salt)
            record, said = found[patient, row["laterality"], row["view"]]
            mammogram = read_mammogram(phantom / row["path"])
            np.testing.assert_array_equal(record["image"][..., 0], mammogram.pixels)
            assert record["shape"].tolist() == list(mammogram.pixels.shape)
            assert record["bits_stored"] == mammogram.metadata.bits_stored
            np.testing.assert_allclose(
                record["pixel_spacing_mm"], mammogram.metadata.pixel_spacing_mm
            )
            side = {"L": "left", "R": "right"}[row["laterality"]]
            assert said["image_id"] == f"{said['exam_id']}-{side}_{row['view'].lower()}"
            assert said["breast_label"] == row["finding"]
            assert said["exam_label"] == worst[row["patient_id"]]
            # Without a mask nothing says that this view shows the breast's lesion.
            known = row["mask"] or row["finding"] == "normal"
            assert said["label"] == (row["finding"] if known else "unknown")
            assert record["birads"] == int(row["birads"])
            assert (record["age_years"], said["vendor"]) == (int(row["age"]), row["vendor"])
            assert record["is_canonical"]
            if row["mask"]:
                expected = np.asarray(Image.open(phantom / row["mask"])) > 0
                np.testing.assert_array_equal(record["masks"][..., 0], expected.astype(np.uint16))
                rows_in, columns_in = np.nonzero(expected)
                box = [rows_in.min(), columns_in.min(), rows_in.max() + 1, columns_in.max() + 1]
                assert record["findings"]["box_px"].tolist() == [box]
                shape = np.array([*expected.shape, *expected.shape])
                np.testing.assert_allclose(record["findings"]["bbox"][0], box / shape, rtol=1e-6)
                names = features["findings"].feature
                assert names["label"].int2str(int(record["findings"]["label"][0])) == row["finding"]
                assert names["mark"].int2str(int(record["findings"]["mark"][0])) == "mask"
            else:
                assert record["masks"].shape == (1, 1, 1) and not record["masks"].any()
                assert len(record["findings"]["label"]) == 0
        assert any(row["mask"] for row in rows)

    def test_the_four_images_of_a_study_are_one_exam(self, builder):
        exams = {}
        for record in read_all(builder):
            exams.setdefault(record["exam_id"], []).append(record)
        assert len(exams) == NUM_STUDIES
        for images in exams.values():
            assert len({record["image_id"] for record in images}) == 4
            for name in ("patient_id", "exam_label", "age_years", "vendor"):
                assert len({record[name] for record in images}) == 1

    def test_what_the_file_says_of_the_device_is_kept(self, phantom, builder):
        salt = (phantom / "salt.txt").read_text().strip()
        row = read_table(phantom)[0]
        metadata = read_mammogram(phantom / row["path"]).metadata
        patient, features = patient_key(row["patient_id"], salt), builder.info.features
        record = next(
            record
            for record in read_all(builder)
            if record["patient_id"].decode() == patient
            and plain_words(features, record)["laterality"] == row["laterality"]
            and plain_words(features, record)["view"] == row["view"]
        )["extra"]
        assert record["model"].decode() == (metadata.model or "")
        assert record["orientation_source"].decode() == metadata.orientation_source
        assert bool(record["is_lossy"]) == bool(metadata.lossy)
        implant = features["extra"]["implant"].int2str(int(record["implant"]))
        expected = {None: "unknown", False: "no", True: "yes"}[metadata.implant_present]
        assert implant == expected
        assert record["view_modifiers"].decode() == " ".join(metadata.view_modifiers)

    def test_phantom_is_marked(self, builder):
        metadata = builder.info.metadata
        assert metadata["is_phantom"] is True
        assert metadata["phantom"]["seed"] == 3
        opened = tfds.builder_from_directory(builder.data_dir)
        assert opened.info.metadata["is_phantom"] is True

    def test_plain_and_ladder_hold_the_same_pixels_in_the_same_order(
        self, phantom, builder, tmp_path
    ):
        plain = build(phantom, tmp_path, cratios=None, plain=True)
        for a, b in zip(read_all(builder), read_all(plain), strict=True):
            assert a["image_id"] == b["image_id"]
            assert b["image"].dtype == np.uint16
            np.testing.assert_array_equal(a["image"], b["image"])

    def test_ratio_and_size_at_reading_time(self, builder):
        decoders = md.decoders_for(builder, cratio=20, reduce=1)
        lossless = read_all(builder, "test")
        smaller = read_all(builder, "test", decoders=decoders)
        for full, half in zip(lossless, smaller, strict=True):
            assert full["image_id"] == half["image_id"]
            height, width, _ = full["image"].shape
            assert half["image"].shape == (-(-height // 2), -(-width // 2), 1)

    def test_array_record_can_be_indexed(self, phantom, builder, tmp_path):
        """Masks too, without OpenCV."""
        config = NccConfig(cratios=CRATIOS)
        indexed = Builder(data_dir=tmp_path, config=config, file_format="array_record", workers=1)
        indexed.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=phantom)
        )
        decoders = md.decoders_for(indexed, cratio=20, reduce=1)
        source = indexed.as_data_source(split="train", decoders=decoders)
        same = read_all(builder, "train", decoders=md.decoders_for(builder, cratio=20, reduce=1))
        by_id = {record["image_id"]: record for record in same}
        assert len(source) == len(by_id) == 16
        for record in source:
            expected = by_id[record["image_id"]]
            for name in ("image", "masks"):
                assert record[name].dtype == np.uint16
                np.testing.assert_array_equal(record[name], expected[name])
        assert any(record["masks"].any() for record in same)


class TestPrivacy:
    def test_no_identity_in_any_file(self, phantom, builder):
        secrets = {row["patient_id"] for row in read_table(phantom)}
        secrets |= {row["path"] for row in read_table(phantom)}
        secrets.add((phantom / "salt.txt").read_text().strip())
        for path in Path(builder.data_dir).rglob("*"):
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path.name

    def test_order_and_splits_do_not_depend_on_the_salt(
        self, phantom, builder, tmp_path, monkeypatch
    ):
        monkeypatch.setenv("MAMMO_TF_SALT", "another secret, quite long")
        other = build(phantom, tmp_path)
        for split in builder.info.splits:
            here, there = read_all(builder, split), read_all(other, split)
            assert len(here) == len(there)
            for a, b in zip(here, there, strict=True):
                assert a["patient_id"] != b["patient_id"]
                assert a["exam_id"] not in (a["patient_id"], b["exam_id"])
                assert a["image_id"] != b["image_id"]
                np.testing.assert_array_equal(a["image"], b["image"])

    def test_text_in_a_mask_does_not_survive(self, phantom, tmp_path):
        row = read_table(phantom)[0]
        pixels = read_mammogram(phantom / row["path"]).pixels
        text = PngImagePlugin.PngInfo()
        text.add_text("Patient", "Ann Example")
        Image.new("L", pixels.shape[::-1], 1).save(tmp_path / "mask.png", pnginfo=text)
        shutil.copy(phantom / row["path"], tmp_path / "a.dcm")
        file = image_file(row)
        found = ingest(Job("key", {"left_cc": file}, None, str(tmp_path)))["left_cc"]
        assert found.masks.dtype == np.uint16 and (found.masks == 1).all()
        assert b"Ann" not in found.image
        masks = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16, encoding_format="png")
        assert b"Ann" not in masks.encode_example(found.masks[..., np.newaxis])


class TestQuarantine:
    def spoil(self, folder: Path, index: int, how) -> None:
        rows = read_table(folder)
        how(folder / rows[index]["path"], rows[index])
        write_table(folder, rows)

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda path, row: path.unlink(), "no such file"),
            (lambda path, row: path.write_bytes(path.read_bytes()[:3000]), ""),
            (lambda path, row: path.write_bytes(b"hello" * 100), "not a DICOM"),
            (lambda path, row: row.update(view="MLO" if row["view"] == "CC" else "CC"), "twice"),
            (lambda path, row: row.update(finding="cancer"), "finding must be"),
            (lambda path, row: row.update(mask="masks/none.png"), "No such file"),
            (lambda path, row: row.update(mask=row["path"]), "mask is not a PNG"),
        ],
    )
    def test_a_spoiled_study_is_listed_without_identity(self, copy, tmp_path, spoil, reason):
        rows = read_table(copy)
        self.spoil(copy, 1, spoil)
        with pytest.raises(DataError, match=r"1 of 6 studies.*row") as error:
            build(copy, tmp_path / "data")
        builder = build(copy, tmp_path / "data", max_quarantine=0.2)
        assert len(read_all(builder)) == 4 * (NUM_STUDIES - 1)
        listed = (Path(builder.data_dir) / "quarantine.csv").read_text()
        (entry,) = csv.DictReader(listed.splitlines())
        assert entry["row"] in ("2", "3", "4", "5")
        assert len(entry["record"]) == 16
        assert reason in entry["reason"]
        for text in (listed, str(error.value)):
            assert rows[1]["patient_id"] not in text
            assert Path(rows[1]["path"]).name not in text

    def test_swapped_sides_contradict_the_files(self, copy, tmp_path):
        rows = read_table(copy)
        for row in rows[:4]:
            row["laterality"] = {"L": "R", "R": "L"}[row["laterality"]]
        write_table(copy, rows)
        with pytest.raises(DataError, match=r"first unusable study.*laterality"):
            build(copy, tmp_path / "data", strict=True)

    def test_mask_of_another_size(self, phantom, tmp_path):
        row = read_table(phantom)[0]
        shutil.copy(phantom / row["path"], tmp_path / "a.dcm")
        Image.new("L", (7, 5)).save(tmp_path / "mask.png")
        result = ingest(Job("key", {"left_cc": image_file(row)}, None, str(tmp_path)))
        assert isinstance(result, Rejection)
        assert "the mask has 5×7 pixels" in result.reason

    def test_too_few_patients(self, copy, tmp_path):
        write_table(copy, read_table(copy)[:8])
        with pytest.raises(DataError, match="at least 3 patients"):
            build(copy, tmp_path / "data")

    def test_a_hostile_path_stops_and_leaves_nothing(self, copy, tmp_path):
        self.spoil(copy, 9, lambda path, row: row.update(path="../../etc/passwd"))
        with pytest.raises(DataError, match="row 11: the path leaves the data folder"):
            build(copy, tmp_path / "data", max_quarantine=1)
        left = {path.name for path in (tmp_path / "data").rglob("*")}
        assert not [name for name in left if "tfrecord" in name or "incomplete" in name]


class TestRebuild:
    def test_there_already(self, phantom, builder):
        data_dir = builder.data_path.parents[2]
        stamp = (Path(builder.data_dir) / "dataset_info.json").stat().st_mtime_ns
        assert not builder.was_there
        assert build(phantom, data_dir).was_there
        assert build(None, data_dir).was_there
        assert (Path(builder.data_dir) / "dataset_info.json").stat().st_mtime_ns == stamp

    @pytest.mark.parametrize("what", ["table", "salt", "marker", "file", "no salt"])
    def test_other_raw_data_never_overwrite(self, copy, builder, what):
        path, content = {
            "table": (copy / "studies.csv", (copy / "studies.csv").read_bytes() + b"\n"),
            "salt": (copy / "salt.txt", b"0123456789abcdef"),
            "marker": (copy / "PHANTOM.json", b"{}"),
            "file": (copy / read_table(copy)[0]["path"], b"changed"),
            "no salt": (copy / "salt.txt", None),
        }[what]
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(UserError, match="built from other raw data"):
            build(copy, builder.data_path.parents[2])
        assert what != "no salt" or not path.exists()

    def test_leftovers_of_a_killed_build_are_removed(self, phantom, tmp_path):
        folder = tmp_path / "ncc" / "ladder_1_20"
        (folder / "incomplete.A1B2C3_2.0.0").mkdir(parents=True)
        (folder / "incomplete.A1B2C3_2.0.0" / "bucket.tmp").write_text("x")
        (folder / "notes").mkdir()
        build(phantom, tmp_path)
        assert sorted(p.name for p in folder.iterdir()) == [".build.lock", "2.0.0", "notes"]

    def test_one_build_at_a_time(self, phantom, tmp_path):
        folder = tmp_path / "ncc" / "ladder_1_20"
        folder.mkdir(parents=True)
        with (folder / ".build.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(UserError, match="Another process is building"):
                build(phantom, tmp_path)

    def test_a_worker_that_dies_is_one_clear_line(self, phantom, tmp_path, monkeypatch):
        class Dying(Builder, skip_registration=True):
            name = "ncc"

            def _jobs(self, folder, items):
                return ((item, 3) for item in items)

            def _worker(self):
                return os._exit

        dying = Dying(data_dir=tmp_path, config=NccConfig(cratios=(1,)), workers=2)
        with pytest.raises(DataError, match=r"A worker process died at studies\.csv row \d+"):
            dying.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=phantom)
            )

    def test_a_full_disk_is_an_os_error(self, phantom, tmp_path, monkeypatch):
        from tensorflow_datasets.core import writer

        def fail(self, path, examples):
            raise tf.errors.ResourceExhaustedError(None, None, f"{path}; No space left on device")

        monkeypatch.setattr(writer.ExampleWriter, "write", fail)
        with pytest.raises(OSError, match="No space left") as error:
            build(phantom, tmp_path)
        assert error.value.errno == errno.ENOSPC
        assert [p.name for p in (tmp_path / "ncc" / "ladder_1_20").iterdir()] == [".build.lock"]

    def test_shuffling_goes_to_disk_and_gives_the_same_order(self, phantom, builder, tmp_path):
        from tensorflow_datasets.core import shuffle

        before = shuffle.MAX_MEM_BUFFER_SIZE
        small = Builder(
            data_dir=tmp_path,
            config=NccConfig(cratios=CRATIOS),
            workers=1,
            shuffle_buffer_bytes=1,
        )
        small.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=phantom))
        assert before == shuffle.MAX_MEM_BUFFER_SIZE
        assert [r["image_id"] for r in read_all(small)] == [
            r["image_id"] for r in read_all(builder)
        ]


class TestCommandLine:
    def run(self, *arguments):
        return CliRunner().invoke(data_command, [str(a) for a in arguments])

    def test_build_and_list(self, phantom, tmp_path):
        arguments = ["build", "ncc", "--manual-dir", phantom, "--data-dir", tmp_path]
        arguments += ["--cratios", "20,1", "--workers", 1, "--json"]
        built = json.loads(self.run(*arguments).stdout)
        assert built["name"] == "ncc/ladder_1_20/2.0.0"
        assert built["splits"] == {"train": 16, "validation": 4, "test": 4}
        assert (built["is_phantom"], built["was_there"]) == (True, False)
        assert json.loads(self.run(*arguments).stdout)["was_there"] is True
        text = self.run(*arguments[:-1]).stdout
        assert "was there already; nothing was changed" in text
        listed = json.loads(self.run("list", "--data-dir", tmp_path, "--json").stdout)
        assert [entry["folder"] for entry in listed] == [built["folder"]]
        assert "ncc/ladder_1_20/2.0.0 (phantom)" in self.run("list", "--data-dir", tmp_path).stdout
        assert "none" in self.run("list", "--data-dir", tmp_path / "empty").stdout

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--cratios", "1,x"], "numbers with commas between"),
            (["--cratios", "0"], r"from 1 \(lossless\)"),
            (["--cratios", "1", "--plain"], "give one"),
            (["--workers", "0"], "workers must be at least 1"),
            (["--max-quarantine", "2"], "share from 0 to 1"),
            (["--manual-dir", "/nowhere"], "--manual-dir must be a folder"),
            ([], "give --manual-dir"),
        ],
    )
    def test_mistakes_are_one_line(self, tmp_path, options, message, monkeypatch, capsys):
        command = ["mammo-tf", "data", "build", "ncc", "--data-dir", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code, said.out) == (2, "")
        assert said.err.splitlines()[-1].startswith("Error: ")
        assert re.search(message, said.err.splitlines()[-1])

    def test_listing_imports_nothing_heavy(self):
        code = (
            "import sys\n"
            "from mammo_tf.cli.main import cli\n"
            "try: cli(['data', 'list', '--data-dir', '/nowhere'])\n"
            "except SystemExit: pass\n"
            "heavy = {'tensorflow', 'numpy', 'keras', 'pydicom'} & set(sys.modules)\n"
            "sys.exit(str(heavy) if heavy else 0)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_another_project_can_load_it(builder, tmp_path):
    """From a script elsewhere, without a main guard, offline, by name."""
    script = tmp_path / "project.py"
    script.write_text(
        "import socket\n"
        "def refuse(*args, **kwargs): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "import mammo_tf.datasets, tensorflow_datasets as tfds\n"
        f"data_dir = {str(builder.data_path.parents[2])!r}\n"
        "builder = tfds.builder('ncc/ladder_1_20', data_dir=data_dir)\n"
        "print(builder.info.splits['train'].num_examples)\n"
        "tfds.builder('mini_mias', data_dir='/nowhere')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["16"], done.stderr


def test_builders_find_their_files():
    for cls in (Builder, tfds.builder_cls("mini_mias")):
        assert issubclass(cls, base.MammogramBuilder)
        metadata = cls.get_metadata()
        assert metadata.citation.startswith("@")
        assert metadata.tags
