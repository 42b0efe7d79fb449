"""Mask or crop, told by content: every way in which CBIS-DDSM's files are odd or damaged."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from mammo_tf.codecs import png_writer
from mammo_tf.codecs.png_writer import encode_png
from mammo_tf.datasets.cbis_ddsm.ingest import (
    CbisJob,
    FindingFiles,
    JpegJob,
    ingest_cbis_film,
    ingest_cbis_jpeg,
)
from mammo_tf.ingest import Rejection
from mammo_tf.testing import make_breast, write_mammogram

SHAPE = (60, 40)
BOX = (20.0, 10.0, 32.0, 18.0)
IMAGE_UID, ROI_UID, MASK_UID = "1.2.3.10", "1.2.3.20", "1.2.3.21"


def a_mask(shape=SHAPE, box=BOX, value=255) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    top, left, bottom, right = map(int, box)
    mask[top:bottom, left:right] = value
    return mask


def a_crop(seed=0, shape=(20, 14)) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 65000, shape).astype(np.uint16)


@pytest.fixture
def film() -> np.ndarray:
    return make_breast(*SHAPE, bits=16)


class Archive:
    """Writes files of the archive's form and makes the job that reads them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files: dict[str, list[str]] = {}

    def add(self, series: str, pixels: np.ndarray, *, says: str | None = None) -> Path:
        names = self.files.setdefault(series, [])
        names.append(f"{series}_{len(names)}.dcm")
        return write_mammogram(
            self.folder / names[-1],
            pixels,
            bits_stored=8 * pixels.itemsize,
            orientation=("MLO", ""),
            transfer_syntax=pydicom.uid.ImplicitVRLittleEndian,
            SeriesInstanceUID=says or series,
            SOPClassUID=pydicom.uid.SecondaryCaptureImageStorage,
        )

    def job(self, *findings: tuple[str, ...], image=(IMAGE_UID,), cratios=None) -> CbisJob:
        def files(names):
            return {series: tuple(self.files.get(series, ())) for series in names}

        return CbisJob(
            record="P_00001_LEFT_MLO",
            table="mass_case_description_train_set.csv",
            row=7,
            laterality="L",
            folder=str(self.folder),
            image=files(image),
            findings=tuple(FindingFiles(8 + k, files(names)) for k, names in enumerate(findings)),
            cratios=cratios,
        )


@pytest.fixture
def archive(tmp_path, film) -> Archive:
    archive = Archive(tmp_path)
    archive.add(IMAGE_UID, film)
    return archive


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


class TestMaskOrCrop:
    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_whichever_comes_first(self, archive, film, order):
        files = (a_crop(), a_mask())
        for index in order:
            archive.add(ROI_UID, files[index])
        result = ingest_cbis_film(archive.job((ROI_UID,)))
        np.testing.assert_array_equal(decode(result.image), film)
        assert (result.shape, result.bits_stored, result.is_canonical) == (SHAPE, 16, True)
        np.testing.assert_array_equal(decode(result.masks), a_mask(value=1))
        (place,) = result.places
        assert (place.state, place.box_yxyx_px, place.note) == ("as stored", BOX, "")

    @pytest.mark.parametrize("order", [(ROI_UID, MASK_UID), (MASK_UID, ROI_UID)])
    def test_in_series_of_their_own(self, archive, order):
        archive.add(ROI_UID, a_crop())
        archive.add(MASK_UID, a_mask())
        (place,) = ingest_cbis_film(archive.job(order)).places
        assert (place.state, place.box_yxyx_px) == ("as stored", BOX)

    def test_a_mask_of_any_two_values_and_of_16_bits(self, archive):
        archive.add(ROI_UID, a_mask(value=1).astype(np.uint16) * 65535)
        archive.add(ROI_UID, a_crop())
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert (place.state, place.box_yxyx_px) == ("as stored", BOX)

    def test_a_crop_as_large_as_the_image_is_no_mask(self, archive):
        archive.add(ROI_UID, a_crop(shape=SHAPE))
        archive.add(ROI_UID, a_mask())
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert (place.state, place.box_yxyx_px) == ("as stored", BOX)

    def test_several_findings_overlap_without_loss(self, archive):
        other = (25.0, 12.0, 50.0, 30.0)
        archive.add("1.2.3.31", a_mask())
        archive.add("1.2.3.32", a_mask(box=other))
        result = ingest_cbis_film(archive.job(("1.2.3.31",), ("1.2.3.32",)))
        masks = decode(result.masks)
        np.testing.assert_array_equal(masks & 1, a_mask(value=1))
        np.testing.assert_array_equal(masks >> 1, a_mask(box=other, value=1))
        assert [place.box_yxyx_px for place in result.places] == [BOX, other]

    def test_sixteen_findings(self, archive):
        series = [f"1.2.3.{50 + k}" for k in range(16)]
        for k, uid in enumerate(series):
            archive.add(uid, a_mask(box=(k, k, k + 2, k + 3)))
        result = ingest_cbis_film(archive.job(*[(uid,) for uid in series]))
        assert decode(result.masks)[16, 17] == 1 << 15
        assert result.places[15].box_yxyx_px == (15, 15, 17, 18)


