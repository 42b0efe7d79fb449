"""CBIS-DDSM: which series belong to which of the four label files, and all of their files."""

import os
import re
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from mammo_tf.errors import DataError, UserError
from mammo_tf.fetch.index import Series, list_series, series_folder
from mammo_tf.fetch.objects import ENDPOINT, check_endpoint, fetch_series, is_there
from mammo_tf.progress import progress

COLLECTION = "cbis_ddsm"
MAX_FAILURES = 20  # after so many the store, or the way to it, is down
LABEL_FILES = (
    "The four label files (CSV) are not in this archive: download them from "
    "https://www.cancerimagingarchive.net/collection/cbis-ddsm/ into the same folder."
)

_FOLDER = re.compile(
    r"(Mass|Calc)-(Training|Test)_(P_\d{5})_(?:LEFT|RIGHT)_(?:CC|MLO)(?:_\d+)?", re.ASCII
)
# 396 series of the calcifications' test set name themselves after a file.
_FILE = re.compile(r"(P_\d{5})_(?:LEFT|RIGHT)_(?:CC|MLO)(?:_\d+)?\.dcm", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be downloaded.

    Attributes:
        folder: Where to.
        series: All series that were chosen.
        missing: Those that are not completely there.
    """

    folder: Path
    series: tuple[Series, ...]
    missing: tuple[Series, ...]

    def describe(self) -> dict[str, int]:
        """Numbers of series, files and bytes: chosen, and missing."""
        return {
            "series": len(self.series),
            "files": sum(one.num_files for one in self.series),
            "bytes": sum(one.num_bytes for one in self.series),
            "missing_series": len(self.missing),
            "missing_files": sum(one.num_files for one in self.missing),
            "missing_bytes": sum(one.num_bytes for one in self.missing),
        }


def plan_fetch(
    folder: str | os.PathLike,
    *,
    only: str | None = None,
    split: str | None = None,
    patients: Iterable[str] = (),
) -> Plan:
    """Chooses the series to download; nothing is fetched.

    Args:
        folder: Where to.
        only: "mass" or "calc"; None for both.
        split: "train" or "test"; None for both.
        patients: Patient ids such as "P_00001"; none means all.

    Raises:
        UserError: If the index is not installed, or nothing fits.
    """
    wanted = frozenset(patients)
    chosen = tuple(
        one
        for one in list_series(COLLECTION)
        if _fits(one, only=only, split=split, patients=wanted)
    )
    if not chosen:
        raise UserError(
            "No series of the archive fits what was asked for (--only, --split, --patient; patient "
            "ids are of the form P_00001)."
        )
    root = Path(folder)
    missing = tuple(
        one for one in chosen if not is_there(one, series_folder(root, COLLECTION, one))
    )
    return Plan(folder=root, series=chosen, missing=missing)


def fetch(plan: Plan, *, endpoint: str = ENDPOINT, workers: int = 4) -> None:
    """Downloads what is missing. May be stopped and called again.

    Args:
        plan: What `plan_fetch` chose.
        endpoint: The store's address; "{bucket}" in it stands for a series' bucket.
        workers: Series that are fetched at the same time.

    Raises:
        UserError: If the disk is too small or the address is none.
        DataError: If some series could not be fetched; the others are there.
    """
    endpoint = check_endpoint(endpoint)
    if workers < 1:
        raise UserError(f"The number of workers must be at least 1. Received: {workers}.")
    plan.folder.mkdir(parents=True, exist_ok=True)
    needed, free = plan.describe()["missing_bytes"], shutil.disk_usage(plan.folder).free
    if needed > free:
        raise UserError(
            f"{needed / 1e9:.1f} GB are missing and {plan.folder} has {free / 1e9:.1f} GB free. "
            "Choose a part (--only, --split, --patient) or another disk."
        )
    failures: list[DataError] = []
    lock = threading.Lock()
    with (
        progress(description="Fetching", total=needed, unit="B", scaled=True) as bar,
        ThreadPoolExecutor(workers) as pool,
    ):

        def count(num_bytes: int) -> None:
            with lock:
                bar.update(num_bytes)

        futures = [
            pool.submit(
                fetch_series,
                one,
                series_folder(plan.folder, COLLECTION, one),
                endpoint=endpoint,
                on_bytes=count,
            )
            for one in plan.missing
        ]
        try:
            for future in as_completed(futures):
                if isinstance(error := future.exception(), DataError):
                    failures.append(error)
                elif error is not None:
                    raise error
                if len(failures) >= MAX_FAILURES:
                    break
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if failures:
        raise DataError(
            f"{len(failures)} of {len(plan.missing)} series could not be fetched; the same command "
            f"goes on where it stopped. The first: {failures[0]}"
        )


def _fits(series: Series, *, only: str | None, split: str | None, patients: frozenset) -> bool:
    """Tells by PatientID, which is as the label files have it, save for the odd ones."""
    named = _FOLDER.fullmatch(series.patient_id)
    if named:
        kind, part = named[1].lower(), {"Training": "train", "Test": "test"}[named[2]]
        patient = named[3]
    elif odd := _FILE.fullmatch(series.patient_id):
        kind, part, patient = "calc", "test", odd[1]
    else:  # of no label file
        return not (only or split or patients)
    return only in (None, kind) and split in (None, part) and (not patients or patient in patients)
