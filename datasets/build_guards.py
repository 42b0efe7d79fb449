"""Context managers that keep a TFDS build within its memory, alone in its folder and readable."""

import contextlib
import errno
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_datasets.core import shuffle
from tensorflow_datasets.core.utils import tqdm_utils

from mammo_tf.errors import DataError, UserError


@contextlib.contextmanager
def alone_in(folder: Path, *, version: str) -> Iterator[None]:
    """Holds a lock on `folder`, which the system drops if the process dies, and tidies it.

    What a killed build of `version` left behind is removed.

    Raises:
        UserError: If another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".build.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(
            f"Another process is building in {folder}. Wait for it, or give another --data-dir."
        ) from None
    with contextlib.ExitStack() as held:
        held.callback(lock.release)
        leftover = re.compile(rf"incomplete\.\w{{6}}_{re.escape(version)}")
        for path in folder.iterdir():
            if leftover.fullmatch(path.name):
                shutil.rmtree(path)
        yield


@contextlib.contextmanager
def small_shuffle_buffer(num_bytes: int) -> Iterator[None]:
    """Makes TFDS's shuffling go to disk after `num_bytes` instead of 1 GB per split."""
    before = shuffle.MAX_MEM_BUFFER_SIZE
    shuffle.MAX_MEM_BUFFER_SIZE = num_bytes
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE = before


@contextlib.contextmanager
def tfds_bars_hidden() -> Iterator[None]:
    """Hides TFDS's three progress bars, which know no total, while ours shows the time left."""
    before = tqdm_utils._active
    tqdm_utils.display_progress_bar(enable=False)
    try:
        yield
    finally:
        tqdm_utils.display_progress_bar(enable=before)


@contextlib.contextmanager
def clear_disk_errors() -> Iterator[None]:
    """Turns TensorFlow's error for a full disk into Python's, which the command line explains."""
    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:  # TFDS wraps some into a RuntimeError
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device") from None
        raise


@contextlib.contextmanager
def clear_damage() -> Iterator[None]:
    """Turns what TFDS raises for a damaged dataset_info.json or metadata.json into one line."""
    try:
        yield
    except (json_format.ParseError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            "The data set's dataset_info.json or metadata.json is damaged "
            f"({type(error).__name__}). Delete the data set's folder and build it again."
        ) from None
