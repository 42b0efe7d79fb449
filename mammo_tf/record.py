"""One image of any data set: what is known of it, its findings, and its pixels as they are stored.

Every builder gives these, and every task starts from them. No TensorFlow.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mammo_tf.errors import DataError

# "unknown" is index 0 everywhere, so that a zero in a record never claims anything.
LATERALITIES = ("unknown", "L", "R")
VIEWS = ("unknown", "CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB", "SIO", "ISO")
LABELS = ("unknown", "normal", "benign", "malignant")
KINDS = ("unknown", "mass", "calcification", "distortion", "asymmetry", "other")
MARKS = ("none", "box", "circle", "mask")
MAX_FINDINGS = 16  # bits of the mask image
NO_BOX = (-1.0, -1.0, -1.0, -1.0)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding in one image.

    Attributes:
        label: One of `LABELS`.
        kind: One of `KINDS`.
        mark: How its place is known, one of `MARKS`; the box encloses the mark.
        box_yxyx_px: (top, left, bottom, right) in pixels of the image, the ends exclusive, not
            clipped to the image; all -1 where `mark` is "none".
        extra: What only this data set knows of it; empty in a catalog.

    Raises:
        DataError: If a word is none of these.
    """

    label: str = "unknown"
    kind: str = "unknown"
    mark: str = "none"
    box_yxyx_px: tuple[float, float, float, float] = NO_BOX
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self):
        _check_words(self, {"label": LABELS, "kind": KINDS, "mark": MARKS})

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
    """What is known of one image, without its pixels.

    Attributes:
        image_id: Unique, without patient identity; e.g. "mdb001" or "8c1f…-right_mlo".
        patient_id: Splits and folds never divide a patient.
        exam_id: Images of one visit; pairs of views are looked for within it.
        shape: (height, width) of the image in pixels; (0, 0) until its file is read.
        laterality: One of `LATERALITIES`.
        view: One of `VIEWS`.
        label: What is known of this image, one of `LABELS`.
        breast_label: What is known of the breast, which another view may show.
        exam_label: What is known of the patient at this visit.
        birads: BI-RADS assessment of the breast, 0 to 6; -1 if unknown.
        density: BI-RADS density, 1 (a) to 4 (d); 0 if unknown.
        age_years: At most 90; -1 if unknown.
        vendor: "" if unknown.
        bits_stored: Bits that carry the image, 1 to 16.
        pixel_spacing_mm: (row, column) distance between pixels; 0 if unknown.
        is_canonical: Whether the chest wall of a left breast is at the left edge and that of a
            right one at the right.
        findings: At most `MAX_FINDINGS`; the worst need not come first.
        split: The split that holds it; "" where the builder leaves the division to us.

    Raises:
        DataError: If a word is none of these, or there are too many findings.
    """

    image_id: str
    patient_id: str
    exam_id: str
    shape: tuple[int, int] = (0, 0)
    laterality: str = "unknown"
    view: str = "unknown"
    label: str = "unknown"
    breast_label: str = "unknown"
    exam_label: str = "unknown"
    birads: int = -1
    density: int = 0
    age_years: int = -1
    vendor: str = ""
    bits_stored: int = 16
    pixel_spacing_mm: tuple[float, float] = (0.0, 0.0)
    is_canonical: bool = True
    findings: tuple[Finding, ...] = ()
    split: str = ""

    def __post_init__(self):
        words = dict.fromkeys(("label", "breast_label", "exam_label"), LABELS)
        _check_words(self, words | {"laterality": LATERALITIES, "view": VIEWS})
        if len(self.findings) > MAX_FINDINGS:
            raise DataError(
                f"image {self.image_id} has {len(self.findings)} findings, and a record holds at "
                f"most {MAX_FINDINGS}"
            )

    @property
    def placed_findings(self) -> tuple[Finding, ...]:
        """The findings whose place is known."""
        return tuple(finding for finding in self.findings if finding.has_place)


@dataclass(frozen=True, kw_only=True)
class MammogramRecord(ImageInfo):
    """What a builder yields, one for each image.

    Attributes:
        image: `Ladder.to_bytes()`, or a PNG in the configuration "plain".
        masks: (height, width) uint16, bit k set where finding k is, or that array as a PNG of the
            same depth; None where no mask is known.
        extra: What only this data set knows; no task of the library reads it.
    """

    image: bytes = field(repr=False)
    masks: np.ndarray | bytes | None = field(default=None, repr=False)
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.masks, np.ndarray) and self.masks.shape != tuple(self.shape):
            raise DataError(
                f"the masks of image {self.image_id} have {self.masks.shape} pixels, the image "
                f"{tuple(self.shape)}"
            )


def _check_words(value, choices: dict[str, tuple[str, ...]]) -> None:
    """Does not show what it received: in a table with columns mixed up it may be a name."""
    for name, words in choices.items():
        if getattr(value, name) not in words:
            raise DataError(f"{name} must be one of {', '.join(words)}")


def worst(labels) -> str:
    """Returns the worst of some labels; "unknown" where there is none.

    Examples:
        >>> worst(["benign", "malignant", "unknown"])
        'malignant'
    """
    return max(labels, key=LABELS.index, default="unknown")
