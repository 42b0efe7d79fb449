"""The record of every data set as TFDS features, and a record as TFDS writes it."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mammo_tf.datasets.grey_image import grey_image
from mammo_tf.datasets.masks_feature import Masks
from mammo_tf.record import (
    KINDS,
    LABELS,
    LATERALITIES,
    MARKS,
    VIEWS,
    Finding,
    ImageInfo,
    MammogramRecord,
)


def features(
    image, extra: dict[str, Any] | None = None, finding_extra: dict[str, Any] | None = None
) -> tfds.features.FeaturesDict:
    """The TFDS features of `MammogramRecord`.

    Args:
        image: The feature of the pixels.
        extra: Features of `MammogramRecord.extra`; None for none.
        finding_extra: Features of `Finding.extra`; None for none.
    """
    f = tfds.features
    is_plain = type(image) is f.Image  # read by projects that have none of our features
    label = f.ClassLabel(names=LABELS)
    finding = {
        "label": label,
        "kind": f.ClassLabel(names=KINDS),
        "mark": f.ClassLabel(names=MARKS),
        "box_px": f.Tensor(shape=(4,), dtype=np.float32),
        "bbox": f.BBoxFeature(),
    }
    if finding_extra:
        finding["extra"] = finding_extra
    return f.FeaturesDict(
        {
            "image_id": f.Text(),
            "patient_id": f.Text(),
            "exam_id": f.Text(),
            "laterality": f.ClassLabel(names=LATERALITIES),
            "view": f.ClassLabel(names=VIEWS),
            "label": label,
            "breast_label": label,
            "exam_label": label,
            "birads": np.int32,
            "density": np.int32,
            "age_years": np.int32,
            "vendor": f.Text(),
            "bits_stored": np.int32,
            "pixel_spacing_mm": f.Tensor(shape=(2,), dtype=np.float32),
            "is_canonical": np.bool_,
            "shape": f.Tensor(shape=(2,), dtype=np.int32),
            "findings": f.Sequence(finding),
            "image": image,
            # Bit k is finding k, so that masks may overlap; 1×1 where no mask is known.
            "masks": grey_image() if is_plain else Masks(),
            **({"extra": extra} if extra else {}),
        }
    )


def example(record: MammogramRecord) -> dict[str, Any]:
    """A record as TFDS wants it."""
    names = {field.name for field in dataclasses.fields(ImageInfo)} - {"split", "findings"}
    masks = np.zeros((1, 1), np.uint16) if record.masks is None else record.masks
    if isinstance(masks, np.ndarray):
        masks = masks.astype(np.uint16)[..., np.newaxis]
    return {
        **{name: getattr(record, name) for name in names},
        "shape": np.array(record.shape, np.int32),
        "pixel_spacing_mm": np.array(record.pixel_spacing_mm, np.float32),
        "findings": [_finding(finding, record.shape) for finding in record.findings],
        "image": record.image,
        "masks": masks,
        **({"extra": record.extra} if record.extra else {}),
    }


def _finding(finding: Finding, shape: tuple[int, int]) -> dict[str, Any]:
    box = np.array(finding.box_yxyx_px, np.float32)
    relative = np.clip(box / np.tile(np.array(shape, np.float32), 2), 0, 1)
    return {
        "label": finding.label,
        "kind": finding.kind,
        "mark": finding.mark,
        "box_px": box,
        "bbox": tfds.features.BBox(*map(float, relative)),
        **({"extra": finding.extra} if finding.extra else {}),
    }
