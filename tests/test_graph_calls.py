"""A program that ends amid an epoch ends, and does not wait for its own threads for ever."""

import subprocess
import sys
import threading
import time

import pytest

from mammo_tf.graph_calls import Activity

# The function sleeps, and so holds no lock: it wants the interpreter's lock back when it wakes up,
# which after the end of the interpreter it never gets.
PROGRAM = """
import time
import numpy as np, tensorflow as tf
from mammo_tf.pipelines.feed import make_feed

class Slow(np.ndarray):
    def __getitem__(self, key):
        time.sleep(0.05)
        return super().__getitem__(key)

images = np.zeros((40, 8, 8), "uint8").view(Slow)
feed = make_feed([images], range(40), [0] * 40, input_shape=(8, 8), batch_size=2, seed=0)
batches = iter(feed)
next(batches)
print("ends", flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["", "raise KeyboardInterrupt"])
def test_a_program_may_end_amid_an_epoch(end):
    code = PROGRAM.format(end=end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "ends" in done.stdout, done.stderr
    assert (done.returncode == 0) is (end == "")


def test_waiting_ends_when_nothing_runs_any_more():
    activity = Activity()
    started = time.monotonic()
    assert activity.wait_until_quiet()
    assert time.monotonic() - started < 0.1

    def work():
        for _ in range(3):
            with activity():
                time.sleep(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    assert activity.wait_until_quiet(quiet_s=0.05)
    assert not thread.is_alive()


def test_waiting_has_an_end():
    activity = Activity()
    with activity():
        assert not activity.wait_until_quiet(most_s=0.05)
