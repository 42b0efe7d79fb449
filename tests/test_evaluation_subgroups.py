"""Cases of a subgroup, picked by hand."""

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold, mean_auroc, subgroup_folds

# id: label, patient, value
CASES = {
    0: [("a", 1, "p1", "small"), ("b", 1, "p2", "large"), ("c", 0, "p3", "small"),
        ("d", 0, "p3", "none"), ("e", 0, "p4", "unknown"), ("f", 1, "p5", "unknown")],
    1: [("g", 1, "p6", "small"), ("h", 0, "p7", "large"), ("i", 0, "p8", "none"),
        ("j", 1, "p9", "small")],
}  # fmt: skip


def folds_of(cases):
    folds, values = [], {}
    for rows in cases.values():
        ids, labels, groups, of = map(np.array, zip(*rows, strict=True))
        scores = np.array([ord(name[0]) / 200 for name in ids])
        folds.append(ScoredFold(labels, scores, groups, ids))
        values |= dict(zip(ids.tolist(), of.tolist(), strict=True))
    return folds, values


def ids(folds):
    return ["".join(fold.example_ids) for fold in folds]


def test_positives_of_a_value_against_negatives_that_may_stand_beside_them():
    found = subgroup_folds(*folds_of(CASES), min_patients=1)
    assert set(found) == {"small", "large"}
    # "e" has a property that nobody wrote down; "d" and "i" have none.
    assert ids(found["small"]) == ["acd", "gij"]
    # Fold 1 has no large positive, and is left out.
    assert ids(found["large"]) == ["bd"]
    fold = found["small"][1]
    assert fold.labels.tolist() == [1, 0, 1] and fold.groups.tolist() == ["p6", "p8", "p9"]
    assert fold.scores.tolist() == [ord(name) / 200 for name in "gij"]
    assert mean_auroc(found["large"]).value == 0


def test_all_negatives_where_nothing_is_known_of_any():
    cases = {
        0: [("a", 1, "p1", "small"), ("b", 1, "p2", "large"), ("c", 0, "p3", "none"),
            ("d", 0, "p4", "unknown")],
    }  # fmt: skip
    found = subgroup_folds(*folds_of(cases), min_patients=1)
    assert ids(found["small"]) == ["acd"] and ids(found["large"]) == ["bcd"]


def test_too_few_patients_of_a_class_give_no_number():
    rows = [(f"n{k}", 0, f"p{k}", "none") for k in range(20)]
    rows += [(f"s{k}", 1, f"q{k}", "small") for k in range(10)]
    rows += [(f"l{k}", 1, f"r{k // 2}", "large") for k in range(18)]  # nine patients
    found = subgroup_folds(*folds_of({0: rows}))
    assert len(found["small"][0].labels) == 30
    assert found["large"] is None
    only = [(name, 0, patient, value) for name, _, patient, value in rows]
    assert set(subgroup_folds(*folds_of({0: only})).values()) == {None}


def test_cases_that_cannot_be_joined_are_said():
    folds, values = folds_of(CASES)
    del values["c"]
    with pytest.raises(UserError, match=r"1 have none, e\.g\. c"):
        subgroup_folds(folds, values)
    nameless = ScoredFold(folds[0].labels, folds[0].scores, folds[0].groups)
    with pytest.raises(UserError, match="example_ids"):
        subgroup_folds([nameless], values)
