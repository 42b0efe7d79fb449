"""ciGAN's patches: windows over whole images, normal, benign or malignant, with their masks."""

import os

import numpy as np

from mammo_tf.config import check_range
from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.geometry import extract_patch
from mammo_tf.pipelines.plan import Example, Part, Plan
from mammo_tf.pipelines.subgroups import image_subgroups
from mammo_tf.pipelines.tasks import grey, patches
from mammo_tf.pipelines.window_labels import ImageWindows, measure_windows
from mammo_tf.record import ImageInfo

LEFT_OUT = -1
PAPER_COUNTS = (1743, 2198, 1525)  # Peterka et al. 2020, section 4.1


def gan_patches(
    catalog: Catalog,
    builder,
    *,
    cache_dir: str | os.PathLike | None,
    seed: int = 0,
    patch_size: int = 256,
    stride: int | None = None,
    image_scale: float = 1.0,
    least_breast: float = 0.5,
    least_lesion: float = 0.5,
    most_per_class: tuple[int, int, int] | None = None,
    workers: int | None = None,
) -> Plan:
    """Plans "normal, benign or malignant" for square windows that slide over every image.

    A window lies whole in its image and shows the breast on more than `least_breast` of its
    pixels. It has the label of the worst finding that it shows enough of, and is normal where no
    finding's mask reaches into it. Normal windows come from images with findings too, as in the
    paper, if the place of each finding is known. Left out is a window that shows less of a finding
    but some, or any of one whose label is neither benign nor malignant, unless another gives a
    worse label. `Task.masks` has bit k where finding k is; a finding known by a box or circle
    gives the ellipse in it, and `Plan.notes` counts those. Right breasts are not mirrored, and
    patches have no margin.

    Args:
        catalog: Any data set's.
        builder: The built data set, with ladders that include CR 1.
        cache_dir: Where the windows' shares are kept; None keeps them nowhere.
        seed: Seed of the draw that `most_per_class` needs.
        patch_size: Side of a patch in pixels, 16 to 512; 256 in the paper.
        stride: Pixels between windows, at the scale of the patches; None for half of `patch_size`,
            128 in the paper.
        image_scale: Size of the image against the original before windows slide over it, above 0
            and at most 1; not stated in the paper, whose full-size films would give far more.
        least_breast: A window shows more breast than this share; "the majority" in the paper.
        least_lesion: Least share of a finding's mask that a window must show, or of the window
            that the mask must fill, for the finding's label; 0 takes any pixel. Not stated in the
            paper.
        most_per_class: Most patches (normal, benign, malignant), drawn at random; None for all.
            (1743, 2198, 1525) came out in the paper.
        workers: Decoding threads; None means one per available core.

    Returns:
        The windows by image.

    Raises:
        UserError: If an argument is out of range, or no window shows a lesion as asked for.
        DataError: If a record is damaged, or a finding lies outside its image.

    Reference:
        Peterka et al. 2020, section 4.1.
    """
    stride = patch_size // 2 if stride is None else stride
    _check(patch_size, stride, image_scale, least_breast, least_lesion, most_per_class)
    patches.check_places(catalog)
    if not any(_has_class(found) for image in catalog.images for found in image.placed_findings):
        raise UserError(
            "The task 'gan' needs findings, benign or malignant, whose place is known; "
            f"{catalog.name} has none."
        )
    windows = measure_windows(
        builder,
        catalog,
        side_px=patch_size / image_scale,
        stride_px=stride / image_scale,
        cache_dir=cache_dir,
        workers=workers,
    )
    examples = [
        example
        for row, found in enumerate(windows)
        for example in _examples(row, catalog.images[row], found, least_breast, least_lesion)
    ]
    _check_classes(examples, patch_size, image_scale)
    examples = _draw(examples, most_per_class, seed)
    rows = sorted({example.parts[0].image for example in examples})
    dtype = grey.common_dtype(catalog, rows)
    return Plan(
        name="gan",
        examples=tuple(examples),
        stored_shape=(patch_size, patch_size),
        part_shape=(patch_size, patch_size),
        dtype=dtype,
        prepare=grey.prepare_for(dtype),
        cut=_cut(patch_size),
        settings={"task": "gan"},
        class_names=patches.CLASSES,
        with_masks=True,
        notes=_notes(catalog, rows),
    )


