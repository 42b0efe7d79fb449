"""How much tissue some places of images show, measured in one pass over the uncompressed pixels."""

import os
from collections.abc import Sequence

import numpy as np

from mammo_tf.pipelines import matching, records
from mammo_tf.pipelines.cache import fingerprint
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.geometry import spread_to_8_bits
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress

VERSION = 1  # raise it when the same place would give another share
Place = tuple[int, int, int, int]  # row in the catalog; row, column and side of a square in pixels


def measure_tissue(
    builder,
    catalog: Catalog,
    places: Sequence[Place],
    *,
    cache_dir: str | os.PathLike | None,
    workers: int | None = None,
) -> np.ndarray:
    """Returns the share of tissue, 0 to 1, of each place.

    Args:
        builder: The built data set, with ladders that include CR 1.
        catalog: What it holds.
        places: Squares of images; see `matching.tissue_share`.
        cache_dir: Where the shares are kept for the next time; None keeps them nowhere.
        workers: Decoding threads; None means one per available core.

    Returns:
        (n,) float64, in the order of `places`.
    """
    records.check_cratios(builder, (1,))
    wanted = np.array(places, int).reshape(-1, 4)
    key = fingerprint(version=VERSION, source=catalog.source, places=wanted.tolist())
    shares = records.cached_json(
        cache_dir, "tissue", key, lambda: _measure(builder, catalog, wanted, workers).tolist()
    )
    return np.array(shares, float)


def _measure(builder, catalog: Catalog, wanted: np.ndarray, workers) -> np.ndarray:
    rows, order = catalog.rows(), np.argsort(wanted[:, 0], kind="stable")
    first = np.searchsorted(wanted[order, 0], np.arange(len(catalog.images) + 1))

    def measure(record: dict) -> tuple[np.ndarray, list[float]]:
        name = record["image_id"].decode()
        mine = order[first[rows[name]] : first[rows[name] + 1]]
        if not mine.size:
            return mine, []
        what = f"Image {name}"
        pixels = records.decode(records.read_ladder(record["image"], what), 1, what)
        mask = matching.tissue_mask(spread_to_8_bits(pixels))
        return mine, [matching.tissue_share(mask, *place) for place in wanted[mine, 1:].tolist()]

    shares = np.empty(len(wanted))
    found = map_threaded(measure, records.iterate_records(builder), workers=workers)
    total = records.num_records(builder)
    for mine, values in progress(found, description="Measuring tissue", total=total, unit="image"):
        shares[mine] = values
    return shares
