"""ncc: a hospital's four-view screening studies, from studies.csv and DICOM files."""

import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from mammo_tf.datasets.base import Item, MammogramBuilder, Source
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.ncc import salt, studies
from mammo_tf.datasets.ncc.paths import file_sizes
from mammo_tf.datasets.phantoms import phantom_metadata
from mammo_tf.dicom import patient_key
from mammo_tf.files import resolve_path
from mammo_tf.ingest import EncodedImage, Job, Rejection, mask_finding
from mammo_tf.record import MammogramRecord


@dataclasses.dataclass(eq=False, kw_only=True)
class NccConfig(LadderConfig):
    """See `LadderConfig`. The default ratios are the paper's.

    Reference: Jo et al. 2021, "Compressed mammograms using different compression ratios", and 1
    for the original.
    """

    VARIANTS: ClassVar[dict] = {"": (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)}


class Builder(MammogramBuilder):
    """TFDS builder "ncc"; README.md beside this file describes the records."""

    CONFIG_CLASS = NccConfig
    DEFAULT_TASK = "pairs"
    UNIT = ("study", "studies")
    TABLE = studies.FILE_NAME
    OPTIONS = ("allow_burned_in", "follow_links", "join_ids")
    HOMEPAGE = "https://www.nature.com/articles/s41598-021-86726-w"
    EXTRA: ClassVar[dict[str, Any]] = {
        "model": tfds.features.Text(),
        "implant": tfds.features.ClassLabel(names=("unknown", "no", "yes")),
        "view_modifiers": tfds.features.Text(),
        "is_lossy": np.bool_,
        "orientation_source": tfds.features.Text(),
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put studies.csv into the manual directory, and the DICOM files that it names below it; "
        "docs/data-formats.md describes the table. To try it without data: "
        "mammo-tf phantom ncc OUT --studies 40 --seed 1"
    )

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        folder = _find_folder(manual_dir)
        good, bad = studies.read_studies(
            folder,
            follow_links="follow_links" in self.options,
            join_ids="join_ids" in self.options,
            note=studies.print_note if create_salt else lambda line: None,
        )
        secret = salt.find_or_create_salt(folder) if create_salt else salt.find_salt(folder)
        if secret is None:  # built before, and the salt is gone since
            return Source((), (), "no salt", lambda part: iter(()))
        metadata = phantom_metadata(folder)
        sizes = file_sizes(folder, good)
        good, without_files = studies.put_aside_missing(good, sizes)
        items = tuple(
            Item(
                key=f"{study.patient_id}\n{study.study_id}",
                row=study.row,
                patient=study.patient_id,
                stratum=study.worst_finding,
                content=(study, patient_key(study.patient_id, secret), _study_key(study, secret)),
            )
            for study in good
        )
        rejected = tuple(
            Rejection(
                _study_key(study, secret) if study.patient_id else "", study.row, study.reason
            )
            for study in (*bad, *without_files)
        )
        fingerprint = _fingerprint(folder, sizes, metadata, secret)
        return Source(items, rejected, fingerprint, lambda part: self._jobs(folder, part), metadata)

    def _jobs(self, folder: Path, items: list[Item]) -> Iterator[tuple[Item, Job]]:
        options = {name: name in self.options for name in ("follow_links", "allow_burned_in")}
        for item in items:
            study, _, exam = item.content
            yield item, Job(exam, study.views, self._job_cratios, str(folder), **options)

    def _records(self, item: Item, result: dict[str, EncodedImage]) -> Iterator[MammogramRecord]:
        study, patient, exam = item.content
        ages = {image.age_years for image in result.values()} - {-1}
        vendors = {image.vendor for image in result.values()} - {""}
        for name, encoded in result.items():
            side, view = name.split("_")
            label = study.findings[side]
            finding = None
            if encoded.masks is not None:
                finding = mask_finding(encoded.masks, label=label)
            yield MammogramRecord(
                image_id=f"{exam}-{name}",
                patient_id=patient,
                exam_id=exam,
                laterality=side[0].upper(),
                view=view.upper(),
                # The table labels breasts. Without a mask nothing says which view shows the lesion.
                label=label if finding or label == "normal" else "unknown",
                breast_label=label,
                exam_label=studies.FINDINGS[study.worst_finding],
                birads=study.birads[side],
                age_years=study.age if study.age >= 0 else min(ages, default=-1),
                vendor=study.vendor or min(vendors, default=""),
                image=encoded.image,
                shape=encoded.shape,
                bits_stored=encoded.bits_stored,
                pixel_spacing_mm=encoded.pixel_spacing_mm,
                findings=(finding,) if finding else (),
                masks=encoded.masks,
                extra=encoded.device,
            )


def _find_folder(manual_dir: Path) -> Path:
    for folder in (manual_dir, manual_dir / "ncc"):
        if (folder / studies.FILE_NAME).is_file():
            return resolve_path(folder)
    return resolve_path(manual_dir)


def _study_key(study, secret: str) -> str:
    """A key of its own: a study's id may be a patient's, or be used by two patients."""
    return patient_key(f"{study.patient_id}\n{study.study_id}", secret)


def _fingerprint(folder: Path, sizes: dict[str, int], metadata: dict, secret: str) -> str:
    """Covers the table, the marker and every file's size; keyed, so that no id can be guessed."""
    key = salt.fingerprint_key(secret)
    digest = hmac.new(key, digestmod=hashlib.sha256)
    with (folder / studies.FILE_NAME).open("rb") as table:
        while block := table.read(1 << 20):
            digest.update(block)
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    for path in sorted(sizes):
        digest.update(b"%d " % sizes[path])
    return digest.hexdigest()
