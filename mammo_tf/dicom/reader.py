"""One DICOM file to one mammogram in canonical orientation."""

import dataclasses
import os
from pathlib import Path

import numpy as np
from pydicom import uid

from mammo_tf import limits
from mammo_tf.dicom import display, metadata, orientation, safety, samples, views
from mammo_tf.dicom.header import Header, read_header
from mammo_tf.errors import DataError, UserError

DEFAULT_MAX_PIXELS = limits.MAX_PIXELS
# Digitised film and computed radiography: accepted when the file says that it shows a breast.
_OTHER_MODALITIES = frozenset({"CR", "DX", "HC", "OT", "RG", "SC"})


class ForProcessingError(DataError):
    """An image that was not asked for with `allow_for_processing`: raw values of the detector."""


@dataclasses.dataclass(frozen=True, eq=False)
class Mammogram:
    """One view of one breast.

    Attributes:
        pixels: (height, width) uint8 or uint16 stored values in canonical orientation: head up,
            the chest wall of a left breast at the left edge, of a right breast at the right edge.
            Larger is brighter: MONOCHROME1 is inverted without loss. Padding has the darkest level
            of the image proper (`mammo_tf.breast.darkest_level`).
        padding: (height, width) bool, True where there is no image; None where there is no padding.
        metadata: What is known about it; nothing that identifies a person.
        display_transform: The file's modality and VOI transformations.
        turn: How the stored image was turned.
    """

    pixels: np.ndarray = dataclasses.field(repr=False)
    padding: np.ndarray | None = dataclasses.field(repr=False)
    metadata: metadata.MammogramMetadata
    display_transform: display.DisplayTransform
    turn: orientation.Orientation

    def display(self, voi: int = 0) -> np.ndarray:
        """Returns the image as a viewer shows it: modality LUT, VOI, then inversion.

        Args:
            voi: Which of the file's alternative VOI LUTs (first) and windows.

        Returns:
            (height, width) float32 in [0, 1]; padding is 0. Without any VOI the full range of
            stored values is shown.

        Raises:
            UserError: If the file has no such alternative.

        Reference: DICOM PS3.4, N.2; PS3.3, C.11.1 and C.11.2.
        """
        shown = self.display_transform.table(voi)[self.pixels]
        if self.padding is not None:
            shown[self.padding] = 0.0
        return shown


