"""Which configuration the command line asks for."""

import dataclasses

from mammo_tf.errors import UserError
from mammo_tf.recipes.mias.config import MiasConfig


def choose_config(
    *,
    dataset: str | None = None,
    variant: str | None = None,
    phantom: bool | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    folds: int | str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] = (),
) -> MiasConfig:
    """Builds the configuration: the defaults, then the options, then overrides.

    Args:
        dataset: A data set's name, or None for the poster's.
        variant: One of its variants, or None for its first.
        phantom: True to make a synthetic set first.
        backbone: "light", "vgg16" or "efficientnet_lite0", or None.
        weights: See `DetectConfig`, or None.
        folds: Number of folds, "official", or None.
        seed: Seed, or None.
        overrides: "section.key=value" assignments; they come last.

    Returns:
        The configuration; its range checks have run.

    Raises:
        UserError: For an unknown key, a value out of range, or weights that nothing would load.
    """
    base = MiasConfig()
    detect = {"backbone": backbone, "weights": weights}
    detect = {name: value for name, value in detect.items() if value is not None}
    config = base.with_options(
        dataset=dataset,
        variant=variant,
        phantom=phantom,
        folds=folds,
        seed=seed,
        overrides=overrides,
        changes={"detect": dataclasses.replace(base.detect, **detect)},
    )
    if weights is not None and config.detect.backbone == "light":
        raise UserError(
            "--weights needs --backbone vgg16 or efficientnet_lite0; the light network starts from "
            "random weights. "
            f"Received: {weights}."
        )
    return config
