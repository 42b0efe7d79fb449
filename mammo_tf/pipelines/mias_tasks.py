"""The two tasks on mini-MIAS: lesion against normal tissue, and malignant films against the rest.

Neither is in the paper, which is about studies of four views.
"""

import functools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry, matching, records
from mammo_tf.pipelines.cache import ImageCache, fingerprint
from mammo_tf.pipelines.lesion_patches import PATCH_SIZE, Patch, choose_patches
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress

VERSION = 1  # raise it when the pixels or the tissue shares change
MARGIN = 1.5  # stored against seen: room for rotations by any angle (1.42) and shifts


def lesion_task(
    builder,
    *,
    cratios: Sequence[float],
    cache_dir: str | os.PathLike | None,
    seed: int = 0,
    extra_negatives: int = 4,
    lesion_copies: int = 5,
    input_size: int = 64,
    workers: int | None = None,
) -> Task:
    """Makes the task "lesion or normal tissue" from the `mini_mias` data set.

    A positive example is the 128×128 patch (25.6 mm) round the middle of a lesion's circle: 119
    of them. For each there are two negatives: the patches at the same place in two normal films
    of the same side whose share of tissue there, pixels above 20 in the uncompressed film, is
    within 5 % of the lesion's; so neither the place nor the background tells them apart.
    That makes 357 examples. Every film is compressed in full, then cut.

    A patch is kept with a margin of real surroundings (192×192 pixels of the film), for the
    feed's rotations and shifts; what lies outside the film is 0, as the films' own background
    is, and equally so for both classes, which share places. Right breasts are mirrored.

    Args:
        builder: The built TFDS builder `mini_mias`, with ladders that include CR 1.
        cratios: Compression ratios that `Task.images` will be asked for.
        cache_dir: Folder of the cache; None keeps the images in memory.
        seed: Seed of the choice of normal films.
        extra_negatives: Further negatives for each lesion, chosen alike, that only train
            (`Task.evaluated` is False); fewer where there are no more candidates.
        lesion_copies: Copies of each lesion that only train: the feed shows each example once
            an epoch, each time changed at random, so that lesions come as often as normal tissue.
            With as many copies as there are more normals CNN3 learns better than with weights
            alone (docs/pipelines.md).
        input_size: Height and width to which a patch is resized after it was cut, 64 to 128.
            With 64 CNN3 scored as with 128, in a third of the time (docs/pipelines.md).
        workers: Decoding threads; None means one per available core.

    Returns:
        A `Task`: the lesions, their normals, then what only trains: the extra negatives and the
        copies of lesions. The groups are women.

    Raises:
        UserError: If an argument is out of range or the data set lacks a ratio.
        DataError: If a record is damaged, or a lesion finds too few matching films.
    """
    cratios = records.check_cratios(builder, cratios)
    if not 0 <= extra_negatives <= 100:
        raise UserError(f"`extra_negatives` must be from 0 to 100. Received: {extra_negatives}.")
    if not 0 <= lesion_copies <= 100:
        raise UserError(f"`lesion_copies` must be from 0 to 100. Received: {lesion_copies}.")
    if not 64 <= input_size <= PATCH_SIZE:
        raise UserError(f"`input_size` must be from 64 to {PATCH_SIZE}. Received: {input_size}.")
    source = records.source_fingerprint(builder)
    index = records.cached_json(
        cache_dir,
        "lesion-index",
        fingerprint(version=VERSION, source=source, size=PATCH_SIZE),
        lambda: _lesion_index(builder, workers),
    )
    patches = choose_patches(
        index["films"], index["shares"], seed=seed, extra=extra_negatives, copies=lesion_copies
    )
    stored_size = math.floor(input_size * MARGIN)
    shape = (len(patches), stored_size, stored_size)
    places = [asdict(patch) for patch in patches]
    cache = ImageCache(
        cache_dir,
        name="lesion",
        key=fingerprint(version=VERSION, source=source, shape=shape, places=places),
        shape=shape,
        dtype=np.uint8,
    )
    cuts: dict[str, list] = {}
    for number, patch in enumerate(patches):
        cut = functools.partial(_cut_patch, patch=patch, stored_size=stored_size)
        cuts.setdefault(patch.film, []).append((number, cut))
    _fill(cache, builder, cratios, cuts, workers)
    women = {film["id"]: film["patient"] for film in index["films"]}
    return Task(
        name="lesion",
        example_ids=tuple(patch.example_id for patch in patches),
        groups=np.array([women[patch.film] for patch in patches]),
        labels=np.array([patch.label for patch in patches], int),
        evaluated=np.array([patch.evaluated for patch in patches], bool),
        images=cache.images,
        input_shape=(input_size, input_size),
        is_phantom=records.is_phantom(builder),
        positive_name="lesion",
    )


