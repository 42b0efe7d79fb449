"""That the compression recipe joins its parts rightly: ratios, folds, sizes, models, images."""

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import brier_score_loss, roc_auc_score

from mammo_tf import data_source
from mammo_tf.cli import recipe_run
from mammo_tf.codecs.jpeg2000 import encode_ladder
from mammo_tf.data_source import DataPaths, OpenData
from mammo_tf.errors import UserError
from mammo_tf.evaluation import ScoredFold
from mammo_tf.models.registry import ModelConfig
from mammo_tf.pipelines.augment import AugmentConfig
from mammo_tf.pipelines.catalog import read_catalog
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression import data, grid
from mammo_tf.recipes.compression import run as recipe
from mammo_tf.recipes.compression.answer import answer
from mammo_tf.recipes.compression.command import compression
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.detail import measure_detail, write_detail
from mammo_tf.recipes.compression.experiments import EXPERIMENTS
from mammo_tf.recipes.compression.report_networks import networks_sections
from mammo_tf.recipes.compression.summarise import by_model, summarise, write_tables
from mammo_tf.record import Finding
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import SplitConfig

SHAPE = (68, 64)
PAPER_AUROC = ("0.87 (0.85, 0.89)", "0.87 (0.85, 0.89)")  # Table 1, CR 1 and CR 20
CONFIG = CompressionConfig(
    cratios=(1, 20),
    model=ModelConfig(
        options={"stackwise_num_filters": (2, 4, 4), "dense_units": (4, 4), "dropout": 0.35,
                 "head_pooling": "max"}
    ),
    split=SplitConfig(num_folds=2),
    training=TrainingConfig(epochs=1, batch_size=16),
    seed=7,
)  # fmt: skip


