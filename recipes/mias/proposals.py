"""Cuts patches at places of images, as the classifier's own were cut, and has them classified."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.files import read_checked_json, write_checked_json
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.plan import Example, Part, Plan, make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import patches
from mammo_tf.training.fit import predict_scores

BATCH_SIZE = 64


@dataclass(frozen=True)
class Judged:
    """What a classifier said of some places.

    Attributes:
        probabilities: {image: (m, 3) of normal, benign and malignant}.
        milliseconds: What the network took for an image's places.
    """

    probabilities: dict[str, np.ndarray]
    milliseconds: float


def cut_places(
    opened: OpenData, places: Mapping[str, np.ndarray], *, patch_size: int, input_size: int
) -> Task | None:
    """Returns the task of the patches round some places, image by image, or None for no place.

    Args:
        opened: The data set.
        places: {image: (m, 2) int row and column of the patches' middles in pixels}.
        patch_size: Side of a patch in pixels of 0.2 mm; see `patches.size_px`.
        input_size: Side of the network's input.
    """
    rows = opened.catalog.rows()
    examples = [
        Example(
            example_id=f"{name}-{number}",
            label=0,
            parts=(
                Part(
                    rows[name],
                    (*place, patches.size_px(opened.catalog.images[rows[name]], patch_size)),
                ),
            ),
        )
        for name, found in places.items()
        for number, place in enumerate(found.tolist())
    ]
    if not examples:
        return None
    plan = Plan(
        name="proposals",
        examples=tuple(examples),
        class_names=patches.CLASSES,
        **patches.plan_options(opened.catalog, map(rows.get, places), input_size),
    )
    return make_task(plan, opened.catalog, opened.builder, cratios=(1,), cache_dir=None)


def judge(
    opened: OpenData,
    places: Mapping[str, np.ndarray],
    load_model: Callable[[], keras.Model],
    path: Path,
    *,
    patch_size: int,
    input_size: int,
) -> Judged:
    """Lets a classifier look at places of images; kept, so that it is done once.

    Args:
        opened: The data set.
        places: See `cut_places`.
        load_model: Returns the classifier; called only if there is something to do.
        path: File that keeps what it said.
        patch_size: See `cut_places`.
        input_size: See `cut_places`.
    """
    kept = _read(path, places)
    if kept is None:
        task = cut_places(opened, places, patch_size=patch_size, input_size=input_size)
        said, seconds = np.zeros((0, len(patches.CLASSES))), 0.0
        if task is not None:
            said, seconds = _classify(load_model(), task)
        ends = np.cumsum([len(found) for found in places.values()])[:-1]
        parts = np.split(said, ends)
        kept = {
            "milliseconds": 1000 * seconds / max(len(places), 1),
            "places": {name: found.tolist() for name, found in places.items()},
            "said": {name: part.tolist() for name, part in zip(places, parts, strict=True)},
        }
        write_checked_json(path, kept)
    return Judged(
        {name: np.reshape(rows, (-1, len(patches.CLASSES))) for name, rows in kept["said"].items()},
        float(kept["milliseconds"]),
    )


def middles_px(found: Detections, shape: tuple[int, int]) -> np.ndarray:
    """Returns (m, 2) int row and column of the pixel in the middle of each detection."""
    boxes = np.asarray(found.boxes_yxyx, float).reshape(-1, 4)
    return np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 * (np.array(shape) - 1)).astype(int)


def _classify(model: keras.Model, task: Task) -> tuple[np.ndarray, float]:
    """Returns (n, 3) probabilities, and the seconds that the network took."""
    images = task.images(1)

    def feed(count: int):
        shape = task.input_shape
        return make_feed(
            [images], np.arange(count), task.labels, input_shape=shape, batch_size=BATCH_SIZE
        )

    predict_scores(model, feed(1))  # compiles
    started = time.monotonic()
    return predict_scores(model, feed(len(task))), time.monotonic() - started


def _read(path: Path, places: Mapping[str, np.ndarray]) -> dict | None:
    """Returns what was kept of these very places, or None."""
    try:
        kept = read_checked_json(path)
        whole = kept["places"] == {name: found.tolist() for name, found in places.items()}
        whole = whole and all(
            np.shape(kept["said"][name]) in ((len(found), len(patches.CLASSES)), (len(found),))
            for name, found in places.items()
        )
        return kept if whole and float(kept["milliseconds"]) >= 0 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
