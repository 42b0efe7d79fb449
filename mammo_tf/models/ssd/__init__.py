"""SSD (Liu et al. 2016): default boxes, network, loss and detections, on any Keras backend."""

from mammo_tf.models.ssd.boxes import BoxLayout, default_boxes, make_targets, match_boxes
from mammo_tf.models.ssd.detections import Detections, find_detections, non_maximum_suppression
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
