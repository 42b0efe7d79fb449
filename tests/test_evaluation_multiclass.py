"""Scores of several classes against values by hand and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from mammo_tf.errors import UserError
from mammo_tf.evaluation import auroc, multiclass_scores
from mammo_tf.evaluation.bootstrap import draw_patients

NAMES = ("normal", "benign", "malignant")


def random_cases(seed, count=240, patients=80):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    logits = rng.normal(size=(count, 3)) + 1.5 * np.eye(3)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = rng.multinomial(32, probabilities) / 32  # with ties
    return labels, probabilities, rng.integers(0, patients, count)


def certain(predicted):
    return np.eye(3)[predicted]


def test_by_hand():
    labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    predicted = [0, 0, 0, 1, 1, 0, 2, 2, 1, 1]
    scores = multiclass_scores(labels, certain(predicted), np.arange(10), class_names=NAMES)
    assert scores.confusion.tolist() == [[3, 1, 0], [1, 1, 1], [0, 2, 1]]
    assert scores.confusion.dtype.kind == "i"
    assert [scores.precision[name].value for name in NAMES] == pytest.approx([3 / 4, 1 / 4, 1 / 2])
    assert [scores.recall[name].value for name in NAMES] == pytest.approx([3 / 4, 1 / 3, 1 / 3])
    assert [scores.f1[name].value for name in NAMES] == pytest.approx([3 / 4, 2 / 7, 2 / 5])
    assert scores.accuracy.value == pytest.approx(0.5)
    assert scores.balanced_accuracy.value == pytest.approx((3 / 4 + 2 / 3) / 3)
    # Certain or not: the AUROC is the mean of sensitivity and specificity.
    areas = [(3 / 4 + 5 / 6) / 2, (1 / 3 + 4 / 7) / 2, (1 / 3 + 6 / 7) / 2]
    assert [scores.auroc[name].value for name in NAMES] == pytest.approx(areas)
    assert scores.macro_auroc.value == pytest.approx(np.mean(areas))


def test_agrees_with_scikit_learn():
    labels, probabilities, groups = random_cases(1)
    scores = multiclass_scores(labels, probabilities, groups, class_names=NAMES, num_resamples=0)
    predicted = probabilities.argmax(axis=1)
    assert np.array_equal(scores.confusion, metrics.confusion_matrix(labels, predicted))
    expected = metrics.precision_recall_fscore_support(labels, predicted)
    for ours, theirs in zip((scores.precision, scores.recall, scores.f1), expected, strict=False):
        assert [ours[name].value for name in NAMES] == pytest.approx(theirs.tolist())
    assert scores.accuracy.value == pytest.approx(metrics.accuracy_score(labels, predicted))
    balanced = metrics.balanced_accuracy_score(labels, predicted)
    assert scores.balanced_accuracy.value == pytest.approx(balanced)
    area = metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert scores.macro_auroc.value == pytest.approx(area)
    assert np.isnan([scores.accuracy.low, scores.macro_auroc.high]).all()
    for index, name in enumerate(NAMES):
        one = auroc((labels == index).astype(int), probabilities[:, index], groups)
        assert scores.auroc[name] == one


def test_intervals_are_those_of_scikit_learn_on_repeated_cases():
    labels, probabilities, groups = random_cases(2, count=60, patients=20)
    names, numbers = np.unique(groups, return_inverse=True)
    has_class = np.array([[((groups == g) & (labels == c)).any() for c in range(3)] for g in names])
    drawn_values = []
    for counts in draw_patients(has_class, 60, seed=4):
        drawn = np.repeat(np.arange(60), counts[numbers].astype(int))
        truth, likely = labels[drawn], probabilities[drawn]
        predicted = likely.argmax(axis=1)
        drawn_values.append(
            [
                metrics.precision_score(truth, predicted, average=None)[1],
                metrics.recall_score(truth, predicted, average=None)[2],
                metrics.f1_score(truth, predicted, average=None)[0],
                metrics.accuracy_score(truth, predicted),
                metrics.balanced_accuracy_score(truth, predicted),
                metrics.roc_auc_score(truth, likely, multi_class="ovr", average="macro"),
            ]
        )
    scores = multiclass_scores(
        labels, probabilities, groups, class_names=NAMES, num_resamples=60, seed=4
    )
    estimates = [
        scores.precision["benign"],
        scores.recall["malignant"],
        scores.f1["normal"],
        scores.accuracy,
        scores.balanced_accuracy,
        scores.macro_auroc,
    ]
    low, high = np.quantile(drawn_values, [0.025, 0.975], axis=0)
    assert [estimate.low for estimate in estimates] == pytest.approx(low.tolist())
    assert [estimate.high for estimate in estimates] == pytest.approx(high.tolist())


def test_macro_auroc_in_blocks_is_the_same(monkeypatch):
    labels, probabilities, groups = random_cases(3)
    once = multiclass_scores(labels, probabilities, groups, class_names=NAMES)
    monkeypatch.setattr("mammo_tf.evaluation.multiclass._CELLS_AT_ONCE", 7 * len(labels))
    again = multiclass_scores(labels, probabilities, groups, class_names=NAMES)
    assert again.macro_auroc == once.macro_auroc


def test_a_class_never_predicted_has_no_precision():
    labels = [0, 0, 1, 1, 2, 2]
    probabilities = certain([0, 1, 1, 1, 0, 0])
    scores = multiclass_scores(labels, probabilities, np.arange(6), class_names=NAMES)
    assert np.isnan([scores.precision["malignant"].value, scores.precision["malignant"].low]).all()
    assert scores.recall["malignant"].value == 0
    assert scores.f1["malignant"].value == 0
    assert scores.precision["normal"].value == pytest.approx(1 / 3)


def test_a_class_without_cases_is_left_out_of_the_means():
    labels, probabilities = [0, 0, 1, 1], certain([0, 1, 1, 1])
    scores = multiclass_scores(labels, probabilities, np.arange(4), class_names=NAMES)
    absent = scores.recall["malignant"], scores.f1["malignant"], scores.auroc["malignant"]
    assert np.isnan([estimate.value for estimate in absent]).all()
    assert scores.balanced_accuracy.value == pytest.approx(0.75)
    assert scores.macro_auroc.value == pytest.approx(0.75)
    only = multiclass_scores([1, 1], certain([1, 0]), [0, 1], class_names=NAMES)
    assert np.isnan([only.macro_auroc.value, only.macro_auroc.low]).all()
    assert only.accuracy.value == 0.5


def test_only_the_order_of_probabilities_matters_to_the_auroc():
    labels, probabilities, groups = random_cases(5)
    softer = 0.25 + 0.25 * probabilities  # each row still adds up to 1, without rounding
    first = multiclass_scores(labels, probabilities, groups, class_names=NAMES)
    second = multiclass_scores(labels, softer, groups, class_names=NAMES)
    assert (first.auroc, first.macro_auroc) == (second.auroc, second.macro_auroc)
    assert first.f1 == second.f1


def test_intervals_hold_the_value_and_repeat_with_the_seed():
    cases = random_cases(6)
    scores = multiclass_scores(*cases, class_names=NAMES, seed=1)
    by_class = (scores.precision, scores.recall, scores.f1, scores.auroc)
    estimates = [estimate for score in by_class for estimate in score.values()]
    estimates += [scores.accuracy, scores.balanced_accuracy, scores.macro_auroc]
    for estimate in estimates:
        assert estimate.low < estimate.value < estimate.high
    assert multiclass_scores(*cases, class_names=NAMES, seed=1).f1 == scores.f1
    assert multiclass_scores(*cases, class_names=NAMES, seed=2).f1 != scores.f1


def test_patients_not_cases_are_drawn():
    labels, probabilities, _ = random_cases(7)
    count = len(labels)
    labels, probabilities = np.tile(labels, 2), np.tile(probabilities, (2, 1))
    by_patient = multiclass_scores(
        labels, probabilities, np.tile(np.arange(count), 2), class_names=NAMES
    )
    by_case = multiclass_scores(labels, probabilities, np.arange(2 * count), class_names=NAMES)
    for name in ("accuracy", "balanced_accuracy", "macro_auroc"):
        wide, narrow = getattr(by_patient, name), getattr(by_case, name)
        assert wide.value == pytest.approx(narrow.value)
        assert wide.standard_error == pytest.approx(2**0.5 * narrow.standard_error, rel=0.12)


def test_one_patient_gives_no_interval():
    scores = multiclass_scores([0, 1, 2], certain([0, 1, 1]), ["a"] * 3, class_names=NAMES)
    assert scores.accuracy.value == pytest.approx(2 / 3)
    assert np.isnan([scores.accuracy.low, scores.auroc["benign"].low]).all()


@pytest.mark.parametrize(
    ("labels", "probabilities", "groups", "names", "message"),
    [
        ([0, 1], [[0.2, 0.8], [np.nan, 0.5]], [0, 1], "ab", "row 1"),
        ([0, 1], [[0.2, 0.8], [0.5, 0.6]], [0, 1], "ab", "add up to 1"),
        ([0, 1], [[-0.2, 1.2], [0.5, 0.5]], [0, 1], "ab", "within 0..1"),
        ([0, 2], [[0.2, 0.8], [0.5, 0.5]], [0, 1], "ab", r"within 0\.\.1\. Received: 0\.\.2"),
        ([0, 1], [[0.2, 0.8]], [0, 1], "ab", r"shape \(2, 2\)"),
        ([0, 1], [[0.2, 0.8], [0.5, 0.5]], [0], "ab", "`groups`"),
        ([0.0, 1.0], [[0.2, 0.8], [0.5, 0.5]], [0, 1], "ab", "whole numbers"),
        ([], np.zeros((0, 2)), [], "ab", "at least one"),
        ([0, 0], [[1.0], [1.0]], [0, 1], "a", "`class_names`"),
    ],
)
def test_what_cannot_be_scored_is_said(labels, probabilities, groups, names, message):
    with pytest.raises(UserError, match=message):
        multiclass_scores(labels, probabilities, groups, class_names=tuple(names))
