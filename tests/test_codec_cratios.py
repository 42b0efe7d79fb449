"""Compression ratios as text and numbers: one parser, one check, one way to write them."""

import math

import pytest

from mammo_tf.codecs.cratios import (
    check_cratios,
    format_cratio,
    join_cratios,
    normalize_cratios,
    parse_cratios,
)
from mammo_tf.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,15,100", (1, 15, 100)),
        (" 100 , 1,2.5,", (1, 2.5, 100)),
        ("1e3", (1000,)),
        ("7.0", (7,)),
    ],
)
def test_texts(text, expected):
    assert parse_cratios(text) == expected
    assert [type(value) for value in parse_cratios(text)] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,nan", r"from 1 \(lossless\) to 1000000\. Received: nan"),
        ("inf", "Received: inf"),
        ("0", "Received: 0"),
        ("0.99", "Received: 0.99"),
        ("-5,1", "Received: -5"),
        ("1000001", r"Received: 1e\+06"),
        ("1,1.0", "must be different"),
        ("one", "numbers with commas between"),
        ("1;2", "numbers with commas between"),
        ("", "1 to 100 compression ratios"),
        (",".join(map(str, range(1, 102))), "1 to 100 compression ratios"),
    ],
)
def test_what_is_no_ratio_is_one_line(text, message):
    with pytest.raises(UserError, match=message) as error:
        parse_cratios(text)
    assert "\n" not in str(error.value)


def test_numbers():
    assert check_cratios((100, 1, 2.5)) == (100, 1, 2.5)
    assert normalize_cratios((100.0, 1)) == (1, 100)
    assert check_cratios(7) == (7,)
    for wrong in ((True,), ("1",), (math.nan,), (None,), (1, 1)):
        with pytest.raises(UserError, match="ompression ratio"):
            check_cratios(wrong)


def test_writing():
    assert [format_cratio(value) for value in (1, 15.0, 2.5, 1e6)] == ["1", "15", "2.5", "1000000"]
    assert join_cratios((1, 2.5, 100.0)) == "1, 2.5, 100"
    for value in (1, 2.5, 1 / 3 + 1, 11000):
        assert parse_cratios(format_cratio(value)) == (value,)
