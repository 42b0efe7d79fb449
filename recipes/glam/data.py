"""Images, labels and masks of a run, and their division by patient."""

import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import segmentation
from mammo_tf.recipes.glam.config import GlamConfig
from mammo_tf.training.folds import Fold, divide

CLASSES = ("benign", "malignant")
ANY = "any lesion"


def cut_images(config: GlamConfig, data: OpenData) -> tuple[Task, tuple[Fold, ...]]:
    """Returns the images of a data set, with labels and masks, and their division by patient.

    Raises:
        UserError: If the data set lacks what is needed.
    """
    plan = segmentation(data.catalog, shape=config.network.image_shape, with_unplaced=True)
    task = make_task(
        plan, data.catalog, data.builder, cratios=config.cratios, cache_dir=data.cache_dir
    )
    folds = divide(
        (task.labels == 2).astype(int),
        task.groups,
        task.split,
        config.split,
        has_official_splits=task.has_official_splits,
        seed=config.seed,
    )
    return task, folds


def image_labels(task: Task) -> np.ndarray:
    """Returns (n, 2) int: whether an image has a benign finding, and a malignant one."""
    found = [
        [label in finding_labels or worst == label for label in (1, 2)]
        for finding_labels, worst in zip(task.box_labels, task.labels, strict=True)
    ]
    return np.array(found, int).reshape(-1, 2)


def lesion_mask(task: Task, row: int, name: str) -> np.ndarray:
    """Returns (height, width) bool: an image's lesions of a class, or of `ANY`.

    Args:
        task: See `cut_images`.
        row: The image.
        name: Of `CLASSES`, or `ANY`.
    """
    bits = np.asarray(task.masks[row])
    if name == ANY:
        return bits > 0
    label = CLASSES.index(name) + 1
    wanted = sum(1 << bit for bit, found in enumerate(task.box_labels[row]) if found == label)
    return bits & np.uint16(wanted) > 0


def is_marked(task: Task, row: int) -> bool:
    """Whether every lesion of an image has a place and a label, so that a network can learn it."""
    labels, boxes = task.box_labels[row], task.boxes[row]
    if task.labels[row] and not len(labels):
        return False
    return bool((labels > 0).all() and (boxes[:, 2] > boxes[:, 0]).all())
