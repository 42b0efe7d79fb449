"""ciGAN's training: whose turn it is, that it learns, and that a killed one ends with the same."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from mammo_tf.errors import DataError, UserError
from mammo_tf.models.cigan import (
    CiganDiscriminator,
    CiganGenerator,
    PerceptualConfig,
    perceptual_network,
)
from mammo_tf.pipelines.infill import boundary_weights, fit_lesion, unit_range, zoom_mask
from mammo_tf.training.checkpoint import NAME, read_checkpoint
from mammo_tf.training.cigan_config import CiganTrainingConfig
from mammo_tf.training.cigan_steps import CiganSteps
from mammo_tf.training.fit import seed_everything
from mammo_tf.training.fit_cigan import CiganPatches, CiganProgress, fit_cigan, next_turn

CONFIG = {"batch_size": 2, "boundary_sigma_px": 2.0, "learning_rate": 2e-3, "num_panel": 2}


def make_patches(count=5, side=32):
    """Grey tissue with a disc, bright where malignant."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:side, :side]
    masks = np.stack(
        [
            (rows - rng.integers(10, 22)) ** 2 + (columns - rng.integers(10, 22)) ** 2 <= 25
            for _ in range(count)
        ]
    )
    malignant = np.arange(count) % 2 == 1
    tissue = rng.integers(90, 110, (2 * count, side, side))
    images = np.where(masks, 140 + 80 * malignant[:, None, None], tissue[:count])
    normals = tissue[count:].astype(np.uint8)
    return CiganPatches(images.astype(np.uint8), masks.astype(np.uint16), malignant, normals)


def make_steps(side=32, **options):
    seed_everything(3)
    generator = CiganGenerator(patch_size=side, stackwise_num_filters=(8,) * 7)
    discriminator = CiganDiscriminator(
        patch_size=side, first_filters=4, stackwise_num_filters=(4, 4, 8, 8), dense_units=(8, 8)
    )
    perceptual = perceptual_network(PerceptualConfig(backbone="vgg16", weights="random"), side)
    config = CiganTrainingConfig(**CONFIG | options)
    return CiganSteps(generator, discriminator, perceptual, config)


