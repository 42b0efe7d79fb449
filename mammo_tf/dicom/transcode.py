"""A DICOM image in JPEG 2000, with all that the standard asks of a lossy copy.

Sources: DICOM PS3.3 C.7.6.1.1.5 (lossy compression), C.12.4 and C.7.6.1.1.2 (derivation, image
type), C.7.6.16.2.5 (references to the source), PS3.5 A.4.4 (JPEG 2000) and 8.2.4, PS3.16 CID 7203
and 7202 (codes).
"""

import io
import math
import uuid
from dataclasses import dataclass, field

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite, uid
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence

from mammo_tf.codecs import coder, openjpeg
from mammo_tf.codecs.cratios import format_cratio
from mammo_tf.codecs.measure import psnr
from mammo_tf.dicom.header import collected_warnings
from mammo_tf.dicom.reader import DEFAULT_MAX_PIXELS, read_samples
from mammo_tf.errors import DataError

METHOD = "ISO_15444_1"
_WORD_BYTES = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
# Values that would be of other pixels, or a signature of other content.
_STALE = (
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
)


@dataclass(frozen=True, kw_only=True)
class Transcoded:
    """A file in its new coding.

    Attributes:
        content: The DICOM file.
        sop_instance_uid: Its new identity; that of the source where nothing is lost.
        cratio: The compression ratio achieved, against the bits of the container.
        num_bytes: Size of the codestream.
        psnr_db: Against the source's pixels, with 2^BitsStored − 1 as the peak; 100 for none lost.
        padding_changed: Pixels that had the padding value and have another now.
    """

    content: bytes = field(repr=False)
    sop_instance_uid: str
    cratio: float
    num_bytes: int
    psnr_db: float
    padding_changed: int


def transcode(
    content: bytes,
    name: str,
    cratio: float,
    *,
    allow_lossy: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Transcoded:
    """Codes a DICOM image in JPEG 2000.

    The codestream has the depth BitsStored, as the standard asks. For images of 8 and 16 bits its
    pixels are those of the ladder at the same ratio; for others, which the ladder codes with 16
    bits, they are as close to the original.

    Args:
        content: The source file.
        name: Names it in errors.
        cratio: The compression ratio, against the bits of the container; 1 for lossless.
        allow_lossy: Also take what was compressed with loss before.
        max_pixels: Refuse larger images.

    Returns:
        The new file. What it says of itself is read back from it: the pixels are decoded again.

    Raises:
        DataError: If the source is no single grey image, is lossy already, keeps an overlay in
            unused bits of its pixels, or is damaged.
        CodecError: If a codec is missing or fails.
    """
    pixels, header, lossy = read_samples(content, name, max_pixels=max_pixels)
    if lossy and not allow_lossy:
        raise DataError(
            f"{name}: it was compressed with loss before; compressing it again adds to what is "
            "lost. --allow-lossy does so all the same."
        )
    with collected_warnings():
        dataset = _read_whole(content, name)
    _check_overlays(dataset, name)
    bits = header.get("BitsStored")
    stream = coder.encode(pixels, [cratio], bits=bits)
    decoded = coder.decode(stream)
    achieved = pixels.nbytes / len(stream)
    is_lossy = not np.array_equal(decoded, pixels)
    if is_lossy:
        _describe_loss(dataset, cratio, achieved)
        _mend_pixel_facts(dataset, decoded)
    _set_pixels(dataset, stream, is_lossy)
    padding = header.get("PixelPaddingValue")
    return Transcoded(
        content=_written(dataset),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        cratio=achieved,
        num_bytes=len(stream),
        psnr_db=psnr(pixels, decoded, 2**bits - 1),
        padding_changed=0
        if not isinstance(padding, int)
        else int(np.count_nonzero((pixels == padding) & (decoded != padding))),
    )


def new_instance_uid(source: str, cratio: float) -> str:
    """Returns the SOP Instance UID of the copy of a source at a ratio: the same each time.

    Reference:
        PS3.5 B.2: a UUID as a UID, here made from the source's UID (RFC 4122, version 5).
    """
    name = f"{source}/JPEG 2000/{format_cratio(cratio)}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def read_instance_uids(content: bytes) -> tuple[str, str]:
    """Returns (SOP Instance UID, transfer syntax) of a file; empty where it has none."""
    with collected_warnings():
        dataset = dcmread(
            io.BytesIO(content), specific_tags=["SOPInstanceUID"], stop_before_pixels=True
        )
    syntax = dataset.file_meta.get("TransferSyntaxUID", "")
    return str(dataset.get("SOPInstanceUID", "")), str(syntax)


def _read_whole(content: bytes, name: str) -> Dataset:
    try:
        dataset = dcmread(io.BytesIO(content), force=True)
        for _ in dataset.iterall():  # every element is understood before it is written otherwise
            pass
    except Exception as error:  # its text may quote the file
        raise DataError(
            f"{name}: an element beside the image cannot be read ({type(error).__name__}), so "
            "that the file cannot be copied; export it again."
        ) from None
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword):
            raise DataError(f"{name}: {keyword} is missing; export the file again.")
    return dataset


