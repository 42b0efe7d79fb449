"""The rows of the table: a network, how its training patches are changed, and what is added."""

from dataclasses import dataclass

from mammo_tf.recipes.cigan import paper_numbers
from mammo_tf.recipes.cigan.config import ClassifyConfig

KIND_NAMES = {
    "cigan": "ciGAN",
    "copy_paste": "pasted real lesions",
    "oversampling": "oversampling",
}


@dataclass(frozen=True)
class Arm:
    """One row.

    Attributes:
        network: "shallow" or "pretrained".
        traditional: Whether training patches are flipped, turned and zoomed.
        kind: What is added, "cigan", "copy_paste" or "oversampling"; None for nothing.
        share: How much, against the lesion patches trained on.
    """

    network: str
    traditional: bool = False
    kind: str | None = None
    share: float = 0.0

    @property
    def tags(self) -> tuple[str, ...]:
        """What tells its cells from others of the network."""
        extra = (f"{self.kind}{self.share * 100:g}".replace(".", "_"),) if self.kind else ()
        return ("traditional" if self.traditional else "plain", *extra)

    def title(self, config: ClassifyConfig) -> str:
        """The row's name in a table."""
        words = [network_name(config, self.network)]
        if self.traditional:
            words.append("traditional")
        if self.kind:
            words.append(f"{KIND_NAMES[self.kind]} {self.share:.0%}")
        return " + ".join(words)

    @property
    def without(self) -> "Arm":
        """The same row with nothing added."""
        return Arm(self.network, self.traditional)


def network_name(config: ClassifyConfig, network: str) -> str:
    """The name of a network, with where its first weights come from if they are not a default."""
    model = getattr(config, network).model
    weights = model.options.get("weights")
    return f"{model.name} (random weights)" if weights == "none" else model.name


def table_arm(config: ClassifyConfig) -> Arm:
    """The paper's last row."""
    return Arm("pretrained", True, "cigan", config.table_share)


def paper_rows(config: ClassifyConfig) -> dict[Arm, tuple[float, float, float]]:
    """Returns the rows of the paper's Table 1 with its (accuracy, recall, AUC)."""
    return {
        Arm("shallow"): paper_numbers.SHALLOW,
        Arm("pretrained"): paper_numbers.PRETRAINED,
        Arm("pretrained", True): paper_numbers.TRADITIONAL,
        table_arm(config): paper_numbers.ARTIFICIAL,
    }


def all_arms(config: ClassifyConfig) -> tuple[Arm, ...]:
    """Returns every row, none twice: the paper's, then what is added to each network."""
    arms = list(paper_rows(config))
    for network in config.extras_on:
        arms.append(Arm(network, True))
        arms += [
            Arm(network, True, kind, share) for kind in config.kinds for share in config.shares
        ]
    return tuple(dict.fromkeys(arms))
