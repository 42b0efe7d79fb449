"""Windows that slide over the images: those with a lesion, and some of normal tissue."""

import os

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.sliding import LEFT_OUT, NORMAL, label_windows, window_middles
from mammo_tf.pipelines.subgroups import image_subgroups
from mammo_tf.pipelines.tasks import patches
from mammo_tf.pipelines.tissue import measure_tissue
from mammo_tf.record import ImageInfo

INNER_TISSUE = 0.9  # a window with less shows an edge of the breast
LEAST_TISSUE = 0.2  # a window with less shows background


def sliding_patches(
    catalog: Catalog,
    builder,
    *,
    cache_dir: str | os.PathLike | None,
    seed: int = 0,
    patch_size: int = 128,
    input_size: int = 64,
    stride: int | None = None,
    keep_edges: bool = True,
    break_lesions: bool = True,
    normals_per_image: int = 6,
    workers: int | None = None,
) -> Plan:
    """Plans "normal, benign or malignant" for windows that slide over every image.

    All of them are evaluated, so large lesions count more often than small ones, and small ones
    may have no window at all where `break_lesions` or `keep_edges` is False. Normal windows lie
    anywhere in the breast, lesions do not: scores are not to be compared with those of
    `lesion_patches`, whose normal patches match their lesions.

    Args:
        catalog: Any data set's.
        builder: The built data set, with ladders that include CR 1: tissue is measured there.
        cache_dir: Where the shares of tissue are kept; None keeps them nowhere.
        seed: Seed of the draw of normal windows.
        patch_size: Side of a window in pixels of 0.2 mm; 128 or 256 in the poster.
        input_size: Side after resizing, from 16 to `patch_size`; not stated in the poster.
        stride: Pixels of 0.2 mm between windows ("more" or "fewer subpictures"); None for a
            quarter of `patch_size`. Not stated in the poster.
        keep_edges: True leaves out windows with less than 20 % of tissue, False those with less
            than 90 %, so that the breast's edge is not seen.
        break_lesions: Whether a window may show a part of a lesion; see
            `mammo_tf.pipelines.sliding.label_windows`, which says what is left out.
        normals_per_image: The most windows drawn from a normal image, so that normal ones do not
            outnumber the rest by far. Images with a finding give normal windows only where the
            data set has no normal image.
        workers: Decoding threads; None means one per available core.

    Returns:
        The windows by image.

    Raises:
        UserError: If an argument is out of range, or no window shows a lesion.
        DataError: If a record is damaged, or a finding lies outside its image.
    """
    patches.check_sizes(catalog, patch_size, input_size)
    patches.check_places(catalog)
    stride = patch_size // 4 if stride is None else stride
    for name, value in (("stride", stride), ("normals_per_image", normals_per_image)):
        if value < 1:
            raise UserError(f"`{name}` must be at least 1. Received: {value}.")
    from_affected = not any(image.label == "normal" for image in catalog.images)
    windows = [
        _windows(image, patch_size, stride, break_lesions, from_affected)
        for image in catalog.images
    ]
    places = [(row, *place) for row, (found, _) in enumerate(windows) for place in found.tolist()]
    shares = measure_tissue(builder, catalog, places, cache_dir=cache_dir, workers=workers)
    least = LEAST_TISSUE if keep_edges else INNER_TISSUE
    examples = _choose(catalog, windows, shares >= least, normals_per_image, seed)
    if not any(example.label for example in examples):
        raise UserError(
            f"No window of {patch_size} pixels shows a lesion as asked for. Take a smaller "
            f"`stride`, or keep edges and break lesions. Received: stride={stride}."
        )
    return Plan(
        name="sliding",
        examples=tuple(examples),
        class_names=patches.CLASSES,
        **patches.plan_options(catalog, range(len(catalog.images)), input_size),
    )


def _windows(
    image: ImageInfo, patch_size: int, stride: int, break_lesions: bool, from_affected: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the (m, 3) windows of an image that have a label, and (m,) their labels."""
    side = patches.size_px(image, patch_size)
    step = max(1, round(stride * side / patch_size))
    middles = window_middles(image.shape, side, step)
    placed = [found for found in image.placed_findings if found.label in patches.CLASSES[1:]]
    if not placed:
        label = NORMAL if image.label == "normal" else LEFT_OUT
        labels = np.full(len(middles), label)
    else:
        boxes = np.clip([found.box_yxyx_px for found in placed], 0, [*image.shape, *image.shape])
        classes = [patches.CLASSES.index(found.label) for found in placed]
        labels = label_windows(middles, side, boxes, classes, break_lesions=break_lesions)
        if not from_affected or len(placed) < len(image.findings):
            labels = np.where(labels == NORMAL, LEFT_OUT, labels)
    kept = labels != LEFT_OUT
    places = np.concatenate([middles, np.full((len(middles), 1), side)], axis=1)
    return places[kept], labels[kept]


def _choose(catalog, windows, shows_tissue, normals_per_image: int, seed: int) -> list[Example]:
    """Takes all windows with a lesion and enough tissue, and draws normal ones."""
    rng = np.random.default_rng(seed)
    examples, first = [], 0
    for row, (places, labels) in enumerate(windows):
        enough = shows_tissue[first : first + len(places)]
        first += len(places)
        drawn = rng.permutation(np.flatnonzero((labels == NORMAL) & enough))[:normals_per_image]
        lesions = np.flatnonzero((labels > NORMAL) & enough)
        for index in np.sort([*lesions, *drawn]).astype(int):
            place = tuple(places[index].tolist())
            name = f"{catalog.images[row].image_id}-{place[0]}-{place[1]}"
            examples.append(
                Example(
                    example_id=name,
                    label=int(labels[index]),
                    parts=(Part(row, place),),
                    subgroups=image_subgroups(catalog.images[row]),
                )
            )
    return examples
