"""The cigan recipe's parts: rows, what is added to whom, the answer, and settings."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.errors import UserError
from mammo_tf.evaluation import Estimate, ScoredFold
from mammo_tf.evaluation.synthetic import Nearest
from mammo_tf.pipelines.synthetic_set import write_synthetic
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.cigan import classify as cells
from mammo_tf.recipes.cigan.arms import Arm, all_arms, paper_rows, table_arm
from mammo_tf.recipes.cigan.conclusion import answer, sentence, verdict
from mammo_tf.recipes.cigan.config import PRESETS, CiganRecipeConfig, ClassifyConfig
from mammo_tf.recipes.cigan.extras import added_counts, make_extras, take_share
from mammo_tf.recipes.cigan.lesions import lesion_task, resized
from mammo_tf.recipes.cigan.quality import Judged, Quality
from mammo_tf.recipes.cigan.report_gan import turns
from mammo_tf.recipes.cigan.report_quality import blind_panel
from mammo_tf.recipes.cigan.settings import choose_config, choose_repeats
from mammo_tf.recipes.cigan.summary import summarise
from mammo_tf.training.folds import Fold
from mammo_tf.training.reused_model import ReusedModel

SIDE, PATIENTS = 16, 12
KEEP = slice(4, 12)


def make_patches():
    """Twelve patients with two normal, three benign or malignant patches; each patch its own."""
    rng = np.random.default_rng(0)
    labels = np.array([label for p in range(PATIENTS) for label in (0, 0, *[1 + p % 2] * 3)])
    images = rng.integers(60, 120, (len(labels), SIDE, SIDE), np.uint8)
    masks = np.zeros(images.shape, np.uint16)
    masks[labels > 0, KEEP, KEEP] = 1
    images[labels == 1, KEEP, KEEP] = 150
    images[labels == 2, KEEP, KEEP] = 200
    groups = np.repeat([f"p{p}" for p in range(PATIENTS)], 5)
    ids = tuple(f"e{number}" for number in range(len(labels)))
    return Task(
        name="gan", example_ids=ids, image_ids=np.array(ids), groups=groups, labels=labels,
        class_names=("normal", "benign", "malignant"), evaluated=np.ones(len(labels), bool),
        split=np.full(len(labels), "train"), images=lambda cratio: images,
        input_shape=(SIDE, SIDE), shapes=np.full((len(labels), 2), SIDE), masks=masks,
    )  # fmt: skip


def make_fold(task, index=0):
    number = np.array([int(group[1:]) for group in task.groups])
    parts = (number < 6, (number >= 6) & (number < 8), number >= 8)
    return Fold(index, *(np.flatnonzero(part) for part in parts))


def config_of(**classify):
    small = dataclasses.replace(
        PRESETS["demo"].classify.shallow,
        training=dataclasses.replace(PRESETS["demo"].classify.shallow.training, epochs=1),
    )
    options = {"extras_on": ("shallow",), "shallow": small, "pretrained": small} | classify
    return dataclasses.replace(PRESETS["demo"], classify=ClassifyConfig(**options))


def test_what_is_added_balances_first():
    assert added_counts(60, 40, 0.1) == {"benign": 0, "malignant": 10}
    assert added_counts(60, 40, 0.25) == {"benign": 2, "malignant": 23}
    assert added_counts(40, 60, 1.0) == {"benign": 60, "malignant": 40}
    for share in (0.25, 0.5, 1.0):  # a smaller share is part of a larger
        before, after = added_counts(31, 20, share / 2), added_counts(31, 20, share)
        assert all(before[name] <= after[name] for name in before)
        assert sum(after.values()) == round(51 * share)


def test_rows_are_the_papers_then_each_addition_once():
    config = ClassifyConfig(extras_on=("pretrained",))
    arms = all_arms(config)
    assert len(arms) == len(set(arms)) == len({arm.network + str(arm.tags) for arm in arms}) == 12
    assert arms[:4] == tuple(paper_rows(config))
    assert paper_rows(config)[Arm("pretrained", True)][2] == 0.66666
    assert table_arm(config).title(config) == "efficientnet_lite0 + traditional + ciGAN 25%"
    assert table_arm(config).without == Arm("pretrained", True)
    assert len(all_arms(ClassifyConfig(extras_on=("shallow",)))) == 14


def test_classifiers_learn_lesions_alone_in_the_same_parts():
    task = make_patches()
    lesions, (fold,) = lesion_task(task, [make_fold(task)])
    assert lesions.class_names == ("benign", "malignant") and len(lesions) == 36
    assert [len(part) for part in (fold.train, fold.validation, fold.test)] == [18, 6, 12]
    row = fold.test[-1]
    assert lesions.groups[row] == "p11" and lesions.labels[row] == 1
    assert np.array_equal(lesions.images(1)[row], task.images(1)[-1])
    larger = resized(lesions, 24)
    assert larger.input_shape == (24, 24) and larger.images(1).shape == (36, 24, 24)
    one_class = dataclasses.replace(make_fold(task), validation=np.arange(5))
    with pytest.raises(UserError, match=r"validation part\. Received: 3 and 0"):
        lesion_task(task, [one_class])


def paste_only(tmp_path, monkeypatch):
    task, arms = make_patches(), [
        Arm("shallow", True),
        *(Arm("shallow", True, kind, share) for kind in ("copy_paste", "oversampling")
          for share in (0.5, 1.0)),
    ]  # fmt: skip
    config = config_of(kinds=("cigan", "copy_paste", "oversampling"))
    folds = [make_fold(task)]
    return config, task, folds, arms, make_extras(config, task, folds, arms, tmp_path)


def test_extras_are_of_training_patients_and_shares_are_nested(tmp_path, monkeypatch):
    _, task, (fold,), _, extras = paste_only(tmp_path, monkeypatch)
    known = set(np.array(task.example_ids)[fold.train])
    for kind, (patches,) in extras.items():
        assert len(patches) == 18  # nine benign, nine malignant lesion patches are trained on
        assert {*patches.lesion_ids, *patches.normal_ids} <= known, kind
        half = take_share(patches, task, fold, 0.5)
        assert len(half) == 9 and sorted(set(half.labels)) == ["benign", "malignant"]
        whole = [image.tobytes() for image in patches.images]
        assert all(image.tobytes() in whole for image in half.images)
    label_of = dict(zip(task.example_ids, task.labels, strict=True))
    for kind in extras:
        for name, lesion in zip(extras[kind][0].labels, extras[kind][0].lesion_ids, strict=True):
            assert task.class_names[label_of[lesion]] == name


def test_a_run_is_given_no_larger_shares_than_were_painted(tmp_path, monkeypatch):
    config, task, folds, _, extras = paste_only(tmp_path, monkeypatch)
    painted = take_share(extras["copy_paste"][0], task, folds[0], 0.5)
    write_synthetic(painted, tmp_path / "synthetic" / "fold0")
    (kept,) = make_extras(config, task, folds, [Arm("shallow", True, "cigan", 0.5)], tmp_path)[
        "cigan"
    ]
    assert np.array_equal(kept.images, painted.images)
    with pytest.raises(UserError, match=r"largest of `classify.shares` needs 9") as caught:
        make_extras(config, task, folds, [Arm("shallow", True, "cigan", 1.0)], tmp_path)
    assert "\n" not in str(caught.value)


def test_each_row_trains_on_its_own_patches_and_tests_on_the_same(tmp_path, monkeypatch):
    config, task, folds, arms, extras = paste_only(tmp_path, monkeypatch)
    seen = {}
    fit = cells.ClassifierCells.train

    def watch(self, cell, fold, cratios, on_epoch):
        images = self.task.images(1)
        patches = [np.asarray(images[row]).tobytes() for row in fold.train]
        seen[cell.name] = (patches, self.task.labels[fold.train], self.config.augment, fold)
        return fit(self, cell, fold, cratios, on_epoch)

    monkeypatch.setattr(cells.ClassifierCells, "train", watch)
    arms = [Arm("shallow"), *arms]
    scored = cells.classify(config, task, folds, arms, extras, tmp_path, 1)
    assert list(scored) == arms and len(seen) == len(arms)
    plain, labels, augment, fold = seen["shallow_cnn-plain-fold0"]
    assert augment.is_identity and len(plain) == 18 and labels.sum() == 9
    for arm in arms[1:]:
        patches, labels, augment, own = seen["-".join(["shallow_cnn", *arm.tags, "fold0"])]
        assert augment == config.classify.augment
        assert patches[:18] == plain and len(patches) == round(18 * (1 + arm.share))
        if arm.kind:
            added = take_share(extras[arm.kind][0], task, folds[0], arm.share)
            assert patches[18:] == [image.tobytes() for image in added.images]
            assert np.array_equal(labels[18:], added.labels == "malignant")
        assert np.array_equal(own.test, fold.test) and np.array_equal(
            own.validation, fold.validation
        )
    ids = {tuple(scored[arm][0][0].example_ids) for arm in arms}
    expected = [e for e, g, label in zip(task.example_ids, task.groups, task.labels, strict=True)
                if label and int(g[1:]) >= 8]  # fmt: skip
    assert ids == {tuple(expected)}
    # Nothing is trained again, and another set of patches is refused.
    monkeypatch.setattr(ReusedModel, "start_anew", None)
    again = cells.classify(config, task, folds, arms, extras, tmp_path, 1)
    assert np.array_equal(again[arms[2]][0][0].scores, scored[arms[2]][0][0].scores)
    other = extras | {"copy_paste": [extras["copy_paste"][0].take(np.arange(17, -1, -1))]}
    with pytest.raises(UserError, match="other settings"):
        cells.classify(config, task, folds, arms, other, tmp_path, 1)


def scores_of(arms, shift):
    """Two repeats of one fold; the ranks of each row are known."""
    rng = np.random.default_rng(3)
    labels, groups = np.tile([0, 1], 40), np.arange(80) // 2
    noise = [rng.normal(0, 0.1, 80) for _ in range(2)]
    return {
        arm: [
            [ScoredFold(labels, 1 / (1 + np.exp(-(shift(arm) * (labels - 0.5) + 5 * one))), groups)]
            for one in noise
        ]
        for arm in arms
    }


def test_the_summary_compares_each_row_with_the_right_one():
    from sklearn.metrics import roc_auc_score

    config = config_of(extras_on=("pretrained",), shares=(0.25, 0.5))
    arms = all_arms(config.classify)
    scored = scores_of(arms, lambda arm: arms.index(arm) / 10)
    found = summarise(scored, config)
    area = {
        arm: np.mean([roc_auc_score(f[0].labels, f[0].scores) for f in scored[arm]]) for arm in arms
    }
    for arm in arms:
        assert found.rows[arm]["auroc"].value == pytest.approx(area[arm])
    assert found.primary.value == pytest.approx(
        area[Arm("pretrained", True, "cigan", 0.25)] - area[Arm("pretrained", True)]
    )
    assert len(found.additions) == 6 and len(found.controls) == 4
    for one in (*found.additions, *found.controls):
        change = area[one.arm] - area[one.reference]
        assert one.comparison.change.value == pytest.approx(change)
    assert all(one.reference == Arm("pretrained", True) for one in found.additions)
    assert {(o.arm.kind, o.arm.share == o.reference.share) for o in found.controls} == {
        ("cigan", True)
    }
    said = answer(found, config)
    assert "cannot be told" in said[0] and "too few trainings" in said[0]
    assert said[1].startswith("The paper's change is +0.050")


def test_the_answer_is_one_of_three_by_this_much():
    assert verdict(Estimate(0.05, 0.01, 0.09), 0.02, 3) == "helped"
    assert verdict(Estimate(-0.01, -0.03, 0.019), 0.02, 3) == "did not help"
    assert verdict(Estimate(0.01, -0.01, 0.02), 0.02, 3) == "cannot be told"
    assert verdict(Estimate(np.nan, np.nan, np.nan), 0.02, 3) == "cannot be told"
    assert verdict(Estimate(0.05, 0.01, 0.09), 0.02, 2) == "cannot be told"  # two trainings
    assert "too few trainings" in sentence(Estimate(0.05, 0.01, 0.09), 0.02, "net", 0.25, 1)
    text = sentence(Estimate(0.05, 0.01, 0.09), 0.02, "net", 0.25, 3)
    assert text == (
        "ciGAN helped: AUROC +0.050 (95 % CI +0.010 to +0.090) with 25% more patches, painted, in "
        "net."
    )
    assert "a gain of 0.02 is ruled out" in sentence(Estimate(0, -0.01, 0.01), 0.02, "net", 0.5, 3)


def test_turns_are_counted_after_pretraining():
    history = [
        {"epoch": 1, "perceptual": 1.0},
        {"epoch": 2, "discriminator": 0.7},
        {"epoch": 3, "discriminator": 0.6, "generator": 0.7, "perceptual": 1.0},
    ]
    assert turns(history, 1) == (2, 1, 2)


def test_the_key_of_the_blind_panel_is_right(tmp_path, monkeypatch):
    _, task, (fold,), _, extras = paste_only(tmp_path, monkeypatch)
    painted = dataclasses.replace(extras["copy_paste"][0])
    painted.images[:] = 7
    quality = Quality(
        fold=0, embedding="", judged=(Judged(name="", count=0, two_sample=Estimate(0, 0, 0),
        distance=0, nearer=0),), painted=painted, nearest=Nearest(np.zeros(18, int), np.zeros(18)),
        references=fold.train,
    )  # fmt: skip
    patches, key = blind_panel(quality, task, 10, 1)
    assert len(patches) == 10 and sum(key) == 5
    assert [bool((patch == 7).all()) for patch in patches] == key


def test_settings_follow_preset_options_and_overrides():
    config = choose_config()
    assert config.phantom and choose_repeats(config) == 2
    config = choose_config(dataset="cbis_ddsm", weights="w.pth")
    assert config == dataclasses.replace(CiganRecipeConfig(), classify=config.classify)
    assert choose_repeats(config) == 5
    assert config.classify.pretrained.model.name == "resnet50"
    assert config.classify.pretrained.model.options["weights"] == "w.pth"
    assert config.classify.pretrained.training.schedule == "staircase"
    assert config.patches.patch_size == 256 and config.gan.class_map_joined
    overrides = ("gan.class_map_joined=false", "gan.boundary_sigma_px=4", "classify.shares=0.1")
    config = choose_config(preset="cpu", dataset="mini_mias", overrides=overrides)
    assert not config.gan.class_map_joined and config.gan.boundary_sigma_px == 4
    assert config.classify.shares == (0.1,)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"preset": "demo", "dataset": "mini_mias"}, "runs on a phantom of cbis_ddsm"),
        ({"overrides": ("classify.kinds=copy_paste",)}, "kinds` cigan"),
        ({"overrides": ("classify.extras_on=resnet",)}, "classify.extras_on"),
        ({"overrides": ("classify.pretrained.model.name=shallow_cnn",)}, "different networks"),
        ({"overrides": ("classify.shares=0",)}, "classify.shares"),
        ({"overrides": ("classify.augment.cratios=10",)}, "no compression ratios"),
        ({"overrides": ("classify.shallow.training.augment.shift_px=1",)}, "classify.augment"),
        ({"overrides": ("margin=0",)}, "margin"),
        ({"overrides": ("patches.patch_size=48",)}, "power of two"),
    ],
)
def test_a_setting_that_cannot_be_is_one_line(options, text):
    with pytest.raises(UserError, match=text) as caught:
        choose_config(**options)
    assert "\n" not in str(caught.value)
