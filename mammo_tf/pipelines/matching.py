"""Chooses normal tissue that resembles a lesion's surroundings: same place, same share of tissue.

Without the match the background gives the answer away. Pure functions on arrays.
"""

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.pipelines.geometry import extract_patch

TISSUE_LEVEL = 20  # of 255; the films' background is darker


def tissue_mask(image: np.ndarray, level: int = TISSUE_LEVEL) -> np.ndarray:
    """Where a film shows tissue rather than background: (height, width) bool, above `level`."""
    return image > level


def tissue_share(mask: np.ndarray, row: int, column: int, size: int) -> float:
    """The share of tissue in a square patch, 0 to 1; what lies outside the film is none.

    Args:
        mask: (height, width) bool; see `tissue_mask`.
        row: Row of the patch's middle.
        column: Column of the patch's middle.
        size: Side of the patch in pixels.
    """
    return float(extract_patch(mask, row, column, size).mean())


def match_normals(
    lesion_shares: np.ndarray,
    normal_shares: np.ndarray,
    allowed: np.ndarray,
    *,
    per_lesion: int,
    extra: int = 0,
    tolerance: float = 0.05,
    seed: int = 0,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Chooses for each lesion the normal films whose patch at its place has as much tissue.

    Lesions with the fewest candidates choose first, and films used least are preferred, so that
    as many different films as possible are used; the rest is chance, from `seed`.

    Args:
        lesion_shares: (lesions,) share of tissue round each lesion.
        normal_shares: (lesions, films) share of tissue at each lesion's place in normal films.
        allowed: (lesions, films) bool; False where a film cannot serve, as of the other side.
        per_lesion: Films for each lesion.
        extra: Further films for each lesion; fewer where there are no more candidates.
        tolerance: The most that two shares may differ.
        seed: Seed of the choice.

    Returns:
        For each lesion its films' indices: (per_lesion,) and (up to `extra`,), all different.

    Raises:
        DataError: If a lesion has fewer than `per_lesion` candidates.
    """
    rng = np.random.default_rng(seed)
    close = np.abs(normal_shares - lesion_shares[:, np.newaxis]) <= tolerance
    candidates = [np.flatnonzero(row) for row in close & allowed]
    fewest = min(map(len, candidates), default=per_lesion)
    if fewest < per_lesion:
        raise DataError(
            f"Every lesion needs {per_lesion} normal films with as much tissue at its place, "
            f"within {tolerance:g}. One has {fewest}. Check that the data set is complete."
        )
    order = _fewest_first(candidates, rng)
    chosen = _choose(candidates, order, per_lesion, allowed.shape[1], rng)
    others = [np.setdiff1d(mine, taken) for mine, taken in zip(candidates, chosen, strict=True)]
    return chosen, _choose(others, order, extra, allowed.shape[1], rng)


def _fewest_first(candidates: list[np.ndarray], rng: np.random.Generator) -> list[int]:
    chance = rng.permutation(len(candidates))
    return sorted(range(len(candidates)), key=lambda index: (len(candidates[index]), chance[index]))


def _choose(candidates, order, count: int, num_films: int, rng) -> list[np.ndarray]:
    uses = np.zeros(num_films, int)
    chosen = [np.zeros(0, int)] * len(candidates)
    for index in order:
        mine = rng.permutation(candidates[index])
        mine = mine[np.argsort(uses[mine], kind="stable")][:count]
        uses[mine] += 1
        chosen[index] = np.sort(mine)
    return chosen