def make_task(count=64, official=False, spoil=None):
    """A third of the examples only train; a quarter of the patients are labelled test."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 200, (count, *SHAPE), "uint8")
    patients = np.arange(count) // 2
    split = np.where(patients % 4 == 0, "test", "train") if official else np.full(count, "train")
    if spoil is not None:
        images[split == spoil] = rng.integers(0, 200, (np.sum(split == spoil), *SHAPE), "uint8")
    return Task(
        name="toy",
        example_ids=tuple(f"e{index:02d}" for index in range(count)),
        image_ids=np.array([f"i{index:02d}" for index in range(count)]),
        groups=np.array([f"p{patient:02d}" for patient in patients]),
        labels=(np.arange(count) + patients) % 2,
        evaluated=np.arange(count) % 3 != 1,
        split=split,
        images=lambda cratio: images if cratio == 1 else images[:, ::-1],
        input_shape=SHAPE,
        shapes=np.full((count, 2), SHAPE),
        has_official_splits=official,
    )


def handed_over(monkeypatch, config, task, experiment="single", **options):
    """What `score` hands to the grid."""
    given = {}

    def run_grid(task, cells, **options):
        given.update(options, cells=cells)
        return {}

    monkeypatch.setattr(grid, "run_grid", run_grid)
    grid.score(config, task, experiment, "nowhere", **options)
    return given


@pytest.mark.parametrize("official", [False, True])
def test_what_only_trains_is_in_no_test_or_validation_part(monkeypatch, official):
    task = make_task(official=official)
    folds = handed_over(monkeypatch, CONFIG, task)["folds"]
    assert len(folds) == (1 if official else 2)
    for fold in folds:
        assert task.evaluated[fold.test].all() and task.evaluated[fold.validation].all()
        assert not task.evaluated[fold.train].all()
    tested = np.concatenate([fold.test for fold in folds])
    wanted = task.evaluated & (task.split == "test") if official else task.evaluated
    assert sorted(tested.tolist()) == np.flatnonzero(wanted).tolist()


def test_scores_tables_and_predictions_hold_evaluated_examples_only(tmp_path):
    task = make_task()
    scored = grid.score(CONFIG, task, "cross", tmp_path)
    assert list(scored) == [((1,), 1), ((1,), 20), ((20,), 1), ((20,), 20)]
    wanted = [name for name, tested in zip(task.example_ids, task.evaluated, strict=True) if tested]
    for (folds,) in scored.values():
        assert sorted(name for fold in folds for name in fold.example_ids) == wanted
        for fold in folds:
            rows = [task.example_ids.index(name) for name in fold.example_ids]
            np.testing.assert_array_equal(fold.labels, task.labels[rows])
    rows = summarise("cross", "cnn3", scored, num_resamples=100, seed=0)
    write_tables(tmp_path, rows)
    with (tmp_path / "results.csv").open(newline="") as lines:
        results = list(csv.DictReader(lines))
    assert sum(int(row["n"]) for row in results[:2]) == len(wanted)
    positive = int(task.labels[task.evaluated].sum())
    assert 2 * positive != len(wanted)
    assert sum(int(row["n_positive"]) for row in results[:2]) == positive


def test_the_model_and_the_training_are_the_configuration_s(monkeypatch):
    given = handed_over(monkeypatch, CONFIG, make_task())
    assert (given["model"], given["config"], given["seed"]) == (CONFIG.model, CONFIG.training, 7)
    assert [(cell.train_crs, cell.test_crs, cell.fold) for cell in given["cells"]] == [
        ((1,), (1,), 0),
        ((1,), (1,), 1),
        ((20,), (20,), 0),
        ((20,), (20,), 1),
    ]


CRS = (1, 15, 20)


@pytest.mark.parametrize(
    ("experiment", "expected"),
    [
        ("single", {(1,): (1,), (15,): (15,), (20,): (20,)}),
        ("cross", {(1,): CRS, (15,): CRS, (20,): CRS}),
        ("test_only", {(1,): CRS}),
        ("training_only", {(1,): (1,), (15,): (1,), (20,): (1,)}),
        ("mixture", {(1,): CRS, (1, 15): CRS, CRS: CRS}),
        ("augmented", {CRS: CRS}),
    ],
)
def test_what_an_experiment_trains_on_and_tests_at(monkeypatch, experiment, expected):
    config = dataclasses.replace(CONFIG, cratios=CRS)
    given = handed_over(monkeypatch, config, make_task(), experiment=experiment)
    found = {(cell.train_crs, cell.fold): cell.test_crs for cell in given["cells"]}
    assert found == {(crs, k): tested for crs, tested in expected.items() for k in range(2)}
    drawn = given["config"].augment.cratios
    assert drawn == (CRS if experiment == "augmented" else ())
    assert dataclasses.replace(given["config"], augment=AugmentConfig()) == CONFIG.training


@pytest.mark.parametrize(
    ("experiment", "reference"),
    [
        ("single", ((1,), 1)),
        ("cross", ((1,), 1)),
        ("test_only", ((1,), 1)),
        ("training_only", ((1,), 1)),
        ("mixture", ((1,), 20)),
        ("augmented", (CRS, 1)),
    ],
)
def test_what_a_row_is_compared_with(experiment, reference):
    assert EXPERIMENTS[experiment].reference_of((1, 15), 20, CRS) == reference


@pytest.mark.slow
def test_another_experiment_joins_what_is_there_and_shares_its_networks(
    opened, tmp_path, monkeypatch
):
    monkeypatch.setattr(recipe_run, "open_data", lambda *args, **options: opened)
    monkeypatch.setattr(OpenData, "binary_task", lambda *args, **options: make_task())
    config = dataclasses.replace(CONFIG, task="pairs", num_resamples=100)
    folder = tmp_path / "run"

    def run(*experiments, repeats=1):
        options = {"paths": DataPaths(), "run_dir": str(folder), "repeats": repeats}
        recipe.run(config, experiments=experiments, **options)
        with (folder / "summary.csv").open(newline="") as lines:
            return list(csv.DictReader(lines))

    single = run("single")
    trained = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/*.h5")}
    assert len(trained) == 4
    more = run("mixture", "test_only", "training_only", "augmented")
    assert [row for row in more if row["experiment"] == "single"] == single
    at = {(row["experiment"], row["train_crs"], row["test_cr"]): row for row in more}
    assert set(at) == {
        ("single", "1", "1"),
        ("single", "20", "20"),
        ("test_only", "1", "1"),
        ("test_only", "1", "20"),
        ("training_only", "1", "1"),
        ("training_only", "20", "1"),
        ("mixture", "1", "1"),
        ("mixture", "1", "20"),
        ("mixture", "1+20", "1"),
        ("mixture", "1+20", "20"),
        ("augmented", "1+20", "1"),
        ("augmented", "1+20", "20"),
    }
    assert all(path.stat().st_mtime_ns == time for path, time in trained.items())
    names = {path.parent.name for path in folder.glob("cells/*/*.h5")}
    tags = ("cr1", "cr20", "cr1_20", "any-cr1_20")
    assert names == {f"cnn3-{tag}-fold{fold}" for tag in tags for fold in (0, 1)}
    for (experiment, _, test_cr), row in at.items():
        first = "1+20" if experiment == "augmented" else "1"
        reference = at[experiment, first, test_cr if experiment == "mixture" else "1"]
        change = float(row["auroc"]) - float(reference["auroc"])
        assert float(row["auroc_change"]) == pytest.approx(change, abs=2e-6)
    page = (folder / "report.html").read_text()
    for heading in ("in test, or in both", "on a mixture of", "at a random compression"):
        assert heading in page
    repeated = run("single", repeats=2)
    assert {row["experiment"]: row["repeats"] for row in repeated} == {
        "single": "2",
        "test_only": "1",
        "training_only": "1",
        "mixture": "1",
        "augmented": "1",
    }
    assert run("single") == repeated


def test_repeats_are_trainings_of_the_same_folds(monkeypatch, tmp_path):
    given = handed_over(monkeypatch, CONFIG, make_task(), repeats=2)
    wanted = [(r, (cr,), k) for r in range(2) for cr in (1, 20) for k in range(2)]
    assert [(cell.repeat, cell.train_crs, cell.fold) for cell in given["cells"]] == wanted
    monkeypatch.undo()
    config = dataclasses.replace(CONFIG, cratios=(1,))
    task = make_task()
    (once,) = grid.score(config, task, "single", tmp_path).values()
    (more,) = grid.score(config, task, "single", tmp_path, repeats=2).values()
    assert (len(once), len(more)) == (1, 2)
    for kept, first, second in zip(once[0], *more, strict=True):
        np.testing.assert_array_equal(first.scores, kept.scores)
        np.testing.assert_array_equal(second.example_ids, first.example_ids)
        assert not np.array_equal(second.scores, first.scores)
    names = sorted(path.name for path in (tmp_path / "cells").iterdir())
    assert names == [f"cnn3-cr1-fold{k}{tail}" for k in range(2) for tail in ("", "-repeat1")]


def test_each_network_has_its_rows_files_and_sections(tmp_path):
    other = ModelConfig(name="depthwise_cnn", options={"stackwise_num_filters": (4, 4, 4, 4)})
    config = dataclasses.replace(CONFIG, others=(other,), num_resamples=100)
    opened = SimpleNamespace(binary_task=lambda *_, **__: make_task())
    task, rows = recipe._train_and_score(config, opened, tmp_path, ["single"], 1)
    assert [(row.model, row.test_cr) for row in rows] == [
        ("cnn3", 1), ("cnn3", 20), ("depthwise_cnn", 1), ("depthwise_cnn", 20),
    ]  # fmt: skip
    # A row is that of its own network alone, compared with its own reference.
    for index, name in ((0, "cnn3"), (2, "depthwise_cnn")):
        alone = dataclasses.replace(config, model=config.networks[index // 2], others=())
        expected = grid.score(alone, task, "single", tmp_path / "alone" / name)
        for row in rows[index : index + 2]:
            (folds,) = expected[row.train_crs, row.test_cr]
            for found, wanted in zip(row.repeats[0], folds, strict=True):
                np.testing.assert_array_equal(found.scores, wanted.scores)
        change = rows[index + 1].auroc.value - rows[index].auroc.value
        assert rows[index + 1].change.value == pytest.approx(change)
    names = sorted(path.name for path in (tmp_path / "predictions").iterdir())
    assert names == [
        f"{tag}single_train{cr}_test{cr}.csv" for tag in ("depthwise_cnn_", "") for cr in (1, 20)
    ]
    said = answer(rows)
    assert said[0].startswith("cnn3: ") and said[1].startswith("depthwise_cnn: ")
    (section,) = networks_sections(by_model(rows))
    assert section.parts[0].rows[0][1] == str(rows[0].auroc)
    assert section.parts[0].rows[1] == ["cnn3, Jo et al. 2021", *PAPER_AUROC]
    assert section.parts[0].rows[2][2] == str(rows[3].auroc)
    detail = recipe._detail(config, task, rows, tmp_path)
    own = detail.of_model("depthwise_cnn")
    assert [pair[0] for pair in own.calibration] == rows[2:]


def test_subgroups_and_calibration_are_those_of_the_run_s_rows(tmp_path):
    """By hand, from the scores of each repeat and the values of each example."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3 == 0
    ids = np.array([f"e{index:03d}" for index in range(120)])
    density = rng.choice(["a", "b"], 120)

    def scored(strength, seed):
        scores = np.random.default_rng(seed).normal(size=120) + strength * (labels - 0.5)
        return ScoredFold(labels.astype(int), 1 / (1 + np.exp(-scores)), ids, ids)

    repeats = {cr: [[scored(s, seed)] for seed in (1, 2)] for cr, s in ((1, 2.0), (20, 0.5))}
    rows = summarise(
        "single",
        "cnn3",
        {((cr,), cr): folds for cr, folds in repeats.items()},
        num_resamples=100,
        seed=0,
    )
    task = dataclasses.replace(
        make_task(120), example_ids=tuple(ids), subgroups={"density": density}
    )
    detail = measure_detail(rows, task, num_resamples=100)
    write_detail(tmp_path, detail)
    with (tmp_path / "subgroups.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [(line["value"], line["cr"]) for line in table] == [
        (value, cr) for value in "ab" for cr in ("1", "20")
    ]
    for line in table:
        chosen = density == line["value"]
        areas = [
            roc_auc_score(labels[chosen], fold.scores[chosen])
            for (fold,) in repeats[int(line["cr"])]
        ]
        assert float(line["auroc"]) == pytest.approx(np.mean(areas), abs=1e-6)
        assert int(line["n"]) == chosen.sum() and int(line["n_positive"]) == labels[chosen].sum()
    assert float(table[1]["auroc_change"]) == pytest.approx(
        float(table[1]["auroc"]) - float(table[0]["auroc"]), abs=2e-6
    )
    with (tmp_path / "calibration.csv").open(newline="") as lines:
        first, second = csv.DictReader(lines)
    briers = {
        cr: np.mean([brier_score_loss(labels, fold.scores) for (fold,) in folds])
        for cr, folds in repeats.items()
    }
    assert float(first["brier"]) == pytest.approx(briers[1], abs=1e-6)
    assert float(second["brier_change"]) == pytest.approx(briers[20] - briers[1], abs=2e-6)
    assert float(first["threshold_shift"]) == 0 != float(second["threshold_shift"])


