"""How U-Net is trained."""

from dataclasses import dataclass, field

from mammo_tf.config import check_range
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.training.glam_config import check_moves_alone


@dataclass(frozen=True, kw_only=True)
class UnetTrainingConfig:
    """How U-Net is trained on masks.

    Attributes:
        epochs: Passes; the learning rate falls to 0 along half a cosine.
        batch_size: Images a step.
        learning_rate: Of Adam, at first.
        augment: How images and masks are moved at random.

    Raises:
        UserError: If a number makes no sense.
    """

    epochs: int = 40
    batch_size: int = 4
    learning_rate: float = 1e-3
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self):
        check_range("unet.epochs", self.epochs, 1, 100_000)
        check_range("unet.batch_size", self.batch_size, 1, 4096)
        check_range("unet.learning_rate", self.learning_rate, 1e-9, 1)
        check_moves_alone(self.augment)
