"""Option types that all commands share."""

import os

import click


class UserPath(click.Path):
    """A path in which a leading `~` is the user's home.

    A shell leaves the `~` of `--data-dir=~/data`, and of a quoted path, to the command.
    """

    def convert(self, value, param, ctx):
        return super().convert(os.path.expanduser(value), param, ctx)
