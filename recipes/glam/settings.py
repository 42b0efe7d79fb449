"""Which configuration the command line asks for."""

import os
from collections.abc import Sequence

from mammo_tf.errors import UserError
from mammo_tf.recipes.glam.config import PRESETS, GlamConfig


def choose_config(
    *,
    preset: str | None = None,
    cratios: Sequence[float] | None = None,
    start: str | None = None,
    dataset: str | None = None,
    phantom: bool | None = None,
    **options,
) -> GlamConfig:
    """Builds the configuration: the preset, then options, then overrides.

    Args:
        preset: A key of PRESETS; None means "demo" where nothing says what to run on, else "paper".
        cratios: Compression ratios of test images.
        start: Weights to begin with.
        dataset: A data set's name, or None for the preset's.
        phantom: True to make a synthetic set first.
        **options: Further ones of `RecipeConfig.with_options`.

    Raises:
        UserError: For an unknown key, a value out of range, or a data set that the preset has not.
    """
    preset = preset or ("demo" if dataset is None and not phantom else "paper")
    base = PRESETS[preset]
    if base.phantom and dataset not in (None, base.dataset):
        raise UserError(
            f"--preset {preset} runs on a phantom of {base.dataset}. For {dataset} leave --preset "
            "away or give another."
        )
    changes = {"cratios": cratios, "start": None if start is None else os.path.abspath(start)}
    return base.with_options(dataset=dataset, phantom=phantom, changes=changes, **options)