class TestOtherSizes:
    def test_a_mask_of_another_size_is_resized_and_noted(self, archive):
        # 1.2 times the image: rows 24 to 36 and columns 12 to 21 become 20 to 30 and 10 to 17.5.
        archive.add(ROI_UID, a_mask(shape=(72, 48), box=(24, 12, 36, 21)))
        archive.add(ROI_UID, a_crop())
        result = ingest_cbis_film(archive.job((ROI_UID,)))
        (place,) = result.places
        assert place.state == "resized"
        assert place.box_yxyx_px == (20, 10, 30, 17)
        assert place.note == "its mask has 72×48 pixels, its image 60×40: resized"
        assert decode(result.masks).shape == SHAPE

    def test_resizing_agrees_with_pillow(self, archive):
        rng = np.random.default_rng(1)
        mask = (rng.random((69, 46)) < 0.4).astype(np.uint8) * 255
        archive.add(ROI_UID, mask)
        result = ingest_cbis_film(archive.job((ROI_UID,)))
        expected = Image.fromarray(mask).resize(SHAPE[::-1], Image.Resampling.NEAREST)
        np.testing.assert_array_equal(decode(result.masks) > 0, np.asarray(expected) > 0)

    def test_the_images_own_size_goes_first(self, archive):
        archive.add(ROI_UID, a_mask(shape=(66, 44), box=(1, 1, 5, 5)))
        archive.add(ROI_UID, a_mask())
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert (place.state, place.box_yxyx_px) == ("as stored", BOX)

    @pytest.mark.parametrize("shape", [(30, 20), (90, 60), (60, 44)])
    def test_what_cannot_be_the_images_is_doubtful(self, archive, shape):
        archive.add(ROI_UID, a_mask(shape=shape, box=(2, 2, 9, 9)))
        result = ingest_cbis_film(archive.job((ROI_UID,)))
        (place,) = result.places
        assert (place.state, place.box_yxyx_px) == ("none", (-1, -1, -1, -1))
        assert place.note.startswith("none of its files is a mask that fits")
        assert f"{shape[0]}×{shape[1]}" in place.note
        assert result.masks is None

    def test_a_mask_that_vanishes_when_resized(self, archive):
        # Of 75 rows every fifth is passed over, among them row 2.
        archive.add(ROI_UID, a_mask(shape=(75, 50), box=(2, 2, 3, 3)))
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert (place.state, place.note) == ("none", "its mask is empty once resized")


