"""The tasks: each a function from a catalog to a plan that says what is missing, if anything is."""

import functools
import os

from mammo_tf.config import check_choice
from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.plan import Plan
from mammo_tf.pipelines.task_names import BINARY_TASKS, PATCH_TASKS
from mammo_tf.pipelines.tasks.detection import detection
from mammo_tf.pipelines.tasks.finding_patches import finding_patches
from mammo_tf.pipelines.tasks.gan_patches import gan_patches
from mammo_tf.pipelines.tasks.lesion_patches import lesion_patches
from mammo_tf.pipelines.tasks.segmentation import segmentation
from mammo_tf.pipelines.tasks.sliding_patches import sliding_patches
from mammo_tf.pipelines.tasks.view_pairs import view_pairs
from mammo_tf.pipelines.tasks.whole_images import whole_images

__all__ = [
    "detection",
    "finding_patches",
    "gan_patches",
    "lesion_patches",
    "plan_binary_task",
    "segmentation",
    "sliding_patches",
    "view_pairs",
    "whole_images",
]


def plan_binary_task(
    name: str,
    catalog: Catalog,
    builder,
    *,
    cache_dir: str | os.PathLike | None,
    fraction: float | None = None,
    positive: str = "malignant",
    seed: int = 0,
    patch: FindingPatchConfig | None = None,
) -> Plan:
    """Returns the plan of a task of two classes, by name.

    Args:
        name: "pairs", "whole", "lesion", "patch"; or "auto" for the first of `BINARY_TASKS` that
            the data set has all for.
        catalog: Any data set's.
        builder: The built data set that `catalog` was read from.
        cache_dir: Where what is measured for the plan is kept; None keeps it nowhere.
        fraction: Size of "pairs" and "whole" after resizing; None means 0.3.
        positive: The positive label of "pairs", "whole" and "patch".
        seed: Seed of the normal tissue of "lesion".
        patch: How "patch" cuts findings; None for the defaults.

    Raises:
        UserError: If the data set lacks what the task needs, or the task has no use for `fraction`;
            the message says so.
    """
    check_choice("task", name, ("auto", *BINARY_TASKS))
    options = {"cache_dir": cache_dir, "fraction": fraction, "positive": positive}
    options |= {"seed": seed, "patch": patch}
    make = _first_possible if name == "auto" else functools.partial(_plan, name)
    plan = make(catalog, builder, **options)
    if fraction is not None and plan.name in PATCH_TASKS:
        raise UserError(
            f"The task '{plan.name}' cuts patches and resizes no whole image, so it has no use for "
            f"a size of {fraction}. Leave it out, or choose the task pairs or whole."
        )
    if patch not in (None, FindingPatchConfig()) and plan.name != "patch":
        raise UserError(
            f"`patch` says how the task 'patch' cuts findings; the task '{plan.name}' has no use "
            "for it. Leave it out, or choose --task patch."
        )
    return plan


def _plan(
    name: str, catalog: Catalog, builder, *, cache_dir, fraction, positive, seed, patch
) -> Plan:
    size = 0.3 if fraction is None else fraction
    if name == "pairs":
        plan = view_pairs(catalog, fraction=size, positive=positive)
    elif name == "whole":
        plan = whole_images(catalog, fraction=size, positive=positive)
    elif name == "lesion":
        plan = lesion_patches(catalog, builder, cache_dir=cache_dir, seed=seed)
    else:
        plan = finding_patches(catalog, config=patch, positive=positive)
    _check_classes(plan, catalog)
    return plan


def _check_classes(plan: Plan, catalog: Catalog) -> None:
    """Raises UserError where all examples are of one class."""
    missing = {0, 1} - {example.label for example in plan.examples}
    if missing:
        raise UserError(
            f"The task '{plan.name}' needs examples of two classes; {catalog.name} has none of "
            f"the class '{plan.class_names[missing.pop()]}'."
        )


def _first_possible(catalog: Catalog, builder, **options) -> Plan:
    reasons = []
    for name in BINARY_TASKS:
        try:
            return _plan(name, catalog, builder, **options)
        except UserError as error:
            reasons.append(str(error))
    raise UserError(f"{catalog.name} serves no task. {' '.join(reasons)}")
