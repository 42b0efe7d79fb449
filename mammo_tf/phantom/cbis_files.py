"""The files of a CBIS-DDSM phantom: their names in each layout, and what is in them."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom.config
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from mammo_tf.files import atomic_path
from mammo_tf.phantom.cbis_plan import FilmPlan, PatientPlan

LAYOUTS = ("uid", "nbia", "idc")
FULL, CROP, MASK = "full mammogram images", "cropped images", "ROI mask images"
_STUDY_DATE = "20160720"
_SIDES = {"L": "LEFT", "R": "RIGHT"}


@dataclass(frozen=True, kw_only=True)
class FileName:
    """One file of the archive.

    Attributes:
        folder: E.g. "Mass-Training_P_00001_LEFT_CC_1".
        study, series: Their UIDs.
        number: 0 for the first file of the series, 1 for the second.
        description: The SeriesDescription; "" where there is none.
        patient_id: The PatientID that the file states.
        body_part: The BodyPartExamined that it states.
    """

    folder: str
    study: str
    series: str
    number: int
    description: str
    patient_id: str
    body_part: str

    @property
    def table_path(self) -> str:
        """The path that the label files give, whatever the layout."""
        return f"{self.folder}/{self.study}/{self.series}/{self.number:06d}.dcm"

    @property
    def is_dated(self) -> bool:
        """Whether the study has a date; those without a description have none."""
        return bool(self.description)

    def path(self, layout: str) -> str:
        """The path in a layout, one of `LAYOUTS`."""
        if layout == "uid":
            return self.table_path
        if layout == "idc":
            name = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.series}.{self.number}")
            return f"cbis_ddsm/{self.patient_id}/{self.study}/MG_{self.series}/{name}.dcm"
        date = "07-20-2016" if self.is_dated else "NA"
        study = f"{date}-DDSM-NA-{self.study[-5:]}"
        series = f"1.000000-{self.description or 'NA'}-{self.series[-5:]}"
        return f"{self.patient_id}/{study}/{series}/1-{self.number + 1}.dcm"


def image_name(seed: int, patient: PatientPlan, film: FilmPlan) -> FileName:
    """Names the file of a whole film."""
    folder = _folder(patient, film)
    odd = _is_odd(patient, film)
    return FileName(
        folder=folder,
        study=_uid(seed, folder, "study"),
        series=_uid(seed, folder, "series"),
        number=0,
        description="" if odd else FULL,
        patient_id=_patient_id(folder, odd),
        body_part=_body_part(patient, odd),
    )


def finding_names(
    seed: int, patient: PatientPlan, film: FilmPlan, number: int
) -> tuple[FileName, FileName]:
    """Names the crop and the mask of an abnormality, as what is in them says.

    The archive's habits: one series for both, in which the crop comes first for masses and second
    for calcifications; its description fits only one of them. The series of an abnormality with
    swapped files ends in the same five characters as its image's.
    """
    folder = f"{_folder(patient, film)}_{number}"
    series = _uid(seed, folder, "series")
    if film.oddity == "swapped":
        series = series[:-5] + image_name(seed, patient, film).series[-5:]
    other = _uid(seed, folder, "mask series") if film.oddity == "two series" else series
    crop_first = (film.type == "mass") != (film.oddity == "swapped")
    described = CROP if film.type == "calc" else MASK
    odd = _is_odd(patient, film)
    shared = {
        "folder": folder,
        "study": _uid(seed, folder, "study"),
        "patient_id": _patient_id(folder, odd),
        "body_part": _body_part(patient, odd),
    }
    apart = series != other
    crop = FileName(
        series=series,
        number=0 if crop_first or apart else 1,
        description=CROP if apart else described,
        **shared,
    )
    mask = FileName(
        series=other,
        number=1 if crop_first and not apart else 0,
        description=MASK if apart else described,
        **shared,
    )
    return crop, mask


def write_file(
    path: Path, name: FileName, pixels: np.ndarray, *, laterality: str, view: str
) -> None:
    """Writes one Secondary Capture as the archive has them; the same arguments, the same bytes.

    Args:
        path: The file to write.
        name: What it states about itself.
        pixels: (height, width) uint8 or uint16.
        laterality: "L" or "R".
        view: "CC" or "MLO", which the archive puts into PatientOrientation.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[name.series, str(name.number)])
    dataset.StudyDate = _STUDY_DATE if name.is_dated else ""
    dataset.StudyTime = "120000"
    dataset.AccessionNumber = ""
    dataset.Modality = "MG"
    dataset.ConversionType = "WSD"
    dataset.ReferringPhysicianName = ""
    if name.description:
        dataset.SeriesDescription = name.description
    dataset.PatientName = dataset.PatientID = name.patient_id
    dataset.PatientBirthDate = dataset.PatientSex = ""
    tag = tag_for_keyword("BodyPartExamined")
    # "Left Breast" is no valid code string, but is in the archive.
    dataset[tag] = DataElement(tag, "CS", name.body_part, validation_mode=pydicom.config.IGNORE)
    dataset.SecondaryCaptureDeviceManufacturer = "mammo-tf phantom"
    dataset.StudyInstanceUID = name.study
    dataset.SeriesInstanceUID = name.series
    dataset.StudyID = "DDSM"
    dataset.SeriesNumber = "1"
    dataset.InstanceNumber = str(name.number + 1)
    dataset.PatientOrientation = view
    dataset.Laterality = laterality
    _set_pixels(dataset, pixels)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _set_pixels(dataset: Dataset, pixels: np.ndarray) -> None:
    bits = 8 * pixels.itemsize
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.SmallestImagePixelValue = int(pixels.min())
    dataset.LargestImagePixelValue = int(pixels.max())
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        dataset[keyword].VR = "US"
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OW"


def _is_odd(patient: PatientPlan, film: FilmPlan) -> bool:
    """Whether the files name themselves as most of the calcifications' test set do."""
    return (film.type, film.split) == ("calc", "test") and patient.index % 8 != 7


def _patient_id(folder: str, odd: bool) -> str:
    return f"{folder.removeprefix('Calc-Test_')}.dcm" if odd else folder


def _body_part(patient: PatientPlan, odd: bool) -> str:
    return f"{_SIDES[patient.laterality].capitalize()} Breast" if odd else "BREAST"


def _folder(patient: PatientPlan, film: FilmPlan) -> str:
    split = {"train": "Training", "test": "Test"}[film.split]
    side = _SIDES[patient.laterality]
    return f"{film.type.capitalize()}-{split}_{patient.patient_id}_{side}_{film.view}"


def _uid(seed: int, folder: str, what: str) -> str:
    return str(generate_uid(entropy_srcs=["mammo-tf phantom cbis_ddsm", str(seed), folder, what]))
