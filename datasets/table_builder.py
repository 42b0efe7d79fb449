"""Base of builders whose raw files are a CSV table with one row for each DICOM or JPEG image."""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mammo_tf.datasets import tables
from mammo_tf.datasets.base import Item, MammogramBuilder, Source
from mammo_tf.errors import DataError
from mammo_tf.ingest import EncodedImage, ImageFile, Job, Rejection, mask_finding
from mammo_tf.record import LABELS, Finding, ImageInfo, MammogramRecord, worst


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableImage:
    """What one row of the table says.

    Attributes:
        file: The DICOM file, or grey JPEG file by its name, relative to the table's folder.
        info: What is known of the image. Shape, bits and pixel spacing come from the file; age and
            vendor too, where they are unknown here. Ids are stored as they are: they must not be a
            hospital's own (`mammo_tf.dicom.patient_key` hides those). Boxes are those of the
            canonical image: left breasts with the chest wall at the left, right ones at the right.
        mask: A black-and-white PNG of the first finding, which then needs no place; "" for none.
        extra: What only this data set knows, as the builder's `EXTRA` declares it.
    """

    file: str = dataclasses.field(repr=False)
    info: ImageInfo
    mask: str = dataclasses.field(default="", repr=False)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


class TableBuilder(MammogramBuilder, skip_registration=True):
    """Base of builders of such a table. A subclass gives `TABLE`, `COLUMNS` and `_image`.

    Attributes:
        COLUMNS: The table's columns that are read, in lower case and with "_" for each space.
    """

    COLUMNS: ClassVar[tuple[str, ...]]
    OPTIONS = ("allow_burned_in", "follow_links")

    def _image(self, row: dict[str, str]) -> TableImage:
        """Says what a row means; a `DataError` puts the row into the quarantine."""
        raise NotImplementedError

    def _read_source(self, manual_dir: Path, *, create_salt: bool) -> Source:
        folder = manual_dir.resolve()
        items: dict[str, Item] = {}
        rejected = []
        for number, row in tables.read_rows(folder / self.TABLE, self.COLUMNS):
            try:
                item = self._item(number, self._image(row))
                if other := items.get(item.key):
                    raise DataError(f"its image is also that of row {other.row}")
                items[item.key] = item
            except DataError as error:
                rejected.append(Rejection("", number, str(error)))
        fingerprint = self._fingerprint(folder, items.values())
        return Source(
            tuple(items.values()),
            tuple(rejected),
            fingerprint,
            lambda part: self._jobs(folder, part),
        )

    def _item(self, number: int, image: TableImage) -> Item:
        info = image.info
        return Item(
            key=info.image_id,
            row=number,
            patient=info.patient_id,
            stratum=LABELS.index(worst((info.label, info.breast_label, info.exam_label))),
            content=image,
            split=info.split or None,
        )

    def _fingerprint(self, folder: Path, items) -> str:
        digest = hashlib.sha256((folder / self.TABLE).read_bytes())
        for item in items:
            try:
                size = (folder / item.content.file).stat().st_size
            except OSError:  # it is told of when it is read
                size = -1
            digest.update(b"%d " % size)
        return digest.hexdigest()

    def _jobs(self, folder: Path, items: list[Item]) -> Iterator[tuple[Item, Job]]:
        options = {name: name in self.options for name in self.OPTIONS}
        for item in items:
            info = item.content.info
            image = ImageFile(
                row=item.row,
                path=item.content.file,
                view=_if_known(info.view),
                laterality=_if_known(info.laterality),
                mask=item.content.mask,
            )
            yield item, Job(item.key, {"image": image}, self._job_cratios, str(folder), **options)

    def _records(
        self, item: Item, result: dict[str, EncodedImage]
    ) -> Iterator[MammogramRecord | Rejection]:
        image, encoded = item.content, result["image"]
        findings = _with_mask(image.info.findings, encoded.masks)
        if findings is None:
            yield Rejection(item.key, item.row, "its mask is empty")
            return
        if any(
            _is_outside(found.box_yxyx_px, encoded.shape) for found in image.info.placed_findings
        ):
            yield Rejection(item.key, item.row, "a finding's box is outside the image")
            return
        known = {
            field.name: getattr(image.info, field.name) for field in dataclasses.fields(ImageInfo)
        }
        from_file = {
            "shape": encoded.shape,
            "bits_stored": encoded.bits_stored,
            "pixel_spacing_mm": encoded.pixel_spacing_mm,
            "age_years": encoded.age_years if image.info.age_years < 0 else image.info.age_years,
            "vendor": image.info.vendor or encoded.vendor,
            "findings": findings,
            "masks": encoded.masks,
        }
        yield MammogramRecord(**known | from_file, image=encoded.image, extra=image.extra)


def _with_mask(
    findings: tuple[Finding, ...], masks: np.ndarray | None
) -> tuple[Finding, ...] | None:
    """The findings, the first one with the place of its mask; None where the mask is empty."""
    if masks is None:
        return findings
    first, *others = findings
    known = {"label": first.label, "kind": first.kind, "extra": first.extra}
    found = mask_finding(masks, **known)
    return None if found is None else (found, *others)


def _if_known(word: str) -> str:
    return "" if word == "unknown" else word


def _is_outside(box: tuple[float, float, float, float], shape: tuple[int, int]) -> bool:
    """Tells whether no pixel of the image is in the box."""
    top, left, bottom, right = box
    is_inside = (
        top < min(bottom, shape[0]) and left < min(right, shape[1]) and min(bottom, right) > 0
    )
    return not is_inside
