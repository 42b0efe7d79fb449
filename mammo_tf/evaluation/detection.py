"""Average precision of detections from pycocotools, with a bootstrap over patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate
from mammo_tf.evaluation.bootstrap import (
    draw_patients,
    number_patients,
    percentile_estimate,
    tally,
)
from mammo_tf.evaluation.coco import evaluate_boxes
from mammo_tf.evaluation.scored_image import (
    ScoredImage,
    check_images,
    check_same_truth,
    class_agnostic,
)

__all__ = [
    "DetectionScores",
    "ScoredImage",
    "average_precision",
    "average_precision_change",
    "class_agnostic",
]


@dataclass(frozen=True)
class DetectionScores:
    """Average precision with intervals.

    Attributes:
        per_class: Average precision of each class by name; NaN for a class without a true box.
        mean: mAP, the mean over the classes that have true boxes; NaN where none has.
    """

    per_class: dict[str, Estimate]
    mean: Estimate


def average_precision(
    images: Sequence[ScoredImage],
    *,
    class_names: Sequence[str],
    iou: float = 0.5,
    max_detections: int = 100,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> DetectionScores:
    """Computes average precision and mAP as COCO does, at one IoU.

    The values are COCOeval's: 101 recall points, boxes of any size, every detection on an image
    without truth a false positive, and a second detection of one lesion a false positive too
    (`froc` does not count that one). Among equal scores the order of `images` decides, as in
    COCOeval, so a detector with few distinct scores depends on it.

    The intervals come from a bootstrap over patients: detections are matched once, and each
    resample's average precision is computed as COCOeval would on the repeated images. A resample
    that lacks a true box of a class that has some is drawn again.

    Args:
        images: The images of a test set, normal ones included; labels below `len(class_names)`.
        class_names: Name of each class; label i is class_names[i].
        iou: Least intersection over union of a hit, above 0 and at most 1.
        max_detections: How many detections of a class count on one image, the surest first.
        confidence: Coverage of the intervals.
        num_resamples: Number of resamples; 0 gives NaN intervals.
        seed: Seed of the resampling.

    Returns:
        The scores. A class without any true box gives NaN and is left out of the mean. The
        interval is NaN where there is one patient only.

    Raises:
        UserError: If pycocotools is missing, there is no image, an image comes twice, or a label
            has no name.

    Reference:
        Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and pycocotools'
        COCOeval. Everingham et al., The PASCAL VOC Challenge, IJCV 2010, for IoU 0.5.
    """
    class_names = tuple(class_names)
    sample = _resampled(images, class_names, iou, max_detections, num_resamples, seed)
    per_class = {
        name: percentile_estimate(sample.values[index], sample.resamples[:, index], confidence)
        for index, name in enumerate(class_names)
    }
    if not sample.present.any():
        return DetectionScores(per_class, percentile_estimate(np.nan, [], confidence))
    value, means = sample.mean
    return DetectionScores(per_class, percentile_estimate(value, means, confidence))


def average_precision_change(
    images: Sequence[ScoredImage],
    reference: Sequence[ScoredImage],
    *,
    class_names: Sequence[str],
    iou: float = 0.5,
    max_detections: int = 100,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Computes the change of mAP between two sets of detections on the same images.

    Both are resampled alike, patient by patient, so what they share falls out of the interval.

    Args:
        images: Images with the detections in question.
        reference: The same images, in the same order, with other detections.
        class_names: As in `average_precision`, and so the options below.
        iou: As in `average_precision`.
        max_detections: As in `average_precision`.
        confidence: Coverage of the interval.
        num_resamples: Number of resamples.
        seed: Seed of the resampling.

    Returns:
        The mean over classes of `images` minus that of `reference`.

    Raises:
        UserError: As `average_precision`, and if the two are not the same images with the same
            lesions.
    """
    check_same_truth(list(images), list(reference))
    options = (tuple(class_names), iou, max_detections, num_resamples, seed)
    ours, theirs = _resampled(images, *options), _resampled(reference, *options)
    if not ours.present.any():
        return percentile_estimate(np.nan, [], confidence)
    (value, means), (other_value, other_means) = ours.mean, theirs.mean
    return percentile_estimate(value - other_value, means - other_means, confidence)


@dataclass(frozen=True)
class _Resampled:
    """(classes,) average precision, (resamples, classes) likewise, (classes,) which have boxes."""

    values: np.ndarray
    resamples: np.ndarray
    present: np.ndarray

    @property
    def mean(self) -> tuple[float, np.ndarray]:
        """The mean over the classes that have boxes, and that of each resample."""
        return self.values[self.present].mean(), self.resamples[:, self.present].mean(axis=1)


