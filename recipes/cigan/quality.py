"""How real the painted patches are: the judges of `mammo_tf.evaluation.synthetic` on one fold."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.evaluation import Estimate
from mammo_tf.evaluation.synthetic import (
    Nearest,
    kernel_distance,
    nearest_reference,
    share_nearer,
    two_sample_auroc,
)
from mammo_tf.models.efficientnet_lite0 import EfficientNetLite0
from mammo_tf.pipelines.synthesis import SyntheticPatches
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.cigan.config import QualityConfig
from mammo_tf.training.folds import Fold

LAYER = "pool"
TRAINED_ON = "real lesions trained on"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How a set compares with real lesion patches of patients that the network never saw.

    Attributes:
        name: The set.
        count: Its patches.
        two_sample: See `two_sample_auroc`; 0.5 if nobody can tell them apart.
        distance: See `kernel_distance`.
        nearer: See `share_nearer`: against all patches of the training part.
    """

    name: str
    count: int
    two_sample: Estimate
    distance: float
    nearer: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Quality:
    """What the report shows of the painted patches.

    Attributes:
        fold: Whose patches.
        embedding: Which network's features were compared.
        judged: The sets: real ones trained on, which say what can be had, then the others.
        painted: The painted patches that were judged.
        nearest: The nearest patch of the training part to each, as rows of `references`.
        references: Rows of the task.
    """

    fold: int
    embedding: str
    judged: tuple[Judged, ...]
    painted: SyntheticPatches
    nearest: Nearest
    references: np.ndarray


def judge(
    config: QualityConfig,
    task: Task,
    fold: Fold,
    sets: Mapping[str, SyntheticPatches],
    *,
    seed: int,
) -> Quality:
    """Compares made patches with real lesion patches of test patients.

    Features are the 1280 pooled ones of EfficientNet-Lite0, which was trained on none of our
    images. The real lesion patches that ciGAN learned from are judged alike, so that what patients
    alone make different is seen.

    Args:
        config: How.
        task: See `mammo_tf.training.cigan_run.cut_patches`.
        fold: Whose parts.
        sets: What was added to its training part, by name; the first is ciGAN's.
        seed: Seed of what is drawn.

    Raises:
        UserError: If the embedding's weights cannot be had.
    """
    rng = np.random.default_rng([seed, 11])
    network = embedding(config, task.input_shape[0])
    images = task.images(1)

    def features_of(rows):
        return embed(network, np.stack([images[row] for row in rows]))

    unseen = _lesions(task, fold.test, config.most, rng)
    learned = _lesions(task, fold.train, config.most, rng)
    references = np.asarray(fold.train)
    held_out, known = features_of(unseen), features_of(references)
    own = nearest_reference(held_out, known).distances
    place = {int(row): number for number, row in enumerate(references)}
    learned_features = known[[place[int(row)] for row in learned]]
    # Each is its own nearest one, so that copying is 1 there by definition: left out.
    judged = [
        _judged(TRAINED_ON, learned_features, task.groups[learned], held_out, unseen, task, seed,
                np.nan)
    ]  # fmt: skip
    patient_of = dict(zip(task.example_ids, task.groups.tolist(), strict=True))
    first = None
    for name, patches in sets.items():
        rows = rng.permutation(len(patches))[: config.most]
        features = embed(network, patches.images[rows])
        nearest = nearest_reference(features, known)
        groups = np.array([patient_of[one] for one in patches.normal_ids[rows]])
        nearer = share_nearer(nearest.distances, own)
        judged.append(_judged(name, features, groups, held_out, unseen, task, seed, nearer))
        first = first or (patches, rows, nearest)
    patches, rows, nearest = first
    return Quality(
        fold=fold.index,
        embedding=f"pooled features of EfficientNet-Lite0, weights: {_name(config)}",
        judged=tuple(judged),
        painted=patches.take(rows),
        nearest=nearest,
        references=references,
    )


def embedding(config: QualityConfig, side: int) -> keras.Model:
    """Returns the fixed network, from (batch, side, side, 1) to (batch, 1280)."""
    keras.utils.set_random_seed(0)  # for weights that are random
    network = EfficientNetLite0(image_shape=(side, side, 1), weights=config.embedding_weights)
    return keras.Model(network.input, network.get_layer(LAYER).output, trainable=False)


def embed(network: keras.Model, patches: np.ndarray) -> np.ndarray:
    """Returns (n, d) features of (n, side, side) patches, each standardised as for a classifier."""
    pixels = patches.astype(np.float32)[..., np.newaxis]
    centred = pixels - pixels.mean(axis=(1, 2, 3), keepdims=True)
    deviation = np.maximum(centred.std(axis=(1, 2, 3), keepdims=True), 1e-5)
    return network.predict(centred / deviation, verbose=0)


def _judged(name, features, groups, held_out, unseen, task, seed, nearer) -> Judged:
    try:
        told = two_sample_auroc(held_out, features, task.groups[unseen], groups, seed=seed)
    except UserError:  # fewer than five patients
        told = Estimate(np.nan, np.nan, np.nan)
    enough = min(len(held_out), len(features)) > 1
    distance = kernel_distance(features, held_out) if enough else np.nan
    return Judged(name=name, count=len(features), two_sample=told, distance=distance, nearer=nearer)


def _lesions(task: Task, rows, most: int, rng) -> np.ndarray:
    rows = np.asarray(rows)
    return rng.permutation(rows[task.labels[rows] > 0])[:most]


def _name(config: QualityConfig) -> str:
    if config.embedding_weights == "none":
        return "random, for tests of the machinery"
    weights = config.embedding_weights
    return "ImageNet's" if weights == "imagenet" else Path(weights).name
