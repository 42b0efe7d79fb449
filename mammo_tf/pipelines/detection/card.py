"""The model card beside a detector's weights: what it learned from, and how well it did."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammo_tf.files import write_json, write_text

CARD = "card.json"
PAGE = "MODEL_CARD.md"
FOUND = "found_at_1_false_positive_an_image"
_MAX_BYTES = 100_000
_LICENCE = (
    "The code is under Apache-2.0. Weights trained on a data set are bound by that data set's own "
    "licence; its page says which."
)
_NOTICE = "Research only: not a medical device. Scores are not probabilities of cancer."


def write_card(
    folder: str | os.PathLike, *, data: str, split: str, measured: Mapping[str, tuple | None]
) -> None:
    """Writes card.json and MODEL_CARD.md, where they are not there with the same content.

    Args:
        folder: The detector's folder.
        data: What it learned from, as a sentence.
        split: How the data was divided, as a sentence.
        measured: {measure: (value, low, high)}, 95 % interval, on images that it did not see; None
            where there was nothing to measure on. `FOUND` should be one of them.
    """
    card = {
        "notice": _NOTICE,
        "data": data,
        "split": split,
        "measured": {
            name: None if triple is None else dict(zip(_ENDS, map(float, triple), strict=True))
            for name, triple in measured.items()
        },
        "licence": _LICENCE,
    }
    if read_card(folder) == card and (Path(folder) / PAGE).is_file():
        return
    write_json(Path(folder) / CARD, card)
    write_text(Path(folder) / PAGE, _markdown(card))


def read_card(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the card of a detector, or None where there is none or it cannot be read."""
    try:
        with (Path(folder) / CARD).open("rb") as file:
            card = json.loads(file.read(_MAX_BYTES))
        return card if isinstance(card, dict) and isinstance(card["measured"], dict) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def found_nothing(card: Mapping[str, Any] | None) -> bool:
    """Tells whether a detector found none of the lesions that it was tested on."""
    measured = (card or {}).get("measured", {}).get(FOUND)
    return isinstance(measured, dict) and measured.get("value") == 0


_ENDS = ("value", "low", "high")


def _markdown(card: Mapping[str, Any]) -> str:
    lines = ["# Model card", "", f"**{card['notice']}**", ""]
    lines += [f"- Data: {card['data']}", f"- Split: {card['split']}"]
    for name, numbers in card["measured"].items():
        text = "not measured"
        if numbers is not None:
            text = "{value:.3f} ({low:.3f}, {high:.3f})".format(**numbers)
        lines.append(f"- {name.replace('_', ' ').capitalize()}: {text}")
    return "\n".join([*lines, f"- Licence: {card['licence']}", ""])
