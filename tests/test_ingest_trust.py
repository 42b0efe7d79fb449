"""What a file must prove or say before its image is taken: a checksum, no text in the pixels."""

import hashlib
from pathlib import Path

import pydicom
import pytest

from mammo_tf.dicom import read_mammogram
from mammo_tf.ingest import ImageFile, Job, Rejection, ingest
from mammo_tf.testing import write_mammogram


@pytest.fixture
def path(tmp_path) -> Path:
    return Path(write_mammogram(tmp_path / "left_mlo.dcm"))


def take(path: Path, *, sha256: str = "", **options):
    file = ImageFile(row=7, path=path.name, view="MLO", laterality="L", sha256=sha256)
    return ingest(Job("key", {"left_mlo": file}, None, str(path.parent), **options))


class TestChecksum:
    def test_right(self, path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert not isinstance(take(path, sha256=digest), Rejection)

    def test_one_bit_of_a_pixel_is_noticed(self, path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(content)
        assert not isinstance(take(path), Rejection)  # nothing else can tell
        result = take(path, sha256=digest)
        assert isinstance(result, Rejection)
        assert result.row == 7
        assert "SHA-256" in result.reason
        assert path.name not in result.reason

    def test_a_missing_file_is_called_missing(self, path):
        path.unlink()
        assert "no such file" in take(path, sha256="0" * 64).reason


class TestBurnedIn:
    @pytest.mark.parametrize(
        ("value", "found"),
        [("YES", True), ("NO", False), ("", None), ("MAYBE", None)],
    )
    def test_the_reader_tells(self, path, value, found):
        dataset = pydicom.dcmread(path)
        dataset.BurnedInAnnotation = value
        dataset.save_as(path)
        assert read_mammogram(path).metadata.burned_in_annotation is found

    def test_it_is_refused_unless_allowed(self, path):
        assert not isinstance(take(path), Rejection)
        dataset = pydicom.dcmread(path)
        dataset.BurnedInAnnotation = "YES"
        dataset.save_as(path)
        result = take(path)
        assert isinstance(result, Rejection)
        assert "BurnedInAnnotation YES" in result.reason
        assert "--allow-burned-in" in result.reason
        assert not isinstance(take(path, allow_burned_in=True), Rejection)
