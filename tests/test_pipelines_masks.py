"""Masks: ellipses against the equation, and which bit is whose."""

import numpy as np
import pytest

from mammo_tf.ingest import mask_finding
from mammo_tf.pipelines.masks import draw_masks, ellipse
from mammo_tf.record import Finding, ImageInfo


@pytest.mark.parametrize(
    "box", [(0, 0, 3, 5), (2, 1, 9, 4), (-4, -3, 5, 6), (3.5, 2.25, 8, 7), (0, 0, 12, 10)]
)
def test_an_ellipse_holds_the_pixels_whose_middle_is_inside(box):
    top, left, bottom, right = box
    expected = np.zeros((12, 10), bool)
    for row in range(12):
        for column in range(10):
            y = (row + 0.5 - (top + bottom) / 2) / ((bottom - top) / 2)
            x = (column + 0.5 - (left + right) / 2) / ((right - left) / 2)
            expected[row, column] = y * y + x * x <= 1
    np.testing.assert_array_equal(ellipse((12, 10), box), expected)
    assert expected.any()


def test_the_box_of_a_circle_gives_the_disc_of_its_pixels():
    rows, columns = np.mgrid[:40, :50]
    # Radius 7 round the middle of pixel (20, 30): the box is 15 wide, the ellipse's half axes 7.5.
    disc = (rows - 20) ** 2 + (columns - 30) ** 2 <= 7.5**2
    np.testing.assert_array_equal(ellipse((40, 50), (13, 23, 28, 38)), disc)


def test_a_box_of_no_size_is_at_most_a_pixel_and_one_outside_is_empty():
    assert ellipse((4, 4), (1.5, 1.5, 1.5, 1.5)).sum() == 1
    assert not ellipse((4, 4), (10, 10, 12, 12)).any()


def info(*findings):
    return ImageInfo(image_id="a", patient_id="p", exam_id="e", shape=(8, 6), findings=findings)


def test_each_finding_has_its_bit_and_they_may_overlap():
    masks = np.zeros((8, 6), np.uint16)
    masks[2:5, 1:4] = 0b0010  # finding 1 is a mask of the record's
    findings = (
        Finding(mark="box", box_yxyx_px=(0, 0, 8, 6)),
        Finding(mark="mask", box_yxyx_px=(2, 1, 5, 4)),
        Finding(mark="none"),
        Finding(mark="circle", box_yxyx_px=(6, 4, 7, 5)),
    )
    drawn = draw_masks(info(*findings), masks)
    assert drawn.dtype == np.uint16
    np.testing.assert_array_equal(drawn & 1, ellipse((8, 6), (0, 0, 8, 6)))
    np.testing.assert_array_equal(drawn & 2, masks)
    assert not (drawn & 4).any()
    assert np.argwhere(drawn & 8).tolist() == [[6, 4]]
    assert masks.max() == 2  # not written into


def test_without_masks():
    assert not draw_masks(info(), None).any()
    assert draw_masks(info(), None).shape == (8, 6)
    assert draw_masks(info(Finding(mark="box", box_yxyx_px=(1, 1, 3, 3))), None).any()


def test_the_finding_of_a_mask_by_hand():
    masks = np.zeros((8, 6), np.uint16)
    masks[3, 2] = masks[5, 4] = 1 << 15
    masks[0, 0] = 1
    finding = mask_finding(masks, 15, label="benign", kind="mass")
    assert finding == Finding(
        label="benign", kind="mass", mark="mask", box_yxyx_px=(3.0, 2.0, 6.0, 5.0)
    )
    assert mask_finding(masks, 3) is None
