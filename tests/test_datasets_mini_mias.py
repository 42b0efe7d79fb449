"""The mini_mias builder: on drawn films, on hostile archives and on the real one; the feature."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import mammo_tf.datasets as md
from mammo_tf.codecs.jpeg2000 import Ladder, encode_ladder
from mammo_tf.datasets.build import build_dataset
from mammo_tf.datasets.mini_mias import archive
from mammo_tf.datasets.mini_mias.mini_mias_dataset_builder import Builder, MiniMiasConfig
from mammo_tf.errors import DataError, UserError
from mammo_tf.ingest import ImageFile, Job, Rejection, ingest, parse_pgm

NUM_FILMS = 10
INFO = """INFORMATION
mdb001 G CIRC B 535 425 197
mdb002 G NORM
mdb003 D NORM
mdb004 D MISC M 233 994 29
mdb004 D CALC B 300 500 40
mdb005 F CALC M *NOTE 3*
mdb006 F NORM
mdb007 F NORM
mdb008 F ASYM B 100 100 10
mdb009 G NORM
mdb010 G NORM
"""


def draw_film(number: int) -> np.ndarray:
    """(1024, 1024) uint8: a bright disc on soft noise, different for every film."""
    rng = np.random.default_rng(number)
    noise = np.kron(rng.integers(0, 60, (64, 64)), np.ones((16, 16)))
    rows, columns = np.mgrid[:1024, :1024]
    disc = (rows - 400 - 20 * number) ** 2 + (columns - 500) ** 2 < 150**2
    return (noise + 120 * disc + number).astype(np.uint8)


def pgm(image: np.ndarray, comment: bytes = b"") -> bytes:
    height, width = image.shape
    return b"P5\n%s%d %d\n255\n" % (comment, width, height) + image.tobytes()


def write_folder(folder: Path, info: str = INFO, count: int = NUM_FILMS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Info.txt").write_text(info)
    for number in range(1, count + 1):
        (folder / f"mdb{number:03d}.pgm").write_bytes(pgm(draw_film(number)))
    return folder


def write_archive(path: Path, files: list[tuple[str, bytes]], extra=()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("raw") / "mias")


@pytest.fixture(scope="module")
def builder(folder, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    return build_dataset(
        "mini_mias", manual_dir=folder, data_dir=data_dir, cratios=(1, 20, 100), workers=1
    )


def read_all(builder, **kwargs):
    return list(tfds.as_numpy(builder.as_dataset(split="train+validation+test", **kwargs)))


class MiniMiasTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, for both configurations."""

    DATASET_CLASS = Builder
    SPLITS = {"train": 6, "validation": 2, "test": 2}  # noqa: RUF012
    BUILDER_CONFIG_NAMES_TO_TEST = [MiniMiasConfig(cratios=(1, 20)), "plain"]  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def _raw_files(self, folder):
        type(self).EXAMPLE_DIR = str(folder)

    def _make_builder(self, config=None):
        return Builder(data_dir=self.tmp_dir, config=config, workers=1)


