"""DICOM Segmentation of a mammogram, by highdicom (extra mammo_tf[seg])."""

import os
from pathlib import Path

import numpy as np

from mammo_tf import __version__
from mammo_tf.errors import UserError
from mammo_tf.files import atomic_path

LABELS = ("benign", "malignant")
SERIES_NUMBER = 900
_MAX_STORED = 255
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def check_seg() -> None:
    """Raises UserError if highdicom is not installed; the message names the extra."""
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise UserError(
            "DICOM Segmentation needs the extra 'seg': pip install 'mammo-tf[seg]'."
        ) from error


def write_segmentation(
    source: str | os.PathLike, saliency: np.ndarray, path: str | os.PathLike, *, model: str
) -> None:
    """Writes maps as a Segmentation of the image that they belong to.

    It is of the fractional type, one segment a class, 255 stored for 1: no threshold is chosen.
    DICOM puts a Segmentation into the patient and study of its source, so that the file names
    the patient as the source does.

    Args:
        source: The DICOM file of the mammogram.
        saliency: (rows, columns, 2) in [0, 1], as the file stores the image: benign, malignant.
        path: The file to write.
        model: Printable name of what made it, with its version.

    Raises:
        UserError: If highdicom is not installed, or refuses the source.

    Reference:
        DICOM PS3.3, A.51 (Segmentation IOD) and C.8.20.2.
    """
    check_seg()
    import pydicom
    from highdicom import UID
    from highdicom.seg import (
        Segmentation as DicomSegmentation,
    )
    from highdicom.seg import (
        SegmentationFractionalTypeValues,
        SegmentationTypeValues,
    )

    image = pydicom.dcmread(Path(source), stop_before_pixels=True)
    missing = [name for name in _REQUIRED if not image.get(name)]
    if missing:
        raise UserError(f"A Segmentation needs what the image lacks: {', '.join(missing)}.")
    try:
        found = DicomSegmentation(
            source_images=[image],
            pixel_array=np.clip(saliency, 0, 1)[np.newaxis].astype(np.float32),
            segmentation_type=SegmentationTypeValues.FRACTIONAL,
            fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
            max_fractional_value=_MAX_STORED,
            segment_descriptions=_descriptions(model),
            series_instance_uid=UID(),
            series_number=SERIES_NUMBER,
            series_description="GLAM saliency, research only",
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer="mammo_tf",
            manufacturer_model_name="GLAM",
            software_versions=__version__,
            device_serial_number="0",
            omit_empty_frames=False,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Its text might quote the file.
        raise UserError(
            f"highdicom cannot make a Segmentation of this image ({type(error).__name__})."
        ) from error
    # highdicom leaves it out where the source has no frame of reference; type 2C then.
    found.PatientOrientation = image.get("PatientOrientation") or ""
    with atomic_path(path) as temporary:
        found.save_as(temporary)


def _descriptions(model: str) -> list:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name=model, family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=f"{label}, saliency",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in enumerate(LABELS, 1)
    ]
