"""Which configuration the command line asks for."""

from mammo_tf.errors import UserError
from mammo_tf.found import default_task
from mammo_tf.found import models as found_models
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.task_names import PATCH_TASKS
from mammo_tf.recipes.compression.config import DETECTION, PRESETS, CompressionConfig
from mammo_tf.recipes.compression.settings_scorer import TRAINING
from mammo_tf.scoring.config import ScorerConfig


def choose_config(
    *,
    preset: str | None = None,
    dataset: str | None = None,
    variant: str | None = None,
    phantom: bool | None = None,
    task: str | None = None,
    cratios: tuple[float, ...] | None = None,
    models: tuple[str, ...] = (),
    folds: int | str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] = (),
    scorer: ScorerConfig | None = None,
    detector: str | None = None,
) -> CompressionConfig:
    """Builds the configuration: the preset, then options, then overrides.

    Args:
        preset: A key of PRESETS; None means "demo" where nothing says what to run on, "patches"
            where the task is "lesion" or "patch", else "paper".
        dataset: A data set's name, or None for the preset's.
        variant: One of its variants, or None for its first.
        phantom: True to make a synthetic set first.
        task: One of `BINARY_TASKS`, or "auto"; None means the one that the data set is made for.
        cratios: Compression ratios, ascending, or None.
        models: Names of models; () for the preset's. Of one model alone `model.OPTION` in
            `overrides` is an option, of several each one's name stands before: `cnn3.OPTION`.
        folds: Number of folds, "official", or None.
        seed: Seed, or None.
        overrides: "section.key=value" assignments; they come last.
        scorer: A model from elsewhere; None trains a network.
        detector: A trained detector; the task is then "detection".

    Returns:
        The configuration; its range checks have run.

    Raises:
        UserError: For a combination that makes no sense or a value out of range.
    """
    task = DETECTION if detector and task is None else task
    is_demo = dataset is None and not phantom and task is None
    task = task or default_task(dataset or CompressionConfig().dataset)
    preset = preset or (
        "demo" if is_demo else "paper" if task not in (*PATCH_TASKS, DETECTION) else "patches"
    )
    base = PRESETS[preset]
    if base.phantom and dataset not in (None, base.dataset):
        raise UserError(
            f"--preset {preset} runs on a phantom of {base.dataset}. For {dataset} leave --preset "
            "away or give another."
        )
    names = models or (base.model.name,)
    overrides, options = _options_by_model(overrides, names)
    networks = [
        (base.model if name == base.model.name else ModelConfig(name=name)).replace_options(
            options[name]
        )
        for name in names
    ]
    return base.with_options(
        dataset=dataset,
        variant=variant,
        phantom=phantom,
        folds=folds,
        seed=seed,
        overrides=overrides,
        changes={
            "task": task,
            "cratios": cratios,
            "scorer": scorer,
            "detector": detector,
            "model": networks[0],
            "others": tuple(networks[1:]),
        },
    )


def _options_by_model(
    overrides: tuple[str, ...], names: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Takes out the assignments that begin with a model's name: (the rest, options)."""
    options: dict[str, dict[str, str]] = {name: {} for name in names}
    others = []
    for assignment in overrides:
        key, sign, text = assignment.partition("=")
        section, _, option = key.strip().partition(".")
        if section == "model" and len(names) > 1:
            raise UserError(
                f"--set {assignment}: of which network? Write one of "
                f"{', '.join(f'{name}.{option}' for name in names)}."
            )
        if section not in found_models() or not sign:
            others.append(assignment)
            continue
        if section not in options or option == "name":
            raise UserError(
                f"--set {assignment}: the networks of this run are {', '.join(names)} (--model)."
            )
        options[section][option] = text.strip()
    return tuple(others), options


def check_detector(
    detector: str | None,
    *,
    scorer: str | None = None,
    networks: tuple[str, ...] = (),
    experiments: tuple[str, ...] = ("single",),
    repeats: int = 1,
    saliency: bool = False,
    folds: int | str | None = None,
    overrides: tuple[str, ...] = (),
) -> None:
    """Refuses, beside a trained detector, what is about training or another model.

    Raises:
        UserError: For such an option.
    """
    if detector is None:
        return
    refused = {
        "--scorer": scorer is not None,
        "--model": bool(networks),
        "--experiment": experiments != ("single",),
        "--repeats": repeats != 1,
        "--saliency": saliency,
        "--folds, but for official,": folds not in (None, "official"),
        **{f"--set {key}": key.strip().startswith(TRAINING) for key in overrides},
    }
    for option, given in refused.items():
        if given:
            raise UserError(
                f"{option} has no meaning with --detector: nothing is trained, and its own test "
                "images are looked at. Leave it away."
            )
