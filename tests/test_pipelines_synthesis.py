"""Synthetic patches: what they are made of, that they are kept whole, and who is refused."""

import keras
import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.cigan import CiganGenerator
from mammo_tf.pipelines.synthesis import synthesize
from mammo_tf.pipelines.synthetic_set import check_patients, read_synthetic, write_synthetic
from mammo_tf.pipelines.task import Task

SIDE = 32


@keras.saving.register_keras_serializable(package="mammo_tf_tests")
class Painter(keras.Model):
    """Stands for a generator: lets the patch through, a lesion 0.2 if benign, 0.9 if malignant."""

    patch_size = SIDE

    def call(self, inputs):
        """Returns (b, side, side, 1)."""
        corrupted, mask, label = inputs
        level = 0.2 * label[:, :1] + 0.9 * label[:, 1:]
        return (1 - mask) * corrupted + mask * level[:, :, None, None]


def make_task(dtype=np.uint8):
    """Rows 0–3 normal, 4–6 benign, 7–9 malignant; row k is of patient pk and has level 50 + k."""
    most = np.iinfo(dtype).max
    images = np.zeros((10, SIDE, SIDE), dtype)
    images[:] = ((50 + np.arange(10)) * (most // 255))[:, None, None]
    masks = np.zeros((10, SIDE, SIDE), np.uint16)
    for row in range(4, 10):
        masks[row, 8 : 8 + row, 10:15] = 1
    names = [f"e{row}" for row in range(10)]
    return Task(
        name="gan",
        example_ids=tuple(names),
        image_ids=np.array(names),
        groups=np.array([f"p{row}" for row in range(10)]),
        labels=np.array([0] * 4 + [1] * 3 + [2] * 3),
        class_names=("normal", "benign", "malignant"),
        evaluated=np.ones(10, bool),
        split=np.full(10, "train"),
        images=lambda cratio: images,
        input_shape=(SIDE, SIDE),
        shapes=np.full((10, 2), 99),
        masks=masks,
    )


TRAIN = np.array([0, 2, 4, 5, 7, 8])


def make(label="malignant", count=5, seed=1, train=TRAIN, task=None):
    options = {"count": count, "label": label, "seed": seed, "zoom_range": (1.0, 1.0)}
    return synthesize(Painter(), task or make_task(), train, **options)


@pytest.mark.parametrize(
    ("label", "level", "rows"), [("benign", 51, "45"), ("malignant", 230, "78")]
)
def test_each_is_a_normal_patch_with_a_lesion_of_its_class(label, level, rows):
    task, made = make_task(), make(label)
    assert len(made) == 5 and set(made.labels) == {label}
    # Both normal patches of the training part before one comes again.
    assert set(made.normal_ids[:2]) == set(made.normal_ids[2:4]) == {"e0", "e2"}
    assert set(made.lesion_ids) <= {f"e{row}" for row in rows}
    for image, mask, normal, lesion in zip(
        made.images, made.masks, made.normal_ids, made.lesion_ids, strict=True
    ):
        assert np.array_equal(mask, task.masks[int(lesion[1:])] != 0)
        assert set(image[mask].tolist()) == {level}
        assert set(image[~mask].tolist()) == {50 + int(normal[1:])}
    assert made.patients == ("p0", "p2", "p4", "p5", "p7", "p8")


def test_the_seed_decides_and_the_type_is_the_tasks():
    ids = [make(count=9, seed=seed).lesion_ids.tolist() for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    deep = make(task=make_task(np.uint16))
    assert deep.images.dtype == np.uint16
    assert set(deep.images[~deep.masks].tolist()) == {50 * 257, 52 * 257}


def test_a_real_generator_serves():
    made = synthesize(
        CiganGenerator(patch_size=SIDE, stackwise_num_filters=(4,) * 4), make_task(), TRAIN,
        count=3, label="benign", seed=1,
    )  # fmt: skip
    assert made.images.shape == (3, SIDE, SIDE) and made.images.dtype == np.uint8


def test_what_cannot_be_is_said_in_one_line():
    with pytest.raises(UserError, match="makes patches of 64 pixels, the task has 32×32"):
        synthesize(
            CiganGenerator(patch_size=64), make_task(), TRAIN, count=1, label="benign", seed=1
        )
    with pytest.raises(UserError, match="class 'malignant' in the training part"):
        make(train=[0, 4])
    with pytest.raises(UserError, match="class 'normal'"):
        make(train=[4, 7])
    with pytest.raises(UserError, match="`class` must be one of benign, malignant"):
        make("normal")
    with pytest.raises(UserError, match="`count`"):
        make(count=0)
    task = make_task()
    task.images(1)[:4] = 9
    with pytest.raises(UserError, match="No lesion lies on tissue"):
        make(task=task)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_written_and_read_it_is_the_same(tmp_path, dtype):
    made = make(task=make_task(dtype))
    path = write_synthetic(made, tmp_path / "out")
    found = read_synthetic(tmp_path / "out")
    for name in ("images", "masks", "labels", "normal_ids", "lesion_ids"):
        assert np.array_equal(getattr(found, name), getattr(made, name))
    assert found.images.dtype == dtype and found.patients == made.patients
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    # Without this package a record still says what it is.
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(path)
    assert builder.info.metadata["is_synthetic"] and "SYNTHETIC" in builder.info.description
    assert all(one["is_synthetic"] for one in tfds.as_numpy(builder.as_dataset(split="train")))
    with pytest.raises(UserError, match="not empty"):
        write_synthetic(made, tmp_path / "out")


def test_no_set_or_a_damaged_one_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no synthetic patches"):
        read_synthetic(tmp_path)
    path = write_synthetic(make(), tmp_path / "out")
    (shard,) = path.glob("*.tfrecord*")
    shard.write_bytes(shard.read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged") as caught:
        read_synthetic(tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_network_that_knew_a_test_patient_is_refused():
    made = make()
    check_patients(made, np.array(["p1", "p3", "p6", "p9"]), "out")
    with pytest.raises(UserError, match="learned from 2 patients of this run's validation or test"):
        check_patients(made, np.array(["p1", "p2", "p8"]), "out")
