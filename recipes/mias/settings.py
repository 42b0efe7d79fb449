"""Which configuration the command line asks for."""

import dataclasses

from mammo_tf.config import apply_overrides
from mammo_tf.errors import UserError
from mammo_tf.recipes.mias.config import MiasConfig


def choose_config(
    *,
    backbone: str | None = None,
    weights: str | None = None,
    num_folds: int | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] = (),
) -> MiasConfig:
    """Builds the configuration: the defaults, then the options, then overrides.

    Args:
        backbone: "light" or "vgg16", or None.
        weights: See `DetectConfig`, or None.
        num_folds: Number of folds, or None.
        seed: Seed, or None.
        overrides: "section.key=value" assignments; they come last.

    Returns:
        The configuration; its range checks have run.

    Raises:
        UserError: For an unknown key, a value out of range, or weights that nothing would load.
    """
    config = MiasConfig()
    detect = {"backbone": backbone, "weights": weights}
    detect = {name: value for name, value in detect.items() if value is not None}
    changes = {"num_folds": num_folds, "seed": seed}
    changes = {name: value for name, value in changes.items() if value is not None}
    config = dataclasses.replace(
        config, detect=dataclasses.replace(config.detect, **detect), **changes
    )
    config = apply_overrides(config, overrides)
    if weights is not None and config.detect.backbone != "vgg16":
        raise UserError(
            "--weights needs --backbone vgg16; the light network starts from random weights. "
            f"Received: {weights}."
        )
    return config
