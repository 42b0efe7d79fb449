"""Which configuration the command line asks for."""

import dataclasses

from mammo_tf.config import apply_overrides
from mammo_tf.errors import UserError
from mammo_tf.recipes.compression.config import DATASETS, PRESETS, CompressionConfig


def choose_config(
    *,
    preset: str | None = None,
    dataset: str | None = None,
    task: str | None = None,
    cratios: tuple[float, ...] | None = None,
    num_folds: int | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] = (),
) -> CompressionConfig:
    """Builds the configuration: the preset, then the data set's own settings, then options.

    Args:
        preset: A key of PRESETS; None means "demo" when no data set is given, else "paper".
        dataset: A key of DATASETS, or None for the preset's.
        task: One of the data set's tasks, or None for its first.
        cratios: Compression ratios in any order, or None.
        num_folds: Number of folds, or None.
        seed: Seed, or None.
        overrides: "section.key=value" assignments; they come last.

    Returns:
        The configuration; its range checks have run.

    Raises:
        UserError: For a combination that makes no sense or a value out of range.
    """
    preset = preset or ("demo" if dataset is None else "paper")
    if preset == "demo" and dataset not in (None, "phantom"):
        raise UserError(
            f"--preset demo runs on a phantom. For {dataset} leave --preset away or give paper."
        )
    base = PRESETS["mini_mias" if dataset == "mini_mias" else preset]
    dataset = dataset or base.dataset
    changes = {
        "dataset": dataset,
        "task": task or (base.task if base.dataset == dataset else DATASETS[dataset][0]),
        "cratios": tuple(sorted(cratios)) if cratios else base.cratios,
        "num_folds": num_folds,
        "seed": seed,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    return apply_overrides(dataclasses.replace(base, **changes), overrides)
