"""Training SSD with plain `compile` and `fit`, on whatever backend Keras has."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.models.ssd import SSD, MultiBoxLoss
from mammo_tf.pipelines.detection.augment import DetectionAugmentConfig
from mammo_tf.training.detector_checkpoint import DetectorCheckpoint

OPTIMIZERS = ("adamw", "sgd")


@dataclass(frozen=True, kw_only=True)
class DetectorTrainingConfig:
    """How SSD is trained. The poster states none of it; SSD's own values are named where used.

    Attributes:
        epochs: Passes; the weights after the last one are kept, there is no choice of the best
            on few validation images.
        batch_size: Images a step; 32 in SSD.
        optimizer: "adamw", or "sgd" with momentum 0.9 as in SSD.
        learning_rate: Its highest value; it falls to a hundredth along a cosine. 1e-3 in SSD.
        warmup_epochs: Epochs over which the rate first rises from 0; at most all of them.
        weight_decay: 5e-4 in SSD.
        clip_norm: Longest gradient; longer ones are shortened.
        ema_momentum: The weights kept are a moving average; None for the last ones themselves.
        lesion_copies: Times that each image with a lesion is shown an epoch.
        normals_per_lesion: Images without lesions for each one shown with; 0 for none, as in the
            poster.
        mosaic_share: Share of the epochs, the first ones, in which images are laid out of many
            windows (`make_mosaic`); from random weights nothing is learnt without.
        ignore_iou: See `make_targets`; None as in SSD.
        negative_ratio: See `MultiBoxLoss`.
        min_negatives: See `MultiBoxLoss`.
        box_weight: See `MultiBoxLoss`.
        label_smoothing: See `MultiBoxLoss`.
        augment: Random changes of training images.
        deterministic: On TensorFlow use reproducible kernels only.

    Raises:
        UserError: If a value is out of its range.
    """

    epochs: int = 70
    batch_size: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    warmup_epochs: float = 2.0
    weight_decay: float = 5e-4
    clip_norm: float = 10.0
    ema_momentum: float | None = 0.995
    lesion_copies: int = 1
    normals_per_lesion: float = 1.0
    mosaic_share: float = 0.8
    ignore_iou: float | None = 0.3
    negative_ratio: float = 3.0
    min_negatives: int = 3
    box_weight: float = 1.0
    label_smoothing: float = 0.0
    augment: DetectionAugmentConfig = field(default_factory=DetectionAugmentConfig)
    deterministic: bool = True

    def __post_init__(self):
        ranges = {
            "epochs": (1, 100_000),
            "batch_size": (1, 4096),
            "learning_rate": (1e-9, 10),
            "warmup_epochs": (0, 100_000),
            "weight_decay": (0, 1),
            "clip_norm": (1e-3, 1e6),
            "lesion_copies": (1, 1000),
            "normals_per_lesion": (0, 100),
            "mosaic_share": (0, 1),
            "negative_ratio": (0, 1000),
            "min_negatives": (0, 100_000),
            "box_weight": (0, 1000),
            "label_smoothing": (0, 0.5),
        }
        for name, (low, high) in ranges.items():
            check_range(name, getattr(self, name), low, high)
        if self.ema_momentum is not None:
            check_range("ema_momentum", self.ema_momentum, 0, 0.99999)
        if self.ignore_iou is not None:
            check_range("ignore_iou", self.ignore_iou, 0.01, 1)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)


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
