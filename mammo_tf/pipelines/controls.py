"""What synthetic patches are compared with: pasted lesions and repeated ones, without a network."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.infill import from_unit_range, unit_range, zoom_about
from mammo_tf.pipelines.mixing import Appended
from mammo_tf.pipelines.synthesis import (
    SYNTHETIC_CLASSES,
    SyntheticPatches,
    as_patches,
    choose_pairs,
)
from mammo_tf.pipelines.synthetic_set import check_patients
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks.patches import CLASSES

EDGE_SHARE = 1 / 64  # σ of a pasted lesion's soft edge against the side of a patch


def copy_paste(
    task: Task,
    train,
    *,
    count: int,
    label: str,
    seed: int,
    zoom_range: tuple[float, float] = (0.9, 1.1),
) -> SyntheticPatches:
    """Pastes real lesions on normal patches: what ciGAN is given, without the network.

    The normal patches and outlines are those that `synthesize` chooses with the same seed. A lesion
    keeps its grey levels; its edge is blurred with σ of a 64th of the side. Not in the paper.

    Args:
        task: Made from the plan `gan_patches`, with images at CR 1.
        train: (m,) int, the examples that may be used.
        count: Patches to make.
        label: "benign" or "malignant".
        seed: Seed of the choice.
        zoom_range: (lowest, highest) magnification of a lesion.

    Returns:
        The patches, of the task's type.

    Raises:
        UserError: As `synthesize`.
    """
    pairs = choose_pairs(task, train, count=count, label=label, seed=seed, zoom_range=zoom_range)
    images = task.images(1)
    pasted = [_paste(images, task.masks, pair) for pair in pairs]
    made = from_unit_range(np.stack(pasted), images.dtype.type)
    return as_patches(task, train, pairs, label, made)


def oversample(task: Task, train, *, count: int, label: str, seed: int) -> SyntheticPatches:
    """Repeats real patches of one class, all of them before one is taken again.

    They are no synthetic images; the type only carries them to the same place.

    Args:
        task: Made from the plan `gan_patches`, with images at CR 1.
        train: (m,) int, the examples that may be used.
        count: Patches to take.
        label: "benign" or "malignant".
        seed: Seed of the order.

    Raises:
        UserError: If the training part has none of the class.
    """
    check_choice("class", label, SYNTHETIC_CLASSES)
    check_range("count", count, 1, 1_000_000)
    train = np.asarray(train, int)
    rows = train[task.labels[train] == CLASSES.index(label)]
    if not len(rows):
        raise UserError(f"Oversampling needs patches of the class '{label}' in the training part.")
    chosen = np.resize(np.random.default_rng([seed, 5]).permutation(rows), count)
    ids, images = np.array(task.example_ids), task.images(1)
    return SyntheticPatches(
        images=np.stack([images[row] for row in chosen]),
        masks=np.stack([np.asarray(task.masks[row]) != 0 for row in chosen]),
        labels=np.full(count, label),
        normal_ids=ids[chosen],
        lesion_ids=ids[chosen],
        patients=tuple(sorted(set(task.groups[train].tolist()))),
    )


def join_patches(parts: Sequence[SyntheticPatches]) -> SyntheticPatches:
    """Returns several sets of one shape as one, in their order."""
    names = ("images", "masks", "labels", "normal_ids", "lesion_ids")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    patients = sorted({patient for part in parts for patient in part.patients})
    return SyntheticPatches(**arrays, patients=tuple(patients))


def extend_task(
    task: Task, folds: Sequence, extra: Sequence[SyntheticPatches], name: str
) -> tuple[Task, tuple]:
    """Adds patches to the training parts of a task's folds; validation and test stay as they are.

    Args:
        task: Patches of two classes, the second one malignant.
        folds: Its division, see `mammo_tf.training.folds.Fold`.
        extra: Patches for each fold, in order.
        name: What the patches are, for their ids.

    Returns:
        The task with all patches behind its own examples, and the folds that train on theirs.

    Raises:
        UserError: If a fold's patches come from a patient of its validation or test part.
    """
    for fold, patches in zip(folds, extra, strict=True):
        held_out = task.groups[np.concatenate([fold.validation, fold.test])]
        check_patients(patches, held_out, f"The set '{name}' of fold {fold.index}")
    counts = [len(patches) for patches in extra]
    starts = len(task) + np.cumsum([0, *counts])
    images = np.concatenate([patches.images for patches in extra])
    labels = np.concatenate([patches.labels for patches in extra])
    shape, total = task.input_shape, sum(counts)

    def images_at(cratio):
        array = task.images(cratio)
        return Appended(array, images, np.arange(total), shape, array.shape[1:])

    added = [f"{name}-{number:06}" for number in range(total)]
    extended = dataclasses.replace(
        task,
        example_ids=(*task.example_ids, *added),
        image_ids=np.concatenate([task.image_ids, added]),
        groups=np.concatenate([task.groups, added]),
        labels=np.concatenate([task.labels, (labels == "malignant").astype(int)]),
        evaluated=np.concatenate([task.evaluated, np.zeros(total, bool)]),
        split=np.concatenate([task.split, np.full(total, "train")]),
        shapes=np.concatenate([task.shapes, np.full((total, 2), shape)]),
        images=images_at,
        masks=None,
        boxes=None,
        box_labels=None,
        subgroups={},
    )
    trained = tuple(
        dataclasses.replace(fold, train=np.concatenate([fold.train, np.arange(start, end)]))
        for fold, start, end in zip(folds, starts[:-1], starts[1:], strict=True)
    )
    return extended, trained


def _paste(images, masks, pair) -> np.ndarray:
    """(height, width) float32 in [0, 1]."""
    normal, source = (unit_range(np.asarray(images[row])) for row in (pair.normal, pair.lesion))
    outline = np.asarray(masks[pair.lesion]) != 0
    lesion = zoom_about(source, outline, pair.zoom)
    weight = ndimage.gaussian_filter(pair.mask.astype(np.float32), len(normal) * EDGE_SHARE)
    weight *= pair.mask  # nothing of the lesion's own surroundings
    return weight * lesion + (1 - weight) * normal