class TestDoubtfulFindings:
    """The film is kept, its finding has no place, and a note says why."""

    def note(self, archive, *series) -> str:
        result = ingest_cbis_film(archive.job(series or (ROI_UID,)))
        (place,) = result.places
        assert (place.state, place.box_yxyx_px) == ("none", (-1, -1, -1, -1))
        assert result.masks is None
        assert "\n" not in place.note
        assert str(archive.folder) not in place.note
        return place.note

    def test_series_that_is_not_there(self, archive):
        assert self.note(archive) == "its mask is missing: the series is not there"

    def test_only_the_crop_is_there(self, archive):
        archive.add(ROI_UID, a_crop())
        assert "received 20×14 pixels" in self.note(archive)

    def test_empty_and_full_masks(self, archive):
        archive.add(ROI_UID, np.zeros(SHAPE, np.uint8))
        assert "none of its files is a mask" in self.note(archive)
        archive.add(MASK_UID, np.full(SHAPE, 255, np.uint8))
        assert "none of its files is a mask" in self.note(archive, MASK_UID)

    def test_three_values_are_no_mask(self, archive):
        mask = a_mask()
        mask[0, 0] = 128
        archive.add(ROI_UID, mask)
        assert "none of its files is a mask" in self.note(archive)

    def test_two_masks_that_differ(self, archive):
        archive.add(ROI_UID, a_mask())
        archive.add(ROI_UID, a_mask(box=(1, 1, 5, 5)))
        assert self.note(archive) == "two files may be its mask, and they differ"

    def test_two_masks_that_are_equal_are_one(self, archive):
        archive.add(ROI_UID, a_mask())
        archive.add(MASK_UID, a_mask(value=200))
        archive.files[ROI_UID] *= 2
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert place.state == "as stored"

    @pytest.mark.parametrize("keep", [0, 100, 400, -500])
    def test_a_file_that_is_cut_off(self, archive, keep):
        path = archive.add(ROI_UID, a_mask())
        archive.add(ROI_UID, a_crop())
        path.write_bytes(path.read_bytes()[:keep])
        note = self.note(archive)
        assert note.startswith("its mask may be in a file that cannot be used: <file>:")

    def test_a_file_of_another_series(self, archive):
        archive.add(ROI_UID, a_mask(), says="1.2.3.99")
        assert "of another series than its folder" in self.note(archive)

    def test_a_path_that_leaves_the_folder(self, archive, tmp_path):
        archive.add(ROI_UID, a_mask())
        outside = Archive(tmp_path.parent).add("9.9", a_mask(), says=ROI_UID)
        archive.files[ROI_UID] = [f"../{outside.name}"]
        assert "leaves" in self.note(archive)

    def test_a_good_mask_beside_a_damaged_crop_is_used(self, archive):
        archive.add(ROI_UID, a_mask())
        path = archive.add(ROI_UID, a_crop())
        path.write_bytes(path.read_bytes()[:-9])
        (place,) = ingest_cbis_film(archive.job((ROI_UID,))).places
        assert (place.state, place.note) == ("as stored", "")


class TestImages:
    def test_a_missing_image_is_rejected(self, archive):
        result = ingest_cbis_film(archive.job(image=("1.2.3.77",)))
        assert result == Rejection(
            "P_00001_LEFT_MLO", 7, "mass_case_description_train_set.csv: its file is missing"
        )

    def test_a_cut_off_image_is_rejected_without_its_path(self, archive):
        path = archive.folder / archive.files[IMAGE_UID][0]
        path.write_bytes(path.read_bytes()[:-100])
        result = ingest_cbis_film(archive.job())
        assert "the pixel data is cut off" in result.reason
        assert archive.folder.name not in result.reason
        assert IMAGE_UID not in result.reason

    def test_of_a_film_in_two_files_the_first_usable_one_is_taken(self, archive, film):
        archive.add("1.2.3.11", film[:, ::-1].copy())
        both = (IMAGE_UID, "1.2.3.11")
        first = ingest_cbis_film(archive.job(image=both))
        np.testing.assert_array_equal(decode(first.image), film)
        assert first.note == ""
        path = archive.folder / archive.files[IMAGE_UID][0]
        path.write_bytes(path.read_bytes()[:-100])
        second = ingest_cbis_film(archive.job(image=both))
        np.testing.assert_array_equal(decode(second.image), film[:, ::-1])
        assert "cut off" in second.note
        assert not second.is_canonical  # the left breast's chest wall is at the right

    def test_two_different_images_in_one_series_are_rejected(self, archive, film):
        archive.add(IMAGE_UID, film[::-1].copy())
        assert "different images" in ingest_cbis_film(archive.job()).reason

    def test_the_same_image_twice_is_one(self, archive, film):
        archive.add(IMAGE_UID, film)
        np.testing.assert_array_equal(decode(ingest_cbis_film(archive.job()).image), film)

    def test_an_8_bit_image_keeps_its_values(self, tmp_path):
        archive = Archive(tmp_path)
        pixels = make_breast(*SHAPE, bits=8)
        archive.add(IMAGE_UID, pixels)
        result = ingest_cbis_film(archive.job())
        assert (decode(result.image).dtype, result.bits_stored) == (np.uint16, 8)
        np.testing.assert_array_equal(decode(result.image), pixels)

    def test_a_ladder_is_lossless_at_its_first_ratio(self, archive, film):
        from mammo_tf.codecs.jpeg2000 import Ladder

        content = ingest_cbis_film(archive.job(cratios=(1, 20))).image
        np.testing.assert_array_equal(Ladder.from_bytes(content).decode(1), film)


