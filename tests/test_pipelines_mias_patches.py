"""Three-class patches of small films drawn by hand: which are cut, where, with which label."""

import dataclasses

import numpy as np
import pytest

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines.mias_films import Film, Films, Lesion
from mammo_tf.pipelines.mias_patches import (
    centred_patches,
    cut_patch,
    sliding_patches,
)
from mammo_tf.pipelines.sliding import LEFT_OUT, label_windows, window_middles
from mammo_tf.training.folds import Fold
from mammo_tf.training.patch_splits import split_by_woman, split_like_poster

HEIGHT, WIDTH = 96, 80


def lesion(row, column, radius, severity="benign"):
    return Lesion(row=row, column=column, radius_px=radius, severity=severity, abnormality="CIRC")


def film(number, *lesions, side="L", finding=None):
    finding = finding or (lesions[0].severity if lesions else "normal")
    return Film(
        image_id=f"mdb{number:03}",
        patient_id=f"p{(number + 1) // 2:03}",
        laterality=side,
        tissue="F",
        finding=finding,
        lesions=lesions,
        num_unplaced=0,
    )


def films_of(*films, pixels=None):
    if pixels is None:
        rng = np.random.default_rng(0)
        pixels = rng.integers(21, 256, (len(films), HEIGHT, WIDTH)).astype(np.uint8)
    return Films(films=films, pixels=pixels)


# Two women with lesions, left and right; normal films of both sides; one that serves for nothing.
FILMS = (
    film(1, lesion(40, 30, 6), lesion(60, 50, 5, "malignant"), finding="malignant"),
    film(2, lesion(20, 10, 4, "malignant"), side="R"),
    *(film(number, side="LR"[number % 2]) for number in range(3, 13)),
    film(13, finding="benign"),
)


def test_windows_lie_in_the_film_and_reach_its_edges():
    middles = window_middles((10, 9), 4, 3)
    # Rows start at 0, 3 and 6; columns at 0, 3 and, flush, at 5.
    assert middles.tolist() == [[r + 2, c + 2] for r in (0, 3, 6) for c in (0, 3, 5)]
    assert window_middles((5, 5), 5, 2).tolist() == [[2, 2]]


def labels_at(columns, boxes, labels, break_lesions, row=50, size=20):
    middles = np.array([(row, column) for column in columns])
    return label_windows(middles, size, np.array(boxes), labels, break_lesions=break_lesions)


def test_half_a_lesion_is_enough_when_lesions_may_be_broken():
    # The box has columns 60 to 70. A window with its middle at c shows columns c − 10 to c + 10.
    box = (45, 60, 55, 70)
    found = labels_at((50, 51, 54, 55, 65, 75, 76, 79, 80), [box], [1], True)
    assert found.tolist() == [0, LEFT_OUT, LEFT_OUT, 1, 1, 1, LEFT_OUT, LEFT_OUT, 0]


def test_only_whole_lesions_when_they_may_not_be_broken():
    box = (45, 60, 55, 70)
    found = labels_at((50, 55, 59, 60, 65, 70, 71, 80), [box], [2], False)
    assert found.tolist() == [0, LEFT_OUT, LEFT_OUT, 2, 2, 2, LEFT_OUT, 0]


def test_lesions_larger_than_the_window():
    # A circle of radius 30 round (50, 50): its box is 60 wide, a window 20.
    box = (20, 20, 80, 80)
    columns = (5, 15, 29, 30, 50, 70, 71)
    broken = labels_at(columns, [box], [1], True)
    # Filled by the box from 30 to 70; at 29 one column is outside.
    assert broken.tolist() == [0, LEFT_OUT, LEFT_OUT, 1, 1, 1, LEFT_OUT]
    whole = labels_at(columns, [box], [1], False)
    # The window's middle lies in the circle from 20 to 80.
    assert whole.tolist() == [0, LEFT_OUT, 1, 1, 1, 1, 1]
    corner = labels_at((28,), [box], [1], False, row=28)
    assert corner.tolist() == [LEFT_OUT]  # 22² + 22² > 30²


def test_the_worse_of_two_lesions_wins():
    boxes = [(45, 46, 55, 54), (48, 52, 52, 58)]
    assert labels_at((50,), boxes, [2, 1], True).tolist() == [2]
    assert labels_at((50,), boxes, [1, 2], False).tolist() == [2]
    # From 44 the second is cut off (a third is seen); the first is still whole.
    assert labels_at((44,), boxes, [1, 2], True).tolist() == [1]


def test_without_lesions_all_windows_are_normal():
    found = labels_at((10, 50), np.zeros((0, 4)), [], True)
    assert found.tolist() == [0, 0]


def test_cut_keeps_a_margin_and_mirrors_by_hand():
    image = np.arange(HEIGHT * WIDTH, dtype=np.uint32).reshape(HEIGHT, WIDTH) % 251
    image = image.astype(np.uint8)
    padded = np.pad(image, 24)
    # 16 pixels seen, 24 stored, from 12 above the middle; nothing is resized.
    got = cut_patch(image, 3, 70, patch_size=16, input_size=16, mirrored=False)
    np.testing.assert_array_equal(got, padded[24 + 3 - 12 : 24 + 3 + 12, 24 + 58 : 24 + 82])
    turned = cut_patch(image, 3, 70, patch_size=16, input_size=16, mirrored=True)
    np.testing.assert_array_equal(turned, got[:, ::-1])
    # Halved, a patch of constant stripes of two pixels keeps its values inside.
    stripes = np.repeat(np.arange(40, dtype=np.uint8), 2)[None].repeat(HEIGHT, 0)
    half = cut_patch(stripes, 48, 40, patch_size=32, input_size=16, mirrored=False)
    assert half.shape == (24, 24)
    np.testing.assert_allclose(half[12], np.arange(8, 32), atol=1)


def test_centred_patches_by_hand():
    films = films_of(*FILMS)
    patches = centred_patches(films, patch_size=32, input_size=16, extra_normals=1, lesion_copies=2)
    assert len(patches) == 3 * (1 + 2 + 1 + 2)
    assert patches.pixels.shape == (18, 24, 24) and patches.pixels.dtype == np.uint8
    assert patches.labels.tolist() == [1, 2, 2] + [0] * 9 + [1, 1, 2, 2, 2, 2]
    assert patches.evaluated.tolist() == [True] * 9 + [False] * 9
    assert patches.example_ids[:3] == ("mdb001-1", "mdb001-2", "mdb002-1")
    assert patches.example_ids[12:14] == ("mdb001-1-copy1", "mdb001-1-copy2")
    assert len(set(patches.example_ids)) == 18
    assert patches.film_index[:3].tolist() == [0, 0, 1]
    assert patches.patients[:3].tolist() == ["p001"] * 3
    normals = np.flatnonzero(patches.labels == 0)
    sides = {FILMS[index].laterality for index in patches.film_index[normals[4:6]]}
    assert sides == {"R"}  # of the third lesion's two normals
    assert all(FILMS[index].finding == "normal" for index in patches.film_index[normals])
    for index in range(len(patches)):
        owner = patches.film_index[index]
        expected = cut_patch(
            films.pixels[owner],
            *patches.places[index],
            patch_size=32,
            input_size=16,
            mirrored=FILMS[owner].laterality == "R",
        )
        np.testing.assert_array_equal(patches.pixels[index], expected)
    assert patches.places[2].tolist() == patches.places[7].tolist() == [20, 10]