class TestRecords:
    def test_pixels_labels_and_circles(self, builder):
        records = {record["image_id"].decode(): record for record in read_all(builder)}
        assert len(records) == NUM_FILMS
        features = builder.info.features
        for number in range(1, NUM_FILMS + 1):
            record = records[f"mdb{number:03d}"]
            np.testing.assert_array_equal(record["image"][..., 0], draw_film(number))
            assert record["patient_id"].decode() == f"p{(number + 1) // 2:03d}"
            side = features["laterality"].int2str(int(record["laterality"]))
            assert side == ("R" if number % 2 else "L")
            assert features["view"].int2str(int(record["view"])) == "MLO"
            assert not record["is_canonical"]
            assert record["bits_stored"] == 8
            assert record["shape"].tolist() == [1024, 1024]
            np.testing.assert_allclose(record["pixel_spacing_mm"], 0.2)
            assert record["masks"].shape == (1, 1, 1)
        for name in ("label", "breast_label"):
            assert features[name].int2str(int(records["mdb004"][name])) == "malignant"
            assert features[name].int2str(int(records["mdb002"][name])) == "normal"
            assert features[name].int2str(int(records["mdb001"][name])) == "benign"
        # The list speaks of films: nothing is known of the examination as a whole.
        assert int(records["mdb004"]["exam_label"]) == 0

    def test_findings_by_hand(self, builder):
        records = {record["image_id"].decode(): record for record in read_all(builder)}
        features, found = builder.info.features, records["mdb004"]["findings"]
        names = features["findings"].feature

        def words(name):
            return [names[name].int2str(int(value)) for value in found[name]]

        assert words("label") == ["malignant", "benign"]
        assert words("kind") == ["mass", "calcification"]
        assert words("mark") == ["circle", "circle"]
        abnormality = names["extra"]["abnormality"]
        kinds = [abnormality.int2str(int(v)) for v in found["extra"]["abnormality"]]
        assert kinds == ["MISC", "CALC"]
        # (233, 994), radius 29, rows from below: the middle is row 30, and the box leaves the film.
        assert found["box_px"].tolist() == [[1, 204, 60, 263], [484, 260, 565, 341]]
        np.testing.assert_allclose(found["bbox"][0] * 1024, [1, 204, 60, 263])
        unplaced = records["mdb005"]["findings"]
        assert names["mark"].int2str(int(unplaced["mark"][0])) == "none"
        assert unplaced["box_px"].tolist() == [[-1, -1, -1, -1]]
        assert unplaced["bbox"].tolist() == [[0, 0, 0, 0]]
        assert records["mdb002"]["findings"]["box_px"].shape == (0, 4)
        tissue = features["extra"]["tissue"]
        assert tissue.int2str(int(records["mdb004"]["extra"]["tissue"])) == "D"

    def test_patients_are_never_divided(self, builder):
        seen = {}
        for split in builder.info.splits:
            for record in tfds.as_numpy(builder.as_dataset(split=split)):
                seen.setdefault(record["patient_id"], set()).add(split)
        assert len(seen) == NUM_FILMS // 2
        assert all(len(splits) == 1 for splits in seen.values())

    def test_plain_holds_the_same_pixels(self, folder, tmp_path):
        plain = build_dataset(
            "mini_mias", manual_dir=folder, data_dir=tmp_path, plain=True, workers=1
        )
        assert type(plain.info.features["image"]) is tfds.features.Image
        for record in read_all(plain):
            number = int(record["image_id"][3:])
            np.testing.assert_array_equal(record["image"][..., 0], draw_film(number))

    def test_provenance(self, builder):
        metadata = builder.info.metadata
        assert metadata["cratios"] == [1, 20, 100]
        assert metadata["is_phantom"] is False
        assert metadata["num_quarantined"] == 0
        assert (Path(builder.data_dir) / "quarantine.csv").read_text() == "row,record,reason\n"
        assert "Mammographic Image Analysis" in builder.info.description
        assert "suckling1994mias" in builder.info.citation

    def test_order_does_not_depend_on_workers(self, folder, builder, tmp_path):
        other = build_dataset(
            "mini_mias", manual_dir=folder, data_dir=tmp_path, cratios=(1, 20, 100), workers=2
        )
        ids = [[r["image_id"] for r in read_all(b)] for b in (builder, other)]
        assert ids[0] == ids[1]


