"""Test lesions with every method's map, drawn for the report."""

from dataclasses import dataclass

import numpy as np

from mammo_tf.recipes.glam.data import ANY, lesion_mask
from mammo_tf.recipes.glam.maps import METHOD_NAMES, METHODS
from mammo_tf.recipes.glam.measure import map_of
from mammo_tf.report import Figure
from mammo_tf.report.saliency_figure import saliency_picture
from mammo_tf.training.store import Cell

MOST = 6


@dataclass(frozen=True)
class _Network:
    kind: str
    model: object


def lesion_figures(networks, seed: int) -> list[Figure]:
    """Returns pictures of some test images of the first fold, drawn by lot among those with a mask.

    Args:
        networks: The run's `Networks`, trained.
        seed: Of the lot.
    """
    task, fold, config = networks.task, networks.folds[0], networks.config
    rows = [row for row in fold.test if lesion_mask(task, row, ANY).any()]
    rng = np.random.default_rng([seed, 23])
    chosen = sorted(rng.permutation(rows)[:MOST].tolist()) if rows else []
    models = []
    for kind in ("glam", *config.baselines):
        name = config.classifier.model.name if kind == "classifier" else kind
        models.append(_Network(kind, networks.load(kind, Cell(name, fold.index))))
    return [_figure(networks, models, row) for row in chosen]


def _figure(networks, models: list[_Network], row: int) -> Figure:
    task, config = networks.task, networks.config
    image = np.asarray(task.images(1)[row])
    maps = {}
    for each in models:
        for method, (values, _) in METHODS[each.kind](each.model, config, image[None]).items():
            one = map_of(values[0], ANY)
            # Each in its own range: where a map is highest is what is compared.
            maps["", METHOD_NAMES[method]] = one / max(float(one.max()), 1e-9)
    lesion = lesion_mask(task, row, ANY)
    label = task.class_names[task.labels[row]]
    return Figure(
        saliency_picture(lesion, {"": image}, maps),
        f"{task.example_ids[row]}, {label}; the lesion outlined. Each map in its own range.",
        "A test image, and each method's map over it",
    )
