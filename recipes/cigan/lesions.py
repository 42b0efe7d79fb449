"""The classifiers' task: patches with a lesion, malignant against benign."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.task import Task
from mammo_tf.training.folds import Fold


def lesion_task(task: Task, folds: Sequence[Fold]) -> tuple[Task, tuple[Fold, ...]]:
    """Takes the lesion patches of ciGAN's task, and what is left of its folds.

    Args:
        task: See `mammo_tf.training.cigan_run.cut_patches`; 0 normal, 1 benign, 2 malignant.
        folds: Its division by patient.

    Returns:
        The task of two classes, and the same folds as rows of it.

    Raises:
        UserError: If a part of a fold has no patch of one class.
    """
    rows = np.flatnonzero(task.labels > 0)
    place = np.full(len(task), -1)
    place[rows] = np.arange(len(rows))
    lesions = dataclasses.replace(
        task.take(rows), labels=task.labels[rows] - 1, class_names=("benign", "malignant")
    )
    divided = []
    for fold in folds:
        parts = {}
        for name in ("train", "validation", "test"):
            found = place[getattr(fold, name)]
            parts[name] = found[found >= 0]
            counts = np.bincount(lesions.labels[parts[name]], minlength=2)
            if not counts.all():
                raise UserError(
                    f"Fold {fold.index} needs benign and malignant patches in its {name} part. "
                    f"Received: {counts[0]} and {counts[1]}. Take fewer --folds, more patches or a "
                    "larger `split.validation_fraction`."
                )
        divided.append(dataclasses.replace(fold, **parts))
    return lesions, tuple(divided)


def resized(task: Task, size: int | None) -> Task:
    """Returns a task whose patches have another side; None for the same. All are in memory then."""
    images = task.images(1)
    if size in (None, task.input_shape[0]):
        whole = np.asarray(images)
    else:
        whole = np.stack([geometry.resize(np.asarray(image), size, size) for image in images])
    return dataclasses.replace(
        task,
        images=lambda cratio: whole,
        input_shape=whole.shape[1:],
        masks=None,
        boxes=None,
        box_labels=None,
    )
