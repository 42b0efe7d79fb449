"""What a run says as a whole: the experiments that were run, the main one first."""

from collections.abc import Sequence

from mammo_tf.recipes.compression.conclusion import conclusion
from mammo_tf.recipes.compression.report_experiments import (
    THREE_WAYS,
    how_far,
    mixture_in_words,
    network_name,
)
from mammo_tf.recipes.compression.summarise import Row, by_model, main_rows


def answer(rows: Sequence[Row]) -> list[str]:
    """Says what the experiments of a run show.

    Args:
        rows: Of all experiments.

    Returns:
        Sentences. First the conclusion of "single" or of another's model, else of "test_only";
        then one on each of the other ways to compress, and one on the largest mixture. Of several
        networks each one's, its name before the first.
    """
    if len(networks := by_model(rows)) > 1:
        said = {name: answer(of_model) for name, of_model in networks.items()}
        return [f"{name}: {first}" for name, (first, *_) in said.items()] + [
            f"{name}: {' '.join(more)}" for name, (_, *more) in said.items() if more
        ]
    of = {name: [row for row in rows if row.experiment == name] for name in THREE_WAYS}
    said, main = [], main_rows(rows)
    if main:
        said = conclusion(main)
    elif of["test_only"]:
        first, *more = conclusion(of.pop("test_only"))
        said = [first, "Only the test images are compressed here.", *more]
    for name, text in THREE_WAYS.items():
        if name != "single" and of.get(name):
            said.append(how_far(text, of[name]))
    mixture = [row for row in rows if row.experiment == "mixture"]
    if mixture:
        last = [row for row in mixture if row.train_crs == mixture[-1].train_crs]
        said.append(mixture_in_words(last, network_name(mixture[0].train_crs)))
    return said


def trainings(rows: Sequence[Row]) -> str:
    """Says how often each network was trained, by experiment where they differ."""
    counts = {row.experiment: len(row.repeats) for row in rows}
    if len(set(counts.values())) == 1:
        return str(len(rows[0].repeats))
    return ", ".join(f"{count} for {name}" for name, count in counts.items())