def test_nothing_labelled_test_trains(tmp_path):
    """Other pixels in the test split change no weight; other ones in training do."""
    config = dataclasses.replace(CONFIG, cratios=(1,))

    def weights(name, spoil):
        folder = tmp_path / name
        task = make_task(official=True, spoil=spoil)
        (((fold,),),) = grid.score(config, task, "single", folder).values()
        rows = [task.example_ids.index(example) for example in fold.example_ids]
        assert set(task.split[rows]) == {"test"}
        import h5py

        with h5py.File(folder / "cells" / "cnn3-cr1-fold0" / "model.weights.h5") as file:
            found = []
            file.visititems(
                lambda _, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None
            )
        return found, fold.scores

    usual, scores = weights("usual", None)
    other, other_scores = weights("test", "test")
    assert len(usual) > 5
    assert all(np.array_equal(a, b) for a, b in zip(usual, other, strict=True))
    assert not np.array_equal(scores, other_scores)
    changed, _ = weights("train", "train")
    assert any(not np.array_equal(a, b) for a, b in zip(usual, changed, strict=True))


# From a data set to the task, and to the images that the report shows


def draw(number, view):
    rng = np.random.default_rng([number, view == "MLO"])
    return np.kron(rng.integers(0, 4096, (10, 8), np.uint16), np.ones((8, 8), np.uint16))


