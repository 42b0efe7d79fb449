"""SSD's loss: softmax for the class, smooth L1 for the box, hard negative mining."""

import keras
import numpy as np
from keras import ops

from mammo_tf.models.ssd.boxes import BoxLayout, default_boxes

VARIANCES = (0.1, 0.1, 0.2, 0.2)


def encode_boxes(defaults, boxes):
    """Expresses boxes as offsets from default boxes.

    Args:
        defaults: (n, 4) in the format "yxyx".
        boxes: (n, 4) or (batch, n, 4) likewise.

    Returns:
        Of the shape of `boxes`: (y, x) of the middle relative to the default box's size, and the
        logarithm of the (height, width) ratio, each divided by the variances 0.1 and 0.2.

    Reference:
        Liu et al. 2016, Eq. 2; the variances are those of the authors' released code.
    """
    return keras.utils.bounding_boxes.encode_box_to_deltas(
        anchors=defaults,
        boxes=boxes,
        anchor_format="yxyx",
        box_format="yxyx",
        encoding_format="center_yxhw",
        variance=VARIANCES,
    )


def hard_negatives(losses, left_out, num_negatives):
    """Marks the negatives with the highest loss.

    Args:
        losses: (batch, n) float, how wrong each default box's class is.
        left_out: (batch, n) bool, True for what is no negative.
        num_negatives: (batch,) int, how many to mark in each image.

    Returns:
        (batch, n) bool; never more than asked for, fewer only where there are no more.

    Reference:
        Liu et al. 2016, section 2.2, "Hard negative mining".
    """
    candidates = ops.where(left_out, -1.0, ops.stop_gradient(losses))
    order = ops.argsort(-candidates, axis=-1)
    ranks = ops.argsort(order, axis=-1)
    wanted = ops.expand_dims(ops.cast(num_negatives, "int32"), -1)
    return ops.logical_and(ops.logical_not(left_out), ops.cast(ranks, "int32") < wanted)


@keras.saving.register_keras_serializable(package="mammo_tf")
class MultiBoxLoss(keras.losses.Loss):
    """The loss of SSD, fit for batches in which no image has a lesion.

    For each image three negatives a positive are mined, and at least `min_negatives`, so that a
    normal mammogram teaches too. The sum over the batch is divided by the number of positives, or
    by a third of the negatives taken where that is more, and by at least 1; with
    `min_negatives=0` that is the paper's N, whose loss is 0 for an image without objects.

    Args:
        layout: The default boxes.
        negative_ratio: Negatives for each positive; 3 in the paper.
        min_negatives: Fewest negatives of an image; not stated in the paper.
        box_weight: Weight of the box's part, α; 1 in the paper.
        label_smoothing: Share by which classes move towards uniform; not stated in the paper.

    Call arguments:
        y_true: (batch, n, 5) float32 of `make_targets`; a class of −1 is left out.
        y_pred: (batch, n, num_classes + 1 + 4) logits, background first, then offsets.

    Returns:
        Scalar (with Keras' default reduction).

    Reference:
        Liu et al. 2016, Eq. 1 to 3.
    """

    def __init__(
        self,
        layout: BoxLayout | dict,
        *,
        negative_ratio: float = 3.0,
        min_negatives: int = 3,
        box_weight: float = 1.0,
        label_smoothing: float = 0.0,
        name: str = "multi_box_loss",
        reduction: str = "sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.layout = layout if isinstance(layout, BoxLayout) else BoxLayout(**layout)
        self.negative_ratio = negative_ratio
        self.min_negatives = min_negatives
        self.box_weight = box_weight
        self.label_smoothing = label_smoothing
        self._defaults = default_boxes(self.layout)

    def call(self, y_true, y_pred):
        """Returns (batch,), whose mean is the loss."""
        labels = ops.cast(y_true[..., 0], "int32")
        positive = labels > 0
        class_loss = self._class_loss(labels, y_pred[..., :-4])
        box_loss = self._box_loss(y_true[..., 1:], y_pred[..., -4:])

        num_positives = ops.sum(ops.cast(positive, "int32"), axis=-1)
        wanted = ops.cast(self.negative_ratio * ops.cast(num_positives, "float32"), "int32")
        negative = hard_negatives(class_loss, labels != 0, ops.maximum(wanted, self.min_negatives))
        taken = ops.cast(ops.logical_or(positive, negative), class_loss.dtype)
        positive = ops.cast(positive, class_loss.dtype)
        each = ops.sum(class_loss * taken + self.box_weight * box_loss * positive, axis=-1)

        num_taken_negatives = ops.sum(ops.cast(negative, class_loss.dtype))
        count = ops.maximum(ops.sum(positive), num_taken_negatives / max(self.negative_ratio, 1))
        batch = ops.cast(ops.shape(y_pred)[0], each.dtype)
        return each * batch / ops.maximum(count, 1.0)

    def _class_loss(self, labels, logits):
        """Softmax cross-entropy of each default box: (batch, n)."""
        log_probability = ops.log_softmax(logits, axis=-1)
        wanted = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        if self.label_smoothing:
            share = self.label_smoothing / logits.shape[-1]
            wanted = wanted * (1 - self.label_smoothing) + share
        return -ops.sum(wanted * log_probability, axis=-1)

    def _box_loss(self, boxes, offsets):
        """Smooth L1 of the four offsets together: (batch, n)."""
        difference = ops.abs(offsets - encode_boxes(self._defaults, boxes))
        smooth = ops.where(difference < 1, 0.5 * ops.square(difference), difference - 0.5)
        return ops.sum(smooth, axis=-1)

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "reduction": self.reduction,
            "layout": {
                "feature_shapes": self.layout.feature_shapes,
                "scales": self.layout.scales,
                "aspect_ratios": self.layout.aspect_ratios,
            },
            "negative_ratio": self.negative_ratio,
            "min_negatives": self.min_negatives,
            "box_weight": self.box_weight,
            "label_smoothing": self.label_smoothing,
        }


def decode_boxes(defaults: np.ndarray, offsets) -> np.ndarray:
    """The inverse of `encode_boxes`.

    Args:
        defaults: (n, 4) in the format "yxyx", relative to the image.
        offsets: (batch, n, 4).

    Returns:
        (batch, n, 4) float32 in the format "yxyx".
    """
    decoded = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        anchors=ops.convert_to_tensor(defaults),
        boxes_delta=ops.convert_to_tensor(offsets),
        anchor_format="yxyx",
        box_format="yxyx",
        encoded_format="center_yxhw",
        variance=VARIANCES,
    )
    return ops.convert_to_numpy(decoded)
