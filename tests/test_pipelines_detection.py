"""Images with boxes: a bright disc shows where its box must be after every change."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from mammo_tf.errors import UserError
from mammo_tf.models.ssd import BoxLayout, default_boxes, make_targets
from mammo_tf.pipelines.detection import augment as augment_module
from mammo_tf.pipelines.detection.augment import (
    WHOLE,
    DetectionAugmentConfig,
    augment,
    boxes_in_window,
    change_greys,
    cut_window,
    draw_window,
    flip_horizontally,
    flip_vertically,
    rotate,
)
from mammo_tf.pipelines.detection.batches import DetectionBatches, make_detection_feed, to_network
from mammo_tf.pipelines.detection.examples import boxes_of, detection_task, image_of
from mammo_tf.pipelines.turned import turned_copies

HEIGHT, WIDTH = 80, 120
SAME = DetectionAugmentConfig(
    horizontal_flip=False,
    vertical_flip=False,
    rotation_degrees=0,
    zoom_in=0,
    zoom_out=0,
    gamma=0,
    contrast=0,
    noise=0,
)
NO_BOXES = np.zeros((0, 4))


def draw_ellipse(row, column, half_height, half_width, shape=(HEIGHT, WIDTH), background=20):
    """An image with a bright ellipse, and the relative (1, 4) box round it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = ((rows - row) / half_height) ** 2 + ((columns - column) / half_width) ** 2 <= 1
    box = [row - half_height, column - half_width, row + half_height, column + half_width]
    image = np.where(inside, 240, background).astype(np.uint8)
    return image, np.array([box]) / [*shape, *shape]


def bright_box_px(image, threshold=128):
    """(4,) box round the bright pixels."""
    rows, columns = np.nonzero(image > threshold)
    return np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])


def assert_follows(image, boxes, tolerance=1.5):
    """The only box is round the bright pixels, and its middle is theirs."""
    assert boxes.shape == (1, 4)
    box = boxes[0] * [*image.shape, *image.shape]
    np.testing.assert_allclose(box, bright_box_px(image), atol=tolerance)
    centroid = np.mean(np.nonzero(image > 128), axis=1) + 0.5
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, centroid, atol=tolerance / 2)


DISC, DISC_BOX = draw_ellipse(22, 85, 10, 10)


class TestTransforms:
    def test_the_drawing_itself(self):
        assert_follows(DISC, DISC_BOX, 0.6)

    def test_flips(self):
        image, boxes = flip_horizontally(DISC, DISC_BOX)
        assert_follows(image, boxes, 0.6)
        np.testing.assert_allclose(boxes[0] * [80, 120, 80, 120], [12, 25, 32, 45])
        image, boxes = flip_vertically(DISC, DISC_BOX)
        assert_follows(image, boxes, 0.6)
        np.testing.assert_allclose(boxes[0] * [80, 120, 80, 120], [48, 75, 68, 95])

    @pytest.mark.parametrize("degrees", [0, 17, -17, 60, -90, 120, 180])
    def test_a_turned_disc(self, degrees):
        image, boxes = draw_ellipse(34, 78, 9, 9)
        turned, moved = rotate(image, boxes, degrees)
        assert turned.shape == image.shape
        assert_follows(turned, moved)
        sizes = (moved[0, 2:] - moved[0, :2]) * [HEIGHT, WIDTH]
        np.testing.assert_allclose(sizes, 18)  # as large as before

    @pytest.mark.parametrize("degrees", [30, -65])
    def test_a_turned_ellipse(self, degrees):
        image, boxes = draw_ellipse(42, 66, 6, 22)
        assert_follows(*rotate(image, boxes, degrees))

    def test_a_quarter_is_anticlockwise(self):
        image, boxes = draw_ellipse(20, 60, 8, 5, (80, 80))
        turned, moved = rotate(image, boxes, 90)
        np.testing.assert_array_equal(turned, np.rot90(image))
        # (y, x) goes to (80 − x, y).
        np.testing.assert_allclose(moved[0] * 80, [15, 12, 25, 28])

    def test_no_boxes(self):
        for changed in (
            flip_horizontally(DISC, NO_BOXES),
            flip_vertically(DISC, NO_BOXES),
            rotate(DISC, NO_BOXES, 20),
        ):
            assert changed[1].shape == (0, 4)


