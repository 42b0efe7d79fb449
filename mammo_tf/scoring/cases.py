"""The cases that a scorer is asked about: images, breasts or studies whose label is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mammo_tf.errors import UserError
from mammo_tf.pipelines import geometry, subgroups
from mammo_tf.pipelines.catalog import Catalog
from mammo_tf.pipelines.task import Task

SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What gets one score.

    Attributes:
        case_id: Its name, without patient identity.
        images: Ids of its images: one; CC and MLO; or those of the left, then the right breast.
        group: The patient.
        label: 1 for malignant, 0 for the rest.
        subgroups: Its value of each property that is known; see `mammo_tf.pipelines.subgroups`.
    """

    case_id: str
    images: tuple[str, ...]
    group: str
    label: int
    subgroups: Mapping[str, str] = field(default_factory=dict)


def list_cases(
    catalog: Catalog, unit: str, *, official: bool = False
) -> tuple[tuple[Case, ...], str]:
    """Lists the cases of a data set, sorted.

    Args:
        catalog: Any data set's.
        unit: One of `mammo_tf.scoring.config.UNITS`.
        official: Whether to take the data set's own test part alone.

    Returns:
        The cases, and in words how many were left out and why; "" for none.

    Raises:
        UserError: If the data set has no test part of its own but `official` asks for it, or lacks
            cases of both classes.
    """
    if official and not catalog.has_official_splits:
        raise UserError(
            f"--folds official needs a test part of the data set's own; {catalog.name} has none. "
            "Leave it away to score all of it."
        )
    count, cases = 0, []
    for images, label, known in _CANDIDATES[unit](catalog):
        if official and {image.split for image in images} != {"test"}:
            continue
        count += 1
        if label == "unknown" or len(images) != _NUM_IMAGES[unit]:
            continue
        cases.append(
            Case(
                case_id=_name(images, unit),
                images=tuple(image.image_id for image in images),
                group=images[0].patient_id,
                label=int(label == "malignant"),
                subgroups=known,
            )
        )
    where = f"the test part of {catalog.name}" if official else catalog.name
    if {case.label for case in cases} != {0, 1}:
        raise UserError(
            f"A score for each {unit} needs malignant ones and others, {_NEEDS[unit]}; {where} "
            f"has {sum(case.label for case in cases)} malignant of {len(cases)}."
        )
    left_out = count - len(cases)
    note = f"{left_out} of {count} are left out: no label, or a view missing" if left_out else ""
    return tuple(sorted(cases, key=lambda case: case.case_id)), note


def task_of(cases: Sequence[Case], catalog: Catalog, unit: str, notes: Sequence[str] = ()) -> Task:
    """Returns the task that the statistics and the report need; it has no images.

    Args:
        cases: What got a score.
        catalog: What they were listed from.
        unit: What a case is.
        notes: Sentences that the report passes on.
    """
    rows = catalog.rows()
    first = [catalog.images[rows[case.images[0]]] for case in cases]
    return Task(
        name=f"scored by {unit}",
        example_ids=tuple(case.case_id for case in cases),
        image_ids=np.array([image.image_id for image in first]),
        groups=np.array([case.group for case in cases]),
        labels=np.array([case.label for case in cases], int),
        evaluated=np.ones(len(cases), bool),
        split=np.array([image.split for image in first]),
        images=_no_images,
        input_shape=(0, 0),
        shapes=np.array([image.shape for image in first], int),
        is_phantom=catalog.is_phantom,
        has_official_splits=catalog.has_official_splits,
        notes=(*catalog.notes, *notes),
        subgroups=subgroups.joined([case.subgroups for case in cases]),
    )


def _no_images(_cratio):
    raise UserError("What is scored by another's model has no images of ours.")


def _images(catalog: Catalog) -> Iterator:
    for image in catalog.images:
        yield (image,), image.label, subgroups.whole_image_subgroups(image)


def _breasts(catalog: Catalog) -> Iterator:
    for (_, side), views in catalog.breasts().items():
        if side not in SIDES:
            continue
        images = _both_views(catalog, views)
        label = next(catalog.images[row].breast_label for row in views.values())
        yield images, label, subgroups.breast_subgroups(images, label) if images else {}


def _studies(catalog: Catalog) -> Iterator:
    breasts = catalog.breasts()
    for exam in sorted({exam for exam, _ in breasts}):
        sides = [breasts.get((exam, side), {}) for side in SIDES]
        images = tuple(image for views in sides for image in _both_views(catalog, views))
        label = images[0].exam_label if images else "unknown"
        yield images, label, subgroups.breast_subgroups(images, label) if images else {}


def _both_views(catalog: Catalog, views: Mapping[str, int]) -> tuple:
    return tuple(catalog.images[views[name]] for name in geometry.VIEWS if name in views)


def _name(images, unit: str) -> str:
    if unit == "image":
        return images[0].image_id
    exam = images[0].exam_id
    return f"{exam}-{SIDES[images[0].laterality]}" if unit == "breast" else exam


_CANDIDATES = {"image": _images, "breast": _breasts, "study": _studies}
_NUM_IMAGES = {"image": 1, "breast": 2, "study": 4}
_NEEDS = {
    "image": "with a label of their own",
    "breast": "with CC and MLO views and a label",
    "study": "with CC and MLO views of both breasts and a label",
}