def test_normals_have_as_much_tissue():
    pixels = np.zeros((len(FILMS), HEIGHT, WIDTH), np.uint8)
    pixels[:, :, 20:] = 200
    pixels[4:6] = 200  # films 5 and 6 have tissue everywhere: no match for the lesions at an edge
    patches = centred_patches(films_of(*FILMS, pixels=pixels), patch_size=32, input_size=16)
    at_edge = (patches.labels == 0) & (patches.places[:, 1] < 36)
    used = set(patches.film_index[at_edge].tolist())
    assert used and not used & {4, 5}
    assert {4, 5} & set(patches.film_index[patches.labels == 0].tolist())


def test_sliding_patches_by_hand():
    pixels = np.full((3, HEIGHT, WIDTH), 100, np.uint8)
    films = (film(1, lesion(40, 30, 6, "malignant")), film(3), film(5, finding="benign"))
    patches = sliding_patches(
        films_of(*films, pixels=pixels),
        patch_size=32,
        input_size=16,
        stride=16,
        normals_per_film=3,
        break_lesions=False,
    )
    # Box rows 34–47, columns 24–37. Windows start at 0, 16, 32, …: rows at 16 and 32 hold it;
    # columns at 16 only (0–31 and 32–63 cut it).
    lesions = patches.places[patches.labels == 2]
    assert lesions.tolist() == [[32, 32], [48, 32]]
    assert np.bincount(patches.film_index, minlength=3).tolist() == [2, 3, 0]
    assert patches.evaluated.all() and set(patches.labels.tolist()) == {0, 2}
    assert patches.example_ids[0] == "mdb001-32-32"


def test_edges_of_the_breast():
    pixels = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    pixels[:, :, 24:] = 100
    films = films_of(film(1, lesion(40, 30, 6)), film(3), pixels=pixels)
    options = {"patch_size": 32, "input_size": 16, "stride": 8, "normals_per_film": 999}
    kept = sliding_patches(films, **options)
    inner = sliding_patches(films, **options, keep_edges=False)
    # A window that starts at column c shows min(32, c + 8) of 32 columns of tissue.
    assert set((kept.places[:, 1] - 16).tolist()) == {0, 8, 16, 24, 32, 40, 48}
    assert set((inner.places[:, 1] - 16).tolist()) == {24, 32, 40, 48}
    empty = sliding_patches(
        dataclasses.replace(films, pixels=np.where(films.pixels > 0, 20, 21).astype(np.uint8)),
        **options,
    )
    # Columns 0 to 23 are tissue now: 24 − c of 32, at least a fifth up to c = 16.
    assert set((empty.places[:, 1] - 16).tolist()) == {0, 8, 16}


def test_the_seed_draws_the_normal_windows():
    films = films_of(*FILMS)
    options = {"patch_size": 32, "input_size": 16, "normals_per_film": 4}
    first, again, other = (sliding_patches(films, **options, seed=seed) for seed in (1, 1, 2))
    assert first.example_ids == again.example_ids != other.example_ids
    assert np.bincount(first.film_index[first.labels == 0]).max() == 4
    default = sliding_patches(films, **options, stride=8, seed=1)
    assert default.example_ids == first.example_ids  # a quarter of 32


@pytest.mark.parametrize("cut", [centred_patches, sliding_patches])
def test_bad_films_are_named(cut):
    outside = films_of(film(1, lesion(96, 30, 5)), *FILMS[2:])
    with pytest.raises(DataError, match=r"mdb001.*row 96.*96×80"):
        cut(outside, patch_size=32, input_size=16)
    with pytest.raises(DataError, match=r"\(13, height, width\).*\(12, 96, 80\)"):
        cut(Films(films=FILMS, pixels=films_of(*FILMS).pixels[:12]), patch_size=32, input_size=16)
    with pytest.raises(DataError, match="uint16"):
        wide = films_of(*FILMS).pixels.astype(np.uint16)
        cut(Films(films=FILMS, pixels=wide), patch_size=32, input_size=16)
    with pytest.raises(DataError, match="at most the films'"):
        cut(films_of(*FILMS), patch_size=81, input_size=16)
    with pytest.raises(UserError, match="input_size"):
        cut(films_of(*FILMS), patch_size=32, input_size=33)
    with pytest.raises(DataError, match=r"(none with a circle|shows a lesion)"):
        cut(films_of(*FILMS[2:]), patch_size=32, input_size=16)