class TestWindows:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)

    def test_the_whole(self):
        np.testing.assert_array_equal(cut_window(self.image, WHOLE, (80, 120)), self.image)
        expected = Image.fromarray(self.image).resize((50, 30), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(cut_window(self.image, WHOLE, (30, 50)), expected)

    def test_a_crop(self):
        part = self.image[10:50, 24:84]
        window = (10 / 80, 24 / 120, 50 / 80, 84 / 120)
        np.testing.assert_array_equal(cut_window(self.image, window, (40, 60)), part)
        for shape in ((25, 31), (90, 77)):
            expected = Image.fromarray(part).resize(shape[::-1], Image.Resampling.BILINEAR)
            found = cut_window(self.image, window, shape)
            # At the edges the filter may look at the pixels beyond.
            np.testing.assert_array_equal(found[2:-2, 2:-2], np.asarray(expected)[2:-2, 2:-2])
            assert np.abs(found - np.asarray(expected, float)).mean() < 3

    def test_a_crop_between_pixels(self):
        ramp = np.tile((2 * np.arange(WIDTH)).astype(np.uint8), (HEIGHT, 1))
        found = cut_window(ramp, (0.1, 0.2042, 0.9, 0.7042), (30, 100))
        # Column j's middle lies at 0.2042 × 120 + 0.6 (j + 0.5); pixel i's middle at i + 0.5.
        expected = 2 * (0.2042 * WIDTH + 0.6 * (np.arange(100) + 0.5) - 0.5)
        assert np.abs(found - expected)[:, 2:-2].max() <= 1

    def test_zoomed_out(self):
        found = cut_window(self.image, (-0.5, -0.25, 1.5, 1.75), (64, 96))
        small = Image.fromarray(self.image).resize((48, 32), Image.Resampling.BILINEAR)
        expected = np.zeros((64, 96), np.uint8)
        expected[16:48, 12:60] = small
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("window", [(1.1, 0, 1.5, 1), (0, -3, 1, -1)])
    def test_outside(self, window):
        found = cut_window(self.image, window, (9, 7))
        assert found.shape == (9, 7) and (found == 0).all()

    def test_boxes_by_hand(self):
        boxes = np.array(
            [
                [0.125, 0.125, 0.375, 0.375],  # its middle lies on the upper edge: in
                [0.3125, 0.5, 0.4375, 0.75],
                [0.0, 0.1, 0.25, 0.2],  # above
                [0.6875, 0.1, 0.8125, 0.2],  # on the lower edge: out
                [0.3, 0.9, 0.4, 1.4],  # to the right
            ]
        )
        window = (0.25, 0.0, 0.75, 1.0)
        found, kept = boxes_in_window(boxes, window)
        assert kept.tolist() == [0, 1] and found.dtype == np.float32
        np.testing.assert_allclose(found, [[0, 0.125, 0.25, 0.375], [0.125, 0.5, 0.375, 0.75]])
        found, _ = boxes_in_window(boxes, window, clip=False)
        np.testing.assert_allclose(found[0], [-0.25, 0.125, 0.25, 0.375])
        found, kept = boxes_in_window(NO_BOXES, window)
        assert found.shape == (0, 4) and kept.shape == (0,)

    def test_disc_and_box_in_a_window(self):
        for window in ((0.1, 0.4, 0.6, 0.95), (-0.3, -0.1, 1.2, 1.4)):
            image = cut_window(DISC, window, (100, 130))
            assert_follows(image, boxes_in_window(DISC_BOX, window)[0])


class TestDrawnWindows:
    box = np.array([[0.4, 0.2, 0.5, 0.3]])

    def draw(self, count=400, boxes=None, **options):
        config = dataclasses.replace(SAME, **options)
        rng = np.random.default_rng(0)
        boxes = self.box if boxes is None else boxes
        return np.array([draw_window(boxes, config, rng) for _ in range(count)])

    def test_never(self):
        assert (self.draw() == WHOLE).all()

    def test_zoom_out_holds_the_whole_image(self):
        found = self.draw(zoom_out=1, max_canvas=2.5)
        sides = found[:, 2:] - found[:, :2]
        np.testing.assert_allclose(sides[:, 0], sides[:, 1])
        assert 1 <= sides.min() < 1.1 and 2.4 < sides.max() <= 2.5
        assert (found[:, :2] <= 0).all() and (found[:, 2:] >= 1).all()
        assert (found[:, 0] != found[:, 1]).all()

    def test_zoom_in_stays_in_its_limits(self):
        for boxes in (self.box, NO_BOXES):
            found = self.draw(zoom_in=1, min_crop=0.5, boxes=boxes)
            sides = found[:, 2:] - found[:, :2]
            assert found.min() >= 0 and found.max() <= 1
            assert 0.5 <= sides.min() < 0.6
            ratios = sides[:, 0] / sides[:, 1]
            assert ratios.min() >= 0.5 and ratios.max() <= 2
            # One draw of seven wants the whole image.
            assert 0.05 < (found == WHOLE).all(1).mean() < 0.3

    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_zoom_in_shows_the_share_asked_for(self, share, monkeypatch):
        monkeypatch.setattr(augment_module, "_MIN_OVERLAPS", (share,))
        found = self.draw(zoom_in=1)
        low = np.maximum(found[:, :2], self.box[:, :2])
        high = np.minimum(found[:, 2:], self.box[:, 2:])
        shown = np.clip(high - low, 0, None).prod(1) / 0.01
        assert shown.min() > share - 1e-9
        assert (found != WHOLE).any(1).mean() > 0.9

    def test_as_often_as_asked_for(self):
        found = self.draw(zoom_in=0.5, boxes=NO_BOXES)
        assert 0.35 < (found != WHOLE).any(1).mean() < 0.5  # six sevenths of a half
        found = self.draw(zoom_out=0.25)
        assert 0.2 < (found != WHOLE).any(1).mean() < 0.3


class TestAugment:
    def run(
        self, seed=0, image=DISC, boxes=DISC_BOX, labels=(2,), *, shape=(HEIGHT, WIDTH), **options
    ):
        config = dataclasses.replace(SAME, **options)
        rng = np.random.default_rng(seed)
        return augment(image, boxes, np.array(labels, int), config, rng, shape=shape)

    def test_nothing_allowed_changes_nothing(self):
        image, boxes, labels = self.run()
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, DISC, atol=1e-4)
        np.testing.assert_allclose(boxes, DISC_BOX, atol=1e-6)
        assert labels.tolist() == [2]

    def test_the_box_follows_whatever_happens(self):
        options = {
            "horizontal_flip": True,
            "vertical_flip": True,
            "rotation_degrees": 180,
            "zoom_in": 0.7,
            "zoom_out": 0.5,
        }
        drawn, box = draw_ellipse(36, 70, 9, 9)
        seen = []
        for seed in range(60):
            image, boxes, labels = self.run(seed, drawn, box, shape=(110, 90), **options)
            assert len(boxes) == len(labels) <= 1
            inside = ((boxes > 0.02) & (boxes < 0.98)).all()
            if len(boxes) and inside:  # else the edge cuts through the disc
                assert_follows(image, boxes, 2)
                seen.append(boxes[0])
        assert len(seen) > 30
        assert np.std(seen, axis=0).min() > 0.05

    def test_lost_lesions_lose_their_labels(self):
        boxes = np.array([[0.1, 0.1, 0.2, 0.2], [0.8, 0.8, 0.9, 0.9]])
        counts = set()
        for seed in range(30):
            _, found, labels = self.run(seed, boxes=boxes, labels=(1, 2), zoom_in=1)
            assert len(found) == len(labels)
            if len(found) == 1:
                counts.add(int(labels[0]))
                # What was lower right lies further to the lower right than what was upper left.
                assert (found[0, 0] > 0.5 or found[0, 2] == 1) == (labels[0] == 2)
        assert counts == {1, 2}

    def test_no_boxes(self):
        config = DetectionAugmentConfig()
        for seed in range(10):
            rng, none = np.random.default_rng(seed), np.zeros(0, int)
            image, boxes, labels = augment(DISC, NO_BOXES, none, config, rng, shape=(40, 30))
            assert image.shape == (40, 30) and np.isfinite(image).all()
            assert boxes.shape == (0, 4) and labels.shape == (0,)

    def test_the_same_from_the_same_seed(self):
        options = dataclasses.asdict(DetectionAugmentConfig())
        first, again, other = (self.run(seed, **options) for seed in (4, 4, 5))
        for got, expected in zip(again, first, strict=True):
            np.testing.assert_array_equal(got, expected)
        assert (first[0] != other[0]).mean() > 0.5

    def test_zoom_out_leaves_black(self):
        bright = np.full((HEIGHT, WIDTH), 200, np.uint8)
        shares = []
        for seed in range(20):
            image, boxes, _ = self.run(seed, bright, zoom_out=1, max_canvas=2)
            side = 0.25 / (boxes[0, 2] - boxes[0, 0])  # the disc's box is 20 of 80 rows high
            assert set(np.unique(image.round())) <= {0.0, 200.0}
            assert (image == 0).mean() == pytest.approx(1 - 1 / side**2, abs=0.03)
            shares.append((image == 0).mean())
        assert max(shares) > 0.5

    def test_greys(self):
        image = np.full((60, 70), 100, np.uint8)
        rng = np.random.default_rng(0)

        def means(**options):
            config = dataclasses.replace(SAME, **options)
            return [float(change_greys(image, config, rng).mean()) for _ in range(200)]

        found = means(gamma=0.5)  # exponents from 2/3 to 3/2
        low, high = 255 * (100 / 255) ** 1.5, 255 * (100 / 255) ** (2 / 3)
        assert low < min(found) < low + 3 and high - 3 < max(found) < high
        found = means(contrast=0.2)
        assert 80 <= min(found) < 82 and 118 < max(found) <= 120
        noisy = [
            change_greys(image, dataclasses.replace(SAME, noise=5), rng) - 100 for _ in range(50)
        ]
        deviations = [float(noise.std()) for noise in noisy]
        assert max(deviations) < 5.2 and 1.5 < np.mean(deviations) < 3.5
        assert abs(np.mean(noisy)) < 0.1

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("rotation_degrees", 181),
            ("zoom_in", -0.1),
            ("min_crop", 0),
            ("zoom_out", 1.1),
            ("max_canvas", 0.9),
            ("gamma", -1),
            ("contrast", 1),
            ("noise", float("nan")),
        ],
    )
    def test_out_of_range(self, name, value):
        with pytest.raises(UserError, match=f"`{name}` must be between"):
            DetectionAugmentConfig(**{name: value})


