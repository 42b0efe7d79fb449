"""The classifier's part of the mias recipe's report."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.evaluation import Estimate
from mammo_tf.pipelines.tasks.patches import CLASSES
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.config import MiasConfig
from mammo_tf.recipes.mias.division import SPLIT_NAMES
from mammo_tf.recipes.mias.summary import lesion_auroc, malignant_auroc, pooled_scores
from mammo_tf.report import Section, Table

INTERVALS = (
    "In brackets: 95 % intervals, from a bootstrap over patients or DeLong's clustered by patient."
)


def text_of(estimate: Estimate) -> str:
    """Returns a number with its interval, or a dash where there is none."""
    return str(estimate) if np.isfinite(estimate.value) else "–"


def classification(classified: Sequence[ClassifyResult], config: MiasConfig) -> Section | None:
    """Returns the classifier's scores, each way to cut and to split, or None without any."""
    if not classified:
        return None
    rows = []
    for result in classified:
        pooled = pooled_scores(result, config)
        rows.append(
            [
                result.variant,
                SPLIT_NAMES[result.split],
                str(sum(len(fold.labels) for fold in result.folds)),
                text_of(lesion_auroc(result)),
                text_of(malignant_auroc(result)),
                text_of(pooled.macro_auroc),
                text_of(pooled.balanced_accuracy),
                f"{result.seconds:.0f} s",
            ]
        )
    header = ["Patches", "Split", "Tested", "Lesion / normal", "Malignant / benign"]
    header += ["Three classes", "Bal. accuracy", "Time"]
    return Section(
        "Classification of patches",
        [
            f"The network “{config.classify.model.name}” with "
            f"{classified[0].num_parameters:,} parameters. “centred” patches lie round a lesion, "
            "and at the same place, with as much tissue, in normal images. “sliding” ones come "
            "from a window moved over the image: “edges” keeps those at the breast's edge, “inner” "
            "does not; “break” lets a window cut a lesion, “whole” does not. Normal tissue is "
            "easier to tell from lesions in sliding windows, since its place and its background "
            "give it away.",
            "The poster gives no number for its classifier.",
        ],
        [Table(header, rows, "AUROC, but for the balanced accuracy. " + INTERVALS)],
    )


def confusions(classified: Sequence[ClassifyResult], config: MiasConfig) -> list[Section]:
    """Returns the confusions of the first way to cut, a section a split."""
    first = [result for result in classified if result.variant == classified[0].variant]
    sections = []
    for result in first:
        scores = pooled_scores(result, config)
        confusion = [
            [f"true {name}", *map(str, row)]
            for name, row in zip(CLASSES, scores.confusion.tolist(), strict=True)
        ]
        each = [
            [
                name,
                text_of(scores.precision[name]),
                text_of(scores.recall[name]),
                text_of(scores.auroc[name]),
            ]
            for name in CLASSES
        ]
        sections.append(
            Section(
                f"Three classes: {result.variant}, {SPLIT_NAMES[result.split]}",
                [],
                [
                    Table(["", *(f"said {name}" for name in CLASSES)], confusion, "Test patches."),
                    Table(["Class", "Precision", "Recall", "AUROC against the rest"], each),
                ],
            )
        )
    return sections