def test_options_out_of_range():
    with pytest.raises(UserError, match="stride"):
        sliding_patches(films_of(*FILMS), patch_size=32, input_size=16, stride=0)
    with pytest.raises(UserError, match="normals_per_film"):
        sliding_patches(films_of(*FILMS), patch_size=32, input_size=16, normals_per_film=0)
    with pytest.raises(UserError, match="lesion_copies"):
        centred_patches(films_of(*FILMS), patch_size=32, input_size=16, lesion_copies=-1)


def parts_of(fold):
    return fold.train, fold.validation, fold.test


def test_split_by_woman():
    patches = centred_patches(films_of(*FILMS), patch_size=32, input_size=16)
    fold = Fold(2, np.arange(0, 6), np.arange(6, 8), np.arange(8, 12))
    parts = split_by_woman(patches, fold)
    assert parts.index == 2
    for part, films in zip(parts_of(parts), (range(6), range(6, 8), range(8, 12)), strict=True):
        assert set(patches.film_index[part].tolist()) <= set(films)
    assert not patches.evaluated[parts.train].all()
    assert patches.evaluated[parts.test].all() and patches.evaluated[parts.validation].all()
    # Nothing evaluated is lost, nor anything that trains in the training films.
    total = sum(map(len, parts_of(parts)))
    in_train = np.isin(patches.film_index, np.arange(0, 6))
    assert total == patches.evaluated.sum() + (in_train & ~patches.evaluated).sum()


def test_a_woman_in_two_parts_is_refused():
    patches = centred_patches(films_of(*FILMS), patch_size=32, input_size=16)
    with pytest.raises(UserError, match=r"Fold 1.*p001"):
        split_by_woman(patches, Fold(1, np.array([0, 2, 3]), np.array([6, 7]), np.array([1, 8])))


def test_copies_like_the_posters_and_their_leak():
    patches = centred_patches(films_of(*FILMS), patch_size=32, input_size=16)
    copies, fold = split_like_poster(patches, seed=3, index=1)
    assert len(copies) == 8 * 9 and fold.index == 1
    first = patches.pixels[0]
    height, width = first.shape
    row, column = np.mgrid[:height, :width]
    # A quarter turn counter-clockwise: the pixel at (row, column) comes from (column, w − 1 − row).
    quarter = first[column, width - 1 - row]
    np.testing.assert_array_equal(copies.pixels[0], first)
    np.testing.assert_array_equal(copies.pixels[1], quarter)
    np.testing.assert_array_equal(copies.pixels[2], first[::-1, ::-1])
    np.testing.assert_array_equal(copies.pixels[4], first[::-1])
    np.testing.assert_array_equal(copies.pixels[5], quarter[::-1])
    assert len({copy.tobytes() for copy in copies.pixels[:8]}) == 8
    assert copies.labels[::8].tolist() == [1, 2, 2] + [0] * 6
    assert copies.example_ids[:2] == ("mdb001-1-turn0", "mdb001-1-turn90")
    assert len(set(copies.example_ids)) == 72
    # 7:1:2 of 72 and nothing twice, but the same lesions on both sides.
    assert [len(part) for part in parts_of(fold)] == [50, 8, 14]
    assert sorted(np.concatenate(parts_of(fold)).tolist()) == list(range(72))
    originals = [{int(copy) // 8 for copy in part} for part in parts_of(fold)]
    assert originals[0] & originals[2]
    again = split_like_poster(patches, seed=3)[1]
    other = split_like_poster(patches, seed=4)[1]
    assert again.test.tolist() == fold.test.tolist() != other.test.tolist()
