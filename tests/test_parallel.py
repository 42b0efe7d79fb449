"""imap_bounded: order, bounded look-ahead, errors, early stop."""

import multiprocessing
import operator
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mammo_tf.errors import UserError
from mammo_tf.parallel import available_cpus, imap_bounded


def test_inline_keeps_order_and_is_lazy():
    taken = []

    def source():
        for value in range(5):
            taken.append(value)
            yield value

    results = imap_bounded(operator.neg, source(), workers=1)
    assert next(results) == 0
    assert taken == [0]
    assert list(results) == [-1, -2, -3, -4]


def test_pool_keeps_order_whatever_finishes_first():
    delays = [0.4, 0.0, 0.2, 0.0]
    results = list(imap_bounded(time.sleep, delays, workers=2))
    assert results == [None] * 4
    values = list(range(-20, 20))
    assert list(imap_bounded(abs, values, workers=2, window=3)) == [abs(v) for v in values]


def test_pool_runs_in_other_processes():
    parents = set(imap_bounded(_process_id, range(4), workers=2))
    assert os.getpid() not in parents


def test_no_more_than_window_items_are_taken():
    taken = []

    def source():
        for value in range(50):
            taken.append(value)
            yield value

    results = imap_bounded(operator.neg, source(), workers=2, window=3)
    for number in range(1, 11):
        next(results)
        assert len(taken) <= number + 2
    results.close()
    assert len(taken) < 50


def test_error_comes_at_its_turn_and_stops_the_pool():
    results = imap_bounded(partial(operator.truediv, 6), [1, 2, 0, 3], workers=2)
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not multiprocessing.active_children()


def test_closing_early_leaves_no_process():
    results = imap_bounded(abs, range(100), workers=2)
    next(results)
    results.close()
    assert not multiprocessing.active_children()


def test_empty_input():
    assert list(imap_bounded(abs, [], workers=2)) == []
    assert list(imap_bounded(abs, [], workers=1)) == []


def test_window_below_one_is_refused():
    with pytest.raises(UserError, match="window"):
        imap_bounded(abs, [1], workers=2, window=0)


def test_available_cpus():
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)


def _process_id(_):
    time.sleep(0.05)
    return os.getpid()


def test_a_script_without_main_guard_is_not_run_again(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('script runs')\n"
        "from mammo_tf.parallel import imap_bounded\n"
        "print(list(imap_bounded(abs, [-1, -2], workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["script runs", "[1, 2]"], done.stderr


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from mammo_tf.parallel import imap_bounded\n"
        "from os import getpid\n"
        "import multiprocessing\n"
        "results = imap_bounded(time.sleep, [0.1] * 10_000, workers=2)\n"
        "for _ in results:\n"
        "    print(*[p.pid for p in multiprocessing.active_children()], flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert pids
    deadline = time.monotonic() + 10
    while any(_is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_is_running(pid) for pid in pids)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_worker_whose_function_lies_in_a_data_set_s_folder_loads_no_tensorflow(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from mammo_tf.parallel import imap_bounded\n"
        "from mammo_tf.testing import loaded_modules\n"
        "if __name__ == '__main__':\n"
        "    names = ('mammo_tf.datasets.cbis_ddsm.ingest',)\n"
        "    print(list(imap_bounded(loaded_modules, [names] * 2, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[[], []]", done.stderr
