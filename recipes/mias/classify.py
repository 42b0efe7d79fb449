"""Trains and tests the three-class classifier: each way to cut, each way to split, each fold."""

import functools
import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from mammo_tf.config import to_plain
from mammo_tf.errors import UserError
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.mias_films import Films
from mammo_tf.pipelines.mias_patches import CLASSES, PatchSet
from mammo_tf.progress import progress
from mammo_tf.recipes.mias.classify_config import (
    CUTS,
    ClassifyConfig,
    cut_patches,
    make_classifier,
)
from mammo_tf.recipes.mias.classify_store import (
    ClassifyFold,
    cell_of,
    load_predictions,
    read_record,
    save_predictions,
)
from mammo_tf.training.fit import fit_classifier, predict_scores
from mammo_tf.training.folds import Fold
from mammo_tf.training.patch_splits import split_by_woman, split_like_poster
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.store import CellStore, derive_seed
from mammo_tf.training.tensorboard_log import CellLog


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassifyResult:
    """The scored test parts of one variant under one split.

    Attributes:
        variant: As "centred128".
        split: "woman", or "poster", whose scores are not to be believed.
        folds: One `ClassifyFold` a fold, or a random division.
        patch_size: Side of the patches in pixels of the film.
        num_patches: Patches cut: (normal, benign, malignant), those that only train among them.
        num_parameters: Of the network.
        seconds: What training took, all folds together; kept from the run that did it.
    """

    variant: str
    split: str
    folds: tuple[ClassifyFold, ...]
    patch_size: int
    num_patches: tuple[int, int, int]
    num_parameters: int
    seconds: float


def classify(
    films: Films,
    folds: Sequence[Fold],
    config: ClassifyConfig,
    run_dir: str | Path,
    seed: int,
) -> list[ClassifyResult]:
    """Trains a network for each variant, split and fold, and scores its test part.

    The run folder keeps `cells/<name>/` (weights, history.json, cell.json, predictions/test.csv)
    and `tensorboard/<name>/`. Called again, after a kill too, it does only what is missing and
    ends with the same numbers: a model's seed follows from `seed` and its name.

    Args:
        films: All films.
        folds: Parts of films, women kept together; the split by woman uses them.
        config: What to cut and how to train.
        run_dir: The run folder, of one process at a time.
        seed: Seed of the run.

    Returns:
        The results by variant, then split.

    Raises:
        UserError: If a kept model was trained with other settings, or a training diverges.
        DataError: If the films cannot be cut as asked for.
    """
    reused = ReusedModel(functools.partial(make_classifier, config), config.training)
    groups = [
        group
        for variant in config.variants
        for group in _groups(films, folds, config, Path(run_dir), seed, variant, reused)
    ]
    _train_missing(groups, config.training.epochs)
    cells = [(group, index) for group in groups for index in range(group.num_folds)]
    tested: dict[str, list[ClassifyFold]] = {}
    with progress(cells, description="Testing patches", unit="model") as bar:
        for group, index in bar:
            tested.setdefault(group.name, []).append(group.test(index))
    return [group.result(tested[group.name]) for group in groups]


