"""Scores every case of a data set at every compression ratio; what is scored is kept."""

import csv
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mammo_tf import interrupt
from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.data_source import OpenData
from mammo_tf.errors import UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.threads import map_threaded
from mammo_tf.progress import progress
from mammo_tf.scoring.load import Scorer, check_score
from mammo_tf.scoring.views import Case, view_of


def score_cases(
    scorer: Scorer,
    data: OpenData,
    cases: Sequence[Case],
    cratios: Sequence[float],
    folder: str | os.PathLike,
) -> dict[float, np.ndarray]:
    """Scores cases; called again after a kill, it does only what is missing.

    Args:
        scorer: The model.
        data: The data set; each image is decoded at full size, nothing is encoded again.
        cases: What gets a score.
        cratios: Compression ratios.
        folder: Where scores are kept, a line a case and ratio as soon as it is scored.

    Returns:
        {compression ratio: (cases,) float64}.

    Raises:
        UserError: If the scorer fails, or gives no probability; what was scored is kept.
        DataError: If a record is damaged.
    """
    cratios = records.check_cratios(data.builder, cratios)
    path = Path(folder) / f"{scorer.fingerprint}.csv"
    kept = _read(path)
    wanted = [(case.case_id, cratio) for case in cases for cratio in cratios]
    missing = {key for key in wanted if key not in kept}
    if missing:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            _opened(path) as lines,
            progress(description="Scoring", total=len(missing), unit="score") as bar,
        ):
            writer = csv.writer(lines, lineterminator="\n")
            for case, ladders in _complete_cases(data, cases, {name for name, _ in missing}):
                own = [cratio for cratio in cratios if (case.case_id, cratio) in missing]
                views = functools.partial(_views, data, case, ladders)
                for cratio, found in zip(own, map_threaded(views, own), strict=True):
                    value = _score(scorer, found, f"{case.case_id} at CR {format_cratio(cratio)}")
                    kept[case.case_id, cratio] = value
                    writer.writerow([case.case_id, format_cratio(cratio), repr(value)])
                    lines.flush()
                    bar.update()
                    interrupt.check()
    return {cratio: np.array([kept[case.case_id, cratio] for case in cases]) for cratio in cratios}


def _score(scorer: Scorer, views, what: str) -> float:
    try:
        value = scorer.score(views)
    except UserError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise UserError(
            f"The scorer {scorer.name} failed on {what} ({type(error).__name__}: {text})."
        ) from error
    return check_score(value, f"The scorer {scorer.name} on {what}")


def _complete_cases(data: OpenData, cases: Sequence[Case], wanted: set[str]) -> Iterator:
    """Yields (case, {row: ladder}) once all images of a case are read; ladders are small."""
    rows = data.catalog.rows()
    case_of = {row: case for case in cases if case.case_id in wanted for row in case.rows}
    waiting: dict[str, dict[int, object]] = {}
    for record in records.iterate_records(data.builder):
        name = record["image_id"].decode()
        row = rows[name]
        if row not in case_of:
            continue
        case = case_of[row]
        found = waiting.setdefault(case.case_id, {})
        found[row] = records.read_ladder(record["image"], f"Image {name}")
        if len(found) == len(case.rows):
            yield case, waiting.pop(case.case_id)


def _views(data: OpenData, case: Case, ladders: dict, cratio: float) -> list:
    infos = [(row, data.catalog.images[row]) for row in case.rows]
    return [
        view_of(info, records.decode(ladders[row], cratio, f"Image {info.image_id}"))
        for row, info in infos
    ]


def _opened(path: Path):
    """Opens the file for further lines; a last one that a kill cut off is taken away."""
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            path.write_bytes(whole)
    return path.open("a", encoding="utf-8", newline="")


def _read(path: Path) -> dict[tuple[str, float], float]:
    """What is kept; lines that are damaged are scored anew."""
    found = {}
    if not path.exists():
        return found
    for line in csv.reader(path.read_text("utf-8", errors="replace").splitlines()):
        try:
            name, cratio, score = line
            value = float(score)
            if 0 <= value <= 1:
                found[name, float(cratio)] = value
        except ValueError:
            continue
    return found