class TestFeature:
    @pytest.mark.parametrize("cratio", [20, 100.0])
    def test_a_ratio_is_chosen_when_reading(self, builder, cratio):
        dataset = builder.as_dataset(
            split="train", decoders={"image": md.JPEG2000Decoder(cratio=cratio)}
        )
        assert dataset.element_spec["image"].shape == (1024, 1024, 1)
        record = next(iter(dataset))
        number = int(record["image_id"].numpy()[3:])
        expected = encode_ladder(draw_film(number), (1, 20, 100)).decode(cratio)
        np.testing.assert_array_equal(record["image"][..., 0], expected)

    def test_half_size_inside_map(self, builder):
        dataset = builder.as_dataset(
            split="train", decoders=md.decoders_for(builder, cratio=100, reduce=1)
        ).map(lambda record: tf.cast(record["image"], tf.float32))
        assert dataset.element_spec.shape == (512, 512, 1)
        assert next(iter(dataset)).shape == (512, 512, 1)

    def test_stored_bytes(self, builder):
        dataset = builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
        ladder = Ladder.from_bytes(next(iter(dataset))["image"].numpy())
        assert sorted(ladder.cratios) == [1, 20, 100]

    def test_unknown_ratio_and_size_are_refused_at_once(self, builder):
        for wrong in ({"cratio": 33}, {"cratio": 20, "reduce": 6}, {"cratio": 20, "reduce": 0.5}):
            decoders = {"image": md.JPEG2000Decoder(**wrong)}
            with pytest.raises(UserError, match=r"CR 1, 20, 100|0 to 5"):
                builder.as_dataset(split="train", decoders=decoders)
        with pytest.raises(UserError, match="needs a JPEG2000 feature"):
            builder.as_dataset(split="train", decoders={"label": md.JPEG2000Decoder()})

    def test_opens_without_the_builder(self, builder):
        opened = tfds.builder_from_directory(builder.data_dir)
        feature = opened.info.features["image"]
        assert isinstance(feature, md.JPEG2000)
        assert repr(feature) == (
            "JPEG2000(shape=(1024, 1024, 1), dtype=uint8, cratios=(1, 20, 100))"
        )
        assert opened.info.metadata == builder.info.metadata
        image = next(iter(opened.as_dataset(split="test")))["image"].numpy()
        assert image.dtype == np.uint8
        assert "<img" in feature.repr_html(image)

    def test_config_by_name_once_built(self, builder):
        data_dir = builder.data_path.parent.parent.parent
        opened = tfds.builder("mini_mias/ladder_1_20_100", data_dir=data_dir)
        assert opened.info.features["image"].cratios == (1, 20, 100)

    def test_non_square_16_bit(self):
        image = np.random.default_rng(0).integers(0, 65536, (48, 31)).astype(np.uint16)
        feature = md.JPEG2000(cratios=(1, 5), shape=(None, 31, 1))
        content = feature.encode_example(encode_ladder(image, (1, 5)))
        decoded = tf.data.Dataset.from_tensors(content).map(feature.decode_example)
        assert decoded.element_spec.shape.as_list() == [None, 31, 1]
        np.testing.assert_array_equal(next(iter(decoded))[..., 0], image)
        np.testing.assert_array_equal(feature.decode_example_np(content)[..., 0], image)
        halved = feature.decode(tf.constant(content), cratio=5, reduce=1)
        assert halved.shape == (24, 16, 1)
        assert md.JPEG2000.from_json_content(feature.to_json_content()).shape == (None, 31, 1)

    def test_8_bit_ladder_keeps_its_values_as_16_bits(self):
        image = np.arange(64 * 40, dtype=np.uint8).reshape(64, 40)
        content = encode_ladder(image, (1,)).to_bytes()
        read = md.JPEG2000(cratios=(1,)).decode_np(content)
        assert read.dtype == np.uint16
        np.testing.assert_array_equal(read[..., 0], image)

    def test_wrong_ladders_and_arguments(self):
        image = np.zeros((64, 40), np.uint16)
        feature = md.JPEG2000(cratios=(1, 5))
        with pytest.raises(DataError, match="CR 1, 5"):
            feature.encode_example(encode_ladder(image, (1,)))
        with pytest.raises(ValueError, match=r"\w"):
            feature.encode_example(b"no ladder")
        with pytest.raises(DataError, match=r"uint8.*uint16"):
            md.JPEG2000(cratios=(1,), dtype=np.uint8).decode_np(
                encode_ladder(image, (1,)).to_bytes()
            )
        with pytest.raises(UserError, match="shape"):
            md.JPEG2000(cratios=(1,), shape=(None, None, 3))
        with pytest.raises(UserError, match="dtype"):
            md.JPEG2000(cratios=(1,), dtype=np.float32)


