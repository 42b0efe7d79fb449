"""A full disk and a read-only one, on a real file system: one line, exit code 2, nothing lost."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# In a mount namespace of its own, so that nobody else sees the small disk.
SCRIPT = """
set -e
mount -t tmpfs -o size=$3 tmpfs "$2"
try() {
    code=0
    "$1" -c 'from mammo_tf.cli.main import main; main()' \\
        phantom ncc "$2/raw" --studies 6 --scale 0.125 >/dev/null 2>"$4/$5.txt" || code=$?
    echo "$code" >"$4/$5.code"
}
try "$1" "$2" "" "$4" full
find "$2" -name '.*' -type f >"$4/left.txt"
mount -o remount,ro "$2"
find "$2" -type f -exec md5sum {} + | sort >"$4/before.txt"
try "$1" "$2" "" "$4" readonly
find "$2" -type f -exec md5sum {} + | sort >"$4/after.txt"
mount -o remount,rw,size=64m "$2"
try "$1" "$2" "" "$4" room
cp -r "$2/raw" "$4/raw"
"""


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = (
        "d=$(mktemp -d); mount -t tmpfs -o size=16k tmpfs $d && umount $d; c=$?; rmdir $d; exit $c"
    )
    return not subprocess.run(["unshare", "-m", "sh", "-c", trial], capture_output=True).returncode


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_command_goes_on_when_there_is_room_again(tmp_path):
    if not may_mount():
        pytest.skip("MOUNTING A SMALL DISK IS NOT PERMITTED HERE: a full one is not tested")
    disk, told = tmp_path / "disk", tmp_path / "told"
    disk.mkdir()
    told.mkdir()
    words = ["unshare", "-m", "sh", "-c", SCRIPT, "sh", sys.executable, disk, "100k", told]
    done = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr

    for name, message in (("full", "No space left on the disk"), ("readonly", "read-only")):
        assert (told / f"{name}.code").read_text().strip() == "2"
        lines = (told / f"{name}.txt").read_text().replace("\r", "\n").splitlines()
        assert [line for line in lines if "Error" in line] == [lines[-1]]
        assert message in lines[-1] and "Traceback" not in "".join(lines)
    assert not (told / "left.txt").read_text()  # no half-written file
    assert (told / "before.txt").read_text() == (told / "after.txt").read_text()

    assert (told / "room.code").read_text().strip() == "0"
    code = "from mammo_tf.cli.main import main; main()"
    undisturbed = ["phantom", "ncc", tmp_path / "raw", "--studies", "6", "--scale", "0.125"]
    subprocess.run([sys.executable, "-c", code, *undisturbed], check=True, capture_output=True)
    assert content(told / "raw") == content(tmp_path / "raw")
