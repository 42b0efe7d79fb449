"""The feed: right pixels, every example once, the same from the same seed, eager and in graphs."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from mammo_tf.errors import UserError
from mammo_tf.pipelines.augment import AugmentConfig, affine_transforms, draw_uniforms
from mammo_tf.pipelines.feed import make_feed, standardise, warp

ALL = AugmentConfig(
    horizontal_flip=True,
    vertical_flip=True,
    rotation_degrees=180,
    shift_px=3,
    scale_range=(0.8, 1.25),
    brightness=0.2,
    contrast=0.2,
)


def images_of(shape, dtype="uint16", seed=0):
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype, endpoint=True)


def collect(feed):
    batches = list(feed.as_numpy_iterator())
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


def plain_standardise(image):
    image = image.astype(np.float64)
    return (image - image.mean()) / max(image.std(), 1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("stored", [(20, 16), (27, 21)])
def test_ordered_feed_is_the_standardised_centre(dtype, stored):
    images = images_of((7, *stored), dtype)
    labels = np.array([0, 1, 1, 0, 0, 1, 0])
    indices = [5, 0, 3]
    feed = make_feed([images], indices, labels, input_shape=(20, 16), batch_size=2)
    got, targets = collect(feed)
    top, left = (stored[0] - 20) // 2, (stored[1] - 16) // 2
    for row, index in enumerate(indices):
        expected = plain_standardise(images[index, top : top + 20, left : left + 16])
        np.testing.assert_allclose(got[row, :, :, 0], expected, atol=2e-5)
    assert targets.ravel().tolist() == [1, 0, 0]
    assert got.dtype == targets.dtype == np.float32


def test_blank_and_maximal_images_stay_finite():
    images = np.zeros((2, 20, 16), "uint16")
    images[1] = 65535
    got, _ = collect(make_feed([images], [0, 1], [0, 1], input_shape=(20, 16), batch_size=2))
    np.testing.assert_array_equal(got, 0)


def test_reads_memory_mapped_files(tmp_path):
    images = images_of((5, 24, 20))
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    arguments = {"input_shape": (20, 16), "batch_size": 3}
    from_file, _ = collect(make_feed([mapped], range(5), [0] * 5, **arguments))
    in_memory, _ = collect(make_feed([images], range(5), [0] * 5, **arguments))
    np.testing.assert_array_equal(from_file, in_memory)


def test_the_epoch_is_the_union_of_the_arrays():
    # Grey level patterns by source and example, so that each image names itself.
    def ramp(source):
        stack = np.zeros((6, 20, 16), "uint16")
        for example in range(6):
            stack[example, example, source] = 1000
        return stack

    feed = make_feed(
        [ramp(0), ramp(1), ramp(2)],
        [1, 2, 5],
        [0, 1, 0, 0, 0, 1],
        input_shape=(20, 16),
        batch_size=4,
        seed=3,
    )
    for _ in range(2):
        got, targets = collect(feed)
        peaks = [np.unravel_index(image[:, :, 0].argmax(), (20, 16)) for image in got]
        assert sorted(map(tuple, np.array(peaks).tolist())) == [
            (example, source) for example in (1, 2, 5) for source in (0, 1, 2)
        ]
        for (example, _source), target in zip(peaks, targets.ravel(), strict=True):
            assert target == (example in (1, 5))


def named_by_peak(num_arrays, num_examples):
    """Images of one bright pixel, in the row of the example and the column of the array."""
    stacks = np.zeros((num_arrays, num_examples, 20, 16), "uint16")
    for source, example in np.ndindex(num_arrays, num_examples):
        stacks[source, example, example, source] = 1000
    return list(stacks)


def peaks_of(feed):
    got, targets = collect(feed)
    peaks = np.array([np.unravel_index(image[..., 0].argmax(), (20, 16)) for image in got])
    return peaks, targets.ravel()


def test_drawn_arrays_show_each_example_once_a_pass_from_one_of_them():
    indices, labels = np.arange(2, 18), np.arange(20) % 2
    options = {"input_shape": (20, 16), "batch_size": 5, "draw": True}
    feed = make_feed(named_by_peak(3, 20), indices, labels, seed=3, **options)
    counts, passes = np.zeros((20, 3), int), []
    for _ in range(30):
        peaks, targets = peaks_of(feed)
        assert sorted(peaks[:, 0].tolist()) == indices.tolist()
        np.testing.assert_array_equal(targets, labels[peaks[:, 0]])
        np.add.at(counts, tuple(peaks.T), 1)
        passes.append(tuple(peaks[np.argsort(peaks[:, 0]), 1].tolist()))
    assert len(set(passes)) == 30
    # 16 examples in 30 passes: each array a third of 480 times, ±10.3; each example meets all.
    assert (abs(counts.sum(axis=0) - 160) < 42).all()
    assert (counts[indices] > 0).all()
    again = make_feed(named_by_peak(3, 20), indices, labels, seed=3, **options)
    other = make_feed(named_by_peak(3, 20), indices, labels, seed=4, **options)
    for repeated, same in ((again, True), (other, False)):
        peaks, _ = peaks_of(repeated)
        assert (tuple(peaks[np.argsort(peaks[:, 0]), 1].tolist()) == passes[0]) is same
    with pytest.raises(UserError, match="`draw` needs a `seed`"):
        make_feed(named_by_peak(3, 20), indices, labels, **options)


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"),
    [
        (65, 64, [33, 32]),
        (33, 32, [17, 16]),
        (3, 2, [3]),
        (5, 2, [3, 2]),
        (64, 32, [32, 32]),
        (1, 32, [1]),
        (2, 32, [2]),
    ],
)
def test_no_batch_of_one_and_nothing_dropped(count, batch_size, expected):
    images = images_of((count, 20, 16), "uint8")
    feed = make_feed(
        [images], range(count), [0] * count, input_shape=(20, 16), batch_size=batch_size, seed=0
    )
    assert [len(batch) for batch, _ in feed] == expected
    assert int(feed.cardinality()) == len(expected)


def test_same_seed_same_images_and_new_order_each_epoch():
    images = images_of((12, 40, 36))
    labels = np.arange(12) % 2

    def feed(seed, augment=ALL):
        return make_feed(
            [images],
            range(12),
            labels,
            input_shape=(28, 24),
            batch_size=5,
            seed=seed,
            augment=augment,
        )

    first, again, other = feed(1), feed(1), feed(2)
    epochs = [collect(first) for _ in range(3)]
    for images_, labels_ in epochs:
        images_again, labels_again = collect(again)
        np.testing.assert_array_equal(images_, images_again)
        np.testing.assert_array_equal(labels_, labels_again)
    assert not np.array_equal(epochs[0][0], epochs[1][0])
    assert not np.array_equal(epochs[0][0], collect(other)[0])
    plain = feed(1, None)
    one, two = collect(plain)[0], collect(plain)[0]
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(np.sort(one.sum((1, 2, 3))), np.sort(two.sum((1, 2, 3))))


def test_neither_the_global_seed_nor_a_pass_cut_short_changes_an_epoch():
    images = images_of((12, 20, 16))

    def feed():
        return make_feed([images], range(12), [0] * 12, input_shape=(20, 16), batch_size=2, seed=1)

    tf.random.set_seed(1)
    first = feed()
    epochs = [collect(first)[0] for _ in range(2)]
    tf.random.set_seed(2)
    second = feed()
    next(iter(second))  # as Keras does when it looks at the first batch
    np.testing.assert_array_equal(collect(second)[0], epochs[1])


def test_images_are_read_while_the_network_works_with_deterministic_ops_too():
    # In a process of its own, since deterministic ops cannot be turned off again.
    code = """
