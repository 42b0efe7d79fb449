"""What the compression report says of its experiments, against hand-made scores."""

import dataclasses
import re

import numpy as np
import pytest

from mammo_tf.evaluation import Estimate, ScoredFold
from mammo_tf.recipes.compression.answer import answer, trainings
from mammo_tf.recipes.compression.conclusion import conclusion
from mammo_tf.recipes.compression.experiments import EXPERIMENTS
from mammo_tf.recipes.compression.report_experiments import (
    experiment_sections,
    how_far,
    mixture_in_words,
    signed,
)
from mammo_tf.recipes.compression.summarise import summarise
from mammo_tf.report import Figure, Table, figures

CRS = (1, 20, 10000)


def folds(strength):
    """Two folds of the same cases, whatever the strength, so that changes are paired."""
    rng = np.random.default_rng(0)
    labels = np.tile([0, 0, 1, 0], 100)
    noise = rng.normal(size=400)
    return [ScoredFold(labels, noise + strength * labels, np.arange(400)) for _ in range(2)]


def rows_of(experiment, strength_of, cratios=CRS):
    """`strength_of` gives the strength of a network (its ratios) on images of a ratio."""
    plan = EXPERIMENTS[experiment]
    scored = {
        (train_crs, test_cr): [folds(strength_of(train_crs, test_cr))]
        for train_crs, tested in plan.tests_of(cratios).items()
        for test_cr in tested
    }
    reference_of = {key: plan.reference_of(*key, cratios) for key in scored}
    return summarise(
        experiment, "cnn3", scored, num_resamples=100, seed=0, reference_of=reference_of
    )


def section_of(rows, heading):
    return next(found for found in experiment_sections(rows) if heading in found.heading)


def part(section, kind):
    return next(each for each in section.parts if isinstance(each, kind))


# Training at 20 costs something, at 10,000 more; in test 20 is harmless.
TRAINED = {1: 2.0, 20: 1.2, 10000: 1.0}
TESTED = {1: 2.0, 20: 2.0, 10000: 0.9}


@pytest.fixture(scope="module")
def ways():
    both = rows_of("single", lambda crs, cr: min(TRAINED[crs[0]], TESTED[cr]))
    training = rows_of("training_only", lambda crs, cr: TRAINED[crs[0]])
    test = rows_of("test_only", lambda crs, cr: TESTED[cr])
    return {"single": both, "training_only": training, "test_only": test}


def test_how_far_each_way_goes(ways):
    assert how_far("a way", ways["test_only"]) == (
        "A way: up to CR20 the loss of AUROC is shown to be at most 0.02."
    )
    assert how_far("a way", ways["training_only"]) == (
        "A way: at no compression ratio the loss of AUROC is shown to be at most 0.02."
    )
    # The ratio is that of what is compressed: all tests of this experiment are at CR 1.
    harmless = rows_of("training_only", lambda crs, cr: 2.0)
    assert "up to CR10K" in how_far("a way", harmless)
    alone = rows_of("test_only", lambda crs, cr: 2.0, cratios=(1,))
    assert how_far("a way", alone) == "A way: there is one compression ratio only."


def test_three_ways_stand_side_by_side_at_the_ratio_of_what_is_compressed(ways):
    section = section_of([row for rows in ways.values() for row in rows], "in test, or in both")
    table = part(section, Table)
    assert [name.split(" (")[0] for name in table.header] == [
        "CR",
        "AUROC compressed in training and test",
        "AUROC compressed in training only",
        "AUROC compressed in test only",
    ]
    assert [line[0] for line in table.rows] == ["CR1", "CR20", "CR10K"]
    # By Tables 1 and 2 of the paper: M-CR10K at 10K, M-CR10K at 1, M-CR1 at 10K.
    assert [re.search(r"\[(.*)\]", cell)[1] for cell in table.rows[2][1:]] == [
        "0.81",
        "0.82",
        "0.73",
    ]
    for column, rows in enumerate(ways.values(), start=1):
        for line, row in zip(table.rows, rows, strict=True):
            change = f", {signed(row.change)}" if row.change else ""
            assert line[column].startswith(f"{row.auroc}{change} [")
    assert section.paragraphs[2].startswith("Compressed in test only: up to CR20 ")
    said = part(section, Figure).alt
    assert f"compressed in test only: CR1 {ways['test_only'][0].auroc}; CR20" in said


