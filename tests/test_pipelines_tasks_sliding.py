"""Windows that slide over small images drawn by hand: which are cut, where, with which label."""

import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.sliding import LEFT_OUT, label_windows, window_middles
from mammo_tf.pipelines.tasks import sliding_patches
from mammo_tf.record import Finding

HEIGHT, WIDTH = 96, 80
OPTIONS = {"patch_size": 32, "input_size": 16}


def test_windows_lie_in_the_image_and_reach_its_edges():
    middles = window_middles((10, 9), 4, 3)
    # Rows start at 0, 3 and 6; columns at 0, 3 and, flush, at 5.
    assert middles.tolist() == [[r + 2, c + 2] for r in (0, 3, 6) for c in (0, 3, 5)]
    assert window_middles((5, 5), 5, 2).tolist() == [[2, 2]]


def labels_at(columns, boxes, labels, break_lesions, row=50, size=20):
    middles = np.array([(row, column) for column in columns])
    return label_windows(middles, size, np.array(boxes), labels, break_lesions=break_lesions)


def test_half_a_lesion_is_enough_when_lesions_may_be_broken():
    # The box has columns 60 to 70. A window with its middle at c shows columns c − 10 to c + 10.
    box = (45, 60, 55, 70)
    found = labels_at((50, 51, 54, 55, 65, 75, 76, 79, 80), [box], [1], True)
    assert found.tolist() == [0, LEFT_OUT, LEFT_OUT, 1, 1, 1, LEFT_OUT, LEFT_OUT, 0]


def test_only_whole_lesions_when_they_may_not_be_broken():
    box = (45, 60, 55, 70)
    found = labels_at((50, 55, 59, 60, 65, 70, 71, 80), [box], [2], False)
    assert found.tolist() == [0, LEFT_OUT, LEFT_OUT, 2, 2, 2, LEFT_OUT, 0]


def test_lesions_larger_than_the_window():
    # A circle of radius 30 round (50, 50): its box is 60 wide, a window 20.
    box = (20, 20, 80, 80)
    columns = (5, 15, 29, 30, 50, 70, 71)
    broken = labels_at(columns, [box], [1], True)
    # Filled by the box from 30 to 70; at 29 one column is outside.
    assert broken.tolist() == [0, LEFT_OUT, LEFT_OUT, 1, 1, 1, LEFT_OUT]
    whole = labels_at(columns, [box], [1], False)
    # The window's middle lies in the circle from 20 to 80.
    assert whole.tolist() == [0, LEFT_OUT, 1, 1, 1, 1, 1]
    corner = labels_at((28,), [box], [1], False, row=28)
    assert corner.tolist() == [LEFT_OUT]  # 22² + 22² > 30²


def test_the_worse_of_two_lesions_wins():
    boxes = [(45, 46, 55, 54), (48, 52, 52, 58)]
    assert labels_at((50,), boxes, [2, 1], True).tolist() == [2]
    assert labels_at((50,), boxes, [1, 2], False).tolist() == [2]
    # From 44 the second is cut off (a third is seen); the first is still whole.
    assert labels_at((44,), boxes, [1, 2], True).tolist() == [1]


def test_without_lesions_all_windows_are_normal():
    found = labels_at((10, 50), np.zeros((0, 4)), [], True)
    assert found.tolist() == [0, 0]


def circle(row, column, radius, label="benign"):
    box = (row - radius, column - radius, row + radius + 1, column + radius + 1)
    return Finding(label=label, mark="circle", box_yxyx_px=tuple(map(float, box)))


def known(number, *findings, label=None):
    return {
        "image_id": f"mdb{number:03}",
        "patient_id": f"p{(number + 1) // 2:03}",
        "label": label or (findings[0].label if findings else "normal"),
        "pixel_spacing_mm": (0.2, 0.2),
        "findings": findings,
    }


@pytest.fixture(scope="module")
def build(build_records):
    def build(images, pixels):
        builder = build_records(list(zip(pixels, images, strict=True)), cratios=(1,))
        return read_catalog(builder), builder

    return build


def places(plan, label=None):
    return [
        example.parts[0].place[:2]
        for example in plan.examples
        if label is None or example.label == label
    ]


def counts(plan, num_images):
    rows = [example.parts[0].image for example in plan.examples]
    return np.bincount(rows, minlength=num_images).tolist()


