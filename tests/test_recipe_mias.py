"""The mias recipe's settings, detectors, scores, words and report, against hand-made cases."""

import base64
import csv
import dataclasses
import json
import re
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import roc_auc_score

from mammo_tf.cli import main as cli_main
from mammo_tf.config import to_plain
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation import DetectionScores, Estimate, Froc, ScoredFold
from mammo_tf.files import read_checked_json, write_checked_json
from mammo_tf.models.ssd import Detections
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.pipelines.detection.detector import Detector, describe_detector
from mammo_tf.pipelines.detection.examples import detection_task
from mammo_tf.pipelines.detection.parts import read_parts
from mammo_tf.pipelines.detection.scores import scored_image
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import detection, lesion_patches
from mammo_tf.recipes.mias import combine as combine_module
from mammo_tf.recipes.mias import command, detect, detect_found, proposals, run
from mammo_tf.recipes.mias.classify import ClassifyResult
from mammo_tf.recipes.mias.combine import Combined, combine, rescored
from mammo_tf.recipes.mias.conclusion import answer
from mammo_tf.recipes.mias.config import PARTS, CombineConfig, MiasConfig
from mammo_tf.recipes.mias.detect import DetectedFold, list_jobs
from mammo_tf.recipes.mias.detect_config import DetectConfig
from mammo_tf.recipes.mias.detect_scores import RATES, Scores, score_at_rate
from mammo_tf.recipes.mias.division import Division, divide_images
from mammo_tf.recipes.mias.report import Findings, render_report
from mammo_tf.recipes.mias.settings import choose_config
from mammo_tf.recipes.mias.summary import Line, malignant_auroc, summarise
from mammo_tf.record import Finding, ImageInfo
from mammo_tf.report.curves import froc_figure
from mammo_tf.report.style import PALETTE
from mammo_tf.testing import draw_lesions
from mammo_tf.training.detector_config import DetectorTrainingConfig
from mammo_tf.training.folds import SplitConfig
from mammo_tf.training.patch_splits import divide_at_random
from mammo_tf.training.store import Cell

NAN = float("nan")


def exit_2(monkeypatch, capsys, *arguments):
    """Runs the command as a shell does; returns its one line of error."""
    monkeypatch.setattr(sys, "argv", ["mammo-tf", "recipe", "mias", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli_main.main()
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert error.count("\n") == 1, error
    return error


class TestSettings:
    def test_options_and_overrides(self):
        config = choose_config(
            backbone="vgg16",
            weights="none",
            dataset="ncc",
            phantom=True,
            folds=3,
            seed=9,
            overrides=(
                "detect.variant=ssd512",
                "detect.image_size=none",
                "detect.splits=patient",
                "phantom.scale=0.3",
                "detect.training.augment.gamma=0.5",
                "combine.weights=0,0.25",
                "classify.training.augment.horizontal_flip=no",
            ),
        )
        assert (config.dataset, config.phantom.scale, config.seed) == ("ncc", 0.3, 9)
        assert (config.split.num_folds, config.split.official) == (3, "no")
        assert config.detect.shape == (512, 512)
        assert (config.detect.backbone, config.detect.weights) == ("vgg16", "none")
        assert config.detect.splits == ("patient",)
        assert config.detect.training.augment.gamma == 0.5
        assert config.combine.weights == (0.0, 0.25)
        assert config.classify.training.augment.horizontal_flip is False
        assert choose_config() == MiasConfig()

    def test_the_size_the_network_sees(self):
        assert DetectConfig().shape == (300, 300)
        assert DetectConfig(variant="ssd512", image_size=160).shape == (160, 160)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("detect.epochs=3", "Unknown key `detect.epochs`. Did you mean "),
            ("detect.training=3", "is a section"),
            ("detect.training.epochs=many", "whole number"),
            ("split.num_folds=1", "`split.num_folds` must be between 2 and 20. Received: 1"),
            ("split.num_folds=21", "between 2 and 20"),
            ("split.validation_fraction=nan", "validation_fraction`"),
            ("dataset=inbreast", "`dataset` must be one of "),
            ("seed=-1", "`seed`"),
            ("num_resamples=99", "`num_resamples` must be between 100"),
            ("detect.variant=ssd400", "`variant` must be one of ssd300, ssd512"),
            ("detect.backbone=resnet", "`backbone`"),
            ("detect.image_size=95", "`image_size` must be "),
            ("detect.dropout=1", "`dropout`"),
            ("detect.splits=film", "`splits`"),
            ("detect.splits=", "`splits`"),
            ("detect.num_symmetries=9", "`num_symmetries` must be "),
            ("detect.num_symmetries=0", "`num_symmetries`"),
            ("detect.poster_epochs=0", "`poster_epochs`"),
            ("detect.poster_repeats=101", "`poster_repeats`"),
            ("detect.training.mosaic_share=1.1", "`mosaic_share`"),
            ("combine.variant=centred64", "`combine.variant` must be one of centred128"),
            ("combine.proposals=0", "`combine.proposals`"),
            ("combine.weights=0.5,1.5", "`combine.weights` must be from 0 to 1"),
            ("combine.weights=", "`combine.weights`"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, override, message):
        with pytest.raises(UserError, match=re.escape(message)):
            choose_config(overrides=(override,))

    def test_weights_are_not_ignored_in_silence(self):
        with pytest.raises(UserError, match="--weights needs --backbone vgg16"):
            choose_config(weights="imagenet")
        config = choose_config(weights="none", overrides=("detect.backbone=vgg16",))
        assert config.detect.weights == "none"

    def test_a_detector_on_lite0_begins_with_its_weights(self, monkeypatch):
        given = []
        monkeypatch.setattr(detect, "find_weights", lambda weights: weights)
        monkeypatch.setattr(detect, "load_backbone", lambda model, path: given.append(path))
        options = {"backbone": "efficientnet_lite0", "image_size": 96}
        for weights in ("imagenet", "none", "some.pth"):
            model = detect.build_model(DetectConfig(weights=weights, **options), ("lesion",))
            assert model.backbone == "efficientnet_lite0"
        assert given == ["imagenet", "some.pth"]

    def test_a_detector_begins_with_the_weights_of_another(self, tmp_path):
        options, names = {"image_size": 96}, ("benign", "malignant")
        known = detect.build_model(DetectConfig(**options), names)
        known.save_weights(tmp_path / "model.weights.h5")
        describe_detector(Detector(known, names), tmp_path)
        config = DetectConfig(start=str(tmp_path), **options)
        new = detect.build_model(config, names)
        for expected, got in zip(known.get_weights(), new.get_weights(), strict=True):
            np.testing.assert_array_equal(got, expected)
        for other, said in (({"image_size": 128}, "image_shape"), ({"variant": "ssd512"}, "make")):
            with pytest.raises(UserError, match=f"`detect.start` must be .*{said}"):
                detect.build_model(dataclasses.replace(config, **other), names)
        with pytest.raises(UserError, match="None is at"):
            detect.build_model(dataclasses.replace(config, start="nowhere"), names)

    def test_the_command_knows_the_same_parts(self):
        # It has its own list so as to import nothing.
        assert command.PARTS == PARTS


class TestCommand:
    def test_show_config_is_json_and_needs_no_data(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        words = ["recipe", "mias", "--show-config", "--folds", "4", "--set", "combine.proposals=7"]
        result = CliRunner().invoke(cli_main.cli, words)
        assert result.exit_code == 0
        shown = json.loads(result.stdout)
        assert (shown["split"]["num_folds"], shown["combine"]["proposals"]) == (4, 7)
        assert shown["detect"]["training"]["augment"]["rotation_degrees"] == 180
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--part", "combine"], "needs --part classify and --part detect"),
            (["--part", "combine", "--part", "detect"], "needs --part classify."),
            (["--set", "detect.splits=poster"], "`detect.splits`"),
            (["--set", "classify.splits=poster"], "`classify.splits`"),
            (["--set", "combine.variant=sliding128_edges_whole"], "in `classify.variants`"),
        ],
    )
    def test_parts_that_do_not_fit_exit_2_at_once(
        self, words, message, tmp_path, monkeypatch, capsys
    ):
        folder = tmp_path / "run"
        said = exit_2(monkeypatch, capsys, *words, "--run-dir", folder, "--manual-dir", tmp_path)
        assert message in said
        assert not folder.exists()

    def test_an_unknown_part(self):
        result = CliRunner().invoke(cli_main.cli, ["recipe", "mias", "--part", "guess"])
        assert result.exit_code == 2 and "'guess' is not one of" in result.output

    def test_no_data(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "note.txt").write_text("nothing here")
        where = ("--manual-dir", tmp_path / "raw", "--run-dir", tmp_path / "run")
        assert "all-mias.tar.gz" in exit_2(monkeypatch, capsys, *where)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"backbone": "vgg16", "weights": "vgg16.h5"}, r"vgg16\.h5.*not a file"),
            (
                {"backbone": "efficientnet_lite0", "weights": "lite0.pth"},
                r"weights` must be.*'lite0\.pth'",
            ),
            ({"overrides": ("classify.model.name=cnn3",)}, "has one output"),
        ],
    )
    def test_what_cannot_be_built_is_told_of_before_anything_is_trained(
        self, change, message, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)

        def trained(*_args):
            raise AssertionError("trained")

        monkeypatch.setattr(run, "classify", trained)
        monkeypatch.setattr(run, "detect", trained)
        with pytest.raises(UserError, match=message):
            run._run_parts(choose_config(**change), ("classify", "detect"), None, None, tmp_path)