@pytest.fixture(scope="module")
def opened(build_records, tmp_path_factory):
    images = []
    for number in range(6):
        for view in ("CC", "MLO"):
            box = (8.0 * number, 8.0, 8.0 * number + 5, 13.0)
            marked = number in (2, 4) and view == "MLO"
            known = {
                "image_id": f"{number}-{view}",
                "patient_id": f"p{number}",
                "laterality": "L",
                "view": view,
                "breast_label": "malignant" if number % 2 else "normal",
                "bits_stored": 12,
                "findings": (Finding(mark="box", box_yxyx_px=box),) if marked else (),
            }
            images.append((draw(number, view), known))
    builder = build_records(images, cratios=(1, 20))
    cache = tmp_path_factory.mktemp("cache")
    return OpenData(builder=builder, catalog=read_catalog(builder), cache_dir=cache)


class Stop(Exception):
    """Carries the task that a run would train on."""


@pytest.fixture
def task_of_run(opened, tmp_path, monkeypatch):
    """The task that the recipe makes of these images, from its configuration."""

    def stop(config, task, experiment, folder, **options):
        raise Stop(task, options)

    monkeypatch.setattr(recipe_run, "open_data", lambda *args, **options: opened)
    monkeypatch.setattr(recipe, "score", stop)

    def make(config, **options):
        with pytest.raises(Stop) as caught:
            recipe.run(
                config,
                experiments=("single",),
                paths=DataPaths(),
                run_dir=str(tmp_path / "run"),
                **options,
            )
        return caught.value.args[0 if not options else 1]

    return make


