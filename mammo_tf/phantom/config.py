"""What a synthetic data set is like, whatever its raw layout."""

import importlib
import importlib.util
import os
from dataclasses import dataclass

from mammo_tf.config import check_range
from mammo_tf.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PhantomConfig:
    """A synthetic set; none of it is from a paper.

    Attributes:
        num_studies: Number of studies, at least 10.
        scale: Size against the compression paper's smallest detector, 2294×1914.
        seed: Seed of the images.
        malignant_fraction: Share of patients with a cancer.
        benign_fraction: Share of patients with a benign lesion and no cancer.

    Raises:
        UserError: If a value is out of its range.
    """

    num_studies: int = 40
    scale: float = 1.0
    seed: int = 1
    malignant_fraction: float = 0.3
    benign_fraction: float = 0.3

    def __post_init__(self):
        check_range("phantom.num_studies", self.num_studies, 10, 100_000)
        check_range("phantom.scale", self.scale, 0.01, 4)
        check_range("phantom.seed", self.seed, 0, 2**31 - 1)
        check_range("phantom.malignant_fraction", self.malignant_fraction, 0, 1)
        check_range("phantom.benign_fraction", self.benign_fraction, 0, 1)


def write_phantom(dataset: str, folder: str | os.PathLike, config: PhantomConfig) -> None:
    """Writes a data set's raw files, synthetic ones, or completes what was interrupted.

    The module `mammo_tf.phantom.<dataset>` does it, with a function `write_phantom(folder,
    config)`.

    Raises:
        UserError: If the data set has no phantom, or `folder` holds something else.
    """
    name = f"mammo_tf.phantom.{dataset}"
    if importlib.util.find_spec(name) is None:
        raise UserError(f"There is no phantom of {dataset}. Give its raw files with --manual-dir.")
    importlib.import_module(name).write_phantom(folder, config)
