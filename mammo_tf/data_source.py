"""Opens the data set of a run: makes its phantom if asked for, builds it, reads its catalog."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammo_tf.errors import UserError
from mammo_tf.phantom.config import PhantomConfig, write_phantom
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.pipelines.finding_config import FindingPatchConfig
from mammo_tf.pipelines.plan import make_task
from mammo_tf.pipelines.task import Task
from mammo_tf.pipelines.tasks import plan_binary_task


@dataclass(frozen=True, kw_only=True)
class DataPaths:
    """Where a run's data is; decides no numbers.

    Attributes:
        manual_dir: Folder of the raw files; None for a phantom or a data set already built.
        data_dir: Folder of the built data set; None means one in the run folder.
        max_quarantine: The greatest share of the raw data that may be unusable.
    """

    manual_dir: str | None = None
    data_dir: str | None = None
    max_quarantine: float = 0.01


@dataclass(frozen=True, kw_only=True)
class OpenData:
    """A built data set.

    Attributes:
        builder: The TFDS builder.
        catalog: What it holds.
        cache_dir: Where decoded images are kept.
        augment_cratios: Ratios that training images are drawn at, see
            `RecipeConfig.augment_cratios`.
    """

    builder: Any
    catalog: Catalog
    cache_dir: Path
    augment_cratios: tuple[float, ...] = ()

    def describe(self) -> dict:
        """Returns what a run folder keeps of the data set, as plain values."""
        metadata = dict(self.builder.info.metadata or {})
        splits = self.builder.info.splits
        return {
            "name": self.builder.info.full_name,
            "examples": {name: split.num_examples for name, split in splits.items()},
            "source_fingerprint": metadata.get("source_fingerprint"),
        }

    def binary_task(
        self,
        name: str,
        *,
        cratios: Sequence[float] = (1,),
        fraction: float | None = None,
        seed: int = 0,
        with_masks: bool = False,
        patch: FindingPatchConfig | None = None,
    ) -> Task:
        """Makes a task of two classes, decoding what is not in the cache yet.

        Args:
            name: See `plan_binary_task`.
            cratios: Compression ratios that the task's images will be asked for, beside those
                that augmentation draws from.
            fraction: Size of whole images after resizing; None means 0.3.
            seed: Seed of what is drawn for the task.
            with_masks: Whether to cut the findings' masks too, see `Task.masks`.
            patch: How the task "patch" cuts findings; None for the defaults.

        Raises:
            UserError: If the data set lacks what the task needs; the message says what.
        """
        plan = plan_binary_task(
            name,
            self.catalog,
            self.builder,
            cache_dir=self.cache_dir,
            fraction=fraction,
            seed=seed,
            patch=patch,
        )
        cratios = sorted({*cratios, *self.augment_cratios})
        if with_masks:
            plan = dataclasses.replace(plan, with_masks=True)
        return make_task(
            plan, self.catalog, self.builder, cratios=cratios, cache_dir=self.cache_dir
        )


def open_data(
    dataset: str,
    paths: DataPaths,
    run_dir: Path,
    *,
    cratios: Sequence[float],
    augment_cratios: Sequence[float] = (),
    variant: str | None = None,
    phantom: PhantomConfig | None = None,
) -> OpenData:
    """Builds a data set, or opens the one that is there.

    Args:
        dataset: A folder of `mammo_tf.datasets`.
        paths: Where raw and built files are.
        run_dir: The run folder; `phantom`, `data` and `cache` in it are used.
        cratios: Compression ratios that the run reads; 1 is added, since places are matched and
            tissue is measured in the uncompressed image.
        augment_cratios: See `OpenData`; they are added too.
        variant: Which variant of the data set; None means its first.
        phantom: The synthetic set to make first, or None.

    Raises:
        UserError: If raw files are given with a phantom, or needed and not given.
        DataError: If the raw data cannot be used, or too much of it.
    """
    from mammo_tf.datasets.build import build_dataset

    manual_dir = paths.manual_dir
    if phantom is not None:
        if manual_dir:
            raise UserError(
                "--manual-dir is for real files; a phantom is made on the spot. Leave --phantom "
                "away, or a preset that brings it, or --manual-dir."
            )
        manual_dir = run_dir / "phantom"
        write_phantom(dataset, manual_dir, phantom)
    builder = build_dataset(
        dataset,
        manual_dir=manual_dir,
        data_dir=paths.data_dir or run_dir / "data",
        variant=variant,
        cratios=tuple(sorted({1, *cratios, *augment_cratios})),
        max_quarantine=paths.max_quarantine,
    )
    cache_dir = run_dir / "cache"
    return OpenData(
        builder=builder,
        catalog=read_catalog(builder, cache_dir),
        cache_dir=cache_dir,
        augment_cratios=tuple(augment_cratios),
    )
