"""Numbers with confidence intervals; no TensorFlow needed."""

from mammo_tf.evaluation.auprc import auprc, mean_auprc
from mammo_tf.evaluation.auroc import (
    Estimate,
    ScoredFold,
    auroc,
    mean_auroc,
    mean_auroc_difference,
)
from mammo_tf.evaluation.detection import DetectionScores, average_precision
from mammo_tf.evaluation.froc import Froc, froc
from mammo_tf.evaluation.multiclass import MulticlassScores, multiclass_scores
from mammo_tf.evaluation.scored_image import ScoredImage, class_agnostic

__all__ = [
    "DetectionScores",
    "Estimate",
    "Froc",
    "MulticlassScores",
    "ScoredFold",
    "ScoredImage",
    "auprc",
    "auroc",
    "average_precision",
    "class_agnostic",
    "froc",
    "mean_auprc",
    "mean_auroc",
    "mean_auroc_difference",
    "multiclass_scores",
]
