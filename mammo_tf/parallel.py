"""A process pool that keeps order and holds only a few results at a time."""

import contextlib
import multiprocessing
import os
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mammo_tf import interrupt
from mammo_tf.errors import UserError, WorkerDiedError

Item = TypeVar("Item")
Result = TypeVar("Result")
_is_worker = False


def available_cpus() -> int:
    """How many CPU cores this process may use (at least 1)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def imap_bounded(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int | None,
    window: int | None = None,
) -> Iterator[Result]:
    """Applies `function` to `items` in worker processes, yielding results in order.

    At most `window` items are in flight (sent, running or waiting to be yielded), so memory stays
    flat however long `items` is and however slowly the results are taken. Workers are started
    with the "spawn" method: a forked TensorFlow hangs. So `function` and its items and results
    are pickled, and `function` must be importable (a module-level function or a
    `functools.partial` of one). Workers do not run the caller's script again, unless `function` is
    defined in it; then the script calls this under `if __name__ == "__main__":`.

    Args:
        function: What to apply. An exception it raises is raised here, at its item's turn, and
            items not yet started are dropped.
        items: Any iterable, read lazily.
        workers: Processes; None means one per available core; 1 or less runs in this process.
        window: Most items in flight; None means twice `workers`.

    Returns:
        An iterator over the results, in the order of `items`. Closing it early stops the pool.

    Raises:
        UserError: If `window` is below 1.
        WorkerDiedError: If a worker process ends before its time.

    Examples:
        >>> list(imap_bounded(abs, [-1, 2, -3], workers=1))
        [1, 2, 3]
    """
    workers = available_cpus() if workers is None else workers
    window = 2 * max(workers, 1) if window is None else window
    if window < 1:
        raise UserError(f"`window` must be at least 1. Received: window={window}.")
    if workers <= 1:
        return map(function, items)
    return _imap_in_pool(function, items, workers, window)


def _imap_in_pool(function, items, workers: int, window: int) -> Iterator:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        max_workers=min(workers, window), mp_context=context, initializer=_start_worker
    )
    pending: deque[Future] = deque()
    try:
        for item in items:
            with _caller_hidden(function):
                pending.append(pool.submit(function, item))
            if len(pending) >= window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise WorkerDiedError(
            "A worker process died: memory ran out, or a library crashed. Try --workers 1; the "
            "same command goes on where it was."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_worker() -> bool:
    """Tells whether this process is a worker that `imap_bounded` has started."""
    return _is_worker


def _start_worker() -> None:
    """Ends this worker when the process that started it dies, which a kill -9 alone does not."""
    global _is_worker
    _is_worker = True
    interrupt.ignore_in_worker()

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _caller_hidden(function: Callable) -> Iterator[None]:
    """Keeps a worker that is started here from running the caller's script again.

    It would import TensorFlow anew (20 s and 0.5 GB a worker), and fail where the script has no
    `if __name__ == "__main__":`. "spawn" finds the script through `sys.modules`.
    """
    if getattr(getattr(function, "func", function), "__module__", None) == "__main__":
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
