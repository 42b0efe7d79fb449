"""One line a number: what summary.csv holds and the command prints."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.evaluation import (
    Estimate,
    MulticlassScores,
    ScoredFold,
    mean_auroc,
    multiclass_scores,
)
from mammo_tf.pipelines.tasks.patches import CLASSES
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.config import MiasConfig
from mammo_tf.recipes.mias.detect_scores import RATES, Scores
from mammo_tf.recipes.mias.division import SPLIT_NAMES
from mammo_tf.recipes.mias.trust import Trust


@dataclass(frozen=True)
class Line:
    """A number with its interval.

    Attributes:
        what: "patches" and how they were cut, or the detector.
        set: Which images.
        measure: Name of the measure.
        estimate: The number.
        is_detail: True for what the command does not print.
    """

    what: str
    set: str
    measure: str
    estimate: Estimate
    is_detail: bool = False

    def plain(self) -> dict:
        """As JSON holds it; a number that there is not is None."""
        numbers = {name: getattr(self.estimate, name) for name in ("value", "low", "high")}
        numbers = {
            name: round(float(number), 6) if np.isfinite(number) else None
            for name, number in numbers.items()
        }
        return {"what": self.what, "set": self.set, "measure": self.measure, **numbers}


def summarise(
    classified: Sequence[ClassifyResult],
    scores: Sequence[Scores],
    trust: Sequence[Trust],
    config: MiasConfig,
) -> list[Line]:
    """Lists every number of a run."""
    lines = []
    for result in classified:
        what, where = f"patches {result.variant}", SPLIT_NAMES[result.split]
        pooled = pooled_scores(result, config)
        lines += [
            Line(what, where, "AUROC lesion / normal", lesion_auroc(result)),
            Line(what, where, "AUROC malignant / benign", malignant_auroc(result)),
            Line(what, where, "AUROC mean of three classes", pooled.macro_auroc, True),
            Line(what, where, "balanced accuracy", pooled.balanced_accuracy, True),
        ]
    for score in scores:
        lines += _detector_lines(score)
    for one in trust:
        lines += _trust_lines(one)
    return lines


def _trust_lines(one: Trust) -> list[Line]:
    """The AUROC of whole images, and what a temperature does to the probabilities."""
    what, where, name = one.question.what, SPLIT_NAMES["patient"], one.question.name
    auroc = [Line(what, where, f"AUROC {name}", one.auroc)] if what == "images" else []
    return auroc + [
        Line(what, where, f"{label} {name}{when}", getattr(measured, measure), True)
        for measure, label in (("ece", "ECE"), ("brier", "Brier score"))
        for when, measured in (("", one.before), (", temperature", one.after))
    ]


def _detector_lines(score: Scores) -> list[Line]:
    found = [("AP lesion, IoU 0.5", score.lesion.per_class["lesion"])]
    for criterion, froc in (("centre", score.froc_centre), ("IoU 0.5", score.froc_iou)):
        found += [
            (f"sensitivity at {rate:g} FP/image, {criterion}", froc.sensitivities[rate])
            for rate in RATES
        ]
    found += [(f"AP {name}", estimate) for name, estimate in score.per_class.per_class.items()]
    found.append(("mAP", score.per_class.mean))
    shown = {"AP lesion, IoU 0.5", "sensitivity at 1 FP/image, centre", "mAP"}
    return [
        Line("detection", score.name, measure, estimate, measure not in shown)
        for measure, estimate in found
    ]


def lesion_auroc(result: ClassifyResult) -> Estimate:
    """AUROC of lesions against normal tissue, the mean over the folds that have both; else NaN."""
    return _mean_auroc(
        ScoredFold((fold.labels > 0).astype(int), 1 - fold.scores[:, 0], fold.groups)
        for fold in result.folds
    )


def malignant_auroc(result: ClassifyResult) -> Estimate:
    """AUROC of malignant against benign lesions, the mean over folds; no normal tissue.

    With many folds a test part may lack one of the two; it is left out. NaN where all do.
    """
    return _mean_auroc(map(_lesions_of, result.folds))


def _lesions_of(fold: ScoredFold) -> ScoredFold:
    lesion = fold.labels > 0
    share = fold.scores[lesion, 2] / fold.scores[lesion, 1:].sum(axis=1)
    return ScoredFold((fold.labels[lesion] == 2).astype(int), share, fold.groups[lesion])


def _mean_auroc(folds: Iterable[ScoredFold]) -> Estimate:
    both = [fold for fold in folds if len(np.unique(fold.labels)) == 2]
    return mean_auroc(both) if both else Estimate(np.nan, np.nan, np.nan)


def pooled_scores(result: ClassifyResult, config: MiasConfig) -> MulticlassScores:
    """Three-class scores of all folds' test parts together."""
    joined = [
        np.concatenate([getattr(fold, name) for fold in result.folds])
        for name in ("labels", "scores", "groups")
    ]
    return multiclass_scores(
        *joined, class_names=CLASSES, num_resamples=config.num_resamples, seed=config.seed
    )
