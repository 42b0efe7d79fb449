"""The model cards beside the detectors of a run."""

import math
from collections.abc import Sequence
from pathlib import Path

from mammo_tf.data_source import OpenData
from mammo_tf.evaluation import Estimate
from mammo_tf.pipelines.detection.card import FOUND, write_card
from mammo_tf.recipes.mias.config import MiasConfig
from mammo_tf.recipes.mias.detect import DetectedFold, weights_path
from mammo_tf.recipes.mias.detect_scores import HONEST, LEAKY, Scores


def write_cards(
    folder: Path,
    opened: OpenData,
    detected: Sequence[DetectedFold],
    scores: Sequence[Scores],
    config: MiasConfig,
) -> None:
    """Writes a model card beside each detector's weights; all of a split have that split's numbers.

    Args:
        folder: The run folder.
        opened: The data set.
        detected: What the detectors found.
        scores: Those of `score_splits`.
        config: The run's.
    """
    catalog = opened.catalog
    kind = "PHANTOM (synthetic images): " if catalog.is_phantom else ""
    by_name = {score.name: score for score in scores}
    for fold in detected:
        honest = fold.split == "patient"
        score = by_name[HONEST if honest else LEAKY]
        count = sum(1 for other in detected if other.split == fold.split)
        division = config.split.describe(catalog.has_official_splits)
        if not honest:
            division = "the poster's: copies of one image lie in training and test, so it flatters"
        write_card(
            weights_path(folder, fold).parent,
            data=f"{kind}{catalog.name}, {len(catalog.images)} images",
            split=f"{division}; {_whose(count)}",
            measured={
                FOUND: _triple(score.froc_centre.sensitivities[1]),
                "average_precision_at_iou_0.5": _triple(score.lesion.per_class["lesion"]),
            },
        )


def _whose(count: int) -> str:
    if count == 1:
        return "the numbers are this detector's"
    return f"numbers are those of all {count} detectors of it together"


def _triple(estimate: Estimate) -> tuple[float, float, float] | None:
    numbers = (estimate.value, estimate.low, estimate.high)
    return None if any(map(math.isnan, numbers)) else numbers
