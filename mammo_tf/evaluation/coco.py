"""Hands scored images to pycocotools, which is optional."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation.scored_image import ScoredImage


def import_pycocotools() -> tuple[type, type]:
    """Returns the classes COCO and COCOeval.

    Raises:
        UserError: If pycocotools is missing.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise UserError(
            "Average precision needs pycocotools. Install it: pip install 'mammo-tf[detection]'."
        ) from error
    return COCO, COCOeval


def evaluate_boxes(
    images: Sequence[ScoredImage], num_classes: int, iou: float, max_detections: int
):
    """Runs pycocotools' COCOeval on boxes of any size at one IoU, without its printing.

    Args:
        images: The images, in the order in which equal scores are taken.
        num_classes: Number of classes; label i becomes category i + 1.
        iou: Least intersection over union of a hit.
        max_detections: How many detections of a class count on one image.

    Returns:
        The COCOeval after `evaluate` and `accumulate`. Its `evalImgs` holds the images of class 0
        in order, then those of class 1, and so on.

    Raises:
        UserError: If pycocotools is missing.
    """
    coco, coco_eval = import_pycocotools()
    truth, detected = [], []
    for image_id, image in enumerate(images, start=1):
        truth += _annotations(image_id, image.truth_boxes_px, image.truth_labels)
        detected += _annotations(image_id, image.boxes_px, image.labels, image.scores)
    with contextlib.redirect_stdout(io.StringIO()):
        indexes = [_coco_index(coco(), len(images), num_classes, a) for a in (truth, detected)]
        evaluator = coco_eval(*indexes, iouType="bbox")
        evaluator.params.iouThrs = np.array([iou])
        evaluator.params.areaRng = [[0, float("inf")]]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.params.maxDets = [max_detections]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def _annotations(image_id: int, boxes_px, labels, scores=None) -> list[dict]:
    rows = []
    scores = np.ones(len(labels)) if scores is None else scores
    for (top, left, bottom, right), label, score in zip(boxes_px, labels, scores, strict=True):
        height, width = bottom - top, right - left
        rows.append(
            {
                "image_id": image_id,
                "category_id": int(label) + 1,
                "bbox": [left, top, width, height],
                "area": height * width,
                "iscrowd": 0,
                "score": float(score),
            }
        )
    return rows


def _coco_index(coco, num_images: int, num_classes: int, annotations: list[dict]):
    # COCOeval reads a match to id 0 as no match: every id starts at 1.
    coco.dataset = {
        "images": [{"id": number} for number in range(1, num_images + 1)],
        "categories": [{"id": number} for number in range(1, num_classes + 1)],
        "annotations": [dict(row, id=number) for number, row in enumerate(annotations, start=1)],
    }
    coco.createIndex()
    return coco
