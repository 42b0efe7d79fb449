"""Shared fixtures: where the real data is, and a quiet, deterministic TensorFlow."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the commands do

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real mini-MIAS and DICOM data; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {SHARED_DATA} is not there; this test ran on nothing")
    return SHARED_DATA


@pytest.fixture(scope="session")
def copy_source() -> Callable[[Path], None]:
    """Copies what git tracks here, or would, into a folder: a repository of its own, committed."""

    def copy(folder: Path) -> None:
        if not (ROOT / ".git").exists():
            pytest.skip("not a git checkout")
        listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
        _git(folder, "init", "--quiet")
        _git(folder, "add", "--all")
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        _git(folder, *identity, "commit", "--quiet", "--no-verify", "-m", "copy")

    return copy


@pytest.fixture(scope="session")
def build_wheel() -> Callable[[Path, Path], Path]:
    """Builds the wheel of a source folder without network, unpacked: (source, out) -> site."""

    def build(source: Path, out: Path) -> Path:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(out), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        zipfile.ZipFile(next(out.glob("*.whl"))).extractall(out / "site")
        return out / "site"

    return build


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
