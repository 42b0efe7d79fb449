"""How the detectors of the mias recipe are made and trained."""

from dataclasses import dataclass, field

from mammo_tf.errors import UserError
from mammo_tf.models.ssd.model import BACKBONES, VARIANTS
from mammo_tf.training.fit_detector import DetectorTrainingConfig

SPLITS = ("woman", "poster")


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """The detection half of the recipe. The poster states none of these numbers.

    Attributes:
        variant: "ssd300" or "ssd512". The poster's figure shows SSD's 300×300 architecture.
        backbone: "vgg16" as in the poster, or "light", which a CPU can train.
        image_size: Height and width that the network sees; None for the variant's own.
        dropout: Of the light backbone.
        weights: For VGG-16: "imagenet", or a Keras VGG16 weights file; "none" for random weights,
            which must be asked for.
        splits: "woman" (five folds, no woman in two parts: the one to believe), "poster" (turned
            copies of abnormal films divided at random: leaks, shown for comparison), or both.
        poster_epochs: Epochs on the poster's split, which has four times as many images an epoch:
            about as many steps in all.
        poster_repeats: Random divisions of the poster's kind.
        num_views: Views of a test film whose outputs are averaged, 1 to 8; see `Detector`.
        training: How SSD is trained.

    Raises:
        UserError: If a value is out of its range.
    """

    variant: str = "ssd300"
    backbone: str = "light"
    image_size: int | None = None
    dropout: float = 0.0
    weights: str = "imagenet"
    splits: tuple[str, ...] = SPLITS
    poster_epochs: int = 20
    poster_repeats: int = 1
    num_views: int = 8
    training: DetectorTrainingConfig = field(default_factory=DetectorTrainingConfig)

    def __post_init__(self):
        for name, value, choices in (
            ("variant", self.variant, tuple(VARIANTS)),
            ("backbone", self.backbone, BACKBONES),
        ):
            if value not in choices:
                raise UserError(f"`{name}` must be one of {', '.join(choices)}. Got: {value!r}.")
        if not self.splits or set(self.splits) - set(SPLITS):
            raise UserError(f"`splits` must be of {', '.join(SPLITS)}. Received: {self.splits}.")
        if self.image_size is not None and not 96 <= self.image_size <= 1024:
            raise UserError(f"`image_size` must be from 96 to 1024. Received: {self.image_size}.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"`dropout` must be from 0 to below 1. Received: {self.dropout}.")
        if not 1 <= self.num_views <= 8:
            raise UserError(f"`num_views` must be from 1 to 8. Received: {self.num_views}.")
        if self.poster_epochs < 1 or not 1 <= self.poster_repeats <= 100:
            raise UserError(
                "`poster_epochs` must be at least 1 and `poster_repeats` from 1 to 100. "
                f"Received: {self.poster_epochs}, {self.poster_repeats}."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) that the network sees."""
        size = self.image_size or VARIANTS[self.variant][0]
        return size, size