def _resampled(images, class_names, iou, max_detections, num_resamples, seed) -> _Resampled:
    images = list(images)
    check_images(images)
    _check_options(images, class_names, iou, max_detections)
    evaluator = evaluate_boxes(images, len(class_names), iou, max_detections)
    patients, num_patients = number_patients([image.group for image in images])
    classes = [
        _class_matches(evaluator, index, patients, num_patients)
        for index in range(len(class_names))
    ]
    truths = np.stack([matches.truths for matches in classes], axis=1)  # (patients, classes)
    present = truths.sum(axis=0) > 0
    values = evaluator.eval["precision"][0, :, :, 0, 0].mean(axis=0)
    values = np.where(present, values, np.nan)
    resamples = np.full((0, len(class_names)), np.nan)
    if present.any():
        draws = draw_patients(truths[:, present] > 0, num_resamples, seed)
        resamples = np.stack([resampled_precision(matches, draws) for matches in classes], axis=1)
    return _Resampled(values, resamples, present)


@dataclass(frozen=True)
class ClassMatches:
    """Detections of one class after matching.

    Attributes:
        scores: (n,) float, image after image.
        hits: (n,) bool, whether the detection was matched to a true box.
        patients: (n,) int, patient of each detection.
        truths: (patients,) float, number of true boxes of each patient.
    """

    scores: np.ndarray
    hits: np.ndarray
    patients: np.ndarray
    truths: np.ndarray


def resampled_precision(matches: ClassMatches, draws: np.ndarray) -> np.ndarray:
    """Computes COCO's average precision with each patient counted as often as it is drawn.

    Precision and recall are needed at hits only: between two hits recall stands still and
    precision falls, and COCO takes the largest precision at or after each recall.

    Args:
        matches: Matched detections of one class.
        draws: (resamples, patients) float, how often each patient is drawn.

    Returns:
        (resamples,) float; NaN where a resample has no true box.
    """
    order = np.argsort(-matches.scores, kind="stable")
    hits, patients = matches.hits[order], matches.patients[order]
    step = np.cumsum(hits) - hits  # number of the hit at or after each detection
    shape = draws.shape[1], int(hits.sum()) + 1  # the last column: what comes after all hits
    found = draws @ np.cumsum(tally(patients[hits], step[hits], shape), axis=1)[:, :-1]
    called = draws @ np.cumsum(tally(patients, step, shape), axis=1)[:, :-1]
    precision = found / (called + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # 0 at recalls that are never reached
    truths = draws @ matches.truths
    recall = np.divide(found, truths[:, None], out=np.zeros_like(found), where=truths[:, None] > 0)
    points = np.linspace(0, 1, 101)
    averages = [
        row[np.searchsorted(reached, points, side="left")].mean()
        for row, reached in zip(precision, recall, strict=True)
    ]
    return np.where(truths > 0, np.array(averages, dtype=np.float64), np.nan)


def _class_matches(evaluator, index: int, patients, num_patients: int) -> ClassMatches:
    """Collects what COCOeval matched for one class, at the one IoU and area range there is."""
    results = evaluator.evalImgs[index * len(patients) : (index + 1) * len(patients)]
    scores, hits, owners = [np.zeros(0)], [np.zeros(0, dtype=bool)], [np.zeros(0, dtype=np.int64)]
    truths = np.zeros(num_patients)
    for patient, result in zip(patients, results, strict=True):
        if result is None:  # neither truth nor detection
            continue
        scores.append(np.asarray(result["dtScores"], dtype=np.float64))
        hits.append(result["dtMatches"][0] > 0)
        owners.append(np.full(len(result["dtScores"]), patient))
        truths[patient] += len(result["gtIgnore"])
    return ClassMatches(
        np.concatenate(scores), np.concatenate(hits), np.concatenate(owners), truths
    )


def _check_options(images, class_names, iou: float, max_detections: int) -> None:
    if not class_names or len(set(class_names)) != len(class_names):
        raise UserError(f"`class_names` must be distinct names. Received: {class_names}.")
    if not 0 < iou <= 1:
        raise UserError(f"`iou` must be above 0 and at most 1. Received: {iou}.")
    if max_detections < 1:
        raise UserError(f"`max_detections` must be at least 1. Received: {max_detections}.")
    for image in images:
        labels = np.concatenate([image.truth_labels, image.labels])
        if (labels >= len(class_names)).any():
            raise UserError(
                f"Labels of image {image.image_id} must be below {len(class_names)}, the number of "
                f"`class_names`. Received: {labels.max()}."
            )
