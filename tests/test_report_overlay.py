"""Detections over a picture: where the colours are, and where nothing may change."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mammo_tf.errors import UserError
from mammo_tf.report.overlay import (
    DETECTION_COLOUR,
    MISS_COLOUR,
    TRUTH_COLOUR,
    data_uri,
    draw_detections,
    png_bytes,
)


@pytest.fixture
def image():
    """Grey of 60 to 199, so that no pixel is black or white by itself."""
    return np.random.default_rng(0).integers(60, 200, (200, 120)).astype(np.uint8)


def is_colour(picture, colour):
    return (picture == np.array(colour)).all(-1)


def test_without_boxes_it_is_the_grey_image(image):
    drawn = draw_detections(image, boxes_px=[])
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, np.repeat(image[..., None], 3, -1))


def test_a_box_lies_on_its_edges_and_nothing_else_changes(image):
    drawn = draw_detections(image, boxes_px=[(50, 20, 90, 80)])
    coloured = is_colour(drawn, DETECTION_COLOUR)
    expected = np.zeros_like(coloured)
    expected[50:90, 20:80] = True  # rows 50 to 89: the edges 50 and 90 are between pixels
    expected[51:89, 21:79] = False
    np.testing.assert_array_equal(coloured, expected)
    changed = (drawn != image[..., None]).any(-1)
    near = np.zeros_like(changed)
    near[49:91, 19:81] = True
    near[52:88, 22:78] = False
    assert not (changed & ~near).any()


def test_fractions_of_a_pixel_belong_to_the_box(image):
    coloured = is_colour(
        draw_detections(image, boxes_px=[(50.4, 20.6, 89.2, 79.9)]), DETECTION_COLOUR
    )
    rows, columns = np.flatnonzero(coloured.any(1)), np.flatnonzero(coloured.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (50, 89, 20, 79)


def test_hits_are_solid_and_misses_dashed_in_another_colour(image):
    boxes = [(20, 10, 60, 110), (120, 10, 180, 110)]
    drawn = draw_detections(image, boxes_px=boxes, hits=[True, False])
    hit, miss = is_colour(drawn, DETECTION_COLOUR), is_colour(drawn, MISS_COLOUR)
    assert hit[:100].any() and not hit[100:].any()
    assert miss[100:].any() and not miss[:100].any()
    assert hit[20, 10:110].all()
    assert 0.4 < miss[120, 10:110].mean() < 0.7
    assert miss[120, 10] and miss[120, 109] and miss[179, 10] and miss[179, 109]
    np.testing.assert_array_equal(miss, miss[:, ::-1])  # as the box is in the middle


def test_the_colours_differ_without_colour_vision():
    """In luminance (Rec. 709), and in the blue that both kinds of red-green blindness keep."""
    orange, blue = np.array(DETECTION_COLOUR), np.array(MISS_COLOUR)
    assert blue[2] - orange[2] > 200
    assert min(np.dot([0.2126, 0.7152, 0.0722], colour) for colour in (orange, blue)) > 150


def test_a_true_lesion_is_an_ellipse(image):
    drawn = draw_detections(image, boxes_px=[], truths_px=[(40, 20, 120, 60)])
    rows, columns = np.nonzero(is_colour(drawn, TRUTH_COLOUR))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (40, 119, 20, 59)
    # (row − 80)² / 40² + (column − 40)² / 20² = 1, in the middles of pixels
    radius = np.hypot((rows + 0.5 - 80) / 40, (columns + 0.5 - 40) / 20)
    assert radius.min() > 0.92 and radius.max() < 1.03


def test_a_large_image_is_shrunk_with_its_boxes():
    image = np.full((2000, 1000), 100, np.uint8)
    drawn = draw_detections(image, boxes_px=[(400, 200, 1600, 800)], max_side=500)
    assert drawn.shape == (500, 250, 3)
    coloured = is_colour(drawn, DETECTION_COLOUR)
    rows, columns = np.flatnonzero(coloured.any(1)), np.flatnonzero(coloured.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (100, 399, 50, 199)


def test_lines_grow_with_the_picture():
    image = np.full((1600, 1000), 100, np.uint8)
    drawn = draw_detections(image, boxes_px=[(400, 200, 1200, 800)], max_side=1600)
    assert is_colour(drawn, DETECTION_COLOUR)[300:500, 500].sum() == 4


@pytest.mark.parametrize(
    "box",
    [(0, 0, 200, 120), (-50, -50, 20, 20), (190, 100, 500, 500), (100, 60, 100, 60)],
    ids=["whole", "corner", "beyond", "empty"],
)
def test_boxes_at_and_beyond_the_edge_stay_in_the_picture(image, box):
    drawn = draw_detections(image, boxes_px=[box], captions=["0.87"], hits=[False])
    assert drawn.shape == (200, 120, 3)
    assert is_colour(drawn, MISS_COLOUR).any()


@pytest.mark.parametrize("top", [0, 5, 80, 170])
@pytest.mark.parametrize("left", [0, 50, 95])
def test_a_caption_is_whole_and_does_not_hide_its_box(image, top, left):
    def edges_and_ink(box):
        plain = draw_detections(image, boxes_px=[box])
        drawn = draw_detections(image, boxes_px=[box], captions=["0.87"])
        edges = is_colour(plain, DETECTION_COLOUR)
        orange = drawn[..., 0] > drawn[..., 2].astype(int) + 60
        assert is_colour(drawn, DETECTION_COLOUR)[edges].all()
        return (orange & ~edges).sum()

    free = edges_and_ink((80, 50, 110, 75))  # room all round
    assert free > 30
    assert edges_and_ink((top, left, top + 30, left + 25)) == free


def test_captions_of_close_boxes_do_not_cover_each_other(image):
    boxes = [(80, 40, 110, 70), (81, 41, 111, 71), (82, 42, 112, 72)]

    def ink(count):
        kept, words = boxes[:count], ["0.87", "0.86", "0.85"][:count]
        drawn = draw_detections(image, boxes_px=kept, captions=words)
        return (drawn != draw_detections(image, boxes_px=kept)).any(-1)

    one, two, three = ink(1).sum(), ink(2).sum(), ink(3).sum()
    assert two > 1.8 * one and three > 2.6 * one


def test_a_caption_wider_than_the_picture_is_cut_short():
    image = np.full((60, 50), 100, np.uint8)
    drawn = draw_detections(image, boxes_px=[(30, 5, 50, 45)], captions=["malignant " * 20])
    orange = drawn[:28, :, 0] > drawn[:28, :, 2].astype(int) + 60  # letters have soft edges
    assert orange.sum() > 40 and not orange[:, 49].any()


def test_an_empty_caption_leaves_no_mark(image):
    box = [(50, 20, 90, 80)]
    np.testing.assert_array_equal(
        draw_detections(image, boxes_px=box, captions=[" "]), draw_detections(image, boxes_px=box)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes_px": [(1, 2, 3)]}, "`boxes_px` must be"),
        ({"boxes_px": [(1, 2, float("nan"), 4)]}, "finite"),
        ({"boxes_px": [(5, 2, 3, 4)]}, "each minimum first"),
        ({"truths_px": [(5, 2, 3, 4)]}, "`truths_px` must be"),
        ({"captions": ["a", "b"]}, "`captions` must be none or one for each of the 1 boxes"),
        ({"hits": []}, "`hits` must be None or one for each of the 1 boxes"),
        ({"max_side": 3}, "`max_side` must be at least 16"),
    ],
)
def test_arguments_that_do_not_fit(image, changes, message):
    with pytest.raises(UserError, match=message):
        draw_detections(image, **{"boxes_px": [(1, 2, 3, 4)], **changes})


@pytest.mark.parametrize("shape", [(4, 5, 3), (0, 5)])
def test_only_grey_pictures(shape):
    with pytest.raises(UserError, match="`image` must be"):
        draw_detections(np.zeros(shape, np.uint8), boxes_px=[])
    with pytest.raises(UserError, match="uint16"):
        draw_detections(np.zeros((4, 5), np.uint16), boxes_px=[])


def test_png_holds_the_pixels_and_nothing_else(image):
    drawn = draw_detections(image, boxes_px=[(50, 20, 90, 80)])
    content = png_bytes(drawn)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "PNG" and not opened.info
        np.testing.assert_array_equal(np.asarray(opened), drawn)
    head, body = data_uri(drawn).split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == content
