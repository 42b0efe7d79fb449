"""What a built data set holds, without its pixels: the one thing that tasks are planned from."""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mammo_tf.pipelines import records
from mammo_tf.progress import progress

LATERALITIES = ("unknown", "L", "R")
VIEWS = ("unknown", "CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB", "SIO", "ISO")
LABELS = ("unknown", "normal", "benign", "malignant")
KINDS = ("unknown", "mass", "calcification", "distortion", "asymmetry", "other")
MARKS = ("none", "box", "circle", "mask")
MAX_FINDINGS = 16  # bits of the mask image
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding in one image.

    Attributes:
        label: One of `LABELS`.
        kind: One of `KINDS`.
        mark: How its place is known, one of `MARKS`; the box holds the mark.
        box_yxyx_px: Edges in pixels of the image, not clipped; all -1 where `mark` is "none".
    """

    label: str = "unknown"
    kind: str = "unknown"
    mark: str = "none"
    box_yxyx_px: tuple[float, float, float, float] = (-1.0, -1.0, -1.0, -1.0)

    @property
    def has_place(self) -> bool:
        """Whether it is known where it is."""
        return self.mark != "none"

    @property
    def centre_px(self) -> tuple[int, int]:
        """(row, column) of the pixel in its middle."""
        top, left, bottom, right = self.box_yxyx_px
        return int((top + bottom - 1) / 2), int((left + right - 1) / 2)


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """One image; see `mammo_tf.datasets.schema.MammogramRecord`."""

    image_id: str
    patient_id: str
    exam_id: str
    laterality: str
    view: str
    label: str
    breast_label: str
    exam_label: str
    bits_stored: int
    pixel_spacing_mm: tuple[float, float]
    is_canonical: bool
    shape: tuple[int, int]
    split: str
    findings: tuple[Finding, ...] = ()

    @property
    def marked(self) -> tuple[Finding, ...]:
        """The findings whose place is known."""
        return tuple(finding for finding in self.findings if finding.has_place)


@dataclass(frozen=True)
class Catalog:
    """All images of a data set, sorted by id.

    Attributes:
        images: What is known of each.
        source: Fingerprint of the built data set; part of every cache's key.
        is_phantom: True when the pixels are synthetic.
    """

    images: tuple[ImageInfo, ...]
    source: str
    is_phantom: bool

    def breasts(self) -> Iterator[tuple[tuple[str, str], dict[str, int]]]:
        """Yields ((exam, laterality), {view: row}) for every breast, sorted."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for row, image in enumerate(self.images):
            found.setdefault((image.exam_id, image.laterality), {})[image.view] = row
        yield from sorted(found.items())


def read_catalog(builder, cache_dir: str | os.PathLike | None = None) -> Catalog:
    """Reads every record's labels; no pixel is decoded. Kept in `cache_dir` for the next time."""
    source = records.source_fingerprint(builder)
    rows = records.cached_json(
        cache_dir, "catalog", f"{source}-{_VERSION}", lambda: list(_rows(builder))
    )
    images = tuple(
        ImageInfo(**row | {"findings": tuple(Finding(**_tuples(f)) for f in row["findings"])})
        for row in map(_tuples, sorted(rows, key=lambda row: row["image_id"]))
    )
    return Catalog(images, source, records.is_phantom(builder))


def _rows(builder) -> Iterator[dict]:
    features = builder.info.features
    names = {field.name for field in dataclasses.fields(ImageInfo)}
    for split in sorted(builder.info.splits):
        found = records.iterate_records(builder, split=split, without_pixels=True)
        total = builder.info.splits[split].num_examples
        for record in progress(found, description=f"Listing {split}", total=total, unit="image"):
            row = {name: _plain(features[name], record[name]) for name in names - {"split"}}
            yield row | {"split": split, "findings": _findings(features, record["findings"])}


def _findings(features, found: dict) -> list[dict]:
    names = features["findings"].feature
    return [
        {name: _plain(names[name], found[name][k]) for name in ("label", "kind", "mark")}
        | {"box_yxyx_px": found["box_px"][k].tolist()}
        for k in range(len(found["label"]))
    ]


def _plain(feature, value):
    """A value of a record as JSON can hold it."""
    if hasattr(feature, "int2str"):
        return feature.int2str(int(value))
    if isinstance(value, bytes):
        return value.decode()
    return np.asarray(value).tolist() if not isinstance(value, dict) else None


def _tuples(row: dict) -> dict:
    return {
        name: tuple(value) if isinstance(value, list) and name != "findings" else value
        for name, value in row.items()
    }
