"""The `mammo-tf` command. Imports nothing heavy until a command runs."""

import difflib
import errno
import importlib
import os
import re
import sys

import click

from mammo_tf import __version__, interrupt
from mammo_tf.errors import UserError


class LazyGroup(click.Group):
    """A group whose commands are imported when they are first needed.

    Args:
        lazy: Maps a command's name to ("module:attribute", one-line help); the help stands in
            listings, so that they need no import.
    """

    def __init__(self, *args, lazy: dict[str, tuple[str, str]] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, ctx):
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx, cmd_name):
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute = self.lazy[cmd_name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(self, ctx, args):
        near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=3)
        if near and args[0] not in near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(near)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):
        rows = [(name, self._short_help(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, ctx, name):
        if name in self.lazy:
            return self.lazy[name][1]
        return super().get_command(ctx, name).get_short_help_str()


COMMANDS = {
    "audit": ("mammo_tf.cli.audit:audit", "Find what leaks between the parts of a split."),
    "cigan": ("mammo_tf.cli.cigan:cigan", "Synthetic lesions for training, by ciGAN."),
    "codec": ("mammo_tf.cli.codec:codec", "JPEG 2000: what each compression ratio costs."),
    "compare": ("mammo_tf.cli.compare:compare", "Several runs of a recipe side by side."),
    "data": ("mammo_tf.cli.data:data", "Build the TFDS data sets from raw files."),
    "doctor": ("mammo_tf.cli.doctor:doctor", "Check versions, OpenJPEG, GPUs and disk."),
    "export": ("mammo_tf.cli.export:export", "Write a trained network for other programs."),
    "phantom": ("mammo_tf.cli.phantom:phantom", "Synthetic mammograms to try everything on."),
    "predict": ("mammo_tf.cli.predict:predict", "Find lesions in mammograms with a trained SSD."),
    "recipe": ("mammo_tf.cli.recipe:recipe", "Reproduce a paper."),
    "weights": ("mammo_tf.cli.weights:weights", "Weights that others trained."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mammo-tf")
def cli():
    """Deep learning on mammograms with TensorFlow and Keras 3.

    Research only: not a medical device.

    Start with `mammo-tf recipe compression --preset demo`, which needs no data.
    """


def main() -> None:
    """Runs the command line; a user's mistake becomes one line on stderr and exit code 2."""
    interrupt.watch()
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped. The same command goes on where it was.", err=True)
        sys.exit(130)
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        known = _with_errno(error)
        if known.errno not in _USER_ERRNOS:
            raise
        _fail(_explain(known))


_USER_ERRNOS = {
    errno.ENOSPC: "No space left on the disk; free some and run the same command again",
    errno.EFBIG: "A file would become larger than the file system or a limit allows",
    errno.EDQUOT: "The disk quota is used up; free some space and run the same command again",
    errno.EACCES: "Permission denied",
    errno.EROFS: "The file system is read-only",
    errno.ENOENT: "No such file or folder",
    errno.EISDIR: "Expected a file, found a folder",
    errno.ENOTDIR: "Expected a folder, found a file",
    errno.ELOOP: "The path is in a loop of symbolic links",
    errno.ENAMETOOLONG: "The path is too long",
    errno.EEXIST: "There is a file where a folder should be",
}


def _with_errno(error: OSError) -> OSError:
    """Returns the error itself, or the one behind it that has a number: pydicom hides it.

    Of an error that comes from a worker process only the text is left.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno is not None:
            return found
        found = found.__cause__ or found.__context__
    named = re.search(r"\[Errno (\d{1,4})\]", str(error))
    return OSError(int(named[1]), os.strerror(int(named[1]))) if named else error


def _explain(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return _USER_ERRNOS[error.errno] + where + "."


def _fail(message: str) -> None:
    click.echo("Error: " + " ".join(message.split()), err=True)
    sys.exit(2)
