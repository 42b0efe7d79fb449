"""Progress bars with the time left, on stderr, so that stdout stays for results."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(
    items: Iterable | None = None,
    *,
    description: str,
    total: int | None = None,
    unit: str = "",
    scaled: bool = False,
) -> tqdm:
    """Wraps `items` in a progress bar (or makes one to be driven by hand with `update`).

    On a terminal the bar is redrawn in place; in a log it prints at most every ten seconds.

    Args:
        items: What to iterate over, or None to call `update` by hand.
        description: Short text in front of the bar.
        total: Number of items, where `items` has no length.
        unit: What is counted, e.g. "study".
        scaled: Whether large numbers are shown in thousands, as bytes are.

    Returns:
        A tqdm bar: iterable, a context manager, and with `update(n)`.
    """
    interactive = sys.stderr.isatty()
    return tqdm(
        items,
        desc=description,
        total=total,
        unit=f" {unit}" if unit and not scaled else unit,
        unit_scale=scaled,
        mininterval=0.2 if interactive else 10,
        file=sys.stderr,
        dynamic_ncols=interactive,
    )
