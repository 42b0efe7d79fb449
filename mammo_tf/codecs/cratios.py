"""Compression ratios: one parser, one check, one way to write them. No heavy import."""

import numbers
from collections.abc import Iterable
from typing import Any

from mammo_tf.errors import UserError

MAX_CRATIOS = 100  # layers of one codestream
MAX_CRATIO = 1_000_000  # far above, OpenJPEG's arithmetic takes the target for "lossless"


def parse_cratios(text: str) -> tuple[float, ...]:
    """Returns the ratios of a text such as "1,15,100", sorted.

    Raises:
        UserError: If it is no such list, or a ratio is out of range or there twice.

    Examples:
        >>> parse_cratios("100, 1, 2.5")
        (1, 2.5, 100)
    """
    try:
        values = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise UserError(
            f"Compression ratios are numbers with commas between, as 1,15,100. Received: {text!r}."
        ) from None
    return normalize_cratios(values)


def check_cratios(cratios: Iterable[float]) -> tuple[float, ...]:
    """Returns compression ratios in the same order, whole numbers as ints.

    Raises:
        UserError: If they are not 1 to 100 different numbers from 1 to a million.
    """
    values: tuple[Any, ...] = (cratios,) if isinstance(cratios, numbers.Real) else tuple(cratios)
    if not 1 <= len(values) <= MAX_CRATIOS:
        raise UserError(f"Expected 1 to {MAX_CRATIOS} compression ratios. Received: {values!r}.")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise UserError(f"A compression ratio must be a number. Received: {value!r}.")
        number: Any = value  # `Real` promises no comparison
        if not 1 <= number <= MAX_CRATIO:  # NaN is refused here too
            raise UserError(
                f"A compression ratio must be from 1 (lossless) to {MAX_CRATIO}. "
                f"Received: {float(value):g}."
            )
    if len(set(values)) != len(values):
        raise UserError(f"Compression ratios must be different. Received: {values!r}.")
    return tuple(int(value) if value == int(value) else float(value) for value in values)


def normalize_cratios(cratios: Iterable[float]) -> tuple[float, ...]:
    """Returns compression ratios as `check_cratios` does, sorted."""
    return tuple(sorted(check_cratios(cratios)))


def check_drawn_cratios(cratios: Iterable[float]) -> tuple[float, ...]:
    """Returns ratios to draw from as `normalize_cratios` does; () if there are none."""
    return normalize_cratios(cratios) if tuple(cratios) else ()


def format_cratio(cratio: float) -> str:
    """Writes a ratio without a needless ".0" or exponent: "100", "2.5"."""
    return str(int(cratio)) if cratio == int(cratio) else repr(float(cratio))


def join_cratios(cratios: Iterable[float]) -> str:
    """Writes several ratios: "1, 2.5, 100"."""
    return ", ".join(map(format_cratio, cratios))
