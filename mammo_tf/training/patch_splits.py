"""Two ways to divide patches: by woman, and by copy as the poster seems to have done."""

import dataclasses

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.mias_patches import PatchSet
from mammo_tf.training.folds import Fold

COPIES = 8
POSTER_SHARES = (0.7, 0.1, 0.2)


def split_by_woman(patches: PatchSet, film_fold: Fold) -> Fold:
    """Divides patches as a fold divides their films; the split to believe.

    Args:
        patches: The patches. Those that are not `evaluated` are in no test or validation part.
        film_fold: Parts of films, as `mammo_tf.training.folds.make_folds` makes them with the
            women as groups. Films in no part give no patch.

    Returns:
        The same fold as indices into the patches, ascending.

    Raises:
        UserError: If one woman's films are in two parts.
    """
    parts = [
        np.flatnonzero(np.isin(patches.film_index, films) & (patches.evaluated | trains))
        for films, trains in (
            (film_fold.train, True),
            (film_fold.validation, False),
            (film_fold.test, False),
        )
    ]
    women = [set(patches.patients[part].tolist()) for part in parts]
    shared = women[0] & women[1] | women[0] & women[2] | women[1] & women[2]
    if shared:
        raise UserError(
            f"Fold {film_fold.index} must keep each woman in one part. "
            f"Received films of {sorted(shared)[0]} in two."
        )
    return Fold(film_fold.index, *parts)


def split_like_poster(patches: PatchSet, *, seed: int = 0, index: int = 0) -> tuple[PatchSet, Fold]:
    """Copies patches first, then divides the copies at random: a leak, not to be believed.

    The poster cuts patches, rotates and flips them, and gives no split; its scores can be had
    when copies of one lesion, and both breasts of one woman, are on both sides. This function
    makes that split so that the size of the mistake can be shown: each evaluated patch is turned
    by 0, 90, 180 and 270 degrees, each of these flipped vertically too, and the 8 copies go to
    training, validation and test 7:1:2 by chance, whatever the woman. A network that has learned
    lesions by heart scores well on it and knows nothing.

    Args:
        patches: The patches; only the evaluated ones are copied.
        seed: Seed of the division.
        index: Number of the fold returned.

    Returns:
        The copies, 8 of each patch in a row, and the fold as indices into them.

    Reference:
        Jin and Zheng (poster), "Data Augmentation"; the split is not stated there.
    """
    kept = np.flatnonzero(patches.evaluated)
    originals = patches.pixels[kept]
    turned = [np.rot90(originals, quarters, axes=(1, 2)) for quarters in range(4)]
    copies = np.stack([*turned, *(copy[:, ::-1] for copy in turned)], axis=1)
    names = [f"turn{degrees}{flip}" for flip in ("", "-flip") for degrees in (0, 90, 180, 270)]
    of = np.repeat(kept, COPIES)
    copied = dataclasses.replace(
        patches,
        pixels=copies.reshape(-1, *originals.shape[1:]),
        labels=patches.labels[of],
        film_index=patches.film_index[of],
        patients=patches.patients[of],
        example_ids=tuple(f"{patches.example_ids[i]}-{name}" for i in kept for name in names),
        evaluated=np.ones(len(of), bool),
        places=patches.places[of],
    )
    return copied, divide_at_random(len(of), seed, index=index)


def divide_at_random(count: int, seed: int, *, index: int = 0) -> Fold:
    """Divides examples 7:1:2 whatever the woman, as the poster probably did; not to be believed.

    Args:
        count: Number of examples.
        seed: Seed of the division.
        index: Number of the fold returned.
    """
    order = np.random.default_rng(seed).permutation(count)
    ends = np.rint(np.cumsum(POSTER_SHARES[:2]) * count).astype(int)
    return Fold(index, *(np.sort(part) for part in np.split(order, ends)))
