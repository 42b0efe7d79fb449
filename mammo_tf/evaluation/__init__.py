"""Numbers with confidence intervals; no TensorFlow needed."""

from mammo_tf.evaluation.auprc import auprc, mean_auprc
from mammo_tf.evaluation.auroc import (
    Estimate,
    ScoredFold,
    auroc,
    mean_auroc,
    mean_auroc_difference,
)

__all__ = [
    "Estimate",
    "ScoredFold",
    "auprc",
    "auroc",
    "mean_auprc",
    "mean_auroc",
    "mean_auroc_difference",
]