def examples_of(num_lesions, num_normals, shape=(48, 64)):
    """Discs of different places and sizes first, then images without."""
    rng = np.random.default_rng(0)
    images, boxes, labels = [], [], []
    for number in range(num_lesions + num_normals):
        radius = rng.uniform(5, 8)
        row, column = rng.uniform(12, np.array(shape) - 12)
        image, box = draw_ellipse(row, column, radius, radius, shape, background=30 + number)
        has_lesion = number < num_lesions
        images.append(image if has_lesion else np.full(shape, 30 + number, np.uint8))
        images[-1][0, 0] = 90
        boxes.append(box.astype("f4") if has_lesion else np.zeros((0, 4), "f4"))
        labels.append(np.array([1 + number % 2] if has_lesion else [], int))
    ids = tuple(f"im{number}" for number in range(len(images)))
    return detection_task(
        np.stack(images),
        boxes,
        labels,
        box_class_names=("left", "right"),
        example_ids=ids,
        groups=[f"p{number // 2}" for number in range(len(images))],
    )


class TestExamples:
    def test_of_arrays(self):
        task = examples_of(3, 2)
        assert task.example_ids == ("im0", "im1", "im2", "im3", "im4")
        assert task.groups.tolist() == ["p0", "p0", "p1", "p1", "p2"]
        assert task.has_box.tolist() == task.labels.tolist() == [1, 1, 1, 0, 0]
        assert task.box_class_names == ("left", "right")
        assert boxes_of(task, 4).shape == (0, 4)
        np.testing.assert_array_equal(image_of(task, 1), task.images(1)[1])

    def test_take(self):
        examples = examples_of(3, 2)
        taken = examples.take([4, 1, 1])
        assert len(taken) == 3 and taken.example_ids == ("im4", "im1", "im1")
        assert taken.groups.tolist() == ["p2", "p0", "p0"]
        assert taken.has_box.tolist() == [False, True, True]
        assert [labels.tolist() for labels in taken.box_labels] == [[], [2], [2]]
        np.testing.assert_array_equal(taken.images(1)[1], examples.images(1)[1])

    def test_turned_copies(self):
        examples = examples_of(2, 1, shape=(64, 64))
        copies = turned_copies(examples)
        assert len(copies) == 24
        assert copies.example_ids[:4] == ("im0@0", "im0@0v", "im0@90", "im0@90v")
        assert copies.example_ids[15] == "im1@270v"
        assert copies.image_ids.tolist() == ["im0"] * 8 + ["im1"] * 8 + ["im2"] * 8
        assert copies.groups.tolist() == ["p0"] * 16 + ["p1"] * 8
        labels = [labels.tolist() for labels in copies.box_labels]
        assert labels == [[1]] * 8 + [[2]] * 8 + [[]] * 8
        images, first = copies.images(1), examples.images(1)[0]
        assert images.shape == (24, 64, 64) and images.dtype == np.uint8
        every = np.asarray(images)
        assert len(np.unique(every[:8].reshape(8, -1), axis=0)) == 8
        np.testing.assert_array_equal(every[0], first)
        np.testing.assert_array_equal(every[1], first[::-1])
        np.testing.assert_array_equal(every[2], np.rot90(first))
        np.testing.assert_array_equal(every[3], np.rot90(first)[::-1])
        assert copies.box_class_names == ("left", "right")
        for image, boxes in zip(every[:16], copies.boxes[:16], strict=True):
            assert_follows(image, boxes)
        assert all(boxes.shape == (0, 4) for boxes in copies.boxes[16:])

    def test_an_image_that_does_not_fill_its_square_is_turned_by_itself(self):
        # 40×64 of the image, in the top left corner of 64×64.
        drawn, box = draw_ellipse(12, 50, 8, 8, (40, 64))
        square = np.zeros((1, 64, 64), np.uint8)
        square[0, :40] = drawn
        task = detection_task(
            square, [box * [40 / 64, 1, 40 / 64, 1]], [np.array([1])], box_class_names=("disc",)
        )
        task = dataclasses.replace(task, shapes=np.array([[400, 640]]))
        np.testing.assert_array_equal(image_of(task, 0), drawn)
        np.testing.assert_allclose(boxes_of(task, 0), box, atol=1e-6)
        copies = turned_copies(task)
        for index, turns in enumerate(np.repeat(range(4), 2)):
            expected = np.rot90(drawn, turns)
            expected = expected[::-1] if index % 2 else expected
            assert copies.shapes[index].tolist() == ([640, 400] if turns % 2 else [400, 640])
            np.testing.assert_array_equal(image_of(copies, index), expected)
            whole = copies.images(1)[index]
            assert whole.shape == (64, 64)
            beside = whole.copy()
            beside[: expected.shape[0], : expected.shape[1]] = 20
            assert (beside == 20).all()  # as dark as the image's own air
            assert_follows(image_of(copies, index), boxes_of(copies, index))
            assert_follows(whole, copies.boxes[index])

    def test_only_squares_are_turned(self):
        with pytest.raises(ValueError, match="48×64"):
            turned_copies(examples_of(1, 1))


