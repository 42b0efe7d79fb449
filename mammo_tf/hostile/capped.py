"""Runs a function on one file after another in a worker process with little memory and time.

For tests and `tools/fuzz.py`: what a hostile file costs is measured where it cannot hurt, and a
crash ends the worker alone. Linux only, since it reads /proc.
"""

import dataclasses
import importlib
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

GIGABYTE = 1 << 30
MAX_SECONDS = 10.0  # the aim of `mammo_tf.limits`
_KILL_AFTER_CPU_SECONDS = 30.0
_KILL_AFTER_SECONDS = 180.0  # of doing nothing, or on a machine with much else to do
_START_SECONDS = 600.0
# Above the aim, so that what exceeds it is measured rather than seen as a failed allocation.
_ADDRESS_SPACE_BYTES = 4 * GIGABYTE

_READY = b"ready\n"
ACCEPTED, REFUSED, ERROR, KILLED = "accepted", "refused", "error", "killed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one input came to.

    Attributes:
        kind: "accepted", "refused" (a `UserError`), "error" (any other exception) or "killed" (by
            a signal, for its time, or by the system).
        message: The exception's, or how the worker ended.
        seconds: CPU time of the worker.
        peak_bytes: Most memory above what the worker had before.
        honest_bytes: What the function says that its result needs.
    """

    kind: str
    message: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    honest_bytes: int = 0

    @property
    def is_slow(self) -> bool:
        """Whether it took longer than `MAX_SECONDS`."""
        return self.seconds > MAX_SECONDS

    @property
    def is_large(self) -> bool:
        """Whether it took more than a gigabyte beyond its honest pixels."""
        return self.peak_bytes > GIGABYTE + self.honest_bytes

    @property
    def is_bad(self) -> bool:
        """Whether it is anything but a right answer or a clean refusal, in time and memory."""
        return self.kind in (ERROR, KILLED) or self.is_slow or self.is_large


class CappedWorker:
    """A process that applies one function to files.

    Args:
        function: "module:name" of a function that takes a path and returns the number of bytes
            that its result honestly needs.
        folders: Folders to import that module from.

    Examples:
        >>> with CappedWorker("mammo_tf.hostile.targets:mammogram") as worker:
        ...     worker.run("/nowhere/a.dcm").kind
        'refused'
    """

    def __init__(self, function: str, folders: tuple[str | os.PathLike, ...] = ()):
        self._function = function
        self._folders = tuple(str(folder) for folder in folders)
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "CappedWorker":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def run(self, path: str | os.PathLike) -> Outcome:
        """Applies the function to one file."""
        if self._process is None:
            self._start()
        process = self._process
        process.stdin.write(f"{json.dumps(str(path))}\n".encode())
        process.stdin.flush()
        if not _answers(process):
            self.close()
            return Outcome(KILLED, "no answer in time", _KILL_AFTER_CPU_SECONDS)
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.close()
            return Outcome(KILLED, f"the process ended with {code}")
        return Outcome(**json.loads(line))

    def close(self) -> None:
        """Ends the process; the next `run` starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def _start(self) -> None:
        path = os.pathsep.join((*self._folders, os.environ.get("PYTHONPATH", "")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mammo_tf.hostile.capped", self._function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path.strip(os.pathsep)},
        )
        select.select([self._process.stdout], [], [], _START_SECONDS)
        if self._process.stdout.readline() != _READY:
            self.close()
            raise RuntimeError(f"The worker for {self._function} does not start.")


def _answers(process: subprocess.Popen) -> bool:
    """Waits for a line of the worker, or until it has taken too long."""
    started, cpu = time.monotonic(), _cpu_seconds(process.pid)
    while not select.select([process.stdout], [], [], 1.0)[0]:
        is_busy = _cpu_seconds(process.pid) - cpu > _KILL_AFTER_CPU_SECONDS
        if is_busy or time.monotonic() - started > _KILL_AFTER_SECONDS:
            return False
    return True


def _cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _attempt(function: Callable[[str], int], path: str) -> Outcome:
    from mammo_tf.errors import UserError

    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before, started = _status_bytes("VmRSS"), time.process_time()
    kind, message, honest = ACCEPTED, "", 0
    try:
        honest = function(path)
    except UserError as error:
        kind, message = REFUSED, str(error)
        if "\n" in message or not message:
            kind = ERROR
    except Exception as error:
        kind, message = ERROR, f"{type(error).__name__}: {error}"[:500]
    seconds = time.process_time() - started
    peak = max(0, _status_bytes("VmHWM") - before)
    return Outcome(kind, message[:500], round(seconds, 3), peak, honest)


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _main() -> None:
    module, name = sys.argv[1].split(":")
    function = getattr(importlib.import_module(module), name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _status_bytes("VmSize") + _ADDRESS_SPACE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    answers.write(_READY.decode())
    answers.flush()
    for line in sys.stdin:
        outcome = _attempt(function, json.loads(line))
        answers.write(json.dumps(dataclasses.asdict(outcome)) + "\n")
        answers.flush()


if __name__ == "__main__":
    _main()
