"""Mammograms from DICOM files: one file to one canonical image, its view and safe metadata.

Nothing that identifies a person leaves this package. No TensorFlow.
"""

from mammo_tf.dicom.display import DisplayTransform, LookUpTable, Window, apply_window
from mammo_tf.dicom.metadata import MammogramMetadata, patient_key
from mammo_tf.dicom.orientation import chest_wall_evidence
from mammo_tf.dicom.reader import (
    DEFAULT_MAX_PIXELS,
    ForProcessingError,
    Mammogram,
    read_mammogram,
)
from mammo_tf.dicom.views import VIEWS

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "VIEWS",
    "DisplayTransform",
    "ForProcessingError",
    "LookUpTable",
    "Mammogram",
    "MammogramMetadata",
    "Window",
    "apply_window",
    "chest_wall_evidence",
    "patient_key",
    "read_mammogram",
]
