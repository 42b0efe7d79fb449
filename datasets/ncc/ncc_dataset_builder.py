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

from mammo_tf import ingest
from mammo_tf.datasets.base import Item, MammogramBuilder, Source
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.jpeg2000_feature import JPEG2000
from mammo_tf.datasets.ncc import salt, studies
from mammo_tf.dicom import patient_key
from mammo_tf.errors import DataError
from mammo_tf.ingest import EncodedView, Rejection, StudyJob

PHANTOM_NAME = "PHANTOM.json"


@dataclasses.dataclass(eq=False, kw_only=True)
class NccConfig(LadderConfig):
    """See `LadderConfig`. The default ratios are the paper's.

    Reference: Jo et al. 2021, "Compressed mammograms using different compression ratios", and 1
    for the original.
    """

    DEFAULT_CRATIOS: ClassVar[tuple[float, ...]] = (
        *(1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000),
    )


class Builder(MammogramBuilder):
    """TFDS builder "ncc"; README.md beside this file describes the records."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    CONFIG_CLASS = NccConfig
    BUILDER_CONFIGS: ClassVar[list] = [NccConfig(), NccConfig(plain=True)]
    UNIT = ("study", "studies")
    TABLE = studies.FILE_NAME
    OPTIONS = ("allow_burned_in", "follow_links", "join_ids")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put studies.csv into the manual directory, and the DICOM files that it names below it; "
        "docs/data-formats.md describes the table. To try it without data: "
        "mammo-tf phantom ncc OUT --studies 40 --seed 1"
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features
        finding = features.ClassLabel(names=studies.FINDINGS)
        return self.dataset_info_from_configs(
            features=features.FeaturesDict(
                {
                    "study_id": features.Text(),
                    "patient_id": features.Text(),
                    "left_finding": finding,
                    "right_finding": finding,
                    "birads_left": np.int32,
                    "birads_right": np.int32,
                    "age": np.int32,
                    "vendor": features.Text(),
                    "views": {name: self._view_features() for name in studies.VIEWS},
                }
            ),
            homepage="https://www.nature.com/articles/s41598-021-86726-w",
            metadata=tfds.core.MetadataDict(
                is_phantom=False, cratios=list(self.builder_config.cratios)
            ),
        )

    def _view_features(self) -> dict[str, Any]:
        config = self.builder_config
        shape = (None, None, 1)
        if config.plain:
            image = tfds.features.Image(shape=shape, dtype=np.uint16, encoding_format="png")
        else:
            image = JPEG2000(shape=shape, dtype=np.uint16, cratios=config.cratios)
        return {
            "image": image,
            "bits_stored": np.int32,
            "pixel_spacing_mm": tfds.features.Tensor(shape=(2,), dtype=np.float32),
            "mask": tfds.features.Text(),
        }

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        folder = _find_folder(manual_dir)
        good, bad = studies.read_studies(folder, follow_links="follow_links" in self.options)
        secret = salt.find_or_create_salt(folder) if create_salt else salt.find_salt(folder)
        if secret is None:  # built before, and the salt is gone since
            return Source((), (), "no salt", lambda part: iter(()))
        metadata = _phantom_metadata(folder)
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
            for study in bad
        )
        fingerprint = _fingerprint(folder, good, metadata, secret)
        return Source(items, rejected, fingerprint, lambda part: self._jobs(folder, part), metadata)

    def _jobs(self, folder: Path, items: list[Item]) -> Iterator[tuple[Item, StudyJob]]:
        options = {name: name in self.options for name in ("follow_links", "allow_burned_in")}
        cratios = None if self.builder_config.plain else self.builder_config.cratios
        for item in items:
            study, _, record = item.content
            yield item, StudyJob(record, item.row, str(folder), study.views, cratios, **options)

    def _worker(self):
        return ingest.ingest_study

    def _example(self, item: Item, result: dict[str, EncodedView]) -> dict[str, Any]:
        study, patient, record = item.content
        from_files = [result[name] for name in studies.VIEWS]
        ages = {view.age_years for view in from_files} - {-1}
        vendors = {view.vendor for view in from_files} - {""}
        return {
            "study_id": record,
            "patient_id": patient,
            "left_finding": study.findings["left"],
            "right_finding": study.findings["right"],
            "birads_left": study.birads["left"],
            "birads_right": study.birads["right"],
            "age": study.age if study.age >= 0 else min(ages, default=-1),
            "vendor": study.vendor or min(vendors, default=""),
            "views": {name: _view_example(result[name]) for name in studies.VIEWS},
        }


def _view_example(view: EncodedView) -> dict[str, Any]:
    return {
        "image": view.image,
        "bits_stored": view.bits_stored,
        "pixel_spacing_mm": np.array(view.pixel_spacing_mm, np.float32),
        "mask": view.mask,
    }


def _find_folder(manual_dir: Path) -> Path:
    for folder in (manual_dir, manual_dir / "ncc"):
        if (folder / studies.FILE_NAME).is_file():
            return folder.resolve()
    return manual_dir.resolve()


def _study_key(study, secret: str) -> str:
    """A key of its own: a study's id may be a patient's, or be used by two patients."""
    return patient_key(f"{study.patient_id}\n{study.study_id}", secret)


def _phantom_metadata(folder: Path) -> dict[str, Any]:
    path = folder / PHANTOM_NAME
    if not path.exists():
        return {}
    try:
        phantom = json.loads(path.read_bytes()[:100_000])
        if not isinstance(phantom, dict):
            raise ValueError
    except (OSError, ValueError):
        raise DataError(f"{path} is no JSON object. Generate the phantom again.") from None
    return {"is_phantom": True, "phantom": phantom}


def _fingerprint(folder: Path, good, metadata: dict, secret: str) -> str:
    """Covers the table, the marker and every file's size; keyed, so that no id can be guessed."""
    key = salt.fingerprint_key(secret)
    digest = hmac.new(key, (folder / studies.FILE_NAME).read_bytes(), hashlib.sha256)
    digest.update(json.dumps(metadata, sort_keys=True).encode())
    for study in good:
        for view in study.views.values():
            for name in filter(None, (view.path, view.mask)):
                path = folder / name
                digest.update(b"%d " % (path.stat().st_size if path.is_file() else -1))
    return digest.hexdigest()