def label_of(
    info: ImageInfo, seen: np.ndarray, filled: np.ndarray, least_lesion: float
) -> np.ndarray:
    """Returns the class of each window, or `LEFT_OUT`.

    Args:
        info: The image.
        seen: (m, k), see `ImageWindows`.
        filled: (m, k), likewise.
        least_lesion: See `gan_patches`.

    Returns:
        (m,) int: 0 normal, 1 benign, 2 malignant.
    """
    touched = (seen > 0).any(axis=1)
    shown = (seen > 0) & ((seen >= least_lesion) | (filled >= least_lesion))
    classes = np.array(
        [patches.CLASSES.index(found.label) if _has_class(found) else 0 for found in info.findings],
        int,
    )
    best = np.where(shown, classes, 0).max(axis=1, initial=0)
    all_placed = len(info.placed_findings) == len(info.findings)
    # Where no finding is listed, only a label tells that there is none.
    clean = all_placed and (bool(info.findings) or info.label == "normal")
    normal = np.where(touched | (not clean), LEFT_OUT, 0)
    return np.where(best > 0, best, normal)


def _has_class(finding) -> bool:
    return finding.label in patches.CLASSES[1:]


def _examples(
    row: int, info: ImageInfo, found: ImageWindows, least_breast: float, least_lesion: float
) -> list[Example]:
    labels = label_of(info, found.seen, found.filled, least_lesion)
    kept = np.flatnonzero((labels != LEFT_OUT) & (found.breast > least_breast))
    return [
        Example(
            example_id=f"{info.image_id}-{found.places[index, 0]}-{found.places[index, 1]}",
            label=int(labels[index]),
            parts=(Part(row, tuple(found.places[index].tolist())),),
            subgroups=image_subgroups(info),
        )
        for index in kept
    ]


def _cut(patch_size: int):
    def cut(image: np.ndarray, _info: ImageInfo, place, resize) -> np.ndarray:
        return resize(extract_patch(image, *place, resize), patch_size, patch_size)

    return cut


def _draw(examples: list[Example], most: tuple[int, int, int] | None, seed: int) -> list[Example]:
    if most is None:
        return examples
    rng = np.random.default_rng(seed)
    labels = np.array([example.label for example in examples], int)
    kept = [
        rng.permutation(np.flatnonzero(labels == label))[:number]
        for label, number in enumerate(most)
    ]
    return [examples[index] for index in np.sort(np.concatenate(kept))]


def _notes(catalog: Catalog, rows) -> tuple[str, ...]:
    marks = [found.mark for row in rows for found in catalog.images[row].placed_findings]
    drawn = sum(mark != "mask" for mark in marks)
    return (f"{drawn} of {len(marks)} masks are ellipses in a box or circle.",) if drawn else ()


def _check_classes(examples: list[Example], patch_size: int, image_scale: float) -> None:
    labels = {example.label for example in examples}
    if not labels & {1, 2}:
        raise UserError(
            f"No window of {patch_size} pixels lies on the breast and shows a lesion as asked for. "
            "Are the masks on the breast? Else take a smaller `least_lesion` or `stride`, or "
            f"another scale. Received: image_scale={image_scale:g}."
        )
    if 0 not in labels:
        raise UserError(
            f"No window of {patch_size} pixels lies on the breast and shows normal tissue alone. "
            f"Take smaller patches. Received: image_scale={image_scale:g}."
        )


def _check(patch_size, stride, image_scale, least_breast, least_lesion, most_per_class) -> None:
    check_range("patch_size", patch_size, 16, 512)
    check_range("stride", stride, 1, 512)
    check_range("image_scale", image_scale, 0.01, 1)
    check_range("least_breast", least_breast, 0, 0.99)
    check_range("least_lesion", least_lesion, 0, 1)
    if most_per_class is not None and (len(most_per_class) != 3 or min(most_per_class) < 1):
        raise UserError(
            "`most_per_class` must be three numbers of at least 1: normal, benign, malignant. "
            f"Received: {most_per_class}."
        )
