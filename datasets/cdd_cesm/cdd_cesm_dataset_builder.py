"""CDD-CESM: low-energy CC views with findings, some with the mask of their lesions."""

import dataclasses
import re
from pathlib import PurePosixPath
from typing import ClassVar

from mammo_tf.datasets import tables
from mammo_tf.datasets.config import LadderConfig
from mammo_tf.datasets.table_builder import TableBuilder, TableImage
from mammo_tf.errors import DataError
from mammo_tf.record import Finding, ImageInfo, worst

SIDES = {"left": "L", "right": "R"}
# The labels of the findings that each word means; the first one is the mask's, where there is one.
FINDINGS = {
    "normal": (),
    "benign": ("benign",),
    "malignant": ("malignant",),
    "mixed": ("unknown", "benign", "malignant"),
}
_CESM_ID = re.compile(r"P(\d{1,5})_[LR]_[A-Z]{2}_[A-Z]{2,3}", re.ASCII)


@dataclasses.dataclass(eq=False, kw_only=True)
class CddCesmConfig(LadderConfig):
    """See `LadderConfig`. The default ratios are those that an image of 2 MB can bear."""

    VARIANTS: ClassVar[dict] = {"": (1, 15, 20, 25, 50, 100, 200, 500, 1000)}


class Builder(TableBuilder):
    """TFDS builder "cdd_cesm"; README.md beside this file describes the records."""

    CONFIG_CLASS = CddCesmConfig
    DEFAULT_TASK = "whole"
    DTYPE = "uint8"
    TABLE = "images.csv"
    COLUMNS = ("path", "finding", "side", "mask", "cesm_id")
    OPTIONS = ("follow_links",)
    HOMEPAGE = "https://www.cancerimagingarchive.net/collection/cdd-cesm/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put images.csv (path, finding, side, mask, cesm_id) into the manual directory, and the "
        "JPEG images and PNG masks that it names below it. The images are those of "
        "https://www.cancerimagingarchive.net/collection/cdd-cesm/"
    )

    def _report_notes(self) -> tuple[str, ...]:
        return (
            "These images were compressed as JPEG before they came here: CR 1 is no original, and "
            "what that JPEG lost is lost at every ratio.",
            "Patients are known of images with a mask alone; every other image counts as a patient "
            "of its own, so that two breasts of one woman may be in two parts.",
        )

    def _image(self, row: dict[str, str]) -> TableImage:
        side = SIDES[tables.choice(row, "side", tuple(SIDES))]
        labels = FINDINGS[tables.choice(row, "finding", tuple(FINDINGS))]
        image_id = PurePosixPath(row["path"]).stem
        if not re.fullmatch(r"IM\d{4}", image_id, re.ASCII):
            raise DataError("path must end in IM, four digits and .jpg")
        if row["mask"] and not labels:
            raise DataError("a normal image has no mask")
        if not row["mask"]:
            labels = tuple(label for label in labels if label != "unknown")
        label = worst(labels) if labels else "normal"
        patient = _patient(row["cesm_id"]) or image_id
        info = ImageInfo(
            image_id=image_id,
            patient_id=patient,
            exam_id=patient,
            laterality=side,
            view="CC",
            label=label,
            breast_label=label,
            is_canonical=False,
            findings=tuple(Finding(label=label) for label in labels),
        )
        return TableImage(file=row["path"], mask=row["mask"], info=info)


def _patient(cesm_id: str) -> str:
    if not cesm_id:
        return ""
    found = _CESM_ID.fullmatch(cesm_id)
    if found is None:
        raise DataError("cesm_id must be like P3_L_DM_CC")
    return f"P{found[1]}"
