"""Run folders: what a run was, kept beside its results, and never mixed with another's."""

import contextlib
import datetime
import itertools
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
from tqdm import tqdm

from mammo_tf import __version__
from mammo_tf.config import differences
from mammo_tf.errors import CodecError, UserError
from mammo_tf.files import write_json

CONFIG_NAME = "config.json"
_PATH_OPTIONS = {"--manual-dir", "--data-dir", "--run-dir", "--image-dir", "--out", "--start"}
_PATH_OPTIONS |= {"--detector", "--scorer", "--weights"}
# What lies in a folder in which nothing has been computed yet; the data serve any configuration.
_BEFORE_WORK = {CONFIG_NAME, ".lock", "data", "cache"}
# What of the environment may change a run's numbers.
_CHANGES_NUMBERS = {"mammo_tf", "python", "system", "cores", "onednn", "openjpeg"}
_CHANGES_NUMBERS |= {"devices", "packages"}
_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-datasets",
    "glymur",
    "pydicom",
    "scikit-learn",
    "scipy",
    "numpy",
    "pillow",
)


@contextlib.contextmanager
def open_run_folder(
    path: str | Path,
    *,
    recipe: str,
    configuration: dict,
    complete: Callable[[dict], dict] = dict,
    may_change: Sequence[str] = (),
) -> Iterator[Path]:
    """Makes a run folder, or takes up one of the same configuration; one process at a time.

    Args:
        path: The folder; it may not exist yet, be empty, or hold an earlier part of this run.
        recipe: The recipe's name.
        configuration: Plain values, as `mammo_tf.config.to_plain` gives them.
        complete: Gives the configuration of an earlier version the keys that came later.
        may_change: Keys, as in "classify.shares", that say only which parts of a run are wanted:
            the folder takes another value, and keeps what was computed for the former one.

    Yields:
        The folder, with config.json in it: recipe, configuration, environment, the command and
        when it was first given. A folder in which nothing was computed takes any configuration.

    Raises:
        UserError: If the folder holds something else, a run of another configuration (each
            difference is named), or a run that goes on in another process.
    """
    path = Path(path)
    if read_config(path) is None:
        _refuse_foreign(path)
    path.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        known = read_config(path)
        if known is not None:
            known["configuration"] = complete(known["configuration"])
            found = _changes(known, recipe, configuration, may_change)
            if found and not _untouched(path, known, configuration):
                raise _other_run(path, found)
            known = None if found else known
        environment = describe_environment()
        if known is None:
            content = {
                "recipe": recipe,
                "configuration": configuration,
                "environment": environment,
                "command": shown_command(sys.argv),
                "started": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            }
            write_json(path / CONFIG_NAME, content)
        else:
            if known["configuration"] != configuration:
                known["configuration"] = configuration
                write_json(path / CONFIG_NAME, known)
            _compare_environments(path, known, environment)
        yield path


def shown_command(words: Sequence[str]) -> str:
    """Returns a command line as it may be kept: folders may be called after patients, so no path.

    Examples:
        >>> shown_command(["/usr/bin/mammo-tf", "recipe", "mias", "--manual-dir", "Doe_Jane"])
        'mammo-tf recipe mias --manual-dir PATH'
    """
    shown = [Path(words[0]).name] if words else []
    for before, word in itertools.pairwise(words):
        name, sign, value = word.partition("=")
        if before in _PATH_OPTIONS or os.sep in name:
            shown.append("PATH")
        elif sign and (name in _PATH_OPTIONS or os.sep in value):
            shown.append(f"{name}=PATH")
        else:
            shown.append(word)
    return shlex.join(shown)


