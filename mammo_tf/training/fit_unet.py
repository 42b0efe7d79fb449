"""Trains U-Net on masks, as a ceiling for what learns from image labels."""

import math
from collections.abc import Callable

import keras
import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.models.glam import standardise
from mammo_tf.pipelines.augment import draw_uniforms
from mammo_tf.training.fit_glam import move
from mammo_tf.training.unet_config import UnetTrainingConfig


def fit_unet(
    model,
    images: np.ndarray,
    masks: np.ndarray,
    config: UnetTrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[], object] | None = None,
) -> list[dict]:
    """Trains a `UNet` with cross-entropy and soft Dice, from its present weights.

    Args:
        model: A `UNet`; changed.
        images: (n, height, width), any number type.
        masks: (n, height, width, num_classes) bool.
        config: How.
        seed: Seed of order and moves.
        on_epoch: Called after each pass.

    Returns:
        One dict an epoch: "epoch" from 1, and the mean "loss".

    Raises:
        UserError: If no image is given or the loss is not finite.
    """
    if not len(images):
        raise UserError("U-Net needs images whose lesions are all marked; there is none.")
    steps = math.ceil(len(images) / config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=mask_loss)
    history = []
    for epoch in range(config.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        draws = draw_uniforms(seed, epoch, len(order))
        losses = []
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            batch = _batch(images, masks, chosen, config, draws)
            losses.append(float(model.train_on_batch(*batch)))
        loss = float(np.mean(losses))
        if not np.isfinite(loss):
            raise UserError(f"U-Net's training diverged in epoch {epoch + 1}. Lower the rate.")
        history.append({"epoch": epoch + 1, "loss": loss})
        if on_epoch is not None:
            on_epoch()
    return history


def mask_loss(masks, logits):
    """Returns mean cross-entropy plus 1 − soft Dice over the batch's pixels and classes."""
    masks = keras.ops.cast(masks, logits.dtype)
    shares = keras.ops.sigmoid(logits)
    both = keras.ops.sum(masks * shares)
    total = keras.ops.sum(masks) + keras.ops.sum(shares)
    entropy = keras.ops.mean(keras.ops.binary_crossentropy(masks, logits, from_logits=True))
    return entropy + 1 - (2 * both + 1) / (total + 1)


def _batch(images, masks, chosen, config: UnetTrainingConfig, draws) -> tuple:
    whole = [
        np.concatenate([standardise(images[row])[..., np.newaxis], masks[row]], axis=-1)
        for row in chosen
    ]
    moved = move(np.stack(whole).astype(np.float32), config.augment, draws[chosen])
    return moved[..., :1], (moved[..., 1:] >= 0.5).astype(np.float32)
