"""What is kept of a file's header: an allow-list without anything that identifies a person."""

import dataclasses
import hashlib
import hmac
import math
import re

from pydicom import uid

from mammo_tf.dicom.header import Header
from mammo_tf.dicom.values import parse_real
from mammo_tf.errors import UserError

_KEY_LENGTH = 16
_AGE = re.compile(r"^(\d{1,3})([DWMY])$")
_DAYS_PER_UNIT = {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}
# Ages above 89 identify a person (45 CFR 164.514 b 2 i C), so 90 stands for all of them.
_TOP_AGE = 90
_MAX_LABEL = 64
# A pixel of a mammogram has 0.05 to 0.2 mm; thumbnails have more.
MIN_SPACING_MM, MAX_SPACING_MM = 0.001, 10.0
_INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
FOR_PROCESSING = "FOR PROCESSING"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MammogramMetadata:
    """What is known about a mammogram and does not identify the woman.

    Attributes:
        view: "CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM", "FB", "SIO", "ISO"; None if unknown.
        laterality: "L" or "R"; None if unknown.
        patient_key: Salted hash of the patient id, 16 hex digits; "" without a salt or an id.
        vendor: Manufacturer of the device; "" if unknown.
        model: The manufacturer's model name; "" if unknown.
        age_years: Age in full years; 90 means 90 or more; None if unknown.
        pixel_spacing_mm: (row, column) distance between pixels in canonical orientation; None if
            unknown. From Pixel Spacing, else from Imager Pixel Spacing (at the detector).
        bits_stored: Bits that carry the image, 1 to 16.
        photometric_interpretation: The file's own, "MONOCHROME1" or "MONOCHROME2".
        presentation_intent: "FOR PRESENTATION", "FOR PROCESSING", or "" if the file is silent.
        transfer_syntax_uid: How the file stores its pixels.
        lossy: Whether the image has ever been compressed with loss, as far as the file tells.
        burned_in_annotation: Whether the pixels hold text that may identify the woman (Burned In
            Annotation); None if the file is silent.
        implant_present: Whether the breast has an implant; None if the file is silent.
        view_modifiers: Short names from CID 4015: "ID" (implant displaced), "M" (magnification),
            "S" (spot compression), ...; "OTHER" for codes outside it.
        orientation_source: What decided the orientation: see `mammo_tf.dicom.orientation`.
        notes: One line for each thing that the file has and the reader left out, e.g. a window of
            width 0; no value of the file but numbers.
    """

    view: str | None
    laterality: str | None
    patient_key: str
    vendor: str
    model: str
    age_years: int | None
    pixel_spacing_mm: tuple[float, float] | None
    bits_stored: int
    photometric_interpretation: str
    presentation_intent: str
    transfer_syntax_uid: str
    lossy: bool
    burned_in_annotation: bool | None
    implant_present: bool | None
    view_modifiers: tuple[str, ...]
    orientation_source: str
    notes: tuple[str, ...] = ()

    @property
    def implant_displaced(self) -> bool:
        """Whether this is an implant-displaced (Eklund) view."""
        return "ID" in self.view_modifiers


def patient_key(patient_id: str, salt: str | bytes) -> str:
    """Returns a stable pseudonym for a patient id: HMAC-SHA256, shortened to 16 hex digits.

    Args:
        patient_id: The id as in the file or table; surrounding spaces do not count.
        salt: The data set's secret; whoever has it can test guesses of an id, so keep it apart.

    Raises:
        UserError: If the salt is empty.

    Examples:
        >>> patient_key("12345", "secret")
        'f88c7ebe4740db59'
    """
    salt = salt.encode("utf-8") if isinstance(salt, str) else salt
    if not salt:
        raise UserError("salt must not be empty: without it a patient id could be guessed.")
    message = str(patient_id).strip(" \0").encode("utf-8", "surrogatepass")
    return hmac.new(salt, message, hashlib.sha256).hexdigest()[:_KEY_LENGTH]


def build_metadata(
    header: Header,
    *,
    salt: str | bytes | None,
    view: str | None,
    laterality: str | None,
    modifiers: tuple[str, ...],
    lossy_frame: bool,
    transposed: bool,
    orientation_source: str,
) -> MammogramMetadata:
    """Collects the allowed facts of one file.

    Args:
        header: The file's header.
        salt: The data set's secret, or None for no patient key.
        view: As resolved by `mammo_tf.dicom.views`.
        laterality: As resolved by `mammo_tf.dicom.views`.
        modifiers: As resolved by `mammo_tf.dicom.views`.
        lossy_frame: Whether the frame's own coding is lossy.
        transposed: Whether rows and columns were exchanged to orient the image.
        orientation_source: What decided the orientation.
    """
    patient_id = header.get("PatientID", "")
    return MammogramMetadata(
        view=view,
        laterality=laterality,
        patient_key=patient_key(patient_id, salt) if salt is not None and patient_id else "",
        vendor=_label(header.get("Manufacturer", "")),
        model=_label(header.get("ManufacturerModelName", "")),
        age_years=_age_years(header.get("PatientAge", "")),
        pixel_spacing_mm=_spacing(header, transposed),
        bits_stored=header.get("BitsStored"),
        photometric_interpretation=header.get("PhotometricInterpretation"),
        presentation_intent=presentation_intent(header),
        transfer_syntax_uid=str(header.transfer_syntax),
        lossy=lossy_frame or header.get("LossyImageCompression") == "01",
        burned_in_annotation=_yes_or_no(header, "BurnedInAnnotation"),
        implant_present=_yes_or_no(header, "BreastImplantPresent"),
        view_modifiers=modifiers,
        orientation_source=orientation_source,
        notes=tuple(header.notes),
    )


def presentation_intent(header: Header) -> str:
    """Returns the intent from Presentation Intent Type or, where it is absent, the SOP class."""
    intent = header.get("PresentationIntentType", "").upper()
    if intent in _INTENTS:
        return intent
    sop_class = header.get("SOPClassUID", "")
    if sop_class == uid.DigitalMammographyXRayImageStorageForProcessing:
        return FOR_PROCESSING
    if sop_class == uid.DigitalMammographyXRayImageStorageForPresentation:
        return "FOR PRESENTATION"
    return ""


def _yes_or_no(header: Header, keyword: str) -> bool | None:
    return {"YES": True, "NO": False}.get(header.get(keyword, "").upper())


def _label(text: str) -> str:
    """Returns a device's name, printable and short."""
    return "".join(c for c in text if c.isprintable()).strip()[:_MAX_LABEL]


def _age_years(text: str) -> int | None:
    match = _AGE.match(text.upper())
    if not match:
        return None
    years = int(match[1]) * _DAYS_PER_UNIT[match[2]] / _DAYS_PER_UNIT["Y"]
    return min(int(years), _TOP_AGE)


def _spacing(header: Header, transposed: bool) -> tuple[float, float] | None:
    """Returns the first spacing that a mammogram can have."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if not (values := header.get(keyword)):
            continue
        try:
            row, column = (parse_real(value) for value in values)
        except ValueError:
            row = column = math.nan
        if all(MIN_SPACING_MM <= side <= MAX_SPACING_MM for side in (row, column)):
            return (column, row) if transposed else (row, column)
        header.notes.append(f"{keyword} unusable; left out.")
    return None
