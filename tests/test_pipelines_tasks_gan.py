"""ciGAN's patches, cut from small images drawn by hand: which windows, which label, which mask."""

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.pipelines import window_labels
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import gan_patches
from mammo_tf.pipelines.tasks.gan_patches import label_of
from mammo_tf.record import Finding, ImageInfo
from mammo_tf.training.folds import official_fold

SIDE = 96
OPTIONS = {"cache_dir": None, "patch_size": 32, "stride": 16}


def breast():
    """Columns 0 to 71 are tissue, each pixel of another level; the rest is air."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[:, :72] = 100 + np.add.outer(np.arange(SIDE), 2 * np.arange(72)) % 100
    return image


def masked(number, square, label, split=""):
    """An image whose only finding is a square (top, left, bottom, right) with a pixel mask."""
    top, left, bottom, right = square
    masks = np.zeros((SIDE, SIDE), np.uint16)
    masks[top:bottom, left:right] = 1
    finding = Finding(label=label, mark="mask", box_yxyx_px=tuple(map(float, square)))
    known = {"image_id": f"i{number}", "patient_id": f"p{number}", "findings": (finding,)}
    return known | {"label": label, "masks": masks} | ({"split": split} if split else {})


def normal(number):
    return {"image_id": f"i{number}", "patient_id": f"p{number}", "label": "normal"}


@pytest.fixture(scope="module")
def built(build_records):
    images = [masked(1, (36, 36, 44, 44), "malignant"), masked(2, (0, 0, 16, 8), "benign")]
    builder = build_records([(breast(), known) for known in [*images, normal(3)]], cratios=(1,))
    return read_catalog(builder), builder


def starts(plan, row, label):
    """(row, column) of the top left corner of each window of an image with a label."""
    return {
        (example.parts[0].place[0] - 16, example.parts[0].place[1] - 16)
        for example in plan.examples
        if example.parts[0].image == row and example.label == label
    }


def test_a_windows_shares_are_counted_pixel_by_pixel():
    rng = np.random.default_rng(0)
    findings = tuple(Finding(label="benign", mark="mask") for _ in range(3))
    info = ImageInfo(image_id="a", patient_id="a", exam_id="a", shape=(23, 17), findings=findings)
    inside, masks = rng.random((23, 17)) < 0.5, rng.integers(0, 8, (23, 17)).astype(np.uint16)
    masks &= 0b101  # the second finding has no pixel
    found = window_labels.windows_of(info, inside, masks, 5, 3)
    assert len(found.places) == 7 * 5
    for place, share, seen, filled in zip(
        found.places, found.breast, found.seen, found.filled, strict=True
    ):
        rows = slice(place[0] - 2, place[0] + 3)
        columns = slice(place[1] - 2, place[1] + 3)
        assert share == inside[rows, columns].mean()
        for k in range(3):
            plane = (masks >> k) & 1
            assert filled[k] == plane[rows, columns].mean()
            assert seen[k] == plane[rows, columns].sum() / max(plane.sum(), 1)
    assert not found.seen[:, 1].any()


def test_windows_by_hand(built):
    catalog, builder = built
    plan = gan_patches(catalog, builder, **OPTIONS)
    # Windows start at 0, 16, … 64. Columns 72 and more are air, so one that starts at 64 shows
    # a quarter of breast, at 48 three quarters.
    assert starts(plan, 2, 0) == {(r, c) for r in range(0, 65, 16) for c in range(0, 49, 16)}
    # The square's rows and columns 36 to 43 lie whole in windows that start at 16 or 32.
    assert starts(plan, 0, 2) == {(16, 16), (16, 32), (32, 16), (32, 32)}
    # None shows a part of it, and where it is not seen tissue is normal.
    assert starts(plan, 0, 0) == starts(plan, 2, 0) - starts(plan, 0, 2)
    assert not starts(plan, 0, 1)
    # The second's rows 0 to 15 and columns 0 to 7 lie in one window alone.
    assert starts(plan, 1, 1) == {(0, 0)}
    assert plan.class_names == ("normal", "benign", "malignant") and plan.notes == ()


def test_pixels_and_masks_are_those_of_the_window(built):
    catalog, builder = built
    plan = gan_patches(catalog, builder, **OPTIONS)
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    assert task.images(1).shape == task.masks.shape == (len(task), 32, 32)
    row = task.example_ids.index("i1-32-48")  # starts at row 16 and column 32
    assert np.array_equal(task.images(1)[row], breast()[16:48, 32:64])
    expected = np.zeros((32, 32), int)
    expected[20:28, 4:12] = 1
    assert np.array_equal(task.masks[row], expected)
    assert task.labels[row] == 2 and task.groups[row] == "p1"
    empty = task.labels == 0
    assert not np.asarray(task.masks)[empty].any() and np.asarray(task.masks)[~empty].any()


def test_part_of_a_finding_counts_as_asked_for():
    info = ImageInfo(
        image_id="a", patient_id="a", exam_id="a", shape=(9, 9), label="malignant",
        findings=tuple(
            Finding(label=label, mark="mask") for label in ("benign", "malignant", "unknown")
        ),
    )  # fmt: skip
    seen = np.array(
        [[0, 0, 0], [0.4, 0, 0], [0.5, 0, 0], [1, 0.2, 0], [1, 0.6, 0], [0, 0, 1], [0.1, 0, 0]]
    )
    filled = np.zeros_like(seen)
    filled[6, 0] = 0.7  # a window inside a large finding
    assert label_of(info, seen, filled, 0.5).tolist() == [0, -1, 1, 1, 2, -1, 1]
    assert label_of(info, seen, filled, 0).tolist() == [0, 1, 1, 2, 2, -1, 1]


def test_normal_windows_need_to_be_known_as_such():
    def info(label, *marks):
        findings = tuple(Finding(label="benign", mark=mark) for mark in marks)
        return ImageInfo(
            image_id="a", patient_id="a", exam_id="a", shape=(9, 9), label=label, findings=findings
        )

    def label(known):
        shares = np.zeros((1, len(known.findings)))
        return label_of(known, shares, shares, 0.5).tolist()

    assert label(info("normal")) == [0] and label(info("benign", "mask")) == [0]
    # A finding somewhere, or a label without a finding: nothing tells where it is.
    assert label(info("benign", "mask", "none")) == label(info("benign")) == [-1]


def test_scale_and_numbers(built):
    catalog, builder = built
    plan = gan_patches(catalog, builder, cache_dir=None, patch_size=16, stride=8, image_scale=0.5)
    assert starts(plan, 0, 2) == {(16, 16), (16, 32), (32, 16), (32, 32)}
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    assert task.images(1).shape == (len(task), 16, 16)
    few = {"most_per_class": (5, 9, 2)}
    drawn = [gan_patches(catalog, builder, **OPTIONS, **few, seed=seed) for seed in (1, 1, 2)]
    for one in drawn:
        assert np.bincount([example.label for example in one.examples]).tolist() == [5, 1, 2]
    ids = [[example.example_id for example in one.examples] for one in drawn]
    assert ids[0] == ids[1] != ids[2]


def test_a_box_gives_its_ellipse_and_the_notes_say_so(build_records):
    box = Finding(label="benign", mark="box", box_yxyx_px=(32.0, 32.0, 48.0, 44.0))
    images = [masked(1, (36, 36, 44, 44), "malignant"), normal(3)]
    images.append(normal(2) | {"label": "benign", "findings": (box,)})
    builder = build_records([(breast(), known) for known in images], cratios=(1,))
    catalog = read_catalog(builder)
    plan = gan_patches(catalog, builder, **OPTIONS)
    assert plan.notes == ("1 of 2 masks are ellipses in a box or circle.",)
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    mask = task.masks[task.example_ids.index("i2-48-48")]  # starts at 32
    assert mask[8, 6] == 1 and mask[0, 0] == mask[15, 11] == 0
    assert mask.sum() == pytest.approx(np.pi * 8 * 6, rel=0.03)


def test_official_test_stays_test_and_validation_is_of_training_patients(build_records):
    squares = (36, 36, 44, 44)
    images = [
        masked(n, squares, "malignant" if n % 2 else "benign", "test" if n > 8 else "train")
        for n in range(1, 13)
    ]
    builder = build_records([(breast(), known) for known in images], cratios=(1,))
    catalog = read_catalog(builder)
    plan = gan_patches(catalog, builder, **OPTIONS)
    task = make_task(plan, catalog, builder, cratios=(1,), cache_dir=None)
    fold = official_fold(task.labels == 2, task.groups, task.split)
    patients = [set(task.groups[part]) for part in (fold.train, fold.validation, fold.test)]
    assert patients[2] == {"p9", "p10", "p11", "p12"} and patients[1]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_size": 8}, "patch_size"),
        ({"stride": 0}, "stride"),
        ({"image_scale": 0.0}, "image_scale"),
        ({"most_per_class": (1, 2)}, "three numbers"),
        ({"patch_size": 128}, "No window of 128 pixels lies on the breast"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(built, options, message):
    with pytest.raises(UserError, match=message) as caught:
        gan_patches(*built, **{**OPTIONS, **options})
    assert "\n" not in str(caught.value)


def test_masks_beside_the_breast_and_findings_without_a_class(build_records):
    off = masked(1, (36, 84, 44, 92), "malignant")
    builder = build_records([(breast(), known) for known in (off, normal(2), normal(3))])
    with pytest.raises(UserError, match="Are the masks on the breast"):
        gan_patches(read_catalog(builder), builder, **OPTIONS)
    unknown = masked(1, (36, 36, 44, 44), "unknown")
    builder = build_records([(breast(), known) for known in (unknown, normal(2), normal(3))])
    with pytest.raises(UserError, match="needs findings, benign or malignant"):
        gan_patches(read_catalog(builder), builder, **OPTIONS)
