"""Canonical orientation: tags, pixels, and what happens when they disagree."""

import tarfile

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mammo_tf.dicom import chest_wall_evidence, read_mammogram
from mammo_tf.dicom.orientation import _STRONG, DECIDED
from mammo_tf.errors import DataError
from mammo_tf.testing import make_breast, write_mammogram


def read(tmp_path, pixels, **options):
    return read_mammogram(write_mammogram(tmp_path / "a.dcm", pixels, **options))


def flat(value=300):
    """An image that says nothing about where the breast is, but shows how it was turned."""
    pixels = np.full((30, 20), value, np.uint16)
    pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1] = 301, 302, 303, 304
    return pixels


def corners(image):
    return [int(image[0, 0]), int(image[0, -1]), int(image[-1, 0]), int(image[-1, -1])]


# Rows run to the right, columns run down. Canonical: a left MLO is A\F, a right one P\F; a left CC
# with its lateral side on top runs down to the patient's right, A\R, and a right CC is P\L.
@pytest.mark.parametrize(
    ("laterality", "view", "orientation", "expected"),
    [
        ("L", "MLO", ("A", "F"), [301, 302, 303, 304]),
        ("L", "MLO", ("P", "F"), [302, 301, 304, 303]),
        ("L", "MLO", ("A", "H"), [303, 304, 301, 302]),
        ("L", "MLO", ("P", "H"), [304, 303, 302, 301]),
        ("L", "MLO", ("A", "FR"), [301, 302, 303, 304]),
        ("L", "MLO", ("PR", "HL"), [304, 303, 302, 301]),
        ("R", "MLO", ("P", "F"), [301, 302, 303, 304]),
        ("R", "MLO", ("P", "FL"), [301, 302, 303, 304]),
        ("R", "ML", ("A", "H"), [304, 303, 302, 301]),
        ("L", "CC", ("A", "R"), [301, 302, 303, 304]),
        ("L", "CC", ("A", "L"), [303, 304, 301, 302]),
        ("L", "CC", ("P", "R"), [302, 301, 304, 303]),
        ("R", "CC", ("P", "L"), [301, 302, 303, 304]),
        ("R", "CC", ("A", "R"), [304, 303, 302, 301]),
        ("R", "XCCL", ("P", "R"), [303, 304, 301, 302]),
        # Lying on its side: columns run to anterior, so transpose first.
        ("L", "MLO", ("F", "A"), [301, 303, 302, 304]),
        ("L", "MLO", ("H", "P"), [304, 302, 303, 301]),
        ("R", "CC", ("L", "P"), [301, 303, 302, 304]),
    ],
)
def test_patient_orientation(tmp_path, laterality, view, orientation, expected):
    mammogram = read(tmp_path, flat(), laterality=laterality, view=view, orientation=orientation)
    assert corners(mammogram.pixels) == expected
    assert mammogram.metadata.orientation_source == "PatientOrientation"
    assert mammogram.pixels.flags.c_contiguous


