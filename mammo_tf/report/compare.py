"""Several runs side by side: their numbers by row and measure, and how their settings differ."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.config import differences
from mammo_tf.errors import DataError, UserError
from mammo_tf.report.page import Figure, Section, Table, render_page
from mammo_tf.report.style import data_uri_of, line_style, new_axes, styled
from mammo_tf.run_folder import read_config

SUMMARY = "summary.csv"
MAX_BYTES = 16 << 20
# Columns that say how a number came about, not which number it is.
_ABOUT = {"folds", "repeats", "n", "n_positive", "non_inferior", "p_holm"}
_ABOUT_ENDS = ("_sd", "_p", "_p_holm")
NO_TEST = (
    "In brackets: each run's own 95 % interval. Runs side by side are no paired test: what differs "
    "between two runs may be their test cases, their seeds or their settings."
)

Key = tuple[str, str]  # row, measure
Numbers = dict[Key, tuple[float, float, float]]  # value, low, high


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: The folder's own name, or as much of its path as tells it from the others.
        config: Its config.json.
        numbers: Value and interval of each row and measure.
    """

    name: str
    config: dict
    numbers: Numbers


def read_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Reads run folders of one recipe.

    Args:
        folders: At least two.

    Raises:
        UserError: If there are fewer, one is twice, is no finished run, or of another recipe.
        DataError: If a table is damaged.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if len(paths) < 2:
        raise UserError("Give at least two run folders.")
    if len(set(paths)) < len(paths):
        raise UserError("A run folder is given twice.")
    runs = [_read_run(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    recipes = {run.config["recipe"] for run in runs}
    if len(recipes) > 1:
        raise UserError(f"The runs are of several recipes: {', '.join(sorted(recipes))}.")
    return runs


def _names(paths: Sequence[Path]) -> list[str]:
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _read_run(path: Path, name: str) -> Run:
    config = read_config(path)
    if config is None:
        raise UserError(f"{path} is no run folder: it has no config.json.")
    table = path / SUMMARY
    if not table.is_file():
        raise UserError(f"{path} has no {SUMMARY} yet. The recipe's command ends the run.")
    if table.stat().st_size > MAX_BYTES:
        raise DataError(f"{table} is larger than {MAX_BYTES} bytes; that is no summary.")
    try:
        numbers = read_numbers(table.read_text("utf-8"))
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{table} is damaged ({error}).") from None
    return Run(name, config, numbers)


def read_numbers(text: str) -> Numbers:
    """Returns the numbers of a recipe's summary.csv, by row and measure.

    A recipe writes one number a line (columns measure, value, low, high) or one row a line, each
    measure with its columns x, x_low and x_high; the other columns name the row.

    Raises:
        ValueError: If it is no such table.

    Examples:
        >>> read_numbers("model,auroc,auroc_low,auroc_high\\ncnn3,0.8,0.7,0.9\\n")
        {('cnn3', 'auroc'): (0.8, 0.7, 0.9)}
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    names = list(rows[0]) if rows else []
    if not rows or any(None in row or None in row.values() for row in rows):
        raise ValueError("it has no row, or rows of different length")
    if {"measure", "value", "low", "high"} <= set(names):
        keys = [name for name in names if name not in {"measure", "value", "low", "high", *_ABOUT}]
        return {
            (_row_name(row, keys), row["measure"]): _triple(row["value"], row["low"], row["high"])
            for row in rows
        }
    measures = [name for name in names if {f"{name}_low", f"{name}_high"} <= set(names)]
    if not measures:
        raise ValueError("it has no measure with an interval")
    taken = {f"{name}{end}" for name in measures for end in ("", "_low", "_high")} | _ABOUT
    keys = [name for name in names if name not in taken and not name.endswith(_ABOUT_ENDS)]
    return {
        (_row_name(row, keys), name): _triple(row[name], row[f"{name}_low"], row[f"{name}_high"])
        for row in rows
        for name in measures
    }


def _row_name(row: dict, keys: Sequence[str]) -> str:
    return ", ".join(row[key] for key in keys if row[key])


def _triple(*texts: str) -> tuple[float, float, float]:
    value, low, high = (float(text) if text else float("nan") for text in texts)
    return value, low, high


def shared_keys(runs: Sequence[Run]) -> list[Key]:
    """Returns the rows and measures that at least two runs have, in the first one's order."""
    every = dict.fromkeys(key for run in runs for key in run.numbers)
    return [key for key in every if sum(key in run.numbers for run in runs) > 1]


def setting_changes(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns, for each run but the first, where its settings differ from the first one's."""
    first = runs[0].config["configuration"]
    return {run.name: differences(first, run.config["configuration"]) for run in runs[1:]}


def text_of(numbers: tuple[float, float, float] | None) -> str:
    """A number with its interval, three digits each; a dash where there is none."""
    if numbers is None or not np.isfinite(numbers[0]):
        return "–"
    value, low, high = numbers
    return f"{value:.3f} ({low:.3f}, {high:.3f})" if np.isfinite(low) else f"{value:.3f}"


def comparison_csv(runs: Sequence[Run]) -> str:
    """Returns one line for each row, measure and run: value, low, high."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["row", "measure", "run", "value", "low", "high"])
    for row, measure in shared_keys(runs):
        for run in runs:
            if (row, measure) in run.numbers:
                writer.writerow([row, measure, run.name, *run.numbers[row, measure]])
    return stream.getvalue()


def comparison_page(runs: Sequence[Run]) -> str:
    """Returns one self-contained HTML page: a table and a figure for each measure."""
    keys = shared_keys(runs)
    sections = []
    for measure in dict.fromkeys(measure for _, measure in keys):
        rows = [row for row, name in keys if name == measure]
        cells = [[row, *(text_of(run.numbers.get((row, measure))) for run in runs)] for row in rows]
        parts = [Table(["", *(run.name for run in runs)], cells, NO_TEST)]
        parts.append(Figure(_figure(runs, rows, measure), f"{measure}, 95 % intervals.", measure))
        sections.append(Section(measure, [], parts))
    changed = [[name, "; ".join(found) or "none"] for name, found in setting_changes(runs).items()]
    sections.append(
        Section("Settings", [f"Against {runs[0].name}."], [Table(["Run", "Differences"], changed)])
    )
    return render_page(
        title=f"{len(runs)} runs of {runs[0].config['recipe']}",
        subtitle=", ".join(run.name for run in runs),
        sections=sections,
        warnings=["Research only; not a medical device.", NO_TEST],
        details={},
    )


@styled
def _figure(runs: Sequence[Run], rows: Sequence[str], measure: str) -> str:
    figure, axes = new_axes(7.0, 1.2 + 0.28 * len(rows) * len(runs))
    step = 0.8 / len(runs)
    for index, run in enumerate(runs):
        points = [run.numbers.get((row, measure), (np.nan,) * 3) for row in rows]
        values, lows, highs = np.array(points, float).T
        places = np.arange(len(rows)) + step * (index - (len(runs) - 1) / 2)
        bars = np.nan_to_num(np.clip([values - lows, highs - values], 0, None))
        style = line_style(index) | {"linestyle": "none"}
        axes.errorbar(values, places, xerr=bars, label=run.name, capsize=3, markersize=5, **style)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlabel(measure)
    axes.legend(loc="best")
    return data_uri_of(figure)
