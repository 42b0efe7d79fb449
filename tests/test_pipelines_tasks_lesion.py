"""Patches round findings and of normal tissue, on small images drawn by hand."""

import importlib

import numpy as np
import pytest
from PIL import Image

from mammo_tf.breast import darkest_level
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import lesion_patches
from mammo_tf.record import Finding, ImageInfo

HEIGHT, WIDTH = 96, 80
# The package's name for the module is the function's too.
MODULE = importlib.import_module("mammo_tf.pipelines.tasks.lesion_patches")


def circle(row, column, radius, label="benign"):
    box = (row - radius, column - radius, row + radius + 1, column + radius + 1)
    return Finding(label=label, mark="circle", box_yxyx_px=tuple(map(float, box)))


def known(number, *findings, side="L", label=None, **more):
    return {
        "image_id": f"mdb{number:03}",
        "patient_id": f"p{(number + 1) // 2:03}",
        "laterality": side,
        "view": "MLO",
        "label": label or (findings[0].label if findings else "normal"),
        "pixel_spacing_mm": (0.2, 0.2),
        "findings": findings,
        **more,
    }


# Two patients with lesions, left and right; normal ones of both sides; one that serves nothing.
IMAGES = [
    known(1, circle(40, 30, 6), circle(60, 50, 5, "malignant"), label="malignant"),
    known(2, circle(20, 10, 4, "malignant"), side="R"),
    *(known(number, side="LR"[number % 2]) for number in range(3, 13)),
    known(13, label="benign"),
]


def noise():
    rng = np.random.default_rng(0)
    return rng.integers(21, 256, (len(IMAGES), HEIGHT, WIDTH)).astype(np.uint8)


def cut_by_hand(pixels, place, *, input_size, mirrored):
    """The patch with half its width around it, from an image padded with its dark, by Pillow."""
    row, column, side = place
    wide, stored = side * 3 // 2, input_size * 3 // 2
    padded = np.pad(pixels, 200, constant_values=darkest_level(pixels))
    top, left = row + 200 - wide // 2, column + 200 - wide // 2
    patch = padded[top : top + wide, left : left + wide].astype(np.float32)
    small = Image.fromarray(patch).resize((stored, stored), Image.Resampling.BILINEAR)
    small = np.rint(np.asarray(small)).astype(pixels.dtype)
    return small[:, ::-1] if mirrored else small


def catalog_of(images, **options):
    infos = [
        ImageInfo(
            **{"shape": (HEIGHT, WIDTH), "exam_id": one["patient_id"], "bits_stored": 8} | one
        )
        for one in images
    ]
    return Catalog("toy", tuple(infos), "x", **options)


def plan_of(images, monkeypatch, shares=None, official=False, **options):
    """A plan where every place shows as much tissue, or as `shares` says of an image's id."""

    def measure(_builder, catalog, places, **_):
        ids = [catalog.images[place[0]].image_id for place in places]
        return np.array([1.0 if shares is None else shares.get(name, 1.0) for name in ids])

    monkeypatch.setattr(MODULE, "measure_tissue", measure)
    catalog = catalog_of(images, has_official_splits=official)
    options = {"patch_size": 32, "input_size": 16, "extra_normals": 0, "lesion_copies": 0} | options
    return lesion_patches(catalog, None, cache_dir=None, **options)


def ids(plan):
    return [example.example_id for example in plan.examples]


def parts(plan):
    return [example.parts[0] for example in plan.examples]


@pytest.fixture(scope="module")
def made(build_records):
    pixels = noise()
    builder = build_records(list(zip(pixels, IMAGES, strict=True)), cratios=(1, 20))
    catalog = read_catalog(builder)
    plan = lesion_patches(
        catalog, builder, cache_dir=None, patch_size=32, input_size=16, extra_normals=1,
        lesion_copies=2, by_class=True,
    )  # fmt: skip
    return pixels, plan, make_task(plan, catalog, builder, cratios=(1, 20), cache_dir=None)


