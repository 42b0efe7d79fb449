"""The report's table of a scorer: a model from elsewhere at each compression ratio."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mammo_tf.recipes.compression.report_experiments import signed
from mammo_tf.recipes.compression.summarise import Row
from mammo_tf.report import Section, Table, figures

if TYPE_CHECKING:
    from mammo_tf.recipes.compression.report import Findings


def scorer_section(rows: Sequence[Row], findings: "Findings") -> Section:
    """Returns the section with a line for each compression ratio.

    Args:
        rows: Rows of the scorer, the reference first.
        findings: What the report is made of.
    """
    header = ["CR", "AUROC (95 % CI)", "Change of AUROC", "p (Holm)", "Non-inferior"]
    header += ["AUPRC (95 % CI)"]
    body = [
        [
            figures.cratio_name(row.test_cr),
            str(row.auroc),
            signed(row.change) if row.change else "reference",
            *p_and_non_inferior(row),
            str(row.auprc),
        ]
        for row in rows
    ]
    count, positives = rows[0].counts
    caption = (
        f"{rows[0].model}, as it was given; {count} test cases of which {positives} "
        f"{findings.positive_name}. Intervals hold the patients (AUROC: DeLong, clustered by "
        "patient; AUPRC: bootstrap over patients). Change: paired with the first row; p: "
        "two-sided, after Holm's correction. Non-inferior: the loss is shown to be at most "
        f"{findings.margin:g}."
    )
    return Section("This model at each compression ratio", (), [Table(header, body, caption)])


def p_and_non_inferior(row: Row) -> list[str]:
    """Returns the p-value after Holm's correction and non-inferiority, as cells."""
    if row.comparison is None:
        return ["", ""]
    p_value = row.comparison.adjusted_p_value
    shown = "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
    return ["–" if np.isnan(p_value) else shown, "yes" if row.comparison.non_inferior else "no"]
