"""The compression recipe's tables, words and settings, against hand-made cases."""

import csv

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold, mean_auroc
from mammo_tf.recipes.compression import paper_numbers
from mammo_tf.recipes.compression.report import conclusion
from mammo_tf.recipes.compression.settings import choose_config
from mammo_tf.recipes.compression.summarise import summarise, write_tables


def read_csv(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def folds(strength, seed=0, count=2, cases=400):
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1], cases // 2)
    return [
        ScoredFold(labels, rng.normal(size=cases) + strength * labels, np.arange(cases))
        for _ in range(count)
    ]


def rows(strengths):
    scored = {((cr,), cr): folds(strength) for cr, strength in strengths.items()}
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
    assert results[0]["n_malignant"] == "200"
    mean = np.mean([float(r["auroc"]) for r in results[:2]])
    assert float(summary[0]["auroc"]) == pytest.approx(mean, abs=2e-6)
    deviation = np.std([float(r["auprc"]) for r in results[2:]], ddof=1)
    assert float(summary[1]["auprc_sd"]) == pytest.approx(deviation, abs=2e-6)
    assert float(summary[1]["auroc_change"]) == pytest.approx(
        float(summary[1]["auroc"]) - float(summary[0]["auroc"]), abs=2e-6
    )
    assert float(summary[0]["auroc_low"]) < mean < float(summary[0]["auroc_high"])


def test_a_loss_is_named_with_its_interval():
    table = rows({1: 2.0, 20: 2.0, 1000: 0.7})
    text = " ".join(conclusion(table))
    assert "At CR1K it is lower by" in text
    assert "At CR20 it is lower" not in text
    expected = mean_auroc(folds(2.0)).value - mean_auroc(folds(0.7)).value
    assert f"lower by {expected:.2f}" in text


def test_no_loss_says_how_much_could_hide():
    text = " ".join(conclusion(rows({1: 2.0, 20: 2.0})))
    assert "At no compression ratio up to CR20" in text
    assert "is still within the intervals" in text


def test_a_classifier_at_chance_shows_nothing():
    text = " ".join(conclusion(rows({1: 0.0, 1000: -1.0})))
    assert "can show nothing about compression" in text
    assert "lower by" not in text


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
        ({}, ("phantom", "malignant", 2)),
        ({"preset": "paper", "dataset": "phantom"}, ("phantom", "malignant", 5)),
        ({"dataset": "ncc"}, ("ncc", "malignant", 5)),
        ({"dataset": "mini_mias"}, ("mini_mias", "lesion", 5)),
        ({"dataset": "mini_mias", "task": "malignant"}, ("mini_mias", "malignant", 5)),
    ],
)
def test_the_command_line_chooses_a_configuration(options, expected):
    config = choose_config(**options)
    assert (config.dataset, config.task, config.num_folds) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "demo", "dataset": "ncc"}, "runs on a phantom"),
        ({"dataset": "ncc", "task": "lesion"}, "`task` must be one of malignant"),
        ({"cratios": (1, 1)}, "ascending and distinct"),
        ({"cratios": (0.5, 2)}, "at least 1"),
        ({"num_folds": 1}, "between 2 and 20"),
        ({"overrides": ("training.epoch=3",)}, "Did you mean"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        choose_config(**options)
