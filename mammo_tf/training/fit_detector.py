"""Training SSD with plain `compile` and `fit`, on whatever backend Keras has."""

from collections.abc import Callable

import keras
import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.models.ssd import SSD, MultiBoxLoss
from mammo_tf.training.detector_checkpoint import DetectorCheckpoint
from mammo_tf.training.detector_config import DetectorTrainingConfig


def compile_detector(model: SSD, config: DetectorTrainingConfig, steps_per_epoch: int) -> None:
    """Sets the loss, the optimiser and its schedule.

    Args:
        model: An `SSD`.
        config: How to train.
        steps_per_epoch: Batches an epoch.
    """
    steps = config.epochs * steps_per_epoch
    warmup = min(round(config.warmup_epochs * steps_per_epoch), steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=max(steps - warmup, 1),
        alpha=0.01,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    options = {
        "learning_rate": schedule,
        "weight_decay": config.weight_decay or None,
        "global_clipnorm": config.clip_norm,
        "use_ema": config.ema_momentum is not None,
        "ema_momentum": config.ema_momentum or 0.0,
    }
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.9, **options)
    else:
        optimizer = keras.optimizers.AdamW(**options | {"weight_decay": config.weight_decay})
    loss = MultiBoxLoss(
        model.layout,
        negative_ratio=config.negative_ratio,
        min_negatives=config.min_negatives,
        box_weight=config.box_weight,
        label_smoothing=config.label_smoothing,
    )
    model.compile(optimizer=optimizer, loss=loss)


def fit_detector(
    model: SSD,
    feed,
    config: DetectorTrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[dict], None] | None = None,
    checkpoint: DetectorCheckpoint | None = None,
) -> list[dict]:
    """Trains an SSD.

    Args:
        model: The detector; build it after `keras.utils.set_random_seed`.
        feed: `DetectionBatches` on any backend, or `make_detection_feed` of them on TensorFlow;
            where a training goes on, one that begins at `checkpoint.epoch`.
        config: How to train.
        seed: Seed of what is random in training.
        on_epoch: Called with each epoch's entry.
        checkpoint: Where each epoch's state is kept, and where the training goes on; it ends with
            the weights of one that was never stopped. None keeps nothing.

    Returns:
        One dict an epoch: "epoch" (from 1), "loss", "learning_rate".

    Raises:
        UserError: If the loss is no longer finite.
    """
    keras.utils.set_random_seed(seed)
    if config.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    compile_detector(model, config, len(feed))
    if checkpoint is not None:
        checkpoint.restore(model)
    keeper = _History(config, on_epoch, checkpoint)
    # Also after the last epoch: Keras then puts the moving average into the model.
    model.fit(
        feed,
        initial_epoch=len(keeper.entries),
        epochs=config.epochs,
        callbacks=[keeper],
        shuffle=False,
        verbose=0,
    )
    return keeper.entries


class _History(keras.callbacks.Callback):
    """Keeps the losses, and stops a training that has diverged."""

    def __init__(self, config: DetectorTrainingConfig, on_epoch, checkpoint):
        super().__init__()
        self.config = config
        self.on_epoch = on_epoch
        self.checkpoint = checkpoint
        self.entries: list[dict] = list(checkpoint.progress.history) if checkpoint else []

    def on_epoch_end(self, epoch, logs=None):
        entry = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        if not np.isfinite(entry["loss"]):
            raise UserError(
                f"Training diverged: the loss is not finite in epoch {epoch + 1}. Lower "
                f"`learning_rate`. Received: learning_rate={self.config.learning_rate:g}."
            )
        self.entries.append(entry)
        if self.checkpoint is not None:
            self.checkpoint.save(self.model, entry)
        if self.on_epoch is not None:
            self.on_epoch(entry)
