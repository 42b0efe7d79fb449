"""Finds OpenJPEG and hands it to glymur, so that nobody has to install a system package.

`pip install glymur` ships no codec, but Pillow's wheel carries one, of a version that is pinned
with it. So it goes before the system's, which changes with any update; MAMMO_TF_OPENJPEG asks for
another. glymur decides at import which library it loads, so `configure` must run before anything
imports glymur; every function of `mammo_tf.codecs` sees to that itself. Nothing is written into
the user's home.
"""

import configparser
import contextlib
import ctypes
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.errors import CodecError

_MINIMUM_VERSION = (2, 4)  # glymur refuses older ones, and packet lengths (PLT) came with 2.4
_SYSTEM_NAMES = {
    "darwin": (
        "libopenjp2.7.dylib",
        "/opt/homebrew/lib/libopenjp2.7.dylib",
        "/usr/local/lib/libopenjp2.7.dylib",
    ),
    "win32": ("openjp2.dll",),
}
VARIABLE = "MAMMO_TF_OPENJPEG"  # one of _SOURCES, or the library's path
_SOURCES = ("pillow", "environment", "system")
_REMEDY = (
    "Install Pillow from a wheel (pip install --force-reinstall pillow) or the system's OpenJPEG "
    "(e.g. apt-get install libopenjp2-7)."
)

_lock = threading.Lock()
_configured: "OpenJpegLibrary | None" = None


@dataclass(frozen=True)
class OpenJpegLibrary:
    """The OpenJPEG that is in use.

    Attributes:
        path: File or library name that was loaded.
        version: OpenJPEG's version, e.g. "2.5.4".
        source: "asked" (MAMMO_TF_OPENJPEG), "glymurrc" (the user's own glymur configuration),
            "pillow", "environment" (the Python prefix, as conda has it), "system", or
            "glymur" (glymur was imported before and had found one).
    """

    path: str
    version: str
    source: str


def configure() -> OpenJpegLibrary:
    """Makes glymur use an OpenJPEG: the one asked for, or Pillow's, or the system's.

    Cheap after the first call, and safe from several threads.

    Returns:
        What was found.

    Raises:
        CodecError: If there is none that can be loaded and is recent enough.
    """
    global _configured
    with _lock:
        if _configured is None:
            _configured = _configure()
        return _configured


def _configure() -> OpenJpegLibrary:
    loaded = _loaded_by_glymur()
    if loaded is not None:
        return _ready(OpenJpegLibrary(*loaded, source="glymur"))
    tried = []
    for path, source in _candidates():
        version = _probe(path)
        if version is None and source == "glymurrc":
            raise CodecError(
                f"glymur's configuration file names {path}, which cannot be loaded. "
                "Mend or remove that file."
            )
        if version is None:
            continue
        if _as_tuple(version) < _MINIMUM_VERSION:
            tried.append(f"{path} is version {version}")
            continue
        _import_glymur(path)
        loaded = _loaded_by_glymur()
        if loaded is not None:
            return _ready(OpenJpegLibrary(path, loaded[1], source))
    found = f" ({'; '.join(tried)})" if tried else ""
    if os.environ.get(VARIABLE):
        raise CodecError(
            f"{VARIABLE} must be {', '.join(_SOURCES)} or the path of an OpenJPEG 2.4 or later"
            f"{found}. Received: {os.environ[VARIABLE]}."
        )
    raise CodecError(f"No OpenJPEG 2.4 or later was found{found}. {_REMEDY}")


def _ready(library: OpenJpegLibrary) -> OpenJpegLibrary:
    # ctypes makes a function at its first use. Two threads doing that at the same time could end
    # up calling one whose result type the other has not set yet: so all are made here.
    bindings = importlib.import_module("glymur.lib.openjp2")
    for name in tuple(vars(bindings)):
        with contextlib.suppress(AttributeError):
            getattr(bindings.OPENJP2, f"opj_{name}")
    return library


def _loaded_by_glymur() -> tuple[str, str] | None:
    """(path, version) of the library that an imported glymur holds, None if none is usable."""
    bindings = sys.modules.get("glymur.lib.openjp2")
    if bindings is None or getattr(bindings, "OPENJP2", None) is None:
        return None
    version = bindings.version()
    if _as_tuple(version) < _MINIMUM_VERSION:
        return None
    return str(bindings.OPENJP2._name), version


def _candidates() -> Iterator[tuple[str, str]]:
    asked = os.environ.get(VARIABLE)
    if asked and asked not in _SOURCES:
        yield asked, "asked"
        return
    configured = None if asked else _users_choice()
    if configured:
        yield configured, "glymurrc"
    for path, source in _found():
        if asked in (None, "", source):
            yield path, source


def _found() -> Iterator[tuple[str, str]]:
    """Every place, in the order of `_SOURCES`."""
    for folder in _pillow_folders():
        for path in sorted(folder.glob("libopenjp2*")):
            yield str(path), "pillow"
    for path in sorted(Path(sys.prefix, "lib").glob("libopenjp2*")):
        yield str(path), "environment"
    for name in _SYSTEM_NAMES.get(sys.platform, ("libopenjp2.so.7", "libopenjp2.so")):
        yield name, "system"


def _pillow_folders() -> list[Path]:
    """Where a Pillow wheel keeps its libraries: beside the package (Linux) or in it (macOS)."""
    import PIL

    package = Path(PIL.__file__).parent
    return [package.parent / "pillow.libs", package.parent / "Pillow.libs", package / ".dylibs"]


def _users_choice() -> str | None:
    """The library that the user's glymurrc names; glymur's own search order."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~", ".config").expanduser()
    for path in (Path("glymurrc"), Path(home, "glymur", "glymurrc")):
        if path.is_file():
            parser = configparser.ConfigParser()
            try:
                parser.read(path)
                return parser.get("library", "openjp2", fallback=None)
            except (configparser.Error, UnicodeDecodeError) as error:
                raise CodecError(
                    f"glymur's configuration cannot be read: {path}. Mend or remove it."
                ) from error
    return None


def _probe(path: str) -> str | None:
    """The version of the OpenJPEG at `path`, None if it cannot be loaded."""
    try:
        function = ctypes.CDLL(path).opj_version
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_char_p
    return function().decode()


def _import_glymur(path: str) -> None:
    """Imports glymur so that it loads `path`.

    glymur's structures depend on the library's version at import, so setting the library
    afterwards is not enough; its documented way in is a configuration file.
    """
    for name in [name for name in sys.modules if name.split(".")[0] == "glymur"]:
        del sys.modules[name]
    with tempfile.TemporaryDirectory(prefix="mammo-tf-") as folder:
        configuration = Path(folder, "glymur", "glymurrc")
        configuration.parent.mkdir()
        escaped = path.replace("%", "%%")
        configuration.write_text(f"[library]\nopenjp2: {escaped}\n", encoding="utf-8")
        with _environment("XDG_CONFIG_HOME", folder):
            importlib.import_module("glymur")


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _as_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])
