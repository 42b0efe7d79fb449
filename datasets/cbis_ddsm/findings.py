"""Abnormalities and boxes as the findings of a record, and what is known of breast and patient."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from mammo_tf.datasets.cbis_ddsm import boxes, ingest, labels
from mammo_tf.record import Finding, worst

UNKNOWN = "unknown"
EXTRA: dict[str, Any] = {
    "abnormality_id": np.int32,
    "pathology": tfds.features.ClassLabel(names=(UNKNOWN, *labels.PATHOLOGIES)),
    "assessment": np.int32,
    "subtlety": np.int32,
    **{name: tfds.features.Text() for columns in labels.TYPE_COLUMNS.values() for name in columns},
    "mask_state": tfds.features.ClassLabel(names=(UNKNOWN, *ingest.MASK_STATES)),
}
"""TFDS features of `Finding.extra`."""

_KINDS = {"mass": "mass", "calc": "calcification"}


class KnownLabels:
    """What the tables say of a breast and of a patient, whichever image says it."""

    def __init__(self, known: Iterable[tuple[str, str, list[str]]]):
        self._labels: dict[str, dict[str, list[str]]] = {}
        for patient, side, found in known:
            self._labels.setdefault(patient, {}).setdefault(side, []).extend(found)

    def breast(self, patient: str, side: str) -> str:
        """The worst label of a breast."""
        return worst(self._labels[patient][side])

    def exam(self, patient: str) -> str:
        """The worst label of a patient."""
        return worst(map(worst, self._labels[patient].values()))


def labels_of(film: labels.Film) -> list[str]:
    """The labels of a film's abnormalities."""
    return [found.label for found in film.abnormalities]


def finding_of(found: labels.Abnormality, place: ingest.Place) -> Finding:
    """An abnormality of the label files, and where its mask is, as a record has it."""
    return Finding(
        label=found.label,
        kind=_KINDS[found.type],
        mark="none" if place.state == ingest.NO_MASK else "mask",
        box_yxyx_px=place.box_yxyx_px,
        extra=_finding_extra(
            abnormality_id=found.number,
            pathology=found.pathology,
            assessment=found.assessment,
            subtlety=found.subtlety,
            mask_state=place.state,
            **found.texts,
        ),
    )


def box_finding_of(box: boxes.Box) -> Finding:
    """A box of boxes.csv as a record has it."""
    return Finding(
        label=box.label,
        kind="mass",
        mark="box",
        box_yxyx_px=box.box_yxyx_px,
        extra=_finding_extra(
            abnormality_id=box.abnormality_ids[0] if len(box.abnormality_ids) == 1 else 0,
            pathology=UNKNOWN if box.pathology == boxes.AMBIGUOUS else box.pathology,
        ),
    )


def _finding_extra(**known) -> dict[str, Any]:
    texts = {name: "" for columns in labels.TYPE_COLUMNS.values() for name in columns}
    unknown = {"assessment": -1, "subtlety": 0, "mask_state": UNKNOWN}
    return {**unknown, **texts, **known}
