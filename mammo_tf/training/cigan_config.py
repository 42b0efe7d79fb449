"""Settings of a run of ciGAN; imports nothing heavy."""

from dataclasses import dataclass, field, fields

from mammo_tf.config import check_range, from_plain
from mammo_tf.models.cigan.settings import PerceptualConfig, check_patch_size
from mammo_tf.recipe_config import RecipeConfig

PAPER_PATCH_SIZE = 256


@dataclass(frozen=True, kw_only=True)
class CiganTrainingConfig:
    """How ciGAN is trained.

    Attributes:
        pretrain_epochs: Passes with the perceptual loss alone; 300 in the paper.
        adversarial_epochs: Passes of alternating training; 2000 in the paper.
        batch_size: Patches a step; 8 in Wu et al.
        learning_rate: Of both Adams; 1e-4 in Wu et al.
        decay_rate: What the rate is multiplied by, every `decay_steps` steps; 0.99 in Wu et al.
        decay_steps: 500 in Wu et al.
        loss_threshold: A network trains until its adversarial loss in a step is below this one;
            then it is the other's turn. 0.3 in the paper.
        most_steps_in_turn: Then it is the other's turn all the same; not stated in the paper, where
            a turn might never end.
        boundary_sigma_px: See `boundary_weights`; 10 in the paper, on 256 pixels.
        boundary_sigma_scaled: Multiply that by the side of a patch over 256, so that the boundary
            is as wide a part of a smaller patch; not in the paper, whose patches have 256.
        class_map_joined: Whether the discriminator is told the class, as in Wu et al.; its class
            head can then copy it. False makes it see the class in the pixels.
        perceptual_weight: Of the perceptual loss. None of the weights is stated in the paper.
        boundary_weight: Of the boundary loss.
        adversarial_weight: Of the adversarial loss.
        class_weight: Of the class loss.
        num_panel: Patches shown in TensorBoard.

    Raises:
        UserError: If a value is out of its range.
    """

    pretrain_epochs: int = 300
    adversarial_epochs: int = 2000
    batch_size: int = 8
    learning_rate: float = 1e-4
    decay_rate: float = 0.99
    decay_steps: int = 500
    loss_threshold: float = 0.3
    most_steps_in_turn: int = 200
    boundary_sigma_px: float = 10.0
    boundary_sigma_scaled: bool = False
    class_map_joined: bool = True
    perceptual_weight: float = 1.0
    boundary_weight: float = 1.0
    adversarial_weight: float = 1.0
    class_weight: float = 1.0
    num_panel: int = 4

    def __post_init__(self):
        ranges = {
            "pretrain_epochs": (0, 100_000),
            "adversarial_epochs": (0, 100_000),
            "batch_size": (1, 4096),
            "learning_rate": (1e-9, 1),
            "decay_rate": (0.01, 1),
            "decay_steps": (1, 1_000_000),
            "loss_threshold": (0, 100),
            "most_steps_in_turn": (1, 1_000_000),
            "boundary_sigma_px": (0.1, 100),
            "perceptual_weight": (0, 1e6),
            "boundary_weight": (0, 1e6),
            "adversarial_weight": (0, 1e6),
            "class_weight": (0, 1e6),
            "num_panel": (1, 16),
        }
        for name, (low, high) in ranges.items():
            check_range(f"gan.{name}", getattr(self, name), low, high)

    def boundary_sigma_for(self, patch_size: int) -> float:
        """Standard deviation in pixels of patches of this side."""
        factor = patch_size / PAPER_PATCH_SIZE if self.boundary_sigma_scaled else 1.0
        return self.boundary_sigma_px * factor

    @property
    def num_epochs(self) -> int:
        """Passes of both parts together."""
        return self.pretrain_epochs + self.adversarial_epochs


@dataclass(frozen=True, kw_only=True)
class GanPatchesConfig:
    """Which patches are cut; see `mammo_tf.pipelines.tasks.gan_patches`.

    Attributes:
        patch_size: Side in pixels, 32, 64, 128 or 256; 256 in the paper.
        stride: Pixels between windows; None for half of `patch_size`, as in the paper.
        image_scale: Size of an image against the original before windows slide over it.
        least_breast: A window shows more breast than this share.
        least_lesion: Least share of a finding that a window with its label shows.
        most_per_class: Most patches (normal, benign, malignant); None for all.
        zoom_range: (lowest, highest) magnification of a lesion's outline in synthesis.

    Raises:
        UserError: If the size is another one.
    """

    patch_size: int = 256
    stride: int | None = None
    image_scale: float = 1.0
    least_breast: float = 0.5
    least_lesion: float = 0.5
    most_per_class: tuple[int, int, int] | None = None
    zoom_range: tuple[float, float] = (0.9, 1.1)

    def __post_init__(self):
        check_patch_size(self.patch_size)
        low, high = self.zoom_range
        check_range("patches.zoom_range", low, 0.1, high)
        check_range("patches.zoom_range", high, low, 10)


@dataclass(frozen=True, kw_only=True)
class CiganConfig(RecipeConfig):
    """Everything that decides the networks of a run.

    Attributes:
        patches: Which patches are cut.
        perceptual: Which network compares patches.
        gan: How the networks are trained.
    """

    dataset: str = "cbis_ddsm"
    patches: GanPatchesConfig = field(default_factory=GanPatchesConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    gan: CiganTrainingConfig = field(default_factory=CiganTrainingConfig)


def config_from_plain(plain: dict) -> CiganConfig:
    """Returns the configuration that a run folder's config.json keeps.

    Args:
        plain: What it keeps; settings of a recipe that trains more than ciGAN are left out.
    """
    known = {entry.name for entry in fields(CiganConfig)}
    return from_plain(CiganConfig, {name: plain[name] for name in plain.keys() & known})
