"""What compression does to the pixels themselves: CR achieved and PSNR, over some images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf.codecs.jpeg2000 import Ladder
from mammo_tf.codecs.measure import psnr


@dataclass(frozen=True)
class Quality:
    """What one compression ratio did to a sample of images.

    Attributes:
        cratio: The compression ratio asked for.
        achieved: (n,) the compression ratio each image came to.
        psnr_db: (n,) PSNR of each image in dB, 100 for a perfect one.
    """

    cratio: float
    achieved: np.ndarray
    psnr_db: np.ndarray


def measure_quality(ladders: Iterable[Ladder], cratios: Sequence[float]) -> list[Quality]:
    """Measures PSNR against the least compressed image of each ladder.

    Args:
        ladders: Layered codestreams, one an image.
        cratios: Compression ratios in every ladder, ascending; the first is the reference.

    Returns:
        One entry for each of `cratios`.

    Reference:
        Jo et al. 2021, Eq. 1, with MAX = 2^16 − 1 for 16-bit containers and 255 for 8-bit ones.
    """
    achieved, decibels = [], []
    for ladder in ladders:
        reference = ladder.decode(cratios[0])
        peak = np.iinfo(ladder.dtype).max
        reached = {entry.cratio: entry.achieved_cratio for entry in ladder.entries}
        achieved.append([reached[cratio] for cratio in cratios])
        decibels.append(
            [psnr(reference, ladder.decode(cratio), max_value=peak) for cratio in cratios]
        )
    return [
        Quality(cratio, np.array(reached), np.array(values))
        for cratio, reached, values in zip(
            cratios, zip(*achieved, strict=True), zip(*decibels, strict=True), strict=True
        )
    ]