@dataclass(kw_only=True, eq=False)
class _Group:
    """The cells of one variant under one split; all groups share one model."""

    variant: str
    split: str
    patches: PatchSet
    folds: Sequence[Fold]  # of patches, for the split by woman
    num_folds: int
    config: ClassifyConfig
    run_dir: Path
    seed: int
    store: CellStore
    reused: ReusedModel

    @property
    def name(self) -> str:
        return f"{self.variant}_{self.split}"

    def parts(self, index: int) -> tuple[PatchSet, Fold]:
        """The patches and their parts. The poster's copies are many, so they are made anew."""
        if self.split == "woman":
            return self.patches, self.folds[index]
        return split_like_poster(
            self.patches, seed=derive_seed(self.seed, "poster", index), index=index
        )

    def is_finished(self, index: int) -> bool:
        return self.store.is_finished(cell_of(self.variant, self.split, index))

    def train(self, index: int, on_epoch: Callable[[], object]) -> int:
        """Trains a cell, keeps and tests it. Returns the number of epochs it took."""
        started = time.monotonic()
        cell, training = cell_of(self.variant, self.split, index), self.config.training
        seed = derive_seed(self.seed, cell.name)
        log_dir = self.run_dir / "tensorboard" / cell.name
        shutil.rmtree(log_dir, ignore_errors=True)
        patches, fold = self.parts(index)
        model = self.reused.start_anew(seed)
        result = fit_classifier(
            model,
            self._feed(patches, fold.train, seed=seed, augment=training.augment),
            self._feed(patches, fold.validation),
            training,
            seed=seed,
            train_labels=patches.labels[fold.train],
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
            model_config=model.get_config(),
        )
        self.test(index, patches, fold)
        return len(result.history)

    def test(
        self, index: int, patches: PatchSet | None = None, fold: Fold | None = None
    ) -> ClassifyFold:
        """Scores the test part of a trained cell, or reads the scores kept."""
        cell, training = cell_of(self.variant, self.split, index), self.config.training
        if patches is None:
            patches, fold = self.parts(index)
        test = fold.test
        expected = ClassifyFold(
            labels=patches.labels[test],
            probabilities=np.zeros((len(test), len(CLASSES))),
            groups=patches.patients[test],
            example_ids=np.asarray(patches.example_ids)[test],
        )
        kept = load_predictions(self.store, cell, expected)
        if kept is not None:
            return kept
        views = None
        if training.num_test_views:
            seed = derive_seed(self.seed, "test views", cell.name)
            views = self._feed(patches, test, seed=seed, augment=training.augment, shuffle=False)
        probabilities = predict_scores(
            self.reused.load(self.store, cell),
            self._feed(patches, test),
            views=views,
            num_views=training.num_test_views,
        )
        scored = replace(expected, probabilities=probabilities)
        save_predictions(self.store, cell, scored)
        self._log_test(index, scored)
        return scored

    def result(self, folds: Sequence[ClassifyFold]) -> ClassifyResult:
        cells = [cell_of(self.variant, self.split, index) for index in range(self.num_folds)]
        records = [read_record(self.store, cell) for cell in cells]
        return ClassifyResult(
            variant=self.variant,
            split=self.split,
            folds=tuple(folds),
            patch_size=CUTS[self.variant].patch_size,
            num_patches=tuple(np.bincount(self.patches.labels, minlength=len(CLASSES)).tolist()),
            num_parameters=records[0]["num_parameters"],
            seconds=round(sum(record["seconds"] for record in records), 1),
        )

    def _feed(self, patches: PatchSet, indices, **options):
        return make_feed(
            [patches.pixels],
            indices,
            patches.labels,
            input_shape=(patches.input_size, patches.input_size),
            batch_size=self.config.training.batch_size,
            **options,
        )

    def _log_test(self, index: int, scored: ClassifyFold) -> None:
        cell = cell_of(self.variant, self.split, index)
        lesion = scored.labels > 0
        if lesion.all() or not lesion.any():
            return  # no AUROC
        scores = 1 - scored.probabilities[:, 0]
        step = self.store.best_epoch(cell)
        with CellLog(self.run_dir / "tensorboard" / cell.name) as log:
            log.pr_curve("test/lesion", lesion, scores, step=step)
            log.scalars({"test/lesion_auroc": roc_auc_score(lesion, scores)}, step=step)


def _groups(films, folds, config, run_dir, seed, variant, reused) -> list[_Group]:
    patches = cut_patches(films, variant, config, seed=derive_seed(seed, "patches", variant))
    divided = tuple(split_by_woman(patches, fold) for fold in folds)
    return [
        _Group(
            variant=variant,
            split=split,
            patches=patches,
            folds=divided,
            num_folds=len(folds) if split == "woman" else config.poster_repeats,
            config=config,
            run_dir=run_dir,
            seed=seed,
            store=CellStore(run_dir, _settings(patches, folds, config, seed, variant, split)),
            reused=reused,
        )
        for split in config.splits
        if split == "woman" or variant in config.poster_variants
    ]


def _train_missing(groups: Sequence[_Group], most: int) -> None:
    missing = [
        (group, index)
        for group in groups
        for index in range(group.num_folds)
        if not group.is_finished(index)
    ]
    if not missing:
        return
    bar = progress(description="Training patches", total=len(missing) * most, unit="epoch")
    with bar:
        for number, (group, index) in enumerate(missing, start=1):
            bar.set_description(f"Training patches {number}/{len(missing)}")
            # Epochs saved by stopping early are no work left.
            bar.total -= most - group.train(index, bar.update)
            bar.refresh()


def _settings(patches: PatchSet, folds, config: ClassifyConfig, seed, variant, split) -> dict:
    """What decides the numbers of every cell of a variant and split, in plain values."""
    if split == "woman" and not folds:
        raise UserError("`folds` must hold at least one fold for the split by woman.")
    data = hashlib.sha256()
    data.update("\n".join([*patches.example_ids, *patches.patients]).encode() + b"\0")
    for values in (patches.labels, patches.film_index, patches.evaluated, patches.pixels):
        data.update(np.ascontiguousarray(values).tobytes() + b"\0")
    for fold in folds if split == "woman" else ():
        for part in (fold.train, fold.validation, fold.test):
            data.update(np.asarray(part, np.int64).tobytes() + b"\0")
    plain = to_plain(config)
    # The others say which patches there are, which `data` knows, or which cells to train.
    names = ("input_size", "separable", "stackwise_num_filters", "kernel_size", "pooling")
    return {
        "variant": variant,
        "split": split,
        "data_and_folds": data.hexdigest()[:16],
        "seed": seed,
        **{name: plain[name] for name in (*names, "training")},
    }
