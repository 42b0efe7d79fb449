"""From scored test folds to results.csv and summary.csv."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.evaluation import (
    Estimate,
    ScoredFold,
    auprc,
    auroc,
    mean_auprc,
    mean_auroc,
    mean_auroc_difference,
)
from mammo_tf.files import write_text

RESULT_COLUMNS = (
    "experiment",
    "model",
    "train_crs",
    "test_cr",
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
    "n",
    "n_positive",
    "auroc",
    "auroc_sd",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_sd",
    "auprc_low",
    "auprc_high",
    "auroc_change",
    "auroc_change_low",
    "auroc_change_high",
)


@dataclass(frozen=True)
class Row:
    """One line of the summary: a model trained at some CRs and tested at one.

    Attributes:
        experiment: "single" or "cross".
        model: Name of the model.
        train_crs: Compression ratios of the training images.
        test_cr: Compression ratio of the test images.
        folds: The scored test cases of each fold.
        auroc: Mean over folds with the DeLong interval clustered by patient.
        auprc: Mean over folds with the bootstrap interval over patients.
        change: AUROC minus that of the reference (the least compressed), paired; None for the
            reference itself.
    """

    experiment: str
    model: str
    train_crs: tuple[float, ...]
    test_cr: float
    folds: tuple[ScoredFold, ...]
    auroc: Estimate
    auprc: Estimate
    change: Estimate | None = None

    @property
    def fold_aurocs(self) -> np.ndarray:
        """(folds,) AUROC of each fold."""
        return np.array([auroc(f.labels, f.scores).value for f in self.folds])

    @property
    def fold_auprcs(self) -> np.ndarray:
        """(folds,) AUPRC of each fold."""
        return np.array([auprc(f.labels, f.scores, num_resamples=0).value for f in self.folds])

    @property
    def counts(self) -> tuple[int, int]:
        """Number of test cases over all folds, and of positive ones."""
        labels = np.concatenate([fold.labels for fold in self.folds])
        return len(labels), int(labels.sum())


def cratios_text(cratios: Sequence[float]) -> str:
    """Writes compression ratios for a CSV cell, e.g. "1+15"."""
    return "+".join(map(format_cratio, cratios))


def summarise(
    experiment: str,
    model: str,
    scored: Mapping[tuple[tuple[float, ...], float], Sequence[ScoredFold]],
    *,
    num_resamples: int,
    seed: int,
) -> list[Row]:
    """Computes the summary of an experiment.

    Args:
        experiment: "single" or "cross".
        model: Name of the model.
        scored: {(train_crs, test_cr): scored test cases of each fold}. The first entry is the
            reference that the others' AUROC is compared with.
        num_resamples: Bootstrap resamples of the AUPRC.
        seed: Seed of the bootstrap.

    Returns:
        One row for each entry, in order.
    """
    reference = next(iter(scored.values()))
    rows = []
    for index, ((train_crs, test_cr), folds) in enumerate(scored.items()):
        rows.append(
            Row(
                experiment=experiment,
                model=model,
                train_crs=tuple(train_crs),
                test_cr=test_cr,
                folds=tuple(folds),
                auroc=mean_auroc(folds),
                auprc=mean_auprc(folds, num_resamples=num_resamples, seed=seed),
                change=mean_auroc_difference(folds, reference) if index else None,
            )
        )
    return rows


def write_tables(run_dir: Path, rows: Sequence[Row]) -> None:
    """Writes results.csv (one line a fold) and summary.csv (one line a row) atomically."""
    write_text(run_dir / "results.csv", _csv(RESULT_COLUMNS, _result_lines(rows)))
    write_text(run_dir / "summary.csv", _csv(SUMMARY_COLUMNS, map(summary_line, rows)))


def summary_line(row: Row) -> dict[str, object]:
    """One summary row as plain values, keyed by SUMMARY_COLUMNS."""
    count, positives = row.counts
    change = row.change or Estimate(0.0, 0.0, 0.0)
    return _identity(row) | {
        "folds": len(row.folds),
        "n": count,
        "n_positive": positives,
        "auroc": _round(row.auroc.value),
        "auroc_sd": _round(_spread(row.fold_aurocs)),
        "auroc_low": _round(row.auroc.low),
        "auroc_high": _round(row.auroc.high),
        "auprc": _round(row.auprc.value),
        "auprc_sd": _round(_spread(row.fold_auprcs)),
        "auprc_low": _round(row.auprc.low),
        "auprc_high": _round(row.auprc.high),
        "auroc_change": _round(change.value),
        "auroc_change_low": _round(change.low),
        "auroc_change_high": _round(change.high),
    }


def _result_lines(rows: Sequence[Row]):
    for row in rows:
        values = zip(row.folds, row.fold_aurocs, row.fold_auprcs, strict=True)
        for index, (fold, area, precision) in enumerate(values):
            yield _identity(row) | {
                "fold": index,
                "n": len(fold.labels),
                "n_positive": int(np.sum(fold.labels)),
                "auroc": _round(area),
                "auprc": _round(precision),
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


def _csv(columns: Sequence[str], lines) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()
