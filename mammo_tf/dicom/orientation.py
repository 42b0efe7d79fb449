"""Head up, chest wall of left breasts at the left edge and of right breasts at the right edge.

Patient Orientation says it; Field Of View Horizontal Flip hints at it where the former is absent;
the pixels check both, because tags are often wrong after a viewer has mirrored an image. Where the
pixels clearly say the opposite of the tags, the pixels decide the left-right direction, and
`orientation_source` says so. Up and down come from Patient Orientation alone; without it the image
is taken to be upright. Cranio-caudal views are upright when the lateral side is at the top.
"""

import dataclasses

import numpy as np

from mammo_tf.breast import darkest_level, largest_region, otsu_level, sample_evenly
from mammo_tf.dicom.header import Header
from mammo_tf.dicom.views import CRANIO_CAUDAL_VIEWS
from mammo_tf.errors import DataError

PATIENT_ORIENTATION = "PatientOrientation"
HORIZONTAL_FLIP = "FieldOfViewHorizontalFlip"
PIXELS = "pixels"
# The laterality is unknown, so there is no canonical side.
AS_STORED = "as stored"
UPRIGHT = "upright, side unknown"  # turned, by Patient Orientation, but not for the side
AGAINST = "pixels against "

_SAMPLES = 192  # along the longer side, enough to see where the breast is
DECIDED = 0.1  # |evidence| below this says nothing: see tests/test_dicom_orientation.py
_PARTIAL_VIEWS = frozenset({"M", "S", "TAN", "CV", "AX", "IMF"})
_STRONG = 0.25  # |evidence| from which the pixels overrule the tags


