"""Finding OpenJPEG: in fresh processes, since a process loads it once."""

import os
import subprocess
import sys

import PIL
import pytest

from mammo_tf.codecs import openjpeg
from mammo_tf.errors import CodecError

SHOW = "from mammo_tf.codecs import openjpeg; print(openjpeg.configure())"
ENCODE = (
    "import numpy as np; from mammo_tf.codecs.jpeg2000 import encode_ladder;"
    "x = np.arange(600, dtype=np.uint16).reshape(20, 30);"
    "assert (encode_ladder(x, (1, 9)).decode(1) == x).all()"
)


def run(code, home, **environment):
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )


def pillows_library():
    for folder in openjpeg._pillow_folders():
        for path in folder.glob("libopenjp2*"):
            return path
    return pytest.skip(f"this Pillow ({PIL.__version__}) carries no OpenJPEG of its own")


def test_it_is_found_and_nothing_is_written_to_the_home(tmp_path):
    result = run(f"{SHOW}; {ENCODE}", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "source='" in result.stdout
    assert not list(tmp_path.iterdir())


def test_it_is_mended_when_glymur_was_imported_before_and_found_none(tmp_path):
    """glymur's structures depend on the version at import: they must be made anew."""
    pillows_library()
    hide = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None;"
        "import glymur; assert glymur.version.openjpeg_version == '0.0.0';"
    )
    result = run(f"{hide}{SHOW}; {ENCODE}; import glymur; print(glymur.version.info)", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "0.0.0" not in result.stdout


def test_the_users_own_configuration_goes_first(tmp_path):
    library = pillows_library()
    linked = tmp_path / "100% mine" / "libmine.so"
    linked.parent.mkdir()
    linked.symlink_to(library)
    configuration = tmp_path / ".config" / "glymur" / "glymurrc"
    configuration.parent.mkdir(parents=True)
    escaped = str(linked).replace("%", "%%")
    configuration.write_text(f"[library]\nopenjp2: {escaped}\n")
    result = run(f"{SHOW}; {ENCODE}", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "source='glymurrc'" in result.stdout and str(linked) in result.stdout


def test_a_configuration_that_names_no_library_is_an_error_not_a_fallback(tmp_path):
    folder = tmp_path / "glymur"
    folder.mkdir()
    (folder / "glymurrc").write_text("[library]\nopenjp2: /nowhere/libopenjp2.so\n")
    result = run(SHOW, tmp_path, XDG_CONFIG_HOME=str(tmp_path))
    assert "CodecError" in result.stderr
    assert "/nowhere/libopenjp2.so, which cannot be loaded" in result.stderr


def test_pillows_goes_first_and_another_must_be_asked_for(tmp_path):
    library = pillows_library()
    assert "source='pillow'" in run(SHOW, tmp_path).stdout
    linked = tmp_path / "libmine.so"
    linked.symlink_to(library)
    asked = run(f"{SHOW}; {ENCODE}", tmp_path, MAMMO_TF_OPENJPEG=str(linked))
    assert f"path='{linked}'" in asked.stdout and "source='asked'" in asked.stdout
    failed = run(SHOW, tmp_path, MAMMO_TF_OPENJPEG="/nowhere.so")
    assert "MAMMO_TF_OPENJPEG must be pillow, environment, system or the path" in failed.stderr


def test_only_the_place_asked_for_is_looked_at(monkeypatch):
    places = [("a.so", "pillow"), ("b.so", "system")]
    monkeypatch.setattr(openjpeg, "_found", lambda: iter(places))
    monkeypatch.setattr(openjpeg, "_users_choice", lambda: "c.so")
    assert [*openjpeg._candidates()] == [("c.so", "glymurrc"), *places]
    monkeypatch.setenv("MAMMO_TF_OPENJPEG", "system")
    assert [*openjpeg._candidates()] == [("b.so", "system")]


def test_none_at_all_is_one_clear_sentence(monkeypatch):
    monkeypatch.setattr(openjpeg, "_loaded_by_glymur", lambda: None)
    monkeypatch.setattr(openjpeg, "_candidates", lambda: iter([("/nowhere.so", "system")]))
    with pytest.raises(CodecError, match=r"^No OpenJPEG 2\.4 or later was found\. Install Pillow"):
        openjpeg._configure()


def test_one_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(openjpeg, "_loaded_by_glymur", lambda: None)
    monkeypatch.setattr(openjpeg, "_candidates", lambda: iter([("/old.so", "system")]))
    monkeypatch.setattr(openjpeg, "_probe", lambda path: "2.3.1")
    with pytest.raises(CodecError, match=r"/old\.so is version 2\.3\.1"):
        openjpeg._configure()


def test_the_codecs_do_not_import_tensorflow_and_import_no_codec_at_once(tmp_path):
    modules = "jpeg2000, measure, images, record, codestream, coder"
    code = (
        f"import sys; from mammo_tf.codecs import {modules};"
        "assert not {'tensorflow', 'keras', 'glymur', 'pydicom'} & set(sys.modules)"
    )
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr
