"""The model card beside a detector, and what of it a reader is warned of."""

import numpy as np
import pytest

from mammo_tf.pipelines.detection.card import (
    CARD,
    FOUND,
    PAGE,
    found_nothing,
    read_card,
    write_card,
)
from mammo_tf.report.overlay import add_footer


@pytest.mark.parametrize(("value", "nothing"), [(0.0, True), (0.01, False)])
def test_a_card_is_read_as_it_was_written(tmp_path, value, nothing):
    measured = {FOUND: (value, 0.0, 0.25), "average_precision": None}
    write_card(tmp_path, data="mini_mias, 322 images", split="five folds", measured=measured)
    card = read_card(tmp_path)
    assert card["measured"][FOUND] == {"value": value, "low": 0.0, "high": 0.25}
    assert found_nothing(card) == nothing
    page = (tmp_path / PAGE).read_text("utf-8")
    assert f"{value:.3f} (0.000, 0.250)" in page and "Average precision: not measured" in page
    for said in ("mini_mias, 322 images", "five folds", "not a medical device", "Apache-2.0"):
        assert said in page


def test_the_same_card_is_not_written_again_and_a_lost_page_is(tmp_path):
    card = {"data": "mini_mias", "split": "five folds", "measured": {FOUND: (0.5, 0.4, 0.6)}}
    write_card(tmp_path, **card)
    before = [(tmp_path / name).stat().st_mtime_ns for name in (CARD, PAGE)]
    write_card(tmp_path, **card)
    assert [(tmp_path / name).stat().st_mtime_ns for name in (CARD, PAGE)] == before
    (tmp_path / PAGE).unlink()
    write_card(tmp_path, **card)
    assert (tmp_path / PAGE).is_file()


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"measured": 3}', b"\xff", b"[" * 90_000])
def test_a_damaged_card_is_none(tmp_path, content):
    (tmp_path / CARD).write_bytes(content)
    assert read_card(tmp_path) is None
    assert not found_nothing(None)


@pytest.mark.parametrize("width", [60, 700])
def test_a_footer_leaves_the_picture_and_fits_below_it(width):
    picture = np.full((500, width, 3), 90, np.uint8)
    made = add_footer(picture, "Research only, not a medical device. " * 9)
    assert (made[:500] == picture).all() and made.shape[1] == width
    strip = made[500:].max(axis=2)
    rows = np.flatnonzero(strip.max(axis=1) > 200)
    assert len(rows) and strip[-1].max() == 0  # text, and none cut off below
    short = add_footer(picture, "Research")
    assert len(short) < len(made)
