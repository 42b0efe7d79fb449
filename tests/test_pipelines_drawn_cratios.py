"""Ratios drawn for training images: by seed, pass and place alone, in any recipe, and told of."""

import collections
import dataclasses
import re

import numpy as np
import pytest

from mammo_tf.cli import recipe_run
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.errors import UserError
from mammo_tf.models.ssd import BoxLayout, default_boxes
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.detection.augment import DetectionAugmentConfig
from mammo_tf.pipelines.detection.batches import DetectionBatches, make_detection_feed
from mammo_tf.pipelines.detection.examples import detection_task
from mammo_tf.pipelines.feed import make_feed
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.recipes.mias.report import Findings, render_report
from mammo_tf.recipes.mias.settings import choose_config
from mammo_tf.testing import draw_lesions
from mammo_tf.training.config import TrainingConfig

SHAPE = (20, 16)


def marked(num_layers, count=18):
    """Images that show in one bright pixel which layer and which example they are."""
    stack = np.zeros((num_layers, count, *SHAPE), "uint16")
    for layer in range(num_layers):
        stack[layer, np.arange(count), np.arange(count), layer] = 1000
    return list(stack)


def layers_shown(feed):
    """{example: layer} of one pass."""
    shown = {}
    for images, _ in feed.as_numpy_iterator():
        for image in images[..., 0]:
            row, layer = np.unravel_index(image.argmax(), SHAPE)
            shown[int(row)] = int(layer)
    return shown


def feed_of(batch_size=5, seed=3, **options):
    return make_feed(
        marked(3),
        range(18),
        [0] * 18,
        input_shape=SHAPE,
        batch_size=batch_size,
        seed=seed,
        draw=True,
        **options,
    )


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 18}, {"shuffle": False}, {"augment": AugmentConfig(brightness=1e-6)}],
)
def test_a_draw_follows_from_the_place_not_from_batches_order_or_other_changes(options):
    first, again = feed_of(), feed_of(**options)
    usual = [layers_shown(first) for _ in range(2)]
    assert usual[0] != usual[1] and len(usual[0]) == 18
    assert [layers_shown(again) for _ in range(2)] == usual


def test_moves_and_greys_are_those_drawn_without():
    """Where all ratios have the same pixels, to draw among them changes nothing at all."""
    (images,) = marked(1)
    options = {"input_shape": (16, 12), "batch_size": 5, "seed": 1}
    options["augment"] = AugmentConfig(rotation_degrees=90, shift_px=2, brightness=0.3)
    plain = make_feed([images], range(18), [0] * 18, **options)
    drawn = make_feed([images] * 3, range(18), [0] * 18, draw=True, **options)
    for (left, _), (right, _) in zip(plain, drawn, strict=True):
        np.testing.assert_array_equal(left, right)


def test_copies_of_a_test_image_need_another_change():
    with pytest.raises(UserError, match="`num_test_copies` needs an augmentation"):
        TrainingConfig(augment=AugmentConfig(cratios=(1, 100)), num_test_copies=2)


# The detector

STILL = DetectionAugmentConfig(
    horizontal_flip=False,
    vertical_flip=False,
    rotation_degrees=0,
    zoom_in=0,
    zoom_out=0,
    gamma=0,
    contrast=0,
    noise=0,
)
LAYOUT = BoxLayout(
    feature_shapes=((4, 4), (1, 1)), scales=(0.25, 0.5, 0.9), aspect_ratios=((2,), ())
)


def stripes(cratio):
    """Dark and bright columns; where the bright ones begin tells the ratio."""
    image = np.full((2, 32, 32), 60, np.uint8)
    image[:, :, {1: 4, 100: 20}[cratio] :] = 200
    return image


def detector_batches(batch_size):
    task = detection_task(
        stripes(1),
        [np.array([[0.2, 0.2, 0.6, 0.6]], "f4"), np.zeros((0, 4), "f4")],
        [np.array([1]), np.zeros(0, int)],
        box_class_names=("lesion",),
    )
    return DetectionBatches(
        dataclasses.replace(task, images=stripes),
        default_boxes(LAYOUT),
        shape=(32, 32),
        batch_size=batch_size,
        lesion_copies=20,
        seed=2,
        augment=dataclasses.replace(STILL, cratios=(1, 100)),
    )


def test_the_detector_sees_the_pixels_of_the_ratio_drawn():
    batches, small = detector_batches(40), detector_batches(7)

    def starts(epoch):
        images, _ = batches.batch(epoch, 0)
        found = (np.diff(images[:, 16, :, 0], axis=1) > 0.5).argmax(axis=1) + 1
        return found.tolist()

    counts = collections.Counter(starts(0) + starts(1))
    assert set(counts) == {4, 20} and abs(counts[4] - 40) < 19  # of 80, SD 4.5
    assert starts(0) != starts(1)
    for workers in (1, 3):
        feed = make_detection_feed(small, workers=workers)
        fed = np.concatenate([images for images, _ in feed.as_numpy_iterator()])
        np.testing.assert_array_equal(fed, batches.batch(0, 0)[0])


# Any recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class OtherConfig(RecipeConfig):
    """The settings of a recipe that knows nothing of compression."""

    dataset: str = "ncc"
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)


@pytest.fixture(scope="module")
def built(build_records):
    return build_records(draw_lesions(8), cratios=(1, 20, 100))


@pytest.fixture
def task_of_recipe(built, tmp_path, monkeypatch):
    """The task that a recipe gets with these settings."""

    def open_data(*_args, augment_cratios, **_options):
        return OpenData(
            builder=built,
            catalog=read_catalog(built),
            cache_dir=tmp_path / "cache",
            augment_cratios=augment_cratios,
        )

    monkeypatch.setattr(recipe_run, "open_data", open_data)

    def make(*overrides):
        config = OtherConfig().with_options(overrides=overrides)
        with recipe_run.open_run("other", config, tmp_path / "run", DataPaths()) as (_, data):
            return data.binary_task("lesion")

    return make


def test_the_task_of_any_recipe_has_the_ratios_drawn(task_of_recipe):
    task = task_of_recipe("training.augment.cratios=100")
    assert not np.array_equal(np.asarray(task.images(100)), np.asarray(task.images(1)))
    with pytest.raises(UserError, match="holds CR 1, 100"):
        task.images(20)


def test_a_ratio_that_the_data_set_lacks_is_one_line(task_of_recipe):
    with pytest.raises(UserError, match=r"holds CR 1, 20, 100\. Received: 500") as error:
        task_of_recipe("training.augment.cratios=1,500")
    assert "\n" not in str(error.value)


def test_the_report_of_mias_says_what_was_drawn(built):
    settings = ("classify.training.augment.cratios=1,2.5", "detect.training.augment.cratios=1,500")
    for overrides, expected in (
        (settings, [("classifier", "1, 2.5"), ("detector", "1, 500")]),
        (settings[1:], [("detector", "1, 500")]),
        ((), []),
    ):
        findings = Findings(
            catalog=read_catalog(built),
            classified=(),
            detected=(),
            scores=(),
            combined=None,
            config={"configuration": {}, "environment": {}},
        )
        page = render_report(findings, choose_config(overrides=overrides))
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
        found = re.findall(r"Compression, (\w+) each training image .*? CR (.*?), drawn", text)
        assert found == expected
