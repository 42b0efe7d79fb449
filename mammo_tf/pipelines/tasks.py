"""The tasks, each a function from a catalog to a plan; any data set that has what it needs."""

import math

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry, matching, records
from mammo_tf.pipelines.catalog import Catalog, ImageInfo
from mammo_tf.pipelines.lesion_patches import PATCH_SIZE, choose_patches
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.threads import map_threaded

MARGIN = 1.5  # stored against seen: room for rotations by any angle (1.42) and shifts


def whole_images(catalog: Catalog, *, fraction: float = 0.3, positive: str = "malignant") -> Plan:
    """One example an image whose label is known: the whole image, resized; right ones mirrored."""
    rows = [row for row, image in enumerate(catalog.images) if image.label != "unknown"]
    shape = _middle(catalog, rows, lambda image: geometry.resized_shape(image.shape, fraction))
    dtype = np.uint8 if all(i.bits_stored <= 8 for i in catalog.images) else np.uint16

    def cut(pixels: np.ndarray, image: ImageInfo, _place) -> np.ndarray:
        if dtype == np.uint16:
            pixels = geometry.to_full_range(pixels, image.bits_stored)
        resized = geometry.resize(pixels, *geometry.resized_shape(image.shape, fraction))
        if image.laterality == "R":
            resized = geometry.mirror(resized)
        return resized if resized.shape == shape else geometry.fit_and_pad(resized, shape)

    return Plan(
        name=positive,
        examples=tuple(
            Example(
                example_id=catalog.images[row].image_id,
                label=int(catalog.images[row].label == positive),
                parts=(Part(row),),
            )
            for row in rows
        ),
        stored_shape=shape,
        part_shape=shape,
        dtype=dtype,
        cut=cut,
        settings={"task": "whole", "fraction": fraction},
        positive_name=positive,
    )


def view_pairs(catalog: Catalog, *, fraction: float = 0.3, positive: str = "malignant") -> Plan:
    """One example a breast with both views: CC and MLO side by side, as Jo et al. 2021 have it."""
    breasts = [
        (exam, side, views)
        for (exam, side), views in catalog.breasts()
        if {"CC", "MLO"} <= set(views) and catalog.images[views["CC"]].breast_label != "unknown"
    ]
    rows = [views[name] for _, _, views in breasts for name in geometry.VIEWS]
    shape = _middle(catalog, rows, lambda image: _cropped(image.shape, fraction))

    def cut(pixels: np.ndarray, image: ImageInfo, _place) -> np.ndarray:
        full = geometry.to_full_range(pixels, image.bits_stored)
        resized = geometry.resize_fraction(full, fraction)
        cropped = geometry.crop_view(resized, view=image.view, laterality=image.laterality)
        if image.laterality == "R":
            cropped = geometry.mirror(cropped)
        return geometry.fit_and_pad(cropped, shape)

    return Plan(
        name=positive,
        examples=tuple(
            Example(
                example_id=f"{exam}-{'left' if side == 'L' else 'right'}",
                label=int(catalog.images[views["CC"]].breast_label == positive),
                parts=tuple(Part(views[name]) for name in geometry.VIEWS),
            )
            for exam, side, views in breasts
        ),
        stored_shape=shape,
        part_shape=shape,
        dtype=np.uint16,
        cut=cut,
        settings={"task": "pairs", "fraction": fraction},
        positive_name=positive,
    )


def lesion_patches(
    catalog: Catalog,
    shares: np.ndarray,
    *,
    seed: int = 0,
    extra_negatives: int = 4,
    lesion_copies: int = 5,
    input_size: int = 64,
) -> Plan:
    """A patch round each finding that has a place, and matched normal tissue; 8-bit images."""
    described = [
        {
            "id": image.image_id,
            "side": image.laterality,
            "finding": image.label,
            "circles": [finding.centre_px for finding in image.marked],
        }
        for image in catalog.images
    ]
    patches = choose_patches(
        described, shares, seed=seed, extra=extra_negatives, copies=lesion_copies
    )
    rows = {image.image_id: row for row, image in enumerate(catalog.images)}
    stored = math.floor(input_size * MARGIN)

    def cut(pixels: np.ndarray, image: ImageInfo, place) -> np.ndarray:
        wide = geometry.extract_patch(pixels, *place, math.floor(PATCH_SIZE * MARGIN))
        patch = geometry.resize(wide, stored, stored)
        return geometry.mirror(patch) if image.laterality == "R" else patch

    return Plan(
        name="lesion",
        examples=tuple(
            Example(
                example_id=patch.example_id,
                label=patch.label,
                parts=(Part(rows[patch.film], (patch.row, patch.column)),),
                evaluated=patch.evaluated,
            )
            for patch in patches
        ),
        stored_shape=(stored, stored),
        part_shape=(input_size, input_size),
        dtype=np.uint8,
        cut=cut,
        settings={"task": "lesion", "patch_size": PATCH_SIZE, "stored": stored},
        positive_name="lesion",
    )


def tissue_shares(catalog: Catalog, builder, workers: int | None = None) -> np.ndarray:
    """(findings with a place, images) share of tissue round each finding's place in each image."""
    places = [finding.centre_px for image in catalog.images for finding in image.marked]
    rows = {image.image_id: row for row, image in enumerate(catalog.images)}

    def measure(record: dict) -> tuple[int, list[float]]:
        name = record["image_id"].decode()
        ladder = records.read_ladder(record["image"], f"Image {name}")
        mask = matching.tissue_mask(records.decode(ladder, 1, f"Image {name}"))
        return rows[name], [matching.tissue_share(mask, *place, PATCH_SIZE) for place in places]

    shares = np.empty((len(places), len(catalog.images)))
    for row, found in map_threaded(measure, records.iterate_records(builder), workers=workers):
        shares[:, row] = found
    return shares


TASKS = {"pairs": view_pairs, "whole": whole_images}


def plan(task: str, catalog: Catalog, **options) -> Plan:
    """Plans a task by name; "auto" takes pairs where the data set has them, else whole images."""
    if task != "auto":
        return TASKS[task](catalog, **options)
    for make in TASKS.values():
        found = make(catalog, **options) if _can(make, catalog) else None
        if found is not None and found.examples:
            return found
    raise UserError("No task can be planned: the data set has neither pairs nor labels of images.")


def _can(make, catalog: Catalog) -> bool:
    if make is view_pairs:
        return any({"CC", "MLO"} <= set(views) for _, views in catalog.breasts())
    return any(image.label != "unknown" for image in catalog.images)


def _cropped(shape: tuple[int, int], fraction: float) -> tuple[int, int]:
    top, bottom, left, right = geometry.crop_box(geometry.resized_shape(shape, fraction), "CC", "L")
    return bottom - top, right - left


def _middle(catalog: Catalog, rows, shape_of) -> tuple[int, int]:
    """The middle one of the images' own shapes, ordered by area."""
    if not rows:
        raise UserError("The data set has no image for this task.")
    shapes = sorted(
        (shape_of(catalog.images[row]) for row in rows),
        key=lambda shape: (shape[0] * shape[1], shape),
    )
    return shapes[(len(shapes) - 1) // 2]
