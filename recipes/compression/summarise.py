"""From scored test folds to results.csv and summary.csv."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Comparison,
    Estimate,
    ScoredFold,
    auprc,
    auroc,
    between_seed_sd,
    compare_with_reference,
    mean_auprc_over_repeats,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
)
from mammo_tf.files import write_text
from mammo_tf.recipes.compression.experiments import EXPERIMENTS

MAX_REPEATS = 100
RESULT_COLUMNS = (
    "experiment",
    "model",
    "train_crs",
    "test_cr",
    "repeat",
    "fold",
    "n",
    "n_positive",
    "auroc",
    "auprc",
)
SUMMARY_COLUMNS = (
    "experiment",
    "model",
    "train_crs",
    "test_cr",
    "folds",
    "repeats",
    "n",
    "n_positive",
    "auroc",
    "auroc_sd",
    "auroc_seed_sd",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_sd",
    "auprc_low",
    "auprc_high",
    "auroc_change",
    "auroc_change_low",
    "auroc_change_high",
    "auroc_change_p",
    "auroc_change_p_holm",
    "non_inferior",
)


@dataclass(frozen=True)
class Row:
    """One line of the summary: a model trained at some CRs and tested at one.

    Attributes:
        experiment: A key of `EXPERIMENTS`.
        model: Name of the model.
        train_crs: Compression ratios of the training images.
        test_cr: Compression ratio of the test images.
        repeats: For each repeat, the scored test cases of each fold.
        auroc: Mean over folds and repeats; the interval is clustered by patient and, with more than
            one repeat, holds the seeds too.
        auprc: The same of the AUPRC.
        comparison: AUROC minus that of the reference (the least compressed), paired, with what it
            says; None for the reference itself.
    """

    experiment: str
    model: str
    train_crs: tuple[float, ...]
    test_cr: float
    repeats: tuple[tuple[ScoredFold, ...], ...]
    auroc: Estimate
    auprc: Estimate
    comparison: Comparison | None = None

    @property
    def change(self) -> Estimate | None:
        """AUROC minus that of the reference; None for the reference itself."""
        return self.comparison and self.comparison.change

    @property
    def all_folds(self) -> tuple[ScoredFold, ...]:
        """The scored folds of all repeats."""
        return tuple(fold for folds in self.repeats for fold in folds)

    @property
    def fold_aurocs(self) -> np.ndarray:
        """(folds,) AUROC of each fold, averaged over repeats."""
        return self._each_fold(lambda f: auroc(f.labels, f.scores).value)

    @property
    def fold_auprcs(self) -> np.ndarray:
        """(folds,) AUPRC of each fold, averaged over repeats."""
        return self._each_fold(lambda f: auprc(f.labels, f.scores, num_resamples=0).value)

    @property
    def counts(self) -> tuple[int, int]:
        """Number of test cases over all folds, and of positive ones."""
        labels = np.concatenate([fold.labels for fold in self.repeats[0]])
        return len(labels), int(labels.sum())

    @property
    def num_patients(self) -> int:
        """Number of patients with a test case."""
        return len(np.unique(np.concatenate([fold.groups for fold in self.repeats[0]])))

    def _each_fold(self, measure) -> np.ndarray:
        return np.mean([[measure(fold) for fold in folds] for folds in self.repeats], axis=0)


def main_rows(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows that answer the question: those of "single", or of another's model."""
    return [row for row in rows if row.experiment in ("single", "scorer")]


def by_model(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Returns {name of a network: its rows}, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.model, []).append(row)
    return found


def cratios_text(cratios: Sequence[float]) -> str:
    """Writes compression ratios for a CSV cell, e.g. "1+15"."""
    return "+".join(map(format_cratio, cratios))


