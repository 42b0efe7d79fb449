"""The glam recipe: what is learnt from, what is measured, and a whole run on a small phantom."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from mammo_tf.cli.main import cli
from mammo_tf.errors import UserError
from mammo_tf.evaluation import Estimate
from mammo_tf.recipes.glam.conclusion import answer, verdict
from mammo_tf.recipes.glam.config import PRESETS, GlamConfig
from mammo_tf.recipes.glam.data import ANY, image_labels, is_marked, lesion_mask
from mammo_tf.recipes.glam.measure import measure
from mammo_tf.recipes.glam.settings import choose_config
from mammo_tf.recipes.glam.summary import relative_gain, summarise
from mammo_tf.training.folds import Fold

SHAPE = (8, 6)


def mask(*boxes):
    """Bit k in box k, (top, left, bottom, right)."""
    found = np.zeros(SHAPE, np.uint16)
    for bit, (top, left, bottom, right) in enumerate(boxes):
        found[top:bottom, left:right] |= np.uint16(1 << bit)
    return found


@pytest.fixture
def task():
    """Normal, benign, both, malignant without place, and a mask of unknown class."""
    boxes = [(0, 0, 4, 4)], [(0, 0, 4, 4), (4, 2, 8, 6)], [], [(1, 1, 3, 3)]
    masks = [mask(), *(mask(*each) for each in boxes)]
    images = {
        cratio: np.stack([np.full(SHAPE, 10 * row + (cratio > 1), np.uint8) for row in range(5)])
        for cratio in (1, 100)
    }
    placed, unplaced = [0.1, 0.1, 0.4, 0.4], [0, 0, 0, 0]
    return SimpleNamespace(
        example_ids=tuple("abcde"),
        groups=np.array(list("vwxyz")),
        labels=np.array([0, 1, 2, 2, 2]),
        masks=np.stack(masks),
        boxes=tuple(
            np.array(each, np.float32).reshape(-1, 4)
            for each in ([], [placed], [placed] * 2, [unplaced], [placed, unplaced])
        ),
        box_labels=tuple(map(np.array, ([], [1], [1, 2], [2], [0, 2]))),
        images=images.__getitem__,
    )


def test_labels_are_of_the_image_and_masks_of_a_class(task):
    assert image_labels(task).tolist() == [[0, 0], [1, 0], [1, 1], [0, 1], [0, 1]]
    assert [is_marked(task, row) for row in range(5)] == [True, True, True, False, False]
    np.testing.assert_array_equal(lesion_mask(task, 2, "benign"), mask((0, 0, 4, 4)) > 0)
    np.testing.assert_array_equal(lesion_mask(task, 2, "malignant"), mask((4, 2, 8, 6)) > 0)
    assert lesion_mask(task, 2, ANY).sum() == 32
    # of an unknown class: a lesion, and neither benign nor malignant
    assert lesion_mask(task, 4, ANY).any()
    assert not lesion_mask(task, 4, "malignant").any()


def test_the_threshold_comes_from_validation_at_the_ratio_of_the_test_images(task):
    seen = []

    def find_maps(images):
        """Benign: 0.8 in its upper left; malignant: 0.6 there; 0.1 elsewhere."""
        seen.extend(images[:, 0, 0].tolist())
        values = np.full((len(images), *SHAPE, 2), 0.1)
        values[:, :4, :4] = (0.8, 0.6)
        return {"toy": (values, np.array([[0.3, 0.7]] * len(images)))}

    fold = Fold(0, np.array([0]), np.array([1]), np.array([2, 3, 4]))
    found = measure(task, fold, image_labels(task), find_maps, 100)
    assert seen == [11, 21, 31, 41]  # validation, then test; all at CR 100
    assert 0.1 < found["thresholds"]["toy"]["benign"] <= 0.8
    # no malignant lesion is marked in validation: no threshold, and no Dice
    assert found["thresholds"]["toy"]["malignant"] is None
    both, unplaced, unknown = (case["methods"]["toy"] for case in found["cases"])
    assert both["dice"] == {"benign": 1.0, ANY: 2 * 16 / (16 + 32)}
    assert both["pointing"] == {"benign": 1.0, "malignant": 0.5 * 0 + 0.0, ANY: 1.0}
    assert unplaced["dice"] == {} and unplaced["pointing"] == {}
    assert unknown["dice"] == {ANY: 2 * 4 / (16 + 4)}
    assert [case["labels"] for case in found["cases"]] == [[1, 1], [0, 1], [0, 1]]
    assert both["scores"] == [0.3, 0.7]


def fold_of(values: dict, patients="abcdef") -> dict:
    """Each image malignant and marked, but for the last two; scores tell them apart."""
    cases = []
    for number, patient in enumerate(patients):
        is_ill = number < len(patients) - 2
        methods = {
            name: {
                "scores": [0.5, 0.9 - 0.1 * number],
                "dice": {"malignant": each[number]} if is_ill else {},
                "pointing": {"malignant": 1.0} if is_ill else {},
            }
            for name, each in values.items()
        }
        cases.append(
            {"example_id": patient, "group": patient, "labels": [0, int(is_ill)]}
            | {"methods": methods}
        )
    return {"thresholds": {}, "cases": cases}


def test_numbers_of_a_run_worked_out_by_hand():
    glam = {"glam": [0.5, 0.6, 0.7, 0.8], "glam_global": [0.5, 0.5, 0.6, 0.6]}
    first = {
        "glam": [[fold_of(glam)]],
        "classifier": [[fold_of({"gradcam": [0.2, 0.3, 0.5, 0.6]})]],
    }
    fallen = {"glam": [0.4, 0.5, 0.6, 0.7], "glam_global": [0.0] * 4}
    config = dataclasses.replace(GlamConfig(), cratios=(1, 50), num_resamples=200)
    summary = summarise({1: first, 50: {"glam": [[fold_of(fallen)]]}}, config)
    rows = {(row.method, row.kind, row.cratio): row for row in summary.rows}
    assert rows["glam", "malignant", 1].measures["dice"].value == pytest.approx(0.65)
    assert rows["glam", "malignant", 1].num_lesions == 4
    assert rows["gradcam", "malignant", 1].measures["dice"].value == pytest.approx(0.4)
    assert rows["glam", "malignant", 1].measures["auroc"].value == 1
    changes = {
        (one.measure, one.rival): one.comparison.change.value
        for one in summary.versus
        if one.kind == "malignant"
    }
    assert changes["dice", "gradcam"] == pytest.approx(0.25)
    assert changes["dice", "glam_global"] == pytest.approx(0.10)
    falls = {(one.kind, one.cratio): one.comparison.change.value for one in summary.by_cratio}
    assert falls == {("malignant", 50): pytest.approx(-0.1)}
    assert relative_gain(summary, "malignant", "gradcam") == pytest.approx(0.625)
    said = " ".join(answer(summary))
    assert "GLAM outlines lesions (malignant) better than Grad-CAM" in said
    assert "+62.5%" in said and "(--repeats)" in said


def test_a_verdict_needs_an_interval_beside_nought():
    assert verdict(Estimate(-0.1, -0.2, -0.01)) == "worse"
    assert verdict(Estimate(0.1, float("nan"), float("nan"))) == "cannot be told"


def test_settings():
    assert choose_config(preset=None, dataset=None) == PRESETS["demo"]
    assert choose_config(preset=None, dataset="cdd_cesm").network.image_shape == (2944, 1920)
    config = choose_config(preset="cpu", dataset="cdd_cesm", cratios=(100,))
    assert config.cratios == (1, 100)
    with pytest.raises(UserError, match="--preset demo runs on a phantom of ncc"):
        choose_config(preset="demo", dataset="mini_mias")
    with pytest.raises(UserError, match="only flips, turns, moves and magnifies"):
        choose_config(preset="cpu", overrides=("training.augment.contrast=0.2",))
    with pytest.raises(UserError, match="baselines"):
        choose_config(preset="cpu", overrides=("baselines=cam",))


SMALL = [
    *("recipe", "glam", "--preset", "demo", "--cratios", "100", "--json"),
    *("--set", "phantom.num_studies=10", "--set", "phantom.scale=0.125"),
    *("--set", "network.image_shape=96,80", "--set", "network.crop_shape=32,32"),
    *("--set", "training.global_epochs=1", "--set", "training.local_epochs=1"),
    *("--set", "classifier.training.epochs=1", "--set", "unet.training.epochs=1"),
    *("--set", "network.local_num_filters=4,4", "--set", "unet.num_filters=4,8"),
]


def test_a_run_can_be_begun_again_and_a_damaged_file_is_made_anew(tmp_path):
    run_dir = tmp_path / "run"
    command = [*SMALL, "--run-dir", str(run_dir)]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    summary = (run_dir / "summary.json").read_text()
    content = json.loads(summary)
    methods = {row["method"] for row in content["rows"]}
    assert len(methods) == 4
    assert {row["cratio"] for row in content["rows"]} == {1, 100}
    assert content["is_phantom"] and content["answer"]
    page = (run_dir / "report.html").read_text()
    assert "PHANTOM" in page and "Dice against compression" in page and "image/svg" in page
    cells = sorted(path.name for path in (run_dir / "cells").iterdir())
    assert cells == [
        *("depthwise_cnn-fold0", "depthwise_cnn-fold1", "glam-fold0", "glam-fold1"),
        *("unet-fold0", "unet-fold1"),
    ]
    assert not (run_dir / "glam").exists()
    weights = {path: path.stat().st_mtime_ns for path in run_dir.glob("cells/*/*.h5")}
    for name in ("unet-fold1", "glam-fold0"):
        measured = run_dir / "cells" / name / "segmentation-cr100.json"
        measured.write_text(measured.read_text().replace("0.", "0.1", 1))
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert (run_dir / "summary.json").read_text() == summary
    assert {path: path.stat().st_mtime_ns for path in run_dir.glob("cells/*/*.h5")} == weights
    # weights of another network are no start
    start = run_dir / "cells" / "unet-fold0" / "model.weights.h5"
    other = [*SMALL, "--start", str(start), "--run-dir", str(tmp_path / "other")]
    with pytest.raises(UserError, match="no weights of such a GLAM"):
        CliRunner().invoke(cli, other, catch_exceptions=False)
