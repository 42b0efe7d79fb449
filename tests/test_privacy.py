"""No identity in any byte of what the commands write or say.

Strings are planted wherever a hospital's files may hold one: every text element of the DICOM
header, private elements, UIDs, folder and file names, the table's ids, a comment inside the JPEG
2000 codestream, a text chunk of the mask. Each begins with one of two words, so that one search
finds all.
"""

import csv
import shutil
import sys
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate, generate_frames

from mammo_tf.cli import main as cli_main
from mammo_tf.models.ssd import SSD
from mammo_tf.phantom import write_ncc
from mammo_tf.pipelines.detection.detector import Detector, describe_detector

pytestmark = pytest.mark.slow

WORD, NUMBER = "Zqhopper", "31415926535"
TEXT_VRS = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
# What decides how a file is read is left as it is.
KEPT = {
    *("SOPClassUID", "SpecificCharacterSet", "PatientID", "Manufacturer"),
    *("PhotometricInterpretation", "PresentationIntentType", "ImageLaterality", "ViewPosition"),
}


def plant(dataset: pydicom.Dataset, patient: str) -> None:
    """Puts identities into a header and the codestream."""
    for element in dataset:
        if element.keyword in KEPT or element.VR == "SQ":
            continue
        if element.VR in TEXT_VRS and element.keyword != "ManufacturerModelName":
            element.value = f"{WORD}^{element.keyword}"[:16]
        elif element.VR == "UI":
            element.value = f"1.2.826.0.1.{NUMBER}.{int(element.tag)}"
    dataset.PatientID = patient
    for keyword in ("PatientName", "OtherPatientNames", "ReferringPhysicianName"):
        setattr(dataset, keyword, f"{WORD}^Grace")
    for keyword in ("InstitutionName", "PatientComments", "ImageComments", "StudyDescription"):
        setattr(dataset, keyword, f"{WORD} {keyword}")
    dataset.SeriesDescription = dataset.ProtocolName = dataset.StationName = f"{WORD} room"
    dataset.AccessionNumber = f"{WORD}1906"
    block = dataset.private_block(0x0099, f"{WORD} CREATOR", create=True)
    block.add_new(0x01, "LO", f"{WORD} private")
    block.add_new(0x02, "UN", WORD.encode())
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([with_comment(frame)])


