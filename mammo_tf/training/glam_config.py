"""How GLAM is trained."""

from dataclasses import dataclass, field

from mammo_tf.config import check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.augment import AugmentConfig

STAGES = ("global", "local", "joint")


@dataclass(frozen=True, kw_only=True)
class GlamTrainingConfig:
    """How GLAM is trained; no number is stated in the paper's abstract or the published code.

    Attributes:
        global_epochs: Passes that train the global network alone.
        local_epochs: Passes that then train the local network on the crops of the frozen global
            one; what the authors call "sep" ends here.
        joint_epochs: Passes that then train both at once, the authors' "joint"; 0 for "sep".
        batch_size: Images a step.
        learning_rate: Of Adam.
        l1_weight: Weight of the mean saliency of each head.
        most_memory_gb: Refuse to begin where the estimate of memory, in 10⁹ bytes, is above; None
            for no limit.
        augment: How training images are moved at random; not stated in the paper's abstract.

    Raises:
        UserError: If a number makes no sense.
    """

    global_epochs: int = 10
    local_epochs: int = 10
    joint_epochs: int = 0
    batch_size: int = 4
    learning_rate: float = 1e-4
    l1_weight: float = 0.01
    most_memory_gb: float | None = None
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self):
        for name in ("global_epochs", "local_epochs", "joint_epochs"):
            check_range(f"glam.{name}", getattr(self, name), 0, 100_000)
        check_range("glam.batch_size", self.batch_size, 1, 4096)
        check_range("glam.learning_rate", self.learning_rate, 1e-9, 1)
        check_range("glam.l1_weight", self.l1_weight, 0, 1000)
        check_moves_alone(self.augment)
        if not self.num_epochs:
            raise UserError("GLAM needs at least one epoch of a stage.")

    @property
    def num_epochs(self) -> int:
        """Passes of all stages together."""
        return self.global_epochs + self.local_epochs + self.joint_epochs

    def stage(self, epoch: int) -> str:
        """Returns the stage of a pass, counted from 0."""
        if epoch < self.global_epochs:
            return "global"
        return "local" if epoch < self.global_epochs + self.local_epochs else "joint"


def check_moves_alone(augment: AugmentConfig) -> None:
    """Raises UserError where an augmentation does more than move whole images."""
    extras = augment.changes_intensity or augment.cratios or augment.synthetic is not None
    if extras or augment.quarter_turns:
        raise UserError(
            "Here `augment` only flips, turns, moves and magnifies images: leave quarter_turns, "
            "brightness, contrast, cratios and synthetic as they are."
        )