def malignant_task(
    builder,
    *,
    cratios: Sequence[float],
    cache_dir: str | os.PathLike | None,
    fraction: float = 0.3,
    workers: int | None = None,
) -> Task:
    """Makes the task "malignant film or not" from the `mini_mias` data set.

    One example per film: the whole film, resized; right breasts mirrored. Not cropped as the
    paper does, since these films are centred and their chest walls lie anywhere.

    Args:
        builder: The built TFDS builder `mini_mias`, with ladders.
        cratios: Compression ratios that `Task.images` will be asked for.
        cache_dir: Folder of the cache; None keeps the images in memory.
        fraction: Size after resizing against the film; the paper's 0.3 gives 307×307.
        workers: Decoding threads; None means one per available core.

    Returns:
        A `Task` sorted by film. The groups are women.

    Raises:
        UserError: If an argument is out of range or the data set lacks a ratio.
        DataError: If a record is damaged.
    """
    cratios = records.check_cratios(builder, cratios)
    source = records.source_fingerprint(builder)
    read = [_film(record, builder.info.features) for record in records.iterate_records(builder)]
    films = sorted(read, key=lambda film: film["id"])
    size = builder.info.features["image"].shape[:2]
    input_shape = geometry.resized_shape(size, fraction)
    cache = ImageCache(
        cache_dir,
        name="malignant",
        key=fingerprint(version=VERSION, source=source, fraction=fraction),
        shape=(len(films), *input_shape),
        dtype=np.uint8,
    )
    cut = functools.partial(geometry.resize, height=input_shape[0], width=input_shape[1])
    cuts = {film["id"]: [(number, cut)] for number, film in enumerate(films)}
    _fill(cache, builder, cratios, cuts, workers)
    return Task(
        name="malignant",
        example_ids=tuple(film["id"] for film in films),
        groups=np.array([film["patient"] for film in films]),
        labels=np.array([film["finding"] == "malignant" for film in films], int),
        evaluated=np.ones(len(films), bool),
        images=cache.images,
        input_shape=input_shape,
        is_phantom=records.is_phantom(builder),
    )


def _cut_patch(image: np.ndarray, *, patch: Patch, stored_size: int) -> np.ndarray:
    wide = geometry.extract_patch(image, patch.row, patch.column, math.floor(PATCH_SIZE * MARGIN))
    return geometry.resize(wide, stored_size, stored_size)


def _fill(
    cache: ImageCache,
    builder,
    cratios: Sequence[float],
    cuts: dict[str, list[tuple[int, Callable]]],
    workers: int | None,
) -> None:
    """Decodes every film that `cuts` names: maps a film to (row in the cache, what to cut)."""

    def make_rows(record: dict, missing: list[float]) -> Iterable:
        film = _film(record, builder.info.features)
        wanted = cuts.get(film["id"], [])
        images = {row: {} for row, _ in wanted}
        for cratio in missing if wanted else ():
            decoded = _decode(record, cratio)
            for row, cut in wanted:
                image = cut(decoded)
                images[row][cratio] = geometry.mirror(image) if film["side"] == "R" else image
        return images.items()

    cache.fill(
        cratios,
        lambda _missing: records.iterate_records(builder),
        make_rows,
        workers=workers,
        total=records.num_records(builder),
        description="Decoding films",
    )


def _lesion_index(builder, workers: int | None) -> dict:
    """Lists the films, and measures the share of tissue round each lesion and in each normal film.

    Returns:
        "films", sorted by id, as `_film` gives them; "shares", (lesions, films), the lesions in
        the order of the films' circles.
    """
    records.check_cratios(builder, (1,))  # the tissue is measured in the uncompressed film

    def measure(record: dict) -> tuple[dict, tuple[int, int], bytes]:
        mask = matching.tissue_mask(_decode(record, 1))
        return _film(record, builder.info.features), mask.shape, np.packbits(mask).tobytes()

    read = progress(
        map_threaded(measure, records.iterate_records(builder), workers=workers),
        description="Measuring tissue",
        total=records.num_records(builder),
        unit="film",
    )
    measured = sorted(read, key=lambda item: item[0]["id"])
    films = [film for film, _, _ in measured]
    places = [tuple(circle) for film in films for circle in film["circles"]]
    shares = np.empty((len(places), len(films)))
    for number, (_, shape, packed) in enumerate(measured):
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=shape[0] * shape[1])
        mask = bits.reshape(shape).astype(bool)
        shares[:, number] = [
            matching.tissue_share(mask, row, column, PATCH_SIZE) for row, column in places
        ]
    return {"films": films, "shares": shares.tolist()}


def _film(record: dict, features) -> dict:
    """What is needed of a record besides its pixels, as JSON can hold it."""
    found = record["abnormalities"]
    return {
        "id": record["image_id"].decode(),
        "patient": record["patient_id"].decode(),
        "side": features["laterality"].names[int(record["laterality"])],
        "finding": features["finding"].names[int(record["finding"])],
        "circles": [
            [int(row), int(column)]
            for row, column, has_circle in zip(
                found["row"], found["column"], found["has_circle"], strict=True
            )
            if has_circle
        ],
    }


def _decode(record: dict, cratio: float) -> np.ndarray:
    what = f"Film {record['image_id'].decode()}"
    return records.decode(records.read_ladder(record["image"], what), cratio, what)
