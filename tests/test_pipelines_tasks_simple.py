"""Whole images, finding patches, detection and segmentation on images drawn by hand."""

import numpy as np
import pytest
from PIL import Image

from mammo_tf.breast import darkest_level
from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.masks import ellipse
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import (
    detection,
    finding_patches,
    plan_binary_task,
    segmentation,
    whole_images,
)
from mammo_tf.record import Finding, ImageInfo

# Not square, of two sizes, 12 and 16 bits, a right breast, findings of every mark.
SHAPES = {"a": (90, 60), "b": (90, 60), "c": (60, 80), "d": (90, 60)}
BITS = {"a": 12, "b": 16, "c": 12, "d": 12}
BOX = Finding(label="malignant", kind="mass", mark="box", box_yxyx_px=(10.0, 20.0, 30.0, 50.0))
CIRCLE = Finding(label="benign", mark="circle", box_yxyx_px=(60.0, 5.0, 71.0, 16.0))
MASK = Finding(label="benign", mark="mask", box_yxyx_px=(20.0, 40.0, 24.0, 48.0))
FINDINGS = {"a": (BOX, CIRCLE), "b": (), "c": (MASK,), "d": (Finding(label="benign"),)}
LABELS = {"a": "malignant", "b": "normal", "c": "benign", "d": "benign"}
SIDES = {"a": "R", "b": "L", "c": "L", "d": "unknown"}
CRATIOS = (1, 10)


