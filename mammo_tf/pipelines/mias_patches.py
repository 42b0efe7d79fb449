"""Patches of mini-MIAS in three classes, cut in the ways that the poster's figure compares."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import geometry, matching
from mammo_tf.pipelines.lesion_patches import choose_patches
from mammo_tf.pipelines.mias_films import SEVERITIES, Film, Films
from mammo_tf.pipelines.sliding import LEFT_OUT, NORMAL, label_windows, window_middles
from mammo_tf.progress import progress

CLASSES = ("normal", *SEVERITIES)
MARGIN = 1.5  # stored against seen: room for rotations by any angle (1.42) and shifts
INNER_TISSUE = 0.9  # a window with less shows an edge of the breast
LEAST_TISSUE = 0.2  # a window with less shows background


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchSet:
    """Patches with their labels and origin.

    Attributes:
        pixels: (n, stored, stored) uint8: resized, with a margin; right breasts mirrored.
        labels: (n,) int, 0 normal, 1 benign, 2 malignant.
        film_index: (n,) int, the patch's film among `Films.films`.
        patients: (n,) str, the women.
        example_ids: n different names.
        evaluated: (n,) bool. False marks patches that only train.
        places: (n, 2) int, (row, column) of the middle in the film as distributed.
        patch_size: Side of what the network sees, in pixels of the film (0.2 mm).
        input_size: Side of what the network sees, in pixels of its input; `pixels` has 1.5 times
            that, and the feed takes the centre.
    """

    pixels: np.ndarray = field(repr=False)
    labels: np.ndarray
    film_index: np.ndarray
    patients: np.ndarray
    example_ids: tuple[str, ...]
    evaluated: np.ndarray
    places: np.ndarray
    patch_size: int
    input_size: int

    def __len__(self) -> int:
        return len(self.example_ids)


def centred_patches(
    films: Films,
    *,
    patch_size: int = 128,
    input_size: int = 64,
    seed: int = 0,
    extra_normals: int = 4,
    lesion_copies: int = 5,
) -> PatchSet:
    """Cuts a patch round the middle of each lesion, and normal ones like it: the poster's best.

    For each lesion there are two evaluated normal patches: those at its place in two normal films
    of the same side whose share of tissue there is within 5 % of its own. So neither the place
    nor the background gives the answer away. How the poster cut its normal patches is not stated.

    Args:
        films: All films.
        patch_size: Side of a patch in pixels of the film; 128 or 256 in the poster.
        input_size: Side after resizing, at most `patch_size`; not stated in the poster.
        seed: Seed of the choice of normal films.
        extra_normals: Further normal patches for each lesion that only train.
        lesion_copies: Copies of each lesion's patch that only train: the feed changes each at
            random, so that lesions come as often as normal tissue.

    Returns:
        The lesions, their normals, the extra normals, the copies.

    Raises:
        UserError: If an argument is out of range.
        DataError: If a circle lies outside its film, there is no lesion, or one finds too few
            matching normal films.
    """
    _check(films, patch_size, input_size)
    for name, value in (("extra_normals", extra_normals), ("lesion_copies", lesion_copies)):
        if not 0 <= value <= 100:
            raise UserError(f"`{name}` must be from 0 to 100. Received: {value}.")
    described = [
        {
            "id": film.image_id,
            "side": film.laterality,
            "finding": film.finding,
            "circles": [(lesion.row, lesion.column) for lesion in film.lesions],
        }
        for film in films.films
    ]
    shares = _shares_at_lesions(films, patch_size)
    chosen = choose_patches(described, shares, seed=seed, extra=extra_normals, copies=lesion_copies)
    severities = [_label(lesion) for film in films.films for lesion in film.lesions]
    labels = np.array([patch.label for patch in chosen])
    labels[labels == 1] = [*severities, *np.repeat(severities, lesion_copies)]  # as they come
    numbers = {film.image_id: number for number, film in enumerate(films.films)}
    return _cut(
        films,
        film_index=[numbers[patch.film] for patch in chosen],
        places=[(patch.row, patch.column) for patch in chosen],
        labels=labels,
        example_ids=[patch.example_id for patch in chosen],
        evaluated=[patch.evaluated for patch in chosen],
        patch_size=patch_size,
        input_size=input_size,
    )


def sliding_patches(
    films: Films,
    *,
    patch_size: int = 128,
    input_size: int = 64,
    stride: int | None = None,
    keep_edges: bool = True,
    break_lesions: bool = True,
    normals_per_film: int = 6,
    seed: int = 0,
) -> PatchSet:
    """Cuts the windows that slide over the films: those with a lesion, and some of normal films.

    All of them are evaluated, so large lesions count more often than small ones, and small ones
    may have no window at all where `break_lesions` or `keep_edges` is False. Normal windows lie
    anywhere in the breast, lesions do not: scores are not to be compared with those of
    `centred_patches`, whose normal patches match their lesions.

    Args:
        films: All films.
        patch_size: Side of a window in pixels of the film; 128 or 256 in the poster.
        input_size: Side after resizing, at most `patch_size`; not stated in the poster.
        stride: Pixels between windows ("more" or "fewer subpictures"); None for a quarter of
            `patch_size`. Not stated in the poster.
        keep_edges: True leaves out windows with less than 20 % of tissue (pixels above 20), False
            those with less than 90 %, so that the breast's edge is not seen.
        break_lesions: Whether a window may show a part of a lesion; see
            `mammo_tf.pipelines.sliding.label_windows`, which says what is left out.
        normals_per_film: The most windows drawn from a normal film, so that normal ones do not
            outnumber the rest by far. Films with a finding give no normal window.
        seed: Seed of that draw.

    Returns:
        The windows by film.

    Raises:
        UserError: If an argument is out of range.
        DataError: If a circle lies outside its film, or no window shows a lesion.
    """
    _check(films, patch_size, input_size)
    stride = patch_size // 4 if stride is None else stride
    for name, value in (("stride", stride), ("normals_per_film", normals_per_film)):
        if value < 1:
            raise UserError(f"`{name}` must be at least 1. Received: {value}.")
    middles = window_middles(films.pixels.shape[1:], patch_size, stride)
    least = LEAST_TISSUE if keep_edges else INNER_TISSUE
    rng = np.random.default_rng(seed)
    owners, places, labels = [], [], []
    for number, film in enumerate(progress(films.films, description="Sliding", unit="film")):
        wanted = _windows(film, films.pixels.shape[1:], middles, patch_size, break_lesions)
        mask = matching.tissue_mask(films.pixels[number])
        for index in np.flatnonzero(wanted != LEFT_OUT):
            if matching.tissue_share(mask, *middles[index], patch_size) < least:
                wanted[index] = LEFT_OUT
        normal = np.flatnonzero(wanted == NORMAL)
        drawn = rng.permutation(normal)[:normals_per_film]
        kept = np.sort([*np.flatnonzero(wanted > NORMAL), *drawn]).astype(int)
        owners += [number] * len(kept)
        places += middles[kept].tolist()
        labels += wanted[kept].tolist()
    if not any(labels):
        raise DataError(
            f"No window of {patch_size} pixels shows a lesion as asked for. Take a smaller "
            f"`stride`, or keep edges and break lesions. Received: stride={stride}."
        )
    return _cut(
        films,
        film_index=owners,
        places=places,
        labels=labels,
        example_ids=[
            f"{films.films[owner].image_id}-{row}-{column}"
            for owner, (row, column) in zip(owners, places, strict=True)
        ],
        evaluated=[True] * len(owners),
        patch_size=patch_size,
        input_size=input_size,
    )


def cut_patch(
    film: np.ndarray, row: int, column: int, *, patch_size: int, input_size: int, mirrored: bool
) -> np.ndarray:
    """Cuts one patch with its margin, as a `PatchSet` holds it.

    Args:
        film: (height, width) uint8, as distributed.
        row: Row of the middle; it may lie outside.
        column: Column of the middle.
        patch_size: Side in pixels of the film, without the margin.
        input_size: Side after resizing, without the margin.
        mirrored: Whether to reverse the columns, as for right breasts.

    Returns:
        (stored, stored) uint8 with stored = 1.5 · input_size; 0 outside the film.
    """
    stored = math.floor(input_size * MARGIN)
    wide = geometry.extract_patch(film, row, column, math.floor(patch_size * MARGIN))
    patch = geometry.resize(wide, stored, stored)
    return geometry.mirror(patch) if mirrored else patch


def _cut(films, *, film_index, places, labels, example_ids, evaluated, patch_size, input_size):
    stored = math.floor(input_size * MARGIN)
    pixels = np.empty((len(film_index), stored, stored), np.uint8)
    with progress(description="Cutting", total=len(film_index), unit="patch") as bar:
        # Film by film, since the films may be memory-mapped.
        for index in np.argsort(film_index, kind="stable"):
            film = film_index[index]
            pixels[index] = cut_patch(
                films.pixels[film],
                *places[index],
                patch_size=patch_size,
                input_size=input_size,
                mirrored=films.films[film].laterality == "R",
            )
            bar.update()
    film_index = np.asarray(film_index, int)
    return PatchSet(
        pixels=pixels,
        labels=np.asarray(labels, int),
        film_index=film_index,
        patients=films.patients[film_index],
        example_ids=tuple(example_ids),
        evaluated=np.asarray(evaluated, bool),
        places=np.asarray(places, int),
        patch_size=patch_size,
        input_size=input_size,
    )


def _label(lesion) -> int:
    return CLASSES.index(lesion.severity)


def _windows(film: Film, shape, middles, size: int, break_lesions: bool) -> np.ndarray:
    """(m,) the label of each window of a film, or `LEFT_OUT`."""
    if not film.lesions:
        return np.full(len(middles), NORMAL if film.finding == "normal" else LEFT_OUT)
    limits = np.array([*shape, *shape])
    boxes = np.clip([lesion.box_yxyx_px for lesion in film.lesions], 0, limits)
    labels = [_label(lesion) for lesion in film.lesions]
    found = label_windows(middles, size, boxes, labels, break_lesions=break_lesions)
    return np.where(found == NORMAL, LEFT_OUT, found)


def _shares_at_lesions(films: Films, size: int) -> np.ndarray:
    """(lesions, films) share of tissue at each lesion's place; NaN in films that cannot serve."""
    lesions = [
        (number, film.laterality, lesion.row, lesion.column)
        for number, film in enumerate(films.films)
        for lesion in film.lesions
    ]
    shares = np.full((len(lesions), len(films.films)), np.nan)
    bar = progress(films.films, description="Measuring tissue", unit="film")
    for number, film in enumerate(bar):
        mask = matching.tissue_mask(films.pixels[number])
        for index, (owner, side, row, column) in enumerate(lesions):
            serves = film.finding == "normal" and film.laterality == side
            if serves or owner == number:
                shares[index, number] = matching.tissue_share(mask, row, column, size)
    return shares