def test_windows_by_hand(build):
    pixels = np.full((3, HEIGHT, WIDTH), 100, np.uint8)
    images = (
        known(1, circle(40, 30, 6, "malignant")) | {"density": 4},
        known(3) | {"density": 2},
        known(5, label="benign"),
    )
    catalog, builder = build(images, pixels)
    plan = sliding_patches(
        catalog, builder, cache_dir=None, **OPTIONS, stride=16, normals_per_image=3,
        break_lesions=False,
    )  # fmt: skip
    # Box rows 34–47, columns 24–37. Windows start at 0, 16, 32, …: rows at 16 and 32 hold it;
    # columns at 16 only (0–31 and 32–63 cut it).
    assert places(plan, 2) == [(32, 32), (48, 32)]
    assert counts(plan, 3) == [2, 3, 0]
    assert {example.label for example in plan.examples} == {0, 2}
    assert all(example.evaluated for example in plan.examples)
    assert plan.examples[0].example_id == "mdb001-32-32"
    assert plan.class_names == ("normal", "benign", "malignant")
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    assert task.images(1).shape == (5, 24, 24)
    assert task.subgroups["density"].tolist() == ["d"] * 2 + ["b"] * 3


def test_edges_of_the_breast(build):
    pixels = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    pixels[:, :, 24:] = 100
    images = (known(1, circle(40, 30, 6)), known(3), known(5, label="unknown"))
    options = {**OPTIONS, "stride": 8, "normals_per_image": 999, "cache_dir": None}
    catalog, builder = build(images, pixels)

    def starts(plan):
        return {column - 16 for _, column in places(plan)}

    # A window that starts at column c shows min(32, c + 8) of 32 columns of tissue.
    kept = sliding_patches(catalog, builder, **options)
    assert starts(kept) == {0, 8, 16, 24, 32, 40, 48}
    inner = sliding_patches(catalog, builder, **options, keep_edges=False)
    assert starts(inner) == {24, 32, 40, 48}
    # A level of 20 is background still. Columns 0 to 23 are tissue now: 24 − c of 32, at least a
    # fifth up to c = 16.
    catalog, builder = build(images, np.where(pixels > 0, 20, 21).astype(np.uint8))
    assert starts(sliding_patches(catalog, builder, **options)) == {0, 8, 16}


def test_the_seed_draws_the_normal_windows(build):
    images = [known(1, circle(40, 30, 6)), *(known(number) for number in range(3, 8))]
    pixels = np.full((len(images), HEIGHT, WIDTH), 100, np.uint8)
    catalog, builder = build(images, pixels)

    def ids(**options):
        options = {**OPTIONS, "normals_per_image": 4, "cache_dir": None, **options}
        plan = sliding_patches(catalog, builder, **options)
        assert counts(plan, len(images))[1:] == [4] * 5
        return [example.example_id for example in plan.examples]

    assert ids(seed=1) == ids(seed=1) != ids(seed=2)
    assert ids(seed=1, stride=8) == ids(seed=1)  # a quarter of 32


def test_without_normal_images_windows_beside_the_lesions_serve(build):
    images = (
        known(1, circle(20, 20, 6)),
        known(3, circle(20, 20, 6, "malignant")),
        known(5, circle(20, 20, 6), Finding(label="benign")),  # one more, anywhere
    )
    catalog, builder = build(images, np.full((3, HEIGHT, WIDTH), 100, np.uint8))
    plan = sliding_patches(
        catalog, builder, cache_dir=None, **OPTIONS, stride=16, normals_per_image=99
    )
    normals = [example.parts[0] for example in plan.examples if not example.label]
    assert {part.image for part in normals} == {0, 1}
    # The lesion's box ends at row and column 27; a window begins 16 pixels above its middle.
    assert all(max(part.place[0], part.place[1]) - 16 >= 27 for part in normals)


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        ([known(1), known(3), known(5)], {}, UserError, "No window of 32 pixels shows a lesion"),
        (
            [known(1, circle(96, 30, 5)), known(3), known(5)],
            {},
            DataError,
            r"mdb001.*row 96.*outside its 96×80",
        ),
        ([known(1), known(3), known(5)], {"patch_size": 81}, UserError, "at most the images' size"),
        ([known(1), known(3), known(5)], {"input_size": 33}, UserError, "input_size"),
        ([known(1), known(3), known(5)], {"stride": 0}, UserError, "`stride` must be at least 1"),
        ([known(1), known(3), known(5)], {"normals_per_image": 0}, UserError, "normals_per_image"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(build, images, options, error, message):
    catalog, builder = build(images, np.full((3, HEIGHT, WIDTH), 100, np.uint8))
    with pytest.raises(error, match=message) as caught:
        sliding_patches(catalog, builder, cache_dir=None, **{**OPTIONS, **options})
    assert "\n" not in str(caught.value)
