"""SSD (Liu et al. 2016): default boxes, network, loss and detections, on any Keras backend.

Keras is imported when something is asked for that needs it.
"""

from typing import TYPE_CHECKING

from mammo_tf.lazy import lazy_names

if TYPE_CHECKING:
    from mammo_tf.models.ssd.boxes import BoxLayout, default_boxes, make_targets, match_boxes
    from mammo_tf.models.ssd.detections import (
        Detections,
        find_detections,
        non_maximum_suppression,
    )
    from mammo_tf.models.ssd.loss import MultiBoxLoss, decode_boxes, encode_boxes
    from mammo_tf.models.ssd.model import SSD
    from mammo_tf.models.ssd.vgg16_weights import load_vgg16_weights

__all__ = [
    "SSD",
    "BoxLayout",
    "Detections",
    "MultiBoxLoss",
    "decode_boxes",
    "default_boxes",
    "encode_boxes",
    "find_detections",
    "load_vgg16_weights",
    "make_targets",
    "match_boxes",
    "non_maximum_suppression",
]
__getattr__ = lazy_names(
    __name__,
    {
        "boxes": ("BoxLayout", "default_boxes", "make_targets", "match_boxes"),
        "detections": ("Detections", "find_detections", "non_maximum_suppression"),
        "loss": ("MultiBoxLoss", "decode_boxes", "encode_boxes"),
        "model": ("SSD",),
        "vgg16_weights": ("load_vgg16_weights",),
    },
)