def test_one_way_alone_has_its_section_too(ways):
    table = part(section_of(ways["test_only"], "in test, or in both"), Table)
    assert len(table.header) == 2 and len(table.rows) == 3
    assert not any("in test, or" in s.heading for s in experiment_sections(ways["single"]))


def test_a_mixture_is_compared_with_the_first_network_on_the_same_images():
    """It loses at CR 1 and gains at 10,000; both are said."""

    def strength(crs, cr):
        return {1: 2.0, 20: 1.5, 10000: 0.5}[cr] if len(crs) == 1 else 1.5

    rows = rows_of("mixture", strength)
    assert {row.train_crs for row in rows} == {(1,), (1, 20), CRS}
    last = [row for row in rows if row.train_crs == CRS]
    said = mixture_in_words(last, "M-CR1")
    assert f"CR1 {signed(last[0].change)}, CR10K {signed(last[2].change)}; at other" in said
    assert last[0].change.value < 0 < last[2].change.value and last[1].change.value == 0
    section = section_of(rows, "on a mixture")
    assert said in section.paragraphs
    line = part(section, Table).rows[2]
    assert line[0] == "M-CR1toCR10K"
    assert line[3] == f"{last[2].auroc}, {signed(last[2].change)}"
    assert f"M-CR1toCR10K: CR1 {last[0].auroc}; CR20" in part(section, Figure).alt


def test_a_mixture_that_changes_nothing():
    rows = rows_of("mixture", lambda crs, cr: 1.0)[-3:]
    assert mixture_in_words(rows, "M-CR1").startswith("No difference between M-CR1toCR10K and")


def test_a_run_answers_whatever_was_run(ways):
    both, training, test = ways.values()
    mixture = rows_of("mixture", lambda crs, cr: 1.0)
    whole = answer([*both, *training, *test, *mixture])
    assert whole[: len(conclusion(both))] == conclusion(both)
    assert whole[len(conclusion(both)) :] == [
        how_far("compressed in training only", training),
        how_far("compressed in test only", test),
        mixture_in_words(mixture[-3:], "M-CR1"),
    ]
    alone = answer(test)
    assert alone[1] == "Only the test images are compressed here."
    assert [alone[0], *alone[2:]] == conclusion(test)
    assert answer(training) == [how_far("compressed in training only", training)]
    assert answer(rows_of("cross", lambda crs, cr: 1.0)) == []


def test_how_often_networks_were_trained(ways):
    assert trainings([*ways["single"], *ways["test_only"]]) == "1"
    twice = [dataclasses.replace(row, repeats=row.repeats * 2) for row in ways["test_only"]]
    assert trainings([*ways["single"], *twice]) == "1 for single, 2 for test_only"


def test_ratios_drawn_stand_beside_the_network_of_the_first_ratio(ways):
    drawn = rows_of("augmented", lambda crs, cr: 1.5)
    alone = part(section_of(drawn, "at a random"), Table)
    assert [line[2] for line in alone.rows] == ["–"] * 3 and "test_only with" in alone.caption
    table = part(section_of([*ways["single"], *ways["test_only"], *drawn], "at a random"), Table)
    assert table.header[2] == "Against M-CR1" and "test_only" not in table.caption
    for line, mine, plain in zip(table.rows, drawn, ways["test_only"], strict=True):
        change = float(line[2].split(" ")[0])
        assert change == pytest.approx(mine.auroc.value - plain.auroc.value, abs=6e-4)
        assert abs(change) > 0.05


def test_of_many_lines_the_first_one_s_interval_is_shaded():
    wide, narrow = Estimate(0.8, 0.6, 0.9), Estimate(0.8, 0.79, 0.81)

    def drawn(first, second):
        lines = {"a": {1: first, 100: first}, "b": {1: second, 100: second}}
        return figures.lines_figure(lines, "AUROC")

    assert drawn(wide, narrow) == drawn(wide, wide) != drawn(narrow, wide)
