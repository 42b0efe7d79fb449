"""Trains ciGAN: perceptual loss first, then discriminator and generator in turns."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from mammo_tf.errors import UserError
from mammo_tf.pipelines.infill import boundary_weights, corrupt, fit_lesion, unit_range
from mammo_tf.training.checkpoint import load_checkpoint, save_checkpoint
from mammo_tf.training.cigan_config import CiganTrainingConfig
from mammo_tf.training.cigan_steps import CiganSteps
from mammo_tf.training.tensorboard_log import CellLog

PANEL_GAP_PX = 2


@dataclass
class CiganProgress:
    """Where a training is.

    Attributes:
        epoch: Passes done.
        turn: Whose turn it is in alternating training, "discriminator" or "generator".
        steps_in_turn: Steps since that turn began.
        history: One dict of mean losses an epoch.
    """

    epoch: int = 0
    turn: str = "discriminator"
    steps_in_turn: int = 0
    history: list[dict] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class CiganPatches:
    """What ciGAN learns from.

    Attributes:
        images: (n, side, side) uint8 or uint16, patches with a lesion.
        masks: (n, side, side) bool or int, not 0 where a lesion is.
        malignant: (n,) bool.
        normals: (m, side, side) patches of normal tissue, for the panel.

    Raises:
        UserError: If there is no patch, or one without a mask.
    """

    images: np.ndarray
    masks: np.ndarray
    malignant: np.ndarray
    normals: np.ndarray

    def __post_init__(self):
        if not len(self.images):
            raise UserError("ciGAN needs patches with a lesion. Received: none.")
        for row in range(len(self.images)):
            if not np.any(self.masks[row]):
                raise UserError(f"ciGAN needs a mask in every patch. Patch {row} has none.")

    def batches(self, config: CiganTrainingConfig, seed: int, epoch: int) -> Iterator[tuple]:
        """Yields the batches of one pass; they follow from seed and epoch alone.

        Each is (real, corrupted, masks, edges, labels) as `CiganSteps` takes them.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self.images))
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            real = unit_range(np.stack([self.images[row] for row in chosen]))
            masks = np.stack([np.asarray(self.masks[row]) != 0 for row in chosen])
            corrupted = [corrupt(*pair, rng) for pair in zip(real, masks, strict=True)]
            sigma_px = config.boundary_sigma_for(real.shape[-1])
            edges = [boundary_weights(mask, sigma_px) for mask in masks]
            labels = np.eye(2, dtype=np.float32)[self.malignant[chosen].astype(int)]
            stacked = (real, np.stack(corrupted), masks, np.stack(edges))
            yield *(np.float32(array)[..., np.newaxis] for array in stacked), labels


def fit_cigan(
    steps: CiganSteps,
    patches: CiganPatches,
    *,
    seed: int,
    folder: str | Path,
    settings: dict | None = None,
    on_epoch: Callable[[dict], None] | None = None,
) -> list[dict]:
    """Trains both networks, or goes on where a training in `folder` stopped.

    After each epoch all that training changes is kept, both optimisers too, so that a training
    that was killed ends with the same weights as one that was not, if the networks were built and
    TensorFlow set up as by `seed_everything`. `folder` also has TensorBoard's logs: losses, and a
    panel of fixed patches (normal, mask, corrupted, synthesised).

    Args:
        steps: The networks, their optimisers and the configuration.
        patches: What to learn from; of training patients only.
        seed: Seed of order and noise.
        folder: Where checkpoint.npz and tensorboard/ are.
        settings: Further plain values that decide the numbers, such as the data set.
        on_epoch: Called with each epoch's entry, after it was kept.

    Returns:
        One dict an epoch: "epoch" from 1, and the mean of each loss over the steps that had it.

    Raises:
        UserError: If the folder's checkpoint was made with other settings, or a loss is not finite.
        DataError: If the checkpoint is damaged.

    Reference:
        Peterka et al. 2020, section 4.3.
    """
    config, folder = steps.config, Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(steps, seed, patches) | (settings or {})
    progress = load_checkpoint(folder, steps.variables(), settings, begin=CiganProgress)
    panel = _Panel(steps, patches, config, seed)
    while progress.epoch < config.num_epochs:
        losses = _run_epoch(steps, patches.batches(config, seed, progress.epoch), progress)
        progress.epoch += 1
        entry = {"epoch": progress.epoch, **losses}
        _check_finite(entry, steps.generator)
        progress.history.append(entry)
        with CellLog(folder / "tensorboard") as log:
            scalars = {f"loss/{name}": value for name, value in losses.items()}
            log.scalars(scalars, step=progress.epoch)
            log.image("panel", panel.draw(), step=progress.epoch)
        save_checkpoint(folder, steps.variables(), progress, settings)
        if on_epoch is not None:
            on_epoch(entry)
    return progress.history


