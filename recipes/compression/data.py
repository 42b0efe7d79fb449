"""The recipe's data: from raw files to a built data set, a task, and images to show."""

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.datasets.build import build_dataset
from mammo_tf.errors import UserError
from mammo_tf.phantom import write_ncc
from mammo_tf.pipelines import records
from mammo_tf.pipelines.breast_pairs import breast_pairs_task
from mammo_tf.pipelines.mias_tasks import lesion_task, malignant_task
from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.compression.config import CompressionConfig

NUM_QUALITY_IMAGES = 12
NUM_SAMPLES = 2
_VIEWS = ("left_cc", "left_mlo", "right_cc", "right_mlo")


@dataclass(frozen=True)
class ShownImage:
    """An image to measure or show.

    Attributes:
        ladder: Its layered codestream.
        name: What it is, without patient identity.
        lesion: (row, column, radius) in pixels of a lesion in it, or None.
    """

    ladder: Ladder
    name: str
    lesion: tuple[int, int, float] | None


def build(config: CompressionConfig, manual_dir, data_dir, run_dir: Path):
    """Builds the data set of a run, making the phantom first if that is what is asked for.

    Args:
        config: The run's configuration.
        manual_dir: Folder of the raw files; None for a phantom or a data set already built.
        data_dir: Folder of the built data set; None means one in the run folder.
        run_dir: The run folder.

    Returns:
        The TFDS builder, built.

    Raises:
        UserError: If raw files are given with a phantom, or needed and not given.
    """
    if config.dataset == "phantom":
        if manual_dir:
            raise UserError(
                "--manual-dir goes with --dataset ncc or mini_mias; a phantom is made on the spot."
            )
        phantom = config.phantom
        manual_dir = run_dir / "phantom"
        write_ncc(
            manual_dir,
            num_studies=phantom.num_studies,
            seed=phantom.seed,
            scale=phantom.scale,
            malignant_fraction=phantom.malignant_fraction,
            benign_fraction=phantom.benign_fraction,
        )
    return build_dataset(
        "mini_mias" if config.dataset == "mini_mias" else "ncc",
        manual_dir=manual_dir,
        data_dir=data_dir or run_dir / "data",
        # mini-MIAS' patches are matched in the uncompressed film.
        cratios=tuple(sorted({1, *config.cratios})),
    )


def make_task(config: CompressionConfig, builder, cache_dir: Path) -> Task:
    """Makes the task that the configuration names, decoding what is not in the cache yet."""
    options = {"cratios": config.cratios, "cache_dir": cache_dir}
    if config.dataset != "mini_mias":
        return breast_pairs_task(builder, fraction=config.resize_fraction, **options)
    if config.task == "lesion":
        return lesion_task(builder, seed=config.seed, **options)
    return malignant_task(builder, fraction=config.resize_fraction, **options)


def quality_images(builder) -> list[ShownImage]:
    """Takes one image of each of the first records (TFDS has shuffled them)."""
    views = itertools.cycle(range(len(_VIEWS)))
    first = itertools.islice(records.iterate_records(builder), NUM_QUALITY_IMAGES)
    chosen = []
    for record in first:
        images = list(_images(record))
        chosen.append(images[next(views) % len(images)])
    return chosen


def sample_images(builder) -> list[ShownImage]:
    """Takes the first images with a lesion whose place is known; else the first images."""
    marked: list[ShownImage] = []
    first: list[ShownImage] = []
    for record in records.iterate_records(builder):
        images = list(_images(record))
        first += images[: NUM_SAMPLES - len(first)]
        with_lesion = [image for image in images if image.lesion]
        marked += with_lesion[:1]
        if len(marked) >= NUM_SAMPLES:
            return marked[:NUM_SAMPLES]
    return marked or first


def _images(record: dict) -> Iterator[ShownImage]:
    if "views" not in record:
        name = record["image_id"].decode()
        yield ShownImage(_ladder(record["image"], name), name, _circle(record["abnormalities"]))
        return
    study = record["study_id"].decode()
    for view in _VIEWS:
        content = record["views"][view]
        name = f"{study} {view.replace('_', ' ')}"
        yield ShownImage(_ladder(content["image"], name), name, _lesion_in(content["mask"]))


def _ladder(content: bytes, name: str) -> Ladder:
    return records.read_ladder(content, f"Image {name}")


def _circle(found: dict) -> tuple[int, int, float] | None:
    for row, column, radius, has_circle in zip(
        found["row"], found["column"], found["radius_px"], found["has_circle"], strict=True
    ):
        if has_circle:
            return int(row), int(column), float(radius)
    return None


def _lesion_in(mask_png: bytes) -> tuple[int, int, float] | None:
    """Centre and radius of a mask, as an equal circle."""
    from PIL import Image

    if not mask_png:
        return None
    with Image.open(io.BytesIO(mask_png), formats=["PNG"]) as picture:
        rows, columns = np.nonzero(np.asarray(picture.convert("L")))
    if not len(rows):
        return None
    reach = max(np.ptp(rows), np.ptp(columns)) / 2
    return int(rows.mean()), int(columns.mean()), float(reach)
