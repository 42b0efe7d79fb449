"""`make_task`: every part is cut from its own image, at its own place, at the ratio asked for."""

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.plan import Example, Part, Plan, make_task
from mammo_tf.pipelines.task import Rows, SideBySide, Task
from mammo_tf.pipelines.tasks import whole_images
from mammo_tf.record import Finding
from mammo_tf.scoring.cases import list_cases, task_of

CRATIOS = (1, 5, 20)
NAMES = ("i0", "i1", "i2", "i3")


def draw(name):
    return np.random.default_rng(int(name[1:])).integers(0, 256, (32, 40)).astype(np.uint8)


@pytest.fixture(scope="module")
def made(build_records):
    images = []
    for name in NAMES:
        masks = np.zeros((32, 40), np.uint16)
        masks[int(name[1:]), :] = 1
        known = {
            "image_id": name,
            "patient_id": f"p{name[1:]}",
            "findings": (Finding(mark="mask", box_yxyx_px=(0.0, 0.0, 1.0, 1.0)),),
            "masks": masks,
            "split": "test" if name == "i3" else "train",
        }
        images.append((draw(name), known))
    builder = build_records(images, cratios=CRATIOS)
    return builder, read_catalog(builder)


def cut(image, info, place, resize):
    """A window of 8×6, half its size."""
    row, column = place
    return resize(image[row : row + 8, column : column + 6], 4, 3)


def plan_of(examples, **more):
    options = {
        "name": "windows",
        "stored_shape": (4, 3),
        "part_shape": (4, 3),
        "dtype": np.uint8,
        "prepare": lambda pixels, info: pixels,
        "cut": cut,
        "settings": {"task": "windows"},
    }
    return Plan(examples=tuple(examples), **options | more)


# Out of the records' order, one image twice, and one image in no example.
PLACES = [("i2", (3, 5)), ("i0", (0, 0)), ("i2", (20, 30)), ("i3", (9, 9))]
EXAMPLES = [
    Example(
        example_id=f"e{number}",
        label=number % 2,
        parts=(Part(int(name[1:]), place),),
        evaluated=number != 2,
    )
    for number, (name, place) in enumerate(PLACES)
]


def window(name, place, cratio):
    from mammo_tf.pipelines.geometry import resize

    pixels = encode_ladder(draw(name), CRATIOS).decode(cratio)
    row, column = place
    return resize(pixels[row : row + 8, column : column + 6], 4, 3)


@pytest.mark.parametrize("in_memory", [True, False])
def test_every_row_is_its_image_place_and_ratio(made, tmp_path, in_memory):
    builder, catalog = made
    cache_dir = None if in_memory else tmp_path
    task = make_task(plan_of(EXAMPLES), catalog, builder, cratios=CRATIOS, cache_dir=cache_dir)
    for cratio in CRATIOS:
        assert task.images(cratio).shape == (4, 4, 3)
        for row, (name, place) in enumerate(PLACES):
            np.testing.assert_array_equal(task.images(cratio)[row], window(name, place, cratio))
    assert not np.array_equal(task.images(1), task.images(20))
    assert task.example_ids == ("e0", "e1", "e2", "e3")
    assert task.image_ids.tolist() == ["i2", "i0", "i2", "i3"]
    assert task.groups.tolist() == ["p2", "p0", "p2", "p3"]
    assert task.labels.tolist() == [0, 1, 0, 1]
    assert task.evaluated.tolist() == [True, True, False, True]
    assert task.split.tolist() == ["train", "train", "train", "test"]
    assert task.has_official_splits
    assert task.masks is None and task.boxes is None