import time
import numpy as np, tensorflow as tf
from mammo_tf.pipelines.feed import make_feed
tf.config.experimental.enable_op_determinism()
reads = 0
class Counted(np.ndarray):
    def __getitem__(self, key):
        global reads
        reads += 1
        return super().__getitem__(key)
images = np.zeros((20, 8, 8), "uint8").view(Counted)
feed = make_feed([images], range(20), [0] * 20, input_shape=(8, 8), batch_size=2, seed=0)
batches = iter(feed)
next(batches)
deadline = time.monotonic() + 60
while reads <= 2 and time.monotonic() < deadline:  # the first batch has two images
    time.sleep(0.01)
print("reads", reads)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert "NodeDef mentions attribute" not in done.stderr
    # The next batch is read while the first one is used, before anybody asks for it.
    assert int(done.stdout.split()[-1]) > 2, done.stderr


def test_augmentation_belongs_to_the_example_not_to_the_batch():
    images = images_of((6, 40, 36))
    arguments = {"input_shape": (28, 24), "seed": 4, "augment": ALL, "shuffle": False}
    small, _ = collect(make_feed([images], range(6), [0] * 6, batch_size=2, **arguments))
    large, _ = collect(make_feed([images], range(6), [0] * 6, batch_size=6, **arguments))
    np.testing.assert_array_equal(small, large)


