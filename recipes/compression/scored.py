"""The experiment without training: another's model at every compression ratio."""

from pathlib import Path

from mammo_tf.data_source import OpenData
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.grid import Scored
from mammo_tf.scoring.cases import list_cases, task_of
from mammo_tf.scoring.load import Scorer
from mammo_tf.scoring.run import score_cases, scores_key
from mammo_tf.scoring.store import ScoreStore

SCORER = "scorer"
SEEN_NOTE = (
    "Whether the model has seen these patients in its training is not known here. If it has, its "
    "AUROC is flattered, and the change with compression may not be that of new patients."
)
DISPLAY_NOTE = (
    "The scorer was given the stored range as display values. A record keeps no window or look-up "
    "table of a DICOM file, so this is `display()` only for files that have none."
)


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
    cases, left_out = list_cases(data.catalog, unit, official=config.split.official == "yes")
    notes = [SEEN_NOTE]
    if config.scorer.given in ("display", "255"):
        notes.append(DISPLAY_NOTE)
    if left_out:
        notes.append(f"Scored by {unit}: {left_out}.")
    with ScoreStore(run_dir / "scores", scores_key(scorer, data.catalog)) as store:
        folds = score_cases(scorer, cases, data.catalog, data.builder, config.cratios, store)
    task = task_of(cases, data.catalog, unit, notes)
    return task, {((), cratio): ((fold,),) for cratio, fold in folds.items()}


def scorer_facts(config: CompressionConfig) -> list[tuple[str, str]]:
    """Returns what the report says of the model, as (name, text) lines."""
    is_official = config.split.official == "yes"
    return [
        ("Model", f"{config.scorer.model}, trained elsewhere"),
        ("It is given", config.scorer.describe()),
        (
            "Which cases",
            "the test part of the data set's own split" if is_official else "all with a label",
        ),
        ("Seed", f"{config.seed}, of the bootstrap"),
    ]
