"""Finds copies of an image among many: resized, compressed again, brightened, turned, mirrored.

An image is reduced to 64×64 means of its pixels. From these a Gaussian blur is taken away and the
rest divided by its local standard deviation, so that fine structure counts and the outline, which
all breasts share, does not. Two images are compared by the correlation of what is left, in each of
the eight turned and mirrored positions. Shape and size of the images do not matter. Our own method;
its rate of false alarms is in docs/audit.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mammo_tf.progress import progress

SIDE = 64
# Between 0.68, the most that two different images of 2,077 real ones have, and 0.92, the least that
# a copy had which was compressed again or had its gamma changed.
THRESHOLD = 0.8
_TURNS = ("turned 90", "turned 180", "turned 270")  # degrees anticlockwise
POSITIONS = ("as it is", *_TURNS, "mirrored", *(f"{turn} and mirrored" for turn in _TURNS))
_BLUR_SIGMA = 1.0  # in cells of the 64×64 means
_DEVIATION_SIGMA = 2.0
_LEAST_DEVIATION = 0.01  # of the brightest cell: what is flat stays flat
_BLOCK = 512  # images compared at once


@dataclass(frozen=True, order=True)
class Copy:
    """Two images that show the same picture.

    Attributes:
        first: Place of the first image.
        second: Place of the other, above `first`.
        similarity: Correlation of their fine structure, `THRESHOLD` to 1.
        position: How the second lies to the first, one of `POSITIONS`.
    """

    first: int
    second: int
    similarity: float
    position: str


def fingerprint(pixels: np.ndarray) -> np.ndarray:
    """Returns the fine structure of an image.

    Args:
        pixels: (height, width), any type; at least one pixel.

    Returns:
        (64, 64) float32 of length 1; all 0 for an image without structure, which is nobody's copy.
    """
    cells = _means(np.asarray(pixels, np.float64))
    cells = (cells - cells.min()) / max(float(np.ptp(cells)), 1e-9)
    fine = cells - ndimage.gaussian_filter(cells, _BLUR_SIGMA)
    deviation = np.sqrt(ndimage.gaussian_filter(fine**2, _DEVIATION_SIGMA))
    fine = fine / (deviation + _LEAST_DEVIATION)
    fine -= fine.mean()
    length = float(np.sqrt((fine**2).sum()))
    return (fine / length if length > 1e-6 else np.zeros_like(fine)).astype(np.float32)


def find_copies(fingerprints: np.ndarray, *, threshold: float = THRESHOLD) -> Iterator[Copy]:
    """Yields every pair of images of which one is a copy of the other.

    Args:
        fingerprints: (n, 64, 64) float32, see `fingerprint`.
        threshold: Least similarity.

    Returns:
        The pairs, each once, with the position that fits best.
    """
    count = len(fingerprints)
    flat = np.ascontiguousarray(fingerprints.reshape(count, -1))
    starts = range(0, count, _BLOCK)
    with progress(description="Comparing", total=count * (count - 1) // 2, unit="pair") as bar:
        for start in starts:
            first = flat[start : start + _BLOCK]
            for other in range(start, count, _BLOCK):
                second = fingerprints[other : other + _BLOCK]
                yield from _in_block(first, second, start, other, threshold)
            bar.update(sum(count - 1 - place for place in range(start, start + len(first))))


def _in_block(first, second, start: int, other: int, threshold: float) -> Iterator[Copy]:
    found = np.stack([first @ turned.reshape(len(second), -1).T for turned in _turned(second)])
    best = found.max(axis=0)
    for row, column in zip(*np.nonzero(best >= threshold), strict=True):
        if start + row < other + column:
            position = POSITIONS[int(found[:, row, column].argmax())]
            similarity = min(float(best[row, column]), 1.0)
            yield Copy(int(start + row), int(other + column), similarity, position)


def _turned(images: np.ndarray) -> Iterator[np.ndarray]:
    """The images, put back from each of `POSITIONS` to where the first lies."""
    for upright in (images, images[:, :, ::-1]):
        for quarters in range(4):
            yield np.ascontiguousarray(np.rot90(upright, -quarters, axes=(1, 2)))


def _means(pixels: np.ndarray) -> np.ndarray:
    """(64, 64) means of equal rectangles; a pixel on an edge counts for both by its share."""
    for axis in (0, 1):
        pixels = _means_of_rows(pixels.T if axis else pixels)
        pixels = pixels.T if axis else pixels
    return pixels


def _means_of_rows(pixels: np.ndarray) -> np.ndarray:
    height = len(pixels)
    sums = np.concatenate([np.zeros((1, pixels.shape[1])), np.cumsum(pixels, axis=0)])
    edges = np.linspace(0, height, SIDE + 1)
    whole = np.minimum(edges.astype(int), height - 1)
    at_edges = sums[whole] + (edges - whole)[:, np.newaxis] * pixels[whole]
    return np.diff(at_edges, axis=0) * (SIDE / height)
