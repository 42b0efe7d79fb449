"""Ids of one patient that programs have written in several ways, and how to take them for one."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_FLOAT = re.compile(r"(\d+)[.,]0+", re.ASCII)
_LEADING_ZEROS = re.compile(r"^(\D*)0+(?=\d)", re.ASCII)
_ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+?\d+", re.ASCII | re.IGNORECASE)
_HIDDEN = ("Cc", "Cf", "Zl", "Zp")


def normalize_id(text: str) -> str:
    """Returns an id in Unicode's form C: what looks the same is the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def spelling_key(text: str) -> str:
    """Returns what an id's spellings share.

    They may differ in leading zeros ("007" and "7", "P-007" and "P-7"), in a ".0" that a
    spreadsheet or pandas added to a number, in case, in the number of spaces, in characters that
    cannot be seen, and in Unicode's forms.

    Args:
        text: An id.

    Examples:
        >>> spelling_key("00001"), spelling_key("1.0"), spelling_key("Ann-07")
        ('1', '1', 'ann-7')
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in text if unicodedata.category(c) not in _HIDDEN)
    text = " ".join(text.casefold().split())
    if match := _FLOAT.fullmatch(text):
        text = match[1]
    return _LEADING_ZEROS.sub(r"\1", text) if "0" in text else text


def is_rounded(text: str) -> bool:
    """Whether an id looks like 1.23E+11, a long number that a spreadsheet has rounded."""
    return _ROUNDED.fullmatch(text) is not None


def several_spellings(ids: Iterable[str]) -> dict[str, str]:
    """Finds ids that are written in several ways.

    Args:
        ids: All ids of a table.

    Returns:
        Maps every spelling of such an id to one of them, whatever the order of `ids`. Ids that
        are written in one way only are left out.
    """
    spellings: dict[str, set[str]] = {}
    for text in ids:
        spellings.setdefault(spelling_key(text), set()).add(text)
    return {text: min(same) for same in spellings.values() if len(same) > 1 for text in same}


def one_of_each(same: Mapping[str, str]) -> int:
    """How many ids the result of `several_spellings` is about."""
    return len(set(same.values()))