def draw(name):
    rng = np.random.default_rng(ord(name))
    height, width = SHAPES[name]
    blocks = rng.integers(0, 2 ** BITS[name], (height // 10, width // 10), np.uint16)
    return np.kron(blocks, np.ones((10, 10), np.uint16))


def masks_of(name):
    if name != "c":
        return None
    masks = np.zeros(SHAPES[name], np.uint16)
    masks[20:24, 40:48] = 1
    masks[20, 40] = 0  # no rectangle
    return masks


@pytest.fixture(scope="module")
def made(build_records):
    images = [
        (
            draw(name),
            {
                "image_id": name,
                "patient_id": f"p{name}",
                "laterality": SIDES[name],
                "label": LABELS[name],
                "bits_stored": BITS[name],
                "findings": FINDINGS[name],
                "masks": masks_of(name),
                "pixel_spacing_mm": (0.4, 0.4),
            },
        )
        for name in SHAPES
    ]
    builder = build_records(images, cratios=CRATIOS)
    return builder, read_catalog(builder)


def task_of(made, plan, cratios=(1,)):
    builder, catalog = made
    return make_task(plan, catalog, builder, cratios=cratios, cache_dir=None)


def full_range(name):
    return draw(name) * np.uint16(2 ** (16 - BITS[name]))


def beside_its_dark(image):
    return np.pad(image, 50, constant_values=darkest_level(image))


def shrink(image, height, width):
    """By Pillow, as it is used elsewhere."""
    small = Image.fromarray(image.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.rint(np.asarray(small)).astype(image.dtype)


def info(name="x", **known):
    return ImageInfo(image_id=name, patient_id="p", exam_id="e", **{"shape": (90, 60)} | known)


def catalog_of(*images):
    return Catalog("toy", images, "x")


class TestWhole:
    def test_pixels_and_labels(self, made):
        task = task_of(made, whole_images(made[1], fraction=0.5))
        assert task.example_ids == ("a", "b", "c", "d")
        assert task.labels.tolist() == [1, 0, 0, 0]
        assert task.class_names == ("rest", "malignant")
        assert task.input_shape == (45, 30)
        assert task.shapes.tolist() == [[90, 60], [90, 60], [60, 80], [90, 60]]
        images = task.images(1)
        np.testing.assert_array_equal(images[0], shrink(full_range("a"), 45, 30)[:, ::-1])
        np.testing.assert_array_equal(images[1], shrink(full_range("b"), 45, 30))
        # 30×40 is fitted into 45×30 as 23×30 (22.5), from the top left corner.
        fitted = shrink(shrink(full_range("c"), 30, 40), 23, 30)
        np.testing.assert_array_equal(images[2][:23], fitted)

    def test_another_positive(self, made):
        plan = whole_images(made[1], positive="benign")
        assert [example.label for example in plan.examples] == [0, 0, 1, 1]
        assert plan.class_names == ("rest", "benign")

    def test_8_bit_images_stay_8_bit(self):
        images = catalog_of(info("a", label="normal", bits_stored=8))
        plan = whole_images(images)
        pixels = np.arange(90 * 60, dtype=np.uint8).reshape(90, 60)
        assert plan.dtype is np.uint8
        assert plan.prepare(pixels, images.images[0]) is pixels

    def test_what_is_missing(self):
        with pytest.raises(UserError, match=r"'whole' needs images whose own label is known; toy"):
            whole_images(catalog_of(info(breast_label="benign")))
        with pytest.raises(UserError, match="fraction"):
            whole_images(catalog_of(info(label="benign")), fraction=0)


class TestFindings:
    def test_a_patch_is_as_large_as_its_finding(self, made):
        plan = finding_patches(made[1], config=FindingPatchConfig(input_size=16))
        assert [example.example_id for example in plan.examples] == ["a-1", "a-2", "c-1"]
        # Twice the longer side; at least 32 pixels of 0.2 mm, which are 16 of 0.4 mm. The middles:
        # rows 10 to 29, columns 20 to 49; rows 60 to 70, columns 5 to 15; rows 20 to 23, 40 to 47.
        assert [example.parts[0].place for example in plan.examples] == [
            (19, 34, 60),
            (65, 10, 22),
            (21, 43, 16),
        ]
        assert [example.label for example in plan.examples] == [1, 0, 0]
        assert plan.class_names == ("benign", "malignant")

    def test_pixels(self, made):
        task = task_of(made, finding_patches(made[1], config=FindingPatchConfig(input_size=16)))
        assert task.images(1).shape == (3, 24, 24)
        padded = beside_its_dark(full_range("c"))
        expected = padded[50 + 21 - 12 : 50 + 21 + 12, 50 + 43 - 12 : 50 + 43 + 12]
        np.testing.assert_array_equal(task.images(1)[2], expected)
        padded = beside_its_dark(full_range("a"))  # 22 pixels and half as many again: 33
        wide = padded[50 + 65 - 16 : 50 + 65 + 17, 50 + 10 - 16 : 50 + 10 + 17]
        np.testing.assert_array_equal(task.images(1)[1], shrink(wide, 24, 24)[:, ::-1])
        assert task.groups.tolist() == ["pa", "pa", "pc"]

    def test_a_patch_is_square_on_a_film_that_was_stretched(self, made):
        config = FindingPatchConfig(input_size=16, context=3, film_aspect=2)
        plan = finding_patches(made[1], config=config)
        # "a-1": 20 rows are as high as 40 columns, more than its 30 columns: 3 times 40.
        assert [one.parts[0].place[2] for one in plan.examples] == [120, 66, 24]
        padded = beside_its_dark(full_range("c"))  # 36 columns and 18 rows with the margin
        wide = padded[50 + 21 - 9 : 50 + 21 + 9, 50 + 43 - 18 : 50 + 43 + 18]
        np.testing.assert_array_equal(task_of(made, plan).images(1)[2], shrink(wide, 24, 24))
        plain = finding_patches(made[1], config=FindingPatchConfig(input_size=16, context=3))
        assert plan.settings != plain.settings  # else the cache would give one for the other

    def test_what_is_missing(self):
        with pytest.raises(UserError, match=r"'patch' needs findings, benign and malignant.*toy"):
            finding_patches(catalog_of(info(findings=(Finding(label="malignant"),))))
        with pytest.raises(UserError, match=r"`patch.input_size` must be between 16 and 512"):
            FindingPatchConfig(input_size=8)
        with pytest.raises(UserError, match=r"`patch.context` must be between 1 and 10"):
            FindingPatchConfig(context=0.5)
        with pytest.raises(UserError, match=r"`patch.film_aspect` must be between 0.1 and 10"):
            FindingPatchConfig(film_aspect=0)
        with pytest.raises(DataError, match="Image x has a finding whose middle"):
            finding_patches(catalog_of(info(shape=(9, 9), findings=(BOX,))))


class TestDetection:
    def test_images_and_boxes(self, made):
        task = task_of(made, detection(made[1], size=45))
        # d has a finding somewhere: neither with a box nor without a lesion.
        assert task.example_ids == ("a", "b", "c")
        assert task.labels.tolist() == [1, 0, 1] and task.has_box.tolist() == [True, False, True]
        assert task.box_class_names == ("benign", "malignant")
        assert [labels.tolist() for labels in task.box_labels] == [[2, 1], [], [1]]
        images = task.images(1)
        assert images.shape == (3, 45, 45) and images.dtype == np.uint8
        # a: 90×60 in 45×45 is 45×30, at the left edge, not mirrored: half of every number.
        boxes = np.array([[5, 10, 15, 25], [30, 2.5, 35.5, 8]]) / 45
        np.testing.assert_allclose(task.boxes[0], boxes, rtol=1e-6)
        # c: 60×80 is 34×45 (33.75): rows times 34/60, columns times 45/80.
        box = np.array([20 * 34 / 60, 40 * 45 / 80, 24 * 34 / 60, 48 * 45 / 80]) / 45
        np.testing.assert_allclose(task.boxes[2], [box], rtol=1e-6)
        assert task.boxes[1].shape == (0, 4)
        assert task.boxes[0].dtype == np.float32

    def test_grey_levels_are_the_images_own_range(self, made):
        images = task_of(made, detection(made[1], size=45)).images(1)
        pixels = draw("a").astype(float)
        low, high = pixels.min(), pixels.max()
        spread = np.rint((pixels - low) * 255 / (high - low)).astype(np.uint8)
        np.testing.assert_array_equal(images[0][:, :30], shrink(spread, 45, 30))
        assert not images[0][:, 30:].any()

    def test_what_is_missing(self):
        for findings, label in (
            ((), "normal"),
            ((Finding(label="malignant"),), "malignant"),
            ((BOX, Finding(label="benign")), "malignant"),
            ((Finding(mark="box", box_yxyx_px=(1, 1, 3, 3)),), "unknown"),
        ):
            with pytest.raises(UserError, match=r"'detection' needs findings.*toy has none\.$"):
                detection(catalog_of(info(findings=findings, label=label)))
        with pytest.raises(UserError, match="`size` must be from 32 to 2048"):
            detection(catalog_of(info(findings=(BOX,))), size=31)

    def test_an_image_of_unknown_label_is_no_image_without_a_lesion(self):
        catalog = catalog_of(info("a", findings=(BOX,)), info("b"), info("c", label="benign"))
        assert [one.example_id for one in detection(catalog).examples] == ["a"]


class TestSegmentation:
    def test_masks_are_cut_as_the_images_are(self, made):
        task = task_of(made, segmentation(made[1], shape=(45, 40)))
        assert task.example_ids == ("a", "b", "c")
        assert task.labels.tolist() == [2, 0, 1]
        assert task.class_names == ("normal", "benign", "malignant")
        assert task.masks.shape == (3, 45, 40) and task.masks.dtype == np.uint16
        # a: 45×30 of 90×60, mirrored first; the nearest pixels are the odd ones.
        drawn = ellipse((90, 60), BOX.box_yxyx_px) + 2 * ellipse((90, 60), CIRCLE.box_yxyx_px)
        np.testing.assert_array_equal(task.masks[0][:, :30], drawn[:, ::-1][1::2, 1::2])
        assert not task.masks[0][:, 30:].any() and not task.masks[1].any()
        np.testing.assert_array_equal(
            task.images(1)[0][:, :30], shrink(full_range("a"), 45, 30)[:, ::-1]
        )
        # c: 30×40 of 60×80.
        np.testing.assert_array_equal(task.masks[2][:30], masks_of("c")[1::2, 1::2])
        assert task.notes == ("2 of 3 masks are ellipses in a box or circle.",)
        # each finding's box, relative to the fitted image: a is mirrored
        top, left, bottom, right = BOX.box_yxyx_px
        expected = [top / 90, (60 - right) / 80, bottom / 90, (60 - left) / 80]
        np.testing.assert_allclose(task.boxes[0][0], expected, rtol=1e-6)
        assert [each.tolist() for each in task.box_labels] == [[2, 1], [], [1]]

    def test_findings_without_a_place_are_kept_where_asked_for(self):
        placed = info("a", findings=(MASK,), label="malignant")
        mixed = (Finding(label="benign"), Finding(mark="mask", box_yxyx_px=(1, 1, 3, 3)))
        unplaced = info("b", findings=mixed, label="malignant")
        nameless = info("c", label="malignant")
        unknown = info("d", findings=(Finding(mark="box", box_yxyx_px=(1, 1, 3, 3)),))
        catalog = catalog_of(placed, unplaced, nameless, unknown)
        assert [one.example_id for one in segmentation(catalog, shape=(9, 9)).examples] == ["a"]
        plan = segmentation(catalog, shape=(9, 9), with_unplaced=True)
        assert [one.example_id for one in plan.examples] == ["a", "b", "c"]
        assert [one.label for one in plan.examples] == [2, 2, 2]
        assert plan.examples[1].box_labels.tolist() == [1, 0]
        assert not plan.examples[1].boxes[0].any() and plan.examples[1].boxes[1].any()

    def test_masks_are_cached_beside_the_images(self, made, tmp_path, monkeypatch):
        builder, catalog = made
        plan = segmentation(catalog, shape=(45, 40))
        first = make_task(plan, catalog, builder, cratios=(1,), cache_dir=tmp_path)
        monkeypatch.setattr(type(builder), "as_dataset", None)  # any reading would fail
        again = make_task(plan, catalog, builder, cratios=(1,), cache_dir=tmp_path)
        np.testing.assert_array_equal(again.masks, first.masks)
        assert first.masks.any()

    def test_what_is_missing(self):
        with pytest.raises(UserError, match=r"'segmentation' needs findings.*toy has none\.$"):
            segmentation(catalog_of(info(label="normal")), shape=(9, 9))
        masked = info(findings=(MASK,))
        assert segmentation(catalog_of(masked), shape=(9, 9)).notes == ()


class TestByName:
    def plan(self, name, catalog, **options):
        return plan_binary_task(name, catalog, None, cache_dir=None, **options)

    def test_each_name(self, made):
        assert self.plan("whole", made[1]).name == "whole"
        assert self.plan("patch", made[1]).name == "patch"
        assert self.plan("whole", made[1], fraction=0.1).part_shape == (9, 6)

    def test_auto_takes_the_first_that_is_possible(self):
        normal, ill = info("a", label="normal"), info("b", label="malignant")
        assert self.plan("auto", catalog_of(normal, ill)).name == "whole"

    def test_auto_passes_over_lesions_without_matching_tissue(self, made):
        plan = plan_binary_task("auto", made[1], made[0], cache_dir=None)
        assert plan.name == "patch"

    @pytest.mark.parametrize("name", ["patch", "auto"])
    def test_a_size_that_the_task_has_no_use_for_is_refused(self, made, name):
        with pytest.raises(UserError, match=r"'patch' cuts patches.* no use for a size of 0\.5\."):
            plan_binary_task(name, made[1], made[0], cache_dir=None, fraction=0.5)

    def test_nothing_is_possible(self):
        with pytest.raises(UserError, match=r"toy serves no task\. .*'pairs'.*'lesion'") as error:
            self.plan("auto", catalog_of(info()))
        assert "'patch'" in str(error.value) and "'whole'" in str(error.value)
        assert "\n" not in str(error.value)

    def test_one_class_only(self):
        images = catalog_of(info("a", label="normal"), info("b", label="benign"))
        with pytest.raises(UserError, match=r"'whole' needs .* two classes; toy has none.*'malig"):
            self.plan("whole", images)

    def test_a_wrong_name(self):
        with pytest.raises(UserError, match=r"`task` must be one of auto, pairs.*'lesions'"):
            self.plan("lesions", catalog_of(info()))
