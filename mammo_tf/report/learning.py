"""The learning curves of a run's cells, for any recipe's report."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from mammo_tf.report.curves import learning_figure
from mammo_tf.report.page import Figure, Section, Table

MAX_PANELS = 12


def read_trainings(run_dir: str | Path) -> dict[str, list[dict]]:
    """Returns the trainings that a run folder keeps, those of one model and kind together.

    Args:
        run_dir: A run folder; what it has in `cells` is read. A cell that is not whole is left out.

    Returns:
        {name without fold and repeat: trainings}, each with "name", "loss" and, where it was
        measured, "val_loss" of each epoch, "best_epoch" (1,), and "seconds" (None: not known).
    """
    groups: dict[str, list[dict]] = {}
    for file in sorted(Path(run_dir).glob("cells/*/history.json"), key=_natural):
        try:
            history = json.loads(file.read_text("utf-8"))
            record = json.loads(file.with_name("cell.json").read_text("utf-8"))
            training = {
                "name": file.parent.name,
                "loss": [entry["loss"] for entry in history],
                "val_loss": [entry["val_loss"] for entry in history if "val_loss" in entry],
                "best_epoch": [record["best_epoch"]],
                "seconds": record.get("seconds"),
            }
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if training["loss"]:
            name = re.sub(r"-?fold\d+(-repeat\d+)?", "", file.parent.name)
            groups.setdefault(name, []).append(training)
    return groups


def training_seconds(groups: Mapping[str, list[dict]]) -> float:
    """Returns how long all trainings took together, in seconds; unknown ones count as 0."""
    return sum(each["seconds"] or 0 for group in groups.values() for each in group)


def learning_section(groups: Mapping[str, list[dict]]) -> Section | None:
    """Returns the section with the learning curves, or None where nothing was trained.

    Args:
        groups: As `read_trainings` gives them.
    """
    if not groups:
        return None
    shown = dict(list(groups.items())[:MAX_PANELS])
    body = [
        [
            name,
            str(len(group)),
            _range([len(each["loss"]) for each in group]),
            _range([each["best_epoch"][0] for each in group]),
            _range([round(each["seconds"]) for each in group if each["seconds"] is not None]),
        ]
        for name, group in groups.items()
    ]
    caption = (
        "Loss of each epoch, a line for each fold and repeat; the dot is the epoch whose weights "
        "are tested."
    )
    if len(shown) < len(groups):
        caption += f" The first {len(shown)} of {len(groups)}; TensorBoard shows them all."
    header = ["Network", "Trainings", "Epochs", "Epoch kept", "Seconds each"]
    return Section(
        "Learning curves",
        (),
        [
            Figure(learning_figure(shown), caption, alt=f"Learning curves of {', '.join(shown)}."),
            Table(header, body, "Least to most over folds and repeats."),
        ],
    )


def _range(values: list[int]) -> str:
    if not values:
        return "–"
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _natural(path: Path) -> list:
    """Sorts "cr15" before "cr100"."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", path.parent.name)
    ]