def test_parts_of_an_example_stand_side_by_side(made):
    builder, catalog = made
    examples = [
        Example(example_id="x", label=0, parts=(Part(1, (2, 2)), Part(3, (4, 4)))),
        Example(example_id="y", label=1, parts=(Part(0, (2, 2)), Part(1, (6, 6)))),
    ]
    task = make_task(plan_of(examples), catalog, builder, cratios=(1, 5), cache_dir=None)
    assert task.input_shape == (4, 6)
    assert task.images(5).shape == (2, 4, 6)
    for row, pair in enumerate(
        ([("i1", (2, 2)), ("i3", (4, 4))], [("i0", (2, 2)), ("i1", (6, 6))])
    ):
        for cratio in (1, 5):
            expected = np.hstack([window(name, place, cratio) for name, place in pair])
            np.testing.assert_array_equal(task.images(cratio)[row], expected)
    assert np.asarray(task.images(1)).shape == (2, 4, 6)
    assert task.groups.tolist() == ["p1", "p0"]


def test_masks_are_cut_at_the_same_place_of_the_same_image(made):
    builder, catalog = made
    places = [("i2", (0, 0)), ("i1", (0, 0)), ("i2", (1, 3)), ("i3", (0, 9))]
    examples = [
        Example(example_id=f"m{number}", label=0, parts=(Part(int(name[1:]), place),))
        for number, (name, place) in enumerate(places)
    ]
    plan = plan_of(examples, with_masks=True)
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    # Mask of image k: its row k. Nearest of 8 rows to 4: rows 1, 3, 5, 7 of the window.
    assert task.masks.dtype == np.uint16
    found = [np.flatnonzero(mask.any(axis=1)).tolist() for mask in np.asarray(task.masks)]
    assert found == [[], [0], [0], [1]]
    assert set(np.unique(task.masks)) == {0, 1}


def test_boxes_pass_through(made):
    builder, catalog = made
    boxes = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)
    examples = [
        Example(example_id="a", label=1, parts=(Part(0, (0, 0)),), boxes=boxes,
                box_labels=np.array([2])),
        Example(example_id="b", label=0, parts=(Part(1, (0, 0)),)),
    ]  # fmt: skip
    plan = plan_of(examples, box_class_names=("benign", "malignant"))
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    np.testing.assert_array_equal(task.boxes[0], boxes)
    assert task.box_labels[0].tolist() == [2]
    assert task.boxes[1].shape == (0, 4) and task.box_labels[1].shape == (0,)
    assert task.has_box.tolist() == [True, False]


def test_subgroups_stay_with_their_example(made):
    builder, catalog = made
    known = [
        {"view": "CC", "density": "unknown", "lesion_size": "none"},
        {"view": "MLO", "lesion_size": "unknown"},
        {"density": "unknown"},
    ]
    examples = [
        Example(example_id=name, label=0, parts=(Part(row, (0, 0)),), subgroups=of)
        for name, row, of in zip("abc", (2, 0, 1), known, strict=True)
    ]
    task = make_task(plan_of(examples), catalog, builder, cratios=(1,), cache_dir=None)
    assert {name: of.tolist() for name, of in task.subgroups.items()} == {
        "view": ["CC", "MLO", "unknown"]
    }


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"task": "windows", "x": 1}},
        {"stored_shape": (3, 3)},
        {"examples": (EXAMPLES[1], EXAMPLES[0], *EXAMPLES[2:])},
    ],
)
def test_another_plan_never_meets_its_cache(made, tmp_path, change):
    builder, catalog = made
    make_task(plan_of(EXAMPLES), catalog, builder, cratios=(1,), cache_dir=tmp_path)
    before = {path.name for path in tmp_path.glob("windows-*")}
    examples = change.pop("examples", EXAMPLES)
    if "stored_shape" in change:
        change["cut"] = lambda image, info, place, resize: image[:3, :3]
    make_task(plan_of(examples, **change), catalog, builder, cratios=(1,), cache_dir=tmp_path)
    after = {path.name for path in tmp_path.glob("windows-*")}
    assert len(before) == 1 and len(after) == 2


