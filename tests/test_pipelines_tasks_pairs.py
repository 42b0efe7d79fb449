"""The paper's task from records to pairs, against NumPy slicing worked out by hand."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import view_pairs
from mammo_tf.record import ImageInfo

CRATIOS = (1, 10)
EXAMS = {  # exam: patient, left label, right label, shape, bits, seed
    "s2": ("p2", "malignant", "normal", (100, 60), 12, 1),
    "s1": ("p1", "benign", "malignant", (80, 70), 16, 2),
    "s3": ("p1", "normal", "normal", (100, 60), 12, 3),
    "s4": ("p3", "unknown", "benign", (100, 60), 12, 4),  # its left breast has no label
}
SIDES = {"L": "left", "R": "right"}


def draw(exam, side, view):
    """Blocks of 8 by 8 random grey levels, different for every image."""
    _, _, _, shape, bits, seed = EXAMS[exam]
    rng = np.random.default_rng([seed, side == "R", view == "MLO"])
    blocks = rng.integers(0, 2**bits, (-(-shape[0] // 8), -(-shape[1] // 8)), np.uint16)
    return np.kron(blocks, np.ones((8, 8), np.uint16))[: shape[0], : shape[1]]


def known(exam, side, view):
    patient, left, right, _, bits, _ = EXAMS[exam]
    return {
        "image_id": f"{exam}-{SIDES[side]}_{view.lower()}",
        "patient_id": patient,
        "exam_id": exam,
        "laterality": side,
        "view": view,
        "breast_label": left if side == "L" else right,
        "bits_stored": bits,
    }


@pytest.fixture(scope="module")
def builder(build_records):
    images = [
        (draw(exam, side, view), known(exam, side, view))
        for exam in EXAMS
        for side in "LR"
        for view in ("MLO", "CC")
    ]
    return build_records(images, cratios=CRATIOS, metadata={"is_phantom": True})


@pytest.fixture(scope="module")
def catalog(builder):
    return read_catalog(builder)


@pytest.fixture(scope="module")
def task(builder, catalog):
    plan = view_pairs(catalog, fraction=1)
    return make_task(plan, catalog, builder, cratios=CRATIOS, cache_dir=None, workers=2)


def expected_view(pixels, exam, side, view):
    """Full size: 12 bits to 16, the chest wall's half, a fifth off, right breasts mirrored."""
    pixels = pixels.astype(np.uint32) * 2 ** (16 - EXAMS[exam][4])
    height, width = pixels.shape
    half = pixels[:, : width // 2] if side == "L" else pixels[:, width // 2 :][:, ::-1]
    return half[height // 5 :] if view == "MLO" else half[: height - height // 5]


def test_ids_labels_and_groups(task):
    names = [f"s{n}-{side}" for n in (1, 2, 3) for side in ("left", "right")]
    assert task.example_ids == (*names, "s4-right")
    assert task.groups.tolist() == ["p1", "p1", "p2", "p2", "p1", "p1", "p3"]
    assert task.labels.tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert task.image_ids[:2].tolist() == ["s1-left_cc", "s1-right_cc"]
    assert task.class_names == ("rest", "malignant")
    assert task.evaluated.all()
    assert task.is_phantom and not task.has_official_splits
    assert task.input_shape == (80, 60)  # the commoner detector's 80×30 views, side by side


@pytest.mark.parametrize("cratio", CRATIOS)
def test_pairs_without_resizing_are_slices_at_every_ratio(task, cratio):
    """Of the pixels that this very ratio gives: pairs of another ratio's are others."""
    images = task.images(cratio)
    assert images.shape == (7, 80, 60)
    for row, (exam, side) in {2: ("s2", "L"), 3: ("s2", "R"), 4: ("s3", "L")}.items():
        for first, view in ((0, "CC"), (30, "MLO")):
            drawn = draw(exam, side, view)
            pixels = encode_ladder(drawn, CRATIOS).decode(cratio)
            assert (cratio == 1) == (pixels == drawn).all()
            clipped = np.minimum(pixels, 2 ** EXAMS[exam][4] - 1)
            expected = expected_view(clipped, exam, side, view)
            assert (images[row][:, first : first + 30] == expected).all()


def test_another_detector_is_fitted_and_padded(task):
    # 80×70 gives views of 64×35, which fit into 80×30 as 55×30 (54.9), padded at the bottom.
    left = np.asarray(task.images(1)[0])
    assert left[:55, 29].any()
    assert left[54, :30].any()
    for below in (left[55:, :30], left[55:, 30:]):  # CC and MLO, each with its own dark
        assert (below == below[0, 0]).all()


def test_a_view_is_resized_before_it_is_cropped(catalog):
    info = dataclasses.replace(catalog.images[0], shape=(10, 10), laterality="L", view="CC")
    plan = view_pairs(catalog, fraction=0.5, view_shape=(4, 3))
    pixels = np.zeros((10, 10), np.uint16)
    pixels[:, :5] = 4095
    info = dataclasses.replace(info, bits_stored=12)
    from mammo_tf.pipelines.geometry import resize

    prepared = plan.cut(plan.prepare(pixels, info), info, (), resize)
    # Columns 4|5 meet inside the third of five columns, the middle one, which the left half keeps.
    assert prepared.shape == (4, 3)
    assert prepared[:, 0].tolist() == [65520] * 4
    assert (prepared[:, 2] > 0).all()
    assert (prepared[:, 2] < 65520).all()


def test_the_cache_is_used_and_settings_kept_apart(builder, tmp_path, monkeypatch):
    reads, genuine = [], records.iterate_records
    monkeypatch.setattr(
        records, "iterate_records", lambda *a, **k: reads.append(1) or genuine(*a, **k)
    )

    def pairs(cratios, **options):
        reads.clear()
        catalog = read_catalog(builder, tmp_path)
        plan = view_pairs(catalog, fraction=0.5, **options)
        return make_task(plan, catalog, builder, cratios=cratios, cache_dir=tmp_path, workers=1)

    pairs((1,))
    assert len(reads) == 3 + 1  # each split for the catalog, then one pass for the pixels
    assert pairs((1,)).images(1).shape == (7, 40, 30)
    assert len(reads) == 0
    pairs(CRATIOS)
    assert len(reads) == 1
    assert pairs((10,), view_shape=(64, 48)).images(10).shape == (7, 64, 96)
    assert len(reads) == 1


def test_wrong_arguments(builder, catalog):
    plan = view_pairs(catalog)
    with pytest.raises(UserError, match=r"holds CR 1, 10\. Received: 500"):
        make_task(plan, catalog, builder, cratios=(1, 500), cache_dir=None)
    with pytest.raises(UserError, match="fraction"):
        view_pairs(catalog, fraction=2)
    with pytest.raises(UserError, match="view_shape"):
        view_pairs(catalog, view_shape=(0, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"view": "ML"},
        {"laterality": "unknown"},
        {"breast_label": "unknown"},
        {"is_canonical": False},
    ],
)
def test_what_is_missing_is_said_in_one_line(change):
    usable = [
        ImageInfo(image_id=f"e-{view}", exam_id="e", patient_id="p", shape=(9, 9), laterality="L",
                  view=view, breast_label="benign")
        for view in ("CC", "MLO")
    ]  # fmt: skip
    assert len(view_pairs(Catalog("toy", tuple(usable), "x")).examples) == 1
    spoiled = (usable[0], dataclasses.replace(usable[1], **change))
    with pytest.raises(UserError, match=r"'pairs' needs a CC and an MLO view.*toy has none\.$"):
        view_pairs(Catalog("toy", spoiled, "x"))


def test_views_of_two_examinations_are_no_pair():
    images = [
        ImageInfo(image_id=view, exam_id=exam, patient_id="p", shape=(9, 9), laterality="L",
                  view=view, breast_label="benign")
        for view, exam in (("CC", "e1"), ("MLO", "e2"))
    ]  # fmt: skip
    with pytest.raises(UserError, match="toy has none"):
        view_pairs(Catalog("toy", tuple(images), "x"))


def test_a_damaged_record_is_named(builder, catalog, monkeypatch):
    genuine = records.iterate_records

    def damaged(builder):
        for record in genuine(builder):
            if record["image_id"] == b"s2-left_cc":
                record = record | {"image": record["image"][:-20]}
            yield record

    monkeypatch.setattr(records, "iterate_records", damaged)
    with pytest.raises(DataError, match=r"Image s2-left_cc cannot be decoded") as error:
        make_task(view_pairs(catalog), catalog, builder, cratios=(1,), cache_dir=None)
    assert "\n" not in str(error.value)
