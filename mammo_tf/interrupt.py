"""Ctrl-C that is never lost: Python drops a KeyboardInterrupt raised while a destructor runs."""

import os
import signal
import threading

_asked = threading.Event()


def watch() -> None:
    """Remembers every Ctrl-C from now on, besides raising KeyboardInterrupt as usual.

    Signals reach the main thread only; elsewhere this does nothing.
    """
    if threading.current_thread() is threading.main_thread():
        _asked.clear()
        signal.signal(signal.SIGINT, _remember)


def check() -> None:
    """Raises KeyboardInterrupt if Ctrl-C came and was lost; called after each epoch and cell."""
    if _asked.is_set():
        _asked.clear()
        raise KeyboardInterrupt


def ignore_in_worker() -> None:
    """Lets the process that started this one decide what Ctrl-C does.

    A terminal sends it to all processes at once, and each worker would print a traceback.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _remember(_number, _frame) -> None:
    if _asked.is_set():  # a second Ctrl-C, and the first one found nobody who listens
        os._exit(130)
    _asked.set()
    raise KeyboardInterrupt
