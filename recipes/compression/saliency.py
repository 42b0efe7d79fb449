"""Where the networks of "single" look at a few ratios: the paper's Fig. 3, and counted.

Paper: Jo et al. 2021, "Saliency map analysis" and Fig. 3, which shows CR 1, 100, 5K and 11K and
counts nothing.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation.saliency import SaliencyScores, score_saliency
from mammo_tf.files import write_text
from mammo_tf.models.registry import build_model
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.report import Figure, Section, Table, figures
from mammo_tf.report.saliency_figure import saliency_picture
from mammo_tf.saliency import METHODS, check_saliency, saliency_maps
from mammo_tf.training.folds import divide_task
from mammo_tf.training.store import Cell, CellStore
from mammo_tf.training.tensorboard_log import CellLog

PAPER_CRATIOS = (1, 100, 5000, 11000)
MAX_EXAMPLES = 100  # of a fold
NUM_SHOWN = 2


@dataclass(frozen=True, kw_only=True)
class SaliencyRow:
    """One method at one compression ratio, over the test parts of all folds."""

    cratio: float
    method: str
    scores: SaliencyScores


@dataclass(frozen=True, kw_only=True)
class ShownSaliency:
    """What is drawn of one lesion.

    Attributes:
        example_id: The example.
        lesion: (height, width) bool.
        images: {cratio: (height, width) image as the network sees it}.
        maps: {(cratio, method): (height, width) map}.
    """

    example_id: str
    lesion: np.ndarray
    images: dict[float, np.ndarray]
    maps: dict[tuple[float, str], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Saliency:
    """All that the report says of saliency."""

    rows: Sequence[SaliencyRow]
    shown: Sequence[ShownSaliency]


def nearest_cratios(cratios: Sequence[float]) -> list[float]:
    """Returns which of a run's ratios stand for the paper's four: the nearest on a log scale."""
    logs = np.log(np.asarray(cratios, float))
    found = {cratios[int(np.abs(logs - np.log(wanted)).argmin())] for wanted in PAPER_CRATIOS}
    return sorted(found)


def check_saliency_options(config: CompressionConfig, experiments: Sequence[str]) -> None:
    """Raises UserError, before anything is trained, where there would be nothing to look at."""
    check_saliency()
    if config.scorer or "single" not in experiments:
        raise UserError("--saliency looks at the networks of --experiment single; add it.")


def measure_saliency(
    config: CompressionConfig, data: OpenData, task: Task, run_dir: Path
) -> Saliency | None:
    """Computes maps of the positive test cases whose lesion's place is known, and scores them.

    Args:
        config: The run's configuration; its networks of "single", first repeat, are trained.
        data: The data set.
        task: The run's task.
        run_dir: The run folder; the pictures go to its TensorBoard logs too.

    Returns:
        The scores, or None where no positive test case has a place.
    """
    masks = data.binary_task(
        config.task,
        fraction=config.resize_fraction,
        seed=config.seed,
        with_masks=True,
        patch=config.patch,
    ).masks
    rows, shown = [], {}
    cratios = nearest_cratios(config.cratios)
    parts = list(_lesions_of_folds(config, task, masks))
    if not any(len(indices) for _, indices, _ in parts):
        return None
    steps = progress(
        [(cratio, method) for cratio in cratios for method in METHODS],
        description="Saliency",
        unit="method",
    )
    for cratio, method in steps:
        maps, lesions, groups = [], [], []
        for fold, indices, own in parts:
            images = _inputs(task, cratio, indices)
            found = saliency_maps(_network(config, task, run_dir, fold, cratio), images, method)
            maps += list(found)
            lesions += own
            groups += task.groups[indices].tolist()
            for row in range(len(indices)):
                if len(shown) < NUM_SHOWN or task.example_ids[indices[row]] in shown:
                    _keep(shown, task.example_ids[indices[row]], own[row], cratio, images[row])
                    shown[task.example_ids[indices[row]]].maps[cratio, method] = found[row]
        scores = score_saliency(
            maps, lesions, groups, num_resamples=config.num_resamples, seed=config.seed
        )
        rows.append(SaliencyRow(cratio=cratio, method=method, scores=scores))
    saliency = Saliency(rows=rows, shown=list(shown.values()))
    _log(run_dir, saliency)
    return saliency


def write_saliency(run_dir: Path, saliency: Saliency) -> None:
    """Writes saliency.csv atomically."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    parts = [f"{name}{end}" for name in ("share", "pointing") for end in ("", "_low", "_high")]
    writer.writerow(["cr", "method", "maps", "blank", "lesion_area", *parts])
    for row in saliency.rows:
        scores = row.scores
        values = [
            scores.area,
            *(getattr(part, end) for part in (scores.share, scores.pointing)
              for end in ("value", "low", "high")),
        ]  # fmt: skip
        cells = ["" if np.isnan(value) else round(float(value), 6) for value in values]
        head = [format_cratio(row.cratio), row.method, scores.num_maps, scores.num_blank]
        writer.writerow([*head, *cells])
    write_text(run_dir / "saliency.csv", stream.getvalue())


