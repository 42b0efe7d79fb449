"""View and laterality, from wherever a file says them.

Codes: PS3.16 CID 4014 (views) and CID 4015 (modifiers), SNOMED CT and the older SNOMED RT values.
"""

import re

from mammo_tf.dicom.header import Header
from mammo_tf.errors import DataError, UserError

_VIEW_CODES = {
    "399162004": "CC",
    "R-10242": "CC",
    "399368009": "MLO",
    "R-10226": "MLO",
    "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM",
    "R-10228": "LM",
    "399099002": "LMO",
    "R-10230": "LMO",
    "399196006": "FB",
    "R-10244": "FB",
    "399188001": "SIO",
    "R-102D0": "SIO",
    "441555000": "ISO",
    "R-40AAA": "ISO",
    "399192008": "XCCL",
    "R-1024A": "XCCL",
    "399101009": "XCCM",
    "R-1024B": "XCCM",
}
_MODIFIER_CODES = {
    "399161006": "CV",
    "R-102D2": "CV",
    "399011000": "AT",
    "R-102D1": "AT",
    "399197002": "RL",
    "R-102D3": "RL",
    "399226006": "RM",
    "R-102D4": "RM",
    "414493004": "RI",
    "R-102CA": "RI",
    "415670009": "RS",
    "R-102C9": "RS",
    "399209000": "ID",
    "R-102D5": "ID",
    "399163009": "M",
    "R-102D6": "M",
    "399055006": "S",
    "R-102D7": "S",
    "399110001": "TAN",
    "R-102C2": "TAN",
    "442581004": "NP",
    "R-40AB3": "NP",
    "441752004": "AC",
    "P2-00161": "AC",
    "442593008": "IMF",
    "R-40ABE": "IMF",
    "442580003": "AX",
    "R-40AB2": "AX",
}
VIEWS = tuple(dict.fromkeys(_VIEW_CODES.values()))
# Views along the axis of the body: their columns run from lateral to medial, not head to foot.
CRANIO_CAUDAL_VIEWS = frozenset({"CC", "XCCL", "XCCM", "FB"})
OTHER_MODIFIER = "OTHER"

_LATERALITIES = {"L": "L", "R": "R", "LEFT": "L", "RIGHT": "R"}
_IMPLANT_WORDS = frozenset({"ID", "EKLUND"})
# "LMLO" is a left MLO; "LMO" and "LM" are views of either breast.
_DESCRIPTION_TOKEN = re.compile(r"^(L|R)?(MLO|XCCL|XCCM|CC|ML|LMO|LM)(ID)?$")


def check_arguments(view: str | None, laterality: str | None) -> None:
    """Checks what the caller says about the image.

    Raises:
        UserError: If `view` or `laterality` is no known one.
    """
    if view is not None and view not in VIEWS:
        raise UserError(f"view must be one of {', '.join(VIEWS)}. Received: view={view!r}.")
    if laterality is not None and laterality not in ("L", "R"):
        raise UserError(f"laterality must be 'L' or 'R'. Received: laterality={laterality!r}.")


def resolve_view(header: Header, expected: str | None) -> str | None:
    """Returns the view's short name, or None where neither the file nor the caller says it.

    In order: View Code Sequence and View Position; a Patient Orientation that is a view's name (so
    in CBIS-DDSM); Series Description; `expected`.

    Raises:
        DataError: If the coded view and View Position differ, or the file and `expected` differ.
    """
    coded = {_VIEW_CODES[code] for code in header.view_codes if code in _VIEW_CODES}
    position = header.get("ViewPosition", "").upper()
    stated = coded | ({position} & set(VIEWS))
    if len(stated) > 1:
        raise DataError(
            f"{header.name}: the file contradicts itself about the view "
            f"({' and '.join(sorted(stated))}); correct or leave out the file."
        )
    misplaced = set(header.get("PatientOrientation", ())) & {"CC", "MLO"}
    found = stated or misplaced or _from_description(header)[1]
    view = found.pop() if len(found) == 1 else None
    return _agreed(view, expected, "view", header.name)


def resolve_laterality(header: Header, expected: str | None) -> str | None:
    """Returns "L" or "R", or None where neither the file nor the caller says it.

    In order: Image Laterality and Laterality; the words of Body Part Examined ("Left Breast") and
    Series Description; `expected`.

    Raises:
        DataError: If the file says both breasts, contradicts itself, or differs from `expected`.
    """
    words = {header.get(word, "").upper() for word in ("ImageLaterality", "Laterality")}
    if "B" in words:
        raise DataError(f"{header.name}: both breasts in one image are not read; leave it out.")
    stated = {_LATERALITIES[word] for word in words if word in _LATERALITIES}
    if len(stated) > 1:
        raise DataError(
            f"{header.name}: the file contradicts itself about the laterality "
            "(ImageLaterality and Laterality differ); correct or leave out the file."
        )
    found = stated or _from_description(header)[0]
    laterality = found.pop() if len(found) == 1 else None
    return _agreed(laterality, expected, "laterality", header.name)


def resolve_modifiers(header: Header) -> tuple[str, ...]:
    """Returns short names of the view's modifiers, e.g. ("ID",) for an implant-displaced view.

    Codes outside CID 4015 become "OTHER"; free text never leaves the file.
    """
    found = [_MODIFIER_CODES.get(code, OTHER_MODIFIER) for code in header.modifier_codes]
    _, views, displaced = _from_description(header)
    if displaced or (views and _IMPLANT_WORDS & set(_tokens(header))):
        found.append("ID")
    return tuple(dict.fromkeys(found))


def _tokens(header: Header) -> list[str]:
    texts = (header.get(word, "") for word in ("BodyPartExamined", "SeriesDescription"))
    return re.split(r"[^A-Z]+", " ".join(texts).upper())


def _from_description(header: Header) -> tuple[set[str], set[str], bool]:
    """Returns the sides and views that free text names, and whether "ID" is glued to a view."""
    sides, views, displaced = set(), set(), False
    for token in _tokens(header):
        if token in _LATERALITIES:
            sides.add(_LATERALITIES[token])
        elif match := _DESCRIPTION_TOKEN.match(token):
            side, view, glued = match.groups()
            sides.update({side} - {None})
            views.add(view)
            displaced |= glued is not None
    return sides, views, displaced


def _agreed(found: str | None, expected: str | None, what: str, name: str) -> str | None:
    if found is not None and expected is not None and found != expected:
        raise DataError(
            f"{name}: the table says {what} {expected}, the file says {found}; "
            "correct the table or leave out the file."
        )
    return found if found is not None else expected