TINY = MiasConfig(
    split=SplitConfig(num_folds=2, validation_fraction=0.3),
    detect=DetectConfig(
        image_size=96,
        poster_epochs=1,
        num_symmetries=1,
        training=DetectorTrainingConfig(epochs=1, warmup_epochs=0, mosaic_share=0),
    ),
)


def open_records(builder, cache_dir):
    return OpenData(builder=builder, catalog=read_catalog(builder), cache_dir=cache_dir)


@pytest.fixture(scope="module")
def opened(build_records, tmp_path_factory):
    """Forty images of twenty patients; ten have a lesion, the second a finding without a place."""
    images = draw_lesions(20, (120, 120), radius=15, unplaced=("mdb002",))
    return open_records(build_records(images), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def division(opened):
    return divide_images(opened.catalog, TINY.split, TINY.seed)


@pytest.fixture(scope="module")
def task(opened):
    plan = detection(opened.catalog, size=192)
    return make_task(plan, opened.catalog, opened.builder, cratios=(1,), cache_dir=None)


@pytest.fixture(scope="module")
def jobs(task, division):
    return list_jobs(task, division, dataclasses.replace(TINY.detect, poster_repeats=2), 1)


class TestJobs:
    def test_one_job_a_fold_then_one_a_random_division(self, jobs):
        assert [job.cell.name for job in jobs] == [
            "ssd300_light_patient-fold0",
            "ssd300_light_patient-fold1",
            "ssd300_light_poster-fold0",
            "ssd300_light_poster-fold1",
        ]

    def test_no_patient_is_in_two_parts(self, opened, jobs):
        tested = []
        for job in jobs[:2]:
            own = {name: set(job.task.groups[part]) for name, part in job.parts.items()}
            assert not own["train"] & own["validation"]
            assert not own["train"] & own["test"] and not own["validation"] & own["test"]
            together = np.concatenate([job.parts[n] for n in ("train", "validation", "test")])
            assert sorted(together) == list(range(39))
            tested += [job.task.example_ids[index] for index in job.parts["test"]]
            assert set(job.scored) == {*job.parts["validation"], *job.parts["test"]}
        # Each image is tested once, but for the one whose finding has no place.
        names = [image.image_id for image in opened.catalog.images]
        assert sorted(tested) == [name for name in names if name != "mdb002"]

    def test_the_parts_are_those_of_the_folds(self, opened, division, jobs):
        for job, fold in zip(jobs, division.folds, strict=False):
            for part, indices in job.parts.items():
                wanted = {opened.catalog.images[k].image_id for k in getattr(fold, part)}
                found = {job.task.example_ids[index] for index in indices}
                assert found == wanted - {"mdb002"}

    def test_what_trains_is_the_train_part(self, jobs, tmp_path, monkeypatch):
        shown = {}

        class Stop(Exception):
            pass

        def batches(images, *_args, **_options):
            shown["ids"] = images.example_ids
            raise Stop

        monkeypatch.setattr(detect, "DetectionBatches", batches)
        for job in jobs[:2]:
            with pytest.raises(Stop):
                detect.train_and_look([job], TINY.detect, tmp_path, 7)
            assert shown["ids"] == tuple(job.task.example_ids[k] for k in job.fold.train)

    def test_the_poster_s_split_leaks(self, jobs):
        job, other = jobs[2:]
        assert len(job.task) == 10 * 8 and job.task.has_box.all()
        assert [len(job.parts[n]) for n in ("train", "validation", "test")] == [56, 8, 16]
        names = {part: set(job.task.image_ids[k]) for part, k in job.parts.items()}
        assert len(names["train"] & names["test"]) >= 8
        assert sorted(job.scored) == list(range(80))
        assert not np.array_equal(job.parts["test"], other.parts["test"])

    def test_one_split_alone(self, task, division):
        config = dataclasses.replace(TINY.detect, splits=("poster",))
        assert [job.split for job in list_jobs(task, division, config, 1)] == ["poster"]

    def test_a_short_training_on_the_poster_s_split_warms_up_in_time(self, jobs):
        config = dataclasses.replace(
            TINY.detect, training=DetectorTrainingConfig(epochs=9, warmup_epochs=4)
        )
        assert [(t.epochs, t.warmup_epochs) for t in (j.training(config) for j in jobs[1:3])] == [
            (9, 4),
            (1, 1),
        ]

    @pytest.mark.parametrize(("count", "sizes"), [(896, (627, 90, 179)), (10, (7, 1, 2))])
    def test_7_to_1_to_2(self, count, sizes):
        names = ("train", "validation", "test")
        parts, again = (
            {name: getattr(fold, name) for name in names}
            for fold in (divide_at_random(count, 3), divide_at_random(count, 3))
        )
        assert tuple(len(parts[n]) for n in names) == sizes
        assert sorted(np.concatenate(list(parts.values()))) == list(range(count))
        assert all(np.array_equal(parts[name], again[name]) for name in parts)


def detections(boxes, scores, *, labels=None, probabilities=None):
    scores = np.asarray(scores, float)
    if probabilities is None:
        probabilities = np.stack([1 - scores, 0.75 * scores, 0.25 * scores], axis=1)
    return Detections(
        boxes_yxyx=np.asarray(boxes, float).reshape(-1, 4),
        labels=np.zeros(len(scores), int) if labels is None else np.asarray(labels),
        scores=scores,
        probabilities=np.asarray(probabilities, float),
    )


class TestKept:
    def test_round_trip(self):
        found = detections(
            [[0.1, 0.2, 0.3, 0.4], [0, 0.123456, 1, 0.9]], [0.9, 0.05], labels=[2, 1]
        )
        again = detect_found.unplain(json.loads(json.dumps(detect_found.plain(found))), 2)
        for name in ("boxes_yxyx", "labels", "scores", "probabilities"):
            np.testing.assert_allclose(getattr(again, name), getattr(found, name), atol=5e-7)
        assert again.labels.dtype.kind == "i"
        assert again.boxes_yxyx.tolist()[1] == [0, 0.123456, 1, 0.9]

    def test_nothing_found(self):
        nothing = detections([], [], probabilities=np.zeros((0, 3)))
        again = detect_found.unplain(detect_found.plain(nothing), 2)
        assert len(again) == 0
        assert again.boxes_yxyx.shape == (0, 4) and again.probabilities.shape == (0, 3)


def same_findings(left, right):
    for mine, other in zip(left, right, strict=True):
        assert mine.cell == other.cell
        for mode in detect_found.MODES:
            assert mine.found[mode].keys() == other.found[mode].keys()
            for index, found in mine.found[mode].items():
                for field in ("boxes_yxyx", "labels", "scores", "probabilities"):
                    expected = getattr(other.found[mode][index], field)
                    np.testing.assert_array_equal(getattr(found, field), expected)


POSTER_ONLY = dataclasses.replace(TINY.detect, splits=("poster",))
NO_FOLDS = Division(np.array([]), ())


@pytest.fixture(scope="module")
def few(build_records, tmp_path_factory):
    """Eight images of four patients, two with a lesion."""
    images = draw_lesions(4, (120, 120), radius=15)
    return open_records(build_records(images), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def first_run(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, detect.detect(few, NO_FOLDS, POSTER_ONLY, folder, 7)


@pytest.mark.slow
class TestDetect:
    def test_every_image_was_looked_at(self, first_run):
        folder, (fold,) = first_run
        assert sorted(fold.found["lesion"]) == list(range(16)) == sorted(fold.found["by_class"])
        for found in fold.found["lesion"].values():
            assert 0 < len(found) <= detect_found.MAX_BOXES and (found.labels == 0).all()
            assert (np.diff(found.scores) <= 0).all()
        classes = np.concatenate([found.labels for found in fold.found["by_class"].values()])
        assert set(classes.tolist()) <= {1, 2}
        assert fold.facts["images_an_epoch"] == 11  # 7 of 10 of 16; there are no normal copies
        described = json.loads((folder / "cells" / fold.cell.name / "detector.json").read_text())
        assert described["class_names"] == ["benign", "malignant"]
        assert described["num_symmetries"] == 1 and described["image_shape"] == [96, 96, 3]
        assert detect.weights_path(folder, fold).is_file()
        split, parts = read_parts(folder / "cells" / fold.cell.name)
        assert split == fold.split == "poster"
        for name, rows in fold.parts.items():
            assert list(parts[name]) == [str(fold.task.image_ids[row]) for row in rows]

    def test_a_finished_run_is_only_read(self, few, first_run, monkeypatch):
        folder, first = first_run
        monkeypatch.setattr(detect, "fit_detector", None)
        monkeypatch.setattr(detect, "look", None)
        again = detect.detect(few, NO_FOLDS, POSTER_ONLY, folder, 7)
        same_findings(again, first)
        assert again[0].facts == first[0].facts

    @pytest.mark.parametrize("damage", ["cut", "other images", "short rows"])
    def test_damaged_findings_are_looked_for_again(self, few, first_run, damage, monkeypatch):
        folder, first = first_run
        path = folder / "cells" / first[0].cell.name / detect_found.FOUND
        whole = path.read_text()
        content = read_checked_json(path)
        by_name = content["found"]["by_class"]
        name = next(name for name, rows in by_name.items() if rows)
        if damage == "other images":
            by_name["mdb999@0"] = by_name.pop(name)
        else:
            by_name[name] = [row[:-1] for row in by_name[name][:1]]
        write_checked_json(path, content)
        if damage == "cut":
            path.write_text(whole[:-200])
        monkeypatch.setattr(detect, "fit_detector", None)
        same_findings(detect.detect(few, NO_FOLDS, POSTER_ONLY, folder, 7), first)
        assert read_checked_json(path)["found"] == json.loads(whole)["value"]["found"]

    def test_a_killed_run_goes_on_to_the_same_numbers(self, few, first_run, tmp_path):
        def killed(*_args, **_options):
            raise KeyboardInterrupt

        _, first = first_run
        for name in ("fit_detector", "look", "keep_found"):
            # Before training; after its last epoch; between the weights and what they find.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(detect, name, killed)
                with pytest.raises(KeyboardInterrupt):
                    detect.detect(few, NO_FOLDS, POSTER_ONLY, tmp_path, 7)
            cells = list((tmp_path / "cells").iterdir())
            assert len(cells) == (name == "keep_found")
            # What is trained is not trained again.
            assert len(list(tmp_path.glob("checkpoints/*/*"))) == (name == "look")
        assert not (cells[0] / detect_found.FOUND).exists()
        same_findings(detect.detect(few, NO_FOLDS, POSTER_ONLY, tmp_path, 7), first)

    def test_a_run_killed_between_two_epochs_goes_on_with_the_second_ones_batches(
        self, few, tmp_path
    ):
        two = dataclasses.replace(POSTER_ONLY, poster_epochs=2)
        whole = detect.detect(few, NO_FOLDS, two, tmp_path / "whole", 7)
        save = detect.DetectorCheckpoint.save

        def save_and_die(*given):
            save(*given)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detect.DetectorCheckpoint, "save", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                detect.detect(few, NO_FOLDS, two, tmp_path / "killed", 7)
        assert not list((tmp_path / "killed" / "cells").iterdir())
        same_findings(detect.detect(few, NO_FOLDS, two, tmp_path / "killed", 7), whole)
        keras.utils.clear_session()

    def test_other_settings_are_refused(self, few, first_run):
        folder, _ = first_run
        changed = dataclasses.replace(POSTER_ONLY, poster_epochs=2)
        with pytest.raises(UserError, match="poster_epochs: 1, now 2"):
            detect.detect(few, NO_FOLDS, changed, folder, 7)
        keras.utils.clear_session()


def make_fold(
    split="patient", number=0, *, image_ids, boxes, found, parts, by_class=None, shape=None
):
    """A detector's findings in small grey images, one patient each."""
    count = len(image_ids)
    task = detection_task(
        np.full((count, 60, 60), 80, np.uint8),
        [np.reshape([box[:4] for box in each], (-1, 4)) for each in boxes],
        [[box[4] for box in each] for each in boxes],
        box_class_names=("benign", "malignant"),
        example_ids=image_ids,
        groups=[f"p{name}" for name in image_ids],
    )
    if shape is not None:
        task = dataclasses.replace(task, shapes=np.tile(shape, (count, 1)))
    lesion = dict(enumerate(found))
    by_class = lesion if by_class is None else dict(enumerate(by_class))
    return DetectedFold(
        split=split,
        cell=Cell(f"ssd300_light_{split}", number),
        task=task,
        parts={name: np.array(part, int) for name, part in parts.items()},
        found={"lesion": lesion, "by_class": by_class},
        facts={"seconds": 90.0, "seconds_an_image": 0.05, "parameters": 10},
    )


class TestScores:
    def test_the_score_at_one_false_positive_a_film(self):
        box = [0.2, 0.2, 0.5, 0.5]
        away = [[0.6, 0.6, 0.7 + step / 100, 0.7] for step in range(4)]
        fold = make_fold(
            image_ids=["mdb001", "mdb002"],
            boxes=[[(*box, 1)], []],
            found=[
                detections([box, *away[:2]], [0.9, 0.8, 0.31337]),
                detections(away[2:], [0.7, 0.1]),
            ],
            parts={"validation": [0, 1], "test": []},
        )
        images = run.images_of([fold], "lesion", ("validation",))
        # False positives 0.8, 0.7, 0.31337, 0.1 on two films: the third is one too many.
        assert score_at_rate(images) == 0.3134
        assert score_at_rate(images, 0.5) == 0.7
        assert score_at_rate(images, 2) == 0

    def test_pixels_of_the_image_and_classes_from_0(self):
        fold = make_fold(
            image_ids=["mdb007"],
            boxes=[[(-0.1, 0.25, 0.5, 1.25, 2)]],
            found=[
                detections([[0, 0.5, 0.25, 0.75], [0, 0, 1, 1]], [1.000001, -1e-7], labels=[2, 1])
            ],
            parts={"test": [0]},
            shape=(1024, 1024),
        )
        image = scored_image(fold.task, 0, fold.found["lesion"][0], "0/mdb007")
        assert (image.image_id, image.group) == ("0/mdb007", "pmdb007")
        assert image.truth_boxes_px.tolist() == [[0, 256, 512, 1024]]
        assert image.truth_labels.tolist() == [1]
        assert image.boxes_px.tolist() == [[0, 512, 256, 768], [0, 0, 1024, 1024]]
        assert image.labels.tolist() == [1, 0]
        assert image.scores.tolist() == [1, 0]

    def test_pixels_of_an_image_that_does_not_fill_its_square(self):
        # 3000×2000 pixels fill the left two thirds of a square.
        fold = make_fold(
            image_ids=["a"],
            boxes=[[(0.25, 0.5, 0.5, 0.75, 1)]],
            found=[detections([[0.25, 0.75, 0.5, 1]], [0.5])],
            parts={"test": [0]},
            shape=(3000, 2000),
        )
        image = scored_image(fold.task, 0, fold.found["lesion"][0], "a")
        assert image.truth_boxes_px.tolist() == [[750, 1500, 1500, 2000]]
        assert image.boxes_px.tolist() == [[750, 1500, 1500, 2000]]

    def test_a_place_of_any_class_has_label_0(self):
        fold = make_fold(
            image_ids=["a"],
            boxes=[[]],
            found=[detections([[0, 0, 1, 1]], [0.5])],
            parts={"test": [0]},
        )
        image = scored_image(fold.task, 0, fold.found["lesion"][0], "a")
        assert image.labels.tolist() == [0] and image.truth_boxes_px.shape == (0, 4)

    def test_the_sets_and_their_numbers(self):
        box, far = [0.2, 0.2, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]
        right = {n: detections([box], [0.9], labels=[n]) for n in (1, 2)}
        wrong = detections([far], [0.95], labels=[1])
        nothing = detections([], [], probabilities=np.zeros((0, 3)))
        parts = {"train": [], "validation": [4], "test": [0, 1, 2, 3]}
        folds = [
            make_fold(
                number=number,
                image_ids=[f"mdb{number}{index}" for index in range(5)],
                boxes=[[(*box, 1)], [(*box, 2)], [], [], [(*box, 1)]],
                found=[right[1], right[2], nothing, *[nothing if number else wrong] * 2],
                parts=parts,
            )
            for number in range(2)
        ]
        poster = make_fold(
            "poster",
            image_ids=[f"mdb{index}@0" for index in range(5)],
            boxes=[[(*box, 1)], [(*box, 2)], [(*box, 1)], [(*box, 2)], [(*box, 2)]],
            found=[right[1], right[2], right[1], right[2], wrong],
            parts={"train": [0, 1], "validation": [4], "test": [2, 3]},
        )
        config = dataclasses.replace(TINY, num_resamples=100)
        scores = run.score_splits([*folds, poster], config)
        assert [(score.name, score.num_images, score.num_lesions) for score in scores] == [
            ("by patient", 8, 4),
            ("by patient, with lesions", 4, 4),
            ("poster's kind, test", 2, 2),
            ("poster's kind, all sets", 5, 5),
        ]
        honest, alike, test, every = scores
        assert alike.lesion.mean.value == 1  # the false alarm is on a normal image
        # Fold 0 cries wolf on its validation film too, as class 1 with 0.95: on the common scale
        # its hit of class 1 becomes 0.9 / 2 and its false alarm 0.95 / 2; 0.9 stays elsewhere.
        # So three hits come first, then the false alarm, then the last hit: 76 of 101 recall
        # points at precision 1, 25 at 4/5. Class 1 alone: one hit, the false alarm, one hit.
        assert honest.froc_centre.sensitivities[0.25].value == 1
        assert honest.lesion.per_class["lesion"].value == pytest.approx(96 / 101)
        assert honest.per_class.per_class["malignant"].value == pytest.approx(1)
        benign = (51 + 50 * 2 / 3) / 101
        assert honest.per_class.per_class["benign"].value == pytest.approx(benign)
        assert honest.per_class.mean.value == pytest.approx((1 + benign) / 2)
        assert test.per_class.mean.value == pytest.approx(1)
        assert every.froc_iou.sensitivities[1].value == pytest.approx(4 / 5)
        assert [score.name for score in run.score_splits([poster], config)] == [
            score.name for score in scores[2:]
        ]


def constant_model(probabilities):
    """A network that says the same of every patch."""
    inputs = keras.Input((16, 16, 1))
    outputs = keras.layers.Dense(
        3,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.log(probabilities)),
    )(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs)


class TestCombine:
    OURS = np.array([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.9, 0.05, 0.05]])
    THEIRS = np.array([[0.75, 0.05, 0.2], [0.2, 0.4, 0.4], [0.2, 0.8, 0.0]])

    @pytest.fixture
    def found(self):
        boxes = [[0, 0, 0.1, 0.1], [0.2, 0.2, 0.3, 0.3], [0.4, 0.4, 0.5, 0.5]]
        return detections(boxes, [0.9, 0.5, 0.1], probabilities=self.OURS)

    def test_the_detector_alone(self, found):
        same = rescored(found, self.THEIRS, 0.0)
        np.testing.assert_allclose(same.scores, [0.9, 0.5, 0.1])
        np.testing.assert_allclose(same.probabilities, self.OURS)
        np.testing.assert_array_equal(same.boxes_yxyx, found.boxes_yxyx)

    def test_the_classifier_alone(self, found):
        same = rescored(found, self.THEIRS, 1.0)
        # The second and third are equal and keep the detector's order.
        np.testing.assert_allclose(same.scores, [0.8, 0.8, 0.25])
        np.testing.assert_allclose(same.probabilities, self.THEIRS[[1, 2, 0]], atol=2e-6)
        np.testing.assert_array_equal(same.boxes_yxyx, found.boxes_yxyx[[1, 2, 0]])

    def test_half_of_each_is_the_geometric_mean(self, found):
        joined = rescored(found, self.THEIRS, 0.5)
        np.testing.assert_allclose(joined.scores, [0.4**0.5, 0.225**0.5, 0.08**0.5])
        np.testing.assert_array_equal(joined.boxes_yxyx, found.boxes_yxyx[[1, 0, 2]])
        # Shares of the first: √(0.2 · 0.5) benign against √(0.8 · 0.5) malignant, 1 to 2.
        lesion = 0.4**0.5
        expected = [1 - lesion, lesion / 3, 2 * lesion / 3]
        np.testing.assert_allclose(joined.probabilities[0], expected)
        np.testing.assert_allclose(joined.probabilities.sum(axis=1), 1)

    def test_nothing_to_score_again(self):
        nothing = detections([], [], probabilities=np.zeros((0, 3)))
        assert len(rescored(nothing, np.zeros((0, 3)), 0.5)) == 0

    @pytest.fixture
    def fold(self):
        """The lesion has 0.5, a place beside it 0.9; the training film must not be asked."""
        found = detections([[0.6, 0.6, 0.8, 0.8], [0.2, 0.2, 0.4, 0.4]], [0.9, 0.5])
        return make_fold(
            image_ids=["mdb001", "mdb002"],
            boxes=[[(0.2, 0.2, 0.4, 0.4, 1)], [(0.6, 0.6, 0.8, 0.8, 1)]],
            found=[found, found],
            parts={"train": [], "validation": [0], "test": [1]},
        )

    @pytest.mark.parametrize(
        ("said", "weights", "expected"),
        [
            # The classifier is right: from 0.3 on 0.47 against 0.60, at 0.2 still 0.58 to 0.57.
            ((0.1, 0.9), (1.0, 0.2, 0.3, 0.0), 0.3),
            ((0.1, 0.9), (0.0, 0.2), 0.0),
            # The classifier is wrong, or says nothing: it does not count.
            ((0.9, 0.1), (1.0, 0.5, 0.0), 0.0),
            ((0.4, 0.4), (0.6, 0.1, 0.4), 0.1),
        ],
    )
    def test_validation_images_choose_the_weight(self, fold, said, weights, expected):
        judged = np.array([[1 - p, p / 2, p / 2] for p in said])
        # On the test image the opposite is true.
        kept = proposals.Judged({"mdb001": judged, "mdb002": judged[::-1]}, 1.0)
        assert combine_module._choose(fold, kept, CombineConfig(weights=weights)) == expected

    def test_only_the_surest_proposals(self, fold):
        first = combine_module._first(fold, 1)
        assert [found.scores.tolist() for found in first.found["lesion"].values()] == [[0.9], [0.9]]
        assert first.found["by_class"] is fold.found["by_class"]

    def test_the_middle_of_a_box_in_pixels(self):
        found = detections([[0, 0, 1, 1], [0.5, 0, 1, 0.5]], [0.9, 0.5])
        middles = proposals.middles_px(found, (101, 201))
        np.testing.assert_array_equal(middles, [[50, 100], [75, 50]])

    def test_each_fold_is_judged_by_its_own_classifier(self, opened, tmp_path):
        said = {0: [0.7, 0.2, 0.1], 1: [0.1, 0.3, 0.6]}
        loaded = []

        def model_of(number):
            loaded.append(number)
            return constant_model(said[number])

        names = ["mdb003", "mdb004", "mdb007", "mdb008"]
        found = detections([[0.2, 0.2, 0.4, 0.4], [0.6, 0.6, 0.8, 0.8]], [0.9, 0.5])
        folds = [
            make_fold(
                number=number,
                image_ids=names,
                boxes=[[(0.2, 0.2, 0.4, 0.4, 1)], []] * 2,
                found=[found] * 4,
                parts={"train": [], "validation": [2 - 2 * number, 3 - 2 * number], "test": part},
                shape=(120, 120),
            )
            for number, part in enumerate(([0, 1], [2, 3]))
        ]
        classified = dataclasses.replace(make_result(), model_of=model_of)
        config = CombineConfig(weights=(1.0,))
        options = {"num_resamples": 100, "seed": 1}
        where = (config, dataclasses.replace(TINY.classify, input_size=16), tmp_path)
        combined = combine(opened, folds, classified, *where, **options)
        assert combined.fold_weights == (1.0, 1.0)
        assert set(loaded) == {0, 1}
        for fold in folds:
            path = tmp_path / "combine" / f"{fold.cell.name}-centred128.json"
            kept = read_checked_json(path)
            assert list(kept["said"]) == names
            for rows in kept["said"].values():
                np.testing.assert_allclose(rows, [said[fold.cell.fold]] * 2, rtol=1e-5)
        # What is kept is not asked for again; other places are.
        loaded.clear()
        again = combine(opened, folds, classified, *where, **options)
        assert again.after.lesion == combined.after.lesion and not loaded
        fewer = CombineConfig(weights=(1.0,), proposals=1)
        combine(opened, folds, classified, fewer, *where[1:], **options)
        assert set(loaded) == {0, 1}

    def test_patches_of_places_are_cut_as_the_classifier_s_own(self, opened):
        plan = lesion_patches(
            opened.catalog,
            opened.builder,
            cache_dir=None,
            patch_size=64,
            input_size=16,
            lesion_copies=0,
            extra_normals=0,
            by_class=True,
        )
        own = make_task(plan, opened.catalog, opened.builder, cratios=(1,), cache_dir=None)
        places = {}
        for example in plan.examples:
            name = opened.catalog.images[example.parts[0].image].image_id
            places.setdefault(name, []).append(example.parts[0].place[:2])
        places = {name: np.array(found) for name, found in places.items()}
        cut = proposals.cut_places(opened, places, patch_size=64, input_size=16)
        assert len(cut) == len(own) and cut.input_shape == own.input_shape
        for name, found in places.items():
            mine = np.flatnonzero(cut.image_ids == name)
            theirs = np.flatnonzero(own.image_ids == name)
            assert len(mine) == len(found) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(cut.images(1)[one], own.images(1)[other])

    def test_no_place_at_all(self, opened, tmp_path):
        nothing = {"mdb001": np.zeros((0, 2), int)}
        options = {"patch_size": 64, "input_size": 16}
        for _ in range(2):
            judged = proposals.judge(opened, nothing, None, tmp_path / "kept.json", **options)
            assert judged.probabilities["mdb001"].shape == (0, 3) and judged.milliseconds == 0


def make_scores(name, start, *, mean=None, benign=None):
    """Scores whose every number is another: start, start + 0.01, …."""
    numbers = iter(range(100))

    def estimate():
        value = start + next(numbers) / 100
        return Estimate(value, value - 0.02, value + 0.02)

    def curve():
        sensitivities = {rate: estimate() for rate in RATES}
        return Froc(sensitivities, estimate(), np.array([0, 0.5, 3]), np.array([0, 0.4, 0.7]))

    lesion = estimate()
    per_class = {"benign": benign or estimate(), "malignant": estimate()}
    return Scores(
        name=name,
        num_images=77,
        num_lesions=33,
        lesion=DetectionScores({"lesion": lesion}, lesion),
        froc_centre=curve(),
        froc_iou=curve(),
        per_class=DetectionScores(per_class, mean or estimate()),
    )


def make_result(split="patient", *, strength=0.0, seed=1, labels=None, one_patient=False):
    """Two folds of scored patches; malignant patches look `strength` more malignant."""
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1, 2], 30) if labels is None else labels
    folds = []
    for number in range(2):
        values = rng.normal(size=(len(labels), 3))
        values[:, 0] += 1.5 * (labels == 0)
        values[:, 2] += strength * (labels == 2)
        values = np.exp(values)
        names = np.array([f"p{number}-{index}" for index in range(len(labels))])
        if one_patient:
            names[labels == 2] = "p999"
        probabilities = values / values.sum(axis=1, keepdims=True)
        folds.append(ScoredFold(labels, probabilities, names, names))
    return ClassifyResult(
        variant="centred128",
        split=split,
        folds=tuple(folds),
        num_patches=(60, 60, 60),
        num_parameters=621,
        seconds=12.0,
    )


