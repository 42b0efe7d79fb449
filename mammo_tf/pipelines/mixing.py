"""Mixes synthetic patches into the training images of any task of patches."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.synthesis import SyntheticPatches
from mammo_tf.pipelines.task import Lazy, Task

# Names of the tasks whose examples are patches, as `Task.name` has them.
PATCHES = ("gan", "lesion", "patch", "sliding")


def synthetic_settings(task: Task, folds: Sequence, augment: AugmentConfig) -> dict:
    """Returns what the synthetic images of a training add to a cell's settings; mostly nothing.

    What cannot be mixed is told of now, before anything is trained.

    Args:
        task: The examples.
        folds: Objects with `index`, `validation` and `test`, see `mammo_tf.training.folds.Fold`.
        augment: What to add.

    Raises:
        UserError: If the task is not one of patches, there is no synthetic data set, or the network
            that made it knew a patient of a fold's validation or test part.
        DataError: If the set is damaged.
    """
    if augment.synthetic is None:
        return {}
    digest = hashlib.sha256()
    for fold in folds:
        patches = _read_for(task, fold, augment)
        digest.update(np.ascontiguousarray(patches.images))
        digest.update("\n".join([*patches.labels, *patches.patients]).encode())
    return {"synthetic": digest.hexdigest()[:16]}


def mix_synthetic(
    task: Task,
    arrays: Sequence[np.ndarray],
    fold,
    augment: AugmentConfig,
    seed: int,
) -> tuple[list, np.ndarray, np.ndarray]:
    """Adds synthetic patches to a training part; without `augment.synthetic` adds nothing.

    Of all training images `augment.synthetic_share` are synthetic then. They are drawn from the set
    without order; a set that is too small is used again and again. A malignant patch has the class
    "malignant" (or "lesion"), a benign one "benign", "lesion" or else the first class. Patches are
    scaled to the network's input; the margin of stored images is their mirror image. They are
    added at every compression ratio alike, as they are.

    Args:
        task: Patches; validation and test images stay the task's own.
        arrays: The training images, one array (n, height, width) a compression ratio.
        fold: The examples of each part, see `mammo_tf.training.folds.Fold`.
        augment: What to add.
        seed: Seed of the draw.

    Returns:
        The arrays, the indices and (n + k,) labels to train on, k of them synthetic.

    Raises:
        UserError: If the task is not one of patches, or the network that made them knew a patient
            of the validation or test part.
        DataError: If the set is damaged.
    """
    arrays, train = list(arrays), np.asarray(fold.train, int)
    if augment.synthetic is None:
        return arrays, train, task.labels
    patches = _read_for(task, fold, augment)
    count = round(len(train) * augment.synthetic_share / (1 - augment.synthetic_share))
    drawn = np.resize(np.random.default_rng([seed, 3]).permutation(len(patches)), count)
    labels = np.array([_label(name, task.class_names) for name in patches.labels[drawn]], int)
    mixed = [
        Appended(array, patches.images, drawn, task.input_shape, array.shape[1:])
        for array in arrays
    ]
    indices = np.concatenate([train, len(task) + np.arange(count)])
    return mixed, indices, np.concatenate([task.labels, labels])


class Appended(Lazy):
    """An array with synthetic patches behind it, each fitted when it is read.

    Args:
        array: (n, height, width) uint8 or uint16.
        patches: (k, side, side) uint8 or uint16.
        drawn: (m,) int, which patches follow, in their order.
        input_shape: (height, width) that a patch is scaled to.
        stored_shape: That of `array`; what is wider than the input is mirrored.
    """

    def __init__(self, array, patches: np.ndarray, drawn: np.ndarray, input_shape, stored_shape):
        super().__init__(array)
        self._patches, self._drawn = patches, drawn
        self._input_shape, self._stored_shape = input_shape, stored_shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n + m, height, width)."""
        return (len(self._array) + len(self._drawn), *self._stored_shape)

    def __getitem__(self, index):
        own = int(index) - len(self._array)
        if own < 0:
            return self._array[index]
        patch = geometry.resize(self._patches[self._drawn[own]], *self._input_shape)
        margins = [
            ((stored - seen) // 2, stored - seen - (stored - seen) // 2)
            for stored, seen in zip(self._stored_shape, self._input_shape, strict=True)
        ]
        return _like(np.pad(patch, margins, mode="reflect"), self.dtype)


def _like(patch: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The patch as another type: a level of 255 is one of 65535."""
    if patch.dtype == dtype:
        return patch
    return patch.astype(dtype) * 257 if dtype == np.uint16 else (patch >> 8).astype(dtype)


def _label(name: str, class_names: Sequence[str]) -> int:
    for own in (name, "lesion"):
        if own in class_names:
            return class_names.index(own)
    return 0


def _read_for(task: Task, fold, augment: AugmentConfig) -> SyntheticPatches:
    """Reads the set of a fold, and refuses one that does not fit it."""
    if task.name not in PATCHES:
        raise UserError(
            f"`augment.synthetic` holds patches, and the task '{task.name}' has none to mix them "
            "with. Take a task of patches, such as --task patch."
        )
    from mammo_tf.pipelines.synthetic_set import check_patients

    folder = augment.synthetic.replace("{fold}", str(fold.index))
    patches = _read_at(Path(folder).expanduser().absolute())
    held_out = np.concatenate([fold.validation, fold.test]).astype(int)
    check_patients(patches, task.groups[held_out], folder)
    return patches


@functools.lru_cache(maxsize=2)
def _read_at(path: Path) -> SyntheticPatches:
    from mammo_tf.pipelines.synthetic_set import read_synthetic

    return read_synthetic(path)
