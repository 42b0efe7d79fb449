"""Saliency: numbers by hand, maps by tf-keras-vis, and that each network sees its own images."""

import dataclasses

import keras
import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation.saliency import score_saliency
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression import saliency
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.report.saliency_figure import OUTLINE, saliency_pixels
from mammo_tf.saliency import METHODS, saliency_maps
from mammo_tf.training.config import TrainingConfig
from mammo_tf.training.folds import SplitConfig, divide_task

SHAPE = (68, 64)


def test_share_and_pointing_by_hand():
    lesion = np.zeros((2, 3), bool)
    lesion[0, :2] = True
    maps = [
        np.array([[1, 0.5, 0], [0.5, 0, 0]]),  # 3/4 inside, highest inside
        np.array([[0.2, 0, 0], [0, 0, 0.6]]),  # 1/4 inside, highest outside
        np.array([[1, 0, 0], [1, 0, 0]]),  # half of two equal ones
        np.zeros((2, 3)),  # blank: counts in neither
    ]
    scores = score_saliency(maps, [lesion] * 4, ["a", "b", "c", "d"], num_resamples=500)
    assert scores.share.value == pytest.approx((0.75 + 0.25 + 0.5) / 3)
    assert scores.pointing.value == pytest.approx((1 + 0 + 0.5) / 3)
    assert scores.area == pytest.approx(1 / 3)
    assert (scores.num_maps, scores.num_blank) == (3, 1)
    assert 0.25 <= scores.share.low < scores.share.value < scores.share.high <= 0.75


def test_patients_are_drawn_not_maps():
    """Twice the same patient's map says no more than once."""
    rng = np.random.default_rng(0)
    lesion = np.zeros((4, 4), bool)
    lesion[1:3, 1:3] = True
    maps = list(rng.random((30, 4, 4)))
    names = [f"p{k}" for k in range(30)]
    once = score_saliency(maps, [lesion] * 30, names, num_resamples=2000)
    twice = score_saliency(maps * 2, [lesion] * 60, names * 2, num_resamples=2000)
    assert twice.share.low == pytest.approx(once.share.low, abs=0.005)
    apart = score_saliency(maps * 2, [lesion] * 60, range(60), num_resamples=2000)
    assert apart.share.high - apart.share.low < 0.8 * (once.share.high - once.share.low)


def test_nothing_but_blank_maps_has_no_number():
    lesion = np.ones((2, 2), bool)
    scores = score_saliency([np.zeros((2, 2))], [lesion], ["a"])
    assert np.isnan(scores.share.value) and scores.num_blank == 1


@pytest.mark.parametrize(
    ("values", "lesion"),
    [
        (np.ones((2, 2)), np.zeros((2, 2), bool)),
        (np.ones((2, 2)), np.ones((2, 3), bool)),
        (-np.ones((2, 2)), np.ones((2, 2), bool)),
        (np.full((2, 2), np.nan), np.ones((2, 2), bool)),
    ],
)
def test_what_is_no_map_or_no_lesion(values, lesion):
    with pytest.raises(UserError):
        score_saliency([values], [lesion], ["a"])
    with pytest.raises(UserError, match="as many"):
        score_saliency([values], [lesion], ["a", "b"])


def spot_network(sign=1.0):
    """One 1×1 convolution that passes the image on; the logit is its mean, times `sign`."""
    inputs = keras.Input((24, 16, 1))
    features = keras.layers.Conv2D(2, 1, use_bias=False, activation="relu", name="conv")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(pooled))
    model.set_weights([np.array([[[[1.0, 0.0]]]]), np.array([[sign], [0.0]])])
    return model


def spots():
    images = np.zeros((3, 24, 16, 1), np.float32)
    images[0, 3, 4], images[1, 20, 11] = 2.0, 1.0  # and a blank one
    return images


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_adds_up_bright_pixels_looks_at_them(method, capsys):
    pytest.importorskip("tf_keras_vis")
    maps = saliency_maps(spot_network(), spots(), method, batch_size=2)
    assert maps.shape == (3, 24, 16) and maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert np.unravel_index(maps[0].argmax(), (24, 16)) == (3, 4)
    assert np.unravel_index(maps[1].argmax(), (24, 16)) == (20, 11)
    assert maps[0].max() == maps[1].max() == 1
    assert (maps[2] == maps[2].flat[0]).all()  # nothing to see, and nothing divided by zero
    assert capsys.readouterr().out == ""


def test_what_speaks_against_is_no_saliency():
    pytest.importorskip("tf_keras_vis")
    maps = saliency_maps(spot_network(sign=-1.0), spots(), "gradcam")
    assert (maps == 0).all()


def test_the_extra_is_named(monkeypatch):
    import builtins

    genuine = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith("tf_keras_vis"):
            raise ImportError(name)
        return genuine(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"mammo-tf\[saliency\]"):
        saliency_maps(spot_network(), spots(), "gradcam")


