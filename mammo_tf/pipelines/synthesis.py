"""Synthetic lesions on patches of normal tissue, by a trained ciGAN generator."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.infill import corrupt, fit_lesion, from_unit_range, unit_range
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks.patches import CLASSES

SYNTHETIC_CLASSES = CLASSES[1:]  # benign is the network's "non-malignant"
BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticPatches:
    """Patches that a network has made, and whom it learned from.

    Attributes:
        images: (n, side, side) uint8 or uint16.
        masks: (n, side, side) bool, where the lesion is.
        labels: (n,) str, "benign" or "malignant".
        normal_ids: (n,) str, the example that gave the tissue.
        lesion_ids: (n,) str, the example that gave the lesion's outline.
        patients: Everyone whose images the network learned from or was given, sorted.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    normal_ids: np.ndarray
    lesion_ids: np.ndarray
    patients: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int]) -> "SyntheticPatches":
        """Returns these patches, in their order; the patients stay all."""
        names = ("images", "masks", "labels", "normal_ids", "lesion_ids")
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in names})


def synthesize(
    generator,
    task: Task,
    train,
    *,
    count: int,
    label: str,
    seed: int,
    zoom_range: tuple[float, float] = (0.9, 1.1),
) -> SyntheticPatches:
    """Makes patches with a lesion of one class on the normal tissue of training patients.

    Normal patches are taken in a random order, all of them before one is taken again. Each is given
    the outline of a lesion of that class, zoomed a little, that lies on tissue there; its pixels
    become noise, and the network paints the patch. All of the patch is the network's, as in the
    paper, not the lesion alone.

    Args:
        generator: A `CiganGenerator`, trained on patches of `train` and no others.
        task: Made from the plan `gan_patches`, with images at CR 1.
        train: (m,) int, the examples that the network may have seen.
        count: Patches to make.
        label: "benign" or "malignant".
        seed: Seed of the choice and the noise.
        zoom_range: (lowest, highest) magnification of an outline.

    Returns:
        The patches, of the task's type.

    Raises:
        UserError: If the network has another patch size, a class is missing in `train`, or no
            lesion lies on tissue alone in any normal patch.

    Reference:
        Peterka et al. 2020, section 4.1.
    """
    if tuple(task.input_shape) != (generator.patch_size,) * 2:
        raise UserError(
            f"The network makes patches of {generator.patch_size} pixels, the task has "
            f"{task.input_shape[0]}×{task.input_shape[1]}. Take the patch size it was trained with."
        )
    pairs = choose_pairs(task, train, count=count, label=label, seed=seed, zoom_range=zoom_range)
    masks = np.stack([pair.mask for pair in pairs])
    corrupted = np.stack([pair.corrupted for pair in pairs])
    images = _paint(generator, corrupted, masks, label, task.images(1).dtype)
    return as_patches(task, train, pairs, label, images)


@dataclass(frozen=True, eq=False)
class Pair:
    """A lesion's outline on a patch of normal tissue.

    Attributes:
        normal: Row of the normal example in the task.
        lesion: Row of the example with the lesion.
        mask: (height, width) bool, the outline there.
        zoom: How much it was magnified.
        corrupted: (height, width) float32 in [0, 1], the normal patch with noise in the outline.
    """

    normal: int
    lesion: int
    mask: np.ndarray
    zoom: float
    corrupted: np.ndarray


def choose_pairs(
    task: Task, train, *, count: int, label: str, seed: int, zoom_range: tuple[float, float]
) -> list[Pair]:
    """Chooses normal patches and outlines for them; see `synthesize`, whose arguments these are."""
    check_choice("class", label, SYNTHETIC_CLASSES)
    check_range("count", count, 1, 1_000_000)
    train = np.asarray(train, int)
    rows = {name: train[task.labels[train] == CLASSES.index(name)] for name in ("normal", label)}
    for name, found in rows.items():
        if not len(found):
            raise UserError(f"Synthesis needs patches of the class '{name}' in the training part.")
    images, masks = task.images(1), task.masks
    return list(_pairs(images, masks, rows["normal"], rows[label], count, seed, zoom_range))


def as_patches(
    task: Task, train, pairs: Sequence[Pair], label: str, images: np.ndarray
) -> SyntheticPatches:
    """Returns images that were made from pairs, with whom they come from."""
    ids = np.array(task.example_ids)
    return SyntheticPatches(
        images=images,
        masks=np.stack([pair.mask for pair in pairs]),
        labels=np.full(len(pairs), label),
        normal_ids=ids[[pair.normal for pair in pairs]],
        lesion_ids=ids[[pair.lesion for pair in pairs]],
        patients=tuple(sorted(set(task.groups[np.asarray(train, int)].tolist()))),
    )


def _pairs(images, masks, normals, lesions, count: int, seed: int, zoom_range) -> Iterator[Pair]:
    """Yields `count` pairs."""
    outlines = np.stack([np.asarray(masks[row]) != 0 for row in lesions])
    made, passes = 0, 0
    while made < count:
        rng = np.random.default_rng([seed, passes])
        before, passes = made, passes + 1
        for row in rng.permutation(normals):
            normal = unit_range(np.asarray(images[row]))
            found = fit_lesion(normal, outlines, rng, zoom_range=zoom_range)
            if found is None:
                continue
            index, mask, zoom = found
            yield Pair(int(row), int(lesions[index]), mask, zoom, corrupt(normal, mask, rng))
            made += 1
            if made == count:
                return
        if made == before:
            raise UserError("No lesion lies on tissue alone in any patch of normal tissue.")


def _paint(generator, corrupted: np.ndarray, masks: np.ndarray, label: str, dtype) -> np.ndarray:
    one_hot = np.eye(2, dtype=np.float32)[[int(label == "malignant")]]
    made = []
    for start in range(0, len(corrupted), BATCH_SIZE):
        part = slice(start, start + BATCH_SIZE)
        patches = corrupted[part, ..., np.newaxis]
        outlines = masks[part, ..., np.newaxis].astype(np.float32)
        labels = np.repeat(one_hot, len(patches), axis=0)
        found = generator.predict_on_batch([patches, outlines, labels])
        made.append(from_unit_range(found[..., 0], dtype.type))
    return np.concatenate(made)
