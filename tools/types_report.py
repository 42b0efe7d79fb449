"""Type errors by package: none where types must hold, elsewhere no more than there were.

    python tools/types_report.py            check, as CI does
    python tools/types_report.py --lower    write today's smaller counts as the new ceiling

mypy's version is pinned in tools/constraints.txt; another one finds other errors.
"""

import argparse
import collections
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CEILING = Path(__file__).with_name("types_ceiling.json")
CHECKED = ("mammo_tf", "recipes", "datasets")
STRICT = ("mammo_tf/dicom/", "mammo_tf/codecs/", "mammo_tf/evaluation/", "datasets/schema.py")
_ERROR = re.compile(r"^(?P<path>[^:]+):\d+: error: ")


def main() -> int:
    """Returns the exit code: 1 if there are more errors than may be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lower", action="store_true", help="write smaller counts as the ceiling")
    lower = parser.parse_args().lower
    lines = run_mypy()
    found = collections.Counter(package_of(line) for line in lines)
    allowed = json.loads(CEILING.read_text())
    worse = [name for name, count in sorted(found.items()) if count > allowed.get(name, 0)]
    for line in lines:
        if package_of(line) in worse:
            print(line)
    for name in worse:
        print(f"{name}: {found[name]} type errors, at most {allowed.get(name, 0)} may be.")
    better = {name: found[name] for name, count in allowed.items() if found[name] < count}
    if better and not worse and lower:
        kept = {name: found[name] for name in allowed if found[name]}
        CEILING.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    elif better:
        print(f"Fewer errors than the ceiling in {', '.join(better)}: --lower writes that.")
    print(f"{sum(found.values())} type errors; none in {', '.join(STRICT)}." if not worse else "")
    return 1 if worse else 0


def run_mypy() -> list[str]:
    """Returns mypy's errors, one line each."""
    command = [sys.executable, "-m", "mypy", *CHECKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(done.stdout + done.stderr)
    return [line for line in done.stdout.splitlines() if _ERROR.match(line)]


def package_of(line: str) -> str:
    """Returns the strict part that an error is in, else its package, e.g. "mammo_tf/cli"."""
    path = _ERROR.match(line)["path"]
    strict = next((part for part in STRICT if path.startswith(part)), None)
    return strict or "/".join(path.split("/")[:-1])


if __name__ == "__main__":
    sys.exit(main())