def test_damage_and_absence_are_one_line(made, monkeypatch):
    builder, catalog = made
    with pytest.raises(UserError, match=r"toy/.* has no example for the task 'windows'"):
        make_task(plan_of([]), catalog, builder, cratios=(1,), cache_dir=None)
    with pytest.raises(UserError, match=r"holds CR 1, 5, 20\. Received: 7"):
        make_task(plan_of(EXAMPLES), catalog, builder, cratios=(1, 7), cache_dir=None)
    genuine = records.iterate_records

    def damaged(*args, **kwargs):
        for record in genuine(*args, **kwargs):
            yield record | ({"masks": b"no PNG"} if record["image_id"] == b"i2" else {})

    monkeypatch.setattr(records, "iterate_records", damaged)
    plan = plan_of(EXAMPLES, with_masks=True)
    with pytest.raises(DataError, match=r"Image i2 cannot be decoded") as error:
        make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    assert "\n" not in str(error.value)


class TestTask:
    def make(self):
        images = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
        boxes = tuple(np.full((k, 4), k, np.float32) for k in range(4))
        return Task(
            name="toy",
            example_ids=("a", "b", "c", "d"),
            image_ids=np.array(["1", "2", "3", "4"]),
            groups=np.array(["p", "p", "q", "r"]),
            labels=np.array([0, 1, 0, 1]),
            evaluated=np.array([True, True, False, True]),
            split=np.array(["train", "train", "test", "test"]),
            images=lambda cratio: images + np.uint8(cratio),
            input_shape=(2, 3),
            shapes=np.arange(8).reshape(4, 2),
            masks=images.astype(np.uint16),
            boxes=boxes,
            box_labels=tuple(np.arange(k) for k in range(4)),
            subgroups={"view": np.array(["CC", "MLO", "ML", "unknown"])},
        )

    def test_take_takes_everything_along_in_order(self):
        whole = self.make()
        some = whole.take([3, 1])
        assert some.example_ids == ("d", "b") and len(some) == 2
        for name in ("image_ids", "groups", "labels", "evaluated", "split", "shapes"):
            np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[[3, 1]])
        for cratio in (1, 7):
            np.testing.assert_array_equal(some.images(cratio), whole.images(cratio)[[3, 1]])
        np.testing.assert_array_equal(some.masks, whole.masks[[3, 1]])
        assert [len(boxes) for boxes in some.boxes] == [3, 1]
        assert some.subgroups["view"].tolist() == ["unknown", "MLO"]
        assert [labels.tolist() for labels in some.box_labels] == [[0, 1, 2], [0]]
        again = some.take([1])
        np.testing.assert_array_equal(again.images(1)[0], whole.images(1)[1])

    def test_a_column_of_another_length_is_refused(self):
        import dataclasses

        with pytest.raises(ValueError, match="`labels` must have one entry an example"):
            dataclasses.replace(self.make(), labels=np.zeros(3, int))
        with pytest.raises(ValueError, match="`view` must have one entry an example"):
            dataclasses.replace(self.make(), subgroups={"view": np.zeros(3, str)})

    def test_lazy_arrays_read_one_at_a_time(self):
        array = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
        rows = Rows(array, [3, 0, 0])
        assert rows.shape == (3, 2, 3) and rows.dtype == np.uint8 and len(rows) == 3
        np.testing.assert_array_equal(np.asarray(rows), array[[3, 0, 0]])
        pairs = SideBySide(array, 2)
        assert pairs.shape == (2, 2, 6) and pairs.ndim == 3
        np.testing.assert_array_equal(pairs[1], np.hstack([array[2], array[3]]))
        np.testing.assert_array_equal(np.asarray(pairs, dtype=float)[0, 1], [3, 4, 5, 9, 10, 11])


def test_what_a_data_set_says_of_its_images_reaches_every_task(build_records):
    images = [
        (np.full((64, 48), 9 * number, np.uint8), {
            "image_id": f"i{number}", "patient_id": f"p{number}",
            "label": "malignant" if number % 2 else "normal", "bits_stored": 8,
        })
        for number in range(4)
    ]  # fmt: skip
    builder = build_records(images, metadata={"notes": ["Scanned twice."]})
    catalog = read_catalog(builder)
    assert catalog.notes == ("Scanned twice.",)
    task = make_task(whole_images(catalog), catalog, builder, cratios=(1,), cache_dir=None)
    assert task.notes == ("Scanned twice.",)
    cases, _ = list_cases(catalog, "image")
    assert "Scanned twice." in task_of(cases, catalog, "image").notes
