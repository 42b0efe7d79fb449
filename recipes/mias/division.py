"""How images are divided: by patient, which is to be believed, and as the poster seems to have."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.turned import turned_copies
from mammo_tf.training.folds import Fold, SplitConfig, divide
from mammo_tf.training.patch_splits import divide_at_random, split_by_patient
from mammo_tf.training.seeds import derive_seed

SPLITS = ("patient", "poster")
SPLIT_NAMES = {"patient": "by patient", "poster": "poster's kind"}


@dataclass(frozen=True, eq=False)
class Division:
    """The images of a data set, divided.

    Attributes:
        image_ids: (n,) str, the images.
        folds: Their parts, patients kept together.
        is_official: Whether that is the data set's own split into training and test.
        has_official_splits: Whether the data set has one.
    """

    image_ids: np.ndarray
    folds: tuple[Fold, ...]
    is_official: bool = False
    has_official_splits: bool = False

    def folds_of(self, task: Task) -> tuple[Fold, ...]:
        """Returns the folds as indices into the examples of a task."""
        return tuple(split_by_patient(task, self.image_ids, fold) for fold in self.folds)

    def splits(self, asked_for: tuple[str, ...] | None) -> tuple[str, ...]:
        """Returns those of `SPLITS` to run.

        Where nothing is asked for, both; but a data set with a split of its own is only divided
        by patient.
        """
        if asked_for is None:
            return ("patient",) if self.has_official_splits else SPLITS
        return tuple(split for split in SPLITS if split in asked_for)

    def like_poster(self, task: Task, *, repeats: int, seed: int) -> tuple[Task, tuple[Fold, ...]]:
        """Copies examples first, then divides the copies at random: a leak.

        Where the data set's own split is used, its test images give no copy: nothing that is
        labelled test ever trains.

        Args:
            task: The examples to copy.
            repeats: Random divisions.
            seed: Seed of the first one; the others' follow from it.

        Returns:
            Eight copies of each example, and the divisions.
        """
        kept = task.split != "test" if self.is_official else np.ones(len(task), bool)
        copies = turned_copies(task.take(np.flatnonzero(kept & task.evaluated)))
        divisions = [
            divide_at_random(len(copies), derive_seed(seed, "poster", repeat), index=repeat)
            for repeat in range(repeats)
        ]
        return copies, tuple(divisions)


def divide_images(catalog: Catalog, config: SplitConfig, seed: int) -> Division:
    """Divides a data set's images by patient, those with a placed finding shared out evenly.

    Where every image has one, malignant images are shared out instead.

    Args:
        catalog: Any data set's.
        config: How many folds, or the data set's own split.
        seed: Seed of the division.

    Raises:
        UserError: If there are too few patients.
    """
    labels = np.array([int(bool(image.placed_findings)) for image in catalog.images])
    if labels.all():
        labels = np.array([int(image.label == "malignant") for image in catalog.images])
    folds = divide(
        labels,
        catalog.patients,
        [image.split for image in catalog.images],
        config,
        has_official_splits=catalog.has_official_splits,
        seed=seed,
    )
    return Division(
        image_ids=np.array([image.image_id for image in catalog.images]),
        folds=folds,
        is_official=config.is_official(catalog.has_official_splits),
        has_official_splits=catalog.has_official_splits,
    )


def check_splits(splits: tuple[str, ...] | None) -> None:
    """Raises UserError unless these are different ones of `SPLITS`, or None."""
    if splits is None:
        return
    if not splits or len(set(splits)) != len(splits) or not set(splits) <= set(SPLITS):
        raise UserError(f"`splits` must be of {', '.join(SPLITS)}. Received: {splits}.")
