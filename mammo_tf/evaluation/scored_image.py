"""One image, its true boxes and what a detector said: what every detection score starts from."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredImage:
    """One image, its true boxes and what a detector said.

    Attributes:
        image_id: Name of the image, unique in a list that is scored.
        group: The patient; images of one patient are not independent.
        truth_boxes_px: (k, 4) float, yxyx in pixels; k is 0 for a normal image.
        truth_labels: (k,) int, class of each true box, counted from 0.
        boxes_px: (m, 4) float, yxyx in the same pixels; a box may have no area.
        labels: (m,) int, class of each detection, counted from 0.
        scores: (m,) float within 0..1, higher means surer.

    Raises:
        UserError: If a shape does not fit, a number is not finite, a score is outside 0..1, a label
            is not a whole number from 0 up, or a box ends before it begins. The image is named.

    Examples:
        >>> ScoredImage(image_id="mdb001", group="1", truth_boxes_px=[[10, 20, 30, 60]],
        ...             truth_labels=[0], boxes_px=[], labels=[], scores=[]).boxes_px.shape
        (0, 4)
    """

    image_id: str
    group: str
    truth_boxes_px: np.ndarray
    truth_labels: np.ndarray
    boxes_px: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        for name, label_name in (("truth_boxes_px", "truth_labels"), ("boxes_px", "labels")):
            boxes = self._boxes(name)
            object.__setattr__(self, name, boxes)
            object.__setattr__(self, label_name, self._labels(label_name, len(boxes)))
        sizes = self.truth_boxes_px[:, 2:] - self.truth_boxes_px[:, :2]
        flat = (sizes <= 0).any(axis=1)
        if flat.any():
            self._refuse("truth_boxes_px", "have an area", self.truth_boxes_px[flat][0].tolist())
        scores = np.asarray(self.scores, dtype=np.float64)
        if scores.shape != (len(self.boxes_px),):
            self._refuse("scores", f"have the shape ({len(self.boxes_px)},)", scores.shape)
        wrong = ~((scores >= 0) & (scores <= 1))  # NaN too
        if wrong.any():
            self._refuse("scores", "be finite and within 0..1", float(scores[wrong][0]))
        object.__setattr__(self, "scores", scores)

    def _boxes(self, name: str) -> np.ndarray:
        boxes = np.asarray(getattr(self, name), dtype=np.float64)
        boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            self._refuse(name, "have the shape (boxes, 4)", boxes.shape)
        wrong = ~np.isfinite(boxes).all(axis=1)
        if wrong.any():
            self._refuse(name, "be finite", boxes[wrong][0].tolist())
        wrong = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        if wrong.any():
            self._refuse(name, "be (ymin, xmin, ymax, xmax)", boxes[wrong][0].tolist())
        return boxes

    def _labels(self, name: str, count: int) -> np.ndarray:
        labels = np.asarray(getattr(self, name))
        labels = labels.astype(np.int64) if labels.size == 0 else labels
        if labels.shape != (count,):
            self._refuse(name, f"have the shape ({count},)", labels.shape)
        if not np.issubdtype(labels.dtype, np.integer) or (labels < 0).any():
            self._refuse(name, "be whole numbers from 0 up", labels.tolist())
        return labels.astype(np.int64)

    def _refuse(self, name: str, rule: str, received) -> None:
        raise UserError(f"`{name}` of image {self.image_id} must {rule}. Received: {received}.")


def class_agnostic(images: Sequence[ScoredImage]) -> list[ScoredImage]:
    """Maps every label, true or detected, to 0; score the result with one class name.

    Examples:
        `average_precision(class_agnostic(images), class_names=("lesion",))`
    """
    return [
        dataclasses.replace(image, truth_labels=image.truth_labels * 0, labels=image.labels * 0)
        for image in images
    ]


def check_images(images: Sequence[ScoredImage]) -> None:
    """Raises UserError for an empty list and for an image that comes twice."""
    if not images:
        raise UserError("`images` must hold at least one image. Received: none.")
    names, counts = np.unique([image.image_id for image in images], return_counts=True)
    if (counts > 1).any():
        raise UserError(
            "`images` must hold each image once; score each run or seed on its own. "
            f"Received more than once: {', '.join(map(str, names[counts > 1][:5]))}."
        )


def check_same_truth(images: Sequence[ScoredImage], reference: Sequence[ScoredImage]) -> None:
    """Raises UserError unless both are the same images with the same lesions, in order."""
    same = len(images) == len(reference) and all(
        (one.image_id, one.group) == (other.image_id, other.group)
        and np.array_equal(one.truth_boxes_px, other.truth_boxes_px)
        for one, other in zip(images, reference, strict=True)
    )
    if not same:
        raise UserError("`reference` must be the same images with the same lesions, in order.")
