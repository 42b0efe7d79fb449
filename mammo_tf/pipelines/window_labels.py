"""Windows of whole images and what their masks show: share of breast, share of each finding."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mammo_tf.breast import breast_mask
from mammo_tf.pipelines import records
from mammo_tf.pipelines.cache import fingerprint
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.masks import draw_masks
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress
from mammo_tf.record import ImageInfo

VERSION = 1  # raise it when the same window would show another share


@dataclass(frozen=True, eq=False)
class ImageWindows:
    """The windows of one image.

    Attributes:
        places: (m, 3) int: row and column of a window's middle, and its side, in pixels.
        breast: (m,) float, share of a window that is breast.
        seen: (m, k) float, share of finding k's pixels that a window shows; 0 for a finding
            without pixels.
        filled: (m, k) float, share of a window that finding k fills.
    """

    places: np.ndarray
    breast: np.ndarray
    seen: np.ndarray
    filled: np.ndarray


def window_starts(length: int, side: int, stride: int) -> np.ndarray:
    """Returns where windows begin along an axis: every `stride` pixels, each whole in the image.

    Unlike `sliding.window_middles` none is moved to end at the edge.

    Examples:
        >>> window_starts(10, 4, 3).tolist()
        [0, 3, 6]
    """
    return np.arange(0, length - side + 1, stride)


def measure_windows(
    builder,
    catalog: Catalog,
    *,
    side_px: float,
    stride_px: float,
    cache_dir: str | os.PathLike | None,
    workers: int | None = None,
) -> list[ImageWindows]:
    """Returns the windows of every image, in the catalog's order.

    Args:
        builder: The built data set, with ladders that include CR 1.
        catalog: What it holds.
        side_px: Side of a window in pixels of the image; rounded.
        stride_px: Distance between windows, likewise.
        cache_dir: Where the shares are kept for the next time; None keeps them nowhere.
        workers: Threads; None means one per available core.

    Raises:
        DataError: If a record is damaged.
    """
    records.check_cratios(builder, (1,))
    side, stride = max(1, math.floor(side_px + 0.5)), max(1, math.floor(stride_px + 0.5))
    key = fingerprint(version=VERSION, source=catalog.source, side=side, stride=stride)
    found = records.cached_json(
        cache_dir, "windows", key, lambda: _measure(builder, catalog, side, stride, workers)
    )
    counts = [len(image.findings) for image in catalog.images]
    return [_windows(*row, count) for row, count in zip(found, counts, strict=True)]


def windows_of(info: ImageInfo, breast: np.ndarray, masks: np.ndarray, side: int, stride: int):
    """Returns the `ImageWindows` of one image.

    Args:
        info: The image.
        breast: (height, width) bool, where the breast is.
        masks: (height, width) uint16, bit k set where finding k is.
        side: Side of a window in pixels.
        stride: Pixels from one window to the next.
    """
    starts = [window_starts(length, side, stride) for length in info.shape]
    rows, columns = (axis.ravel() for axis in np.meshgrid(*starts, indexing="ij"))
    places = np.stack([rows + side // 2, columns + side // 2, np.full_like(rows, side)], axis=1)
    planes = [(masks >> np.uint16(k)) & np.uint16(1) for k in range(len(info.findings))]
    inside = np.stack([_sums(plane, rows, columns, side) for plane in (breast, *planes)], axis=1)
    totals = np.array([max(int(plane.sum()), 1) for plane in planes])
    return ImageWindows(
        places=places,
        breast=inside[:, 0] / side**2,
        seen=inside[:, 1:] / totals,
        filled=inside[:, 1:] / side**2,
    )


def _measure(builder, catalog: Catalog, side: int, stride: int, workers) -> list[list]:
    rows = catalog.rows()

    def measure(record: dict) -> tuple[int, list]:
        row = rows[record["image_id"].decode()]
        info = catalog.images[row]
        what = f"Image {info.image_id}"
        if side > min(info.shape):
            return row, [[], [], [], []]
        pixels = records.decode(records.read_ladder(record["image"], what), 1, what)
        masks = draw_masks(info, records.read_masks(record["masks"], what))
        found = windows_of(info, breast_mask(pixels), masks, side, stride)
        shares = (found.breast, found.seen, found.filled)
        return row, [found.places.tolist(), *(np.round(share, 9).tolist() for share in shares)]

    measured: list = [None] * len(catalog.images)
    found: Iterator = map_threaded(measure, records.iterate_records(builder), workers=workers)
    total = records.num_records(builder)
    for row, values in progress(found, description="Looking at windows", total=total, unit="image"):
        measured[row] = values
    return measured


def _windows(places, breast, seen, filled, num_findings: int) -> ImageWindows:
    return ImageWindows(
        places=np.array(places, int).reshape(-1, 3),
        breast=np.array(breast, float),
        seen=np.array(seen, float).reshape(len(places), num_findings),
        filled=np.array(filled, float).reshape(len(places), num_findings),
    )


def _sums(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, side: int) -> np.ndarray:
    """Returns the number of set pixels in each window, by a summed-area table."""
    table = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1), np.int64)
    table[1:, 1:] = plane.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    below, right = rows + side, columns + side
    return table[below, right] - table[rows, right] - table[below, columns] + table[rows, columns]
