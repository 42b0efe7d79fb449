"""Average precision against values by hand and pycocotools on literally repeated images."""

import contextlib
import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import (
    ScoredImage,
    average_precision,
    average_precision_change,
    class_agnostic,
)
from mammo_tf.evaluation.bootstrap import draw_patients

NAMES = ("benign", "malignant")
LESION = [100, 200, 140, 280]
ELSEWHERE = [300, 20, 350, 60]


def image(name, truth=(), found=(), *, group=None):
    """An image from (box, label) and (box, label, score) rows."""
    return ScoredImage(
        image_id=name,
        group=group or name,
        truth_boxes_px=[box for box, _ in truth],
        truth_labels=[label for _, label in truth],
        boxes_px=[box for box, _, _ in found],
        labels=[label for _, label, _ in found],
        scores=[score for _, _, score in found],
    )


def random_images(seed, count=30, num_classes=2, decimals=9):
    """Wide, low images; some boxes near a lesion, others anywhere; every third image normal."""
    rng = np.random.default_rng(seed)
    images = []
    for index in range(count):
        corners = rng.uniform([0, 0], [200, 500], (rng.integers(1, 4), 2))
        truth = np.hstack([corners, corners + rng.uniform(10, 60, corners.shape)])
        truth = truth[: 0 if index % 3 == 0 else None]
        near = np.repeat(truth, 3, axis=0)
        near[:, :2] += rng.normal(scale=4, size=(len(near), 2))
        corners = rng.uniform([0, 0], [200, 500], (5, 2))
        boxes = np.vstack([near, np.hstack([corners, corners + rng.uniform(5, 90, (5, 2))])])
        images.append(
            ScoredImage(
                image_id=f"image{index}",
                group=f"woman{index // 2}",
                truth_boxes_px=truth,
                truth_labels=rng.integers(0, num_classes, len(truth)),
                boxes_px=boxes,
                labels=rng.integers(0, num_classes, len(boxes)),
                scores=np.round(rng.uniform(0, 1, len(boxes)), decimals),
            )
        )
    return images