def saliency_section(saliency: Saliency) -> Section:
    """Returns the report's section."""
    header = ["CR", "Method", "Share inside the lesion", "Pointing game", "Maps (blank)"]
    body = [
        [
            figures.cratio_name(row.cratio),
            METHODS[row.method],
            str(row.scores.share),
            str(row.scores.pointing),
            f"{row.scores.num_maps} ({row.scores.num_blank})",
        ]
        for row in saliency.rows
    ]
    area = saliency.rows[0].scores.area
    caption = (
        f"Positive test cases, networks of the first training; 95 % intervals by bootstrap over "
        f"patients, which do not hold the seeds. The lesions cover {area:.0%} of the input on "
        "average: a map that looks nowhere in particular would have that for both numbers. Blank "
        "maps count in neither. In patches the lesion lies in the middle."
    )
    pictures = [
        Figure(
            picture_of(shown),
            f"{shown.example_id}: the input with the lesion's outline, and where the network "
            "trained and tested at each compression ratio looks for the positive class.",
        )
        for shown in saliency.shown
    ]
    return Section("Where the networks look", (), [Table(header, body, caption), *pictures])


def picture_of(shown: ShownSaliency) -> str:
    """Draws one lesion: a row for each ratio, a column for each method."""
    return saliency_picture(
        shown.lesion,
        {figures.cratio_name(cratio): image for cratio, image in shown.images.items()},
        {
            (figures.cratio_name(cratio), METHODS[method]): values
            for (cratio, method), values in shown.maps.items()
        },
    )


def _lesions_of_folds(config, task: Task, masks) -> Iterator[tuple[int, np.ndarray, list]]:
    """Yields (fold, indices of its positive test cases with a place, their lesions)."""
    for fold in divide_task(task, config.split, seed=config.seed):
        found, lesions = [], []
        for index in fold.test[task.labels[fold.test] == 1]:
            lesion = _centre(np.asarray(masks[index]) > 0, task.input_shape)
            if lesion.any():
                found.append(index)
                lesions.append(lesion)
        chosen = np.unique(np.linspace(0, len(found) - 1, MAX_EXAMPLES).round().astype(int))
        chosen = chosen if len(found) > MAX_EXAMPLES else range(len(found))
        yield fold.index, np.array([found[k] for k in chosen], int), [lesions[k] for k in chosen]


def _inputs(task: Task, cratio: float, indices) -> np.ndarray:
    """(n, height, width, 1) float32, as the network takes them."""
    if not len(indices):
        return np.zeros((0, *task.input_shape, 1), np.float32)
    feed = make_feed(
        [task.images(cratio)], indices, task.labels, input_shape=task.input_shape, batch_size=16
    )
    return np.concatenate([images for images, _ in feed.as_numpy_iterator()])


def _network(config, task: Task, run_dir: Path, fold: int, cratio: float):
    model = build_model(config.model, image_shape=(*task.input_shape, 1))
    cell = Cell(config.model.name, fold, (f"cr{format_cratio(cratio)}",))
    CellStore(run_dir, {}).load_weights(cell, model)
    return model


def _centre(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    top, left = ((have - want) // 2 for have, want in zip(array.shape, shape, strict=True))
    return array[top : top + shape[0], left : left + shape[1]]


def _keep(shown: dict, name: str, lesion, cratio: float, image: np.ndarray) -> None:
    known = shown.setdefault(
        name, ShownSaliency(example_id=name, lesion=lesion, images={}, maps={})
    )
    known.images[cratio] = image[..., 0]


def _log(run_dir: Path, saliency: Saliency) -> None:
    from mammo_tf.report.saliency_figure import saliency_pixels

    with CellLog(run_dir / "tensorboard" / "saliency") as log:
        for shown in saliency.shown:
            for (cratio, method), values in shown.maps.items():
                pixels = saliency_pixels(shown.images[cratio], values, shown.lesion)
                tag = f"saliency/{shown.example_id}/cr{format_cratio(cratio)}/{method}"
                log.image(tag, pixels, step=0)