def test_classes_and_names(made):
    _, _, task = made
    assert task.labels.tolist() == [1, 2, 2] + [0] * 9 + [1, 1, 2, 2, 2, 2]
    assert task.class_names == ("normal", "benign", "malignant")
    assert task.evaluated.tolist() == [True] * 9 + [False] * 9
    assert task.example_ids[:3] == ("mdb001-1", "mdb001-2", "mdb002-1")
    assert task.example_ids[12:14] == ("mdb001-1-copy1", "mdb001-1-copy2")
    assert len(set(task.example_ids)) == 18
    assert task.image_ids[:3].tolist() == ["mdb001", "mdb001", "mdb002"]
    assert task.groups[:3].tolist() == ["p001"] * 3
    assert task.images(1).shape == (18, 24, 24) and task.images(1).dtype == np.uint8
    assert task.input_shape == (16, 16)
    assert task.notes == ()


def test_subgroups_are_those_of_the_finding_and_its_image(made):
    _, _, task = made
    # Boxes of 13, 11 and 9 pixels of 0.2 mm; normal tissue has no size; copies have the lesion's.
    sizes = ["0–10 mm"] * 3 + ["none"] * 9 + ["0–10 mm"] * 6
    assert task.subgroups["lesion_size"].tolist() == sizes
    assert set(task.subgroups) == {"lesion_size", "view"}  # no type, no density in these records
    assert set(task.subgroups["view"].tolist()) == {"MLO"}


def test_subgroups_of_normal_tissue_are_its_own_images(monkeypatch):
    images = [
        known(1, circle(40, 30, 30), density=4),
        *(known(number, density=1 + number % 2) for number in (3, 5, 7, 9)),
    ]
    plan = plan_of(images, monkeypatch)
    densities = {one["image_id"]: " abcd"[one["density"]] for one in images}
    assert plan.examples[0].subgroups["lesion_size"] == "10–20 mm"  # 61 pixels of 0.2 mm
    for example in plan.examples:
        assert example.subgroups["density"] == densities[example.example_id[:6]]


def test_normals_are_of_the_side_and_place(made):
    _, plan, _ = made
    rows = {info["image_id"]: info for info in IMAGES}
    for example in plan.examples:
        if "-at-" in example.example_id:
            own, lesion = example.example_id.split("-at-")
            assert own != lesion[:6] and rows[own]["label"] == "normal"
            assert rows[own]["laterality"] == rows[lesion[:6]]["laterality"]
            place = plan.examples[ids(plan).index(lesion)].parts[0].place
            assert example.parts[0].place == place
    assert [part.place for part in parts(plan)[:3]] == [(40, 30, 32), (60, 50, 32), (20, 10, 32)]


@pytest.mark.parametrize("cratio", [1, 20])
def test_every_patch_is_cut_from_its_own_image(made, cratio):
    from mammo_tf.codecs.jpeg2000 import encode_ladder

    pixels, plan, task = made
    for row, example in enumerate(plan.examples):
        number = int(task.image_ids[row][3:])
        assert example.example_id.startswith(f"mdb{number:03}")
        whole = encode_ladder(pixels[number - 1], (1, 20)).decode(cratio)
        mirrored = IMAGES[number - 1]["laterality"] == "R"
        expected = cut_by_hand(whole, example.parts[0].place, input_size=16, mirrored=mirrored)
        np.testing.assert_array_equal(task.images(cratio)[row], expected)


def test_normals_have_as_much_tissue(build_records):
    pixels = np.zeros((len(IMAGES), HEIGHT, WIDTH), np.uint8)
    pixels[:, :, 20:] = 200
    pixels[4:6] = 200  # films 5 and 6 have tissue everywhere: no match for the lesions at an edge
    builder = build_records(list(zip(pixels, IMAGES, strict=True)), cratios=(1,))
    plan = lesion_patches(
        read_catalog(builder), builder, cache_dir=None, patch_size=32, input_size=16
    )
    normals = [part for example, part in zip(plan.examples, parts(plan), strict=True)
               if not example.label]  # fmt: skip
    at_edge = {part.image for part in normals if part.place[1] < 36}
    assert at_edge and not at_edge & {4, 5}
    assert {4, 5} & {part.image for part in normals}


