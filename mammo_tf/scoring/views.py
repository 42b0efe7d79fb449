"""What a scorer is given of an image, and which images get one score."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.subgroups import breast_subgroups, joined, whole_image_subgroups
from mammo_tf.pipelines.task import Task
from mammo_tf.record import LABELS, ImageInfo


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredView:
    """One image as a scorer sees it; nothing in it tells the label.

    Attributes:
        pixels: (height, width) uint8 or uint16, stored values as our DICOM reader gives them, after
            compression: larger is brighter, the head is up, the chest wall of a left breast on the
            left and of a right one on the right.
        bits_stored: Bits that carry the image; compression may have put a pixel above them.
        laterality: "L", "R" or "unknown".
        view: "CC", "MLO", … or "unknown".
        pixel_spacing_mm: (row, column) distance between pixels; 0 if unknown.
        vendor: Of the machine; "" if unknown.
    """

    pixels: np.ndarray = field(repr=False)
    bits_stored: int
    laterality: str
    view: str
    pixel_spacing_mm: tuple[float, float]
    vendor: str

    def unit(self) -> np.ndarray:
        """Returns (height, width) float32 in [0, 1]: stored values by the highest there can be."""
        highest = np.float32(2**self.bits_stored - 1)
        return np.minimum(self.pixels.astype(np.float32), highest) / highest


def view_of(info: ImageInfo, pixels: np.ndarray) -> ScoredView:
    """Joins an image's pixels with what a scorer may know of it."""
    return ScoredView(
        pixels=pixels,
        bits_stored=info.bits_stored,
        laterality=info.laterality,
        view=info.view,
        pixel_spacing_mm=tuple(info.pixel_spacing_mm),
        vendor=info.vendor,
    )


@dataclass(frozen=True)
class Case:
    """What gets one score.

    Attributes:
        case_id: Its name, without patient identity.
        rows: Its images' places in the catalog.
        label: One of `LABELS`.
    """

    case_id: str
    rows: tuple[int, ...]
    label: str


def list_cases(catalog: Catalog, unit: str, *, official: bool = False) -> list[Case]:
    """Lists what gets a score: all that has a label, sorted.

    Args:
        catalog: Any data set's.
        unit: "image", "breast" or "study", see `ScorerConfig`. A breast's label is what is known of
            the breast, a study's what is known of the patient at that visit; either is at least the
            worst label of its images.
        official: Take the test part of the data set's own split alone.

    Raises:
        UserError: If nothing has a label, or only one class is there.
    """
    images = catalog.images
    groups: dict[str, list[int]] = {}
    for row, image in enumerate(images):
        if official and image.split != "test":
            continue
        groups.setdefault(_name(image, unit), []).append(row)
    cases = [
        Case(name, tuple(rows), _worst([_label(images[row], unit) for row in rows]))
        for name, rows in sorted(groups.items())
    ]
    cases = [case for case in cases if case.label != "unknown"]
    positive = sum(case.label == "malignant" for case in cases)
    if not 0 < positive < len(cases):
        raise UserError(
            f"Scoring by {unit} needs labelled cases of both classes; {catalog.name} has "
            f"{positive} malignant and {len(cases) - positive} other."
        )
    return cases


def task_of(cases: Sequence[Case], catalog: Catalog, unit: str) -> Task:
    """Returns the task that the statistics and the report need; it has no images."""
    images = [[catalog.images[row] for row in case.rows] for case in cases]
    first = [each[0] for each in images]
    return Task(
        name=f"scored by {unit}",
        example_ids=tuple(case.case_id for case in cases),
        image_ids=np.array([image.image_id for image in first]),
        groups=np.array([image.patient_id for image in first]),
        labels=np.array([case.label == "malignant" for case in cases], int),
        evaluated=np.ones(len(cases), bool),
        split=np.array([image.split for image in first]),
        images=_no_images,
        input_shape=(0, 0),
        shapes=np.array([image.shape for image in first], int),
        is_phantom=catalog.is_phantom,
        has_official_splits=catalog.has_official_splits,
        subgroups=joined(
            [
                whole_image_subgroups(each[0]) if unit == "image" else breast_subgroups(each, label)
                for each, label in zip(images, (case.label for case in cases), strict=True)
            ]
        ),
    )


def _no_images(_cratio):
    raise UserError("What is scored by another's model has no images of ours.")


def _name(image: ImageInfo, unit: str) -> str:
    if unit == "image":
        return image.image_id
    return image.exam_id if unit == "study" else f"{image.exam_id}-{image.laterality}"


def _label(image: ImageInfo, unit: str) -> str:
    if unit == "image":
        return image.label
    known = [image.label, image.breast_label]
    return _worst([*known, image.exam_label] if unit == "study" else known)


def _worst(labels: Sequence[str]) -> str:
    return max(labels, key=LABELS.index)
