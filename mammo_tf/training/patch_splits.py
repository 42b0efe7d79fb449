"""Two ways to divide examples: by patient, and by copy as the poster seems to have done."""

from collections.abc import Sequence

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.task import Task
from mammo_tf.training.folds import Fold

POSTER_SHARES = (0.7, 0.1, 0.2)


def split_by_patient(task: Task, image_ids: Sequence[str], fold: Fold) -> Fold:
    """Divides examples as a fold divides the images that they are cut from; the split to believe.

    Args:
        task: The examples. Those that are not `evaluated` are in no test or validation part.
        image_ids: (n,) the images that `fold` divides.
        fold: Parts of images, as `mammo_tf.training.folds.divide` makes them with the patients as
            groups. Images in no part give no example.

    Returns:
        The same fold as indices into the examples, ascending.

    Raises:
        UserError: If one patient's images are in two parts.
    """
    image_ids = np.asarray(image_ids)
    parts = [
        np.flatnonzero(np.isin(task.image_ids, image_ids[images]) & (task.evaluated | trains))
        for images, trains in ((fold.train, True), (fold.validation, False), (fold.test, False))
    ]
    patients = [set(task.groups[part].tolist()) for part in parts]
    shared = patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]
    if shared:
        raise UserError(
            f"Fold {fold.index} must keep each patient in one part. "
            f"Received images of {len(shared)} patients in two."
        )
    return Fold(fold.index, *parts)


def divide_at_random(count: int, seed: int, *, index: int = 0) -> Fold:
    """Divides examples 7:1:2 whatever the patient, as the poster probably did.

    With `mammo_tf.pipelines.turned.turned_copies` this makes the poster's kind of split, so that
    the size of the mistake can be shown: copies of one lesion, and both breasts of one patient,
    are on both sides. A network that has learned lesions by heart scores well on it and knows
    nothing: a leak, not to be believed.

    Args:
        count: Number of examples.
        seed: Seed of the division.
        index: Number of the fold returned.

    Reference:
        Jin and Zheng (poster), "Data Augmentation"; the split is not stated there.
    """
    order = np.random.default_rng(seed).permutation(count)
    ends = np.rint(np.cumsum(POSTER_SHARES[:2]) * count).astype(int)
    return Fold(index, *(np.sort(part) for part in np.split(order, ends)))