def _run_epoch(steps: CiganSteps, batches, progress: CiganProgress) -> dict[str, float]:
    """Trains on each batch the network whose turn it is. Returns the mean losses."""
    found: dict[str, list[float]] = {}
    pretrains = progress.epoch < steps.config.pretrain_epochs
    for arrays in batches:
        batch = [tf.constant(array) for array in arrays]
        if pretrains:
            losses = steps.pretrain(*batch)
        elif progress.turn == "discriminator":
            losses = steps.train_discriminator(*batch)
        else:
            losses = steps.train_generator(*batch)
        for name, value in losses.items():
            found.setdefault(name, []).append(float(value))
        if not pretrains:
            next_turn(progress, found[progress.turn][-1], steps.config)
    return {name: float(np.mean(values)) for name, values in found.items()}


def next_turn(progress: CiganProgress, loss: float, config: CiganTrainingConfig) -> None:
    """Counts a step, and hands over where its loss is low enough or the turn too long."""
    progress.steps_in_turn += 1
    ended = progress.steps_in_turn >= config.most_steps_in_turn
    if loss < config.loss_threshold or ended:
        others = {"discriminator": "generator", "generator": "discriminator"}
        progress.turn, progress.steps_in_turn = others[progress.turn], 0


class _Panel:
    """Fixed normal patches with a fixed mask and noise; a row each, as in the paper's Fig. 2."""

    def __init__(self, steps: CiganSteps, patches: CiganPatches, config, seed: int):
        self.generator = steps.generator
        rng = np.random.default_rng([seed, 2**20])
        rows = []
        for index in rng.permutation(len(patches.normals)):
            normal = unit_range(np.asarray(patches.normals[index]))
            found = fit_lesion(normal, patches.masks, rng)
            if found is not None:
                lesion, mask, _ = found
                rows.append((normal, mask, corrupt(normal, mask, rng), patches.malignant[lesion]))
            if len(rows) == config.num_panel:
                break
        if not rows:
            raise UserError("No lesion lies on tissue alone in any patch of normal tissue.")
        normals, masks, corrupted, malignant = zip(*rows, strict=True)
        self.normal, self.mask, self.corrupted = map(_stacked, (normals, masks, corrupted))
        self.labels = np.eye(2, dtype=np.float32)[np.array(malignant, int)]

    def draw(self) -> np.ndarray:
        """Returns (height, width, 3) uint8."""
        made = np.asarray(self.generator([self.corrupted, self.mask, self.labels], training=False))
        columns = [self.normal, self.mask, self.corrupted, np.clip(made, 0, 1)]
        gap = ((0, 0), (0, PANEL_GAP_PX), (0, PANEL_GAP_PX))
        wide = [np.pad(column[..., 0], gap, constant_values=1) for column in columns]
        picture = np.concatenate([np.concatenate(column, axis=0) for column in wide], axis=1)
        return np.repeat(np.rint(picture * 255).astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def _stacked(patches) -> np.ndarray:
    return np.stack(patches).astype(np.float32)[..., np.newaxis]


def _settings(steps: CiganSteps, seed: int, patches: CiganPatches) -> dict:
    plain = {
        "generator": steps.generator.get_config(),
        "discriminator": steps.discriminator.get_config(),
        "perceptual": _digest(steps.perceptual.get_weights()),
        "training": asdict(steps.config),
        "patches": _digest([patches.malignant, *patches.images, *patches.masks]),
        "seed": seed,
    }
    for part in ("generator", "discriminator"):
        plain[part].pop("name")  # Keras counts the networks of a process
    return plain


def _digest(arrays) -> str:
    """16 hexadecimal digits that change with any value."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _check_finite(entry: dict, generator) -> None:
    bad = [name for name, value in entry.items() if not np.isfinite(value)]
    if not all(np.isfinite(weights).all() for weights in generator.get_weights()):
        bad.append("the generator")
    if bad:
        raise UserError(
            f"ciGAN's training diverged in epoch {entry['epoch']}: {', '.join(bad)} is not finite. "
            "Lower `gan.learning_rate`."
        )