def read_config(path: str | Path) -> dict | None:
    """Reads a run folder's config.json, or returns None where there is none.

    Raises:
        UserError: If the file is there but is not a run's configuration.
    """
    file = Path(path) / CONFIG_NAME
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text("utf-8"))
        content["recipe"], content["configuration"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a run's configuration: {error}.") from error
    return content


def add_to_config(path: str | Path, **facts: Any) -> None:
    """Adds facts that are known only later, such as the data set's version, to config.json.

    Raises:
        UserError: If an earlier part of the run had another value for one of them.
    """
    content = read_config(path)
    for name, value in facts.items():
        value = json.loads(json.dumps(value))
        if content.get(name, value) != value:
            raise UserError(
                f"The run folder {path} was made with another {name} "
                f"({content[name]}, now {value}). Use another --run-dir."
            )
        content[name] = value
    write_json(Path(path) / CONFIG_NAME, content)


def describe_environment() -> dict[str, Any]:
    """Returns what besides the configuration decides a run's numbers, as plain values.

    Versions and the git revision of the source say what to install to run it again. Cores, oneDNN
    and the codec change the last digits, and after many epochs more: docs/recipes/compression.md
    says by how much.
    """
    from mammo_tf.parallel import available_cpus

    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "mammo_tf": __version__,
        "git_revision": _git_revision(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cpus(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "devices": _devices(),
        "openjpeg": _openjpeg(),
        "keras": _keras_settings(),
        "packages": versions,
    }


def _openjpeg() -> str | None:
    """The codec in use, e.g. "2.5.4 (pillow)"; None where there is none."""
    from mammo_tf.codecs import openjpeg

    try:
        library = openjpeg.configure()
    except CodecError:  # told of where the codec is needed
        return None
    return f"{library.version} ({library.source})"


def _devices() -> list[str] | None:
    """The kinds of TensorFlow's devices, with the names of GPUs, where it has been imported."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return None
    details = tf.config.experimental.get_device_details
    devices = tf.config.list_physical_devices()
    return [details(d).get("device_name", d.device_type) for d in devices]


def _keras_settings() -> dict[str, str] | None:
    """Keras' backend and formats, where Keras has been imported."""
    keras = sys.modules.get("keras")
    if keras is None:
        return None
    return {
        "backend": keras.config.backend(),
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
    }


def _compare_environments(path: Path, known: dict, now: dict) -> None:
    """Refuses another Keras backend; says and keeps what else could change the numbers.

    Raises:
        UserError: If Keras' backend or formats differ from those that the run began with.
    """
    before = known.get("environment") or {}
    if before.get("keras") and now["keras"] and before["keras"] != now["keras"]:
        changed = "; ".join(differences(before["keras"], now["keras"]))
        raise UserError(
            f"{path} was begun with other settings of Keras ({changed}), which trains other "
            "networks. Nothing was changed; set them as they were, or choose another --run-dir."
        )
    names = _CHANGES_NUMBERS & before.keys()
    if before.get("devices") is None or now.get("devices") is None:
        names = names - {"devices"}  # nothing imported TensorFlow
    changed = differences({n: before[n] for n in names}, {n: now[n] for n in names})
    earlier = known.get("resumed_in", [])
    if not changed or now in earlier:
        return
    tqdm.write(
        f"Note: {path} was begun in another environment ({'; '.join(changed[:4])}). What is "
        "finished is kept, so its numbers are mixed; config.json records both.",
        file=sys.stderr,
    )
    write_json(path / CONFIG_NAME, known | {"resumed_in": [*earlier, now]})


def _git_revision() -> str | None:
    """The source's revision, with "+changes" where files differ; None in an installed wheel."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder / ".git").exists():
        return None
    try:
        revision = _git(folder, "rev-parse", "HEAD")
        return revision + ("+changes" if _git(folder, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _refuse_foreign(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"--run-dir must be a folder. {path} is a file.")
    foreign = path.is_dir() and any(entry.name != ".lock" for entry in path.iterdir())
    if foreign:
        raise UserError(
            f"{path} is not empty and has no {CONFIG_NAME}, so it is no run folder. "
            "Nothing was changed; choose another --run-dir."
        )


def _changes(known: dict, recipe: str, configuration: dict, may_change: Sequence[str]) -> list[str]:
    """What a folder's run and the one asked for differ in, and must not."""
    found = [
        change
        for change in differences(known["configuration"], configuration)
        if change.split(":")[0] not in may_change
    ]
    if known["recipe"] != recipe:
        found.insert(0, f"recipe: {known['recipe']}, now {recipe}")
    return found


def _untouched(path: Path, known: dict, configuration: dict) -> bool:
    """Returns True where nothing was computed yet that belongs to the kept configuration."""
    there = {entry.name for entry in path.iterdir()} - _BEFORE_WORK
    keys = ("dataset", "phantom")
    if all(known["configuration"].get(key) == configuration.get(key) for key in keys):
        there -= {"phantom"}
    return not there


def _other_run(path: Path, found: list[str]) -> UserError:
    return UserError(
        f"{path} holds a run of another configuration ({'; '.join(found[:5])}"
        f"{'; …' if len(found) > 5 else ''}). Nothing was changed; choose another --run-dir "
        "or the same settings."
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the folder for this process; the lock goes with the process, also after a kill."""
    try:
        with filelock.FileLock(path / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise UserError(f"Another process is using the run folder {path}.") from None
