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

from mammo_tf.codecs.cratios import normalize_cratios
from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.task_names import BINARY_TASKS
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.scoring.config import ScorerConfig
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import SplitConfig

DETECTION = "detection"


@dataclass(frozen=True, kw_only=True)
class CompressionConfig(RecipeConfig):
    """Everything that decides the numbers of a run; see also `RecipeConfig`.

    Attributes:
        task: "pairs" (malignant breast, from CC and MLO, as in the paper), "whole" (malignant
            image), "lesion" (lesion patch against normal tissue at the same place), "patch"
            (malignant against benign finding), "detection" (a trained detector alone), or
            "auto" for the first that the data set serves.
        cratios: Compression ratios, ascending; the first is the reference. The paper's are 1 to
            11,000 ("Compressed mammograms using different compression ratios").
        model: The network and its options.
        others: Further networks, trained and tested alike; the tables have a row for each.
        resize_fraction: Size of the network's input against the image, for "pairs" and "whole";
            None means the paper's 0.3.
        patch: How the task "patch" cuts findings; not in the paper.
        num_resamples: Bootstrap resamples for the AUPRC's interval; not stated in the paper.
        margin: Loss of AUROC that still counts as non-inferior; a choice to be made before the
            results are seen. Not stated in the paper.
        training: How the network is trained.
        scorer: A model of others to test instead of training one; None trains.
        detector: A trained detector to test instead, a folder: task "detection"; None trains.

    Raises:
        UserError: If a value is out of its range.
    """

    dataset: str = "ncc"
    task: str = "auto"
    cratios: tuple[float, ...] = (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)
    model: ModelConfig = field(default_factory=ModelConfig)
    others: tuple[ModelConfig, ...] = ()
    resize_fraction: float | None = None
    patch: FindingPatchConfig = field(default_factory=FindingPatchConfig)
    num_resamples: int = 2000
    margin: float = 0.02
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scorer: ScorerConfig | None = None
    detector: str | None = None

    def __post_init__(self):
        super().__post_init__()
        check_choice("task", self.task, ("auto", *BINARY_TASKS, DETECTION))
        if (self.task == DETECTION) != (self.detector is not None):
            raise UserError(
                "--task detection tests a detector that is trained already, and --detector RUN "
                "says which; each needs the other. `mammo-tf recipe mias` trains one."
            )
        names = [network.name for network in self.networks]
        if len(set(names)) < len(names):
            raise UserError(f"Each network may be given once. Received: {', '.join(names)}.")
        if self.cratios != normalize_cratios(self.cratios):
            raise UserError(f"`cratios` must be ascending. Received: {self.cratios}.")
        if self.resize_fraction is not None:
            check_range("resize_fraction", self.resize_fraction, 0.01, 1)
        check_range("num_resamples", self.num_resamples, 100, 100_000)
        check_range("margin", self.margin, 0.0001, 0.5)
        if self.training.augment.cratios:
            raise UserError(
                "`training.augment.cratios` would train the same network at each compression "
                "ratio. In this recipe --experiment augmented draws from `cratios`."
            )

    @property
    def networks(self) -> tuple[ModelConfig, ...]:
        """All networks, the first one first."""
        return (self.model, *self.others)


PAPER = CompressionConfig(task="pairs")
# Small images, so that all is done in minutes. The lesions' look was set so that CNN3 comes near
# the paper's AUROC at low CR; the ratios are those that images of 0.27 megapixels can bear.
DEMO = dataclasses.replace(
    PAPER,
    cratios=(1, 1000, 2000, 3000),
    split=SplitConfig(num_folds=2),
    phantom=PhantomConfig(
        num_studies=200, scale=0.25, malignant_fraction=0.5, benign_fraction=0.25
    ),
    model=ModelConfig(options={"head_pooling": "max"}),
    training=TrainingConfig(
        epochs=30, batch_size=16, patience=None, augment=AugmentConfig(shift_px=8)
    ),
)
# For 8-bit images of one megabyte, and the CRs that they can bear: patches have no counterpart in
# the paper. The training was chosen on mini-MIAS at CR 1, on other folds and normal films (seeds)
# than the recipe's own.
PATCHES = dataclasses.replace(
    PAPER,
    task="lesion",
    cratios=(1, 15, 20, 25, 50, 100, 200, 500, 1000),
    model=ModelConfig(
        options={"dropout": 0.3, "stackwise_num_filters": (8, 16, 32), "dense_units": (32, 16)}
    ),
    training=TrainingConfig(
        epochs=20,
        learning_rate=3e-3,
        schedule="cosine",
        warmup_epochs=2,
        weight_decay=1e-3,
        ema_momentum=0.99,
        patience=None,
        num_test_copies=8,
        augment=AugmentConfig(
            horizontal_flip=True,
            rotation_degrees=180,
            shift_px=4,
            scale_range=(0.9, 1.1),
            fill_mode="constant",
        ),
    ),
)
PRESETS = {"demo": DEMO, "paper": PAPER, "patches": PATCHES}