class TestRawFiles:
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "missing"),
            (b"P6\n2 2\n255\n" + bytes(12), "colour"),
            (b"P5\n1024 1024\n65535\n" + bytes(2 << 20), "8-bit"),
            (
                b"P5\n1024 1024\n255\n" + bytes(1000),
                "cut off: expected 1048576 bytes of pixels, received 1000",
            ),
            (b"P5\n99999 99999\n255\n", "expected 1024×1024"),
            (b"P5\n512 1024\n255\n" + bytes(512 * 1024), "received 1024×512"),
            (b"P2\n1024 1024\n255\n", "binary greyscale"),
            (b"", "binary greyscale"),
        ],
    )
    def test_unusable_films_are_rejected_with_a_reason(self, content, reason):
        file = ImageFile(row=7, content=content, shape=(1024, 1024))
        result = ingest(Job("mdb001", {"film": file}, None))
        assert isinstance(result, Rejection)
        assert (result.record, result.row) == ("mdb001", 7)
        assert reason in result.reason

    def test_comments_in_the_header(self):
        image = draw_film(3)
        content = pgm(image, comment=b"# 255 255\n#\n")
        np.testing.assert_array_equal(parse_pgm(content, shape=(1024, 1024)), image)

    def test_archive_is_streamed_and_only_regular_files_are_read(self, tmp_path):
        link = tarfile.TarInfo("mdb003.pgm")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        device = tarfile.TarInfo("mdb004.pgm")
        device.type = tarfile.CHRTYPE
        files = [("../../mdb001.pgm", b"1"), ("a/MDB002.PGM", b"2"), ("readme", b"3")]
        path = write_archive(tmp_path / archive.ARCHIVE_NAME, files, (link, device))
        assert archive.find_source(tmp_path) == path
        assert list(archive.iterate_files(path, (".pgm",))) == [
            ("mdb001.pgm", b"1"),
            ("MDB002.PGM", b"2"),
        ]
        assert sorted(tmp_path.iterdir()) == [path]

    def test_oversized_and_damaged_archives(self, tmp_path, monkeypatch):
        path = write_archive(
            tmp_path / archive.ARCHIVE_NAME, [("a.pgm", bytes(archive.MAX_FILE_BYTES + 1))]
        )
        with pytest.raises(DataError, match=r"a\.pgm is larger"):
            list(archive.iterate_files(path, (".pgm",)))
        monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1 << 20)
        with pytest.raises(DataError, match="unpacks to more"):
            list(archive.iterate_files(path, (".txt",)))
        content = path.read_bytes()
        for damaged in (content[:-20], b"no gzip", content[:40] + b"x" * 40 + content[80:]):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=r"damaged|unpacks"):
                list(archive.iterate_files(path, (".txt",)))

    def test_too_many_entries(self, tmp_path, monkeypatch):
        monkeypatch.setattr(archive, "MAX_FILES", 3)
        files = [(f"{i}.pgm", b"") for i in range(4)]
        path = write_archive(tmp_path / archive.ARCHIVE_NAME, files)
        with pytest.raises(DataError, match="more than 3 entries"):
            list(archive.iterate_files(path, (".pgm",)))

    def test_quarantine(self, tmp_path):
        info = INFO.replace("mdb009 G NORM", "mdb009 G NORN")
        folder = write_folder(tmp_path / "raw", info)
        (folder / "mdb007.pgm").unlink()
        arguments = {"manual_dir": folder, "data_dir": tmp_path / "data", "cratios": (1,)}
        with pytest.raises(DataError, match=r"1 of 10 films.*row 11: the class"):
            build_dataset("mini_mias", workers=1, **arguments)
        kept = tmp_path / "data" / "mini_mias" / "ladder_1"
        assert "mdb009" in (kept / "stopped_build_quarantine.csv").read_text()
        with pytest.raises(DataError, match="first unusable film"):
            build_dataset("mini_mias", workers=1, strict=True, **arguments)
        builder = build_dataset("mini_mias", workers=1, max_quarantine=0.2, **arguments)
        assert sum(split.num_examples for split in builder.info.splits.values()) == 8
        listed = (Path(builder.data_dir) / "quarantine.csv").read_text()
        assert listed.splitlines()[1:] == [
            "9,mdb007,its file is missing",
            '11,mdb009,"the class is not one of CALC, CIRC, SPIC, MISC, ARCH, ASYM or NORM"',
        ]
        assert builder.info.metadata["num_quarantined"] == 2
        assert sorted(path.name for path in kept.iterdir()) == [".build.lock", "2.0.0"]

    def test_nothing_there(self, tmp_path):
        with pytest.raises(DataError, match=r"Expected all-mias\.tar\.gz"):
            build_dataset("mini_mias", manual_dir=write_empty(tmp_path), data_dir=tmp_path / "d")


