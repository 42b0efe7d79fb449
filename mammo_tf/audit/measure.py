"""What a leak is worth: a small classifier trained on a split, and on one by patient. TensorFlow.

Both ways score the same test examples, those of the split's test part, in K folds by patient. By
patient, fold k's network learns from other patients than those it is tested on. On the split, it
learns from the split's training part, whoever is in it. Networks, seeds and settings are the same,
and no network by patient learns from more examples than one on the split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation import Estimate, ScoredFold
from mammo_tf.evaluation.repeats import mean_auroc_difference_over_repeats, mean_auroc_over_repeats
from mammo_tf.models.registry import ModelConfig, build_model
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.turned import turned_copies
from mammo_tf.progress import progress
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.fit import fit_classifier, predict_scores
from mammo_tf.training.folds import Fold, make_folds
from mammo_tf.training.patch_splits import divide_at_random
from mammo_tf.training.reused_model import ReusedModel
from mammo_tf.training.seeds import derive_seed

NUM_FOLDS = 5
PARTS = ("train", "validation", "test")
TRAINING = TrainingConfig(
    epochs=12,
    batch_size=64,
    learning_rate=3e-3,
    schedule="cosine",
    warmup_epochs=1,
    patience=None,
)


@dataclass(frozen=True, kw_only=True)
class LeakWorth:
    """What a leak is worth.

    Attributes:
        task: What the classifier tells apart.
        num_test: Test examples.
        on_split: AUROC, trained on the split.
        by_patient: AUROC on the same examples, trained on other patients.
        difference: The first less the second, paired by example: what the leak is worth.
        num_repeats: Trainings of each network. With one the intervals hold the patients only.
    """

    task: str
    num_test: int
    on_split: Estimate
    by_patient: Estimate
    difference: Estimate
    num_repeats: int

    def describe(self) -> dict:
        """Returns it as values that JSON can hold."""
        names = ("on_split", "by_patient", "difference")
        numbers = {name: getattr(self, name) for name in names}
        return {
            "task": self.task,
            "num_test": self.num_test,
            "num_repeats": self.num_repeats,
            **{name: [one.value, one.low, one.high] for name, one in numbers.items()},
        }


def task_of(
    opened: OpenData, scheme: str, parts: dict[str, str], *, seed: int = 1
) -> tuple[Task, np.ndarray]:
    """Returns the examples of the data set's own task, and the part of each.

    Args:
        opened: The data set.
        scheme: See `mammo_tf.audit.dataset.split_of`. With "poster" the examples themselves are
            copied and divided, as `recipe mias` does for its classifier.
        parts: Part of each image by its id; not used with "poster".
        seed: Seed of what is drawn.

    Returns:
        The task, and (n,) str.

    Raises:
        UserError: If the data set serves no task of two classes.
    """
    task = opened.binary_task("auto", seed=seed)
    task = task.take(np.flatnonzero(task.evaluated))
    if scheme != "poster":
        return task, np.array([parts[image] for image in task.image_ids.tolist()])
    copies = turned_copies(task)
    fold = divide_at_random(len(copies), derive_seed(seed, "poster", 0))
    found = np.empty(len(copies), object)
    for name in PARTS:
        found[getattr(fold, name)] = name
    return copies, found.astype(str)


def measure_leak(
    task: Task,
    parts: Sequence[str],
    *,
    seed: int = 1,
    num_repeats: int = 1,
    num_folds: int = NUM_FOLDS,
    model: ModelConfig | None = None,
    training: TrainingConfig = TRAINING,
) -> LeakWorth:
    """Trains a small classifier on a split and by patient.

    Args:
        task: Examples of two classes.
        parts: (n,) the part of each: "train", "test" and perhaps "validation"; without it, an
            eighth of the training part is set aside at random.
        seed: Seed of folds and trainings.
        num_repeats: Trainings of each network.
        num_folds: Folds by patient.
        model: The network; None means CNN3.
        training: How to train.

    Raises:
        UserError: If there are too few patients, or a part lacks a class.
    """
    pairs = list_pairs(task, parts, seed=seed, num_folds=num_folds)
    model = model or ModelConfig()
    reused = ReusedModel(lambda: build_model(model, image_shape=(*task.input_shape, 1)), training)
    ways: tuple[list, list] = ([], [])
    total = 2 * num_repeats * len(pairs) * training.epochs
    with progress(description="Training", total=total, unit="epoch") as bar:
        for repeat in range(num_repeats):
            for way, scored in enumerate(ways):
                scored.append(
                    [
                        _score(reused, task, pair[way], training, bar, (seed, repeat))
                        for pair in pairs
                    ]
                )
    return LeakWorth(
        task=task.name,
        num_test=sum(len(pair[0].test) for pair in pairs),
        on_split=mean_auroc_over_repeats(ways[0]),
        by_patient=mean_auroc_over_repeats(ways[1]),
        difference=mean_auroc_difference_over_repeats(*ways),
        num_repeats=num_repeats,
    )


def list_pairs(
    task: Task, parts: Sequence[str], *, seed: int, num_folds: int = NUM_FOLDS
) -> list[tuple[Fold, Fold]]:
    """Returns (on the split, by patient) for each fold, with one test part.

    Args:
        task: As in `measure_leak`.
        parts: Likewise.
        seed: Likewise.
        num_folds: Likewise.

    Raises:
        UserError: As `measure_leak`.
    """
    parts = np.asarray(parts)
    own = {name: np.flatnonzero(parts == name) for name in PARTS}
    rng = np.random.default_rng(derive_seed(seed, "what a leak is worth"))
    if not own["validation"].size:
        aside = rng.choice(own["train"], max(1, len(own["train"]) // 8), replace=False)
        own["validation"] = np.sort(aside)
        own["train"] = np.setdiff1d(own["train"], aside)
    pairs = []
    for fold in make_folds(task.labels, task.groups, num_folds=num_folds, seed=seed):
        test = np.intersect1d(fold.test, own["test"])
        train = fold.train
        if len(train) > len(own["train"]):
            train = np.sort(rng.choice(train, len(own["train"]), replace=False))
        pairs.append(
            (
                Fold(fold.index, own["train"], own["validation"], test),
                Fold(fold.index, train, fold.validation, test),
            )
        )
    for fold in (fold for pair in pairs for fold in pair):
        for name in PARTS:
            if len(np.unique(task.labels[getattr(fold, name)])) < 2:
                raise UserError(
                    f"The {name} part has no example of one class in fold {fold.index + 1} of "
                    f"{num_folds}, so the leak cannot be measured. Use a larger split."
                )
    return pairs


def _score(reused, task: Task, fold: Fold, training, bar, seeds) -> ScoredFold:
    seed = derive_seed(seeds[0], "training", fold.index, seeds[1])
    images = [task.images(1)]
    options = {"input_shape": task.input_shape, "batch_size": training.batch_size}
    model = reused.start_anew(seed)
    fit_classifier(
        model,
        make_feed(images, fold.train, task.labels, seed=seed, **options),
        make_feed(images, fold.validation, task.labels, **options),
        training,
        seed=seed,
        train_labels=task.labels[fold.train],
        on_epoch=lambda _entry: bar.update(),
        compiled=True,
    )
    scores = predict_scores(model, make_feed(images, fold.test, task.labels, **options))
    return ScoredFold(
        labels=task.labels[fold.test],
        scores=scores,
        groups=task.groups[fold.test],
        example_ids=np.asarray(task.example_ids)[fold.test],
    )
