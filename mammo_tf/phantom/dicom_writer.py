"""Phantom views as Digital Mammography X-Ray Images, For Presentation, JPEG 2000 lossless."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

from mammo_tf.files import atomic_path
from mammo_tf.phantom.plan import StudyPlan
from mammo_tf.phantom.vendors import Vendor, patient_orientation, to_stored

_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}


def write_view(
    path: Path,
    pixels: np.ndarray,
    *,
    plan: StudyPlan,
    vendor: Vendor,
    laterality: str,
    view: str,
    pixel_mm: float,
    seed: int,
) -> None:
    """Writes one view, atomically; the same arguments give the same bytes.

    Args:
        path: The .dcm file.
        pixels: (height, width) uint16, canonical orientation, MONOCHROME2.
        plan: The study.
        vendor: The machine, which decides how the pixels are stored.
        laterality: "L" or "R".
        view: "CC" or "MLO".
        pixel_mm: Side of a pixel in mm.
        seed: Seed of the data set; part of the UIDs.
    """
    dataset = Dataset()
    key = ["mammo-tf phantom", str(seed), plan.patient_id, f"{pixel_mm:.6g}"]
    number = ("LCC", "LMLO", "RCC", "RMLO").index(laterality + view) + 1
    _set_study(dataset, plan, key)
    dataset.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[*key, laterality + view])
    dataset.InstanceNumber = str(number)
    _set_machine(dataset, vendor, pixel_mm)
    _set_view(dataset, vendor, laterality, view)
    _set_pixels(dataset, vendor, to_stored(pixels, vendor, laterality))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _set_study(dataset: Dataset, plan: StudyPlan, key: list[str]) -> None:
    date = f"2018{plan.index % 12 + 1:02d}{plan.index % 28 + 1:02d}"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientID = plan.patient_id
    dataset.PatientName = plan.patient_id.replace("-", "^")
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "F"
    dataset.PatientAge = f"{plan.age:03d}Y"
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[*key, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*key, "series"])
    dataset.StudyID = str(plan.index + 1)
    dataset.SeriesNumber = "1"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, name, date)
    for name in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(dataset, name, "120000")


def _set_machine(dataset: Dataset, vendor: Vendor, pixel_mm: float) -> None:
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.Manufacturer = vendor.manufacturer
    dataset.ManufacturerModelName = vendor.model
    dataset.SoftwareVersions = "mammo-tf phantom"
    dataset.DeviceSerialNumber = "0"
    dataset.DetectorType = "DIRECT"
    dataset.DetectorID = "0"
    dataset.ImagerPixelSpacing = [pixel_mm, pixel_mm]
    dataset.PixelSpacing = [pixel_mm, pixel_mm]
    dataset.PositionerType = "MAMMOGRAPHIC"
    dataset.BodyPartThickness = "55"
    dataset.CompressionForce = "100"
    dataset.KVP = "29"
    dataset.AnodeTargetMaterial = "MOLYBDENUM"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _set_view(dataset: Dataset, vendor: Vendor, laterality: str, view: str) -> None:
    code, meaning = _VIEW_CODES[view]
    item = _code(code, "SCT", meaning)
    item.ViewModifierCodeSequence = Sequence()
    dataset.ViewCodeSequence = Sequence([item])
    dataset.ViewPosition = view
    dataset.ImageLaterality = laterality
    dataset.PositionerPrimaryAngle = "0" if view == "CC" else {"L": "45", "R": "-45"}[laterality]
    dataset.AnatomicRegionSequence = Sequence([_code("76752008", "SCT", "Breast")])
    dataset.BodyPartExamined = "BREAST"
    dataset.OrganExposed = "BREAST"
    dataset.PatientOrientation = patient_orientation(vendor, laterality, view)
    dataset.FieldOfViewHorizontalFlip = "YES" if vendor.turns[laterality] == "mirror" else "NO"
    dataset.FieldOfViewRotation = "180" if vendor.turns[laterality] == "half turn" else "0"
    dataset.BreastImplantPresent = "NO"
    dataset.PartialView = "NO"
    dataset.AcquisitionContextSequence = Sequence()


def _set_pixels(dataset: Dataset, vendor: Vendor, stored: np.ndarray) -> None:
    inverted = vendor.photometric_interpretation == "MONOCHROME1"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = vendor.photometric_interpretation
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored = 16, vendor.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = vendor.bits_stored - 1, 0
    if vendor.padding_value is not None:
        dataset.PixelPaddingValue = vendor.padding_value
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if inverted else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = vendor.window_center, vendor.window_width
    dataset.VOILUTFunction = vendor.voi_function
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
