"""Python functions called from TensorFlow's graphs, such that a program can end at any time.

tf.data reads ahead on threads of its own. One that waits for the interpreter's lock when the
interpreter ends never gets it, and the iterator that is torn down waits for that thread for ever:
a program that ends amid an epoch, as after Ctrl-C, would hang. So at exit, while threads still run,
we wait until none of these functions has been called for a moment; whatever reads ahead has then
filled its buffers.
"""

import atexit
import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 0.2
MOST_S = 20.0


class Activity:
    """Knows whether any of the functions that share it runs, or ran a moment ago."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = 0
        self._last = -float("inf")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Marks the time that a function runs."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()

    def wait_until_quiet(self, quiet_s: float = QUIET_S, most_s: float = MOST_S) -> bool:
        """Waits until nothing ran for `quiet_s` seconds. Returns False after `most_s` seconds."""
        end = time.monotonic() + most_s
        while self._running or time.monotonic() - self._last < quiet_s:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@functools.cache
def _activity() -> Activity:
    activity = Activity()
    atexit.register(activity.wait_until_quiet)
    return activity


def numpy_function(function: Callable, inputs, types, *, stateful: bool = True):
    """Returns the tensors that a Python function gives; a `tf.numpy_function` that ends cleanly.

    Args:
        function: Called with NumPy arrays; returns arrays.
        inputs: Tensors.
        types: The TensorFlow type of the result, or one of each.
        stateful: See `tf.numpy_function`.
    """
    import tensorflow as tf

    activity = _activity()

    @functools.wraps(function)
    def watched(*arguments):
        with activity():
            return function(*arguments)

    return tf.numpy_function(watched, inputs, types, stateful=stateful)
