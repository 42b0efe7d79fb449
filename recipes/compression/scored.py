"""The experiment without training: another's model at every compression ratio."""

from pathlib import Path

import numpy as np

from mammo_tf.data_source import OpenData
from mammo_tf.evaluation import ScoredFold
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.grid import Scored
from mammo_tf.scoring.load import Scorer
from mammo_tf.scoring.run import score_cases
from mammo_tf.scoring.views import list_cases, task_of

SCORER = "scorer"


def score_data_set(
    scorer: Scorer, config: CompressionConfig, data: OpenData, run_dir: Path
) -> tuple[Task, Scored]:
    """Scores all labelled cases of a data set at every ratio of the configuration.

    They are one fold. With `--folds official` they are the test part of the data set's own split,
    for a model that was trained on its training part.

    Returns:
        What was scored, and the scores by ((), compression ratio).
    """
    unit = config.scorer.unit
    official = config.split.official == "yes" and config.split.is_official(
        data.catalog.has_official_splits
    )
    cases = list_cases(data.catalog, unit, official=official)
    task = task_of(cases, data.catalog, unit)
    scores = score_cases(scorer, data, cases, config.cratios, run_dir / "scores")
    fold = {"labels": task.labels, "groups": task.groups}
    fold["example_ids"] = np.asarray(task.example_ids)
    scored = {
        ((), cratio): ((ScoredFold(scores=scores[cratio], **fold),),) for cratio in config.cratios
    }
    return task, scored


def scorer_facts(config: CompressionConfig) -> list[tuple[str, str]]:
    """Returns what the report says of the model, as (name, text) lines."""
    scorer = config.scorer
    facts = [
        ("Model", f"{scorer.model}, trained elsewhere; one score for each {scorer.unit}"),
        ("Division", "the test part of the data set's own split"
         if config.split.official == "yes" else "none: all labelled cases are scored"),
    ]  # fmt: skip
    if scorer.is_file:
        facts.append(("Its input", f"whole images, resized, scale '{scorer.scale}'"))
    return facts