def area(result):
    """AUROC of malignant against benign, the mean over folds, by scikit-learn."""
    areas = []
    for fold in result.folds:
        lesions = fold.labels > 0
        share = fold.scores[lesions, 2] / fold.scores[lesions, 1:].sum(axis=1)
        areas.append(roc_auc_score(fold.labels[lesions] == 2, share))
    return np.mean(areas)


class TestSummary:
    def test_lines_of_the_detector(self):
        score = make_scores("by patient", 0.1)
        lines = summarise([], [score], [], TINY)
        named = {line.measure: line for line in lines}
        assert len(named) == len(lines) == 1 + 2 * len(RATES) + 3
        assert (
            named["sensitivity at 0.25 FP/image, IoU 0.5"].estimate
            == (score.froc_iou.sensitivities[0.25])
        )
        assert named["AP malignant"].estimate == score.per_class.per_class["malignant"]
        assert [line.measure for line in lines if not line.is_detail] == [
            "AP lesion, IoU 0.5",
            "sensitivity at 1 FP/image, centre",
            "mAP",
        ]
        assert {(line.what, line.set) for line in lines} == {("detection", "by patient")}

    def test_lines_of_the_classifier(self):
        result = make_result("poster", strength=0.7)
        config = dataclasses.replace(TINY, num_resamples=100)
        lines = summarise([result], [], [], config)
        assert {(line.what, line.set) for line in lines} == {
            ("patches centred128", "poster's kind")
        }
        named = {line.measure: line.estimate for line in lines}
        assert named["AUROC malignant / benign"].value == pytest.approx(area(result))
        labels, scores = (
            [fold.labels > 0 for fold in result.folds],
            [1 - fold.scores[:, 0] for fold in result.folds],
        )
        expected = np.mean([roc_auc_score(*pair) for pair in zip(labels, scores, strict=True)])
        assert named["AUROC lesion / normal"].value == pytest.approx(expected)
        said = np.concatenate([fold.scores.argmax(axis=1) for fold in result.folds])
        truth = np.concatenate([fold.labels for fold in result.folds])
        recalls = [np.mean(said[truth == label] == label) for label in range(3)]
        assert named["balanced accuracy"].value == pytest.approx(np.mean(recalls))

    def test_a_fold_without_malignant_patches_is_left_out(self):
        whole = make_result(strength=1)
        benign = make_result(labels=np.tile([0, 1], 20))
        mixed = dataclasses.replace(whole, folds=(whole.folds[0], benign.folds[0]))
        alone = dataclasses.replace(whole, folds=whole.folds[:1])
        assert malignant_auroc(mixed) == malignant_auroc(alone)
        assert malignant_auroc(alone).value == pytest.approx(area(alone))
        assert np.isnan(malignant_auroc(benign).value)

    def test_a_number_that_there_is_not_is_null(self, tmp_path):
        line = Line("detection", "all", "mAP", Estimate(0.5, NAN, NAN))
        assert line.plain() == {
            "what": "detection",
            "set": "all",
            "measure": "mAP",
            "value": 0.5,
            "low": None,
            "high": None,
        }
        run._write_tables(tmp_path, [line])
        json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
        with (tmp_path / "summary.csv").open(newline="") as lines:
            (row,) = csv.DictReader(lines)
        assert (row["measure"], row["value"], row["low"]) == ("mAP", "0.500000", "nan")


