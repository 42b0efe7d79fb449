"""Peterka et al. 2020: do a GAN's lesions help a classifier of mass patches?

Paper: A. Peterka, Z. Bosnić and E. Osipov, "Improving mammogram classification by generating
artificial images", Information Society 2020.
Command: ``mammo-tf recipe cigan --dataset cbis_ddsm --manual-dir FOLDER``.
Reported: AUC 0.667 without, 0.716 with artificial images (Table 1). Reproduced scores, hardware and
times: docs/recipes/cigan.md.
"""

from dataclasses import dataclass, field, replace

from mammo_tf.config import check_choice, check_range
from mammo_tf.errors import UserError
from mammo_tf.models.cigan import PerceptualConfig
from mammo_tf.models.registry import ModelConfig
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.training.cigan_config import CiganConfig, CiganTrainingConfig, GanPatchesConfig
from mammo_tf.training.config import TrainingConfig

NETWORKS = ("shallow", "pretrained")
KINDS = ("cigan", "copy_paste", "oversampling")
# Not stated in the paper but for the augmentation of `ClassifyConfig.augment`.
TRADITIONAL = AugmentConfig(
    horizontal_flip=True, rotation_degrees=30, scale_range=(0.75, 1.25), fill_mode="reflect"
)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A classifier and how it is trained.

    Attributes:
        model: The network.
        training: How; its augmentation stays empty, see `ClassifyConfig.augment`.
        input_size: Side that patches are resized to; None for that of the patches.

    Raises:
        UserError: If a value is out of its range, or the training has an augmentation.
    """

    model: ModelConfig
    training: TrainingConfig
    input_size: int | None = None

    def __post_init__(self):
        if self.input_size is not None:
            check_range("classify.….input_size", self.input_size, 16, 512)
        if self.training.augment != AugmentConfig():
            raise UserError(
                "What changes training patches is set in `classify.augment`; `training.augment` of "
                "a network stays empty, since one row of the table has no augmentation."
            )


def _shallow(**changes) -> NetworkConfig:
    training = TrainingConfig(class_weights="none", monitor="val_auroc", patience=None, epochs=50)
    return NetworkConfig(
        model=ModelConfig(name="shallow_cnn"), training=replace(training, **changes)
    )


def _pretrained(input_size: int | None = 224, **changes) -> NetworkConfig:
    training = TrainingConfig(
        epochs=50,
        batch_size=32,
        learning_rate=1e-5,
        schedule="staircase",
        class_weights="none",
        monitor="val_auroc",
        patience=None,
    )
    return NetworkConfig(
        model=ModelConfig(name="efficientnet_lite0"),
        training=replace(training, **changes),
        input_size=input_size,
    )


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """The rows of the table.

    Attributes:
        augment: The traditional augmentation; in the paper flips, turns up to 30° and zoom from
            0.75 to 1.25.
        shares: Patches added, as shares of the lesion patches trained on; not stated in the paper
            ("relatively small amounts").
        table_share: The share of the paper's last row, and of the answer; chosen beforehand.
        kinds: What is added: "cigan", "copy_paste" (real lesions, no network), "oversampling".
        extras_on: The networks that each kind and share is added to, "shallow", "pretrained" or
            both; the paper's last row, pretrained with ciGAN at `table_share`, is always there.
        shallow: The paper's small network; its training is not stated there.
        pretrained: The paper's is ResNet-50: Adam at 1e-5, batches of 32, 50 epochs, the rate
            times 0.9 every 30, input 224×224.

    Raises:
        UserError: If a value is out of its range.
    """

    augment: AugmentConfig = TRADITIONAL
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)
    table_share: float = 0.25
    kinds: tuple[str, ...] = KINDS
    extras_on: tuple[str, ...] = ("pretrained",)
    shallow: NetworkConfig = field(default_factory=_shallow)
    pretrained: NetworkConfig = field(default_factory=_pretrained)

    def __post_init__(self):
        for share in self.shares:
            check_range("classify.shares", share, 0.01, 10)
        check_range("classify.table_share", self.table_share, 0.01, 10)
        for name, values, known in (
            ("kinds", self.kinds, KINDS),
            ("extras_on", self.extras_on, NETWORKS),
        ):
            for value in values:
                check_choice(f"classify.{name}", value, known)
        if not self.extras_on or "cigan" not in self.kinds:
            raise UserError("`classify.extras_on` needs a network, and `classify.kinds` cigan.")
        if (
            self.shallow.model.name == self.pretrained.model.name
            and self.shallow != self.pretrained
        ):
            raise UserError(
                "`classify.shallow` and `classify.pretrained` need different networks, or the same "
                f"settings. Received: {self.shallow.model.name} with two."
            )
        if self.augment.synthetic is not None or self.augment.cratios:
            raise UserError(
                "`classify.augment` takes no synthetic patches and no compression ratios here: the "
                "rows of the table say what is added."
            )


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """How the painted patches are judged; not in the paper.

    Attributes:
        embedding_weights: Those of the fixed EfficientNet-Lite0 whose pooled features are compared,
            see `EfficientNetLite0`: "imagenet", a file, or "none" for random ones.
        most: Most patches of a set.
        num_panel: Patches of the blind panel, half of them real.

    Raises:
        UserError: If a value is out of its range.
    """

    embedding_weights: str = "imagenet"
    most: int = 500
    num_panel: int = 24

    def __post_init__(self):
        check_range("quality.most", self.most, 10, 100_000)
        check_range("quality.num_panel", self.num_panel, 2, 60)


@dataclass(frozen=True, kw_only=True)
class CiganRecipeConfig(CiganConfig):
    """Everything that decides the numbers of a run.

    Attributes:
        margin: AUROC; less than this counts as no help.
        classify: The rows of the table.
        quality: How the patches are judged.
    """

    margin: float = 0.02
    classify: ClassifyConfig = field(default_factory=ClassifyConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)

    def __post_init__(self):
        super().__post_init__()
        check_range("margin", self.margin, 0.001, 0.5)


# The discriminator is not told the class, since its class head can then copy it (loss 0).
_SMALL_GAN = CiganTrainingConfig(
    pretrain_epochs=6, adversarial_epochs=10, class_map_joined=False, boundary_sigma_scaled=True
)
_FAST = {"learning_rate": 1e-3, "schedule": "cosine", "warmup_epochs": 1}

PRESETS = {
    "paper": CiganRecipeConfig(),
    "cpu": CiganRecipeConfig(
        patches=GanPatchesConfig(patch_size=64, image_scale=0.5, most_per_class=(800, 900, 900)),
        gan=_SMALL_GAN,
        classify=ClassifyConfig(
            extras_on=("shallow",),
            shallow=_shallow(epochs=12, **_FAST),
            pretrained=_pretrained(input_size=None, epochs=6, **_FAST),
        ),
    ),
    "demo": CiganRecipeConfig(
        phantom=PhantomConfig(
            num_studies=24, scale=0.125, malignant_fraction=0.5, benign_fraction=0.5
        ),
        patches=GanPatchesConfig(patch_size=32, least_lesion=0.2, most_per_class=(60, 60, 60)),
        perceptual=PerceptualConfig(backbone="vgg16", weights="random"),
        gan=replace(_SMALL_GAN, pretrain_epochs=2, adversarial_epochs=2),
        classify=ClassifyConfig(
            extras_on=("shallow",),
            shallow=_shallow(epochs=3, batch_size=16),
            pretrained=replace(
                _pretrained(input_size=None, epochs=2, learning_rate=1e-3, batch_size=16),
                model=ModelConfig(name="efficientnet_lite0", options={"weights": "none"}),
            ),
        ),
        quality=QualityConfig(embedding_weights="none", most=60, num_panel=12),
    ),
}
REPEATS = {"paper": 5, "demo": 2}
