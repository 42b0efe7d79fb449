"""Settings from a file: `--config FILE`, as `--show-config` prints it or a run folder keeps it."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mammo_tf.config import from_plain
from mammo_tf.errors import UserError

MAX_BYTES = 1 << 20


def choose_settings(
    kind: type, choose: Callable[..., Any], options: dict[str, Any], *, decided_by: Collection[str]
) -> Any:
    """Returns a recipe's configuration: from the file of `--config`, else what `choose` makes.

    The options that all recipes share, `--set` last, change what the file says.

    Args:
        kind: The recipe's configuration class.
        choose: Makes the configuration from the command's options.
        options: Arguments of `choose`; those of `RecipeConfig.with_options` among them.
        decided_by: Names of the command's own options that decide settings too; beside a file they
            are refused, since it says those.

    Raises:
        UserError: If the file cannot be used, or such an option is given beside it.
    """
    context = click.get_current_context()
    path = context.meta.get("mammo_tf.settings_file")
    if path is None:
        return choose(**options)
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name)
        if parameter.name in decided_by and source is ParameterSource.COMMANDLINE:
            raise UserError(
                f"{parameter.opts[0]} and --config both say what the settings are. Leave one away, "
                "or change single settings with --set."
            )
    shared = ("dataset", "variant", "phantom", "folds", "seed", "overrides")
    config = read_settings(path, kind)
    return config.with_options(**{name: context.params[name] for name in shared})


def read_settings(path: str | Path, kind: type) -> Any:
    """Returns the configuration in a file: that of `--show-config`, or a run's config.json.

    Args:
        path: The file.
        kind: The configuration's class.

    Raises:
        UserError: If it cannot be read, is no JSON object, or has an unknown key or another value.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UserError(f"{file} is larger than {MAX_BYTES} bytes; those are no settings.")
        content = json.loads(file.read_text("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise UserError(f"{file} is no JSON. Write it with --show-config > FILE.") from None
    if isinstance(content, dict) and {"recipe", "configuration"} <= content.keys():
        content = content["configuration"]
    try:
        return from_plain(kind, content)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
