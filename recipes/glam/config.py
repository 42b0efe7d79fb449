"""Liu et al. 2021: does GLAM find lesions' outlines from image labels alone?

Paper: K. Liu et al., "Weakly-supervised High-resolution Segmentation of Mammography Images for
Breast Cancer Diagnosis", MIDL 2021, PMLR 143:451-472.
Command: ``mammo-tf recipe glam --dataset cdd_cesm --manual-dir FOLDER``.
Reported: Dice 39.6 % (benign) and 20.0 % (malignant) above the best earlier method, on the authors'
own images. Reproduced scores, hardware and times: docs/recipes/glam.md.
"""

from dataclasses import dataclass, field, replace

from mammo_tf.codecs.cratios import normalize_cratios
from mammo_tf.config import check_choice, check_range
from mammo_tf.models.registry import ModelConfig
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import SplitConfig
from mammo_tf.training.glam_config import GlamTrainingConfig
from mammo_tf.training.unet_config import UnetTrainingConfig

BASELINES = ("classifier", "unet")


@dataclass(frozen=True, kw_only=True)
class GlamNetworkConfig:
    """The network, see `mammo_tf.models.glam.GLAM`; the defaults are the published checkpoints'.

    Attributes:
        image_shape: (height, width) that images are fitted into.
        num_crops: Crops that the local network sees.
        crop_shape: (height, width) of a crop.
        top_k_fraction: Share of a map's pixels whose mean is its prediction.
        local_num_filters: Filters of the local network's stages.
        local_num_blocks: Blocks of those stages.

    Raises:
        UserError: If a number makes no sense.
    """

    image_shape: tuple[int, int] = (2944, 1920)
    num_crops: int = 6
    crop_shape: tuple[int, int] = (512, 512)
    top_k_fraction: float = 0.03
    local_num_filters: tuple[int, ...] = (64, 128, 256, 512)
    local_num_blocks: tuple[int, ...] = (3, 4, 6, 3)

    def __post_init__(self):
        for side in (*self.image_shape, *self.crop_shape):
            check_range("network: a side in pixels", side, 16, 8192)
        check_range("network.num_crops", self.num_crops, 1, 64)
        check_range("network.top_k_fraction", self.top_k_fraction, 1e-6, 1)


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """The plain classifier whose Grad-CAM stands beside GLAM.

    Attributes:
        model: A network of `mammo_tf.models` that can have three outputs.
        training: How it is trained, on the same images.
    """

    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="efficientnet_lite0"))
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True, kw_only=True)
class UnetConfig:
    """The U-Net that learns from masks, as a ceiling.

    Attributes:
        num_filters: Filters of its levels, from the finest.
        training: How it is trained.
    """

    num_filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    training: UnetTrainingConfig = field(default_factory=UnetTrainingConfig)


@dataclass(frozen=True, kw_only=True)
class GlamConfig(RecipeConfig):
    """Everything that decides the numbers of a run.

    Attributes:
        network: GLAM's size.
        training: How GLAM is trained.
        start: model.weights.h5 of a GLAM of the same size, from another run, to begin with; None
            for random weights.
        baselines: What GLAM is compared with beside its own global saliency: "classifier" (its
            Grad-CAM) and "unet".
        classifier: The plain classifier.
        unet: The U-Net.
        cratios: Compression ratios of test images; networks are trained at CR 1.
        num_resamples: Of the bootstrap over patients.

    Raises:
        UserError: If a value is out of its range.
    """

    dataset: str = "cdd_cesm"
    network: GlamNetworkConfig = field(default_factory=GlamNetworkConfig)
    training: GlamTrainingConfig = field(default_factory=GlamTrainingConfig)
    start: str | None = None
    baselines: tuple[str, ...] = BASELINES
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    cratios: tuple[float, ...] = (1,)
    num_resamples: int = 2000

    def __post_init__(self):
        super().__post_init__()
        for name in self.baselines:
            check_choice("baselines", name, BASELINES)
        check_range("num_resamples", self.num_resamples, 10, 100_000)
        object.__setattr__(self, "cratios", tuple(sorted({1, *normalize_cratios(self.cratios)})))


# How images are moved in the small presets; not stated in the paper's abstract.
_MOVES = AugmentConfig(
    vertical_flip=True, rotation_degrees=15, scale_range=(0.9, 1.1), fill_mode="nearest"
)
_SMALL = GlamNetworkConfig(
    image_shape=(512, 320),
    crop_shape=(96, 96),
    num_crops=4,
    local_num_filters=(16, 32, 64, 128),
    local_num_blocks=(1, 1, 1, 1),
)
_CLASSIFIER = TrainingConfig(
    epochs=15,
    batch_size=8,
    learning_rate=5e-4,
    schedule="cosine",
    warmup_epochs=1,
    class_weights="none",
    monitor="val_loss",
    patience=None,
    augment=_MOVES,
)

PRESETS = {
    "paper": GlamConfig(),
    "cpu": GlamConfig(
        split=SplitConfig(num_folds=3, validation_fraction=0.2),
        network=_SMALL,
        training=GlamTrainingConfig(
            global_epochs=20, local_epochs=10, learning_rate=5e-4, batch_size=8, augment=_MOVES
        ),
        classifier=ClassifierConfig(training=_CLASSIFIER),
        unet=UnetConfig(training=UnetTrainingConfig(epochs=20, augment=_MOVES)),
    ),
    "demo": GlamConfig(
        dataset="ncc",
        split=SplitConfig(num_folds=2, validation_fraction=0.3),
        phantom=PhantomConfig(
            num_studies=24, scale=0.125, malignant_fraction=0.4, benign_fraction=0.3
        ),
        network=replace(
            _SMALL,
            image_shape=(192, 160),
            crop_shape=(48, 48),
            num_crops=2,
            local_num_filters=(8, 16),
            local_num_blocks=(1, 1),
        ),
        training=GlamTrainingConfig(
            global_epochs=6, local_epochs=3, learning_rate=1e-3, batch_size=4, augment=_MOVES
        ),
        classifier=ClassifierConfig(
            model=ModelConfig(name="depthwise_cnn"),
            training=replace(_CLASSIFIER, epochs=6, learning_rate=3e-3),
        ),
        unet=UnetConfig(
            num_filters=(8, 16, 32), training=UnetTrainingConfig(epochs=6, augment=_MOVES)
        ),
        num_resamples=500,
    ),
}
