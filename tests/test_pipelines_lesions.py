"""The choice of lesion and normal patches: same side, same place, as much tissue, by hand."""

import numpy as np
import pytest

from mammo_tf.errors import DataError
from mammo_tf.pipelines.lesion_patches import choose_patches
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


def _film(name, side="L", finding="normal", circles=()):
    return {"id": name, "side": side, "finding": finding, "circles": [list(c) for c in circles]}


def test_patches_of_a_small_data_set():
    films = [
        _film("f1", finding="benign", circles=[(10, 20), (30, 40)]),
        _film("f2", side="R"),
        _film("f3"),
        _film("f4"),
        _film("f5", finding="malignant"),  # abnormal without a circle: serves for nothing
        _film("f6"),
    ]
    patches = choose_patches(films, np.ones((2, 6)), seed=3, extra=5)
    assert [(p.example_id, p.row, p.column, p.label) for p in patches[:2]] == [
        ("f1-1", 10, 20, 1),
        ("f1-2", 30, 40, 1),
    ]
    normals, extra = patches[2:6], patches[6:]
    assert [(p.row, p.column) for p in normals] == [(10, 20), (10, 20), (30, 40), (30, 40)]
    assert all(p.film in ("f3", "f4", "f6") and p.label == 0 for p in patches[2:])
    assert all(p.evaluated for p in patches[:6])
    assert len(extra) == 2
    assert not any(p.evaluated for p in extra)
    assert len({p.example_id for p in patches}) == len(patches) == 8
    assert normals[0].example_id == f"{normals[0].film}-at-f1-1"


def test_copies_of_lesions_only_train():
    films = [_film("f1", finding="benign", circles=[(10, 20)]), _film("f2"), _film("f3")]
    patches = choose_patches(films, np.ones((1, 3)), copies=2)
    assert [(p.example_id, p.label, p.evaluated) for p in patches] == [
        ("f1-1", 1, True),
        ("f2-at-f1-1", 0, True),
        ("f3-at-f1-1", 0, True),
        ("f1-1-copy1", 1, False),
        ("f1-1-copy2", 1, False),
    ]
    assert all((p.row, p.column) == (10, 20) for p in patches)


def test_films_without_lesions_are_an_error():
    with pytest.raises(DataError, match="none with a circle"):
        choose_patches([_film("f1"), _film("f2")], np.ones((0, 2)))
