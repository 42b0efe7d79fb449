"""Option types that all commands share."""

import os

import click

from mammo_tf.errors import UserError


class UserPath(click.Path):
    """A path in which a leading `~` is the user's home.

    A shell leaves the `~` of `--data-dir=~/data`, and of a quoted path, to the command.
    """

    def convert(self, value, param, ctx):
        return super().convert(os.path.expanduser(value), param, ctx)


class Cratios(click.ParamType):
    """Compression ratios with commas between."""

    name = "CR,CR,…"

    def convert(self, value, param, ctx):
        """Returns the ratios, sorted."""
        from mammo_tf.codecs.cratios import parse_cratios

        try:
            return value if isinstance(value, tuple) else parse_cratios(value)
        except UserError as error:
            self.fail(str(error), param, ctx)


class Folds(click.ParamType):
    """A number of folds, or "official"."""

    name = "N|official"

    def convert(self, value, param, ctx):
        """Returns the number, or the word."""
        if value == "official" or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"expected a number, or official. Received: {value!r}.", param, ctx)


def recipe_options(default_run_dir: str, *, default_dataset: str):
    """Returns the decorator that gives a recipe's command the options that all recipes share.

    They arrive as dataset, variant, phantom, manual_dir, data_dir, max_quarantine, run_dir, folds,
    seed, overrides, show_config and as_json; `--config` is left to `choose_settings`.

    Args:
        default_run_dir: Folder of the results where none is given, for the help text.
        default_dataset: Data set where none is given, for the help text.
    """
    from mammo_tf.found import data_sets

    options = [
        click.option(
            "--dataset",
            type=click.Choice(sorted(data_sets())),
            help=f"Any data set of `mammo-tf data list`. [default: {default_dataset}]",
        ),
        click.option(
            "--data-config",
            "variant",
            metavar="NAME",
            help="Which variant of the data set, e.g. mass_800 of cbis_ddsm. [default: its first]",
        ),
        click.option(
            "--phantom",
            is_flag=True,
            default=None,
            help="Make the data set's raw files on the spot, from synthetic images.",
        ),
        click.option("--manual-dir", type=UserPath(), help="Folder with the raw files."),
        click.option(
            "--data-dir",
            type=UserPath(),
            help="Folder of the built data set. [default: RUN_DIR/data]",
        ),
        click.option(
            "--max-quarantine",
            type=click.FloatRange(0, 1),
            default=0.01,
            help="Stop when a larger share of the raw data cannot be used.",
        ),
        click.option(
            "--run-dir",
            type=UserPath(),
            help="Folder of the results; the same command takes it up where it stopped. "
            f"[default: {default_run_dir}]",
        ),
        click.option(
            "--folds",
            type=Folds(),
            metavar="N|official",
            help="Number of cross-validation folds, or official for the data set's own split "
            "into training and test. [default: official where there is one, else 5]",
        ),
        click.option(
            "--seed",
            type=int,
            help="The same seed gives the same table, on the same machine with as many cores. "
            "[default: 1]",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change any setting, e.g. training.epochs=20; --show-config lists them.",
        ),
        click.option(
            "--config",
            "settings_file",
            type=UserPath(exists=True, dir_okay=False),
            expose_value=False,
            callback=_keep,
            help="Take the settings from a file, as --show-config prints them or a run folder's "
            "config.json has them; --set and the options above change them.",
        ),
        click.option("--show-config", is_flag=True, help="Print the settings as JSON and stop."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
    ]

    def decorate(function):
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _keep(context: click.Context, parameter: click.Parameter, value):
    """Keeps an option's value where `choose_settings` finds it, not among the arguments."""
    context.meta[f"mammo_tf.{parameter.name}"] = value
    return value


def print_config(config) -> None:
    """Prints a configuration as JSON."""
    import json

    from mammo_tf.config import to_plain

    click.echo(json.dumps(to_plain(config), indent=2))
