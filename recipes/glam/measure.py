"""What one trained network is worth on the test part of its fold."""

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mammo_tf.evaluation.segmentation import choose_threshold, dice, pointing
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress
from mammo_tf.recipes.glam.data import ANY, CLASSES, lesion_mask
from mammo_tf.training.folds import Fold

KINDS = (*CLASSES, ANY)
_AT_A_TIME = 4  # images


def measure(
    task: Task,
    fold: Fold,
    labels: np.ndarray,
    find_maps: Callable[[np.ndarray], dict],
    cratio: float,
) -> dict:
    """Returns thresholds and, for each test image, scores, Dice and pointing, as JSON can hold it.

    A threshold is chosen on the validation images with a lesion of the class; where there is none
    there, Dice is None. Both are measured at this compression ratio.

    Args:
        task: See `mammo_tf.recipes.glam.data.cut_images`.
        fold: Its division; the training part is not looked at.
        labels: (n, 2), see `image_labels`.
        find_maps: Maps (n, height, width) images to maps and scores, see
            `mammo_tf.recipes.glam.maps`.
        cratio: Compression ratio of the images.
    """
    find = functools.partial(_found, task, find_maps, cratio)
    thresholds: dict[str, dict] = {}
    chosen = [row for row in fold.validation if lesion_mask(task, row, ANY).any()]
    kept = dict(find(chosen))
    for method in next(iter(kept.values()), {}):
        thresholds[method] = {kind: _threshold(task, kept, method, kind) for kind in KINDS}
    del kept
    cases = []
    rows = progress(find(fold.test), description="Measuring", total=len(fold.test), unit="image")
    for row, found in rows:
        cases.append(
            {
                "example_id": task.example_ids[row],
                "group": str(task.groups[row]),
                "labels": labels[row].tolist(),
                "methods": {
                    method: {
                        "scores": [round(float(score), 7) for score in scores],
                        **_measures(task, row, values, thresholds.get(method, {})),
                    }
                    for method, (values, scores) in found.items()
                },
            }
        )
    return {"thresholds": thresholds, "cases": cases}


def _found(task: Task, find_maps, cratio: float, rows: Sequence[int]) -> Iterator[tuple]:
    """Yields (row, {method: ((height, width, 2), (2,))}), a few images at a time."""
    images = task.images(cratio)
    for start in range(0, len(rows), _AT_A_TIME):
        chosen = rows[start : start + _AT_A_TIME]
        found = find_maps(np.stack([np.asarray(images[row]) for row in chosen]))
        for number, row in enumerate(chosen):
            yield row, {name: (maps[number], scores[number])
                        for name, (maps, scores) in found.items()}  # fmt: skip


def map_of(values: np.ndarray, kind: str) -> np.ndarray:
    """Returns the (height, width) map of a class, or the greater of both for `ANY`."""
    return values.max(axis=-1) if kind == ANY else values[..., CLASSES.index(kind)]


def _threshold(task: Task, kept: dict, method: str, kind: str) -> float | None:
    lesions = {row: lesion_mask(task, row, kind) for row in kept}
    rows = [row for row, lesion in lesions.items() if lesion.any()]
    if not rows:
        return None
    maps = [map_of(kept[row][method][0], kind) for row in rows]
    return choose_threshold(maps, [lesions[row] for row in rows])


def _measures(task: Task, row: int, values: np.ndarray, thresholds: dict) -> dict:
    """Dice and pointing of each class of which the image has a marked lesion."""
    found: dict[str, dict] = {"dice": {}, "pointing": {}}
    for kind in KINDS:
        lesion = lesion_mask(task, row, kind)
        if not lesion.any():
            continue
        one, level = map_of(values, kind), thresholds.get(kind)
        found["pointing"][kind] = pointing(one, lesion)
        if level is not None:
            found["dice"][kind] = dice(one >= level, lesion)
    return found
