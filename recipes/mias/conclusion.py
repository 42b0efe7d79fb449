"""What the numbers can and cannot show, in words."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.combine import Combined
from mammo_tf.recipes.mias.detect_scores import Scores
from mammo_tf.recipes.mias.summary import lesion_auroc, malignant_auroc


def answer(
    classified: Sequence[ClassifyResult], scores: Sequence[Scores], combined: Combined | None
) -> list[str]:
    """Says what was found; each number comes from the arguments.

    Args:
        classified: Results of the classifier.
        scores: Scores of the detectors.
        combined: Detector and classifier together, or None.

    Returns:
        Sentences.
    """
    return [*_detection(scores), *_classification(classified), *_combination(combined)]


def _detection(scores: Sequence[Scores]) -> list[str]:
    named = {score.name: score for score in scores}
    honest, leaky = named.get("by woman, test"), named.get("poster's kind of split, test")
    said = []
    if honest:
        said.append(
            f"On women it has not seen, the detector finds {honest.froc_centre.sensitivities[1]} "
            "of the lesions at one false positive a film; its average precision at IoU 0.5 is "
            f"{honest.lesion.per_class['lesion']} whatever the class, and the mAP over benign and "
            f"malignant {honest.per_class.mean}."
        )
    if honest and leaky:
        said.append(
            "The same detector on the poster's kind of split has a mAP of "
            f"{leaky.per_class.mean} (the poster: 0.803), {_compare(honest, leaky)}"
        )
    return said


def _compare(honest: Scores, leaky: Scores) -> str:
    if leaky.per_class.mean.low > honest.per_class.mean.high:
        return (
            "far above what it has on women it has not seen: the difference is what copies of one "
            "film on both sides of a split are worth, not skill."
        )
    return (
        "and the intervals overlap: here the copies on both sides of a split gained nothing that "
        "could be told from chance."
    )


def _classification(classified: Sequence[ClassifyResult]) -> list[str]:
    said = []
    for result in classified:
        if result.variant != classified[0].variant:
            continue
        malignant = malignant_auroc(result)
        where = "women not seen" if result.split == "woman" else "the poster's kind of split"
        said.append(
            f"Patches ({result.variant}), {where}: lesion against normal tissue AUROC "
            f"{lesion_auroc(result)}, malignant against benign {malignant}"
            f"{_chance(malignant)}."
        )
    return said


def _chance(estimate: Estimate) -> str:
    if not np.isfinite(estimate.low):
        return ", on too few women to say whether that is better than chance"
    return ", which is no better than chance" if estimate.low <= 0.5 else ""


def _combination(combined: Combined | None) -> list[str]:
    if combined is None:
        return []
    before, after = combined.before, combined.after
    return [
        "Scoring the detector's proposals again by the classifier takes the mean sensitivity from "
        f"{before.froc_centre.mean_sensitivity} to {after.froc_centre.mean_sensitivity} and the "
        f"mAP from {before.per_class.mean} to {after.per_class.mean}, in "
        f"{combined.classifier_ms:.0f} ms a film on top of {combined.detector_ms:.0f} ms; the "
        f"classifier alone, sliding over the film, takes {combined.sliding_ms:.0f} ms."
    ]
