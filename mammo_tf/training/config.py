"""How a classifier is trained."""

from dataclasses import dataclass, field

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.augment import AugmentConfig

MONITORS = ("val_loss", "val_auroc")
SCHEDULES = ("constant", "cosine", "staircase")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything about training that changes its numbers, but the seed.

    The paper gives binary cross-entropy and Adam with β1 = 0.9, β2 = 0.999 and ε = 1e-8 ("Model
    development and evaluation"). The rest is not stated there, or garbled, and chosen here.

    Attributes:
        epochs: Most passes over the training examples.
        batch_size: Most examples a step; an epoch is cut into nearly equal batches.
        learning_rate: Of Adam. The paper's text gives 0.5, with which Adam diverges: a slip.
        schedule: "constant"; "cosine" from `learning_rate` down to a hundredth of it; "staircase",
            times 0.9 every 30 epochs, as Peterka et al. 2020.
        warmup_epochs: Epochs over which the rate first rises from 0; at most all of them.
        beta_1: Of Adam; the paper's.
        beta_2: Of Adam; the paper's.
        epsilon: Of Adam; the paper's.
        weight_decay: Decoupled weight decay (AdamW); 0 for none.
        label_smoothing: Share by which labels move towards 0.5.
        class_weights: "balanced" weighs both classes alike; "none" counts examples alike.
        monitor: Which epoch's weights are kept: lowest "val_loss" (with the class weights) or
            highest "val_auroc". Of equal epochs the first one stays.
        patience: Epochs without a better one before training stops; None never stops early.
        ema_momentum: Keep a moving average of the weights and validate and test that one;
            None for the weights themselves.
        augment: Random changes of training images.
        num_test_copies: Predictions are means over the plain image and this many augmented copies.
        jit_compile: Compile with XLA, once for each size of batch; on a CPU that costs more than it
            wins.
        deterministic: Let TensorFlow use reproducible kernels only, so that a seed gives the same
            numbers twice; once on, it stays on in the process.

    Raises:
        UserError: If a value is out of its range.
    """

    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_epochs: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    class_weights: str = "balanced"
    monitor: str = "val_loss"
    patience: int | None = 10
    ema_momentum: float | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    num_test_copies: int = 0
    jit_compile: bool = False
    deterministic: bool = True

    def __post_init__(self):
        check_range("epochs", self.epochs, 1, 100_000)
        check_range("batch_size", self.batch_size, 2, 65_536)
        check_range("learning_rate", self.learning_rate, 1e-9, 10)
        check_range("warmup_epochs", self.warmup_epochs, 0, 100_000)
        check_range("beta_1", self.beta_1, 0, 0.99999)
        check_range("beta_2", self.beta_2, 0, 0.9999999)
        check_range("epsilon", self.epsilon, 1e-12, 1)
        check_range("weight_decay", self.weight_decay, 0, 1)
        check_range("label_smoothing", self.label_smoothing, 0, 0.5)
        check_range("num_test_copies", self.num_test_copies, 0, 1000)
        if self.patience is not None:
            check_range("patience", self.patience, 1, 100_000)
        if self.ema_momentum is not None:
            check_range("ema_momentum", self.ema_momentum, 0, 0.99999)
        check_choice("class_weights", self.class_weights, ("balanced", "none"))
        check_choice("monitor", self.monitor, MONITORS)
        check_choice("schedule", self.schedule, SCHEDULES)
        if self.num_test_copies and self.augment.is_identity:
            raise UserError(
                "`num_test_copies` needs an augmentation to make the copies with. Received: "
                f"num_test_copies={self.num_test_copies} and no augmentation; set `augment` or 0."
            )
