"""Fitting one classifier, of two classes or more, and scoring examples with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mammo_tf.errors import UserError
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.heads import head_of
from mammo_tf.training.schedule import learning_rate_at


@dataclass(frozen=True)
class FitResult:
    """How a training went.

    Attributes:
        history: One dict an epoch: "epoch" (from 1), "loss", "val_loss", "val_auroc",
            "learning_rate".
        best_epoch: The epoch, from 1, whose weights the model has.
    """

    history: tuple[dict, ...]
    best_epoch: int

    @property
    def best(self) -> dict:
        """The entry of the best epoch."""
        return self.history[self.best_epoch - 1]


def seed_everything(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and TensorFlow; call it before the model is built.

    Args:
        seed: From 0 to 2^32 − 1.
        deterministic: Also restrict TensorFlow to reproducible kernels, for the rest of the
            process.
    """
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def compile_classifier(model: keras.Model, config: TrainingConfig) -> None:
    """Sets a model's loss and optimiser as `fit_classifier` wants them."""
    model.compile(
        optimizer=keras.optimizers.Adam(
            learning_rate=config.learning_rate,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
            weight_decay=config.weight_decay or None,
        ),
        loss=head_of(model).loss(config.label_smoothing),
        jit_compile=config.jit_compile,
    )


def fit_classifier(
    model: keras.Model,
    train_feed: tf.data.Dataset,
    validation_feed: tf.data.Dataset,
    config: TrainingConfig,
    *,
    seed: int,
    train_labels=None,
    log_dir: str | Path | None = None,
    on_epoch: Callable[[dict], None] | None = None,
    compiled: bool = False,
) -> FitResult:
    """Trains `model` and leaves it with the weights of its best epoch on the validation feed.

    The loss is cross-entropy on logits, binary for a model with one output, the optimiser Adam.
    After each epoch the whole validation feed is scored once: "val_loss" has the class weights of
    training, "val_auroc" is exact, and with K > 1 outputs the mean of each class against the rest
    (over the classes that the validation part has). Which of the two decides is
    `config.monitor`; of equal epochs the first one stays.

    The same seed gives the same result on the same machine and versions, if the model was built
    after `seed_everything` with a seed of its own.

    Args:
        model: Maps (batch, height, width, 1) to (batch, 1) logits, or to (batch, K) ones.
        train_feed: Finite batches of (images, (b, 1) labels 0 or 1, or 0 to K − 1), a new order
            each pass.
        validation_feed: Finite batches; at least two classes must be in it.
        config: How to train.
        seed: Seed of what is random in training, such as dropout.
        train_labels: (m,) labels of one epoch, for `class_weights="balanced"`; None to count them
            by reading `train_feed` once.
        log_dir: Folder for TensorBoard's scalars, or None.
        on_epoch: Called with each epoch's history entry.
        compiled: True if the model went through `compile_classifier` with this configuration.
            Its optimiser starts anew all the same, but TensorFlow's graph of a step is used
            again; on small data making that graph takes most of the time.

    Returns:
        The history and the best epoch.

    Raises:
        UserError: If training diverges, or if a feed is endless or lacks a class.

    Reference:
        Jo et al. 2021, "Model development and evaluation". The choice of the epoch is not stated
        in the paper.
    """
    seed_everything(seed, deterministic=config.deterministic)
    steps = int(train_feed.cardinality())
    if steps < 1:
        raise UserError("`train_feed` must have a known, finite number of batches.")
    weights = _class_weights(head_of(model), config, train_feed, train_labels)
    if compiled:
        _reset(model.optimizer)
    else:
        compile_classifier(model, config)
    observers = [on_epoch] if on_epoch else []
    keeper = _BestEpoch(head_of(model), validation_feed, config, weights, steps, observers)
    if log_dir is None:
        _run(model, train_feed, config, weights, keeper)
    else:
        from mammo_tf.training.tensorboard_log import CellLog

        with CellLog(log_dir) as log:
            observers.append(log.epoch)
            _run(model, train_feed, config, weights, keeper)
    model.set_weights(keeper.best_weights)
    return FitResult(tuple(keeper.history), keeper.best_epoch)


def predict_scores(
    model: keras.Model,
    feed: tf.data.Dataset | np.ndarray,
    *,
    copies: tf.data.Dataset | None = None,
    num_copies: int = 0,
) -> np.ndarray:
    """Scores examples in the feed's order.

    Args:
        model: Gives (batch, 1) or (batch, K) logits.
        feed: Ordered batches of (images, labels), or standardised images (n, height, width, 1).
        copies: The same examples in the same order, augmented anew each pass.
        num_copies: Passes over `copies`; logits are averaged over them and the plain one.

    Returns:
        (n,) float64 probabilities of the positive class, or (n, K) of each class. They are
        float64 so that confident scores stay apart: in float32 all logits above 17 would tie at 1.

    Raises:
        UserError: If a score is not finite.
    """
    logits = _logits(model, feed)
    for _ in range(num_copies):
        logits = logits + _logits(model, copies)
    logits /= 1 + num_copies
    if not np.isfinite(logits).all():
        raise UserError(
            f"The model gives {np.sum(~np.isfinite(logits))} scores of {logits.size} that are not "
            "finite; its weights are damaged or its training diverged."
        )
    return head_of(model).probabilities(logits)