def test_identity_augmentation_changes_nothing():
    images = images_of((3, 27, 21))
    transforms = affine_transforms(
        AugmentConfig(), draw_uniforms(0, 0, 3), stored_shape=(27, 21), input_shape=(20, 16)
    )
    stored = tf.constant(images[..., None], tf.float32)
    got = warp(stored, tf.constant(transforms), (20, 16), "constant").numpy()
    np.testing.assert_array_equal(got[..., 0], images[:, 3:23, 2:18])


def test_flips_and_quarter_turns_are_exact():
    image = images_of((1, 20, 20))
    uniforms = np.full((8, 9), 0.5)
    uniforms[:, 0] = [0.9, 0.1] * 4  # mirrored left to right below one half
    uniforms[:, 3] = np.repeat([0.0, 0.3, 0.6, 0.9], 2)
    config = AugmentConfig(horizontal_flip=True, quarter_turns=True)
    transforms = affine_transforms(config, uniforms, stored_shape=(20, 20), input_shape=(20, 20))
    stored = tf.constant(np.repeat(image, 8, axis=0)[..., None], tf.float32)
    got = warp(stored, tf.constant(transforms), (20, 20), "constant").numpy()[..., 0]
    turned = [np.rot90(image[0], k) for k in range(4)]
    expected = {turn.tobytes() for turn in turned}
    expected |= {np.ascontiguousarray(turn[:, ::-1]).tobytes() for turn in turned}
    assert {np.ascontiguousarray(g).astype("uint16").tobytes() for g in got} == expected
    np.testing.assert_array_equal(got[0], image[0])
    np.testing.assert_array_equal(got[1], image[0][:, ::-1])


def test_shifts_are_whole_pixels():
    images = images_of((40, 30, 26))
    feed = make_feed(
        [images],
        range(40),
        [0] * 40,
        input_shape=(20, 16),
        batch_size=40,
        seed=0,
        shuffle=False,
        augment=AugmentConfig(shift_px=2),
    )
    got, _ = collect(feed)
    seen = set()
    for index in range(40):
        for top in range(3, 8):
            for left in range(3, 8):
                window = plain_standardise(images[index, top : top + 20, left : left + 16])
                if np.allclose(window, got[index, :, :, 0], atol=1e-4):
                    seen.add((top, left))
                    break
            else:
                continue
            break
        else:
            raise AssertionError(f"image {index} is no shift of the stored one")
    assert {top for top, _ in seen} == {left for _, left in seen} == {3, 4, 5, 6, 7}


def test_rotation_and_scale_against_scipy():
    image = scipy.ndimage.gaussian_filter(images_of((50, 46)).astype(np.float64), 2)
    config = AugmentConfig(
        horizontal_flip=True, rotation_degrees=60, scale_range=(0.7, 1.3), shift_px=2
    )
    uniforms = draw_uniforms(9, 0, 6)
    transforms = affine_transforms(config, uniforms, stored_shape=(50, 46), input_shape=(30, 28))
    stored = tf.constant(np.repeat(image[None, ..., None], 6, axis=0), tf.float32)
    got = warp(stored, tf.constant(transforms), (30, 28), "constant").numpy()[..., 0]
    for row, u in enumerate(uniforms):
        # The same map, written anew in (row, column) order: turn, magnify, mirror, move.
        angle = np.deg2rad(60 * (2 * u[2] - 1))
        scale = 0.7 * (1.3 / 0.7) ** u[4]
        mirror = -1 if u[0] < 0.5 else 1
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = turn @ np.diag([1, mirror]) / scale
        centre = np.array([10 + 14.5, 9 + 13.5])
        centre += [np.floor(5 * u[6]) - 2, np.floor(5 * u[5]) - 2]
        offset = centre - matrix @ [14.5, 13.5]
        expected = scipy.ndimage.affine_transform(
            image, matrix, offset, output_shape=(30, 28), order=1, mode="constant"
        )
        inside = expected > 0.2 * image.mean()
        np.testing.assert_allclose(got[row][inside], expected[inside], rtol=2e-3)
        assert inside.mean() > 0.7


