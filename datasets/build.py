"""Builds a data set, or opens the one that is there: one function for the CLI and the recipes."""

import os
from collections.abc import Iterable
from pathlib import Path

import tensorflow_datasets as tfds

import mammo_tf.datasets as registered
from mammo_tf.datasets.built import describe_not_built
from mammo_tf.errors import UserError


def build_dataset(
    name: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    variant: str | None = None,
    cratios: Iterable[float] | None = None,
    plain: bool = False,
    max_quarantine: float = 0.01,
    strict: bool = False,
    workers: int | None = None,
    follow_links: bool = False,
    join_ids: bool = False,
    allow_burned_in: bool = False,
):
    """Builds a data set from raw files unless it is there already.

    Args:
        name: A folder of `mammo_tf.datasets`.
        manual_dir: Folder of the raw files; may be None where the data set is built already.
        data_dir: Folder of built data sets; None means TFDS's own, ~/tensorflow_datasets.
        variant: Which of the data set's variants; None means its first.
        cratios: Compression ratios to keep; None means the data set's own.
        plain: Keep one lossless PNG per image instead.
        max_quarantine: The greatest share of records that may be unusable, 0 to 1.
        strict: Stop at the first unusable record.
        workers: Processes; None means one per available core.
        follow_links: Follow symbolic links out of the raw folder where the data set has that.
        join_ids: Take ids that differ in their spelling only for one patient, likewise.
        allow_burned_in: Take images that say that text is burned into their pixels,
            likewise.

    Returns:
        The builder, built.

    Raises:
        UserError: If an argument is out of range, or raw files are needed and not given.
        DataError: If the raw data cannot be used, or too much of it.
    """
    builder = make_builder(
        name,
        manual_dir=manual_dir,
        data_dir=data_dir,
        variant=variant,
        cratios=cratios,
        plain=plain,
        max_quarantine=max_quarantine,
        strict=strict,
        workers=workers,
        follow_links=follow_links,
        join_ids=join_ids,
        allow_burned_in=allow_burned_in,
    )
    if manual_dir is not None:
        manual_dir = os.path.expanduser(manual_dir)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


def make_builder(
    name: str,
    *,
    manual_dir: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    variant: str | None = None,
    cratios: Iterable[float] | None = None,
    plain: bool = False,
    **options,
):
    """Returns the builder of `build_dataset` before anything is built.

    Args:
        name: See `build_dataset`, as are all.
        manual_dir: Folder of the raw files.
        data_dir: Folder of built data sets.
        variant: Which variant.
        cratios: Compression ratios to keep.
        plain: Keep one lossless PNG per image instead.
        **options: Further ones of the builder.

    Raises:
        UserError: If an argument is out of range, or raw files are needed and not there.
    """
    if name not in registered.NAMES:
        raise UserError(
            f"There are the data sets {', '.join(registered.NAMES)}. Received: {name!r}."
        )
    # Not `tfds.builder`, which puts a paragraph in front of the message of every error.
    make = tfds.builder_cls(name)
    builder = make(
        data_dir=data_dir,
        config=make.CONFIG_CLASS(
            variant=variant,
            cratios=None if cratios is None else tuple(cratios),
            plain=plain,
        ),
        **options,
    )
    if manual_dir is None and not builder.data_path.exists():
        what = describe_not_built(Path(builder.data_dir_root), builder.info.full_name)
        raise UserError(
            f"{what} To build it give --manual-dir, the folder with its raw files. "
            + " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        )
    if manual_dir is not None and not _has_files(Path(manual_dir).expanduser()):
        raise UserError(
            "--manual-dir must be a folder with raw files. Received: "
            f"{os.path.expanduser(manual_dir)}."
        )
    return builder


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
