"""Trains and tests a grid of cells; whatever is finished is kept and never done again."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo_tf.config import to_plain
from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import fit_classifier, predict_scores
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.store import Cell, CellStore, derive_seed
from mammo_tf.training.tensorboard_log import CellLog


def run_grid(
    task: Task,
    test_crs: Mapping[Cell, Sequence[float]],
    *,
    folds: Sequence[Fold],
    make_model: Callable[[tuple[int, int, int]], keras.Model],
    config: TrainingConfig,
    run_dir: str | Path,
    seed: int,
) -> dict[tuple[Cell, float], ScoredFold]:
    """Trains every cell, and scores its fold's test part at every CR asked for.

    The run folder keeps, for each cell, `cells/<name>/` (weights, history.json, cell.json and
    predictions/cr<CR>.csv) and `tensorboard/<name>/`. Called again, after a kill too, it does only
    what is missing and ends with the same numbers: a cell's seed follows from `seed` and the
    cell's name, not from the order. Cells trained for one experiment serve the next.

    Args:
        task: Examples and images.
        test_crs: For each cell the compression ratios to test it at.
        folds: The folds that the cells' `fold` counts, see `make_folds`.
        make_model: Builds the untrained model for an image shape (height, width, 1).
        config: How to train.
        run_dir: The run folder, of one process at a time.
        seed: Seed of the run.

    Returns:
        The scored test parts by (cell, test CR), in the order of `test_crs`.

    Raises:
        UserError: If a kept cell was trained with other settings, or a training diverges.
    """
    _check(test_crs, folds)
    settings = _settings(task, folds, config, seed)
    store = CellStore(run_dir, settings)
    reused = ReusedModel(lambda: make_model((*task.input_shape, 1)), config)
    grid = _Grid(task, folds, config, Path(run_dir), seed, store, reused)
    _train_missing(grid, test_crs)
    pairs = [(cell, test_cr) for cell, crs in test_crs.items() for test_cr in crs]
    with progress(pairs, description="Testing", unit="test") as bar:
        return {(cell, test_cr): grid.test(cell, test_cr) for cell, test_cr in bar}


@dataclass
class _Grid:
    """What all cells share."""

    task: Task
    folds: Sequence[Fold]
    config: TrainingConfig
    run_dir: Path
    seed: int
    store: CellStore
    reused: ReusedModel

    def train(self, cell: Cell, on_epoch: Callable[[], object]) -> int:
        """Trains a cell and keeps it. Returns the number of epochs it took."""
        started = time.monotonic()
        fold, seed = self.folds[cell.fold], derive_seed(self.seed, cell.name)
        log_dir = self.run_dir / "tensorboard" / cell.name
        shutil.rmtree(log_dir, ignore_errors=True)
        result = fit_classifier(
            self.reused.start_anew(seed),
            self._feed(cell.train_crs, fold.train, seed=seed, augment=self.config.augment),
            self._feed(cell.train_crs, fold.validation),
            self.config,
            seed=seed,
            train_labels=self.task.labels[fold.train],
            log_dir=log_dir,
            on_epoch=lambda entry: on_epoch(),
            compiled=True,
        )
        with CellLog(log_dir) as log:
            log.hparams(self._hparams(cell), name=cell.name)
        self.reused.save(
            self.store,
            cell,
            list(result.history),
            best_epoch=result.best_epoch,
            seconds=round(time.monotonic() - started, 1),
        )
        return len(result.history)

    def test(self, cell: Cell, test_cr: float) -> ScoredFold:
        """Scores the fold's test part at one CR, or reads the scores kept."""
        test = self.folds[cell.fold].test
        expected = ScoredFold(
            labels=self.task.labels[test],
            scores=np.zeros(len(test)),
            groups=self.task.groups[test],
            example_ids=np.asarray(self.task.example_ids)[test],
        )
        kept = self.store.load_scores(cell, test_cr, expected)
        if kept is not None:
            return kept
        views = None
        if self.config.num_test_views:
            views = self._feed(
                [test_cr],
                test,
                seed=derive_seed(self.seed, "test views", cell.fold),
                augment=self.config.augment,
                shuffle=False,
            )
        scores = predict_scores(
            self.reused.load(self.store, cell),
            self._feed([test_cr], test),
            views=views,
            num_views=self.config.num_test_views,
        )
        scored = replace(expected, scores=scores)
        self.store.save_scores(cell, test_cr, scored)
        self._log_test(cell, test_cr, scored)
        return scored

    def _feed(self, cratios, indices, **options):
        return make_feed(
            [self.task.images(cratio) for cratio in cratios],
            indices,
            self.task.labels,
            input_shape=self.task.input_shape,
            batch_size=self.config.batch_size,
            **options,
        )

    def _hparams(self, cell: Cell) -> dict:
        values = {
            "model": cell.model,
            "train_crs": "+".join(f"{cratio:g}" for cratio in cell.train_crs),
            "fold": cell.fold,
            "seed": self.seed,
        }
        return values | _flat(to_plain(self.config))

    def _log_test(self, cell: Cell, test_cr: float, scored: ScoredFold) -> None:
        step = self.store.best_epoch(cell)
        measures = {"auroc": roc_auc_score, "auprc": average_precision_score}
        with CellLog(self.run_dir / "tensorboard" / cell.name) as log:
            log.pr_curve(f"test/cr{test_cr:g}", scored.labels, scored.scores, step=step)
            log.scalars(
                {
                    f"test/{name}_cr{test_cr:g}": measure(scored.labels, scored.scores)
                    for name, measure in measures.items()
                },
                step=step,
            )


