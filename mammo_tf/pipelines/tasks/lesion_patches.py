"""Lesion or normal tissue: a patch round each finding, and normal tissue at the same place."""

import os
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.matching import match_normals
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import finding_subgroups
from mammo_tf.pipelines.tasks import patches
from mammo_tf.pipelines.tissue import measure_tissue
from mammo_tf.record import ImageInfo

NORMALS_PER_LESION = 2
TISSUE_TOLERANCE = 0.05
MAX_CANDIDATES = 200  # images that a lesion's normal tissue is looked for in


def lesion_patches(
    catalog: Catalog,
    builder,
    *,
    cache_dir: str | os.PathLike | None,
    seed: int = 0,
    patch_size: int = 128,
    input_size: int = 64,
    extra_normals: int = 4,
    lesion_copies: int = 5,
    by_class: bool = False,
    workers: int | None = None,
) -> Plan:
    """Plans "lesion or normal tissue" from the findings whose place is known.

    A positive example is the patch round the middle of a finding, 25.6 mm wide by default. For
    each there are two negatives: the patches at the same place in normal images of the same side
    and view whose share of tissue there is within 5 % of the lesion's; so neither the place nor
    the background tells them apart. A data set without normal images gives normal tissue from
    images with findings, where a patch touches none of them; `Plan.notes` says so, and how many
    lesions found no match and were left out.

    A patch is kept with a margin of real surroundings, half as wide again, for the feed's
    rotations and shifts. Every image is compressed in full, then cut.

    Args:
        catalog: Any data set's.
        builder: The built data set, with ladders that include CR 1: tissue is measured there.
        cache_dir: Where the shares of tissue are kept; None keeps them nowhere.
        seed: Seed of the choice of normal images.
        patch_size: Side of a patch in pixels of 0.2 mm; see `patches.size_px`.
        input_size: Height and width to which a patch is resized after it was cut, from 16 to
            `patch_size`. With 64 CNN3 scored as with 128, in a third of the time
            (docs/pipelines.md).
        extra_normals: Further negatives for each lesion, chosen alike, that only train; fewer
            where there are no more candidates.
        lesion_copies: Copies of each lesion that only train: the feed shows each example once an
            epoch, each time changed at random, so that lesions come as often as normal tissue.
            With as many copies as there are more normals CNN3 learns better than with weights
            alone (docs/pipelines.md).
        by_class: True for the classes normal, benign and malignant, of findings that are either;
            False for normal and lesion.
        workers: Decoding threads; None means one per available core.

    Returns:
        The lesions, then their normals, then what only trains: the extra normals and the copies.

    Raises:
        UserError: If an argument is out of range, or the data set lacks what is needed.
        DataError: If a record is damaged, or a finding lies outside its image.
    """
    for name, value in (("extra_normals", extra_normals), ("lesion_copies", lesion_copies)):
        if not 0 <= value <= 100:
            raise UserError(f"`{name}` must be from 0 to 100. Received: {value}.")
    patches.check_sizes(catalog, patch_size, input_size)
    patches.check_places(catalog)
    lesions = _lesions(catalog, patch_size, by_class)
    if not lesions:
        raise UserError(
            f"The task 'lesion' needs findings whose place is known; {catalog.name} has none."
        )
    from_affected = not any(image.label == "normal" for image in catalog.images)
    pairs = _candidates(catalog, lesions, patch_size, seed, from_affected)
    own = [(one.image, *one.place) for one in lesions]
    theirs = [(image, *_at(catalog, lesions[k], image, patch_size)) for k, image in pairs]
    shares = measure_tissue(builder, catalog, own + theirs, cache_dir=cache_dir, workers=workers)
    kept, normals, extras = _match(catalog, lesions, pairs, shares, extra=extra_normals, seed=seed)
    chosen = [lesions[k] for k in kept]
    examples = [
        *(one.example() for one in chosen),
        *_normal_examples(catalog, chosen, normals, patch_size, evaluated=True),
        *_normal_examples(catalog, chosen, extras, patch_size, evaluated=False),
        *(one.example(copy) for one in chosen for copy in range(1, lesion_copies + 1)),
    ]
    return Plan(
        name="lesion",
        examples=tuple(examples),
        class_names=patches.CLASSES if by_class else ("normal", "lesion"),
        notes=_notes(from_affected, len(lesions) - len(kept), len(lesions)),
        **patches.plan_options(catalog, [one.image for one in lesions], input_size),
    )


@dataclass(frozen=True)
class _Lesion:
    """One finding: its image's row in the catalog, its name, place (row, column, side), class.

    `subgroups` are those of the finding and its image.
    """

    image: int
    name: str
    place: tuple[int, int, int]
    label: int
    subgroups: dict[str, str]

    def example(self, copy: int = 0) -> Example:
        return Example(
            example_id=f"{self.name}-copy{copy}" if copy else self.name,
            label=self.label,
            parts=(Part(self.image, self.place),),
            evaluated=not copy,
            subgroups=self.subgroups,
        )