def _check_overlays(dataset: Dataset, name: str) -> None:
    for group in range(0x6000, 0x6020, 2):
        position = dataset.get((group, 0x0102))
        if position is not None and position.value and (group, 0x3000) not in dataset:
            raise DataError(
                f"{name}: an overlay lies in unused bits of the pixels and would be lost; export "
                "the file with overlays of their own."
            )


def _describe_loss(dataset: Dataset, cratio: float, achieved: float) -> None:
    source_class, source = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)
    kinds = [str(kind) for kind in _listed(dataset.get("ImageType"))] or ["ORIGINAL", "PRIMARY"]
    dataset.ImageType = ["DERIVED", *kinds[1:]]
    ratios = [float(ratio) for ratio in _listed(dataset.get("LossyImageCompressionRatio"))]
    methods = [str(method) for method in _listed(dataset.get("LossyImageCompressionMethod"))]
    dataset.LossyImageCompression = "01"
    if len(ratios) == len(methods):  # what does not pair up says nothing of the earlier ones
        dataset.LossyImageCompressionRatio = [*ratios, float(f"{achieved:.6g}")]
        dataset.LossyImageCompressionMethod = [*methods, METHOD]
    else:
        dataset.LossyImageCompressionRatio = float(f"{achieved:.6g}")
        dataset.LossyImageCompressionMethod = METHOD
    library = openjpeg.configure()
    said = f"JPEG 2000, {format_cratio(cratio)}:1 asked for (OpenJPEG {library.version})"
    earlier = str(dataset.get("DerivationDescription", "")).strip()
    dataset.DerivationDescription = "; ".join([earlier, said] if earlier else [said])[-1024:]
    _append(dataset, "DerivationCodeSequence", _code("113040", "Lossy Compression"))
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source_class, source
    purpose = _code("121320", "Uncompressed predecessor")
    reference.PurposeOfReferenceCodeSequence = DicomSequence([purpose])
    _append(dataset, "SourceImageSequence", reference)
    dataset.SOPInstanceUID = new_instance_uid(source, cratio)


def _mend_pixel_facts(dataset: Dataset, pixels: np.ndarray) -> None:
    """Sets right what the header says of pixel values, and takes away what cannot be known."""
    for keyword, value in (
        ("SmallestImagePixelValue", pixels.min()),
        ("LargestImagePixelValue", pixels.max()),
    ):
        if keyword in dataset:
            dataset[keyword].VR = "US"
            dataset[keyword].value = int(value)
    for keyword in _STALE:
        if keyword in dataset:
            del dataset[keyword]
    if (0xFFFA, 0xFFFA) in dataset:
        del dataset[0xFFFA, 0xFFFA]


def _set_pixels(dataset: Dataset, stream: bytes, is_lossy: bool) -> None:
    dataset.PixelData = encapsulate([stream], has_bot=True)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.HighBit = dataset.BitsStored - 1
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    syntax = uid.JPEG2000 if is_lossy else uid.JPEG2000Lossless
    meta = dataset.file_meta
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = uid.PYDICOM_IMPLEMENTATION_UID
    for keyword in ("ImplementationVersionName", "SourceApplicationEntityTitle"):
        if keyword in meta:
            del meta[keyword]


def _written(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    with collected_warnings():
        if not dataset.original_encoding[1]:
            _swap_words(dataset)
        # `save_as` leaves changing the order of bytes to the caller, which was just done.
        dcmwrite(stream, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return stream.getvalue()


def _swap_words(dataset: Dataset) -> None:
    """Turns what pydicom keeps as raw words of a big-endian file into little-endian ones."""
    for element in dataset.iterall():
        size = _WORD_BYTES.get(element.VR)
        if size and element.keyword != "PixelData" and isinstance(element.value, bytes):
            whole = len(element.value) // size * size
            words = np.frombuffer(element.value[:whole], f">u{size}")
            element.value = words.astype(f"<u{size}").tobytes() + element.value[whole:]


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _append(dataset: Dataset, keyword: str, item: Dataset) -> None:
    found = dataset.get(keyword)
    setattr(dataset, keyword, DicomSequence([*(found or ()), item]))


def _listed(value) -> list:
    if value is None or value == "":
        return []
    listed = list(value) if not isinstance(value, str | int | float) else [value]
    return [entry for entry in listed if not (isinstance(entry, float) and math.isnan(entry))]
