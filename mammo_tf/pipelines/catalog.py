"""What a built data set holds, without its pixels: the one thing that tasks are planned from."""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mammo_tf.errors import DataError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.cache import fingerprint
from mammo_tf.progress import progress
from mammo_tf.record import Finding, ImageInfo

VERSION = 1  # raise it when what is kept of a record changes


@dataclass(frozen=True)
class Catalog:
    """All images of a data set, sorted by id.

    Attributes:
        name: The built data set, e.g. "ncc/ladder_1_100/2.0.0".
        images: What is known of each.
        source: Fingerprint of the built data set; part of every cache's key.
        is_phantom: True when the pixels are synthetic.
        has_official_splits: Whether `ImageInfo.split` is the data set's own, not ours.
        notes: Sentences about the images that every report on them must pass on.
    """

    name: str
    images: tuple[ImageInfo, ...]
    source: str
    is_phantom: bool = False
    has_official_splits: bool = False
    notes: tuple[str, ...] = ()

    def rows(self) -> dict[str, int]:
        """Maps an image's id to its place in `images`."""
        return {image.image_id: row for row, image in enumerate(self.images)}

    def breasts(self) -> dict[tuple[str, str], dict[str, int]]:
        """Maps (exam, laterality), sorted, to {view: place in `images`}; the first of a view."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for row, image in enumerate(self.images):
            found.setdefault((image.exam_id, image.laterality), {}).setdefault(image.view, row)
        return dict(sorted(found.items()))

    @property
    def patients(self) -> np.ndarray:
        """(n,) str, the patient of each image."""
        return np.array([image.patient_id for image in self.images])


def read_catalog(builder, cache_dir: str | os.PathLike | None = None) -> Catalog:
    """Reads every record's labels; no pixel is decoded.

    Args:
        builder: A built TFDS builder of this project's.
        cache_dir: Where the catalog is kept for the next time; None keeps it nowhere.

    Raises:
        DataError: If an image is in the data set twice, or its records cannot be read.
    """
    source = records.source_fingerprint(builder)
    key = fingerprint(version=VERSION, source=source)
    rows = records.cached_json(cache_dir, "catalog", key, lambda: list(_rows(builder)))
    images = tuple(map(_image_info, sorted(rows, key=lambda row: row["image_id"])))
    for one, other in itertools.pairwise(images):
        if one.image_id == other.image_id:
            raise DataError(
                f"Image {one.image_id} is in the data set twice. Build the data set again."
            )
    metadata = dict(builder.info.metadata or {})
    return Catalog(
        name=builder.info.full_name,
        images=images,
        source=source,
        is_phantom=records.is_phantom(builder),
        has_official_splits=bool(metadata.get("has_official_splits", False)),
        notes=tuple(metadata.get("notes", ())),
    )


def _rows(builder) -> Iterator[dict]:
    """What is kept of each record, as JSON can hold it."""
    features = builder.info.features
    names = {field.name for field in dataclasses.fields(ImageInfo)} - {"split", "findings"}
    for split in sorted(builder.info.splits):
        found = records.iterate_records(builder, split=split)
        total = builder.info.splits[split].num_examples
        for record in progress(found, description=f"Listing {split}", total=total, unit="image"):
            row = {name: _plain(features[name], record[name]) for name in names}
            yield row | {"split": split, "findings": _findings(features, record["findings"])}


def _findings(features, found: dict) -> list[dict]:
    feature = features["findings"].feature
    return [
        {name: _plain(feature[name], found[name][k]) for name in ("label", "kind", "mark")}
        | {"box_yxyx_px": found["box_px"][k].tolist()}
        for k in range(len(found["label"]))
    ]


def _plain(feature, value):
    if hasattr(feature, "int2str"):
        return feature.int2str(int(value))
    if isinstance(value, bytes):
        return value.decode()
    return np.asarray(value).tolist()


def _image_info(row: dict) -> ImageInfo:
    findings = [
        Finding(**found | {"box_yxyx_px": tuple(found["box_yxyx_px"])}) for found in row["findings"]
    ]
    # A spacing is stored as float32; six digits give back what the builder wrote.
    spacing = tuple(float(f"{value:.6g}") for value in row["pixel_spacing_mm"])
    return ImageInfo(
        **row
        | {"findings": tuple(findings), "shape": tuple(row["shape"]), "pixel_spacing_mm": spacing}
    )