def _check(films: Films, patch_size: int, input_size: int) -> None:
    pixels = films.pixels
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or len(pixels) != len(films.films):
        raise DataError(
            f"Expected ({len(films.films)}, height, width) uint8 films. "
            f"Received: {pixels.shape} {pixels.dtype}."
        )
    height, width = pixels.shape[1:]
    if not 16 <= input_size <= patch_size:
        raise UserError(
            "`input_size` must be from 16 to `patch_size`. "
            f"Received: input_size={input_size}, patch_size={patch_size}."
        )
    if patch_size > min(height, width):
        raise DataError(
            f"`patch_size` must be at most the films' {height}×{width}. Received: {patch_size}."
        )
    _check_circles(films.films, (height, width))


def _check_circles(films: Sequence[Film], shape: tuple[int, int]) -> None:
    for film in films:
        for lesion in film.lesions:
            inside = 0 <= lesion.row < shape[0] and 0 <= lesion.column < shape[1]
            if not inside or lesion.radius_px < 0:
                raise DataError(
                    f"Film {film.image_id} has a circle at row {lesion.row} and column "
                    f"{lesion.column} of radius {lesion.radius_px}: its middle must lie in the "
                    f"{shape[0]}×{shape[1]} pixels. Correct Info.txt and build the data set again."
                )
