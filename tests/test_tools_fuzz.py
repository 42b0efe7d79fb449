"""tools/fuzz.py: the same inputs for a seed, a run that goes on, a table, an exit code."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mammo_tf.hostile import inputs, mutators
from mammo_tf.hostile.capped import ACCEPTED, ERROR, REFUSED, Outcome

TOOL = Path(__file__).parents[1] / "tools" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FakeWorkers:
    """Says that every fifth content, by its sum, is an error."""

    def __init__(self):
        self.seen = []

    def run(self, function, path):
        self.seen.append((function, path.name, path.read_bytes()))
        kind = (ERROR, ACCEPTED, REFUSED, REFUSED, ACCEPTED)[sum(path.read_bytes()) % 5]
        return Outcome(kind)


def test_the_command_itself(tmp_path):
    command = [sys.executable, str(TOOL), "--target", "mask", "--target", "grey", "--inputs", "24"]
    command += ["--folder", str(tmp_path), "--minutes", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    head, *rows = (line.split() for line in done.stdout.splitlines())
    assert head[:4] == ["target", "tried", "accepted", "refused"]
    counts = {row[0]: row[1:] for row in rows}
    assert (counts["mask"][0], counts["grey"][0], counts["sum"][0]) == ("24", "24", "48")
    assert counts["sum"][-1] == "0"


@pytest.mark.parametrize("name", sorted(inputs.TARGETS))
def test_a_seed_gives_the_same_inputs_and_another_gives_others(tmp_path, name):
    def first(seed):
        rounds = inputs.TARGETS[name].round(tmp_path, (seed, 1))
        return [next(rounds) for _ in range(21)]

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_a_run_goes_on_where_the_last_one_stopped(tmp_path, fuzz):
    whole, parts = FakeWorkers(), FakeWorkers()
    fuzz.Fuzzer(7, tmp_path / "whole", whole).run("info", float("inf"), 100)
    for limit in (1, 30, 100):
        part = fuzz.Fuzzer(7, tmp_path / "parts", parts)
        part.run("info", float("inf"), limit)
    assert parts.seen == whole.seen
    assert len(whole.seen) == 100
    states = [
        json.loads((tmp_path / name / "state.json").read_text()) for name in ("whole", "parts")
    ]
    assert states[0] == states[1]
    with pytest.raises(SystemExit, match="is of seed 7"):
        fuzz.Fuzzer(8, tmp_path / "parts", parts)


def test_bad_inputs_are_counted_kept_and_read_again(tmp_path, fuzz, capsys, monkeypatch):
    fuzzer = fuzz.Fuzzer(0, tmp_path, FakeWorkers())
    fuzzer.run("studies", float("inf"), 60)
    counts = fuzzer.state["targets"]["studies"]["counts"]
    assert counts["tried"] == 60 == counts[ACCEPTED] + counts[REFUSED] + counts[ERROR]
    assert counts["bad"] == counts[ERROR] > 0
    assert fuzz.print_table(fuzzer.state["targets"]) == counts["bad"]
    kept = sorted((tmp_path / "bad").iterdir())
    assert len(kept) == counts["bad"]
    assert sum((kept[0] / "studies.csv").read_bytes()) % 5 == 0
    monkeypatch.setattr(fuzz.Workers, "run", FakeWorkers().run)
    assert fuzz.replay(kept) == len(kept)


def test_slow_and_large_outcomes_are_bad():
    gigabyte = 1 << 30
    assert not Outcome(ACCEPTED, seconds=9.9, peak_bytes=gigabyte).is_bad
    assert Outcome(ACCEPTED, seconds=10.1).is_bad
    assert Outcome(REFUSED, peak_bytes=gigabyte + 1).is_bad
    assert not Outcome(ACCEPTED, peak_bytes=gigabyte + 100, honest_bytes=100).is_bad
    assert Outcome(ERROR).is_bad


def test_every_mutator_changes_something_and_takes_short_inputs():
    rng = np.random.default_rng(0)
    seeds = (b"P5 48 64 255\n" + bytes(range(256)) * 12,)
    for mutator in mutators._MUTATORS:
        changed = [mutator(seeds[0], seeds, rng) for _ in range(20)]
        assert any(content != seeds[0] for content in changed), mutator.__name__
        for content in (b"1", b"ab"):
            assert isinstance(mutator(content, (content,), rng), bytes)
    assert mutators.mutate((b"",), rng) == b""