def test_repeats_go_from_the_command_line_to_the_recipe(monkeypatch, tmp_path):
    given = {}
    monkeypatch.setattr(recipe, "run", lambda config, **options: given.update(options))
    arguments = ["--dataset", "ncc", "--repeats", "3", "--run-dir", str(tmp_path)]
    assert CliRunner().invoke(compression, arguments, catch_exceptions=False).exit_code == 0
    assert given["repeats"] == 3


def test_repeats_reach_the_grid(task_of_run):
    assert task_of_run(CONFIG, repeats=3)["repeats"] == 3


@pytest.mark.parametrize(("fraction", "shape"), [(1, (64, 64)), (0.5, (32, 32)), (0.25, (16, 16))])
def test_the_size_of_the_input_is_the_configuration_s(task_of_run, fraction, shape):
    task = task_of_run(dataclasses.replace(CONFIG, task="pairs", resize_fraction=fraction))
    # 80×64, times the fraction; four fifths of the height, two halves of the width.
    assert task.input_shape == shape
    assert task.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_how_findings_are_cut_is_the_configuration_s(task_of_run, monkeypatch, tmp_path):
    given, plan = {}, data_source.plan_binary_task
    monkeypatch.setattr(
        data_source,
        "plan_binary_task",
        lambda *args, **options: given.update(options) or plan(*args, **options),
    )
    task_of_run(dataclasses.replace(CONFIG, task="pairs"))
    assert given["patch"] == FindingPatchConfig()
    patch = FindingPatchConfig(input_size=32, film_aspect=1.6)
    with pytest.raises(UserError, match="the task 'pairs' has no use"):
        recipe.run(
            dataclasses.replace(CONFIG, task="pairs", patch=patch),
            experiments=("single",),
            paths=DataPaths(),
            run_dir=str(tmp_path / "other"),
        )
    assert given["patch"] == patch


def test_every_ratio_of_the_configuration_gives_its_own_pixels(task_of_run):
    task = task_of_run(dataclasses.replace(CONFIG, task="pairs", resize_fraction=1))
    for cratio in CONFIG.cratios:
        for row in range(6):
            pixels = encode_ladder(draw(row, "CC"), (1, 20)).decode(cratio)
            expected = np.minimum(pixels, 4095)[:64, :32] * np.uint16(16)
            np.testing.assert_array_equal(task.images(cratio)[row][:, :32], expected)
    assert not np.array_equal(np.asarray(task.images(1)), np.asarray(task.images(20)))


def test_the_images_shown_are_those_of_their_captions(opened):
    shown = data.sample_images(opened)
    assert sorted(image.info.image_id for image in shown) == ["2-MLO", "4-MLO"]
    for image in [*shown, *data.quality_images(opened)]:
        number, view = image.info.image_id.split("-")
        np.testing.assert_array_equal(image.ladder.decode(1), draw(int(number), view))
        assert image.name == f"{number}-{view} (L {view})"
    for image in shown:
        number = int(image.info.image_id[0])
        assert image.lesion == (8 * number + 2, 10, 2.5)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("none", "trained from scratch"),
        ("imagenet", "begins with ImageNet weights"),
        ("some/where/own.pth", "begins with own.pth"),
    ],
)
def test_the_report_says_what_weights_a_network_begins_with(opened, weights, said):
    model = ModelConfig(name="efficientnet_lite0", options={"weights": weights})
    config = dataclasses.replace(CONFIG, model=model)
    facts = dict(recipe._facts(config, make_task(), opened, []))
    assert facts["Network"] == f"efficientnet_lite0, input 68×64, {said}"
    plain = dict(recipe._facts(CONFIG, make_task(), opened, []))
    assert plain["Network"] == "cnn3, input 68×64"