def _train_missing(grid: _Grid, test_crs: Mapping[Cell, Sequence[float]]) -> None:
    missing = [cell for cell in test_crs if not grid.store.is_finished(cell)]
    if not missing:
        return
    most = grid.config.epochs
    with progress(description="Training", total=len(missing) * most, unit="epoch") as bar:
        for number, cell in enumerate(missing, start=1):
            bar.set_description(f"Training {number}/{len(missing)}")
            # Epochs saved by stopping early are no work left.
            bar.total -= most - grid.train(cell, bar.update)
            bar.refresh()
            # Now, while the model is at hand; the scores are kept for the table.
            for test_cr in test_crs[cell]:
                grid.test(cell, test_cr)


def _flat(settings: Mapping, prefix: str = "") -> dict:
    """Nested settings as TensorBoard takes them: dotted names, lists as text."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{name}"] = value if plain else str(value)
    return flat


def _settings(task: Task, folds: Sequence[Fold], config: TrainingConfig, seed: int) -> dict:
    """What decides the numbers of every cell, in plain values."""
    data = hashlib.sha256()
    for values in (task.example_ids, task.groups, task.labels):
        data.update("\n".join(map(str, values)).encode() + b"\0")
    for fold in folds:
        for part in (fold.train, fold.validation, fold.test):
            data.update(np.asarray(part, np.int64).tobytes() + b"\0")
    return {
        "task": task.name,
        "input_shape": list(task.input_shape),
        "data_and_folds": data.hexdigest()[:16],
        "seed": seed,
        "training": to_plain(config),
    }


def _check(test_crs: Mapping[Cell, Sequence[float]], folds: Sequence[Fold]) -> None:
    if len({cell.name for cell in test_crs}) != len(test_crs):
        raise UserError("Two cells have the same name; a compression ratio has too many digits.")
    for cell in test_crs:
        if not 0 <= cell.fold < len(folds):
            raise UserError(
                f"A cell's fold must be from 0 to {len(folds) - 1}. Received: {cell.fold}."
            )
        if not cell.train_crs or not cell.model.isidentifier():
            raise UserError(
                "A cell needs a model's name of letters, digits and _, and training CRs. "
                f"Received: {cell}."
            )
