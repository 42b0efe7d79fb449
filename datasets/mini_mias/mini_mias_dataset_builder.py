"""mini-MIAS: 322 films at 200 µm with tissue, class, severity and circles."""

import dataclasses
import hashlib
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
from mammo_tf.datasets.mini_mias import archive, info_txt
from mammo_tf.errors import DataError
from mammo_tf.ingest import FilmJob, Rejection

SHAPE = (info_txt.IMAGE_SIZE, info_txt.IMAGE_SIZE, 1)


@dataclasses.dataclass(eq=False, kw_only=True)
class MiniMiasConfig(LadderConfig):
    """See `LadderConfig`. The default ratios are those of the paper that a 1 MB film can bear."""

    DEFAULT_CRATIOS: ClassVar[tuple[float, ...]] = (1, 15, 20, 25, 50, 100, 200, 500, 1000)


class Builder(MammogramBuilder):
    """TFDS builder "mini_mias"; README.md beside this file describes the records."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    CONFIG_CLASS = MiniMiasConfig
    BUILDER_CONFIGS: ClassVar[list] = [MiniMiasConfig(), MiniMiasConfig(plain=True)]
    UNIT = ("film", "films")
    TABLE = "Info.txt"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Download all-mias.tar.gz (106 MB) from http://peipa.essex.ac.uk/info/mias.html, after "
        "reading its licence (research only), and put it, unopened, into the manual directory. "
        "The folder extracted from it serves as well."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features
        return self.dataset_info_from_configs(
            features=features.FeaturesDict(
                {
                    "image_id": features.Text(),
                    "patient_id": features.Text(),
                    "laterality": features.ClassLabel(names=("L", "R")),
                    "tissue": features.ClassLabel(names=info_txt.TISSUES),
                    "finding": features.ClassLabel(names=info_txt.FINDINGS),
                    "image": self._image_feature(),
                    "abnormalities": features.Sequence(
                        {
                            "abnormality": features.ClassLabel(names=info_txt.ABNORMALITIES),
                            "severity": features.ClassLabel(names=info_txt.SEVERITIES),
                            "has_circle": np.bool_,
                            "row": np.int32,
                            "column": np.int32,
                            "radius_px": np.int32,
                            "bbox": features.BBoxFeature(),
                        }
                    ),
                }
            ),
            supervised_keys=("image", "finding"),
            homepage="http://peipa.essex.ac.uk/info/mias.html",
            metadata=tfds.core.MetadataDict(
                is_phantom=False, cratios=list(self.builder_config.cratios)
            ),
        )

    def _image_feature(self):
        config = self.builder_config
        if config.plain:
            return tfds.features.Image(shape=SHAPE, dtype=np.uint8, encoding_format="png")
        return JPEG2000(shape=SHAPE, dtype=np.uint8, cratios=config.cratios)

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

    def _jobs(self, path: Path, items: list[Item]) -> Iterator[tuple[Item, FilmJob]]:
        wanted = {f"{item.key}.pgm": item for item in items}
        for name, content in archive.iterate_files(path, (".pgm",)):
            if item := wanted.pop(name.lower(), None):
                yield item, self._job(item, content)
        for item in wanted.values():
            yield item, self._job(item, None)

    def _job(self, item: Item, content: bytes | None) -> FilmJob:
        cratios = None if self.builder_config.plain else self.builder_config.cratios
        return FilmJob(item.key, item.row, content, cratios)

    def _worker(self):
        return ingest.ingest_film

    def _example(self, item: Item, result: bytes | Rejection) -> dict[str, Any]:
        film = item.content
        return {
            "image_id": film.image_id,
            "patient_id": film.patient_id,
            "laterality": film.laterality,
            "tissue": film.tissue,
            "finding": film.finding,
            "image": result,
            "abnormalities": [
                {
                    "abnormality": found.abnormality,
                    "severity": found.severity,
                    "has_circle": found.has_circle,
                    "row": found.row,
                    "column": found.column,
                    "radius_px": found.radius_px,
                    "bbox": tfds.features.BBox(*found.box),
                }
                for found in film.abnormalities
            ],
        }
