"""The compression recipe's tables, words and settings, against hand-made cases."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold, mean_auroc, patients_needed
from mammo_tf.recipes.compression import paper_numbers
from mammo_tf.recipes.compression.conclusion import conclusion
from mammo_tf.recipes.compression.config import PRESETS
from mammo_tf.recipes.compression.report_experiments import signed
from mammo_tf.recipes.compression.settings import choose_config
from mammo_tf.recipes.compression.summarise import (
    read_experiments,
    summarise,
    summary_line,
    write_tables,
)
from mammo_tf.training.folds import SplitConfig


def read_csv(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def folds(strength, seed=0, count=2, cases=400):
    """Every fourth case is positive, so that positive and negative ones cannot be mixed up."""
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 0, 1, 0], cases // 4)
    return [
        ScoredFold(labels, rng.normal(size=cases) + strength * labels, np.arange(cases))
        for _ in range(count)
    ]


def rows(strengths, repeats=1, **options):
    """The strength may be one a ratio, or one a repeat."""
    scored = {
        ((cr,), cr): [
            folds(strength if np.isscalar(strength) else strength[r], **options)
            for r in range(repeats)
        ]
        for cr, strength in strengths.items()
    }
    return summarise("single", "cnn3", scored, num_resamples=100, seed=0)


def test_tables_hold_one_line_a_fold_and_one_a_row(tmp_path):
    table = rows({1: 2.0, 100: 1.0})
    write_tables(tmp_path, table)
    results = read_csv(tmp_path / "results.csv")
    summary = read_csv(tmp_path / "summary.csv")
    assert [(r["test_cr"], r["fold"]) for r in results] == [
        ("1", "0"),
        ("1", "1"),
        ("100", "0"),
        ("100", "1"),
    ]
    assert results[0]["n"] == "400"
    assert [row["n_positive"] for row in results] == ["100"] * 4
    assert [(row["n"], row["n_positive"]) for row in summary] == [("800", "200")] * 2
    mean = np.mean([float(r["auroc"]) for r in results[:2]])
    assert float(summary[0]["auroc"]) == pytest.approx(mean, abs=2e-6)
    deviation = np.std([float(r["auprc"]) for r in results[2:]], ddof=1)
    assert float(summary[1]["auprc_sd"]) == pytest.approx(deviation, abs=2e-6)
    assert float(summary[1]["auroc_change"]) == pytest.approx(
        float(summary[1]["auroc"]) - float(summary[0]["auroc"]), abs=2e-6
    )
    assert float(summary[0]["auroc_low"]) < mean < float(summary[0]["auroc_high"])


def test_one_fold_has_no_spread_and_still_gives_json(tmp_path):
    table = rows({1: 1.0, 100: 1.0}, count=1)
    line = json.loads(json.dumps(summary_line(table[1]), allow_nan=False))
    assert line["auroc_sd"] is None and line["auprc_sd"] is None
    assert line["auroc_low"] < line["auroc"] < line["auroc_high"]
    write_tables(tmp_path, table)
    assert read_csv(tmp_path / "summary.csv")[0]["auroc_sd"] == ""


def test_repeats_are_lines_of_their_own_and_part_of_the_interval(tmp_path):
    strengths = {1: (2.0, 1.6, 2.4), 100: (1.0, 1.3, 0.7)}
    table = rows(strengths, repeats=3)
    write_tables(tmp_path, table)
    results = read_csv(tmp_path / "results.csv")
    assert [(row["repeat"], row["fold"]) for row in results[:6]] == [
        (str(repeat), str(fold)) for repeat in range(3) for fold in range(2)
    ]
    summary = read_csv(tmp_path / "summary.csv")
    assert [(row["folds"], row["repeats"], row["n"]) for row in summary] == [("2", "3", "800")] * 2
    each = [mean_auroc(folds(strength)).value for strength in strengths[1]]
    assert float(summary[0]["auroc"]) == pytest.approx(np.mean(each), abs=2e-6)
    assert float(summary[0]["auroc_seed_sd"]) == pytest.approx(np.std(each, ddof=1), abs=2e-6)
    once = rows({1: 2.0, 100: 1.0})[1].change
    assert table[1].change.high - table[1].change.low > 2 * (once.high - once.low)
    assert rows({1: 2.0})[0].comparison is None


def test_p_values_are_corrected_within_the_experiment(tmp_path):
    table = rows({1: 1.0, 20: 0.9, 100: 0.5, 1000: 0.2})
    write_tables(tmp_path, table)
    lines = read_csv(tmp_path / "summary.csv")
    plain = [float(line["auroc_change_p"]) for line in lines[1:]]
    adjusted = [float(line["auroc_change_p_holm"]) for line in lines[1:]]
    order = np.argsort(plain)
    by_hand = np.maximum.accumulate([plain[i] * (3 - rank) for rank, i in enumerate(order)])
    np.testing.assert_allclose(np.array(adjusted)[order], np.minimum(by_hand, 1), atol=4e-6)
    assert [line["non_inferior"] for line in lines] == ["", "False", "False", "False"]
    assert lines[0]["auroc_change_p"] == ""


def test_the_margin_decides_what_is_non_inferior():
    scored = {((cr,), cr): [folds(strength)] for cr, strength in {1: 1.0, 20: 0.98}.items()}
    low = rows({1: 1.0, 20: 0.98})[1].change.low
    for margin, expected in ((-low * 0.9, False), (-low * 1.1, True)):
        table = summarise("single", "cnn3", scored, num_resamples=100, seed=0, margin=margin)
        assert table[1].comparison.non_inferior is expected


def test_the_answer_comes_first_and_says_how_far_one_may_go():
    said = conclusion(rows({1: 2.0, 20: 2.0, 1000: 0.7}))
    assert said[0].startswith("Up to CR20 the loss of AUROC is shown to be at most 0.02")
    assert said[1] == "At CR1K the loss is shown to be larger."
    expected = mean_auroc(folds(2.0)).value - mean_auroc(folds(0.7)).value
    text = " ".join(said)
    assert f"At CR1K it is lower by {expected:.3f} (" in text
    assert "after Holm's correction for 2 comparisons" in text
    assert "At CR20 it is" not in text
    assert "less than 0.01 is still within the intervals" in text


def test_a_gain_is_said_as_plainly_as_a_loss():
    text = " ".join(conclusion(rows({1: 1.0, 20: 2.0})))
    assert "At CR20 it is higher by" in text
    assert "lower" not in text


def test_what_is_past_the_first_failure_does_not_count():
    said = conclusion(rows({1: 2.0, 20: 2.0, 100: 1.0, 1000: 2.0}))
    assert said[0].startswith("Up to CR20 ")
    assert "Taken alone CR1K would pass" in said[2]


def noisy(strengths, cases, margin=0.02):
    """Scores at each ratio with noise of their own, as other networks would give."""
    scored = {
        ((cr,), cr): [folds(strength, seed=number, count=1, cases=cases)]
        for number, (cr, strength) in enumerate(strengths.items())
    }
    return summarise("single", "cnn3", scored, num_resamples=100, seed=0, margin=margin)


def test_too_few_patients_are_told_how_many_it_would_take():
    table = noisy({1: 1.0, 20: 1.0}, cases=200)
    said = conclusion(table)
    assert said[0] == "Not even at CR20 is a loss of AUROC of more than 0.02 ruled out."
    needed = patients_needed(table[1].change, 200)
    assert needed > 1000
    assert f"it would take at least {needed} patients like the 200 here" in said[1]
    assert "No change is told from chance at 5 %." in said
    loss = -table[1].change.low
    assert f"one of up to {loss:.2f} is still within the intervals" in " ".join(said)
    further = conclusion(noisy({1: 1.0, 20: 1.0}, cases=200, margin=0.3))
    assert further[0].startswith("Up to CR20 the loss of AUROC is shown to be at most 0.3")


def test_one_training_is_a_caveat_and_several_are_said():
    assert "Each network was trained once" in conclusion(rows({1: 2.0, 20: 2.0}))[-1]
    table = rows({1: (2.0, 1.6, 2.4), 20: (2.0, 1.6, 2.4)}, repeats=3)
    last = conclusion(table)[-1]
    each = [mean_auroc(folds(strength)).value for strength in (2.0, 1.6, 2.4)]
    assert "trained 3 times" in last and f"an SD of {np.std(each, ddof=1):.3f}" in last
    given = [dataclasses.replace(row, train_crs=()) for row in table]
    assert "trained" not in " ".join(conclusion(given))


def test_seeds_alone_may_leave_too_much_open():
    table = rows({1: (2.0, 1.0, 2.4), 20: (1.0, 2.4, 2.0)}, repeats=3)
    assert "take more --repeats" in conclusion(table)[1]


def test_a_classifier_at_chance_shows_nothing():
    said = conclusion(rows({1: 0.0, 1000: -1.0}))
    assert said[0].startswith("This run can show nothing about compression")
    assert "lower by" not in " ".join(said)


def test_no_verdict_without_an_interval():
    """One positive patient in a fold: DeLong has no variance."""
    table = rows({1: 2.0, 100: 1.0}, cases=4)
    assert np.isnan(table[0].auroc.low) and 0 <= table[0].auroc.value <= 1
    assert str(table[0].auroc) == f"{table[0].auroc.value:.2f} (no interval)"
    assert signed(table[1].change) == "no interval"
    said = conclusion(table)
    assert "no interval" in said[0] and "--folds" in said[0]
    assert "nan" not in " ".join(said) and "Up to" not in " ".join(said)
    assert "NaN" not in json.dumps([summary_line(row) for row in table])


@pytest.mark.parametrize(
    ("metric", "train", "test", "expected"),
    [
        ("auroc", 1, 1, (0.87, 0.85, 0.89)),
        ("auprc", 11000, 11000, (0.46, 0.40, 0.51)),
        ("auroc", 5000, 10000, (0.78, 0.76, 0.81)),
        ("auprc", 10000, 11000, (0.48, 0.42, 0.53)),
        ("auroc", 1, 11000, (0.71, 0.68, 0.74)),
        ("auroc", 1, 200, None),
    ],
)
def test_the_paper_s_numbers_as_printed(metric, train, test, expected):
    assert paper_numbers.cross(metric, train, test) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("ncc", "pairs", 2, True)),
        ({"preset": "paper"}, ("ncc", "pairs", 5, False)),
        ({"preset": "paper", "phantom": True}, ("ncc", "pairs", 5, True)),
        ({"phantom": True}, ("ncc", "pairs", 5, True)),
        ({"dataset": "ncc"}, ("ncc", "pairs", 5, False)),
        ({"dataset": "mini_mias"}, ("mini_mias", "lesion", 5, False)),
        ({"dataset": "cbis_ddsm"}, ("cbis_ddsm", "patch", 5, False)),
        ({"dataset": "mini_mias", "task": "lesion"}, ("mini_mias", "lesion", 5, False)),
        ({"dataset": "mini_mias", "task": "whole", "folds": 3}, ("mini_mias", "whole", 3, False)),
    ],
)
def test_the_command_line_chooses_a_configuration(options, expected):
    config = choose_config(**options)
    found = config.dataset, config.task, config.split.num_folds, config.phantom is not None
    assert found == expected


@pytest.mark.parametrize(
    ("options", "preset"),
    [
        ({}, "demo"),
        ({"dataset": "mini_mias"}, "patches"),
        ({"dataset": "mini_mias", "task": "whole"}, "paper"),
        ({"dataset": "mini_mias", "task": "lesion"}, "patches"),
        ({"task": "patch"}, "patches"),
        ({"dataset": "mini_mias", "task": "lesion", "preset": "paper"}, "paper"),
    ],
)
def test_a_preset_that_is_given_is_never_replaced(options, preset):
    config = choose_config(**options)
    assert (config.training, config.model) == (PRESETS[preset].training, PRESETS[preset].model)
    assert config.cratios == PRESETS[preset].cratios


def test_folds_and_models_by_option():
    assert choose_config(folds="official").split.official == "yes"
    assert choose_config(folds=4).split == SplitConfig(official="no", num_folds=4)
    config = choose_config(models=("depthwise_cnn",), overrides=("model.dropout=0.25",))
    assert (config.model.name, config.model.options["dropout"]) == ("depthwise_cnn", 0.25)
    # Another model does not inherit the preset's options; the same one keeps them.
    assert choose_config(models=("cnn3",)).model.options["head_pooling"] == "max"


def test_several_networks_each_with_its_options():
    config = choose_config(
        models=("cnn3", "resnet18"),
        overrides=("resnet18.weights=none", "cnn3.dropout=0.25", "training.epochs=2"),
    )
    assert [network.name for network in config.networks] == ["cnn3", "resnet18"]
    assert config.model.options["dropout"] == 0.25
    assert config.model.options["head_pooling"] == "max"  # the preset's
    assert config.others[0].options == {"weights": "none", "dropout": 0.0}
    assert config.training.epochs == 2
    assert choose_config(overrides=("cnn3.dropout=0.5",)).model.options["dropout"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "demo", "dataset": "mini_mias"}, "runs on a phantom of ncc"),
        ({"dataset": "inbreast"}, "`dataset` must be one of .*mini_mias"),
        ({"dataset": "ncc", "task": "lesions"}, "`task` must be one of auto, pairs"),
        ({"cratios": (1, 1)}, "must be different"),
        ({"cratios": (20, 1)}, "must be ascending"),
        ({"cratios": (0.5, 2)}, r"must be from 1 \(lossless\)"),
        ({"cratios": (1, float("nan"))}, "Received: nan"),
        ({"folds": 1}, "between 2 and 20"),
        ({"models": ("cnn4",)}, "`model` must be one of .*cnn3"),
        ({"models": ("cnn3", "cnn3")}, "given once"),
        ({"models": ("cnn3", "resnet18"), "overrides": ("model.dropout=0.1",)}, "cnn3.dropout"),
        ({"overrides": ("resnet18.weights=none",)}, r"networks of this run are cnn3 \(--model\)"),
        ({"models": ("resnet18",), "overrides": ("resnet18.weight=none",)}, "resnet18.*no option"),
        ({"models": ("resnet18",), "overrides": ("resnet18.name=cnn3",)}, "networks of this run"),
        ({"overrides": ("training.epoch=3",)}, "Did you mean"),
        ({"overrides": ("training.augment.cratios=1,20",)}, "--experiment augmented"),
        ({"overrides": ("margin=0",)}, "margin"),
        ({"overrides": ("model.droput=0.3",)}, r"Did you mean model\.dropout"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(UserError, match=message) as error:
        choose_config(**options)
    assert "\n" not in str(error.value)


def test_synthetic_patches_stand_among_the_facts():
    from types import SimpleNamespace

    from mammo_tf.pipelines.augment import AugmentConfig
    from mammo_tf.recipes.compression.run import _facts
    from mammo_tf.training.config import TrainingConfig

    task = SimpleNamespace(
        labels=np.array([0, 1]),
        evaluated=np.array([True, True]),
        groups=np.array(["a", "b"]),
        input_shape=(32, 32),
        class_names=("rest", "malignant"),
        positive_name="malignant",
        name="patch",
        has_official_splits=False,
    )
    opened, rows = (
        SimpleNamespace(catalog=SimpleNamespace(name="films")),
        [SimpleNamespace(repeats=[0], experiment="single")],
    )
    for augment, found in (
        (AugmentConfig(), []),
        (AugmentConfig(synthetic="set", synthetic_share=0.25), ["25% of the training images"]),
    ):
        config = dataclasses.replace(PRESETS["demo"], training=TrainingConfig(augment=augment))
        facts = dict(_facts(config, task, opened, rows))
        told = [facts["Synthetic patches"]] if "Synthetic patches" in facts else []
        assert [text[: len(found[0])] for text in told] == found


def test_a_table_that_cannot_be_read_is_named_and_not_written_over(tmp_path):
    assert read_experiments(tmp_path) == {}
    (tmp_path / "summary.csv").write_text("half a ta")
    with pytest.raises(UserError, match=r"summary.csv is not this recipe's table"):
        read_experiments(tmp_path)
    (tmp_path / "summary.csv").write_text("experiment\nsingle\n")
    assert read_experiments(tmp_path) == {"single": 1}
