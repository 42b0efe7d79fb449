"""The cigan recipe's report on how ciGAN was trained."""

from collections.abc import Sequence

from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.report import Figure, Section, Table
from mammo_tf.report.curves import losses_figure
from mammo_tf.training.folds import Fold


def turns(history: Sequence[dict], pretrain_epochs: int) -> tuple[int, int, int]:
    """Returns the adversarial epochs in which discriminator and generator trained, and all."""
    found = [entry for entry in history if entry["epoch"] > pretrain_epochs]
    each = [sum(name in entry for entry in found) for name in ("discriminator", "generator")]
    return each[0], each[1], len(found)


def gan_section(
    folds: Sequence[Fold], histories: Sequence[Sequence[dict]], config: CiganRecipeConfig
) -> Section:
    """Returns the section on ciGAN's training: turns, losses and their curves.

    Args:
        folds: Each has a ciGAN.
        histories: Their epochs, see `fit_cigan`.
        config: Of the run.
    """
    rows = []
    for fold, history in zip(folds, histories, strict=True):
        discriminator, generator, all_of_them = turns(history, config.gan.pretrain_epochs)
        last: dict = {}
        for entry in history:
            last |= entry
        losses = (f"{k} {v:.3f}" for k, v in last.items() if k != "epoch")
        rows.append(
            [
                f"fold {fold.index}",
                str(len(history)),
                f"{discriminator} and {generator} of {all_of_them}",
                "; ".join(losses),
            ]
        )
    told = "is told" if config.gan.class_map_joined else "is not told"
    header = ["", "Epochs", "Alternating ones with turns of discriminator and generator",
              "Losses when last computed"]  # fmt: skip
    named = {f"fold {fold.index}": one for fold, one in zip(folds, histories, strict=True)}
    figure = Figure(
        losses_figure(named),
        "Mean of each loss in an epoch; a loss has no point where the other network had all turns.",
        alt="Losses of ciGAN against epochs.",
    )
    return Section(
        "ciGAN's training",
        [
            f"The discriminator {told} the class. One that is told it, as in Wu et al., can copy "
            "it to its class head (loss 0) and then teaches the generator nothing about the class."
        ],
        [Table(header, rows), figure],
    )
