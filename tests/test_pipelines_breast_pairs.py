"""The paper's task from ladders to pairs, against NumPy slicing worked out by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from mammo_tf.codecs import openjpeg
from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.breast_pairs import breast_pairs_task, prepare_view

CRATIOS = (1, 10)
FINDINGS = ("normal", "benign", "malignant")
VIEWS = ("left_cc", "left_mlo", "right_cc", "right_mlo")


class Builder:
    """What the pipelines need of a TFDS builder, over records in a list."""

    def __init__(self, studies, *, cratios=CRATIOS, is_phantom=True):
        self.studies, self.reads = studies, 0
        self.builder_config = SimpleNamespace(cratios=cratios)
        self.info = SimpleNamespace(
            full_name="ncc/ladder/1.0.0",
            metadata={"is_phantom": is_phantom, "source_fingerprint": "abc"},
            splits={
                "train": SimpleNamespace(
                    num_examples=len(studies), num_bytes=1, shard_lengths=[len(studies)]
                )
            },
            features={"left_finding": SimpleNamespace(names=list(FINDINGS))},
        )


@pytest.fixture(autouse=True)
def _read_from_lists(monkeypatch):
    def iterate(builder):
        builder.reads += 1
        return iter(builder.studies)

    monkeypatch.setattr(records, "iterate_records", iterate)


def _study(name, patient, left, right, *, shape, bits, seed):
    openjpeg.configure()
    rng = np.random.default_rng(seed)
    study = {
        "study_id": name.encode(),
        "patient_id": patient.encode(),
        "left_finding": FINDINGS.index(left),
        "right_finding": FINDINGS.index(right),
        "views": {},
    }
    for view in VIEWS:
        blocks = rng.integers(0, 2**bits, (-(-shape[0] // 8), -(-shape[1] // 8)), np.uint16)
        pixels = np.kron(blocks, np.ones((8, 8), np.uint16))[: shape[0], : shape[1]]
        study["views"][view] = {
            "image": encode_ladder(pixels, CRATIOS).to_bytes(),
            "bits_stored": np.int32(bits),
            "pixels": pixels,
        }
    return study


@pytest.fixture(scope="module")
def studies():
    return [
        _study("s2", "p2", "malignant", "normal", shape=(100, 60), bits=12, seed=1),
        _study("s1", "p1", "benign", "malignant", shape=(80, 70), bits=16, seed=2),
        _study("s3", "p1", "normal", "normal", shape=(100, 60), bits=12, seed=3),
    ]


def _expected_view(view, *, bits):
    """Full size: 12 bits to 16, the chest wall's half, a fifth off, right breasts mirrored."""
    laterality, name = view["name"].split("_")
    pixels = view["pixels"].astype(np.uint32) * 2 ** (16 - bits)
    height, width = pixels.shape
    half = pixels[:, : width // 2] if laterality == "left" else pixels[:, width // 2 :][:, ::-1]
    return half[height // 5 :] if name == "mlo" else half[: height - height // 5]


def test_pairs_without_resizing_are_slices(studies, tmp_path):
    task = breast_pairs_task(
        Builder(studies), cratios=CRATIOS, cache_dir=tmp_path, fraction=1, workers=2
    )
    assert task.example_ids == tuple(
        f"s{n}-{side}" for n in (1, 2, 3) for side in ("left", "right")
    )
    assert task.groups.tolist() == ["p1", "p1", "p2", "p2", "p1", "p1"]
    assert task.labels.tolist() == [0, 1, 1, 0, 0, 0]
    assert task.evaluated.all()
    assert task.is_phantom
    assert task.input_shape == (80, 60)  # the commoner detector's 80×30 views, side by side
    images = task.images(1)
    assert images.shape == (6, 80, 60)
    for row, side in ((2, "left"), (3, "right")):
        for first, name in ((0, "cc"), (30, "mlo")):
            view = {"name": f"{side}_{name}", **studies[0]["views"][f"{side}_{name}"]}
            assert (images[row, :, first : first + 30] == _expected_view(view, bits=12)).all()


def test_another_detector_is_fitted_and_padded(studies):
    task = breast_pairs_task(Builder(studies), cratios=(1,), cache_dir=None, fraction=1)
    # 80×70 gives views of 64×35, which fit into 80×30 as 55×30 (54.9), padded at the bottom.
    left = task.images(1)[0]
    assert left[:55, 29].any()
    assert left[54, :30].any()
    assert not left[55:].any()


def test_prepare_view_resizes_before_it_crops():
    pixels = np.zeros((10, 10), np.uint16)
    pixels[:, :5] = 4095
    prepared = prepare_view(pixels, view="CC", laterality="L", bits_stored=12, fraction=0.5)
    # Columns 4|5 meet inside the third of five columns, the middle one, which the left half keeps.
    assert prepared.shape == (4, 3)
    assert prepared[:, 0].tolist() == [65520] * 4
    assert (prepared[:, 2] > 0).all()
    assert (prepared[:, 2] < 65520).all()


def test_the_cache_is_used_and_settings_kept_apart(studies, tmp_path):
    builder = Builder(studies)
    breast_pairs_task(builder, cratios=(1,), cache_dir=tmp_path, fraction=0.5, workers=1)
    assert builder.reads == 2  # one for the index, one for the pixels
    task = breast_pairs_task(builder, cratios=(1,), cache_dir=tmp_path, fraction=0.5, workers=1)
    assert builder.reads == 2
    assert task.images(1).shape == (6, 40, 30)
    breast_pairs_task(builder, cratios=CRATIOS, cache_dir=tmp_path, fraction=0.5, workers=1)
    assert builder.reads == 3
    other = breast_pairs_task(
        builder, cratios=(10,), cache_dir=tmp_path, fraction=0.5, view_shape=(64, 48), workers=1
    )
    assert builder.reads == 4
    assert other.images(10).shape == (6, 64, 96)


def test_wrong_arguments(studies):
    def run(builder=None, **kwargs):
        arguments = {"cratios": (1,), "cache_dir": None, **kwargs}
        return breast_pairs_task(builder or Builder(studies), **arguments)

    with pytest.raises(UserError, match=r"holds CR 1, 10\. Received: 500"):
        run(cratios=(1, 500))
    with pytest.raises(UserError, match="keeps no compression ratios"):
        run(Builder(studies, cratios=()))
    with pytest.raises(UserError, match="fraction"):
        run(fraction=2)
    with pytest.raises(UserError, match="view_shape"):
        run(view_shape=(0, 5))
    with pytest.raises(DataError, match="s1 is in the data set twice"):
        run(Builder([studies[1], studies[1]]))


def test_a_damaged_record_is_named(studies):
    view = studies[0]["views"]["left_cc"]
    damaged = {**studies[0], "views": {**studies[0]["views"], "left_cc": {**view}}}
    damaged["views"]["left_cc"]["image"] = view["image"][:-20]
    with pytest.raises(DataError, match=r"Study s2, left CC, cannot be decoded"):
        breast_pairs_task(Builder([damaged]), cratios=(1,), cache_dir=None)
