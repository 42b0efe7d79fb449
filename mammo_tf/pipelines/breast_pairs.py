"""The paper's task: one example per breast, its CC and MLO views side by side."""

import os
from collections.abc import Iterable, Sequence

import numpy as np

from mammo_tf.errors import DataError, UserError
from mammo_tf.pipelines import geometry, records
from mammo_tf.pipelines.cache import ImageCache, fingerprint
from mammo_tf.pipelines.task import Task
from mammo_tf.progress import progress

VERSION = 1  # raise it when the pixels change
SIDES = {"left": "L", "right": "R"}


def breast_pairs_task(
    builder,
    *,
    cratios: Sequence[float],
    cache_dir: str | os.PathLike | None,
    fraction: float = 0.3,
    view_shape: tuple[int, int] | None = None,
    workers: int | None = None,
) -> Task:
    """Makes the task "malignant breast or not" from the `ncc` data set.

    Each view is decoded at full size, spread over 16 bits (`geometry.to_full_range`), resized,
    cropped to the chest wall's half, and mirrored if it is a right breast; CC and MLO of one
    breast are then fitted side by side. What the feed does to every image, subtracting its mean
    and dividing by its standard deviation, removes what is left of the machines' grey levels.

    The images are made here, for all ratios in one pass, and kept in `cache_dir`; if they are
    there already, nothing is decoded.

    Args:
        builder: The built TFDS builder `ncc`, with ladders.
        cratios: Compression ratios that `Task.images` will be asked for.
        cache_dir: Folder of the cache; None keeps the images in memory.
        fraction: Size after resizing against the image; 0.3 in the paper.
        view_shape: (height, width) of one view in the input. None takes the middle one of the
            data set's own view sizes after cropping, so that most views are not scaled again;
            other detectors' views are scaled to it and padded. Not stated in the paper.
        workers: Decoding threads; None means one per available core.

    Returns:
        A `Task` of two examples a study, "<study>-left" and "<study>-right", sorted by study.

    Raises:
        UserError: If an argument is out of range or the data set lacks a ratio.
        DataError: If a record is damaged.

    Reference:
        Jo et al. 2021, "Model development and evaluation".
    """
    cratios = records.check_cratios(builder, cratios)
    geometry.resized_shape((1, 1), fraction)  # says now if the fraction is out of range
    source = records.source_fingerprint(builder)
    studies = records.cached_json(
        cache_dir, "breast-pairs-index", fingerprint(version=VERSION, source=source),
        lambda: _index(builder),
    )  # fmt: skip
    view_shape = _view_shape(studies, fraction) if view_shape is None else _checked(view_shape)
    height, width = view_shape[0], 2 * view_shape[1]
    cache = ImageCache(
        cache_dir,
        name="breast-pairs",
        key=fingerprint(version=VERSION, source=source, fraction=fraction, view_shape=view_shape),
        shape=(2 * len(studies), height, width),
        dtype=np.uint16,
    )
    row_of = {study["id"]: 2 * index for index, study in enumerate(studies)}
    cache.fill(
        cratios,
        lambda _missing: records.iterate_records(builder),
        lambda record, missing: _rows(record, missing, row_of, fraction, view_shape),
        workers=workers,
        total=len(studies),
        description="Decoding studies",
    )
    return _task(studies, cache, (height, width), records.is_phantom(builder))


def _task(studies: list[dict], cache: ImageCache, input_shape, is_phantom: bool) -> Task:
    sides = [(study, side) for study in studies for side in SIDES]
    return Task(
        name="malignant",
        example_ids=tuple(f"{study['id']}-{side}" for study, side in sides),
        groups=np.array([study["patient"] for study, _ in sides]),
        labels=np.array([study[side] == "malignant" for study, side in sides], int),
        evaluated=np.ones(len(sides), bool),
        images=cache.images,
        input_shape=input_shape,
        is_phantom=is_phantom,
    )


def _index(builder) -> list[dict]:
    """Reads what is needed besides the pixels: one dictionary a study, sorted by study."""
    findings = builder.info.features["left_finding"].names
    studies = {}
    read = progress(
        records.iterate_records(builder),
        description="Listing studies",
        total=records.num_records(builder),
        unit="study",
    )
    for record in read:
        study = record["study_id"].decode()
        if study in studies:
            raise DataError(f"Study {study} is in the data set twice. Build the data set again.")
        studies[study] = {
            "id": study,
            "patient": record["patient_id"].decode(),
            **{side: findings[int(record[f"{side}_finding"])] for side in SIDES},
            "shapes": [
                _ladder(record, side, view).shape for side in SIDES for view in geometry.VIEWS
            ],
        }
    return [studies[study] for study in sorted(studies)]


def _ladder(record: dict, side: str, view: str):
    content = record["views"][f"{side}_{view.lower()}"]["image"]
    return records.read_ladder(content, f"Study {record['study_id'].decode()}, {side} {view},")


def _rows(record, cratios, row_of, fraction, view_shape) -> Iterable:
    """Decodes one study: yields the row and the images, by ratio, of each breast."""
    study = record["study_id"].decode()
    for offset, side in enumerate(SIDES):
        ladders = {view: _ladder(record, side, view) for view in geometry.VIEWS}
        images = {}
        for cratio in cratios:
            views = {}
            for view, ladder in ladders.items():
                pixels = records.decode(ladder, cratio, f"Study {study}, {side} {view},")
                bits = int(record["views"][f"{side}_{view.lower()}"]["bits_stored"])
                views[view] = prepare_view(
                    pixels, view=view, laterality=SIDES[side], bits_stored=bits, fraction=fraction
                )
            images[cratio] = geometry.pair_views(views["CC"], views["MLO"], view_shape)
        yield row_of[study] + offset, images


def prepare_view(
    pixels: np.ndarray, *, view: str, laterality: str, bits_stored: int, fraction: float = 0.3
) -> np.ndarray:
    """One view from stored values to what is paired; the steps of `breast_pairs_task`.

    Args:
        pixels: (height, width) uint8 or uint16 stored values in canonical orientation.
        view: "CC" or "MLO".
        laterality: "L" or "R".
        bits_stored: Bits in use, 1 to 16.
        fraction: Size after resizing against the image.

    Returns:
        (height, width) uint16, cropped, the chest wall at the left edge.
    """
    image = geometry.resize_fraction(geometry.to_full_range(pixels, bits_stored), fraction)
    image = geometry.crop_view(image, view=view, laterality=laterality)
    return geometry.mirror(image) if laterality == "R" else image


def _view_shape(studies: list[dict], fraction: float) -> tuple[int, int]:
    """The middle one of all views' shapes after resizing and cropping, ordered by area."""
    shapes = []
    for study in studies:
        for shape in study["shapes"]:
            top, bottom, left, right = geometry.crop_box(
                geometry.resized_shape(shape, fraction), "CC", "L"
            )
            shapes.append((bottom - top, right - left))
    shapes.sort(key=lambda shape: (shape[0] * shape[1], shape))
    return shapes[(len(shapes) - 1) // 2]


def _checked(view_shape: tuple[int, int]) -> tuple[int, int]:
    height, width = view_shape
    if not (1 <= height <= 10_000 and 1 <= width <= 10_000):
        raise UserError(
            f"`view_shape` must be (height, width), each from 1 to 10000. Received: {view_shape}."
        )
    return int(height), int(width)
