"""Jin and Zheng's poster: three-class classification and SSD detection on mini-MIAS.

Poster: Y. Jin and Y. Zheng, "Medical Image Processing with Deep Learning".
Command: ``mammo-tf recipe mias --manual-dir FOLDER``; ``--dataset`` for other images.
Reported scores: AP benign 0.8, malignant 0.806, mAP 0.803 on its test set; 0.879, 0.907, 0.902 on
all sets. Reproduced scores, hardware and times: docs/recipes/mias.md.
"""

from dataclasses import dataclass, field

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.recipes.mias.classify_config import CUTS, ClassifyConfig
from mammo_tf.recipes.mias.detect_config import DetectConfig

PARTS = ("classify", "detect", "combine")


@dataclass(frozen=True, kw_only=True)
class CombineConfig:
    """How a detector's proposals are scored again by a classifier; not in the poster.

    Attributes:
        variant: The classifier's way to cut, see `CUTS`.
        proposals: Most detections of an image that the classifier looks at.
        weights: Weights of the classifier tried on the validation images; 0 leaves the detector's
            order, 1 is the classifier's alone.
    """

    variant: str = "centred128"
    proposals: int = 20
    weights: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class MiasConfig(RecipeConfig):
    """Everything that decides the numbers of a run.

    The division by patient and the seed are not stated in the poster.

    Attributes:
        num_resamples: Bootstrap resamples of the intervals; the poster has none.
        classify: The patch classifier.
        detect: The detector.
        combine: Both together.

    Raises:
        UserError: If a value is out of its range.
    """

    dataset: str = "mini_mias"
    num_resamples: int = 1000
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    combine: CombineConfig = field(default_factory=CombineConfig)

    def __post_init__(self):
        super().__post_init__()
        check_range("num_resamples", self.num_resamples, 100, 100_000)
        check_range("combine.proposals", self.combine.proposals, 1, 200)
        check_choice("combine.variant", self.combine.variant, CUTS)
        if not self.combine.weights or not all(0 <= w <= 1 for w in self.combine.weights):
            raise UserError(
                f"`combine.weights` must be from 0 to 1. Received: {self.combine.weights}."
            )
