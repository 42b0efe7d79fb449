"""Reads TFDS records of this project with their images as ladders, one after the other."""

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf import files
from mammo_tf.codecs import openjpeg
from mammo_tf.codecs.cratios import join_cratios
from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.errors import CodecError, DataError, UserError

logger = logging.getLogger(__name__)


def check_cratios(builder, cratios: Sequence[float]) -> tuple[float, ...]:
    """Checks that a built data set holds these compression ratios, and readies the codec.

    Args:
        builder: A built TFDS builder of this project's.
        cratios: The ratios wanted.

    Returns:
        The ratios, as a tuple.

    Raises:
        UserError: If there is none, the configuration keeps no ladders, or a ratio is missing.
    """
    held = tuple(getattr(builder.builder_config, "cratios", None) or ())
    if not held:
        raise UserError(
            f"{builder.info.full_name} keeps no compression ratios. Use its configuration 'ladder'."
        )
    cratios = tuple(cratios)
    missing = [cratio for cratio in cratios if cratio not in held]
    if missing or not cratios:
        raise UserError(
            f"{builder.info.full_name} holds CR {join_cratios(held)}. "
            f"Received: {join_cratios(missing) or 'none'}. "
            "Build it with --cratios, or choose others."
        )
    openjpeg.configure()
    return cratios


def iterate_records(builder, *, split: str | None = None) -> Iterator[dict[str, Any]]:
    """Yields every record as NumPy values, images and masks as the bytes stored.

    Files are read one at a time and in order, so that only a few records are in memory.

    Args:
        builder: The TFDS builder, built.
        split: One split; None for all.
    """
    import tensorflow_datasets as tfds

    decoders = dict.fromkeys(("image", "masks"), tfds.decode.SkipDecoding())
    read_config = tfds.ReadConfig(
        interleave_cycle_length=1,
        num_parallel_calls_for_interleave_files=1,
        num_parallel_calls_for_decode=1,
        try_autocache=False,
    )
    for name in sorted(builder.info.splits) if split is None else [split]:
        dataset = builder.as_dataset(
            split=name, decoders=decoders, read_config=read_config, shuffle_files=False
        )
        yield from _readable(tfds.as_numpy(dataset), builder)


def _readable(found: Iterable[dict], builder) -> Iterator[dict]:
    """Passes records on; what TensorFlow says of a damaged file becomes one line."""
    import tensorflow as tf

    try:
        yield from found
    except tf.errors.OpError as error:
        raise DataError(
            f"{builder.data_dir} is damaged ({type(error).__name__}). Delete that folder and "
            "build the data set again."
        ) from None


def num_records(builder) -> int:
    """Number of records in all splits together."""
    return sum(split.num_examples for split in builder.info.splits.values())


def read_ladder(content: bytes, what: str) -> Ladder:
    """Opens a record's ladder.

    Raises:
        DataError: If it is damaged; the message begins with `what`.
    """
    try:
        return Ladder.from_bytes(content)
    except CodecError as error:
        raise _damaged(what, error) from error


def decode(ladder: Ladder, cratio: float, what: str):
    """Decodes a record's ladder at one ratio.

    Raises:
        DataError: If it is damaged; the message begins with `what`.
    """
    try:
        return ladder.decode(cratio)
    except CodecError as error:
        raise _damaged(what, error) from error


def read_masks(content: bytes, what: str) -> np.ndarray | None:
    """Opens a record's masks: (height, width) uint16, or None where the record has none.

    Raises:
        DataError: If they are damaged; the message begins with `what`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            masks = np.asarray(picture).astype(np.uint16)
    except (OSError, ValueError, SyntaxError) as error:
        raise _damaged(what, error) from error
    return None if masks.shape == (1, 1) else masks


def _damaged(what: str, error: Exception) -> DataError:
    return DataError(f"{what} cannot be decoded; build the data set again. {error}")


def is_phantom(builder) -> bool:
    """Whether the data set's pixels are synthetic."""
    return bool((builder.info.metadata or {}).get("is_phantom", False))


def source_fingerprint(builder) -> str:
    """What a built data set was made from and how: changes whenever its records may."""
    metadata = dict(builder.info.metadata or {})
    splits = {
        name: [split.num_bytes, list(split.shard_lengths)]
        for name, split in builder.info.splits.items()
    }
    parts = [builder.info.full_name, metadata.get("source_fingerprint", ""), splits]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()[:16]


def cached_json(
    folder: str | os.PathLike | None, name: str, key: str, make: Callable[[], Any]
) -> Any:
    """Returns what `make` returns, kept as JSON in `folder` for the next time.

    Args:
        folder: Where to keep it; None does not.
        name: Beginning of the file's name.
        key: What the value was made from; part of the name.
        make: Gives a value that JSON can hold.

    Returns:
        The value. A damaged file is made anew, with a warning in the log.
    """
    if folder is None:
        return make()
    path = Path(folder) / f"{name}-{key}.json"
    if path.exists():
        try:
            return files.read_checked_json(path, key=key)
        except (OSError, ValueError) as error:
            logger.warning("%s is damaged and is made anew: %s", path, error)
    value = json.loads(json.dumps(make()))
    files.write_checked_json(path, value, key=key)
    return value
