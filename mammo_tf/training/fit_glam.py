"""Trains GLAM in stages from image labels alone."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.models.glam import standardise
from mammo_tf.pipelines.augment import AugmentConfig, affine_transforms, draw_uniforms
from mammo_tf.pipelines.feed import warp
from mammo_tf.training.checkpoint import load_checkpoint, save_checkpoint
from mammo_tf.training.glam_config import GlamTrainingConfig
from mammo_tf.training.glam_steps import GlamSteps, memory_bytes
from mammo_tf.training.tensorboard_log import CellLog

_PANEL_IMAGES = 4


@dataclass(frozen=True, eq=False)
class GlamImages:
    """What GLAM learns from: no place of a lesion is in it.

    Attributes:
        images: (n, height, width), any number type, the breast at the left.
        labels: (n, 2) of 0 and 1: whether it has a benign finding, and a malignant one.

    Raises:
        UserError: If there is no image, or not a pair of labels for each.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if not len(self.images) or np.shape(self.labels) != (len(self.images), 2):
            raise UserError(
                "GLAM needs images and two labels for each. Received: "
                f"{len(self.images)} images, labels {np.shape(self.labels)}."
            )
        if not np.isin(self.labels, (0, 1)).all():
            raise UserError("GLAM's labels must be 0 or 1.")

    def batches(
        self, batch_size: int, seed: int, epoch: int, augment: AugmentConfig
    ) -> Iterator[tuple]:
        """Yields the batches of one pass; order and moves follow from seed and epoch alone."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.images))
        draws = draw_uniforms(seed, epoch, len(order))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            images = move(self.prepared(chosen), augment, draws[chosen])
            yield images, np.asarray(self.labels)[chosen].astype(np.float32)

    def prepared(self, rows) -> np.ndarray:
        """Returns the (rows, height, width, 1) standardised images."""
        return np.stack([standardise(self.images[row]) for row in rows])[..., np.newaxis]


@dataclass
class GlamProgress:
    """Where a training is: passes done, and one dict of mean losses for each."""

    epoch: int = 0
    history: list[dict] = field(default_factory=list)


def fit_glam(
    model,
    images: GlamImages,
    config: GlamTrainingConfig,
    *,
    seed: int,
    folder: str | Path,
    settings: dict | None = None,
    on_start: Callable[[str], None] | None = None,
    on_epoch: Callable[[dict], None] | None = None,
) -> list[dict]:
    """Trains a `GLAM`, or goes on where a training in `folder` stopped.

    After each epoch all that training changes is kept, both optimisers too, so that a training that
    was killed ends with the same weights as one that was not, if the network was built and
    TensorFlow set up as by `seed_everything`. `folder` also has TensorBoard's logs: losses, and a
    panel of the first images with their saliency, benign green and malignant red.

    Args:
        model: A `GLAM`; changed.
        images: What to learn from; of training patients only.
        config: How to train.
        seed: Seed of the order of images.
        folder: Where checkpoint.npz and tensorboard/ are.
        settings: Further plain values that decide the numbers, such as the data set.
        on_start: Called with one line before training: how much memory it takes.
        on_epoch: Called with each epoch's entry, after it was kept.

    Returns:
        One dict an epoch: "epoch" from 1, and the mean of each loss of its stage.

    Raises:
        UserError: If memory does not suffice, the folder's checkpoint was made with other settings,
            or a loss is not finite.
        DataError: If the checkpoint is damaged, or an image has a pixel that is not finite.

    Reference:
        Liu et al. 2021: a global, a local and a joint loss; image labels alone.
    """
    _say_memory(model, config, on_start)
    steps, folder = GlamSteps(model, config), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(model, images, config, seed) | (settings or {})
    progress = load_checkpoint(folder, steps.variables(), settings, begin=GlamProgress)
    while progress.epoch < config.num_epochs:
        step = steps.steps[config.stage(progress.epoch)]
        batches = images.batches(config.batch_size, seed, progress.epoch, config.augment)
        losses = _mean_losses([step(*batch) for batch in batches])
        progress.epoch += 1
        entry = {"epoch": progress.epoch, **losses}
        if not np.isfinite(list(entry.values())).all():
            raise UserError(
                f"GLAM's training diverged in epoch {progress.epoch}. Lower the learning rate."
            )
        progress.history.append(entry)
        with CellLog(folder / "tensorboard") as log:
            scalars = {f"loss/{name}": value for name, value in losses.items()}
            log.scalars(scalars, step=progress.epoch)
            log.image("saliency", draw_saliency(model, images), step=progress.epoch)
        save_checkpoint(folder, steps.variables(), progress, settings)
        if on_epoch is not None:
            on_epoch(entry)
    return progress.history


def draw_saliency(model, images: GlamImages) -> np.ndarray:
    """Returns (height, width, 3) uint8: the first images, benign saliency green, malignant red."""
    columns = []
    for row in range(min(_PANEL_IMAGES, len(images.images))):
        prepared = images.prepared([row])
        saliency = np.asarray(model(prepared, training=False)["saliency"])[0]
        low, high = prepared.min(), prepared.max()
        grey = (prepared[0] - low) / max(high - low, 1e-6) * 0.6
        colour = np.repeat(grey, 3, axis=-1)
        colour[..., 0] += 0.4 * saliency[..., 1]
        colour[..., 1] += 0.4 * saliency[..., 0]
        columns.append(colour)
    return np.rint(np.clip(np.concatenate(columns, axis=1), 0, 1) * 255).astype(np.uint8)


def move(images: np.ndarray, augment: AugmentConfig, draws: np.ndarray) -> np.ndarray:
    """Returns images as an augmentation moves them, their edges drawn out.

    Args:
        images: (n, height, width, channels) float32.
        augment: How.
        draws: (n, NUM_DRAWS), see `mammo_tf.pipelines.augment.draw_uniforms`.
    """
    if not augment.moves_pixels:
        return images
    shape = images.shape[1:3]
    transforms = affine_transforms(augment, draws, stored_shape=shape, input_shape=shape)
    return np.asarray(warp(images, transforms, shape, "nearest"))


def _say_memory(model, config: GlamTrainingConfig, on_start) -> None:
    needed = memory_bytes(model, config) / 1e9
    most = config.most_memory_gb
    if most is not None and needed > most:
        raise UserError(
            f"Training takes about {needed:.1f} GB, more than the {most:g} GB allowed. Take "
            "smaller images or crops, fewer crops, or a smaller batch."
        )
    if on_start is not None:
        on_start(f"Training takes about {needed:.1f} GB of memory beside the images.")


def _mean_losses(found: list[dict]) -> dict[str, float]:
    return {name: float(np.mean([float(one[name]) for one in found])) for name in found[0]}


def _settings(model, images: GlamImages, config: GlamTrainingConfig, seed: int) -> dict:
    digest = hashlib.sha256(np.ascontiguousarray(images.labels).tobytes())
    for image in images.images:
        digest.update(np.ascontiguousarray(image).tobytes())
    about = model.get_config()
    about.pop("name")  # Keras counts the networks of a process
    training = dataclasses.asdict(config)
    training.pop("most_memory_gb")  # decides no number
    return {
        "model": about,
        "training": training,
        "images": digest.hexdigest()[:16],
        "seed": seed,
    }
