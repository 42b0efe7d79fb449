"""Feeds hostile files to everything that reads files, and says what came of it: `make fuzz`.

Each input is read in a worker process with capped memory and time. Right is: read, or refused with
one clear line, within 10 s and 1 GB beyond what its own pixels need. Anything else is bad: the
input is kept, and the exit code is 1.

The inputs of a seed are always the same. A run in the same folder goes on where the last one
stopped; `--replay FILE...` reads kept inputs again.
"""

import argparse
import collections
import itertools
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from mammo_tf.files import write_json
from mammo_tf.hostile.capped import ACCEPTED, ERROR, KILLED, REFUSED, CappedWorker, Outcome
from mammo_tf.hostile.inputs import TARGETS

COLUMNS = ("tried", ACCEPTED, REFUSED, ERROR, KILLED, "> 10 s", "> 1 GB", "bad")
STATE = "state.json"
SAVE_EVERY = 100
LEAST_INPUTS = 22  # of each target in each run, some damaged files and a bomb


class Workers:
    """One worker process for each function, started when first needed."""

    def __init__(self):
        self._workers: dict[str, CappedWorker] = {}

    def run(self, function: str, path: Path) -> Outcome:
        """Applies a function of `mammo_tf.hostile.targets` to a file."""
        if function not in self._workers:
            self._workers[function] = CappedWorker(f"mammo_tf.hostile.targets:{function}")
        return self._workers[function].run(path)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        for worker in self._workers.values():
            worker.close()


def load_state(path: Path, seed: int) -> dict[str, dict]:
    """For each target the round, the place in it and the counts, of an earlier run if any."""
    state = json.loads(path.read_text()) if path.is_file() else {"seed": seed, "targets": {}}
    if state["seed"] != seed:
        sys.exit(f"{path} is of seed {state['seed']}; give another folder.")
    for name in TARGETS:
        start = {"round": 0, "place": 0, "counts": dict.fromkeys(COLUMNS, 0)}
        state["targets"].setdefault(name, start)
    return state


class Fuzzer:
    """Goes on with targets where an earlier run stopped; the state is written as it goes."""

    def __init__(self, seed: int, folder: Path, workers: Workers):
        self._seed, self._folder, self._workers = seed, folder, workers
        self.state = load_state(folder / STATE, seed)

    def run(self, name: str, deadline: float, limit: int) -> None:
        """Tries inputs of one target until the deadline, but some, or until `limit` were tried."""
        progress = self.state["targets"][name]
        least = progress["counts"]["tried"] + LEAST_INPUTS
        with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
            for kind, content in self._inputs(name, Path(scratch)):
                tried = progress["counts"]["tried"]
                if tried >= limit or (tried >= least and time.monotonic() >= deadline):
                    break
                self._try(name, kind, content, Path(scratch))
                progress["place"] += 1
                if progress["counts"]["tried"] % SAVE_EVERY == 0:
                    self.save()
        self.save()

    def save(self) -> None:
        """Writes the state."""
        write_json(self._folder / STATE, self.state)

    def _inputs(self, name: str, scratch: Path) -> Iterator[tuple[str, bytes]]:
        """Yields the inputs that have not been tried."""
        progress = self.state["targets"][name]
        while True:
            key = (self._seed, zlib.crc32(name.encode()), progress["round"])
            yield from itertools.islice(TARGETS[name].round(scratch, key), progress["place"], None)
            progress.update(round=progress["round"] + 1, place=0)

    def _try(self, name: str, kind: str, content: bytes, scratch: Path) -> None:
        target, progress = TARGETS[name], self.state["targets"][name]
        path = scratch / target.file_name
        path.write_bytes(content)
        outcome = self._workers.run(target.function, path)
        count(progress["counts"], outcome)
        if outcome.is_bad:
            place = f"{name}-{progress['round']}-{progress['place']}-{kind}"
            keep(self._folder / "bad" / place, target, path, outcome)


def count(counts: dict[str, int], outcome: Outcome) -> None:
    """Adds one outcome."""
    counts["tried"] += 1
    counts[outcome.kind] += 1
    counts["> 10 s"] += outcome.is_slow
    counts["> 1 GB"] += outcome.is_large
    counts["bad"] += outcome.is_bad


def keep(folder: Path, target, path: Path, outcome: Outcome) -> None:
    """Keeps a bad input under its own file name, and beside it what it did."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / target.file_name).write_bytes(path.read_bytes())
    write_json(folder / "outcome.json", {"function": target.function, **vars(outcome)})
    print(f"BAD {folder.name}: {outcome}", file=sys.stderr)


def print_table(targets: dict[str, dict]) -> int:
    """Prints one row for each target and the sum; returns how many inputs were bad."""
    rows = {name: collections.Counter(progress["counts"]) for name, progress in targets.items()}
    total = collections.Counter()
    for row in rows.values():
        total.update(row)
    print(f"{'target':<10}" + "".join(f"{column:>10}" for column in COLUMNS))
    for name, row in (*rows.items(), ("sum", total)):
        print(f"{name:<10}" + "".join(f"{row[column]:>10,}" for column in COLUMNS))
    return total["bad"]


def replay(paths: list[Path]) -> int:
    """Reads kept inputs (their folders) again; returns how many are still bad."""
    num_bad = 0
    with Workers() as workers:
        for folder in paths:
            function = json.loads((folder / "outcome.json").read_text())["function"]
            files = [path for path in folder.iterdir() if path.name != "outcome.json"]
            outcome = workers.run(function, files[0])
            num_bad += outcome.is_bad
            print(f"{'BAD' if outcome.is_bad else 'ok '} {folder.name}: {outcome}")
    return num_bad


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="time for all targets together")
    parser.add_argument("--inputs", type=int, default=10**9, help="most inputs a target, all runs")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="state and bad inputs  [default: a new one]")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FOLDER")
    options = parser.parse_args()
    if options.replay:
        sys.exit(replay(options.replay) > 0)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="mammo-tf-fuzz-"))
    names = options.target or list(TARGETS)
    end = time.monotonic() + 60 * options.minutes
    with Workers() as workers:
        fuzzer = Fuzzer(options.seed, folder, workers)
        for k, name in enumerate(names):
            now = time.monotonic()
            fuzzer.run(name, now + max(0.0, end - now) / (len(names) - k), options.inputs)
    num_bad = print_table(fuzzer.state["targets"])
    if num_bad:
        print(f"{num_bad} bad inputs are kept in {folder / 'bad'}.", file=sys.stderr)
    sys.exit(num_bad > 0)


if __name__ == "__main__":
    main()