class TestConclusion:
    def test_each_number_of_the_detector_is_the_one_given(self):
        honest = make_scores("by patient", 0.11)
        (said,) = answer([], [honest], None)
        numbers = re.findall(r"\d\.\d\d \(\d\.\d\d, \d\.\d\d\)", said)
        expected = (
            honest.froc_centre.sensitivities[1],
            honest.lesion.per_class["lesion"],
            honest.per_class.mean,
        )
        assert numbers == [f"{e.value:.2f} ({e.low:.2f}, {e.high:.2f})" for e in expected]

    @pytest.mark.parametrize(
        ("value", "words", "others"),
        # Standard errors of 0.025 each: a difference of 0.07 is the least that is told from chance.
        [(0.18, "worth, not skill", "gained"), (0.16, "told from chance", "skill")],
    )
    def test_the_leak_is_called_one_where_it_is_told_from_chance(self, value, words, others):
        name = "by patient, with lesions"
        honest = make_scores(name, 0.1, mean=Estimate(0.1, 0.05, 0.15, 0.025))
        mean = Estimate(value, value - 0.05, value + 0.05, 0.025)
        leaky = make_scores("poster's kind, test", 0.3, mean=mean)
        every = make_scores("poster's kind, all sets", 0.5, mean=Estimate(0.66, 0.6, 0.7))
        text = " ".join(answer([], [honest, leaky, every], None))
        assert words in text and others not in text
        shown = f"{value:.2f} ({value - 0.05:.2f}, {value + 0.05:.2f})"
        assert f"{shown} (the poster, on its own images: 0.803)" in text
        assert "0.66" not in text

    @pytest.mark.parametrize(("strength", "is_chance"), [(0.0, True), (1.5, False)])
    def test_chance_is_called_chance(self, strength, is_chance):
        result = make_result(strength=strength)
        estimate = malignant_auroc(result)
        assert (estimate.low <= 0.5) == is_chance
        (said,) = answer([result], [], None)
        assert f"malignant against benign {area(result):.2f} (" in said
        assert ("no better than chance" in said) == is_chance

    def test_too_few_patients_for_an_interval(self):
        (said,) = answer([make_result(strength=1.5, one_patient=True)], [], None)
        assert "too few patients" in said and "no better than chance" not in said

    def test_only_the_first_variant_is_spoken_of(self):
        results = [make_result(), make_result("poster", strength=2)]
        results.append(dataclasses.replace(make_result(), variant="centred256"))
        said = answer(results, [], None)
        assert len(said) == 2
        assert "patients not seen" in said[0] and "the poster's kind of split" in said[1]

    def test_both_together(self):
        before, after = make_scores("detector alone", 0.2), make_scores("both", 0.5)
        combined = Combined(before, after, (0.3, 0.5), 40.4, 12.3, 3210.0, 1024)
        (said,) = answer([], [], combined)
        for number in (
            before.froc_centre.mean_sensitivity,
            after.froc_centre.mean_sensitivity,
            before.per_class.mean,
            after.per_class.mean,
        ):
            assert f"{number.value:.2f} ({number.low:.2f}, {number.high:.2f})" in said
        assert "12 ms an image on top of 40 ms" in said and "3210 ms" in said

    def test_nothing_was_run(self):
        assert answer([], [], None) == []