def values(steps):
    return [keras.ops.convert_to_numpy(variable) for variable in steps.variables()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Killed(Exception):
    """Stands for whatever ends a process."""


OPTIONS = {"pretrain_epochs": 2, "adversarial_epochs": 2, "most_steps_in_turn": 3}


@contextlib.contextmanager
def without_graphs():
    """Graphs take longer to make than a few steps do; a test below and the command have them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def eagerly():
    with without_graphs():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training that nothing stopped: two passes of each kind, of two steps."""
    folder = tmp_path_factory.mktemp("whole")
    steps = make_steps(**OPTIONS)
    with without_graphs():
        history = fit_cigan(steps, make_patches(4), seed=1, folder=folder)
    return folder, values(steps), history


@pytest.mark.usefixtures("eagerly")
def test_a_killed_training_ends_with_the_same_weights(whole, tmp_path):
    def train(until):
        done, steps = [], make_steps(**OPTIONS)

        def kill(entry):
            done.append(entry["epoch"])
            if entry["epoch"] == until:
                raise Killed

        options = {"seed": 1, "folder": tmp_path, "on_epoch": kill}
        if until is None:
            return done, steps, fit_cigan(steps, make_patches(4), **options)
        with pytest.raises(Killed):
            fit_cigan(steps, make_patches(4), **options)
        return done, steps, None

    assert train(1)[0] == [1]
    assert train(3)[0] == [2, 3]
    # The discriminator's turn of three steps began before that, and goes on.
    assert read_checkpoint(tmp_path / NAME)[0]["progress"]["steps_in_turn"] == 2
    done, steps, history = train(None)
    assert done == [4] and history == whole[2]
    assert same(values(steps), whole[1])
    moments = [v for v in steps.variables() if "momentum" in v.path or "velocity" in v.path]
    networks = [steps.generator, steps.discriminator]
    assert len(moments) == 2 * sum(len(network.trainable_weights) for network in networks)


def test_what_is_kept_of_a_training(whole):
    folder, _, history = whole
    about, arrays = read_checkpoint(folder / NAME)
    assert about["progress"]["epoch"] == 4 and about["progress"]["history"] == history
    assert same(arrays, whole[1])
    assert set(history[0]) == {"epoch", "perceptual"}
    # Two steps an epoch, turns of at most three: the discriminator thrice, then the generator.
    assert set(history[2]) == {"epoch", "discriminator", "discriminator_class"}
    assert {"discriminator", "generator", "boundary", "generator_class"} < set(history[3])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    log.Reload()
    assert {"panel", "loss/perceptual", "loss/discriminator"} <= set(log.Tags()["tensors"])
    panels = log.Tensors("panel")
    assert [event.step for event in panels] == [1, 2, 3, 4]
    width, height = (int(text) for text in panels[0].tensor_proto.string_val[:2])
    assert (height, width) == (2 * 34, 4 * 34)


def test_another_run_or_damage_is_refused_in_one_line(whole, tmp_path):
    (tmp_path / NAME).write_bytes((whole[0] / NAME).read_bytes())

    def go_on(steps, patches=None, seed=1):
        with pytest.raises((UserError, DataError)) as caught:
            fit_cigan(steps, patches or make_patches(4), seed=seed, folder=tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "patch_size: 32, now 64" in go_on(make_steps(64, **OPTIONS), make_patches(4, side=64))
    assert "seed: 1, now 2" in go_on(make_steps(**OPTIONS), seed=2)
    assert "patches: " in go_on(make_steps(**OPTIONS), make_patches(6))
    content = bytearray((whole[0] / NAME).read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / NAME).write_bytes(content)
    assert "damaged" in go_on(make_steps(**OPTIONS))


def test_turns_end_below_the_threshold_or_at_the_cap():
    config = CiganTrainingConfig(loss_threshold=0.3, most_steps_in_turn=3)
    progress, seen = CiganProgress(), []
    for loss in (0.7, 0.31, 0.29, 0.2, 0.5, 0.5, 0.5, 0.9):
        seen.append(progress.turn[0])
        next_turn(progress, loss, config)
    # Three of d (below 0.3 at the third), one of g (0.2), three of d (the cap), then g.
    assert "".join(seen) == "dddgdddg" and progress.steps_in_turn == 1


@pytest.mark.usefixtures("eagerly")
def test_a_step_changes_one_network_alone():
    steps = make_steps()
    batch = next(make_patches().batches(steps.config, 1, 0))

    def changed(step):
        before = [network.get_weights() for network in (steps.generator, steps.discriminator)]
        step(*map(tf.constant, batch))
        after = [network.get_weights() for network in (steps.generator, steps.discriminator)]
        return [not same(*pair) for pair in zip(before, after, strict=True)]

    assert changed(steps.pretrain) == [True, False]
    assert changed(steps.train_discriminator) == [False, True]
    assert changed(steps.train_generator) == [True, False]
    assert not steps.perceptual.trainable_weights


def test_the_discriminator_and_the_pretraining_learn():
    steps = make_steps()
    batch = next(make_patches().batches(steps.config, 1, 0))
    losses = [float(steps.train_discriminator(*batch)["discriminator"]) for _ in range(60)]
    assert losses[0] > 0.5 and losses[-1] < 0.3
    first, *_, last = (float(steps.pretrain(*batch)["perceptual"]) for _ in range(25))
    assert last < 0.7 * first


@pytest.mark.usefixtures("eagerly")
def test_each_weight_of_the_losses_counts():
    batch = next(make_patches().batches(CiganTrainingConfig(**CONFIG), 1, 0))
    found = {}
    off = dict.fromkeys(("perceptual", "boundary", "adversarial", "class"), 0.0)
    for name in off:
        steps = make_steps(**{f"{n}_weight": float(n == name) for n in off})
        before = steps.generator.get_weights()
        steps.train_generator(*map(tf.constant, batch))
        found[name] = [a - b for a, b in zip(steps.generator.get_weights(), before, strict=True)]
    names = list(found)
    for number, one in enumerate(names):
        assert any(change.any() for change in found[one])
        assert not any(same(found[one], found[other]) for other in names[:number])


def test_batches_by_hand():
    patches, config = make_patches(), CiganTrainingConfig(**CONFIG)
    batches = list(patches.batches(config, 1, 0))
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    real, corrupted, masks, edges, labels = (
        np.concatenate(part) for part in zip(*batches, strict=True)
    )
    order = [
        next(k for k in range(5) if np.array_equal(unit_range(patches.images[k]), one[..., 0]))
        for one in real
    ]
    assert sorted(order) == list(range(5))
    assert np.array_equal(labels[:, 1] == 1, patches.malignant[order])
    assert np.array_equal(masks[..., 0], patches.masks[order])
    outside = masks == 0
    assert np.array_equal(corrupted[outside], real[outside])
    assert np.mean(corrupted[~outside] == real[~outside]) < 0.01
    assert np.allclose(edges[1, ..., 0], boundary_weights(patches.masks[order[1]] != 0, 2.0))
    scaled = CiganTrainingConfig(
        **CONFIG | {"boundary_sigma_px": 16.0, "boundary_sigma_scaled": True}
    )  # 16 on 256 pixels are 2 on 32
    again = [batch[3] for batch in patches.batches(scaled, 1, 0)]
    assert np.array_equal(np.concatenate(again), edges)
    again = [batch[1] for batch in patches.batches(config, 1, 0)]
    other = [batch[1] for batch in patches.batches(config, 1, 1)]
    assert np.array_equal(np.concatenate(again), corrupted)
    assert not np.array_equal(np.concatenate(other), corrupted)


def test_lesions_are_zoomed_about_their_middle_and_lie_on_tissue():
    mask = np.zeros((20, 20), bool)
    mask[8:13, 4:9] = True
    assert np.array_equal(zoom_mask(mask, 1), mask)
    large, small = zoom_mask(mask, 2), zoom_mask(mask, 0.5)
    rows, columns = np.nonzero(large)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 15, 1, 11)
    assert small.sum() == 9 and small[9:12, 5:8].all()
    normal = np.zeros((20, 20), np.float32)
    normal[:, :12] = 0.5
    masks = np.stack([mask, mask[:, ::-1]])  # the second lies on background
    rng = np.random.default_rng(0)
    for _ in range(10):
        index, found, zoom = fit_lesion(normal, masks, rng, zoom_range=(1, 1))
        assert index == 0 and zoom == 1 and np.array_equal(found, mask)
    assert fit_lesion(normal * 0.1, masks, rng) is None  # 0.05: darker than tissue


def test_patches_without_a_mask_or_place_are_refused(tmp_path):
    patches = make_patches()
    masks = patches.masks.copy()
    masks[3] = 0
    with pytest.raises(UserError, match="Patch 3 has none"):
        CiganPatches(patches.images, masks, patches.malignant, patches.normals)
    with pytest.raises(UserError, match="Received: none"):
        CiganPatches(patches.images[:0], masks[:0], patches.malignant[:0], patches.normals)
    dark = CiganPatches(patches.images, patches.masks, patches.malignant, patches.normals * 0)
    with pytest.raises(UserError, match="No lesion lies on tissue"):
        fit_cigan(make_steps(), dark, seed=1, folder=tmp_path)
    with pytest.raises(UserError, match=r"gan\.batch_size"):
        CiganTrainingConfig(batch_size=0)


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_diverges_says_so(tmp_path):
    steps = make_steps(learning_rate=1.0, pretrain_epochs=1, adversarial_epochs=0)
    steps.generator.set_weights([w + np.float32(np.nan) for w in steps.generator.get_weights()])
    with pytest.raises(
        UserError, match=r"diverged in epoch 1: .*the generator.*gan\.learning_rate"
    ):
        fit_cigan(steps, make_patches(), seed=1, folder=tmp_path)
    assert not (tmp_path / NAME).exists()