def summarise(
    experiment: str,
    model: str,
    scored: Mapping[tuple[tuple[float, ...], float], Sequence[Sequence[ScoredFold]]],
    *,
    num_resamples: int,
    seed: int,
    margin: float = 0.02,
    reference_of: Mapping[tuple, tuple] | None = None,
) -> list[Row]:
    """Computes the summary of an experiment.

    Args:
        experiment: A key of `EXPERIMENTS`.
        model: Name of the model.
        scored: {(train_crs, test_cr): for each repeat, the scored test cases of each fold}. The
            first entry is the reference that the others' AUROC is compared with, unless
            `reference_of` says more.
        num_resamples: Bootstrap resamples of the AUPRC.
        seed: Seed of the bootstrap.
        margin: Loss of AUROC that still counts as non-inferior.
        reference_of: Maps a key of `scored` to that of its reference; a row that is its own has no
            comparison. None for the first entry.

    Returns:
        One row for each entry, in order. Holm's correction is for all of them together.
    """
    first = next(iter(scored))
    references = {key: (reference_of or {}).get(key, first) for key in scored}
    compared = [key for key in scored if references[key] != key]
    changes = [
        mean_auroc_difference_over_repeats(scored[key], scored[references[key]]) for key in compared
    ]
    said = dict(zip(compared, compare_with_reference(changes, margin=margin), strict=True))
    return [
        Row(
            experiment=experiment,
            model=model,
            train_crs=tuple(train_crs),
            test_cr=test_cr,
            repeats=tuple(map(tuple, repeats)),
            auroc=mean_auroc_over_repeats(repeats),
            auprc=mean_auprc_over_repeats(repeats, num_resamples=num_resamples, seed=seed),
            comparison=said.get((train_crs, test_cr)),
        )
        for (train_crs, test_cr), repeats in scored.items()
    ]


def write_tables(run_dir: Path, rows: Sequence[Row]) -> None:
    """Writes results.csv (one line a fold) and summary.csv (one line a row) atomically."""
    write_text(run_dir / "results.csv", csv_text(RESULT_COLUMNS, _result_lines(rows)))
    write_text(run_dir / "summary.csv", csv_text(SUMMARY_COLUMNS, map(summary_line, rows)))


def read_experiments(run_dir: Path) -> dict[str, int]:
    """Returns the repeats of each experiment that a run folder's summary.csv has; {} if none.

    Raises:
        UserError: If the file is there and is no such table.
    """
    path = run_dir / "summary.csv"
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if "experiment" not in (rows.fieldnames or ()):
                raise ValueError
            found = [(row["experiment"], row.get("repeats", "1")) for row in rows]
    except (ValueError, csv.Error):
        raise UserError(
            f"{path} is not this recipe's table, so what the folder holds is not known. Delete it "
            "to have it written again from the experiments that are asked for."
        ) from None
    return {
        name: min(int(count), MAX_REPEATS)
        for name, count in found
        if name in EXPERIMENTS and count and count.isdecimal() and len(count) < 4
    }


def summary_line(row: Row) -> dict[str, object]:
    """One summary row as plain values, keyed by SUMMARY_COLUMNS."""
    count, positives = row.counts
    change = row.change or Estimate(0.0, 0.0, 0.0)
    said = row.comparison
    return _identity(row) | {
        "folds": len(row.repeats[0]),
        "repeats": len(row.repeats),
        "n": count,
        "n_positive": positives,
        "auroc": _round(row.auroc.value),
        "auroc_sd": _round(_spread(row.fold_aurocs)),
        "auroc_seed_sd": _round(between_seed_sd(row.repeats)),
        "auroc_low": _round(row.auroc.low),
        "auroc_high": _round(row.auroc.high),
        "auprc": _round(row.auprc.value),
        "auprc_sd": _round(_spread(row.fold_auprcs)),
        "auprc_low": _round(row.auprc.low),
        "auprc_high": _round(row.auprc.high),
        "auroc_change": _round(change.value),
        "auroc_change_low": _round(change.low),
        "auroc_change_high": _round(change.high),
        "auroc_change_p": said and _round(said.p_value),
        "auroc_change_p_holm": said and _round(said.adjusted_p_value),
        "non_inferior": said and said.non_inferior,
    }


def _result_lines(rows: Sequence[Row]):
    for row in rows:
        for repeat, folds in enumerate(row.repeats):
            for index, fold in enumerate(folds):
                yield _identity(row) | {
                    "repeat": repeat,
                    "fold": index,
                    "n": len(fold.labels),
                    "n_positive": int(np.sum(fold.labels)),
                    "auroc": _round(auroc(fold.labels, fold.scores).value),
                    "auprc": _round(auprc(fold.labels, fold.scores, num_resamples=0).value),
                }


def _identity(row: Row) -> dict[str, object]:
    return {
        "experiment": row.experiment,
        "model": row.model,
        "train_crs": cratios_text(row.train_crs),
        "test_cr": format_cratio(row.test_cr),
    }


def _spread(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _round(value: float) -> float | None:
    """Six digits; None, an empty cell or JSON's null, for what one fold alone does not have."""
    return None if math.isnan(value) else round(float(value), 6)


def csv_text(columns: Sequence[str], lines) -> str:
    """Returns a CSV file of lines, each a mapping by column."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()