def coco_stats(images, num_classes):
    """pycocotools' own way from lists to numbers: loadRes, evaluate, accumulate, summarize."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")

    def rows(number, boxes, labels):
        return [
            {
                "image_id": number + 7,
                "category_id": label + 3,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
            }
            for (top, left, bottom, right), label in zip(
                boxes.tolist(), labels.tolist(), strict=True
            )
        ]

    truth, found = [], []
    for number, scored in enumerate(images):
        truth += rows(number, scored.truth_boxes_px, scored.truth_labels)
        for row, score in zip(
            rows(number, scored.boxes_px, scored.labels), scored.scores, strict=True
        ):
            found.append({**row, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        index = coco.COCO()
        index.dataset = {
            "images": [{"id": number + 7} for number in range(len(images))],
            "categories": [{"id": label + 3} for label in range(num_classes)],
            "annotations": [{**row, "id": 11 + n} for n, row in enumerate(truth)],
        }
        index.createIndex()
        evaluator = cocoeval.COCOeval(index, index.loadRes(found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    # The IoU thresholds are 0.5, 0.55 … 0.95; the last 0 is the area range "all".
    return evaluator.stats, evaluator.eval["precision"][:, :, :, 0, -1].mean(axis=1)


def repeated(images, counts):
    """Each image as often as its patient is drawn."""
    groups = sorted({scored.group for scored in images})
    return [
        dataclasses.replace(scored, image_id=f"{scored.image_id} {copy}")
        for scored in images
        for copy in range(int(counts[groups.index(scored.group)]))
    ]


def test_by_hand():
    pytest.importorskip("pycocotools")
    images = [
        image("a", [(LESION, 0)], [(LESION, 0, 0.9), (ELSEWHERE, 0, 0.8)]),
        image("b", [(ELSEWHERE, 0)], [(ELSEWHERE, 0, 0.7), (LESION, 0, 0.6)]),
    ]
    scores = average_precision(images, class_names=("lesion",))
    # Precision 1 at the recalls 0 … 0.50 (51 points), then 2 of 3 at 0.51 … 1 (50 points).
    assert scores.per_class["lesion"].value == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-12)
    assert scores.mean.value == scores.per_class["lesion"].value


def test_a_second_detection_of_a_lesion_is_a_false_positive():
    pytest.importorskip("pycocotools")
    twice = [(LESION, 0, 0.9), (LESION, 0, 0.8)]
    images = [
        image("a", [(LESION, 0)], twice),
        image("b", [(LESION, 0)], [(LESION, 0, 0.5)]),
    ]
    scores = average_precision(images, class_names=("lesion",), num_resamples=0)
    assert scores.mean.value == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_detections_on_a_normal_image_count():
    pytest.importorskip("pycocotools")
    sick = image("a", [(LESION, 0)], [(LESION, 0, 0.5)])
    normal = image("b", [], [(LESION, 0, 0.9)])
    assert average_precision([sick], class_names=("lesion",)).mean.value == pytest.approx(1)
    both = average_precision([normal, sick], class_names=("lesion",), num_resamples=0)
    assert both.mean.value == pytest.approx(0.5)


def test_the_first_box_of_the_first_image_counts():
    # COCOeval takes a match to annotation 0 for none.
    pytest.importorskip("pycocotools")
    images = [image("a", [(LESION, 1)], [(LESION, 1, 0.5)])]
    scores = average_precision(images, class_names=NAMES, num_resamples=0)
    assert scores.per_class["malignant"].value == pytest.approx(1)


@pytest.mark.parametrize("decimals", [9, 1])  # 1: many equal scores
def test_values_are_those_of_pycocotools(decimals):
    images = random_images(1, decimals=decimals)
    stats, per_class = coco_stats(images, 2)
    scores = average_precision(images, class_names=NAMES, num_resamples=0)
    assert [scores.per_class[name].value for name in NAMES] == per_class[0].tolist()
    assert scores.mean.value == pytest.approx(stats[1], abs=1e-12)
    strict = average_precision(images, class_names=NAMES, iou=0.75, num_resamples=0)
    assert strict.mean.value == pytest.approx(stats[2], abs=1e-12)
    assert strict.mean.value < scores.mean.value


def test_interval_is_that_of_pycocotools_on_repeated_images():
    images = random_images(2, count=16)
    has_class = np.array(
        [
            [any(label in s.truth_labels for s in images if s.group == group) for label in range(2)]
            for group in sorted({scored.group for scored in images})
        ]
    )
    draws = draw_patients(has_class, 60, seed=5)
    values = np.array([coco_stats(repeated(images, counts), 2)[1][0] for counts in draws])
    scores = average_precision(images, class_names=NAMES, num_resamples=60, seed=5)
    for index, name in enumerate(NAMES):
        estimate = scores.per_class[name]
        expected = np.quantile(values[:, index], [0.025, 0.975])
        assert [estimate.low, estimate.high] == pytest.approx(expected.tolist(), abs=1e-12)
    means = values.mean(axis=1)
    assert scores.mean.low == pytest.approx(np.quantile(means, 0.025), abs=1e-12)
    assert scores.mean.standard_error == pytest.approx(means.std(ddof=1), abs=1e-12)


def test_intervals_hold_the_value_and_repeat_with_the_seed():
    pytest.importorskip("pycocotools")
    images = random_images(3, count=60)
    scores = average_precision(images, class_names=NAMES, seed=1)
    for estimate in [*scores.per_class.values(), scores.mean]:
        assert estimate.low < estimate.value < estimate.high
    assert average_precision(images, class_names=NAMES, seed=1) == scores
    assert average_precision(images, class_names=NAMES, seed=2).mean != scores.mean
    wider = average_precision(images, class_names=NAMES, seed=1, confidence=0.99).mean
    assert wider.low < scores.mean.low


def test_patients_not_images_are_drawn():
    pytest.importorskip("pycocotools")
    once = [dataclasses.replace(s, group=s.image_id) for s in random_images(4, count=60)]
    twice = once + [dataclasses.replace(s, image_id=f"{s.image_id} again") for s in once]
    alone = [dataclasses.replace(s, group=s.image_id) for s in twice]
    by_patient = average_precision(twice, class_names=NAMES).mean
    by_image = average_precision(alone, class_names=NAMES).mean
    assert by_patient.value == by_image.value
    assert by_patient.standard_error == pytest.approx(2**0.5 * by_image.standard_error, rel=0.1)


def test_only_the_order_of_scores_matters():
    pytest.importorskip("pycocotools")
    images = random_images(5)
    changed = [dataclasses.replace(s, scores=0.2 + 0.5 * s.scores**3) for s in images]
    expected = average_precision(images, class_names=NAMES, num_resamples=50)
    assert average_precision(changed, class_names=NAMES, num_resamples=50) == expected


def test_class_agnostic_ignores_a_wrong_label():
    pytest.importorskip("pycocotools")
    images = [image("a", [(LESION, 0)], [(LESION, 1, 0.9)])]
    scores = average_precision(images, class_names=NAMES, num_resamples=0)
    assert scores.per_class["benign"].value == 0
    agnostic = class_agnostic(images)
    scores = average_precision(agnostic, class_names=("lesion",), num_resamples=0)
    assert scores.mean.value == pytest.approx(1)
    assert images[0].labels.tolist() == [1]


def test_a_class_without_truth_is_nan_and_left_out_of_the_mean():
    pytest.importorskip("pycocotools")
    images = [
        image("a", [(LESION, 0)], [(LESION, 0, 0.9), (LESION, 1, 0.9)]),
        image("b", [(LESION, 0)], [(ELSEWHERE, 0, 0.8)]),
        image("c"),
    ]
    scores = average_precision(images, class_names=NAMES)
    assert np.isnan([scores.per_class["malignant"].value, scores.per_class["malignant"].low]).all()
    assert scores.mean == scores.per_class["benign"]
    assert 0 < scores.mean.value < 1
    nothing = average_precision([image("c", [], [(LESION, 0, 0.3)])], class_names=NAMES)
    assert np.isnan([nothing.mean.value, nothing.mean.low, nothing.mean.high]).all()


def test_no_detections_give_zero():
    pytest.importorskip("pycocotools")
    images = [image("a", [(LESION, 0)]), image("b", [(LESION, 1)]), image("c")]
    mean = average_precision(images, class_names=NAMES).mean
    assert (mean.value, mean.low, mean.high) == (0, 0, 0)


def test_one_patient_gives_no_interval():
    pytest.importorskip("pycocotools")
    images = [image("a", [(LESION, 0)], [(LESION, 0, 0.9)], group="1"), image("b", group="1")]
    mean = average_precision(images, class_names=("lesion",)).mean
    assert mean.value == pytest.approx(1)
    assert np.isnan([mean.low, mean.high]).all()


def test_only_the_surest_detections_of_an_image_count():
    pytest.importorskip("pycocotools")
    images = [image("a", [(LESION, 0)], [(ELSEWHERE, 0, 0.9), (LESION, 0, 0.8)])]
    options = {"class_names": ("lesion",), "num_resamples": 0}
    assert average_precision(images, **options).mean.value == pytest.approx(0.5)
    assert average_precision(images, max_detections=1, **options).mean.value == 0


def test_nothing_is_printed(capsys):
    pytest.importorskip("pycocotools")
    average_precision(random_images(6), class_names=NAMES, num_resamples=2)
    assert capsys.readouterr().out == ""


def test_a_missing_pycocotools_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(UserError, match=r"pip install 'mammo-tf\[detection\]'"):
        average_precision([image("a")], class_names=NAMES)


def test_evaluation_imports_neither_tensorflow_nor_pycocotools():
    code = (
        "import sys, mammo_tf.evaluation\n"
        "assert not {'tensorflow', 'keras', 'pycocotools'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": [np.nan]}, "`scores` of image mdb005 must be finite"),
        ({"scores": [1.5]}, "within 0..1"),
        ({"scores": [0.1, 0.2]}, r"shape \(1,\)"),
        ({"boxes_px": [[0, 0, np.inf, 1]]}, "`boxes_px` of image mdb005 must be finite"),
        ({"boxes_px": [[5, 0, 1, 1]]}, "ymin, xmin, ymax, xmax"),
        ({"boxes_px": [[0, 0, 1]]}, r"shape \(boxes, 4\)"),
        ({"labels": [0.5]}, "whole numbers"),
        ({"labels": [-1]}, "whole numbers"),
        ({"truth_boxes_px": [[5, 5, 5, 9]]}, "have an area"),
        ({"truth_labels": []}, "truth_labels"),
    ],
)
def test_a_wrong_image_is_named(changed, message):
    right = image("mdb005", [(LESION, 0)], [(LESION, 0, 0.5)])
    with pytest.raises(UserError, match=message):
        dataclasses.replace(right, **changed)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([], {}, "at least one image"),
        ([image("a"), image("a")], {}, "more than once: a"),
        ([image("a", [], [(LESION, 2, 0.5)])], {}, "below 2"),
        ([image("a")], {"iou": 0}, "`iou`"),
        ([image("a")], {"class_names": ()}, "`class_names`"),
        ([image("a")], {"class_names": ("x", "x")}, "`class_names`"),
        ([image("a")], {"max_detections": 0}, "`max_detections`"),
    ],
)
def test_what_cannot_be_scored_is_said(images, options, message):
    with pytest.raises(UserError, match=message):
        average_precision(images, **{"class_names": NAMES, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"num_resamples": 1}, "`num_resamples`"), ({"confidence": 95}, "`confidence`")],
)
def test_bad_bootstrap_options_are_said(options, message):
    pytest.importorskip("pycocotools")
    with pytest.raises(UserError, match=message):
        average_precision(random_images(1), class_names=NAMES, **options)


def test_too_few_patients_for_every_class_is_said():
    # Thirty women, each the only one of her class: a resample has all thirty once in 10^12.
    with pytest.raises(UserError, match="Too few patients"):
        draw_patients(np.eye(30, dtype=bool), 100, seed=0)


def test_the_change_is_paired():
    images = random_images(5)
    options = {"class_names": NAMES, "num_resamples": 100, "seed": 2}
    same = average_precision_change(images, images, **options)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    other = [dataclasses.replace(each, scores=each.scores[::-1]) for each in images]
    change = average_precision_change(other, images, **options)
    means = [average_precision(each, **options).mean for each in (other, images)]
    assert change.value == pytest.approx(means[0].value - means[1].value)
    back = average_precision_change(images, other, **options)
    assert (back.low, back.high) == pytest.approx((-change.high, -change.low))
    assert change.low < change.value < change.high
    with pytest.raises(UserError, match="same images with the same lesions"):
        average_precision_change(images, images[::-1], **options)
