"""CBIS-DDSM: 3,103 scanned films with every abnormality's mask, from what the archive gives."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from mammo_tf.datasets.base import Item, MammogramBuilder, Source
from mammo_tf.datasets.cbis_ddsm import boxes, findings, ingest, labels, layout
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.phantoms import phantom_metadata
from mammo_tf.errors import DataError
from mammo_tf.ingest import Rejection
from mammo_tf.record import LABELS, MammogramRecord, worst

SQUARES = "mass_800"
SQUARE_SIZE = 800
TYPES_OF_VARIANT = {"mass": ("mass",), "calc": ("calc",), "all": labels.TYPES}
_FILM_CRATIOS = (1, 15, 20, 25, 50, 100, 500, 1000, 5000, 10000, 11000)


@dataclasses.dataclass(eq=False, kw_only=True)
class CbisDdsmConfig(LadderConfig):
    """See `LadderConfig`. The variants are the type of abnormality, and the masses at 800×800."""

    VARIANTS: ClassVar[dict] = {
        **dict.fromkeys(TYPES_OF_VARIANT, _FILM_CRATIOS),
        SQUARES: (1, 15, 20, 25, 50, 100, 200, 500, 1000),
    }


class Builder(MammogramBuilder):
    """TFDS builder "cbis_ddsm"; README.md beside this file describes the records."""

    CONFIG_CLASS = CbisDdsmConfig
    DEFAULT_TASK = "patch"
    UNIT = ("image", "images")
    TABLE = "label file"
    HOMEPAGE = "https://www.cancerimagingarchive.net/collection/cbis-ddsm/"
    EXTRA: ClassVar[dict[str, Any]] = {
        "official_split": tfds.features.ClassLabel(names=(findings.UNKNOWN, *labels.SPLITS)),
    }
    FINDING_EXTRA: ClassVar[dict[str, Any]] = findings.EXTRA
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put CBIS-DDSM's four label files (mass_ and calc_case_description_train_ and _test_set"
        ".csv, from https://www.cancerimagingarchive.net/collection/cbis-ddsm/) into the manual "
        "directory, and the DICOM files below it, in the folders that the downloader made "
        "(`mammo-tf data fetch cbis_ddsm --out DIR` gets them too). For mass_800: boxes.csv with "
        "its folders train and test. To try it without data: mammo-tf phantom cbis_ddsm OUT"
    )

    @property
    def _is_squares(self) -> bool:
        return self.builder_config.variant == SQUARES

    def _image_type(self) -> tuple[tuple[int | None, int | None], str]:
        return (
            ((SQUARE_SIZE, SQUARE_SIZE), "uint8") if self._is_squares else ((None, None), "uint16")
        )

    def _report_notes(self) -> tuple[str, ...]:
        if not self._is_squares:
            return ()
        return (
            "These images were stretched to 800×800 and compressed once as JPEG before they came "
            "here: CR 1 is no original, and what that JPEG lost is lost at every ratio.",
        )

    def _worker(self) -> Callable[[Any], Any]:
        return ingest.ingest_cbis_jpeg if self._is_squares else ingest.ingest_cbis_film

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        if self._is_squares:
            return self._read_squares(manual_dir)
        kinds = TYPES_OF_VARIANT[self.builder_config.variant]
        names = [labels.table_name(kind, split) for kind in kinds for split in labels.SPLITS]
        folder = _folder_with(names[0], manual_dir)
        films = labels.read_films(folder, kinds)
        if len(kinds) > 1:
            films = labels.merge_types(films)
        tree = layout.find_series(manual_dir, _series(films))
        there = [film for film in films if tree.has_any(film.series)]
        if not there:
            raise DataError(
                f"None of the {len(films)} images that the label files name is below {manual_dir} "
                f"({tree.num_unreadable} .dcm files there name no series). Give the folder with "
                "the archive's DICOM files."
            )
        known = findings.KnownLabels(
            (film.patient_id, film.laterality, findings.labels_of(film)) for film in films
        )
        items = tuple(
            Item(
                key=film.image_id,
                row=film.row,
                patient=film.patient_id,
                stratum=LABELS.index(worst(findings.labels_of(film))),
                content=(film, known),
                split=film.split,
            )
            for film in there
        )
        missing = tuple(
            _note(film.image_id, film.table, film.row, "its image is not in the folder")
            for film in films
            if not tree.has_any(film.series)
        )
        metadata = phantom_metadata(folder) | {
            "num_images_listed": len(films),
            "num_images_missing": len(missing),
            "num_findings_without_mask": 0,
            "num_masks_resized": 0,
            "num_series_twice": tree.num_second_copies,
            "num_files_unreadable": tree.num_unreadable,
        }
        contents = [(folder / name).read_bytes() for name in names]
        fingerprint = _fingerprint(contents, metadata, tree.folder, tree.files)
        return Source(
            items, missing, fingerprint, lambda part: self._film_jobs(tree, part), metadata
        )

    def _film_jobs(self, tree: layout.Tree, items: list[Item]) -> Iterator[tuple[Item, Any]]:
        for item in items:
            film = item.content[0]
            yield (
                item,
                ingest.CbisJob(
                    record=film.image_id,
                    table=film.table,
                    row=film.row,
                    laterality=film.laterality,
                    folder=str(tree.folder),
                    image={uid: tree.files.get(uid, ()) for uid in film.series},
                    findings=tuple(
                        ingest.FindingFiles(
                            found.row, {uid: tree.files.get(uid, ()) for uid in found.series}
                        )
                        for found in film.abnormalities
                    ),
                    cratios=self._job_cratios,
                ),
            )

    def _records(self, item: Item, result: ingest.EncodedFilm) -> Iterator[MammogramRecord]:
        film, known = item.content
        if self._is_squares:
            found, label = tuple(map(findings.box_finding_of, film.boxes)), film.label
        else:
            yield from self._notes(film, result)
            found = tuple(map(findings.finding_of, film.abnormalities, result.places))
            label = worst(findings.labels_of(film))
        yield MammogramRecord(
            image_id=film.image_id,
            patient_id=film.patient_id,
            exam_id=film.patient_id,
            laterality=film.laterality,
            view=film.view,
            label=label,
            breast_label=known.breast(film.patient_id, film.laterality),
            exam_label=known.exam(film.patient_id),
            density=0 if self._is_squares else film.density,
            image=result.image,
            shape=result.shape,
            bits_stored=result.bits_stored,
            is_canonical=result.is_canonical,
            findings=found,
            masks=result.masks,
            extra={"official_split": film.split if self._is_squares else film.official_split},
        )

    def _notes(self, film: labels.Film, result: ingest.EncodedFilm) -> Iterator[Rejection]:
        """Lists what is doubtful or missing about a film that is kept, and counts it."""
        if result.note:
            reason = f"its other file was used: {result.note}"
            yield _note(film.image_id, film.table, film.row, reason)
        for found, place in zip(film.abnormalities, result.places, strict=True):
            self.info.metadata["num_findings_without_mask"] += place.state == ingest.NO_MASK
            self.info.metadata["num_masks_resized"] += place.state == ingest.RESIZED
            if place.note:
                reason = f"abnormality {found.number}: {place.note}"
                yield _note(film.image_id, found.table, found.row, reason)

    # The variant of squares

    def _read_squares(self, manual_dir: Path) -> Source:
        folder = _folder_with(boxes.FILE_NAME, manual_dir).resolve()
        squares = boxes.read_boxes(folder / boxes.FILE_NAME, SQUARE_SIZE)
        there = {square.image_id for square in squares if (folder / square.path).is_file()}
        if not there:
            raise DataError(f"None of the {len(squares)} images of boxes.csv is in {folder}.")
        known = findings.KnownLabels(
            (one.patient_id, one.laterality, [one.label]) for one in squares
        )
        items = tuple(
            Item(
                key=square.image_id,
                row=square.boxes[0].row,
                patient=square.patient_id,
                stratum=LABELS.index(square.label),
                content=(square, known),
                split=square.split,
            )
            for square in squares
            if square.image_id in there
        )
        missing = tuple(
            _note(one.image_id, boxes.FILE_NAME, one.boxes[0].row, "its image is not in the folder")
            for one in squares
            if one.image_id not in there
        )
        metadata = phantom_metadata(folder) | {
            "num_images_listed": len(squares),
            "num_images_missing": len(missing),
        }
        files = {item.key: (item.content[0].path,) for item in items}
        contents = [(folder / boxes.FILE_NAME).read_bytes()]
        fingerprint = _fingerprint(contents, metadata, folder, files)
        jobs = functools.partial(self._square_jobs, folder)
        return Source(items, missing, fingerprint, jobs, metadata)

    def _square_jobs(self, folder: Path, items: list[Item]) -> Iterator[tuple[Item, Any]]:
        for item in items:
            square = item.content[0]
            yield (
                item,
                ingest.JpegJob(
                    record=square.image_id,
                    table=boxes.FILE_NAME,
                    row=item.row,
                    laterality=square.laterality,
                    path=str(folder / square.path),
                    size=SQUARE_SIZE,
                    cratios=self._job_cratios,
                ),
            )


def _series(films: Iterable[labels.Film]) -> Iterator[str]:
    for film in films:
        yield from film.series
        for found in film.abnormalities:
            yield from found.series


def _note(record: str, table: str, row: int, reason: str) -> Rejection:
    return Rejection(record, row, f"{table}: {reason}", is_note=True)


def _folder_with(name: str, manual_dir: Path) -> Path:
    """The manual directory, or the first folder in it, that holds a file; the former if none."""
    folders = [manual_dir, *sorted(path for path in manual_dir.iterdir() if path.is_dir())]
    return next((folder for folder in folders if (folder / name).is_file()), manual_dir)


def _fingerprint(contents: list[bytes], metadata: dict, folder: Path, files: dict) -> str:
    """Covers the tables, the phantom's marker, and which files there are and how large."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    for uid in sorted(files):
        sizes = [(folder / path).stat().st_size for path in files[uid]]
        digest.update(json.dumps([uid, sizes]).encode())
    return digest.hexdigest()
