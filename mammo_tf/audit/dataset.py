"""Splits of a built data set: its own, one by image, and the poster's kind. Needs TensorFlow."""

import numpy as np

from mammo_tf.audit.copies import SIDE, fingerprint
from mammo_tf.audit.split import SplitImage
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.detection.examples import image_of
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.tasks import detection
from mammo_tf.pipelines.turned import turned_copies
from mammo_tf.progress import progress
from mammo_tf.training.folds import Fold
from mammo_tf.training.patch_splits import divide_at_random
from mammo_tf.training.seeds import derive_seed

_POSTER_SIDE = 600  # pixels: twice what SSD300 sees, as `recipe mias` decodes its images


def split_of(
    opened: OpenData, scheme: str, *, seed: int = 1
) -> tuple[tuple[SplitImage, ...], np.ndarray]:
    """Divides a data set's images.

    Args:
        opened: The data set.
        scheme: "official", its own split; "images", 7:1:2 at random whatever the patient; "poster",
            copies of the images with lesions, turned and flipped, then divided at random, as
            `recipe mias` does for its detector with the same seed.
        seed: Seed of what is drawn.

    Returns:
        The images with their parts, and the fingerprint of each: (n, 64, 64) float32.

    Raises:
        UserError: If the data set has no such split.
        DataError: If a record is damaged.
    """
    if scheme == "poster":
        return _like_poster(opened, seed)
    images = opened.catalog.images
    if scheme == "official":
        if not opened.catalog.has_official_splits:
            raise UserError(
                f"{opened.catalog.name} has no split of its own. Choose --scheme images or poster."
            )
        parts = [image.split for image in images]
    else:
        parts = _parts(len(images), divide_at_random(len(images), derive_seed(seed, "images")))
    split = tuple(
        SplitImage(image.image_id, image.patient_id, part)
        for image, part in zip(images, parts, strict=True)
    )
    return split, _fingerprints(opened)


def _like_poster(opened: OpenData, seed: int) -> tuple[tuple[SplitImage, ...], np.ndarray]:
    plan = detection(opened.catalog, size=_POSTER_SIDE)
    task = make_task(plan, opened.catalog, opened.builder, cratios=(1,), cache_dir=opened.cache_dir)
    copies = turned_copies(task.take(np.flatnonzero(task.has_box)))
    fold = divide_at_random(len(copies), derive_seed(derive_seed(seed, "detection"), "poster", 0))
    parts = _parts(len(copies), fold)
    split = tuple(map(SplitImage, copies.example_ids, copies.groups.tolist(), parts))
    bar = progress(range(len(copies)), description="Reading", unit="image")
    return split, np.stack([fingerprint(image_of(copies, place)) for place in bar])


def _parts(count: int, fold: Fold) -> list[str]:
    parts = np.empty(count, object)
    for name in ("train", "validation", "test"):
        parts[getattr(fold, name)] = name
    return parts.tolist()


def _fingerprints(opened: OpenData) -> np.ndarray:
    """(n, 64, 64) float32, in the catalog's order."""
    rows = opened.catalog.rows()
    records.check_cratios(opened.builder, (1,))
    found = np.empty((len(rows), SIDE, SIDE), np.float32)
    stored = records.iterate_records(opened.builder)
    for record in progress(stored, description="Reading", total=len(rows), unit="image"):
        image_id = record["image_id"].decode()
        what = f"Image {image_id}"
        pixels = records.decode(records.read_ladder(record["image"], what), 1, what)
        found[rows[image_id]] = fingerprint(pixels)
    return found