class TestNetworkInput:
    def test_tissue_decides(self):
        rng = np.random.default_rng(0)
        image = np.zeros((40, 60), np.uint8)
        image[:, :20] = rng.integers(21, 200, (40, 20))
        found = to_network(image)
        assert found.shape == (40, 60, 3) and found.dtype == np.float32
        np.testing.assert_array_equal(found[..., 0], found[..., 2])
        assert found[:, :20].mean() == pytest.approx(0, abs=1e-5)
        assert found[:, :20].std() == pytest.approx(1, abs=1e-5)
        wider = np.zeros((40, 120), np.uint8)
        wider[:, :60] = image
        np.testing.assert_array_equal(to_network(wider)[:, :20], found[:, :20])

    def test_blank_and_extreme(self):
        for value in (0, 20, 200):
            assert (to_network(np.full((8, 9), value, np.uint8)) == 0).all()
        image = np.full((100, 100), 100, np.uint8)
        image[0, 0], image[0, 1] = 255, 0
        found = to_network(image)
        assert found.max() == 6 and found.min() == -4
        assert np.isfinite(to_network(np.zeros((8, 9), np.float32) - 5)).all()

    def test_hardly_any_tissue(self):
        image = np.zeros((100, 100), np.uint8)
        image[0, :50] = 100  # 0.5 %: all pixels count
        found = to_network(image)
        assert found[50, 50, 0] == pytest.approx(-0.5 / (100 * (0.005 * 0.995) ** 0.5), rel=1e-4)


