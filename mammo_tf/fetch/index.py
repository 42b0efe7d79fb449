"""Which series a collection of the Imaging Data Commons has, from the index that PyPI brings."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from mammo_tf.errors import UserError

EXTRA = "mammo_tf[fetch]"
_COLUMNS = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "instanceCount", "series_size_MB"),
    *("aws_bucket", "crdc_series_uuid", "analysis_result_id"),
)
_UID = re.compile(r"[0-9][0-9.]{1,63}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,127}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{2,62}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series of the archive.

    Attributes:
        patient_id: The PatientID, which the archive uses for a folder.
        study, uid: StudyInstanceUID and SeriesInstanceUID.
        num_files, num_bytes: What it holds.
        bucket: Of the object store.
        prefix: Under which its objects are there.
    """

    patient_id: str
    study: str
    uid: str
    num_files: int
    num_bytes: int
    bucket: str = field(repr=False)
    prefix: str = field(repr=False)


def list_series(collection: str) -> tuple[Series, ...]:
    """Lists the series of a collection; results of later analyses are left out.

    Args:
        collection: Its id, e.g. "cbis_ddsm".

    Returns:
        The series, sorted by PatientID and UID.

    Raises:
        UserError: If the index is not installed, or does not have the collection.
    """
    try:
        import pyarrow.parquet
        from idc_index_data import IDC_INDEX_PARQUET_FILEPATH
    except ImportError as error:
        raise UserError(
            f"The archive's index is not installed ({error.name}): pip install '{EXTRA}'."
        ) from None
    table = pyarrow.parquet.read_table(
        IDC_INDEX_PARQUET_FILEPATH,
        columns=list(_COLUMNS),
        filters=[("collection_id", "=", collection)],
    )
    series = [_series(row) for row in table.to_pylist() if not row["analysis_result_id"]]
    if not series:
        raise UserError(f"The installed index has no collection {collection}. Update {EXTRA}.")
    return tuple(sorted(series, key=lambda one: (one.patient_id, one.uid)))


def series_folder(root: Path, collection: str, series: Series) -> Path:
    """Where the archive's own downloader puts a series."""
    return root / collection / series.patient_id / series.study / f"MG_{series.uid}"


def _series(row: dict) -> Series:
    for value, form in (
        (row["PatientID"], _NAME),
        (row["StudyInstanceUID"], _UID),
        (row["SeriesInstanceUID"], _UID),
        (row["aws_bucket"], _BUCKET),
        (row["crdc_series_uuid"], _UUID),
    ):
        if not isinstance(value, str) or not form.fullmatch(value):  # it names folders and hosts
            raise UserError("The installed index has an entry of unknown form. Reinstall it.")
    return Series(
        patient_id=row["PatientID"],
        study=row["StudyInstanceUID"],
        uid=row["SeriesInstanceUID"],
        num_files=int(row["instanceCount"]),
        num_bytes=round(row["series_size_MB"] * 1e6),
        bucket=row["aws_bucket"],
        prefix=row["crdc_series_uuid"],
    )