class TestJpeg:
    def job(self, path, size=40) -> JpegJob:
        return JpegJob("P_00001_LEFT_MLO", "boxes.csv", 3, "L", str(path), size, None)

    def test_pixels_are_those_that_pillow_decodes(self, tmp_path):
        path = tmp_path / "a.jpg"
        Image.fromarray(make_breast(40, 40, bits=8)).save(path, quality=90)
        result = ingest_cbis_jpeg(self.job(path))
        np.testing.assert_array_equal(decode(result.image), np.asarray(Image.open(path)))
        assert (result.shape, result.bits_stored, result.masks) == ((40, 40), 8, None)
        assert result.is_canonical

    @pytest.mark.parametrize(
        ("spoil", "text"),
        [
            (lambda p: Image.new("L", (41, 40)).save(p), "expected 40×40 pixels, received 40×41"),
            (lambda p: Image.new("RGB", (40, 40)).save(p), "in colour"),
            (lambda p: Image.new("L", (40, 40)).save(p, format="PNG"), "no JPEG file"),
            (lambda p: p.write_bytes(p.read_bytes()[:300]), "cut off or damaged|no JPEG"),
            (lambda p: p.write_bytes(b""), "no JPEG file"),
            (lambda p: p.unlink(), "No such file"),
            (
                lambda p: p.write_bytes(p.read_bytes() + bytes(2 << 20)),
                "larger than its pixels can need",
            ),
        ],
    )
    def test_what_is_no_such_file_is_rejected(self, tmp_path, spoil, text):
        path = tmp_path / "Jane Doe.jpg"
        Image.fromarray(make_breast(40, 40, bits=8)).save(path)
        spoil(path)
        result = ingest_cbis_jpeg(self.job(path))
        assert isinstance(result, Rejection)
        assert pytest.importorskip("re").search(text, result.reason)
        assert "Jane" not in result.reason


@pytest.fixture(params=["zlib", "isal"])
def packer(request, monkeypatch) -> None:
    """Both ways to pack a PNG."""
    module = None if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(png_writer, "isal_zlib", module)


@pytest.mark.usefixtures("packer")
class TestPng:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (129, 7), (128, 64), (257, 33)])
    def test_pillow_reads_back_every_pixel(self, dtype, shape):
        image = np.random.default_rng(2).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        for layout in (image, np.asfortranarray(image), image[:, ::-1]):
            stored = decode(encode_png(layout))
            assert stored.dtype == dtype
            np.testing.assert_array_equal(stored, layout)

    def test_tensorflow_reads_it_too(self):
        import tensorflow as tf

        image = np.random.default_rng(3).integers(0, 65536, (70, 50)).astype(np.uint16)
        decoded = tf.io.decode_png(encode_png(image), dtype=tf.uint16).numpy()[..., 0]
        np.testing.assert_array_equal(decoded, image)