@dataclasses.dataclass(frozen=True)
class Orientation:
    """What to do with a stored image: transpose first, then flip left-right, then up-down."""

    transpose: bool
    flip_horizontal: bool
    flip_vertical: bool
    source: str

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Returns (height, width) `image` oriented, as a contiguous array."""
        image = image.T if self.transpose else image
        image = image[:, ::-1] if self.flip_horizontal else image
        image = image[::-1] if self.flip_vertical else image
        return np.ascontiguousarray(image)

    def undo(self, image: np.ndarray) -> np.ndarray:
        """Returns what `apply` was given: (height, width, …) oriented, as it lies in the file."""
        image = image[::-1] if self.flip_vertical else image
        image = image[:, ::-1] if self.flip_horizontal else image
        image = image.swapaxes(0, 1) if self.transpose else image
        return np.ascontiguousarray(image)

    def undo_boxes(self, boxes_yxyx: np.ndarray) -> np.ndarray:
        """Returns (n, 4) boxes of the oriented image where they lie in the stored one.

        Args:
            boxes_yxyx: (n, 4) float, top, left, bottom, right as shares of the oriented image's
                height and width; the result's are shares of the stored rows and columns.

        Examples:
            >>> turn = Orientation(True, True, False, "pixels")
            >>> turn.undo_boxes(np.array([[0.0, 0.5, 0.25, 1.0]])).tolist()
            [[0.0, 0.0, 0.5, 0.25]]
        """
        top, left, bottom, right = np.asarray(boxes_yxyx, np.float64).reshape(-1, 4).T
        if self.flip_vertical:
            top, bottom = 1 - bottom, 1 - top
        if self.flip_horizontal:
            left, right = 1 - right, 1 - left
        if self.transpose:
            top, left, bottom, right = left, top, right, bottom
        return np.stack([top, left, bottom, right], axis=1)


UNTURNED = Orientation(False, False, False, AS_STORED)


def find_orientation(
    header: Header,
    image: np.ndarray,
    padding: np.ndarray | None,
    view: str | None,
    laterality: str | None,
    modifiers: tuple[str, ...] = (),
) -> Orientation:
    """Decides how an image must be turned.

    Args:
        header: The file's header.
        image: (rows, columns) as stored, but bright tissue is bright (MONOCHROME2).
        padding: (rows, columns) bool, True where there is no image; or None.
        view: As resolved, or None.
        laterality: "L", "R" or None.
        modifiers: The view's modifiers: where only a part of the breast is shown, its outline says
            nothing about the chest wall.

    Raises:
        DataError: If the laterality is known but neither the tags nor the pixels say where the
            chest wall is.
    """
    row, column = (*header.get(PATIENT_ORIENTATION, ()), "", "")[:2]
    row, column = row.upper(), column.upper()
    transpose = row[:1] in tuple("FHLR") and column[:1] in tuple("AP")
    if transpose:
        row, column = column, row
        image, padding = image.T, None if padding is None else padding.T
    flip_vertical = _upside_down(column, view, laterality)
    if laterality is None:
        source = UPRIGHT if transpose or flip_vertical else AS_STORED
        return Orientation(transpose, False, flip_vertical, source)
    tagged, source = _tagged_chest_side(header, row, laterality)
    partial = bool(_PARTIAL_VIEWS & set(modifiers))
    evidence = 0.0 if partial else chest_wall_evidence(image, padding)
    seen = "" if abs(evidence) < DECIDED else ("L" if evidence > 0 else "R")
    if not tagged and not seen:
        raise DataError(
            f"{header.name}: the chest wall cannot be found: no Patient Orientation, and no clear "
            "breast in the pixels; add the tag or leave out the file."
        )
    if not tagged:
        side, source = seen, PIXELS
    elif seen not in ("", tagged) and abs(evidence) >= _STRONG:
        side, source = seen, AGAINST + source
    else:
        side = tagged
    return Orientation(transpose, side != laterality, flip_vertical, source)


def chest_wall_evidence(image: np.ndarray, padding: np.ndarray | None = None) -> float:
    """Says at which edge of an image the breast touches the chest wall.

    The breast is the largest bright region. It lies nearer the chest wall's edge, and touches that
    edge along most of its height.

    Args:
        image: (height, width), tissue brighter than air.
        padding: (height, width) bool, True where there is no image; or None.

    Returns:
        −1 to 1: positive when the chest wall is at the left edge, negative when at the right, near
        0 when the pixels do not say.
    """
    _, sampled = sample_evenly(image.shape, _SAMPLES)
    small = image[sampled]
    if padding is not None:
        inside = ~padding[sampled]
        if not inside.any():
            return 0.0
        # Padding round the image would hide its true edges.
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        small = np.where(inside, small, darkest_level(small[inside]))[box]
    small = small.astype(np.float32)
    level = otsu_level(small)
    if level is None:
        return 0.0
    breast = largest_region(small > level)
    if not breast.any():
        return 0.0
    # Within its own box, so that black margins round a digitised film do not count.
    rows, columns = np.flatnonzero(breast.any(1)), np.flatnonzero(breast.any(0))
    breast = breast[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = breast.shape[1]
    position = np.nonzero(breast)[1].mean()
    offset = 1.0 - 2.0 * position / max(width - 1, 1)
    edge = max(1, width // 16)
    contact = breast[:, :edge].mean() - breast[:, -edge:].mean()
    return float(np.clip(0.5 * offset + 0.5 * contact, -1.0, 1.0))


def _upside_down(column: str, view: str | None, laterality: str | None) -> bool:
    """Whether Patient Orientation's second value says that the image is upside down."""
    if view in CRANIO_CAUDAL_VIEWS:
        letter = next((c for c in column if c in "LR"), "")
        # Lateral at the top: in a left breast the columns then run towards the patient's right.
        return bool(letter) and laterality is not None and letter == laterality
    letter = next((c for c in column if c in "HF"), "")
    return letter == "H"


def _tagged_chest_side(header: Header, row: str, laterality: str) -> tuple[str, str]:
    """Returns the edge ("L", "R" or "" for unknown) at which the tags put the chest wall."""
    if row[:1] in ("A", "P"):
        return ("L" if row[0] == "A" else "R"), PATIENT_ORIENTATION
    flip = header.get(HORIZONTAL_FLIP, "").upper()
    if flip in ("YES", "NO") and header.get("FieldOfViewRotation", 0.0) == 0.0:
        other = "R" if laterality == "L" else "L"
        return (laterality if flip == "NO" else other), HORIZONTAL_FLIP
    return "", ""
