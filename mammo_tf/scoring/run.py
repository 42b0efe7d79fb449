"""Asks a scorer about every case at every compression ratio, straight from the records' ladders."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mammo_tf import interrupt
from mammo_tf.config import to_plain
from mammo_tf.evaluation import ScoredFold
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress
from mammo_tf.record import ImageInfo
from mammo_tf.scoring.cases import Case
from mammo_tf.scoring.load import Scorer
from mammo_tf.scoring.store import ScoreStore

MAX_HELD_BYTES = 1 << 30  # of compressed images that wait for the rest of their case


@dataclass(frozen=True, eq=False)
class _Job:
    case: Case
    cratio: float
    contents: Sequence[bytes]


def scores_key(scorer: Scorer, catalog: Catalog) -> str:
    """Returns what decides a scorer's scores: its file or source, how it is asked, the data set."""
    parts = [scorer.fingerprint, to_plain(scorer.config), catalog.source]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8")).hexdigest()[:16]


def score_cases(
    scorer: Scorer,
    cases: Sequence[Case],
    catalog: Catalog,
    builder,
    cratios: Sequence[float],
    store: ScoreStore,
    *,
    max_held_bytes: int = MAX_HELD_BYTES,
) -> dict[float, ScoredFold]:
    """Scores what is not in the store yet, then returns all.

    Images are decoded from the stored ladders, one compression ratio at a time, and never encoded
    again. Images of one case may lie far apart in the records; what waits for the others is held
    compressed, at most `max_held_bytes` of it, and the records are read again for the rest.

    Args:
        scorer: See `mammo_tf.scoring.load.load_scorer`.
        cases: What gets a score.
        catalog: The data set's.
        builder: The built data set that `catalog` was read from.
        cratios: Compression ratios.
        store: Scores that are there already.
        max_held_bytes: See above; the images of one case are always held.

    Returns:
        For each compression ratio the scored cases, all in one fold, in the order of `cases`.

    Raises:
        UserError: If the scorer fails, or the data set lacks a ratio.
        DataError: If a record is damaged.
    """
    cratios = records.check_cratios(builder, cratios)
    known = {image.image_id: image for image in catalog.images}

    def decode(job: _Job) -> tuple[_Job, list[tuple[np.ndarray, ImageInfo]]]:
        decoded = []
        for image_id, content in zip(job.case.images, job.contents, strict=True):
            what = f"Image {image_id}"
            ladder = records.read_ladder(content, what)
            decoded.append((records.decode(ladder, job.cratio, what), known[image_id]))
        return job, decoded

    missing = {
        case.case_id: [cr for cr in cratios if store.get(case.case_id, cr) is None]
        for case in cases
    }
    todo = [case for case in cases if missing[case.case_id]]
    jobs = (
        _Job(case, cratio, contents)
        for case, contents in gather(todo, builder, max_held_bytes)
        for cratio in missing[case.case_id]
    )
    total = sum(map(len, missing.values()))
    with progress(description="Scoring", total=total, unit="score") as bar:
        for job, decoded in map_threaded(decode, jobs):
            interrupt.check()
            what = f"{job.case.case_id} at CR {job.cratio:g}"
            store.add(job.case.case_id, job.cratio, scorer.score(decoded, what))
            bar.update()
    return {
        cratio: _fold(cases, [store.get(c.case_id, cratio) for c in cases]) for cratio in cratios
    }


def gather(
    cases: Sequence[Case], builder, max_held_bytes: int
) -> Iterator[tuple[Case, list[bytes]]]:
    """Yields each case with the compressed images of it, in its own order.

    Args:
        cases: No image is in two of them.
        builder: The built data set.
        max_held_bytes: Most bytes held of cases that are not complete, but at least one case.
    """
    left = list(cases)
    while left:
        found = set()
        for case, contents in _one_pass(left, records.iterate_records(builder), max_held_bytes):
            found.add(case.case_id)
            yield case, contents
        if not found:
            raise RuntimeError(f"The records hold no image of {left[0].case_id}.")
        left = [case for case in left if case.case_id not in found]


def _one_pass(
    cases: Sequence[Case], found: Iterable[dict], max_held_bytes: int
) -> Iterator[tuple[Case, list[bytes]]]:
    case_of = {image: case for case in cases for image in case.images}
    waiting: dict[str, dict[str, bytes]] = {}
    reserved: dict[str, int] = {}
    passed_over = set()
    for record in found:
        image_id = record["image_id"].decode()
        case = case_of.get(image_id)
        if case is None or case.case_id in passed_over:
            continue
        content = record["image"]
        if case.case_id not in waiting:
            needed = len(content) * len(case.images)
            if waiting and sum(reserved.values()) + needed > max_held_bytes:
                passed_over.add(case.case_id)
                continue
            waiting[case.case_id], reserved[case.case_id] = {}, needed
        held = waiting[case.case_id]
        held[image_id] = content
        if len(held) == len(case.images):
            del waiting[case.case_id], reserved[case.case_id]
            yield case, [held[image] for image in case.images]


def _fold(cases: Sequence[Case], scores: Sequence[float]) -> ScoredFold:
    return ScoredFold(
        labels=np.array([case.label for case in cases], int),
        scores=np.array(scores, np.float64),
        groups=np.array([case.group for case in cases]),
        example_ids=np.array([case.case_id for case in cases]),
    )