def test_a_small_data_set_by_hand(monkeypatch):
    images = [
        known(1, circle(10, 20, 3), circle(30, 40, 3)),
        known(2, side="R"),
        known(3),
        known(4),
        known(5, Finding(label="malignant")),  # abnormal without a place: serves for nothing
        known(6),
    ]
    plan = plan_of(images, monkeypatch, extra_normals=5, seed=3)
    assert [(name, part.place[:2]) for name, part in zip(ids(plan), parts(plan), strict=True)][
        :2
    ] == [("mdb001-1", (10, 20)), ("mdb001-2", (30, 40))]
    normals, extra = plan.examples[2:6], plan.examples[6:]
    assert [one.parts[0].place[:2] for one in normals] == [(10, 20)] * 2 + [(30, 40)] * 2
    assert all(one.label == 0 for one in plan.examples[2:])
    assert {one.parts[0].image for one in plan.examples[2:]} == {2, 3, 5}
    assert all(one.evaluated for one in plan.examples[:6])
    assert len(extra) == 2 and not any(one.evaluated for one in extra)
    assert len(set(ids(plan))) == 8
    assert ids(plan)[2] == f"mdb{normals[0].parts[0].image + 1:03}-at-mdb001-1"
    assert plan.class_names == ("normal", "lesion")


def test_copies_of_lesions_only_train(monkeypatch):
    plan = plan_of([known(1, circle(10, 20, 3)), known(2), known(3)], monkeypatch, lesion_copies=2)
    assert [(one.example_id, one.label, one.evaluated) for one in plan.examples] == [
        ("mdb001-1", 1, True),
        ("mdb002-at-mdb001-1", 0, True),
        ("mdb003-at-mdb001-1", 0, True),
        ("mdb001-1-copy1", 1, False),
        ("mdb001-1-copy2", 1, False),
    ]
    assert all(part.place == (10, 20, 32) for part in parts(plan))


def test_places_are_relative_and_sizes_in_millimetres(monkeypatch):
    images = [
        known(1, circle(48, 20, 3)),
        known(2, shape=(192, 320), pixel_spacing_mm=(0.1, 0.1)),
        known(3, shape=(192, 160), pixel_spacing_mm=(0.0, 0.0)),
    ]
    plan = plan_of(images, monkeypatch, patch_size=16)
    # Twice as high, four times as wide; 0.1 mm doubles the side, and an image without a spacing
    # counts as 1024 pixels of 0.2 mm high: 192 / 1024 of 16 are 3 pixels.
    assert [(part.image, part.place) for part in parts(plan)] == [
        (0, (48, 20, 16)),
        (1, (96, 80, 32)),
        (2, (96, 40, 3)),
    ]


