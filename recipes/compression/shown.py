"""What every report of the recipe shows of the images, whatever was tested on them."""

from pathlib import Path
from typing import Any

from mammo_tf.data_source import OpenData
from mammo_tf.progress import progress
from mammo_tf.recipes.compression import data
from mammo_tf.recipes.compression.config import CompressionConfig
from mammo_tf.recipes.compression.quality import Quality, measure_quality
from mammo_tf.recipes.compression.samples import Sample, make_sample
from mammo_tf.report.details import data_link, run_files
from mammo_tf.report.learning import read_trainings

_FILES = ("summary.csv", "results.csv", "calibration.csv", "subgroups.csv", "detection.csv")


def image_quality(config: CompressionConfig, opened: OpenData) -> list[Quality]:
    """Returns PSNR and the like at each ratio, of a sample of the images."""
    images = progress(data.quality_images(opened), description="Measuring PSNR", unit="image")
    return measure_quality((image.ladder for image in images), config.cratios)


def sample_patches(config: CompressionConfig, opened: OpenData) -> list[Sample]:
    """Returns patches of some images at each ratio."""
    samples = []
    for image in data.sample_images(opened):
        row, column, radius = image.lesion or (*(side // 2 for side in image.ladder.shape), None)
        marked = "; the circle marks the lesion" if image.lesion else ""
        samples.append(
            make_sample(
                image.ladder,
                config.cratios,
                centre=(row, column),
                radius_px=radius,
                caption=f"{image.name}{marked}.",
            )
        )
    return samples


def page_facts(run_dir: Path, opened: OpenData) -> dict[str, Any]:
    """Returns those fields of `Findings` that are the same whatever was tested."""
    shapes = [image.ladder.shape for image in data.sample_images(opened)]
    return {
        "image_shape": max(shapes, default=None),
        "trainings": read_trainings(run_dir),
        "data_link": data_link(opened.builder),
        "files": run_files(run_dir, _FILES),
    }


def source_name(config: CompressionConfig) -> str:
    """Returns what the images are, for a reader."""
    return f"a phantom of {config.dataset}" if config.phantom else config.dataset
