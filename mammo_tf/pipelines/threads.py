"""Threads for work that releases the interpreter's lock, such as decoding JPEG 2000."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mammo_tf.parallel import available_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_threaded(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Iterator[Result]:
    """Applies `function` in threads, yielding results in order; holds few items at a time.

    `mammo_tf.parallel.imap_bounded` does the same with processes, for work that holds the lock.

    Args:
        function: What to apply. Its exception is raised at its item's turn, and items not yet
            started are dropped.
        items: Any iterable, read lazily and only in the caller's thread.
        workers: Threads; None means one per available core; 1 or less uses none.

    Returns:
        An iterator over the results.

    Examples:
        >>> list(map_threaded(abs, [-1, 2, -3], workers=2))
        [1, 2, 3]
    """
    workers = available_cpus() if workers is None else workers
    if workers <= 1:
        return map(function, items)
    return _map_in_pool(function, items, workers)


def _map_in_pool(function, items, workers: int) -> Iterator:
    pool = ThreadPoolExecutor(max_workers=workers)
    pending = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
