"""The choice of normal tissue that resembles a lesion's surroundings, by hand."""

import numpy as np
import pytest

from mammo_tf.errors import DataError
from mammo_tf.pipelines.matching import match_normals, tissue_mask, tissue_share


def test_tissue_share_by_hand():
    image = np.zeros((6, 8), np.uint8)
    image[1:3, 2:6] = 21
    image[3] = 20  # background still
    mask = tissue_mask(image)
    assert tissue_share(mask, 2, 4, 4) == 8 / 16  # rows 0–3, columns 2–5
    assert tissue_share(mask, 2, 2, 4) == 4 / 16  # columns 0–3
    assert tissue_share(mask, 0, 2, 4) == 2 / 16  # two of its rows lie above the image
    assert tissue_share(mask, 50, 50, 4) == 0


SHARES = np.array([[0.50, 0.55, 0.56, 0.45, 0.44, 0.50], [0.9, 0.9, 0.9, 0.9, 0.9, 0.9]])


def test_only_films_within_the_tolerance_and_allowed():
    allowed = np.ones((2, 6), bool)
    allowed[0, 5] = False
    for seed in range(5):
        chosen, extra = match_normals(
            np.array([0.5, 0.9]),
            SHARES,
            allowed,
            per_lesion=2,
            extra=9,
            tolerance=0.0501,
            seed=seed,
        )
        assert sorted([*chosen[0], *extra[0]]) == [0, 1, 3]
        assert len(chosen[0]) == len(chosen[1]) == 2
        assert len(extra[1]) == 4
        assert not set(chosen[1]) & set(extra[1])


def test_different_films_are_preferred_even_for_the_choosy():
    # The second lesion could take any film; the first has only 0 and 1.
    shares = np.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    for seed in range(10):
        chosen, _ = match_normals(
            np.array([0.5, 0.5]), shares, np.ones((2, 4), bool), per_lesion=2, seed=seed
        )
        assert [list(films) for films in chosen] == [[0, 1], [2, 3]]


def test_seeds_decide():
    lesions, shares, allowed = np.full(5, 0.5), np.full((5, 40), 0.5), np.ones((5, 40), bool)
    choices = [
        np.concatenate(match_normals(lesions, shares, allowed, per_lesion=3, seed=seed)[0]).tolist()
        for seed in (0, 0, 1)
    ]
    assert choices[0] == choices[1]
    assert choices[0] != choices[2]
    assert len(set(choices[0])) == 15


def test_too_few_matches_are_an_error():
    with pytest.raises(DataError, match="One has 1"):
        match_normals(np.array([0.5]), np.array([[0.5, 0.8]]), np.ones((1, 2), bool), per_lesion=2)