def read_mammogram(
    path: str | os.PathLike,
    *,
    salt: str | bytes | None = None,
    view: str | None = None,
    laterality: str | None = None,
    allow_for_processing: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Mammogram:
    """Reads one mammogram from a DICOM file.

    Args:
        path: The file. Any transfer syntax that pydicom and the pylibjpeg plug-ins decode.
        salt: Secret of the data set for `metadata.patient_key`; None leaves that empty.
        view: What the data set's table says, e.g. "MLO"; used where the file is silent.
        laterality: What the data set's table says, "L" or "R"; used where the file is silent.
        allow_for_processing: Whether to read images whose intent is FOR PROCESSING, too.
        max_pixels: Refuse larger images, before any memory is taken for them.

    Returns:
        The mammogram. It can be pickled, and the function may be called in several threads.

    Raises:
        UserError: If an argument is unusable.
        DataError: If the file is missing, cut off, damaged, too large, no mammogram, or contradicts
            itself or the table. One line that names the file.
        CodecError: If the plug-in for its transfer syntax is not installed.

    Examples:
        >>> from mammo_tf.testing import write_mammogram
        >>> mammogram = read_mammogram(write_mammogram("/tmp/left_mlo.dcm"), salt="secret")
        >>> mammogram.pixels.shape, mammogram.metadata.view, mammogram.metadata.laterality
        ((96, 64), 'MLO', 'L')
    """
    views.check_arguments(view, laterality)
    if max_pixels < 1:
        raise UserError(f"max_pixels must be at least 1. Received: max_pixels={max_pixels}.")
    path = Path(path)
    name = safety.safe_name(path)
    header = read_header(safety.read_file(path, max_pixels), name, max_pixels)
    _check_is_mammogram(header, allow_for_processing)
    _check_image_description(header, max_pixels)
    view = views.resolve_view(header, view)
    laterality = views.resolve_laterality(header, laterality)
    transform = display.build_display(header)
    pixels, padding, lossy = _pixels(header)
    modifiers = views.resolve_modifiers(header)
    turn = orientation.find_orientation(header, pixels, padding, view, laterality, modifiers)
    facts = metadata.build_metadata(
        header,
        salt=salt,
        view=view,
        laterality=laterality,
        modifiers=modifiers,
        lossy_frame=lossy,
        transposed=turn.transpose,
        orientation_source=turn.source,
    )
    return Mammogram(
        pixels=turn.apply(pixels),
        padding=None if padding is None else turn.apply(padding),
        metadata=facts,
        display_transform=transform,
        turn=turn,
    )


def read_stored(
    path: str | os.PathLike, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[np.ndarray, Header]:
    """Reads a mammogram, or a mask of one, as its file has it: neither turned nor mirrored.

    Args:
        path: The file.
        max_pixels: Refuse larger images, before any memory is taken for them.

    Returns:
        (height, width) uint8 or uint16 stored values, MONOCHROME1 inverted and padding 0; and the
        file's header.

    Raises:
        DataError: If the file is missing, cut off, damaged, too large or no mammogram.
        CodecError: If the plug-in for its transfer syntax is not installed.
    """
    path = Path(path)
    name = safety.safe_name(path)
    header = read_header(safety.read_file(path, max_pixels), name, max_pixels)
    _check_is_mammogram(header, allow_for_processing=True)
    _check_image_description(header, max_pixels)
    return _pixels(header)[0], header


def read_samples(
    content: bytes, name: str, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[np.ndarray, Header, bool]:
    """Reads one grey image as its file has it, for what must not change a value.

    Args:
        content: The file's bytes, from `safety.read_file`.
        name: Names the file in errors.
        max_pixels: Refuse larger images, before any memory is taken for them.

    Returns:
        (height, width) uint8 or uint16 stored values, with padding and MONOCHROME1 as they are;
        the header; and whether the image was compressed with loss before.

    Raises:
        DataError: If it is damaged, too large, or not one grey image.
        CodecError: If the plug-in for its transfer syntax is not installed.
    """
    header = read_header(content, name, max_pixels)
    _check_image_description(header, max_pixels)
    decoded = samples.decode_samples(header)
    lossy = decoded.lossy or header.get("LossyImageCompression", "") == "01"
    return samples.limit_bits(decoded, header.get("BitsStored")), header, lossy


def _pixels(header: Header) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Decodes, masks the padding and turns MONOCHROME1; still as the file is oriented."""
    decoded = samples.decode_samples(header)
    bits_stored = header.get("BitsStored")
    pixels = samples.limit_bits(decoded, bits_stored)
    padding = samples.find_padding(header, decoded.values, pixels)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        pixels = pixels.dtype.type(2**bits_stored - 1) - pixels
    if padding is not None:
        samples.fill_padding(pixels, padding)
    return pixels, padding, decoded.lossy


def _check_is_mammogram(header: Header, allow_for_processing: bool) -> None:
    name, modality = header.name, header.get("Modality", "").upper()
    sop_class = header.get("SOPClassUID", "")
    breast = "BREAST" in header.get("BodyPartExamined", "").upper()
    mammography = modality == "MG" or (
        not modality
        and sop_class
        in (
            uid.DigitalMammographyXRayImageStorageForPresentation,
            uid.DigitalMammographyXRayImageStorageForProcessing,
        )
    )
    if not mammography and not (breast and modality in _OTHER_MODALITIES):
        # Only what looks like a defined term ("CT"): any text may stand in a damaged element.
        shown = modality if len(modality) == 2 and modality.isalpha() else "none"
        if modality in _OTHER_MODALITIES and not header.get("BodyPartExamined", ""):
            raise DataError(
                f"{name}: BodyPartExamined is missing: an image of Modality {shown} is read as a "
                "mammogram only where that is BREAST; add the element."
            )
        raise DataError(
            f"{name}: not a mammogram: expected Modality MG, or digitised film of BREAST. "
            f"Received: Modality {shown}."
        )
    if sop_class == uid.BreastTomosynthesisImageStorage:
        raise DataError(f"{name}: tomosynthesis is not read; give the two-dimensional view.")
    if metadata.presentation_intent(header) == metadata.FOR_PROCESSING and not allow_for_processing:
        raise ForProcessingError(
            f"{name}: the image is FOR PROCESSING, not for display; give the FOR PRESENTATION "
            "image of the same view."
        )


def _check_image_description(header: Header, max_pixels: int) -> None:
    name = header.name
    if header.get("NumberOfFrames", 1) not in (0, 1):  # some devices write 0 for an only frame
        raise DataError(f"{name}: several frames are not read; give one image per file.")
    _check_photometric(header)
    safety.check_matrix(header.get("Rows"), header.get("Columns"), name, max_pixels)
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    if allocated not in (8, 16) or stored is None or not 1 <= stored <= allocated:
        raise DataError(
            f"{name}: BitsAllocated must be 8 or 16 and BitsStored at most that. Received: "
            f"BitsAllocated={allocated}, BitsStored={stored}; export the image again."
        )
    high = header.high_bit
    syntax = header.transfer_syntax
    is_raw = not syntax.is_encapsulated or syntax == uid.RLELossless
    if is_raw and not stored - 1 <= high < allocated:  # codestreams have a depth of their own
        raise DataError(
            f"{name}: HighBit={high} does not fit BitsStored={stored}; export it again."
        )
    if header.get("PixelRepresentation", 0) != 0:
        raise DataError(
            f"{name}: signed pixels are not read (DICOM mammograms are unsigned); export it again."
        )


def _check_photometric(header: Header) -> None:
    name, photometric = header.name, header.get("PhotometricInterpretation", "")
    if not photometric:
        raise DataError(
            f"{name}: PhotometricInterpretation is missing, so black and white cannot be told "
            "apart; add the element (MONOCHROME1: 0 is white; MONOCHROME2: 0 is black)."
        )
    if header.get("SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise DataError(
            f"{name}: expected one grey sample per pixel (MONOCHROME1 or MONOCHROME2); colour "
            "images are not mammograms."
        )
