"""How SSD is trained."""

from dataclasses import dataclass, field

from mammo_tf.config import check_choice, check_range
from mammo_tf.pipelines.detection.augment import DetectionAugmentConfig

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