def test_the_picture_has_the_outline_and_leaves_the_rest_where_the_map_is_zero():
    image = np.linspace(0, 1, 200).reshape(20, 10)
    lesion = np.zeros((20, 10), bool)
    lesion[5:9, 3:7] = True
    pixels = saliency_pixels(image, np.zeros((20, 10)), lesion)
    assert (pixels[5, 3:7] == OUTLINE).all()
    inner = pixels[6:8, 4:6].reshape(-1, 3)
    assert (inner == inner[:, :1]).all()  # grey


# The recipe


def make_task(count=40):
    rng = np.random.default_rng(0)
    images = {cr: rng.integers(0, 200, (count, 72, 68), "uint8") for cr in (1, 50, 500)}
    masks = np.zeros((count, 72, 68), np.uint16)
    masks[::2, 30:34, 30:40] = 2
    masks[0, :] = 0  # a positive without a place
    return Task(
        name="toy",
        example_ids=tuple(f"e{index:02d}" for index in range(count)),
        image_ids=np.array([f"i{index:02d}" for index in range(count)]),
        groups=np.array([f"p{index:02d}" for index in range(count)]),
        labels=(np.arange(count) + 1) % 2,
        evaluated=np.ones(count, bool),
        split=np.full(count, "train"),
        images=images.__getitem__,
        input_shape=SHAPE,
        shapes=np.full((count, 2), SHAPE),
        masks=masks,
    )


@pytest.mark.parametrize(
    ("cratios", "expected"),
    [
        ((1, 15, 100, 500, 5000, 10000, 11000), [1, 100, 5000, 11000]),
        ((1, 50, 500), [1, 50, 500]),
        ((1, 15, 100, 200, 1000), [1, 100, 1000]),
    ],
)
def test_the_paper_s_ratios_or_the_nearest(cratios, expected):
    assert saliency.nearest_cratios(cratios) == expected


def test_each_network_is_shown_its_own_test_images_at_its_own_ratio(tmp_path, monkeypatch):
    task = make_task()
    config = CompressionConfig(
        cratios=(1, 50, 500),
        split=SplitConfig(num_folds=2),
        training=TrainingConfig(epochs=1),
        num_resamples=100,
        seed=3,
    )

    class Data:
        def binary_task(self, name, **options):
            assert options["with_masks"] is True
            return task

    seen = []

    def network(config, task, run_dir, fold, cratio):
        return fold, cratio

    def maps(model, images, method):
        seen.append((model, method, images))
        return np.ones((len(images), *SHAPE), np.float32)

    monkeypatch.setattr(saliency, "_network", network)
    monkeypatch.setattr(saliency, "saliency_maps", maps)
    found = saliency.measure_saliency(config, Data(), task, tmp_path)
    folds = divide_task(task, config.split, seed=3)
    assert len(seen) == 3 * 3 * 2
    for (fold, cratio), _method, images in seen:
        wanted = [i for i in folds[fold].test if task.labels[i] == 1 and i != 0]
        centre = task.images(cratio)[wanted][:, 2:70, 2:66].astype(np.float64)
        means, deviations = (f(centre, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
        np.testing.assert_allclose(images[..., 0], (centre - means) / deviations, atol=1e-4)
    assert [(row.cratio, row.method) for row in found.rows] == [
        (cratio, method) for cratio in (1, 50, 500) for method in METHODS
    ]
    area = 40 / (68 * 64)
    for row in found.rows:
        assert row.scores.num_maps == 19
        assert row.scores.share.value == pytest.approx(area) == row.scores.area
    saliency.write_saliency(tmp_path, found)
    assert (tmp_path / "saliency.csv").read_text().startswith("cr,method,maps,blank")
    section = saliency.saliency_section(found)
    assert len(section.parts) == 3
    assert list((tmp_path / "tensorboard" / "saliency").iterdir())


def test_saliency_needs_the_networks_of_single(monkeypatch):
    monkeypatch.setattr(saliency, "check_saliency", lambda: None)
    saliency.check_saliency_options(CompressionConfig(), ("single", "cross"))
    with pytest.raises(UserError, match="--experiment single"):
        saliency.check_saliency_options(CompressionConfig(), ("cross",))


def test_the_network_of_a_fold_and_ratio_is_the_one_that_was_kept(tmp_path):
    from mammo_tf.models.registry import build_model
    from mammo_tf.training.store import Cell, CellStore

    config = dataclasses.replace(
        CompressionConfig(), model=CompressionConfig().model.replace_options({"dropout": "0.1"})
    )
    task, kept = make_task(), {}
    for fold, cratio in ((0, 1), (1, 1), (1, 20)):
        model = build_model(config.model, image_shape=(*SHAPE, 1))
        CellStore(tmp_path, {}).save(Cell("cnn3", fold, (f"cr{cratio}",)), model, [])
        kept[fold, cratio] = model.get_weights()
    for (fold, cratio), weights in kept.items():
        found = saliency._network(config, task, tmp_path, fold, cratio).get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(found, weights, strict=True))
