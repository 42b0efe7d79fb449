"""The ladder: one image at many JPEG 2000 compression ratios, in one codestream."""

import functools
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.codecs import coder, codestream, record
from mammo_tf.codecs.codestream import Codestream
from mammo_tf.codecs.cratios import check_cratios
from mammo_tf.codecs.record import Step
from mammo_tf.errors import CodecError, UserError
from mammo_tf.limits import MAX_PIXELS

PAPER_CRATIOS = (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)
METHODS = ("layered", "separate")


@dataclass(frozen=True)
class LadderEntry:
    """What one compression ratio came to.

    Attributes:
        cratio: The compression ratio asked for; 1 is lossless.
        achieved_cratio: Bytes of the array as stored (2 a pixel for uint16, however many bits
            are in use; 1 for uint8) over `num_bytes`.
        num_bytes: Size of the stand-alone file of this compression ratio, `codestream(cratio)`:
            headers, the packets of its layers and the end marker. Packet lengths (PLT), which
            only the ladder needs, are not in it and do not count.
        source: "layer" of the shared codestream, or a "separate" one.
    """

    cratio: float
    achieved_cratio: float
    num_bytes: int
    source: str


@dataclass(frozen=True, eq=False)
class Ladder:
    """An image at several compression ratios; made by `encode_ladder` or `Ladder.from_bytes`.

    Immutable, picklable and safe to decode from several threads at once.

    Attributes:
        streams: The codestreams: the shared, layered one first, then those encoded alone.
        steps: Where each compression ratio is, in the order asked for.

    Examples:
        >>> ladder = encode_ladder(np.zeros((64, 48), np.uint16), (1, 20))
        >>> ladder.decode(20).shape, ladder.decode(1, reduce=1).shape
        ((64, 48), (32, 24))
    """

    streams: tuple[Codestream, ...]
    steps: tuple[Step, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.streams[0].shape

    @property
    def dtype(self) -> np.dtype:
        """uint8 or uint16."""
        return self.streams[0].dtype

    @property
    def cratios(self) -> tuple[float, ...]:
        """The compression ratios asked for, in that order."""
        return tuple(step.cratio for step in self.steps)

    @functools.cached_property
    def entries(self) -> tuple[LadderEntry, ...]:
        """What each compression ratio came to, read from the streams' own headers."""
        return tuple(self._entry(step) for step in self.steps)

    def decode(self, cratio: float, reduce: int = 0, *, threads: int = 1) -> np.ndarray:
        """Decodes the image at one compression ratio.

        Args:
            cratio: One of `cratios`.
            reduce: How many times to halve the resolution; far faster than resizing afterwards.
            threads: Threads inside OpenJPEG; the decoder also lets other Python threads run.

        Returns:
            (ceil(height / 2**reduce), ceil(width / 2**reduce)) of `dtype`.

        Raises:
            UserError: If the ladder has no such compression ratio, or cannot be halved so often.
            CodecError: If the stream is damaged.
        """
        step = self._step(cratio)
        stream = self.streams[step.stream]
        most = stream.num_resolutions - 1
        if not isinstance(reduce, numbers.Integral) or not 0 <= reduce <= most:
            raise UserError(
                f"`reduce` must be a whole number from 0 to {most} for this image of "
                f"{self.shape[0]}×{self.shape[1]} pixels. Received: reduce={reduce!r}."
            )
        image = coder.decode(stream.prefix(step.num_layers), reduce=int(reduce), threads=threads)
        expected = tuple(-(-size // (1 << int(reduce))) for size in self.shape)
        if image.shape != expected or image.dtype != self.dtype:
            raise CodecError(
                f"Expected {expected} {self.dtype} from the JPEG 2000 stream; "
                f"OpenJPEG decoded {image.shape} {image.dtype}."
            )
        return image

    def codestream(self, cratio: float) -> bytes:
        """The stand-alone .j2k file of one compression ratio; any JPEG 2000 decoder reads it.

        Raises:
            UserError: If the ladder has no such compression ratio.
        """
        step = self._step(cratio)
        return self.streams[step.stream].prefix(step.num_layers)

    def to_bytes(self) -> bytes:
        """The whole ladder as one byte string, for records (see docs/codec.md)."""
        bits = 8 * self.dtype.itemsize
        return record.pack(self.streams, self.steps, shape=self.shape, bits=bits)

    @classmethod
    def from_bytes(cls, data: bytes, *, max_pixels: int = MAX_PIXELS) -> "Ladder":
        """Reads what `to_bytes` wrote, checking everything before a pixel is decoded.

        Args:
            data: The record's bytes; may be damaged or hostile.
            max_pixels: Larger images are refused.

        Raises:
            CodecError: If the bytes are not a ladder, are cut off, damaged, or too large.
        """
        return cls(*record.unpack(data, max_pixels=max_pixels))

    def _step(self, cratio: float) -> Step:
        for step in self.steps:
            if step.cratio == cratio:
                return step
        known = ", ".join(f"{known:g}" for known in self.cratios)
        raise UserError(f"The ladder has the compression ratios {known}. Received: {cratio!r}.")

    def _entry(self, step: Step) -> LadderEntry:
        stream = self.streams[step.stream]
        num_bytes = stream.prefix_num_bytes(step.num_layers)
        return LadderEntry(
            cratio=step.cratio,
            achieved_cratio=_num_bytes(self) / num_bytes,
            num_bytes=num_bytes,
            source="separate" if stream.layer_bytes is None else "layer",
        )


def encode_ladder(
    image: np.ndarray,
    cratios: Sequence[float] = PAPER_CRATIOS,
    *,
    method: str = "layered",
    tolerance: float = 0.05,
    threads: int = 1,
) -> Ladder:
    """Compresses an image at several compression ratios at once.

    The "layered" method makes one codestream with a quality layer for each compression ratio, so
    that the costly part of the encoder runs once; the pixels are those of separate files to
    within about 0.05 dB. The ladder then checks itself: where a layer came out more than
    `tolerance` away from what was asked, or adds nothing to the layer before, that compression
    ratio is encoded alone too, and the lone stream is kept if it is closer. Nothing is encoded
    alone where it cannot help: the first layer is what a lone encode gives, byte for byte, so it
    also serves every compression ratio that is beyond what it achieved; and none is needed where
    the lossless stream is small enough. What cannot be reached, such as CR 11000 of a small
    image, is left at what was achieved; `Ladder.entries` tells.

    Args:
        image: (height, width) uint8 or uint16; all the container's bits count, as in the paper
            and in OpenJPEG.
        cratios: Compression ratios in any order: distinct, from 1 (lossless) to a million.
        method: "layered", or "separate" for the paper's own way: one encode for each.
        tolerance: How far a layer may be off, as a share of the compression ratio asked for.
        threads: Threads inside OpenJPEG; the bytes are the same.

    Returns:
        The ladder.

    Raises:
        UserError: If an argument is not as described.
        CodecError: If OpenJPEG is missing or fails.

    Reference:
        Jo et al. 2021, Methods: glymur 0.9 with OpenJPEG 2.3, one file for each CR. Layers in
        one file are ours.
    """
    image = _checked_image(image)
    cratios = check_cratios(cratios)
    if method not in METHODS:
        raise UserError(f"`method` must be one of {METHODS}. Received: method={method!r}.")
    if method == "separate":
        streams = tuple(
            codestream.parse(coder.encode(image, [cratio], threads=threads)) for cratio in cratios
        )
        return Ladder(streams, tuple(Step(cratio, k, 1) for k, cratio in enumerate(cratios)))
    order = sorted(cratios, reverse=True)
    data = coder.encode(image, order, packet_lengths=True, threads=threads)
    shared = codestream.parse(data)
    layers = {cratio: layer for layer, cratio in enumerate(order, 1)}
    ladder = Ladder((shared,), tuple(Step(cratio, 0, layers[cratio]) for cratio in cratios))
    return _mend(ladder, image, tolerance, threads)


def _checked_image(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise UserError(
            "`image` must be (height, width) of uint8 or uint16. "
            f"Received: shape {image.shape}, {image.dtype}."
        )
    if image.size > MAX_PIXELS:
        raise UserError(
            f"`image` must have at most {MAX_PIXELS:,} pixels. Received: {image.size:,}."
        )
    return image


def _num_bytes(ladder: Ladder) -> int:
    return math.prod(ladder.shape) * ladder.dtype.itemsize


def _mend(ladder: Ladder, image: np.ndarray, tolerance: float, threads: int) -> Ladder:
    """Encodes alone what its layer misses, and keeps that where it is closer."""
    smallest = ladder._entry(Step(max(ladder.cratios), 0, 1))
    streams, steps = list(ladder.streams), []
    for step, entry in zip(ladder.steps, ladder.entries, strict=True):
        if not _is_off(ladder, step, entry, tolerance):
            steps.append(step)
        elif step.cratio >= smallest.achieved_cratio:
            steps.append(Step(step.cratio, 0, 1))
        else:
            alone = codestream.parse(coder.encode(image, [step.cratio], threads=threads))
            achieved = _num_bytes(ladder) / alone.prefix_num_bytes(1)
            if abs(achieved - step.cratio) < abs(entry.achieved_cratio - step.cratio):
                streams.append(alone)
                step = Step(step.cratio, len(streams) - 1, 1)
            steps.append(step)
    return Ladder(tuple(streams), tuple(steps))


def _is_off(ladder: Ladder, step: Step, entry: LadderEntry, tolerance: float) -> bool:
    if step.cratio == 1 or step.num_layers == 1:
        return False
    lossless = [other.achieved_cratio for other in ladder.entries if other.cratio == 1]
    if lossless and step.cratio <= lossless[0]:
        return False
    empty = ladder.streams[0].layer_is_empty
    together = empty is not None and empty[step.num_layers - 1]
    return together or abs(entry.achieved_cratio / step.cratio - 1) > tolerance
