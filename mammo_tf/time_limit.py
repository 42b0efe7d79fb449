"""Ends the reading of a file that takes too long, should every other cap have missed it."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from mammo_tf.errors import DataError
from mammo_tf.limits import MAX_SECONDS

_AGAIN_SECONDS = 1.0  # a library may have swallowed the first exception


@contextlib.contextmanager
def time_limit(seconds: float = MAX_SECONDS) -> Iterator[None]:
    """Raises `DataError` in the block once it has taken `seconds`.

    A decoder that runs in C is ended when it returns. Elsewhere than in a main thread, and on
    systems without interval timers, there is no limit.

    Args:
        seconds: Wall-clock time.

    Raises:
        DataError: If the time is up.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        raise DataError(
            f"reading the file takes more than {seconds:g} s; it is damaged, leave it out"
        )

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