def write_empty(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "note").write_text("")
    return tmp_path / "raw"


def test_workers_never_import_tensorflow():
    code = "import sys, mammo_tf.ingest; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_real_archive(mini_mias):
    builder = mini_mias
    decoders = {"image": tfds.decode.SkipDecoding()}
    features = builder.info.features
    counts = {"normal": 0, "benign": 0, "malignant": 0}
    abnormalities, circles, rows, patients, several = 0, 0, 0, {}, 0
    for split in builder.info.splits:
        for record in tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)):
            found = record["findings"]
            marks = [features["findings"]["mark"].int2str(int(mark)) for mark in found["mark"]]
            counts[features["label"].int2str(int(record["label"]))] += 1
            abnormalities += len(marks)
            rows += max(1, len(marks))
            several += len(marks) > 1
            circles += marks.count("circle")
            patients.setdefault(record["patient_id"], set()).add(split)
            placed = found["box_px"][np.array(marks) == "circle"]
            radii = (placed[:, 2:] - placed[:, :2] - 1) / 2
            assert np.all((radii >= 3) & (radii <= 197)) and np.all(radii[:, 0] == radii[:, 1])
            assert set(marks) <= {"none", "circle"}
    # Counted by hand in Info.txt; mdb144, benign and malignant, counts as malignant.
    assert counts == {"normal": 207, "benign": 63, "malignant": 52}
    assert (abnormalities, circles, rows, several) == (123, 119, 330, 7)
    assert len(patients) == 161
    assert all(len(splits) == 1 for splits in patients.values())
    assert builder.info.metadata["num_quarantined"] == 0


@pytest.mark.slow
def test_circles_of_the_real_archive_lie_on_bright_lesions(real_data):
    """Rows counted from the top: the other way round, the discs are not brighter than around."""
    source = archive.find_source(real_data / "mini-mias")
    from mammo_tf.datasets.mini_mias.info_txt import parse_info

    text = dict(archive.iterate_files(source, ("info.txt",)))["Info.txt"].decode("latin-1")
    films = {film.image_id: film for film in parse_info(text)[0]}
    right, mirrored = [], []
    rows, columns = np.mgrid[:1024:4, :1024:4]
    for name, content in archive.iterate_files(source, (".pgm",)):
        for found in films[name[:6]].abnormalities:
            if found.abnormality != "CIRC" or not found.has_circle:
                continue
            image = parse_pgm(content, shape=(1024, 1024))[::4, ::4].astype(float)
            for row, contrasts in ((found.row, right), (1023 - found.row, mirrored)):
                distance = np.hypot(rows - row, columns - found.column) / found.radius_px
                ring = image[(distance > 1) & (distance < 1.5)].mean()
                contrasts.append(image[distance < 0.7].mean() - ring)
    assert np.mean(right) > 10
    assert np.mean(right) > np.mean(mirrored) + 10
