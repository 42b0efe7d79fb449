"""How real synthetic images are: told apart by a classifier, apart in distribution, or copied?

All three look at features of a fixed network, one row an image, never at the images themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mammo_tf.errors import UserError
from mammo_tf.evaluation.auroc import Estimate, ScoredFold, mean_auroc

NUM_PARTS = 5


def two_sample_auroc(real, synthetic, real_groups, synthetic_groups, *, seed: int = 0) -> Estimate:
    """Trains a classifier to tell two sets of images apart, and says how well it does.

    Logistic regression on standardised features, trained on four fifths of the patients and tested
    on the rest, five times. Lopez-Paz and Oquab take the accuracy; the AUROC needs no equal
    numbers. 0.5 is what sets of one distribution give; two sets differ where the interval lies
    above it.

    Args:
        real: (n, d) features.
        synthetic: (m, d) features of the same network.
        real_groups: (n,) patient of each.
        synthetic_groups: (m,) patient whose tissue each one shows.
        seed: Seed of the division.

    Returns:
        The mean over the parts, with its interval over patients.

    Raises:
        UserError: If the shapes do not fit, or either set has fewer than five patients.

    Reference:
        Lopez-Paz and Oquab, Revisiting classifier two-sample tests, ICLR 2017.
    """
    real, synthetic = _checked(real, synthetic)
    groups = np.concatenate([np.asarray(real_groups), np.asarray(synthetic_groups)])
    if min(len(np.unique(real_groups)), len(np.unique(synthetic_groups))) < NUM_PARTS:
        raise UserError(f"A two-sample test needs {NUM_PARTS} patients in each set.")
    features = np.concatenate([real, synthetic])
    labels = np.repeat([0, 1], [len(real), len(synthetic)])
    splitter = StratifiedGroupKFold(NUM_PARTS, shuffle=True, random_state=seed)
    folds = []
    for train, test in splitter.split(features, labels, groups):
        if min(len(np.unique(labels[part])) for part in (train, test)) < 2:
            continue
        judge = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)
        )
        judge.fit(features[train], labels[train])
        folds.append(
            ScoredFold(labels[test], judge.decision_function(features[test]), groups[test])
        )
    if not folds:
        raise UserError("A two-sample test needs both sets in some part. Take more patients.")
    return mean_auroc(folds)


def kernel_distance(first, second) -> float:
    """Returns the kernel distance of two sets of features: KID, with whatever network made them.

    It is the unbiased estimate of the squared maximum mean discrepancy with the kernel
    (x·y / d + 1)³. Sets of one distribution give 0 on average, so it can be a little below; unlike
    the Fréchet distance it does not grow where there are few images.

    Args:
        first: (n, d) features, n at least 2.
        second: (m, d), m at least 2.

    Raises:
        UserError: If the shapes do not fit, or a set has one image.

    Examples:
        >>> kernel_distance([[1.0], [1.0]], [[0.0], [0.0]])
        7.0

    Reference:
        Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 4; Gretton et al., Journal of
        Machine Learning Research 13 (2012), equation 3.
    """
    first, second = _checked(first, second)
    if min(len(first), len(second)) < 2:
        raise UserError("A kernel distance needs two images in each set.")
    own = [_mean_of_others(_kernel(one, one)) for one in (first, second)]
    return float(sum(own) - 2 * _kernel(first, second).mean())


@dataclass(frozen=True)
class Nearest:
    """The nearest reference of each image.

    Attributes:
        indices: (n,) int, which reference.
        distances: (n,) float, the Euclidean distance of their features.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest_reference(images, references) -> Nearest:
    """Finds the nearest of the real images that a network learned from, for each image.

    Args:
        images: (n, d) features.
        references: (m, d) features.

    Raises:
        UserError: If the shapes do not fit.
    """
    images, references = _checked(images, references)
    distances = cdist(images, references)
    indices = distances.argmin(axis=1)
    return Nearest(indices, distances[np.arange(len(images)), indices])


def share_nearer(distances: Sequence[float], held_out: Sequence[float]) -> float:
    """Returns how often an image is nearer to what was learned from than unseen real ones are.

    Args:
        distances: (n,) of synthetic images, see `nearest_reference`.
        held_out: (m,) of real images of other patients, to the same references.

    Returns:
        The share of (synthetic, unseen) pairs in which the synthetic one is nearer, ties by half:
        0.5 is no sign of copying, 1 means that each is nearer than any unseen image.

    Examples:
        >>> share_nearer([1.0, 3.0], [2.0, 3.0])
        0.625
    """
    nearer = np.asarray(distances)[:, np.newaxis] - np.asarray(held_out)[np.newaxis]
    return float(np.mean((nearer < 0) + 0.5 * (nearer == 0)))


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_of_others(kernel: np.ndarray) -> float:
    count = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))


def _checked(first, second) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.asarray(one, np.float64) for one in (first, second))
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise UserError(
            "Features must be two tables with as many columns. "
            f"Received shapes: {first.shape} and {second.shape}."
        )
    if not (len(first) and len(second) and np.isfinite(first).all() and np.isfinite(second).all()):
        raise UserError("Features must be finite, and at least one row. Received others.")
    return first, second
