"""The last resort: reading ends after some time, in worker processes as in commands."""

import re
import signal
import threading
import time

import pytest

from mammo_tf.errors import DataError
from mammo_tf.time_limit import time_limit


def spin(seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_python_code_is_interrupted_and_the_timer_is_gone():
    before = signal.getsignal(signal.SIGALRM)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"more than 0\.1 s"), time_limit(0.1):
        spin()
    assert time.monotonic() - started < 3
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before


def test_a_regular_expression_is_interrupted():
    with pytest.raises(DataError), time_limit(0.1):
        re.match(r"(?:\s+)+x", " " * 40)


def test_a_library_that_swallows_the_first_exception_is_stopped_by_the_next(monkeypatch):
    monkeypatch.setattr("mammo_tf.time_limit._AGAIN_SECONDS", 0.1)
    with pytest.raises(DataError), time_limit(0.1):
        try:
            spin()
        except Exception:
            spin()


def test_what_is_in_time_is_left_alone_and_threads_have_no_limit():
    with time_limit(5.0):
        spin(0.01)
    failures = []

    def run():
        try:
            with time_limit(0.01):
                spin(0.1)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []
