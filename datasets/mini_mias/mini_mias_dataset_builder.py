"""mini-MIAS: 322 films at 200 µm with tissue, class, severity and circles."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from mammo_tf.datasets.base import Item, MammogramBuilder, Source
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.mini_mias import archive, info_txt
from mammo_tf.errors import DataError
from mammo_tf.ingest import EncodedImage, ImageFile, Job
from mammo_tf.record import Finding, MammogramRecord

SPACING_MM = 0.2  # mini-MIAS was reduced to 200 µm
KIND_OF_ABNORMALITY = {
    "CALC": "calcification",
    "CIRC": "mass",
    "SPIC": "mass",
    "MISC": "mass",
    "ARCH": "distortion",
    "ASYM": "asymmetry",
}


@dataclasses.dataclass(eq=False, kw_only=True)
class MiniMiasConfig(LadderConfig):
    """See `LadderConfig`. The default ratios are those of the paper that a 1 MB film can bear."""

    VARIANTS: ClassVar[dict] = {"": (1, 15, 20, 25, 50, 100, 200, 500, 1000)}


class Builder(MammogramBuilder):
    """TFDS builder "mini_mias"; README.md beside this file describes the records."""

    CONFIG_CLASS = MiniMiasConfig
    DEFAULT_TASK = "lesion"
    UNIT = ("film", "films")
    TABLE = "Info.txt"
    HOMEPAGE = "http://peipa.essex.ac.uk/info/mias.html"
    DTYPE = "uint8"
    SHAPE = (info_txt.IMAGE_SIZE, info_txt.IMAGE_SIZE)
    EXTRA: ClassVar[dict[str, Any]] = {"tissue": tfds.features.ClassLabel(names=info_txt.TISSUES)}
    FINDING_EXTRA: ClassVar[dict[str, Any]] = {
        "abnormality": tfds.features.ClassLabel(names=info_txt.ABNORMALITIES)
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Download all-mias.tar.gz (106 MB) from http://peipa.essex.ac.uk/info/mias.html, after "
        "reading its licence (research only), and put it, unopened, into the manual directory. "
        "The folder extracted from it serves as well."
    )

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        path = archive.find_source(manual_dir)
        text, listing = "", []
        for name, content in archive.iterate_files(path, ("info.txt", ".pgm")):
            if name.lower() == "info.txt":
                text = content[: info_txt.MAX_INFO_BYTES].decode("latin-1")
            else:
                listing.append((name.lower(), len(content)))
        if not text:
            raise DataError(f"Expected {archive.INFO_NAME} beside the films in {path}. Add it.")
        films, rejected = info_txt.parse_info(text)
        items = tuple(
            Item(
                key=film.image_id,
                row=film.row,
                patient=film.patient_id,
                stratum=info_txt.FINDINGS.index(film.finding),
                content=film,
            )
            for film in films
        )
        fingerprint = hashlib.sha256(json.dumps([text, sorted(listing)]).encode()).hexdigest()
        return Source(items, rejected, fingerprint, lambda part: self._jobs(path, part))

    def _jobs(self, path: Path, items: list[Item]) -> Iterator[tuple[Item, Job]]:
        wanted = {f"{item.key}.pgm": item for item in items}
        for name, content in archive.iterate_files(path, (".pgm",)):
            if item := wanted.pop(name.lower(), None):
                yield item, self._job(item, content)
        for item in wanted.values():
            yield item, self._job(item, None)

    def _job(self, item: Item, content: bytes | None) -> Job:
        film = ImageFile(row=item.row, content=content, shape=self.SHAPE)
        return Job(item.key, {"film": film}, self._job_cratios)

    def _records(self, item: Item, result: dict[str, EncodedImage]) -> Iterator[MammogramRecord]:
        film, encoded = item.content, result["film"]
        yield MammogramRecord(
            image_id=film.image_id,
            patient_id=film.patient_id,
            exam_id=film.patient_id,
            laterality=film.laterality,
            view="MLO",
            label=film.finding,
            breast_label=film.finding,
            image=encoded.image,
            shape=encoded.shape,
            bits_stored=8,
            pixel_spacing_mm=(SPACING_MM, SPACING_MM),
            is_canonical=False,
            findings=tuple(_finding(found) for found in film.abnormalities),
            extra={"tissue": film.tissue},
        )


def _finding(found: info_txt.Abnormality) -> Finding:
    known = {
        "label": found.severity,
        "kind": KIND_OF_ABNORMALITY[found.abnormality],
        "extra": {"abnormality": found.abnormality},
    }
    if not found.has_circle:
        return Finding(**known)
    row, column, radius = found.row, found.column, found.radius_px
    box = (row - radius, column - radius, row + radius + 1, column + radius + 1)
    return Finding(mark="circle", box_yxyx_px=box, **known)