def _lesions(catalog: Catalog, patch_size: int, by_class: bool) -> list[_Lesion]:
    found = []
    for row, image in enumerate(catalog.images):
        side = patches.size_px(image, patch_size)
        for number, finding in enumerate(image.placed_findings, start=1):
            if by_class and finding.label not in patches.CLASSES[1:]:
                continue
            label = patches.CLASSES.index(finding.label) if by_class else 1
            name = f"{image.image_id}-{number}"
            place, subgroups = (*finding.centre_px, side), finding_subgroups(image, finding)
            found.append(_Lesion(row, name, place, label, subgroups))
    return found


def _candidates(
    catalog: Catalog, lesions, patch_size: int, seed: int, from_affected: bool
) -> list[tuple[int, int]]:
    """Lists (lesion, image) wherever an image could give the lesion's normal tissue."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for number, lesion in enumerate(lesions):
        image = catalog.images[lesion.image]
        rows = [
            row
            for row, other in enumerate(catalog.images)
            if _can_serve(catalog, image, other, from_affected)
            and not (from_affected and _touches(catalog, lesion, row, patch_size))
        ]
        if len(rows) > MAX_CANDIDATES:
            rows = sorted(rng.choice(rows, MAX_CANDIDATES, replace=False).tolist())
        found += [(number, row) for row in rows]
    return found


def _can_serve(catalog: Catalog, image: ImageInfo, other: ImageInfo, from_affected: bool) -> bool:
    if catalog.has_official_splits and image.split != other.split:
        return False
    if (image.laterality, image.view) != (other.laterality, other.view):
        return False
    if not from_affected:
        return other.label == "normal"
    return other is not image and all(finding.has_place for finding in other.findings)


def _touches(catalog: Catalog, lesion: _Lesion, row: int, patch_size: int) -> bool:
    """Tells whether the patch at a lesion's place in another image shows some of a finding."""
    middle_row, middle_column, side = _at(catalog, lesion, row, patch_size)
    top, left = middle_row - side / 2, middle_column - side / 2
    return any(
        top < box[2] and box[0] < top + side and left < box[3] and box[1] < left + side
        for box in (finding.box_yxyx_px for finding in catalog.images[row].placed_findings)
    )


def _at(catalog: Catalog, lesion: _Lesion, row: int, patch_size: int) -> tuple[int, int, int]:
    """Returns the lesion's place, relative to its image, in another one."""
    image, other = catalog.images[lesion.image], catalog.images[row]
    place = [
        round(value * theirs / ours)
        for value, ours, theirs in zip(lesion.place, image.shape, other.shape, strict=False)
    ]
    return place[0], place[1], patches.size_px(other, patch_size)


def _match(catalog: Catalog, lesions, pairs, shares: np.ndarray, *, extra: int, seed: int):
    """Returns the lesions that found a match, and for each its normal and its extra images."""
    mine, table = shares[: len(lesions)], np.full((len(lesions), len(catalog.images)), np.nan)
    for (lesion, image), share in zip(pairs, shares[len(lesions) :], strict=True):
        table[lesion, image] = share
    with np.errstate(invalid="ignore"):
        close = np.abs(table - mine[:, np.newaxis]) <= TISSUE_TOLERANCE
    kept = np.flatnonzero(close.sum(axis=1) >= NORMALS_PER_LESION)
    if not kept.size:
        raise UserError(
            f"The task 'lesion' needs, for a lesion, {NORMALS_PER_LESION} other images of the same "
            f"side and view with as much tissue at its place; {catalog.name} has none."
        )
    normals, extras = match_normals(
        mine[kept],
        table[kept],
        ~np.isnan(table[kept]),
        per_lesion=NORMALS_PER_LESION,
        extra=extra,
        tolerance=TISSUE_TOLERANCE,
        seed=seed,
    )
    return kept, normals, extras


def _normal_examples(catalog, lesions, chosen, patch_size, *, evaluated) -> list[Example]:
    """For each lesion, the patches at its place in the images chosen for it."""
    return [
        Example(
            example_id=f"{catalog.images[row].image_id}-at-{lesion.name}",
            label=0,
            parts=(Part(int(row), _at(catalog, lesion, row, patch_size)),),
            evaluated=evaluated,
            subgroups=finding_subgroups(catalog.images[row], None),
        )
        for lesion, rows in zip(lesions, chosen, strict=True)
        for row in rows
    ]


def _notes(from_affected: bool, num_left_out: int, num_lesions: int) -> tuple[str, ...]:
    notes = []
    if from_affected:
        notes.append(
            "The data set has no normal images: normal tissue comes from images with findings, "
            "where a patch touches none of them."
        )
    if num_left_out:
        notes.append(
            f"{num_left_out} of {num_lesions} lesions found too little matching normal tissue and "
            "were left out."
        )
    return tuple(notes)
