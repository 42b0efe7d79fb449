"""Jo et al. 2021: how far JPEG 2000 compression can go before a classifier suffers.

Paper: Y.-Y. Jo et al., "Impact of image compression on deep learning-based mammogram
classification", Scientific Reports 11 (2021).
Command: ``mammo-tf recipe compression`` (presets below).
Reported score: CNN3 AUROC 0.86-0.88 and AUPRC 0.74-0.76 for CR 1 to 5,000; 0.81 and 0.52 at
CR 10,000; 0.78 and 0.46 at CR 11,000 (Table 1), on 9,111 studies that are not public.
Reproduced scores, hardware and times: docs/recipes/compression.md.
"""

import dataclasses
from dataclasses import dataclass, field

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.training.config import TrainingConfig

DATASETS = {"phantom": ("malignant",), "ncc": ("malignant",), "mini_mias": ("lesion", "malignant")}
EXPERIMENTS = ("single", "cross")


@dataclass(frozen=True, kw_only=True)
class PhantomConfig:
    """The synthetic screening set; none of it is from the paper.

    Attributes:
        num_studies: Number of four-view studies, at least 10.
        scale: Size against the paper's smallest detector, 2294×1914.
        seed: Seed of the images.
        malignant_fraction: Share of studies with a malignant breast; the paper has 0.19.
        benign_fraction: Share of studies with a benign breast; the paper has 0.19.
    """

    num_studies: int = 40
    scale: float = 1.0
    seed: int = 1
    malignant_fraction: float = 0.3
    benign_fraction: float = 0.3


@dataclass(frozen=True, kw_only=True)
class CompressionConfig:
    """Everything that decides the numbers of a run.

    Attributes:
        dataset: "phantom" (made on the spot), "ncc" (a hospital's studies.csv) or "mini_mias".
        task: "malignant" (malignant against the rest: a breast for ncc, an image for mini_mias) or
            "lesion" (mini_mias: lesion patch against normal tissue at the same place).
        cratios: Compression ratios, ascending; the first is the reference. The paper's are 1 to
            11,000 ("Compressed mammograms using different compression ratios").
        model: "cnn3".
        num_folds: Cross-validation folds; 5 in the paper.
        validation_fraction: Share of the non-test cases for validation; 7:1:2 in the paper.
        seed: Seed of folds, weights, shuffling and bootstrap; not stated in the paper.
        resize_fraction: Size of the network's input against the image; 0.3 in the paper.
        num_resamples: Bootstrap resamples for the AUPRC's interval; not stated in the paper.
        phantom: The synthetic set, used when `dataset` is "phantom".
        training: How the network is trained.
    """

    dataset: str = "ncc"
    task: str = "malignant"
    cratios: tuple[float, ...] = (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)
    model: str = "cnn3"
    num_folds: int = 5
    validation_fraction: float = 0.125
    seed: int = 1
    resize_fraction: float = 0.3
    num_resamples: int = 2000
    phantom: PhantomConfig = field(default_factory=PhantomConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        check_choice("dataset", self.dataset, tuple(DATASETS))
        check_choice("task", self.task, DATASETS[self.dataset])
        check_choice("model", self.model, ("cnn3",))
        if not self.cratios or list(self.cratios) != sorted(set(self.cratios)):
            raise UserError(f"`cratios` must be ascending and distinct. Received: {self.cratios}.")
        if self.cratios[0] < 1:
            raise UserError(f"A compression ratio is at least 1. Received: {self.cratios[0]:g}.")
        check_range("num_folds", self.num_folds, 2, 20)
        check_range("validation_fraction", self.validation_fraction, 0.01, 0.5)
        check_range("resize_fraction", self.resize_fraction, 0.01, 1)
        check_range("num_resamples", self.num_resamples, 100, 100_000)
        check_range("phantom.num_studies", self.phantom.num_studies, 10, 100_000)
        check_range("seed", self.seed, 0, 2**31 - 1)


PAPER = CompressionConfig()
# Small images, so that all is done in minutes. The lesions' look was set so that CNN3 comes near
# the paper's AUROC at low CR; the ratios are those that images of 0.27 megapixels can bear.
DEMO = dataclasses.replace(
    PAPER,
    dataset="phantom",
    cratios=(1, 1000, 2000, 3000),
    num_folds=2,
    phantom=PhantomConfig(
        num_studies=200, scale=0.25, malignant_fraction=0.5, benign_fraction=0.25
    ),
    training=TrainingConfig(
        epochs=30,
        batch_size=16,
        head_pooling="max",
        patience=None,
        augment=AugmentConfig(shift_px=8),
    ),
)
# CRs that an 8-bit image of one megabyte can bear. The patch task has no counterpart in the paper;
# its training was chosen at CR 1 on other folds and normal films (seeds) than the recipe's own.
MINI_MIAS = dataclasses.replace(
    PAPER,
    dataset="mini_mias",
    task="lesion",
    cratios=(1, 15, 20, 25, 50, 100, 200, 500, 1000),
    training=TrainingConfig(
        epochs=20,
        learning_rate=3e-3,
        schedule="cosine",
        warmup_epochs=2,
        weight_decay=1e-3,
        ema_momentum=0.99,
        dropout=0.3,
        stackwise_num_filters=(8, 16, 32),
        dense_units=(32, 16),
        patience=None,
        num_test_views=8,
        augment=AugmentConfig(
            horizontal_flip=True,
            rotation_degrees=180,
            shift_px=4,
            scale_range=(0.9, 1.1),
            fill_mode="constant",
        ),
    ),
)
PRESETS = {"paper": PAPER, "demo": DEMO, "mini_mias": MINI_MIAS}
