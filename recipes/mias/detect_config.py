"""How the detectors of the mias recipe are made and trained."""

from dataclasses import dataclass, field

from mammo_tf.config import check_choice, check_range
from mammo_tf.models.ssd.symmetries import SYMMETRIES
from mammo_tf.models.ssd.variants import BACKBONES, VARIANTS
from mammo_tf.recipes.mias.division import check_splits
from mammo_tf.training.detector_config import DetectorTrainingConfig


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """The detection half of the recipe. The poster states none of these numbers.

    Attributes:
        variant: "ssd300" or "ssd512". The poster's figure shows SSD's 300×300 architecture.
        backbone: "vgg16" as in the poster, "light", which a CPU can train, or
            "efficientnet_lite0", which has ImageNet's weights without a download.
        image_size: Height and width that the network sees; None for the variant's own.
        dropout: Of the light backbone.
        weights: For VGG-16 and EfficientNet-Lite0: "imagenet", or a Keras VGG16 weights file and
            a .pth file; "none" for random weights, which must be asked for.
        start: Folder of a trained detector of the same make, RUN/cells/NAME; training begins with
            its weights. None for `weights`. None of this run's test images may be among those
            that it learned from, which cannot be checked between data sets.
        splits: "patient" (no patient in two parts: the one to believe), "poster" (turned copies
            of images with lesions divided at random: a leak, shown for comparison), or both; None
            for both, but for "patient" alone where a data set has a split of its own.
        poster_epochs: Epochs on the poster's split, which has four times as many images an epoch.
        poster_repeats: Random divisions of the poster's kind.
        num_symmetries: Copies of a test image, mirrored and turned, whose outputs are averaged, 1
            to 8; see `Detector`.
        training: How SSD is trained.

    Raises:
        UserError: If a value is out of its range.
    """

    variant: str = "ssd300"
    backbone: str = "light"
    image_size: int | None = None
    dropout: float = 0.0
    weights: str = "imagenet"
    start: str | None = None
    splits: tuple[str, ...] | None = None
    poster_epochs: int = 30
    poster_repeats: int = 1
    num_symmetries: int = 8
    training: DetectorTrainingConfig = field(default_factory=DetectorTrainingConfig)

    def __post_init__(self):
        check_choice("variant", self.variant, tuple(VARIANTS))
        check_choice("backbone", self.backbone, BACKBONES)
        check_splits(self.splits)
        if self.image_size is not None:
            check_range("image_size", self.image_size, 96, 1024)
        check_range("dropout", self.dropout, 0, 0.99)
        check_range("num_symmetries", self.num_symmetries, 1, len(SYMMETRIES))
        check_range("poster_epochs", self.poster_epochs, 1, 100_000)
        check_range("poster_repeats", self.poster_repeats, 1, 100)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) that the network sees."""
        size = self.image_size or VARIANTS[self.variant][0]
        return size, size
