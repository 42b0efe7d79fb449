"""What the compression recipe says of the pixels: inside the breast and in the whole image."""

import math

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.recipes.compression.quality import measure_quality, quality_line
from mammo_tf.recipes.compression.report import _quality as quality_section
from mammo_tf.recipes.compression.report import floor_notes
from mammo_tf.recipes.compression.samples import Sample, make_sample
from mammo_tf.testing import make_breast

CRATIOS = (1, 30)


@pytest.fixture(scope="module")
def images():
    return [make_breast(200, 150, seed=seed) for seed in range(2)]


@pytest.fixture(scope="module")
def measured(images):
    return measure_quality((encode_ladder(image, CRATIOS) for image in images), CRATIOS)


def test_against_numpy(images, measured):
    assert [entry.cratio for entry in measured] == list(CRATIOS)
    lossless, lossy = measured
    assert lossless.breast_rmse.tolist() == [0, 0]
    assert lossless.psnr_db.tolist() == lossless.breast_psnr_db.tolist() == [100, 100]
    for index, image in enumerate(images):
        tissue = image > 1000  # air ends at 82, tissue begins at 2252
        squares = (image.astype(float) - encode_ladder(image, CRATIOS).decode(30)) ** 2
        error = squares[tissue].mean()
        assert lossy.psnr_db[index] == pytest.approx(10 * math.log10(65535**2 / squares.mean()))
        assert lossy.breast_rmse[index] == pytest.approx(math.sqrt(error))
        assert lossy.breast_psnr_db[index] == pytest.approx(10 * math.log10(65535**2 / error))
    assert (lossy.breast_psnr_db < lossy.psnr_db).all()  # the air flatters


def test_a_line_has_the_means(measured):
    line = quality_line(measured[1])
    assert line["cratio"] == 30
    assert line["images"] == 2
    assert line["breast_rmse"] == pytest.approx(measured[1].breast_rmse.mean())
    assert line["breast_psnr_db"] == pytest.approx(measured[1].breast_psnr_db.mean())
    assert line["psnr_db"] == pytest.approx(measured[1].psnr_db.mean())
    assert line["achieved_cratio"] == pytest.approx(measured[1].achieved.mean())


def test_images_without_a_breast_are_left_out_of_the_means(images):
    flat = np.full((200, 150), 9, np.uint16)
    one, both = (
        [quality_line(entry) for entry in measure_quality(map(ladder, chosen), CRATIOS)]
        for chosen in ([images[0]], [flat, images[0]])
    )
    assert both[1]["breast_rmse"] == one[1]["breast_rmse"] > 0
    assert both[1]["images"] == 2
    none = [quality_line(entry) for entry in measure_quality([ladder(flat)], CRATIOS)]
    assert [line["breast_rmse"] for line in none] == [None, None]
    assert [line["breast_psnr_db"] for line in none] == [None, None]


def ladder(image):
    return encode_ladder(image, CRATIOS)


def test_the_report_s_table(measured):
    table = quality_section(measured).parts[0]
    assert table.header[-2:] == ["Breast: mean PSNR [dB]", "Breast: mean RMSE [grey levels]"]
    line = quality_line(measured[1])
    assert table.rows[0][-2:] == ["100.0", "0.0"]
    assert table.rows[1][-2:] == [f"{line['breast_psnr_db']:.1f}", f"{line['breast_rmse']:.1f}"]
    flat = quality_section(measure_quality([ladder(np.full((64, 48), 9, np.uint16))], CRATIOS))
    assert flat.parts[0].rows[1][-2:] == ["–", "–"]


def test_a_ratio_that_leaves_a_silhouette_is_told_of():
    def sample(**shares):
        numbers = {float(name[2:]): share for name, share in shares.items()}
        return Sample(np.ones((4, 4)), (0, 0, 2, 2), [], "", flat_share=numbers)

    assert floor_notes([]) == floor_notes([sample(cr1=0.01, cr3000=0.5)]) == []
    (note,) = floor_notes([sample(cr1=0.01, cr3000=0.9), sample(cr1=0.02, cr3000=0.8)])
    assert "CR3K (80%)" in note and "CR1 " not in note
    # One image that is not a silhouette is enough to say nothing.
    assert floor_notes([sample(cr1=0.01, cr3000=0.9), sample(cr1=0.01, cr3000=0.2)]) == []


def test_a_sample_measures_how_flat_the_breast_is(images):
    image = images[0]
    tissue = image > 1000
    made = make_sample(encode_ladder(image, CRATIOS), CRATIOS, centre=(100, 70), caption="")
    counts = np.unique(image[tissue], return_counts=True)[1]
    assert made.flat_share[1] == pytest.approx(counts.max() / tissue.sum())
    two = np.where(tissue, 3000, 82).astype(image.dtype)
    flat = make_sample(encode_ladder(two, CRATIOS), CRATIOS, centre=(100, 70), caption="")
    assert flat.flat_share[1] == 1
