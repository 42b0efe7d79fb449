"""Numbers with confidence intervals; no TensorFlow needed."""

from mammo_tf.evaluation.auprc import auprc, mean_auprc
from mammo_tf.evaluation.auroc import (
    Estimate,
    ScoredFold,
    auroc,
    mean_auroc,
    mean_auroc_difference,
)
from mammo_tf.evaluation.calibration import Calibration, calibration_against
from mammo_tf.evaluation.comparisons import (
    Comparison,
    compare_with_reference,
    holm,
    largest_non_inferior,
    patients_needed,
    two_sided_p,
)
from mammo_tf.evaluation.decision_curve import DecisionPoint, decision_csv, decision_curve
from mammo_tf.evaluation.detection import (
    DetectionScores,
    average_precision,
    average_precision_change,
)
from mammo_tf.evaluation.froc import Froc, froc, froc_change
from mammo_tf.evaluation.multiclass import MulticlassScores, multiclass_scores
from mammo_tf.evaluation.rates import mean_rate_over_repeats
from mammo_tf.evaluation.repeats import (
    between_seed_sd,
    mean_auprc_over_repeats,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
)
from mammo_tf.evaluation.scored_image import ScoredImage, class_agnostic
from mammo_tf.evaluation.subgroups import subgroup_folds
from mammo_tf.evaluation.temperature import apply_temperature, fit_temperature

__all__ = [
    "Calibration",
    "Comparison",
    "DecisionPoint",
    "DetectionScores",
    "Estimate",
    "Froc",
    "MulticlassScores",
    "ScoredFold",
    "ScoredImage",
    "apply_temperature",
    "auprc",
    "auroc",
    "average_precision",
    "average_precision_change",
    "between_seed_sd",
    "calibration_against",
    "class_agnostic",
    "compare_with_reference",
    "decision_csv",
    "decision_curve",
    "fit_temperature",
    "froc",
    "froc_change",
    "holm",
    "largest_non_inferior",
    "mean_auprc",
    "mean_auprc_over_repeats",
    "mean_auroc",
    "mean_auroc_difference",
    "mean_auroc_difference_over_repeats",
    "mean_auroc_over_repeats",
    "mean_rate_over_repeats",
    "multiclass_scores",
    "patients_needed",
    "subgroup_folds",
    "two_sided_p",
]
