"""A trained detector at every compression ratio: FROC and average precision. Trains nothing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Estimate,
    ScoredImage,
    average_precision,
    average_precision_change,
    class_agnostic,
    froc,
    froc_change,
)
from mammo_tf.files import read_checked_json, write_checked_json, write_text
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.detector import Detector, find_weights, load_detector
from mammo_tf.pipelines.detection.examples import image_of
from mammo_tf.pipelines.detection.parts import read_parts
from mammo_tf.pipelines.detection.scores import common_scale, scored_image
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks.detection import detection
from mammo_tf.progress import progress
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.summarise import csv_text

RATES = (0.25, 0.5, 1, 2, 4)
MAIN_RATE = 1
MAX_BOXES = 50
IMAGES_AT_ONCE = 8
SEEN_NOTE = (
    "What the detector was trained on is not known here. If it has seen these patients, its scores "
    "are flattered, and the change with compression may not be that of new patients."
)


@dataclass(frozen=True, eq=False)
class FoldDetector:
    """A detector and the images it is tested on.

    Attributes:
        name: Of its folder.
        detector: The detector.
        digest: SHA-256 of its weights.
        test: Ids of the images it is tested on; None for all, since it learned from others.
        validation: Ids of the images that put its scores on the scale of other folds' detectors.
    """

    name: str
    detector: Detector
    digest: str
    test: frozenset[str] | None
    validation: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class DetectionRow:
    """How well lesions are found at one compression ratio.

    Attributes:
        cratio: Compression ratio of the test images.
        found: Share of lesions found at each rate of false positives an image (FROC); the middle
            of a detection must lie in the lesion's box.
        precision: Average precision of "lesion" at IoU 0.5.
        found_change: Against the first compression ratio, paired; None for that itself.
        precision_change: Likewise.
    """

    cratio: float
    found: dict[float, Estimate]
    precision: Estimate
    found_change: dict[float, Estimate] | None = None
    precision_change: Estimate | None = None


def find_detectors(folder: str) -> list[FoldDetector]:
    """Loads the detectors of a run of `recipe mias`, or one detector.

    Args:
        folder: The run folder, whose detectors divided by patient are taken; or the folder or
            weights file of one.

    Raises:
        UserError: If there is none.
        DataError: If a file is damaged.
    """
    cells = sorted(path.parent for path in Path(folder).glob("cells/*/detector.json"))
    if not cells:
        path = find_weights(folder)
        known = read_parts(path.parent)
        return [_load(path, known[1] if known else None)]
    found = []
    for cell in cells:
        known = read_parts(cell)
        if known is None:
            raise UserError(
                f"{cell} does not say which images its detector learned from. Give the command "
                "that trained it again; nothing is trained anew."
            )
        if known[0] == "patient":
            found.append(_load(find_weights(cell), known[1]))
    if not found:
        raise UserError(f"{folder} has no detector whose division is by patient.")
    return found


def _load(weights: Path, parts: dict | None) -> FoldDetector:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FoldDetector(
        name=weights.parent.name,
        detector=load_detector(weights),
        digest=digest,
        test=frozenset(parts["test"]) if parts else None,
        validation=frozenset(parts["validation"]) if parts else frozenset(),
    )


def measure_detection(
    detectors: Sequence[FoldDetector], config: CompressionConfig, data: OpenData, run_dir: Path
) -> tuple[Task, list[DetectionRow]]:
    """Looks at every test image at every ratio, or reads what was found, and scores it.

    Args:
        detectors: Those of one run, or one from elsewhere.
        config: The run's configuration.
        data: The data set, built with the configuration's ratios.
        run_dir: The run folder; `detections/` keeps what was found.

    Returns:
        The test images, with what a report must say of them, and a row a ratio.

    Raises:
        UserError: If none of the data set's images can be taken.
    """
    task, folds = _divide(detectors, config, data)
    images = {
        cratio: _scored(folds, task, cratio, config.cratios[0], run_dir)
        for cratio in config.cratios
    }
    reference = images[config.cratios[0]]
    rows = [_row(cratio, of, reference, config) for cratio, of in images.items()]
    lines = [detection_line(row) for row in rows]
    write_text(Path(run_dir) / "detection.csv", csv_text(list(lines[0]), lines))
    tested = np.concatenate([test for _, test, _ in folds])
    return task.take(np.sort(tested)), rows


def _divide(
    detectors: Sequence[FoldDetector], config: CompressionConfig, data: OpenData
) -> tuple[Task, list[tuple[FoldDetector, np.ndarray, np.ndarray]]]:
    """The task of all images that are looked at; (detector, test, validation indices) a fold."""
    side = max(max(fold.detector.model.image_shape[:2]) for fold in detectors)
    plan = detection(data.catalog, size=min(2 * side, 2048))
    ids = [data.catalog.images[example.parts[0].image].image_id for example in plan.examples]
    official = [data.catalog.images[e.parts[0].image].split == "test" for e in plan.examples]
    notes, tests, several = list(plan.notes), [], len(detectors) > 1
    for fold in detectors:
        if fold.test is None or not (fold.test | fold.validation) & set(ids):
            tests.append([config.split.official != "yes" or part for part in official])
            notes += [SEEN_NOTE] if fold.test is None and SEEN_NOTE not in notes else []
        else:
            tests.append([name in fold.test for name in ids])
    validation = [[several and name in fold.validation for name in ids] for fold in detectors]
    foreign = several and any(not any(kept) for kept in validation)
    if foreign:
        raise UserError(
            "Several detectors that learned from another data set: give the folder of one of them, "
            "RUN/cells/NAME."
        )
    wanted = np.any([*tests, *validation], axis=0)
    if not np.any(tests):
        raise UserError(f"{data.catalog.name} has no image that these detectors are tested on.")
    kept = np.flatnonzero(wanted)
    plan = replace(plan, examples=tuple(plan.examples[row] for row in kept), notes=tuple(notes))
    task = make_task(
        plan, data.catalog, data.builder, cratios=config.cratios, cache_dir=data.cache_dir
    )
    return task, [
        (fold, np.flatnonzero(np.array(test)[kept]), np.flatnonzero(np.array(val)[kept]))
        for fold, test, val in zip(detectors, tests, validation, strict=True)
    ]


def _scored(folds, task: Task, cratio: float, first: float, run_dir: Path) -> list[ScoredImage]:
    """All test images at one ratio. Folds share a scale, made at the first ratio."""
    images = []
    for number, (fold, test, validation) in enumerate(folds):
        scale = None
        if len(folds) > 1:
            known = _look(fold, task, validation, first, "validation", run_dir)
            scale = common_scale(known)
        for index, found in zip(
            test, _look(fold, task, test, cratio, "test", run_dir), strict=True
        ):
            name = f"{number}/{task.example_ids[index]}"
            images.append(scored_image(task, index, scale(found) if scale else found, name))
    return class_agnostic(images)


def _look(
    fold: FoldDetector, task: Task, indices, cratio: float, part: str, run_dir: Path
) -> list[Detections]:
    """What a detector finds in images at one ratio; kept in the run folder."""
    path = Path(run_dir) / "detections" / f"{fold.name}-{part}-cr{format_cratio(cratio)}.json"
    about = {
        "weights": fold.digest,
        "num_symmetries": fold.detector.num_symmetries,
        "images": [task.example_ids[index] for index in indices],
        "size": list(task.input_shape),
    }
    try:
        return [_unplain(rows) for rows in read_checked_json(path, **about)]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, of other weights or images, or damaged: looked at again
    found = []
    parts = [indices[k : k + IMAGES_AT_ONCE] for k in range(0, len(indices), IMAGES_AT_ONCE)]
    description = f"Finding lesions, {fold.name}, CR {format_cratio(cratio)}"
    for rows in progress(parts, description=description, unit="batch"):
        images = [image_of(task, index, cratio) for index in rows]
        found += fold.detector.detect(images, max_boxes=MAX_BOXES)
    plain = [
        np.column_stack([each.boxes_yxyx, each.scores]).astype(float).round(6).tolist()
        for each in found
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checked_json(path, plain, **about)
    return [_unplain(rows) for rows in plain]


def _unplain(rows: list) -> Detections:
    table = np.array(rows, np.float64).reshape(len(rows), 5)
    return Detections(
        boxes_yxyx=table[:, :4],
        labels=np.ones(len(table), int),
        scores=table[:, 4],
        probabilities=np.zeros((len(table), 0)),
    )


def _row(
    cratio: float,
    images: Sequence[ScoredImage],
    reference: Sequence[ScoredImage],
    config: CompressionConfig,
) -> DetectionRow:
    options = {"num_resamples": config.num_resamples, "seed": config.seed}
    of_lesions = options | {"class_names": ("lesion",)}
    row = DetectionRow(
        cratio=cratio,
        found=froc(images, rates=RATES, **options).sensitivities,
        precision=average_precision(images, **of_lesions).mean,
    )
    if images is reference:
        return row
    return replace(
        row,
        found_change=froc_change(images, reference, rates=RATES, **options),
        precision_change=average_precision_change(images, reference, **of_lesions),
    )


def detection_line(row: DetectionRow) -> dict[str, object]:
    """One row as plain values, for detection.csv and --json."""
    line: dict[str, object] = {"cr": format_cratio(row.cratio)}
    for rate in RATES:
        line |= _parts(f"found_at_{rate:g}", row.found[rate])
        line |= _parts(f"found_at_{rate:g}_change", (row.found_change or {}).get(rate))
    line |= _parts("average_precision", row.precision)
    return line | _parts("average_precision_change", row.precision_change)


def _parts(name: str, estimate: Estimate | None) -> dict[str, object]:
    values = (estimate.value, estimate.low, estimate.high) if estimate else (None,) * 3
    return {
        key: None if value is None or np.isnan(value) else round(float(value), 6)
        for key, value in zip((name, f"{name}_low", f"{name}_high"), values, strict=True)
    }
