"""Which subgroups an example belongs to, as far as the common record knows.

"unknown" is what a record does not say; "none" is a lesion's property where there is no lesion.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mammo_tf.record import LABELS, Finding, ImageInfo

UNKNOWN, NONE = "unknown", "none"
DENSITIES = (UNKNOWN, "a", "b", "c", "d")

# The edges of T1b, T1c and T2 in the TNM classification (AJCC, 8th edition): 10 and 20 mm.
SIZES_MM = ((10.0, "0–10 mm"), (20.0, "10–20 mm"), (np.inf, "over 20 mm"))
# About the same on a film of 205 mm, the height of mini-MIAS' images.
SIZES_OF_HEIGHT = (
    (0.05, "0–5 % of the height"),
    (0.10, "5–10 % of the height"),
    (np.inf, "over 10 % of the height"),
)


def image_subgroups(image: ImageInfo) -> dict[str, str]:
    """Returns the view, and the BI-RADS density of the breast, "a" to "d"."""
    return {"view": image.view, "density": DENSITIES[image.density]}


def whole_image_subgroups(image: ImageInfo) -> dict[str, str]:
    """Returns the subgroups of an image, with those of its lesion."""
    found = [(image, finding) for finding in image.findings]
    return image_subgroups(image) | lesion_subgroups(found, image.label)


def finding_subgroups(image: ImageInfo, finding: Finding | None) -> dict[str, str]:
    """Returns the subgroups of one finding; None for a place without any."""
    found = [] if finding is None else [(image, finding)]
    return image_subgroups(image) | lesion_subgroups(found, "normal" if not found else "unknown")


def breast_subgroups(images: Sequence[ImageInfo], label: str) -> dict[str, str]:
    """Returns the subgroups of a breast that is seen in several views at once.

    Args:
        images: Its views. Findings may be marked in any; a lesion is as large as in the view that
            shows it largest.
        label: What is known of the breast, one of `LABELS`.
    """
    found = [(image, finding) for image in images for finding in image.findings]
    density = max(image.density for image in images)
    return {"density": DENSITIES[density], **lesion_subgroups(found, label)}


def lesion_subgroups(found: Iterable[tuple[ImageInfo, Finding]], label: str) -> dict[str, str]:
    """Returns size and type of an example's lesion: of several the worst, then the largest.

    Args:
        found: The findings that the example shows, each with its image.
        label: What is known of the example. Where nothing is found, "normal" has no lesion, and of
            all else the lesion is not known.
    """
    found = [pair for pair in found if pair[1].label != "normal"]
    if not found:
        word = NONE if label == "normal" else UNKNOWN
        return {"lesion_size": word, "finding_type": word}
    image, finding = max(
        found, key=lambda pair: (LABELS.index(pair[1].label), _share_of_height(*pair))
    )
    return {"lesion_size": lesion_size(image, finding), "finding_type": finding.kind}


def lesion_size(image: ImageInfo, finding: Finding) -> str:
    """Returns the size group of a finding: by the longer side of its box.

    In millimetres where the pixel spacing is known, else against the height of the image; the
    upper edge of a group belongs to it.

    Examples:
        >>> box = Finding(mark="box", box_yxyx_px=(0, 0, 150, 100))
        >>> known = {"image_id": "a", "patient_id": "a", "exam_id": "a", "shape": (2000, 1500)}
        >>> lesion_size(ImageInfo(**known, pixel_spacing_mm=(0.1, 0.1)), box)
        '10–20 mm'
        >>> lesion_size(ImageInfo(**known), box)
        '5–10 % of the height'
    """
    if not finding.has_place:
        return UNKNOWN
    if min(image.pixel_spacing_mm) > 0:
        return _group(max(_sides(finding) * image.pixel_spacing_mm), SIZES_MM)
    return _group(_share_of_height(image, finding), SIZES_OF_HEIGHT)


def joined(examples: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Returns {name: (n,) str} of n examples' subgroups; no name of which nothing is known."""
    names = sorted({name for example in examples for name in example})
    values = {
        name: np.array([example.get(name, UNKNOWN) for example in examples]) for name in names
    }
    return {name: of for name, of in values.items() if not set(of.tolist()) <= {UNKNOWN, NONE}}


def _sides(finding: Finding) -> np.ndarray:
    top, left, bottom, right = finding.box_yxyx_px
    return np.array([bottom - top, right - left])


def _share_of_height(image: ImageInfo, finding: Finding) -> float:
    """-1 where its place is not known."""
    return max(_sides(finding)) / max(image.shape[0], 1) if finding.has_place else -1.0


def _group(size: float, groups) -> str:
    return next(name for edge, name in groups if size <= edge)