def _logits(model, feed) -> np.ndarray:
    return head_of(model).logits(model.predict(feed, verbose=0))


def _run(model, train_feed, config, weights, keeper) -> None:
    model.fit(
        train_feed,
        epochs=config.epochs,
        class_weight=dict(enumerate(weights)),
        callbacks=[keeper],
        shuffle=False,  # the feed does it
        verbose=0,
    )


def _reset(optimizer: keras.Optimizer) -> None:
    """Forgets the steps taken, the learning rate too: it is set before each step."""
    for variable in optimizer.variables:
        variable.assign(np.zeros(variable.shape, variable.dtype))


def _class_weights(head, config, train_feed, train_labels) -> tuple[float, ...]:
    """n / (K n_class) for each of K classes: all weigh the same, and the mean weight is 1."""
    if config.class_weights == "none":
        return (1.0,) * head.num_classes
    if train_labels is None:
        train_labels = _labels_of(train_feed)
    train_labels = np.asarray(train_labels).reshape(-1)
    head.check_labels(train_labels)
    counts = [int(np.sum(train_labels == value)) for value in range(head.num_classes)]
    if min(counts) == 0:
        raise UserError(
            f"Training needs examples of {head.needs}. Received: {head.describe(counts)}."
        )
    return tuple(sum(counts) / (head.num_classes * count) for count in counts)


def _labels_of(feed) -> np.ndarray:
    return np.concatenate([labels.reshape(-1) for _, labels in feed.as_numpy_iterator()])


class _BestEpoch(keras.callbacks.Callback):
    """Sets the learning rate, validates each epoch, remembers the best one, stops early."""

    def __init__(self, head, validation_feed, config, class_weights, steps_per_epoch, observers):
        super().__init__()
        self.head = head
        self.feed = validation_feed
        self.config = config
        self.class_weights = np.asarray(class_weights)
        self.steps_per_epoch = steps_per_epoch
        self.observers = observers
        self.labels = _labels_of(validation_feed).astype(int)
        head.check_labels(self.labels)
        if len(np.unique(self.labels)) < 2:
            counts = [int(np.sum(self.labels == value)) for value in range(head.num_classes)]
            needs = "both classes" if head.num_classes == 2 else "at least two classes"
            raise UserError(
                f"The validation part needs examples of {needs}. Received: {head.describe(counts)}."
            )
        self.history = []
        self.best_epoch = 0
        self.best_value = np.inf
        self.best_weights = None
        self.step = 0
        self.average = None

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = learning_rate_at(
            self.step, self.config, self.steps_per_epoch
        )
        self.step += 1

    def on_train_batch_end(self, batch, logs=None):
        if self.config.ema_momentum is None:
            return
        weights = self.model.get_weights()
        # A short memory at first, so that the random start is soon forgotten.
        momentum = min(self.config.ema_momentum, self.step / (self.step + 9))
        if self.average is None:
            self.average = weights
        self.average = [
            momentum * a + (1 - momentum) * w for a, w in zip(self.average, weights, strict=True)
        ]

    def on_epoch_end(self, epoch, logs=None):
        loss = float(logs["loss"])
        self._check_finite(loss, epoch)
        weights = self.model.get_weights()
        candidate = weights if self.average is None else self.average
        if self.average is not None:
            self.model.set_weights(candidate)
        logits = _logits(self.model, self.feed)
        if self.average is not None:
            self.model.set_weights(weights)
        self._check_finite(logits.sum(), epoch)
        entry = {
            "epoch": epoch + 1,
            "loss": loss,
            "val_loss": self._validation_loss(logits),
            "val_auroc": self.head.auroc(self.labels, logits),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        self.history.append(entry)
        value = entry["val_loss"]
        if self.config.monitor == "val_auroc":
            value = -entry["val_auroc"]
        if value < self.best_value:
            self.best_value, self.best_epoch, self.best_weights = value, epoch + 1, candidate
        for observer in self.observers:
            observer(entry)
        patience = self.config.patience
        if patience is not None and epoch + 1 - self.best_epoch >= patience:
            self.model.stop_training = True

    def _validation_loss(self, logits) -> float:
        losses = self.head.losses(self.labels, logits)
        return float(np.mean(self.class_weights[self.labels] * losses))

    def _check_finite(self, value, epoch) -> None:
        if not np.isfinite(value):
            raise UserError(
                f"Training diverged: the loss is not finite in epoch {epoch + 1}. Lower "
                f"`learning_rate`. Received: learning_rate={self.config.learning_rate:g}."
            )
