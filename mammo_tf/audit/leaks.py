"""What leaks between the parts of a split."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from mammo_tf.audit.copies import Copy
from mammo_tf.audit.split import SplitImage, count_parts

KINDS = ("patient", "image", "copy", "turned copy")


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Something that two parts share.

    Attributes:
        kind: "patient", one patient's images in both; "image", one image in both; "copy", or
            "turned copy", which is turned by quarters, mirrored or both.
        first_part: One part.
        second_part: The other.
        first_patient: The patient of the first image.
        second_patient: That of the other; with copies it may be another.
        first_image: An image of the first part.
        second_image: An image of the other.
        similarity: Of copies, see `mammo_tf.audit.copies`; 1 otherwise.
        position: How the second image lies to the first; "" where no pixels were compared.
    """

    kind: str
    first_part: str
    second_part: str
    first_patient: str
    second_patient: str
    first_image: str
    second_image: str
    similarity: float = 1.0
    position: str = ""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was found about a split.

    Attributes:
        parts: Number of images of each part.
        num_patients: Number of patients.
        pixels_compared: Whether copies were looked for.
        leaks: What leaks, by kind.
        notes: Sentences about what is doubtful and no leak.
    """

    parts: dict[str, int]
    num_patients: int
    pixels_compared: bool
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of leaks of each kind."""
        return {kind: sum(leak.kind == kind for leak in self.leaks) for kind in KINDS}

    def describe(self) -> dict:
        """Returns all of it as values that JSON can hold."""
        return {
            "leaks": bool(self.leaks),
            "parts": self.parts,
            "num_patients": self.num_patients,
            "pixels_compared": self.pixels_compared,
            "counts": self.counts,
            "notes": list(self.notes),
            "found": [asdict(leak) for leak in self.leaks],
        }

    def to_csv(self) -> str:
        """Returns the leaks as a table."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(Leak.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(leak) for leak in self.leaks)
        return text.getvalue()


def audit_split(
    images: Sequence[SplitImage], copies: Iterable[Copy] | None = None, *, num_blank: int = 0
) -> Audit:
    """Finds what the parts of a split share.

    A patient counts once for each pair of parts, an image likewise, and each pair of copies that
    lie in two parts counts, whatever their patients.

    Args:
        images: The split.
        copies: Pairs of images by their place in `images`; None where no pixels were compared.
        num_blank: Images without structure, which can be compared with nothing.
    """
    pairs = None if copies is None else list(copies)
    leaks = [*_shared("patient", images), *_shared("image", images)]
    within = 0
    for copy in pairs or ():
        first, second = images[copy.first], images[copy.second]
        if first.part == second.part:
            within += 1
        elif first.image != second.image:
            leaks.append(_of_copy(first, second, copy))
    return Audit(
        parts=count_parts(images),
        num_patients=len({image.patient for image in images}),
        pixels_compared=pairs is not None,
        leaks=tuple(sorted(leaks, key=lambda leak: KINDS.index(leak.kind))),
        notes=tuple(_notes(images, within, num_blank)),
    )


def _shared(kind: str, images: Sequence[SplitImage]) -> list[Leak]:
    """What two parts have in common: the first image of each stands for it."""
    parts = list(count_parts(images))
    found: dict[str, dict[str, SplitImage]] = {}
    for image in images:
        found.setdefault(getattr(image, kind), {}).setdefault(image.part, image)
    leaks = []
    for held in found.values():
        there = sorted(held, key=parts.index)
        for place, part in enumerate(there):
            for other in there[place + 1 :]:
                leaks.append(_leak(kind, held[part], held[other]))
    return leaks


def _of_copy(first: SplitImage, second: SplitImage, copy: Copy) -> Leak:
    kind = "copy" if copy.position == "as it is" else "turned copy"
    similarity = round(copy.similarity, 3)
    return _leak(kind, first, second, similarity=similarity, position=copy.position)


def _leak(kind: str, first: SplitImage, second: SplitImage, **more) -> Leak:
    return Leak(
        kind=kind,
        first_part=first.part,
        second_part=second.part,
        first_patient=first.patient,
        second_patient=second.patient,
        first_image=first.image,
        second_image=second.image,
        **more,
    )


def _notes(images: Sequence[SplitImage], within: int, num_blank: int):
    if within:
        yield f"{within} pairs of copies lie within one part: no leak, but counted twice there."
    if num_blank:
        yield f"{num_blank} images have no structure and were compared with nothing."
    spellings: dict[str, set[str]] = {}
    for image in images:
        spellings.setdefault(_spelling(image.patient), set()).add(image.patient)
    several = sum(len(found) > 1 for found in spellings.values())
    if several:
        yield (
            f"{several} patient ids are written in several ways that differ only in leading zeros, "
            "'.0' or case; each counts as another patient here."
        )


def _spelling(patient: str) -> str:
    text = re.sub(r"\.0+$", "", patient.casefold())
    return text.lstrip("0") or "0"
