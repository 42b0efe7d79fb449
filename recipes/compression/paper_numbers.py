"""The numbers printed in Jo et al. 2021, to stand beside ours.

table_1.csv holds Table 1 (trained and tested at one CR), table_2.csv Table 2 (trained at one CR,
tested at another): means with the 95 % interval over five folds.
"""

import csv
import functools
from pathlib import Path

Interval = tuple[float, float, float]  # mean, low, high


def single(model: str, metric: str, cratio: float) -> Interval | None:
    """Looks up Table 1: (mean, low, high), or None where the paper has no such entry."""
    return _table("table_1.csv", ("model", "metric", "cratio")).get((model, metric, float(cratio)))


def cross(metric: str, train_cr: float, test_cr: float) -> Interval | None:
    """Looks up Table 2; the diagonal, which Table 2 leaves out, comes from Table 1."""
    if train_cr == test_cr:
        return single("cnn3", metric, train_cr)
    table = _table("table_2.csv", ("metric", "train_cr", "test_cr"))
    return table.get((metric, float(train_cr), float(test_cr)))


@functools.cache
def _table(name: str, keys: tuple[str, ...]) -> dict[tuple, Interval]:
    with (Path(__file__).parent / name).open(encoding="utf-8", newline="") as lines:
        return {
            tuple(row[key] if key in ("model", "metric") else float(row[key]) for key in keys): (
                float(row["mean"]),
                float(row["low"]),
                float(row["high"]),
            )
            for row in csv.DictReader(lines)
        }
