"""Which model from elsewhere the command line asks for, and what has no meaning beside it."""

from collections.abc import Sequence

from mammo_tf.errors import UserError
from mammo_tf.scoring.config import ScorerConfig

# Settings of what a scorer does not do: training, dividing, cutting.
TRAINING = ("training.", "model.", "split.", "patch.", "resize_fraction", "task=")


def choose_scorer(
    scorer: str | None,
    *,
    scorer_input: str | None = None,
    scorer_unit: str | None = None,
    scorer_traceback: bool = False,
    task: str | None = None,
    model: str | None = None,
    experiments: Sequence[str] = ("single",),
    repeats: int = 1,
    folds: int | str | None = None,
    overrides: Sequence[str] = (),
) -> ScorerConfig | None:
    """Builds the scorer's configuration; `overrides` are applied later, with all others.

    Args:
        scorer: See `ScorerConfig.model`; None trains a network.
        scorer_input: See `ScorerConfig.input`.
        scorer_unit: See `ScorerConfig.unit`; None for "image".
        scorer_traceback: Only for a scorer.
        task: Refused beside a scorer, as all below: it is about training.
        model: A network to train.
        experiments: What to train.
        repeats: Trainings.
        folds: "official" is allowed: it takes the data set's own test part.
        overrides: Those about training are refused.

    Raises:
        UserError: For a combination that makes no sense, or a value out of range.
    """
    if scorer is None:
        if scorer_input or scorer_unit or scorer_traceback:
            raise UserError(
                "--scorer-input, --scorer-unit and --scorer-traceback say how a scorer is asked. "
                "Give one by --scorer."
            )
        return None
    refused = {
        "--task": task is not None,
        "--model": model is not None,
        "--experiment": tuple(experiments) != ("single",),
        "--repeats": repeats != 1,
        **{f"--set {key}": key.strip().startswith(TRAINING) for key in overrides},
    }
    for option, given in refused.items():
        if given:
            raise UserError(
                f"{option} is about training, and with --scorer nothing is trained; leave it away. "
                "What a score is of is --scorer-unit."
            )
    if folds not in (None, "official"):
        raise UserError(
            "With --scorer nothing is trained, so there are no folds: --folds official takes the "
            f"data set's own test part, without it all is scored. Received: {folds}."
        )
    asked = {"model": scorer, "input": scorer_input, "unit": scorer_unit}
    return ScorerConfig(**{key: value for key, value in asked.items() if value is not None})
