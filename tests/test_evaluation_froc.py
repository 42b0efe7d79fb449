"""FROC against values by hand and a plain search over thresholds."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.boxes import pairwise_iou
from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredImage, froc, froc_change
from mammo_tf.evaluation.bootstrap import draw_patients

LEFT, RIGHT = [100, 20, 140, 80], [100, 300, 140, 360]  # lesions
AWAY = [10, 500, 30, 520]


def image(name, truth=(), found=(), *, group=None):
    """An image from true boxes and (box, score) rows."""
    return ScoredImage(
        image_id=name,
        group=group or name,
        truth_boxes_px=list(truth),
        truth_labels=[0] * len(truth),
        boxes_px=[box for box, _ in found],
        labels=[index % 3 for index in range(len(found))],  # must not matter
        scores=[score for _, score in found],
    )


def random_images(seed, count=30, decimals=2):
    rng = np.random.default_rng(seed)
    images = []
    for index in range(count):
        corners = rng.uniform([0, 0], [200, 500], (0 if index % 3 == 0 else 2, 2))
        truth = np.hstack([corners, corners + rng.uniform(30, 90, corners.shape)])
        near = np.repeat(truth, 2, axis=0) + rng.normal(scale=7, size=(2 * len(truth), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2])
        corners = rng.uniform([0, 0], [200, 500], (6, 2))
        boxes = np.vstack([near, np.hstack([corners, corners + rng.uniform(5, 90, (6, 2))])])
        scores = np.round(rng.uniform(0, 1, len(boxes)), decimals)
        found = list(zip(boxes, scores, strict=True))
        images.append(image(f"i{index}", truth, found, group=f"w{index // 2}"))
    return images


def searched(images, rates, hits):
    """The definition, threshold by threshold; `hits(box, truth)` says whether a box hits."""
    thresholds = {float(score) for scored in images for score in scored.scores} | {2.0}
    lesions = sum(len(scored.truth_boxes_px) for scored in images)
    best = dict.fromkeys(rates, 0.0)
    for threshold in thresholds:
        found, false = 0, 0
        for scored in images:
            kept = scored.boxes_px[scored.scores >= threshold]
            table = [[hits(box, truth) for truth in scored.truth_boxes_px] for box in kept]
            false += sum(not any(row) for row in table)
            found += sum(any(column) for column in zip(*table, strict=True))
        for rate in rates:
            if false / len(images) <= rate:
                best[rate] = max(best[rate], found / lesions)
    return best


def middle_inside(box, truth):
    y, x = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return truth[0] <= y <= truth[2] and truth[1] <= x <= truth[3]


def overlaps(box, truth):
    height = max(0, min(box[2], truth[2]) - max(box[0], truth[0]))
    width = max(0, min(box[3], truth[3]) - max(box[1], truth[1]))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, truth)]
    return height * width / (sum(areas) - height * width) >= 0.4


def values(result):
    return {rate: estimate.value for rate, estimate in result.sensitivities.items()}


def test_by_hand():
    images = [
        image("a", [LEFT, RIGHT], [(LEFT, 0.9), (AWAY, 0.8), (RIGHT, 0.5)]),
        image("b", [LEFT], [(AWAY, 0.6), (AWAY, 0.4), (LEFT, 0.3)]),
        image("c", [], [(AWAY, 0.7)]),
        image("d"),
    ]
    result = froc(images, rates=(0.2, 0.5, 0.75, 1, 4))
    # From the surest down: hit, miss, miss, miss (3 in 4 images), hit, miss (1 an image), hit.
    expected = {0.2: 1 / 3, 0.5: 1 / 3, 0.75: 2 / 3, 1: 1, 4: 1}
    assert values(result) == pytest.approx(expected)
    assert result.mean_sensitivity.value == pytest.approx(10 / 15)
    assert result.curve_rates.tolist() == [0, 0, 0.25, 0.5, 0.75, 0.75, 1, 1]
    thirds = [0, 1, 1, 1, 1, 2, 2, 3]
    assert result.curve_sensitivities == pytest.approx(np.array(thirds) / 3)


@pytest.mark.parametrize(("criterion", "hits"), [("centre", middle_inside), ("iou", overlaps)])
@pytest.mark.parametrize("decimals", [1, 6])  # 1: many equal scores
def test_agrees_with_a_search_over_thresholds(criterion, hits, decimals):
    images, rates = random_images(1, decimals=decimals), (0.1, 0.5, 1, 2, 3, 20)
    result = froc(images, rates=rates, criterion=criterion, iou=0.4, num_resamples=0)
    expected = searched(images, rates, hits)
    assert values(result) == pytest.approx(expected)
    assert len(set(expected.values())) >= 3


def test_interval_is_that_of_a_search_on_repeated_images():
    images, rates = random_images(2, count=12, decimals=1), (0.5, 1.0)
    groups = sorted({scored.group for scored in images})
    lesions = [[any(len(s.truth_boxes_px) for s in images if s.group == group)] for group in groups]
    expected = []
    for counts in draw_patients(np.array(lesions), 80, seed=3):
        drawn = [s for s in images for _ in range(int(counts[groups.index(s.group)]))]
        expected.append(list(searched(drawn, rates, middle_inside).values()))
    result = froc(images, rates=rates, num_resamples=80, seed=3)
    for index, rate in enumerate(rates):
        estimate, drawn = result.sensitivities[rate], np.array(expected)[:, index]
        ends = np.quantile(drawn, [0.025, 0.975]).tolist()
        assert [estimate.low, estimate.high] == pytest.approx(ends)
        assert estimate.standard_error == pytest.approx(drawn.std(ddof=1))
    means = np.mean(expected, axis=1)
    assert result.mean_sensitivity.high == pytest.approx(np.quantile(means, 0.975))


def test_iou_is_that_of_pycocotools():
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    boxes, others = (rng.uniform(0, 100, (count, 4)) for count in (7, 5))
    boxes[:, 2:] += boxes[:, :2]
    others[:, 2:] += others[:, :2]
    boxes[0, 2:] = boxes[0, :2]  # no area

    def to_xywh(yxyx):
        return np.hstack([yxyx[:, [1, 0]], yxyx[:, [3, 2]] - yxyx[:, [1, 0]]]).tolist()

    expected = mask.iou(to_xywh(boxes), to_xywh(others), [0] * len(others))
    assert pairwise_iou(boxes, others) == pytest.approx(expected)
    assert (pairwise_iou(boxes, others) > 0.1).sum() > 3


def test_one_box_that_covers_two_lesions():
    wide = [100, 20, 140, 360]  # its middle lies between the two
    images = [image("a", [LEFT, RIGHT], [(wide, 0.9)])]
    result = froc(images, rates=(0.5, 1))
    assert values(result) == {0.5: 0, 1: 0}
    assert result.curve_rates.tolist() == [0, 1]
    overlapping = [image("a", [LEFT, [100, 40, 140, 200]], [([110, 60, 130, 70], 0.9)])]
    assert values(froc(overlapping, rates=(0.5,))) == {0.5: 1}


def test_a_second_hit_is_neither_right_nor_wrong():
    once = [image("a", [LEFT], [(LEFT, 0.9)]), image("b", [RIGHT], [(AWAY, 0.8), (RIGHT, 0.2)])]
    twice = [image("a", [LEFT], [(LEFT, 0.9), (LEFT, 0.7), (LEFT, 0.1)]), once[1]]
    options = {"rates": (0.25, 0.5), "num_resamples": 100}
    first, second = froc(once, **options), froc(twice, **options)
    assert values(first) == {0.25: 0.5, 0.5: 1}
    assert first.sensitivities == second.sensitivities
    assert second.curve_rates.tolist() == first.curve_rates.tolist() == [0, 0, 0.5, 0.5]


def test_equal_scores_stand_or_fall_together():
    images = [image("a", [LEFT], [(LEFT, 0.5), (AWAY, 0.5)])]
    assert values(froc(images, rates=(0.5, 1))) == {0.5: 0, 1: 1}


def test_a_rate_that_is_met_exactly_counts():
    # In floating point 0.1 × 30 is a little above 3 and 0.29 × 100 a little below 29.
    for rate, count, false in ((0.1, 30, 3), (0.29, 100, 29)):
        found = [(AWAY, 0.9)] * false + [(LEFT, 0.5)]
        images = [image("a", [LEFT], found), *(image(f"n{i}") for i in range(count - 1))]
        assert values(froc(images, rates=(rate,), num_resamples=0)) == {rate: 1}


def test_an_empty_normal_image_halves_the_rate():
    sick = image("a", [LEFT], [(AWAY, 0.9), (LEFT, 0.5)])
    alone, joined = froc([sick]), froc([sick, image("b")])
    assert alone.curve_rates.tolist() == [0, 1, 1]
    assert joined.curve_rates.tolist() == [0, 0.5, 0.5]
    assert (values(alone)[0.5], values(joined)[0.5]) == (0, 1)


def test_only_the_order_of_scores_matters():
    images = random_images(4)
    changed = [dataclasses.replace(s, scores=0.1 + 0.6 * s.scores**2) for s in images]
    first, second = froc(images, num_resamples=50), froc(changed, num_resamples=50)
    assert first.sensitivities == second.sensitivities
    assert np.array_equal(first.curve_rates, second.curve_rates)


def test_intervals_hold_the_value_and_repeat_with_the_seed():
    images = random_images(5, count=80)
    result = froc(images, seed=1)
    assert list(result.sensitivities) == [0.25, 0.5, 1, 2, 4]
    for estimate in [*result.sensitivities.values(), result.mean_sensitivity]:
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high
    assert froc(images, seed=1).sensitivities == result.sensitivities
    assert froc(images, seed=2).mean_sensitivity != result.mean_sensitivity


def test_patients_not_images_are_drawn():
    once = [dataclasses.replace(s, group=s.image_id) for s in random_images(6, count=80)]
    twice = once + [dataclasses.replace(s, image_id=f"{s.image_id} again") for s in once]
    alone = [dataclasses.replace(s, group=s.image_id) for s in twice]
    by_patient, by_image = froc(twice).mean_sensitivity, froc(alone).mean_sensitivity
    assert by_patient.value == by_image.value
    assert by_patient.standard_error == pytest.approx(2**0.5 * by_image.standard_error, rel=0.1)


def test_no_lesion_gives_nan_and_no_detection_zero():
    nothing = froc([image("a", [], [(LEFT, 0.5)]), image("b")])
    assert np.isnan(list(values(nothing).values())).all()
    assert np.isnan([nothing.mean_sensitivity.value, nothing.mean_sensitivity.low]).all()
    silent = froc([image("a", [LEFT]), image("b")])
    assert set(values(silent).values()) == {0}
    assert (silent.curve_rates.tolist(), silent.curve_sensitivities.tolist()) == ([0], [0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": ()}, "`rates`"),
        ({"rates": (0, 1)}, "`rates`"),
        ({"rates": (1, np.nan)}, "`rates`"),
        ({"criterion": "center"}, "`criterion`"),
        ({"iou": 1.5}, "`iou`"),
        ({"num_resamples": -1}, "`num_resamples`"),
    ],
)
def test_bad_options_are_said(options, message):
    with pytest.raises(UserError, match=message):
        froc([image("a", [LEFT])], **options)


def test_no_image_is_said():
    with pytest.raises(UserError, match="at least one image"):
        froc([])


def test_the_change_is_paired():
    images = random_images(3)
    same = froc_change(images, images, rates=(0.5, 1))
    assert all((e.value, e.low, e.high) == (0, 0, 0) for e in same.values())
    other = [dataclasses.replace(each, scores=each.scores[::-1]) for each in images]
    change = froc_change(other, images, rates=(0.5, 1), num_resamples=200, seed=3)
    ours = froc(other, rates=(0.5, 1), num_resamples=0).sensitivities
    theirs = froc(images, rates=(0.5, 1), num_resamples=0).sensitivities
    assert change[1].value == pytest.approx(ours[1].value - theirs[1].value)
    back = froc_change(images, other, rates=(0.5, 1), num_resamples=200, seed=3)
    assert (back[1].low, back[1].high) == pytest.approx((-change[1].high, -change[1].low))
    # Resampled by hand: patients drawn alike for both, each image as often as its patient.
    groups = sorted({each.group for each in images})
    has = np.array([[any(len(i.truth_boxes_px) for i in images if i.group == g)] for g in groups])
    differences = []
    for draw in draw_patients(has, 200, 3):
        found = []
        for each in (other, images):
            drawn = [
                dataclasses.replace(one, image_id=f"{one.image_id}/{copy}")
                for one in each
                for copy in range(int(draw[groups.index(one.group)]))
            ]
            found.append(froc(drawn, rates=(1,), num_resamples=0).sensitivities[1].value)
        differences.append(found[0] - found[1])
    expected = np.quantile(differences, [0.025, 0.975])
    assert (change[1].low, change[1].high) == pytest.approx(tuple(expected))
    with pytest.raises(UserError, match="same images with the same lesions"):
        froc_change(images, images[::-1])
