"""Cells of classifiers: how one is trained on some compression ratios and tested on another."""

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.config import to_plain
from mammo_tf.evaluation import ScoredFold
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.mixing import mix_synthetic
from mammo_tf.pipelines.task import Task
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import fit_classifier, predict_scores
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.seeds import derive_seed
from mammo_tf.training.store import Cell, CellStore
from mammo_tf.training.tensorboard_log import CellLog

# A seed follows from this text, so that it stays as it is however the setting is called.
SEED_OF_COPIES = "test views"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassifierCells:
    """What the cells of one task share.

    Attributes:
        task: Examples and images.
        config: How to train.
        run_dir: The run folder, of one process at a time.
        seed: Of the run; a cell's own follows from it, see `Cell.seed`.
        store: Where cells are kept.
        reused: The model that all cells take turns with.
    """

    task: Task
    config: TrainingConfig
    run_dir: Path
    seed: int
    store: CellStore
    reused: ReusedModel

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Names of the scores that are kept of an example."""
        names = self.task.class_names
        return ("score",) if len(names) == 2 else tuple(f"p_{name}" for name in names)

    def train(
        self, cell: Cell, fold: Fold, cratios: Sequence[float], on_epoch: Callable[[], object]
    ) -> int:
        """Trains a cell and keeps it. Returns the epochs it took.

        It learns from the union of `cratios`; or, where the augmentation has ratios of its own,
        from each example once a pass at one of those; with synthetic patches among them where the
        augmentation says so. It is validated on the union of `cratios`.
        """
        started = time.monotonic()
        seed = cell.seed(self.seed)
        log_dir = self._log_dir(cell)
        shutil.rmtree(log_dir, ignore_errors=True)
        augment = self.config.augment
        images, train, labels = mix_synthetic(
            self.task,
            [self.task.images(cratio) for cratio in augment.cratios or cratios],
            fold,
            augment,
            seed,
        )
        model = self.reused.start_anew(seed)
        result = fit_classifier(
            model,
            make_feed(
                images,
                train,
                labels,
                input_shape=self.task.input_shape,
                batch_size=self.config.batch_size,
                seed=seed,
                augment=augment,
                draw=bool(augment.cratios),
            ),
            self._feed(cratios, fold.validation),
            self.config,
            seed=seed,
            train_labels=labels[train],
            log_dir=log_dir,
            on_epoch=lambda entry: on_epoch(),
            compiled=True,
        )
        self.reused.save(
            self.store,
            cell,
            list(result.history),
            best_epoch=result.best_epoch,
            seconds=round(time.monotonic() - started, 1),
            num_parameters=model.count_params(),
            num_synthetic=len(train) - len(fold.train),
            model_config=model.get_config(),
        )
        return len(result.history)

    def test(
        self,
        cell: Cell,
        fold: Fold,
        cratio: float,
        *,
        train_crs: Sequence[float],
        name: str,
        part: str = "test",
    ):
        """Scores the fold's test part at one ratio, or reads the scores kept.

        Args:
            cell: A finished cell.
            fold: Its fold.
            cratio: Compression ratio of the test images.
            name: Of the file of predictions.
            part: "test", or "validation", which TensorBoard does not show as a test.

        Returns:
            A `ScoredFold`; its scores are (n,) for two classes, else (n, K) probabilities.
        """
        test, columns = getattr(fold, part), self.score_columns
        shape = (len(test),) if len(columns) == 1 else (len(test), len(columns))
        expected = ScoredFold(
            labels=self.task.labels[test],
            scores=np.zeros(shape),
            groups=self.task.groups[test],
            example_ids=np.asarray(self.task.example_ids)[test],
        )
        kept = self.store.load_scores(cell, name, expected, columns)
        if kept is not None:
            return kept
        copies = None
        if self.config.num_test_copies:
            seed = derive_seed(self.seed, SEED_OF_COPIES, cell.fold, cell.repeat)
            augment = self.config.augment
            copies = self._feed([cratio], test, seed=seed, augment=augment, shuffle=False)
        scores = predict_scores(
            self.reused.load(self.store, cell),
            self._feed([cratio], test),
            copies=copies,
            num_copies=self.config.num_test_copies,
        )
        scored = replace(expected, scores=scores)
        self.store.save_scores(cell, name, scored, columns)
        if part == "test":
            hparams = self._hparams(cell, train_crs) | {"test_cr": float(cratio)}
            self._log_test(cell, name, scored, hparams)
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

    def _log_dir(self, cell: Cell) -> Path:
        return self.run_dir / "tensorboard" / cell.name

    def _hparams(self, cell: Cell, cratios: Sequence[float]) -> dict:
        values = {
            "model": cell.model,
            "train_crs": "+".join(map(format_cratio, cratios)),
            "fold": cell.fold,
            "repeat": cell.repeat,
            "seed": self.seed,
        }
        return values | _flat(to_plain(self.config))

    def _log_test(self, cell: Cell, name: str, scored: ScoredFold, hparams: Mapping) -> None:
        """A run of its own for each test, so that all compression ratios share the same tags.

        The curves are of the positive class; with more than two classes, of all but the first.
        """
        positive = scored.labels > 0
        if positive.all() or not positive.any():
            return
        scores = scored.scores if scored.scores.ndim == 1 else 1 - scored.scores[:, 0]
        step = self.store.best_epoch(cell)
        measures = {"auroc": roc_auc_score, "auprc": average_precision_score}
        folder = self._log_dir(cell) / f"test_{name}"
        shutil.rmtree(folder, ignore_errors=True)
        with CellLog(folder) as log:
            log.hparams(hparams, name=f"{cell.name}-{name}")
            log.pr_curve("test", positive, scores, step=step)
            values = {f"test/{key}": measure(positive, scores) for key, measure in measures.items()}
            log.scalars(values, step=step)


def data_and_folds(task: Task, folds: Sequence[Fold]) -> str:
    """Returns 16 hexadecimal digits that change with the examples, their labels or the folds."""
    data = hashlib.sha256()
    for values in (task.example_ids, task.groups, task.labels, task.evaluated.astype(int)):
        data.update("\n".join(map(str, values)).encode() + b"\0")
    for fold in folds:
        for part in (fold.train, fold.validation, fold.test):
            data.update(np.asarray(part, np.int64).tobytes() + b"\0")
    return data.hexdigest()[:16]


def _flat(settings: Mapping, prefix: str = "") -> dict:
    """Nested settings as TensorBoard takes them: dotted names, lists as text, nothing for None.

    "None" as a text would make a column of numbers one of texts, which TensorBoard cannot filter.
    """
    flat = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{name}"] = value if plain else str(value)
    return flat