LAYOUT = BoxLayout(
    feature_shapes=((4, 6), (1, 2)), scales=(0.25, 0.5, 0.9), aspect_ratios=((2,), ())
)
DEFAULTS = default_boxes(LAYOUT)


def batches_of(examples=None, **options):
    options = {"shape": (32, 40), "batch_size": 4, "augment": DetectionAugmentConfig()} | options
    examples = examples_of(5, 7) if examples is None else examples
    return DetectionBatches(examples, DEFAULTS, **options)


class TestBatches:
    def test_a_batch_follows_from_seed_epoch_and_number(self):
        first, again, other = batches_of(seed=3), batches_of(seed=3), batches_of(seed=4)
        first.batch(0, 0), first.batch(7, 2)
        images, targets = first.batch(2, 1)
        assert images.shape == (4, 32, 40, 3) and images.dtype == np.float32
        assert targets.shape == (4, len(DEFAULTS), 5) and targets.dtype == np.float32
        for got, expected in zip(again.batch(2, 1), (images, targets), strict=True):
            np.testing.assert_array_equal(got, expected)
        for different in (other.batch(2, 1), first.batch(3, 1), first.batch(2, 0)):
            assert (different[0] != images).mean() > 0.5

    @pytest.mark.parametrize(
        ("copies", "share", "normals"), [(1, 1.0, 5), (3, 0.5, 8), (2, 2.0, 20), (2, 0.0, 0)]
    )
    def test_an_epoch(self, copies, share, normals):
        batches = batches_of(lesion_copies=copies, normals_per_lesion=share)
        assert batches.num_images == 5 * copies + normals
        assert len(batches) == -(-batches.num_images // 4)
        orders = [batches.order(epoch) for epoch in range(4)]
        for order in orders:
            shown = np.bincount(order, minlength=12)
            assert (shown[:5] == copies).all()
            assert shown[5:].sum() == normals
            assert shown[5:].max() - shown[5:].min() <= 1  # none twice before all were once
        assert len({tuple(order) for order in orders}) == 4
        if share == 1:
            assert len({frozenset(order[order >= 5]) for order in orders}) > 1
        assert batches.batch(0, len(batches) - 1)[0].shape[0] == (batches.num_images - 1) % 4 + 1

    def test_lesions_without_normals(self):
        batches = batches_of(examples_of(3, 0))
        assert batches.num_images == 3
        assert sorted(batches.order(0)) == [0, 1, 2]

    def test_copies_of_one_image_change_differently(self):
        images, _ = batches_of(examples_of(1, 0), lesion_copies=4).batch(0, 0)
        assert all((images[0] != image).mean() > 0.5 for image in images[1:])

    @pytest.mark.parametrize("mosaic_epochs", [0, 9])
    def test_each_image_is_shown_at_a_drawn_compression_ratio(self, mosaic_epochs):
        examples, asked = examples_of(3, 3), []

        def images(cratio):
            asked.append(cratio)
            return examples.images(1)

        watched = dataclasses.replace(examples, images=images)
        config = dataclasses.replace(SAME, cratios=(1, 20, 500))
        batches = batches_of(watched, augment=config, mosaic_epochs=mosaic_epochs)
        for epoch in range(4):
            batches.batch(epoch, 0)
        assert set(asked) == {1, 20, 500}
        first = list(asked)
        asked.clear()
        again = batches_of(watched, augment=config, mosaic_epochs=mosaic_epochs)
        for epoch in range(4):
            again.batch(epoch, 0)
        assert asked == first
        asked.clear()
        plain = dataclasses.replace(config, cratios=())
        batches_of(watched, augment=plain, mosaic_epochs=mosaic_epochs).batch(0, 0)
        batches_of(watched, augment=None).batch(0, 0)
        assert set(asked) == {1}

    def test_targets_belong_to_the_images(self):
        """Without changes in an epoch's order, each image comes with its own lesion."""
        examples = examples_of(5, 7)
        batches = batches_of(examples, augment=SAME)
        order = batches.order(6)
        images, targets = (
            np.concatenate(part)
            for part in zip(*(batches.batch(6, i) for i in range(len(batches))), strict=True)
        )
        for image, target, number in zip(images, targets, order, strict=True):
            expected = make_targets(DEFAULTS, examples.boxes[number], examples.box_labels[number])
            np.testing.assert_allclose(target, expected, atol=1e-6)
            small = Image.fromarray(examples.images(1)[number]).resize(
                (40, 32), Image.Resampling.BILINEAR
            )
            np.testing.assert_allclose(image, to_network(np.asarray(small)), atol=1e-3)

    def test_unchanged_in_order(self):
        examples = examples_of(2, 3)
        batches = batches_of(examples, augment=None, batch_size=3, lesion_copies=4)
        assert batches.num_images == 5 and len(batches) == 2
        assert batches.order(3).tolist() == [0, 1, 2, 3, 4]
        images, targets = batches.batch(0, 1)
        small = Image.fromarray(examples.images(1)[4]).resize((40, 32), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(images[1], to_network(np.asarray(small)))
        assert (targets[..., 0] == 0).all()
        assert set(batches.batch(5, 0)[1][1, :, 0]) == {0, 2}
        np.testing.assert_array_equal(batches.batch(5, 0)[0], batches.batch(0, 0)[0])

    def test_mosaics_in_the_first_epochs_only(self):
        batches = batches_of(examples_of(4, 4), augment=SAME, mosaic_epochs=2, batch_size=8)
        most = [
            max(
                len(np.unique(target[target[:, 0] > 0, 1:], axis=0))
                for target in batches.batch(epoch, 0)[1]
            )
            for epoch in range(4)
        ]
        assert min(most[:2]) > 1 and most[2:] == [1, 1]

    def test_without_lesions(self):
        normals = examples_of(0, 3)
        with pytest.raises(UserError, match="images with lesions"):
            batches_of(normals)
        _, targets = batches_of(normals, augment=None).batch(0, 0)
        assert (targets[..., 0] == 0).all()
        with pytest.raises(UserError, match="images with lesions"):
            batches_of(examples_of(2, 0).take([]), augment=None)

    @pytest.mark.parametrize(
        "wrong", [{"batch_size": 0}, {"lesion_copies": 0}, {"normals_per_lesion": -1}]
    )
    def test_wrong_arguments(self, wrong):
        with pytest.raises(UserError, match=next(iter(wrong))):
            batches_of(**wrong)


class TestFeed:
    @pytest.mark.parametrize("workers", [1, 3])
    def test_each_pass_is_an_epoch(self, workers):
        batches = batches_of(batch_size=3)
        feed = make_detection_feed(batches, workers=workers)
        assert len(feed) == len(batches) == 4  # of 3, 3, 3 and 1
        assert feed.element_spec[0].shape.as_list() == [None, 32, 40, 3]
        assert feed.element_spec[1].shape.as_list() == [None, len(DEFAULTS), 5]
        for epoch in range(2):
            made = list(feed.as_numpy_iterator())
            assert len(made) == 4
            for index, (images, targets) in enumerate(made):
                expected = batches.batch(epoch, index)
                np.testing.assert_array_equal(images, expected[0])
                np.testing.assert_array_equal(targets, expected[1])