def test_a_transposed_image_swaps_its_pixel_spacing(tmp_path):
    mammogram = read(tmp_path, flat(), orientation=("F", "A"), PixelSpacing=[0.05, 0.1])
    assert mammogram.pixels.shape == (20, 30)
    assert mammogram.metadata.pixel_spacing_mm == (0.1, 0.05)


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("stored", ["L", "R"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_without_tags_the_pixels_decide(tmp_path, laterality, stored, photometric):
    breast = make_breast(chest_wall=stored)
    mammogram = read(
        tmp_path,
        4095 - breast if photometric == "MONOCHROME1" else breast,
        laterality=laterality,
        photometric=photometric,
        PatientOrientation=None,
    )
    expected = breast if stored == laterality else breast[:, ::-1]
    np.testing.assert_array_equal(mammogram.pixels, expected)
    assert mammogram.metadata.orientation_source == "pixels"


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_clear_pixels_overrule_wrong_tags_and_it_shows(tmp_path, laterality):
    other = "R" if laterality == "L" else "L"
    breast = make_breast(chest_wall=other)  # mirrored, but the tag was left as it was
    canonical = ("A", "F") if laterality == "L" else ("P", "F")
    mammogram = read(tmp_path, breast, laterality=laterality, orientation=canonical)
    np.testing.assert_array_equal(mammogram.pixels, breast[:, ::-1])
    assert mammogram.metadata.orientation_source == "pixels against PatientOrientation"


def test_unclear_pixels_do_not_overrule_the_tags(tmp_path):
    mammogram = read(tmp_path, flat(), orientation=("P", "F"))
    assert mammogram.metadata.orientation_source == "PatientOrientation"


@pytest.mark.parametrize(
    ("laterality", "flip", "mirrored"),
    [("L", "NO", False), ("L", "YES", True), ("R", "NO", False), ("R", "YES", True)],
)
def test_horizontal_flip_is_used_without_patient_orientation(tmp_path, laterality, flip, mirrored):
    options = {"PatientOrientation": None, "FieldOfViewHorizontalFlip": flip}
    mammogram = read(tmp_path, flat(), laterality=laterality, **options)
    assert corners(mammogram.pixels)[:2] == ([302, 301] if mirrored else [301, 302])
    assert mammogram.metadata.orientation_source == "FieldOfViewHorizontalFlip"


def test_clear_pixels_overrule_the_horizontal_flip(tmp_path):
    breast = make_breast(chest_wall="L")
    options = {"PatientOrientation": None, "FieldOfViewHorizontalFlip": "YES"}
    mammogram = read(tmp_path, breast, laterality="L", **options)
    np.testing.assert_array_equal(mammogram.pixels, breast)
    assert mammogram.metadata.orientation_source == "pixels against FieldOfViewHorizontalFlip"


def test_a_magnified_part_does_not_overrule_the_tags(tmp_path):
    view = Dataset()
    view.CodeValue = "399368009"
    view.ViewModifierCodeSequence = [Dataset()]
    view.ViewModifierCodeSequence[0].CodeValue = "399163009"  # magnification
    breast = make_breast(chest_wall="R")
    mammogram = read(tmp_path, breast, laterality="L", ViewCodeSequence=[view])
    assert mammogram.metadata.orientation_source == "PatientOrientation"
    np.testing.assert_array_equal(mammogram.pixels, breast)


def test_nothing_to_go_by_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"^a\.dcm: the chest wall cannot be found.*add the tag"):
        read(tmp_path, flat(), PatientOrientation=None)


def test_a_blank_image_with_tags_is_read(tmp_path):
    mammogram = read(tmp_path, np.zeros((30, 20), np.uint16))
    assert mammogram.metadata.orientation_source == "PatientOrientation"


def test_an_unknown_laterality_has_no_canonical_side(tmp_path):
    untouched = read(tmp_path, flat(), laterality=None, orientation=("P", "F"))
    assert corners(untouched.pixels) == [301, 302, 303, 304]
    assert untouched.metadata.orientation_source == "as stored"
    mammogram = read(tmp_path, flat(), laterality=None, orientation=("P", "H"))
    assert corners(mammogram.pixels) == [303, 304, 301, 302]  # upright, but not mirrored
    assert mammogram.metadata.laterality is None
    assert mammogram.metadata.orientation_source == "upright, side unknown"


def test_the_padding_mask_is_turned_with_the_image(tmp_path):
    breast = make_breast(chest_wall="R")
    breast[:, :5] = 4000  # bright padding at the air side
    mammogram = read(
        tmp_path, breast, laterality="L", PatientOrientation=None, PixelPaddingValue=4000
    )
    assert mammogram.padding[:, -5:].all()
    assert mammogram.padding.sum() == 5 * 96
    assert (mammogram.pixels[:, -5:] == 0).all()


def test_evidence_ignores_margins_and_padding():
    breast = make_breast(chest_wall="R")
    assert chest_wall_evidence(breast) < -_STRONG
    framed = np.pad(breast, ((10, 10), (30, 60)))  # digitised film: black margins
    assert chest_wall_evidence(framed) < -_STRONG
    padded = np.pad(breast, ((0, 0), (40, 0)), constant_values=4095)
    assert chest_wall_evidence(padded, padded == 4095) < -_STRONG
    assert chest_wall_evidence(np.zeros((9, 7), np.uint16)) == 0.0
    assert chest_wall_evidence(np.ones((1, 1), np.uint8)) == 0.0
    assert chest_wall_evidence(breast, np.ones(breast.shape, bool)) == 0.0


@pytest.mark.slow
def test_evidence_on_all_of_mini_mias(real_data):
    """Odd images face one way, even ones the other: films with labels, bands and margins."""
    from PIL import Image

    evidence = {}
    with tarfile.open(real_data / "mini-mias" / "all-mias.tar.gz") as archive:
        for member in archive:
            if member.name.endswith(".pgm"):
                number = int(member.name.rsplit("mdb", 1)[1][:3])
                image = np.asarray(Image.open(archive.extractfile(member)))
                sign = 1 if number % 2 == 0 else -1
                evidence[number] = sign * chest_wall_evidence(image)
    values = np.array(list(evidence.values()))
    assert len(values) == 322
    assert values.min() > -DECIDED  # never decided wrongly
    assert (values > _STRONG).sum() >= 318
