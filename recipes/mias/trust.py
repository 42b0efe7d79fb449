"""How far a run's probabilities can be trusted: calibration, use, and in which subgroups.

Each question has two answers, 0 and 1, and test cases of patients that the networks have not seen.
The temperature of a fold is fitted on its validation cases alone; no test case has a part in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    Calibration,
    Estimate,
    ScoredFold,
    apply_temperature,
    calibration_against,
    fit_temperature,
    mean_auroc,
    subgroup_folds,
)
from mammo_tf.evaluation.decision_curve import DecisionPoint, decision_curve
from mammo_tf.pipelines.tasks.patches import CLASSES
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.detect import DetectedFold

MALIGNANT = CLASSES.index("malignant")


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What is asked of the test cases, with what the networks say.

    Attributes:
        what: "patches" and how they were cut, or "images".
        name: What is 1 against what is 0.
        test: The test cases of each fold; scores are probabilities of 1.
        validation: The validation cases of the same folds.
        subgroups: {property: {example: value}} of the test cases.
    """

    what: str
    name: str
    test: tuple[ScoredFold, ...]
    validation: tuple[ScoredFold, ...]
    subgroups: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trust:
    """What was measured of a question.

    Attributes:
        question: The question.
        auroc: The mean over folds that have both classes.
        temperatures: Of each such fold; None where its validation cases give none.
        before: Calibration of the probabilities as the networks give them.
        after: With the temperatures, and its change.
        decision: The decision curve, with the temperatures.
        subgroups: {(property, value): (cases, positive ones, AUROC)}; None for too few patients.
    """

    question: Question
    auroc: Estimate
    temperatures: tuple[float | None, ...]
    before: Calibration
    after: Calibration
    decision: tuple[DecisionPoint, ...]
    subgroups: Mapping[tuple[str, str], tuple[int, int, Estimate] | None]


def list_questions(
    classified: Sequence[ClassifyResult], detected: Sequence[DetectedFold]
) -> list[Question]:
    """Lists what can be asked of the split by patient; of the poster's nothing is worth it."""
    found = [_of_patches(result) for result in classified if result.split == "patient"]
    folds = [fold for fold in detected if fold.split == "patient"]
    if folds:
        malignant = _of_images(folds, "malignant / other images", _is_malignant, by_class=True)
        lesion = _of_images(folds, "with lesion / without", _has_lesion, by_class=False)
        found += [malignant, lesion]
    return [question for question in found if any(map(_has_both, question.test))]


def measure_trust(question: Question, *, num_resamples: int, seed: int) -> Trust:
    """Measures a question; folds whose test part lacks one of the answers are left out.

    Args:
        question: The question; one fold at least has both answers.
        num_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    pairs = zip(question.test, question.validation, strict=True)
    kept = [(test, validation) for test, validation in pairs if _has_both(test)]
    test = [fold for fold, _ in kept]
    temperatures = tuple(_temperature(validation) for _, validation in kept)
    scaled = [
        fold if t is None else replace(fold, scores=apply_temperature(fold.scores, t))
        for fold, t in zip(test, temperatures, strict=True)
    ]
    options: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    return Trust(
        question=question,
        auroc=mean_auroc(test),
        temperatures=temperatures,
        before=calibration_against(test, test, **options),
        after=calibration_against(scaled, test, **options),
        decision=decision_curve(scaled, **options),
        subgroups=_subgroups(test, question.subgroups),
    )


def _of_patches(result: ClassifyResult) -> Question:
    def lesion(fold: ScoredFold) -> ScoredFold:
        labels = (np.asarray(fold.labels) > 0).astype(int)
        return replace(fold, labels=labels, scores=1 - np.asarray(fold.scores)[:, 0])

    return Question(
        what=f"patches {result.variant}",
        name="lesion / normal",
        test=tuple(map(lesion, result.folds)),
        validation=tuple(map(lesion, result.validation)),
        subgroups=result.subgroups,
    )


def _of_images(folds: Sequence[DetectedFold], name: str, label, *, by_class: bool) -> Question:
    """An image's probability is that of its surest box, 0 without any."""

    def part(fold: DetectedFold, which: str) -> ScoredFold:
        rows = [int(index) for index in fold.parts[which]]
        return ScoredFold(
            labels=np.array([label(fold, row) for row in rows], int),
            scores=np.array([_surest(fold, row, by_class) for row in rows], float),
            groups=fold.task.groups[rows],
            example_ids=np.array(fold.task.example_ids)[rows],
        )

    task = folds[0].task
    return Question(
        what="images",
        name=name,
        test=tuple(part(fold, "test") for fold in folds),
        validation=tuple(part(fold, "validation") for fold in folds),
        subgroups={
            key: dict(zip(task.example_ids, map(str, values), strict=True))
            for key, values in task.subgroups.items()
        },
    )


def _surest(fold: DetectedFold, row: int, by_class: bool) -> float:
    found = fold.found["by_class" if by_class else "lesion"][row]
    scores = np.asarray(found.scores)
    if by_class:
        scores = scores[np.asarray(found.labels) == MALIGNANT]
    return float(np.clip(scores.max(initial=0.0), 0, 1))


def _is_malignant(fold: DetectedFold, row: int) -> bool:
    return bool((np.asarray(fold.task.box_labels[row]) == MALIGNANT).any())


def _has_lesion(fold: DetectedFold, row: int) -> bool:
    return len(fold.task.boxes[row]) > 0


def _has_both(fold: ScoredFold) -> bool:
    return len(np.unique(fold.labels)) == 2


def _temperature(validation: ScoredFold) -> float | None:
    try:
        return fit_temperature(validation.labels, validation.scores)
    except UserError:  # one class only, or parted wholly: nothing to fit on
        return None


def _subgroups(test: Sequence[ScoredFold], properties) -> dict:
    found = {}
    for name, values in properties.items():
        for value, folds in subgroup_folds(test, values).items():
            measured = None
            if folds is not None:
                labels = np.concatenate([fold.labels for fold in folds])
                measured = len(labels), int(labels.sum()), mean_auroc(folds)
            found[name, value] = measured
    return found