def test_a_moved_image_ends_in_its_own_dark():
    """A constant that is no grey level of the image would decide its mean and deviation."""
    images = np.empty((2, 40, 40), np.uint16)
    images[0], images[1] = 62000, 40
    images[:, 10:30, 10:30] += images_of((2, 20, 20)) % 500 + 100
    images[0, 15, 15] = 0  # a dead pixel
    feed = make_feed(
        [images],
        range(2),
        [0] * 2,
        input_shape=(40, 40),
        batch_size=2,
        seed=3,
        shuffle=False,
        augment=AugmentConfig(rotation_degrees=45, fill_mode="constant"),
    )
    got, _ = collect(feed)
    uniforms = draw_uniforms(3, 0, 2)
    for image, level, seen, u in zip(images, (62000, 40), got[..., 0], uniforms, strict=True):
        angle = np.deg2rad(45 * (2 * u[2] - 1))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        offset = np.array([19.5, 19.5]) - turn @ [19.5, 19.5]
        expected = scipy.ndimage.affine_transform(
            image.astype(float), turn, offset, order=1, mode="constant", cval=level
        )
        np.testing.assert_allclose(seen, plain_standardise(expected), atol=2e-2)
        assert seen[0, 0] == pytest.approx(seen[0, 20], abs=1e-3)  # the corner is like the air


def test_eager_and_mapped_agree():
    images = images_of((4, 30, 26))
    config = AugmentConfig(rotation_degrees=90, shift_px=2)
    feed = make_feed(
        [images],
        range(4),
        [0] * 4,
        input_shape=(20, 16),
        batch_size=4,
        seed=5,
        shuffle=False,
        augment=config,
    )
    mapped, _ = collect(feed)
    transforms = affine_transforms(
        config, draw_uniforms(5, 0, 4), stored_shape=(30, 26), input_shape=(20, 16)
    )
    stored = tf.constant(images[..., None], tf.float32)
    eager = standardise(warp(stored, tf.constant(transforms), (20, 16), "reflect"))
    np.testing.assert_allclose(mapped, eager.numpy(), atol=1e-6)


def test_intensity_is_changed_after_standardising():
    images = images_of((50, 20, 16))
    feed = make_feed(
        [images],
        range(50),
        [0] * 50,
        input_shape=(20, 16),
        batch_size=50,
        seed=0,
        augment=AugmentConfig(brightness=0.5, contrast=0.3),
    )
    got, _ = collect(feed)
    means, deviations = got.mean((1, 2, 3)), got.std((1, 2, 3))
    assert -0.5 <= means.min() < -0.3 and 0.3 < means.max() <= 0.5
    assert 0.7 <= deviations.min() < 0.8 and 1.2 < deviations.max() <= 1.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrays": []}, "at least one array"),
        ({"indices": []}, "at least one array"),
        ({"indices": [0, 6]}, "from 0 to 5"),
        ({"indices": [-1]}, "from 0 to 5"),
        ({"labels": [0, 1]}, r"`labels` must be \(6,\)"),
        ({"input_shape": (21, 16)}, "at most the images'"),
        ({"batch_size": 0}, "at least 1"),
        ({"seed": None, "augment": ALL}, "needs a `seed`"),
        ({"augment": AugmentConfig(quarter_turns=True)}, "square"),
        ({"arrays": [np.zeros((6, 20, 16), "float32")]}, "uint8 or uint16"),
        (
            {"arrays": [np.zeros((6, 20, 16), "uint8"), np.zeros((6, 20, 17), "uint8")]},
            "one shape and one type",
        ),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {
        "arrays": [np.zeros((6, 20, 16), "uint8")],
        "indices": range(6),
        "labels": [0] * 6,
        "input_shape": (20, 16),
        "batch_size": 2,
        "seed": 0,
        **change,
    }
    with pytest.raises(UserError, match=message):
        make_feed(
            arguments.pop("arrays"), arguments.pop("indices"), arguments.pop("labels"), **arguments
        )


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_degrees": 181},
        {"shift_px": -1},
        {"scale_range": (1.2, 0.8)},
        {"scale_range": (0.0, 1.0)},
        {"contrast": 1.0},
        {"brightness": -0.1},
        {"fill_mode": "wrap"},
    ],
)
def test_augmentation_out_of_range_is_refused(change):
    with pytest.raises(UserError, match=next(iter(change))):
        AugmentConfig(**change)