def with_comment(codestream: bytes) -> bytes:
    """A COM segment behind SIZ, which must come first."""
    assert codestream[:4] == b"\xff\x4f\xff\x51"
    end = 4 + int.from_bytes(codestream[4:6], "big")
    text = f"{WORD} in the codestream".encode()
    comment = b"\xff\x64" + (len(text) + 4).to_bytes(2, "big") + b"\x00\x01" + text
    return codestream[:end] + comment + codestream[end:]


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> Path:
    """A small set of ncc with identities everywhere."""
    clean = tmp_path_factory.mktemp("clean") / "phantom"
    write_ncc(clean, num_studies=10, seed=3, scale=0.125, workers=1)
    folder = tmp_path_factory.mktemp("raw") / f"{WORD}_Grace_{NUMBER}"
    folder.mkdir()
    with (clean / "studies.csv").open(newline="") as lines:
        reader = csv.DictReader(lines)
        names, rows = reader.fieldnames, list(reader)
    for number, row in enumerate(rows):
        patient = f"{WORD}-{row['patient_id']}"
        dataset = pydicom.dcmread(clean / row["path"])
        plant(dataset, patient)
        row["path"] = f"{WORD}_{NUMBER}_{number}/{WORD}.dcm"
        (folder / row["path"]).parent.mkdir()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / row["path"], enforce_file_format=True)
        if row["mask"]:
            chunk = PngImagePlugin.PngInfo()
            chunk.add_text("Comment", f"{WORD} mask")
            with Image.open(clean / row["mask"]) as mask:
                row["mask"] = f"{WORD}_{number}.png"
                mask.save(folder / row["mask"], pnginfo=chunk)
        row["patient_id"] = patient
        if row.get("study_id"):
            row["study_id"] = f"{WORD}-{row['study_id']}"
    with (folder / "studies.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def shell(monkeypatch, capfd):
    """Runs a command line as a shell would; returns its exit code and all that it said."""

    def call(*words) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mammo-tf", *map(str, words)])
        code = 0
        try:
            cli_main.main()
        except SystemExit as end:
            code = end.code or 0
        said = capfd.readouterr()
        return code, said.out + said.err

    return call


def leaks(folder: Path) -> list[str]:
    """Names of files below a folder that hold an identity in their name or content."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if any(word in name for word in (WORD, NUMBER)):
            found.append(f"the name {name}")
        if path.is_file() and any(map(has_identity, contents(path))):
            found.append(name)
    return found


def contents(path: Path):
    """A file's bytes, and what is packed in them."""
    content = path.read_bytes()
    yield content
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if content.startswith(b"\x89PNG"):
        with Image.open(path) as image:
            yield repr(image.info).encode()


def has_identity(content: bytes) -> bool:
    words = [word.encode(coding) for word in (WORD, NUMBER) for coding in ("utf-8", "utf-16-le")]
    return any(word.lower() in content.lower() for word in words)


def test_the_search_finds_what_is_planted(studies, tmp_path):
    assert len(leaks(studies)) > 80
    for number, content in enumerate((WORD.encode("utf-16-le"), NUMBER.encode())):
        (tmp_path / f"{number}.bin").write_bytes(b"\0" + content)
    (tmp_path / "clean.bin").write_bytes(zlib.compress(b"nothing"))
    assert leaks(tmp_path) == ["0.bin", "1.bin"]


def test_a_run_from_files_to_report(studies, shell, tmp_path):
    code, said = shell(
        *("recipe", "compression", "--preset", "paper", "--dataset", "ncc"),
        *("--manual-dir", studies, "--run-dir", tmp_path / "run"),
        *("--cratios", "1,100", "--folds", "2", "--set", "resize_fraction=1.0"),
        *("--set", "training.epochs=1", "--set", "model.stackwise_num_filters=2,2,2"),
    )
    assert code == 0, said
    assert not has_identity(said.replace(str(studies), "").encode())
    assert (tmp_path / "run" / "report.html").exists()
    assert leaks(tmp_path / "run") == []


def test_studies_that_cannot_be_used(studies, shell, tmp_path):
    damaged = tmp_path / "raw" / WORD
    shutil.copytree(studies, damaged)
    files = sorted(damaged.rglob("*.dcm"))
    files[0].write_bytes(files[0].read_bytes()[:900])
    files[9].unlink()
    code, said = shell(
        *("data", "build", "ncc", "--manual-dir", damaged, "--data-dir", tmp_path / "data"),
        *("--max-quarantine", "0.5", "--cratios", "1"),
    )
    assert code == 0, said
    # on the screen only: the folder that the user has just given, where the salt is kept
    said = said.replace(str(damaged), "")
    assert "quarantine" in said and not has_identity(said.encode())
    assert leaks(tmp_path / "data") == []
    code, said = shell(
        *("data", "build", "ncc", "--manual-dir", damaged, "--data-dir", tmp_path / "strict"),
        *("--max-quarantine", "0", "--cratios", "1"),
    )
    assert code == 2
    # the folder is the user's own words; what is in it is not told
    assert not has_identity(said.replace(str(damaged), "").replace(str(studies), "").encode())


def test_predict_says_nothing_but_the_file_s_own_name(studies, shell, tmp_path):
    keras.utils.set_random_seed(3)
    model = SSD(num_classes=2, backbone="light", image_shape=(64, 48, 3))
    detector = Detector(model, ("benign", "malignant"), num_symmetries=1, threshold=0.4)
    weights = tmp_path / "model.weights.h5"
    model.save_weights(weights)
    describe_detector(detector, tmp_path)
    source = next(studies.rglob("*.dcm"))
    image = tmp_path / "image.dcm"
    image.write_bytes(source.read_bytes())
    code, said = shell(
        *("predict", "--model", "ssd", weights, image, "--out", tmp_path / "out", "--json")
    )
    assert code == 0, said
    assert not has_identity(said.encode())
    assert leaks(tmp_path / "out") == []
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(source.read_bytes()[:2000])
    code, said = shell("predict", "--model", "ssd", weights, broken, "--out", tmp_path / "out")
    assert code == 2 and not has_identity(said.encode())


def test_a_transcoded_copy_has_the_pixels_and_says_what_it_keeps(studies, shell, tmp_path):
    """`codec transcode` copies DICOM for the same archive: the header stays, the comment goes."""
    source = next(studies.rglob("*.dcm"))
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "image.dcm").write_bytes(source.read_bytes())
    code, said = shell(
        *("codec", "transcode", archive, "--cratio", "20", "--out", tmp_path / "copy")
    )
    assert code == 0, said
    assert not has_identity(said.encode())
    copy = pydicom.dcmread(next((tmp_path / "copy").rglob("*.dcm")))
    frame = next(generate_frames(copy.PixelData, number_of_frames=1))
    assert not has_identity(frame)
    assert np.asarray(copy.pixel_array).shape == (copy.Rows, copy.Columns)