CATALOG = Catalog(
    "inbreast/ladder_1/2.0.0",
    tuple(
        ImageInfo(
            image_id=f"a{k}",
            patient_id=f"p{k // 2}",
            exam_id="",
            shape=(60, 60),
            findings=(Finding(mark="box", box_yxyx_px=(1, 1, 5, 5)),) * (k == 3),
        )
        for k in range(4)
    ),
    source="",
)


def make_findings(*, scores, combined=None, classified=(), detected=()):
    return Findings(
        catalog=CATALOG,
        classified=classified,
        detected=detected,
        scores=scores,
        combined=combined,
        config={"configuration": to_plain(TINY), "environment": {"mammo_tf": "0"}},
    )


def visible(page):
    """A page's text, without pictures and style."""
    page = re.sub(r'"data:[^"]*"|<style.*?</style>', "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.fixture(scope="module")
def page():
    box, beside = [0.2, 0.2, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]
    fold = make_fold(
        image_ids=["mdb001", "mdb002", "mdb003"],
        boxes=[[(*box, 1)], [(*box, 2)], []],
        found=[detections([box], [0.9]), *[detections([beside], [0.31])] * 2],
        parts={"train": [], "validation": [], "test": [0, 1, 2]},
    )
    missing = Estimate(NAN, NAN, NAN)
    scores = [
        make_scores("by patient", 0.11),
        make_scores("poster's kind, test", 0.5),
        make_scores("poster's kind, all sets", 0.3, benign=missing),
    ]
    combined = Combined(
        make_scores("detector alone", 0.15),
        make_scores("detector and classifier", 0.25),
        (0.3, 0.5),
        40.4,
        12.3,
        3210.0,
        1089,
    )
    findings = make_findings(
        scores=[*scores, combined.before, combined.after],
        combined=combined,
        classified=[make_result(), make_result("poster", strength=1)],
        detected=[fold],
    )
    return render_report(findings, dataclasses.replace(TINY, num_resamples=100))


class TestReport:
    @pytest.mark.parametrize(
        "number", ["0.800", "0.806", "0.803", "0.879", "0.907", "0.902", "0.893"]
    )
    def test_the_poster_s_numbers_as_printed(self, page, number):
        assert re.search(rf"(?<![\d.]){number}(?!\d)", visible(page))

    def test_the_poster_s_averages_by_hand(self):
        assert round((0.8 + 0.806) / 2, 3) == 0.803
        assert round((0.879 + 0.907) / 2, 3) == 0.893

    def test_it_fetches_nothing(self, page):
        # A reader may follow a link to a source; nothing is loaded from outside.
        page = re.sub(r'<a [^>]*href="https://[^"]*"[^>]*>', "", page)
        assert not re.search(r'(?:src|href)\s*=\s*["\']?(?!["\']?(?:data:|#))', page)
        assert "url(" not in page and "<script" not in page and "@import" not in page

    def test_what_there_is_not_is_a_dash(self, page):
        text = visible(page)
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
        cells = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
        row = next(cell for cell in cells if "all sets" in cell and "–" in cell)
        assert re.findall(r"<td[^>]*>\s*(.*?)\s*</td>", row, re.DOTALL)[-3] == "–"

    def test_both_splits_stand_side_by_side_with_their_intervals(self, page):
        text = visible(page)
        for words in ("by patient 77 33 0.11 (0.09, 0.13)", "kind, test 77 33 0.50 (0.48"):
            assert words in text
        assert "Believe the rows “by patient”" in text
        assert "detector and classifier 77 33 0.25" in text
        assert "chosen on each fold&#39;s validation images: 0.3, 0.5" in text or (
            "chosen on each fold's validation images: 0.3, 0.5" in text
        )
        assert "1089 places" in text and "3210 ms" in text

    def test_images_found_missed_and_normal_are_shown(self, page):
        text = visible(page)
        for words in ("Lesions found: mdb001.", "Lesions missed: mdb002.", "alarms: mdb003."):
            assert words in text
        assert page.count('<img src="data:image/') == 4  # those and the FROC curves

    @pytest.mark.parametrize(
        ("parts", "present", "absent"),
        [
            ({"scores": [make_scores("by patient", 0.2)]}, "FROC", "Classification of"),
            ({"scores": [], "classified": [make_result()]}, "Classification of", "FROC"),
            ({"scores": []}, "How it was done", "FROC"),
        ],
    )
    def test_what_was_not_run_is_not_spoken_of(self, parts, present, absent):
        config = dataclasses.replace(TINY, num_resamples=100)
        text = visible(render_report(make_findings(**parts), config))
        assert present in text and absent not in text

    def test_names_and_notes_come_from_the_data_set(self):
        result = dataclasses.replace(make_result(), notes=("Normal tissue comes from afar.",))
        config = dataclasses.replace(TINY, num_resamples=100, dataset="ncc")
        phantom = dataclasses.replace(CATALOG, is_phantom=True, has_official_splits=True)
        findings = dataclasses.replace(
            make_findings(scores=[], classified=[result]), catalog=phantom
        )
        text = visible(render_report(findings, config))
        assert "PHANTOM (synthetic images): Lesions on ncc" in text
        assert "4 of 2 patients, 1 lesions with a place (inbreast/ladder_1/2.0.0)" in text
        assert "the data set&#39;s own split" in text or "the data set's own split" in text
        assert text.count("Normal tissue comes from afar.") == 1
        assert "mini-MIAS" not in text and "Believe the rows" not in text

    def test_confusions_are_counted(self, page):
        result = make_result()
        said = np.concatenate([fold.scores.argmax(axis=1) for fold in result.folds])
        truth = np.concatenate([fold.labels for fold in result.folds])
        row = [int(((truth == 2) & (said == label)).sum()) for label in range(3)]
        assert f"true malignant {row[0]} {row[1]} {row[2]} " in visible(page)


def lines_of(uri):
    """The coloured lines of a figure: {colour: [(x, y), …] in points, y downwards}."""
    svg = base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode()
    axes = svg[: svg.index('id="legend_1"')]
    found = re.findall(r'<path d="([^"]+)" clip-path[^>]+stroke: (#[0-9a-f]{6})', axes)
    return {
        colour: [tuple(map(float, pair)) for pair in re.findall(r"[ML] (\S+) (\S+)", path)]
        for path, colour in found
        if colour in PALETTE
    }


def test_a_froc_curve_is_a_step_that_ends_where_the_axis_does():
    rates, values = np.array([0.0, 2.0, 8.0]), np.array([0.2, 0.8, 0.8])
    (points,) = lines_of(froc_figure({"a": (rates, values)}, max_rate=8.0)).values()
    (x0, low), (x1, still), (x2, high), *_ = points
    assert x0 < x1 == x2 and low == still > high  # up at the second rate, not before
    assert (x1 - x0) / (points[-1][0] - x0) == pytest.approx(2 / 8, abs=1e-3)
    (cut,) = lines_of(froc_figure({"a": (rates, values)}, max_rate=4.0)).values()
    assert (cut[1][0] - cut[0][0]) == pytest.approx(2 * (x1 - x0), rel=0.05)


def test_froc_curves_have_different_colours():
    curve = np.array([0.0, 1.0, 4.0]), np.array([0.1, 0.5, 0.6])
    other = np.array([0.0, 1.0, 4.0]), np.array([0.3, 0.7, 0.9])
    assert len(lines_of(froc_figure({"a": curve, "b": other}))) == 2
