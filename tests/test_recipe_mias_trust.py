"""The mias recipe's calibration, decision curves and subgroups, and its AUROC of whole images."""

import csv
import dataclasses

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from mammo_tf.evaluation import ScoredFold, apply_temperature, fit_temperature
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.detection.examples import detection_task
from mammo_tf.recipes.mias import cards
from mammo_tf.recipes.mias.detect import DetectedFold
from mammo_tf.recipes.mias.trust import Question, list_questions, measure_trust
from mammo_tf.recipes.mias.trust_tables import FILES, trust_sections, write_trust
from mammo_tf.training.store import Cell


def fold(number, part, *, too_sure=3.0, count=60):
    """Cases whose logits are `too_sure` times what they should be."""
    rng = np.random.default_rng([number, len(part)])
    logits = rng.normal(size=count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-logits))).astype(int)
    names = np.array([f"{part}{number}-{index}" for index in range(count)])
    return ScoredFold(labels, 1 / (1 + np.exp(-too_sure * logits)), names, names)


def question(**changes):
    test = tuple(fold(number, "test") for number in range(2))
    views = {name: ("CC", "MLO")[k % 2] for one in test for k, name in enumerate(one.example_ids)}
    return Question(
        **{
            "what": "images",
            "name": "malignant / other images",
            "test": test,
            "validation": tuple(fold(number, "validation") for number in range(2)),
            "subgroups": {"view": views},
        }
        | changes
    )


def measure(asked):
    return measure_trust(asked, num_resamples=100, seed=1)


def test_the_temperature_comes_from_the_fold_s_own_validation_cases():
    asked = question()
    found = measure(asked)
    expected = [fit_temperature(one.labels, one.scores) for one in asked.validation]
    assert found.temperatures == tuple(expected)
    assert all(1.5 < t < 6 for t in expected)
    swapped = measure(question(validation=asked.validation[::-1]))
    assert swapped.temperatures == found.temperatures[::-1]
    labels = np.concatenate([one.labels for one in asked.test])
    plain = np.concatenate([one.scores for one in asked.test])
    scaled = np.concatenate(
        [apply_temperature(one.scores, t) for one, t in zip(asked.test, expected, strict=True)]
    )
    assert found.before.brier.value == pytest.approx(brier_score_loss(labels, plain))
    assert found.after.brier.value == pytest.approx(brier_score_loss(labels, scaled))
    assert found.after.brier_change.value < 0 and found.after.ece_change.value < 0


def test_test_cases_never_move_the_temperature():
    asked = question()
    others = tuple(dataclasses.replace(one, labels=1 - one.labels) for one in asked.test)
    assert measure(question(test=others)).temperatures == measure(asked).temperatures


def test_a_fold_whose_validation_gives_none_stays_and_one_without_a_class_goes():
    asked = question()
    one_class = dataclasses.replace(asked.validation[0], labels=np.ones(60, int))
    found = measure(question(validation=(one_class, asked.validation[1])))
    assert found.temperatures[0] is None and found.temperatures[1] is not None
    negative = dataclasses.replace(asked.test[0], labels=np.zeros(60, int))
    found = measure(question(test=(negative, asked.test[1])))
    assert len(found.temperatures) == 1
    last = asked.test[1]
    assert found.auroc.value == pytest.approx(roc_auc_score(last.labels, last.scores))


def test_subgroups_are_scored_by_themselves():
    asked = question()
    found = measure(asked).subgroups
    assert set(found) == {("view", "CC"), ("view", "MLO")}
    count, positive, auroc = found["view", "CC"]
    rows = [(one.labels[::2], one.scores[::2]) for one in asked.test]
    assert count == 60 and positive == sum(int(labels.sum()) for labels, _ in rows)
    assert auroc.value == pytest.approx(np.mean([roc_auc_score(*row) for row in rows]))


def test_tables_and_sections_hold_the_numbers(tmp_path):
    found = measure(question())
    write_trust(tmp_path, [found])
    tables = {}
    for name in FILES:
        with (tmp_path / name).open(newline="") as lines:
            tables[name] = list(csv.DictReader(lines))
    (row,) = tables["calibration.csv"]
    assert float(row["brier_after"]) == pytest.approx(found.after.brier.value, abs=1e-6)
    assert float(row["ece_before_high"]) == pytest.approx(found.before.ece.high, abs=1e-6)
    assert len(row["temperatures"].split()) == 2
    assert len(tables["decision.csv"]) == len(found.decision)
    assert [line["value"] for line in tables["subgroups.csv"]] == ["CC", "MLO"]
    titles = [section.heading for section in trust_sections([found])]
    assert titles == ["Calibration", "Decision curves", "Subgroups"]
    assert trust_sections([]) == []


def make_detected(labels, malignant, benign, *, split="patient"):
    """Images each with boxes of both classes; label 0 is an image without a lesion."""
    count = len(labels)
    box = [0.1, 0.1, 0.4, 0.4]
    task = detection_task(
        np.full((count, 8, 8), 80, np.uint8),
        [np.reshape([box] * bool(label), (-1, 4)) for label in labels],
        [[label] * bool(label) for label in labels],
        box_class_names=("benign", "malignant"),
    )

    def found(row):
        scores = np.array([malignant[row], benign[row], malignant[row] / 2])
        return Detections(
            boxes_yxyx=np.tile(box, (3, 1)),
            labels=np.array([2, 1, 2]),
            scores=scores,
            probabilities=np.zeros((3, 3)),
        )

    each = {row: found(row) for row in range(count)}
    parts = {"train": [], "validation": np.arange(count // 2), "test": np.arange(count // 2, count)}
    return DetectedFold(
        split=split,
        cell=Cell(f"ssd300_light_{split}", 0),
        task=task,
        parts={name: np.array(part, int) for name, part in parts.items()},
        found={"lesion": each, "by_class": each},
        facts={},
    )


def test_an_image_s_probability_is_that_of_its_surest_malignant_box():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1, 2, 2], 10)
    malignant, benign = rng.random(40), rng.random(40)
    detected = make_detected(labels, malignant, benign)
    first, second = list_questions([], [detected])
    (test,), (validation,) = first.test, first.validation
    np.testing.assert_array_equal(test.scores, malignant[20:])
    np.testing.assert_array_equal(validation.scores, malignant[:20])
    np.testing.assert_array_equal(test.labels, labels[20:] == 2)
    (test,) = second.test  # a lesion of whatever class
    np.testing.assert_array_equal(test.scores, np.maximum(malignant, benign)[20:])
    np.testing.assert_array_equal(test.labels, labels[20:] > 0)
    assert list_questions([], [make_detected(labels, malignant, benign, split="poster")]) == []
    (only,) = list_questions([], [make_detected(np.tile([1, 2], 20), malignant, benign)])
    assert only.name == "malignant / other images"  # no image is without a lesion


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "the numbers are this detector's"), (5, "all 5 detectors of it together")],
)
def test_a_card_says_whose_numbers_it_has(count, words):
    assert cards._whose(count).endswith(words)