def test_seeds_decide(monkeypatch):
    images = [known(1, circle(48, 40, 3)), *(known(number) for number in range(2, 40))]
    first, again, other = (ids(plan_of(images, monkeypatch, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other


class TestWithoutNormalImages:
    IMAGES = (
        known(1, circle(20, 20, 3)),
        known(3, circle(24, 24, 3)),  # touches the first's place
        known(5, circle(80, 60, 3)),
        known(7, circle(82, 64, 3)),
        known(9, circle(82, 64, 3), Finding(label="benign")),  # might show one anywhere
        known(11, circle(20, 60, 3), side="R"),  # alone on its side
    )

    def test_tissue_comes_from_images_with_findings_elsewhere(self, monkeypatch):
        plan = plan_of(self.IMAGES, monkeypatch)
        assert ids(plan)[:5] == ["mdb001-1", "mdb003-1", "mdb005-1", "mdb007-1", "mdb009-1"]
        chosen = [name.split("-at-") for name in ids(plan) if "-at-" in name]
        assert sorted(chosen) == sorted(
            [own, f"{lesion}-1"]
            for lesion, others in {
                "mdb001": ("mdb005", "mdb007"),
                "mdb003": ("mdb005", "mdb007"),
                "mdb005": ("mdb001", "mdb003"),
                "mdb007": ("mdb001", "mdb003"),
                "mdb009": ("mdb001", "mdb003"),
            }.items()
            for own in others
        )

    def test_the_notes_say_so_and_count_who_was_left_out(self, monkeypatch):
        notes = plan_of(self.IMAGES, monkeypatch).notes
        assert notes[0].startswith("The data set has no normal images: normal tissue comes from")
        assert notes[1].startswith("1 of 6 lesions found too little matching normal tissue")

    def test_nothing_matches(self, monkeypatch):
        with pytest.raises(UserError, match=r"2 other images of the same side.*toy has none\.$"):
            plan_of(self.IMAGES[:2], monkeypatch)


def test_official_splits_are_not_mixed(monkeypatch):
    images = [
        known(1, circle(48, 40, 3), split="train"),
        known(3, circle(48, 40, 3), split="test"),
        *(known(n, split="train" if n % 4 == 1 else "test") for n in range(5, 21, 2)),
    ]
    plan = plan_of(images, monkeypatch, official=True, extra_normals=9)
    split = {info["image_id"]: info["split"] for info in images}
    pairs = [name.split("-at-") for name in ids(plan) if "-at-" in name]
    assert len(pairs) == 8
    assert all(split[own] == split[lesion[:6]] for own, lesion in pairs)


def test_as_much_tissue_is_within_a_twentieth(monkeypatch):
    images = [known(1, circle(48, 40, 3)), *(known(n) for n in range(2, 7))]
    shares = {"mdb001": 0.5, "mdb002": 0.45, "mdb003": 0.55, "mdb004": 0.44, "mdb005": 0.56,
              "mdb006": 0.52}  # fmt: skip
    plan = plan_of(images, monkeypatch, shares, extra_normals=9)
    used = {name[:6] for name in ids(plan) if "-at-" in name}
    assert used <= {"mdb002", "mdb003", "mdb006"} and len(used) >= 2
    assert not used & {"mdb004", "mdb005"}


def test_16_bit_images_keep_their_depth(monkeypatch):
    images = [known(1, circle(48, 40, 3), bits_stored=12), known(2, bits_stored=12), known(3)]
    plan = plan_of(images, monkeypatch)
    assert plan.dtype is np.uint16
    info = catalog_of(images).images[0]
    assert plan.prepare(np.full((2, 2), 4095, np.uint16), info).tolist() == [[65520] * 2] * 2


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (
            IMAGES[2:],
            {},
            UserError,
            r"'lesion' needs findings whose place is known; toy has none\.",
        ),
        (
            [known(1, circle(96, 30, 5)), *IMAGES[2:]],
            {},
            DataError,
            r"mdb001.*row 96.*column 30.*96×80",
        ),
        (
            [known(1, circle(5, -1, 5)), *IMAGES[2:]],
            {},
            DataError,
            r"mdb001.*row 5 and column -1",
        ),
        (IMAGES, {"patch_size": 81}, UserError, r"at most the images' size.*81.*mdb001.*96×80"),
        (IMAGES, {"input_size": 33}, UserError, "input_size"),
        (IMAGES, {"input_size": 8}, UserError, "input_size"),
        (IMAGES, {"lesion_copies": -1}, UserError, "lesion_copies"),
        (IMAGES, {"extra_normals": 101}, UserError, "extra_normals"),
        (
            [known(1, circle(40, 30, 5, "unknown")), *IMAGES[2:]],
            {"by_class": True},
            UserError,
            "toy has none",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(monkeypatch, images, options, error, message):
    with pytest.raises(error, match=message) as caught:
        plan_of(images, monkeypatch, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_ratio_is_said_before_anything_is_measured(build_records):
    builder = build_records(list(zip(noise(), IMAGES, strict=True)), cratios=(20,))
    with pytest.raises(UserError, match=r"holds CR 20\. Received: 1\."):
        lesion_patches(read_catalog(builder), builder, cache_dir=None, patch_size=32, input_size=16)


def test_an_unplaced_finding_is_neither_lesion_nor_normal(monkeypatch):
    images = [known(1, circle(40, 30, 5)), known(5, Finding(label="benign")), known(7), known(9)]
    plan = plan_of(images, monkeypatch, extra_normals=9)
    assert ids(plan) == ["mdb001-1", "mdb007-at-mdb001-1", "mdb009-at-mdb001-1"]
