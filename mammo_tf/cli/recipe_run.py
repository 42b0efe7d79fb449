"""Runs a recipe: its folder, its data set, and what it says at the end."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mammo_tf.cli.options import print_config
from mammo_tf.config import to_plain, with_defaults
from mammo_tf.data_source import DataPaths, OpenData, open_data
from mammo_tf.files import write_json
from mammo_tf.recipe_config import RecipeConfig
from mammo_tf.run_folder import add_to_config, open_run_folder

PHANTOM_NOTE = "PHANTOM: synthetic images; these numbers say nothing about patients."


@contextlib.contextmanager
def open_run(
    name: str,
    config: RecipeConfig,
    run_dir: str | Path,
    paths: DataPaths,
    cratios: Sequence[float] = (1,),
    may_change: Sequence[str] = (),
) -> Iterator[tuple[Path, OpenData]]:
    """Opens the run folder of a configuration, and in it the data set.

    Args:
        name: The recipe's.
        config: What decides the numbers.
        run_dir: The run folder, new or of this configuration.
        paths: Where raw and built data are.
        cratios: Compression ratios that the run reads, beside those that its augmentation draws
            from.
        may_change: See `open_run_folder`.

    Yields:
        The folder and the data set.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    with open_run_folder(
        run_dir,
        recipe=name,
        configuration=to_plain(config),
        complete=lambda kept: with_defaults(kept, config),
        may_change=may_change,
    ) as folder:
        data = open_data(
            config.dataset,
            paths,
            folder,
            cratios=cratios,
            augment_cratios=config.augment_cratios,
            variant=config.variant,
            phantom=config.phantom,
        )
        add_to_config(folder, dataset=data.describe())
        yield folder, data


def check_data(config: RecipeConfig, run_dir: str | Path, paths: DataPaths) -> None:
    """Raises UserError where `open_run` would find no data; builds and writes nothing.

    For what looks for something else first, such as weights that are downloaded.

    Args:
        config: What decides the numbers.
        run_dir: The run folder, which may not exist yet.
        paths: Where raw and built data are.
    """
    from mammo_tf.datasets.build import make_builder

    if config.phantom is None:
        make_builder(
            config.dataset,
            manual_dir=paths.manual_dir,
            data_dir=paths.data_dir or Path(run_dir) / "data",
            variant=config.variant,
            cratios=sorted({1, *config.augment_cratios}),
        )


def run_recipe(
    name: str,
    base: RecipeConfig,
    work: Callable[[Any, OpenData, Path], Mapping[str, object]],
    *,
    manual_dir: str | None,
    data_dir: str | None,
    max_quarantine: float,
    run_dir: str | None,
    show_config: bool,
    as_json: bool,
    **choices,
) -> None:
    """Runs a recipe that reads uncompressed images, from the options of its command.

    Args:
        name: The recipe's.
        base: The configuration that the options change.
        work: Called with the configuration, the data set and the run folder; returns the summary as
            values that JSON can hold, which is printed and kept in summary.json.
        manual_dir: See `DataPaths`.
        data_dir: See `DataPaths`.
        max_quarantine: See `DataPaths`.
        run_dir: The run folder; None means runs/NAME.
        show_config: Print the configuration and stop.
        as_json: Print the summary as JSON.
        **choices: See `RecipeConfig.with_options`.

    Raises:
        UserError: If something the user gave cannot be used; nothing is lost.
    """
    config = base.with_options(**choices)
    if show_config:
        print_config(config)
        return
    from mammo_tf.quiet import import_tensorflow

    import_tensorflow()
    paths = DataPaths(manual_dir=manual_dir, data_dir=data_dir, max_quarantine=max_quarantine)
    with open_run(name, config, run_dir or f"runs/{name}", paths) as (folder, data):
        summary = dict(work(config, data, folder))
        write_json(folder / "summary.json", summary)
    if as_json:
        click.echo(json.dumps(summary))
        return
    if data.catalog.is_phantom:
        click.echo(PHANTOM_NOTE)
    for key, value in summary.items():
        click.echo(f"{key:<14} {value}")
