"""Which configuration the command line asks for."""

import dataclasses

from mammo_tf.errors import UserError
from mammo_tf.models.registry import ModelConfig
from mammo_tf.recipes.cigan.config import PRESETS, REPEATS, CiganRecipeConfig


def choose_config(
    *,
    preset: str | None = None,
    weights: str | None = None,
    dataset: str | None = None,
    phantom: bool | None = None,
    **options,
) -> CiganRecipeConfig:
    """Builds the configuration: the preset, then options, then overrides.

    Args:
        preset: A key of PRESETS; None means "demo" where nothing says what to run on, else "paper".
        weights: ResNet-50's, see `ResNet50`; None for the preset's network.
        dataset: A data set's name, or None for the preset's.
        phantom: True to make a synthetic set first.
        **options: Further ones of `RecipeConfig.with_options`.

    Returns:
        The configuration.

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
    classify = base.classify
    if weights is not None:
        model = ModelConfig(name="resnet50", options={"weights": weights})
        pretrained = dataclasses.replace(classify.pretrained, model=model)
        classify = dataclasses.replace(classify, pretrained=pretrained)
    return base.with_options(
        dataset=dataset, phantom=phantom, changes={"classify": classify}, **options
    )


def choose_repeats(config: CiganRecipeConfig) -> int:
    """Returns how often each classifier is trained unless it is said: seldom on a phantom."""
    return REPEATS["demo" if config.phantom else "paper"]
