"""What the numbers can and cannot show, in words."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.combine import Combined
from mammo_tf.recipes.mias.detect_scores import HONEST, HONEST_LESIONS, LEAKY, Scores
from mammo_tf.recipes.mias.summary import lesion_auroc, malignant_auroc

NORMAL_95 = 1.96  # two-sided; the two sets of images are taken as independent


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
    honest, alike, leaky = (named.get(name) for name in (HONEST, HONEST_LESIONS, LEAKY))
    said = []
    if honest:
        said.append(
            "On patients it has not seen, the detector finds "
            f"{honest.froc_centre.sensitivities[1]} of the lesions at one false positive an "
            "image; its average precision at IoU 0.5 is "
            f"{honest.lesion.per_class['lesion']} whatever the class, and the mAP over benign and "
            f"malignant {honest.per_class.mean}."
        )
    if alike and leaky:
        said.append(
            "On images with lesions only, as the poster's split has them, its mAP is "
            f"{alike.per_class.mean} on patients it has not seen. The same detector on the "
            f"poster's kind of split has {leaky.per_class.mean} (the poster, on its own "
            f"images: 0.803), {_compare(alike, leaky)}"
        )
    return said


def _compare(honest: Scores, leaky: Scores) -> str:
    first, second = honest.per_class.mean, leaky.per_class.mean
    error = np.hypot(first.standard_error, second.standard_error)
    if second.value - first.value > NORMAL_95 * error:
        return (
            "more than chance explains: the difference is what copies of one image on both sides "
            "of a split are worth, not skill."
        )
    return (
        "no more than could be told from chance: here the copies on both sides of a split gained "
        "nothing for certain."
    )


def _classification(classified: Sequence[ClassifyResult]) -> list[str]:
    said = []
    for result in classified:
        if result.variant != classified[0].variant:
            continue
        malignant = malignant_auroc(result)
        where = "patients not seen" if result.split == "patient" else "the poster's kind of split"
        said.append(
            f"Patches ({result.variant}), {where}: lesion against normal tissue AUROC "
            f"{lesion_auroc(result)}, malignant against benign {malignant}"
            f"{_chance(malignant)}."
        )
    return said


def _chance(estimate: Estimate) -> str:
    if not np.isfinite(estimate.low):
        return ", on too few patients to say whether that is better than chance"
    return ", which is no better than chance" if estimate.low <= 0.5 else ""


def _combination(combined: Combined | None) -> list[str]:
    if combined is None:
        return []
    before, after = combined.before, combined.after
    return [
        "Scoring the detector's proposals again by the classifier takes the mean sensitivity from "
        f"{before.froc_centre.mean_sensitivity} to {after.froc_centre.mean_sensitivity} and the "
        f"mAP from {before.per_class.mean} to {after.per_class.mean}, in "
        f"{combined.classifier_ms:.0f} ms an image on top of {combined.detector_ms:.0f} ms; the "
        f"classifier alone, sliding over the image, takes {combined.sliding_ms:.0f} ms."
    ]
