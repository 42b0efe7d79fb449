"""The words for files that hold no image that can be read: which file they are, and what to do."""

from pydicom import uid
from pydicom.dataset import Dataset

from mammo_tf.errors import DataError

# Registered after the dictionary of pydicom 3.0 was made.
_NEWER_SYNTAXES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}
_JPIP = frozenset(
    {
        "1.2.840.10008.1.2.4.94",
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.204",
        "1.2.840.10008.1.2.4.205",
    }
)
_DIRECTORY = "1.2.840.10008.1.3.10"
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."


def check_storage(meta: Dataset, syntax: uid.UID, name: str) -> None:
    """Checks the file meta information: an image whose encoding is known.

    Raises:
        DataError: If the file is a DICOMDIR, or its transfer syntax is unknown or not read.
    """
    if str(meta.get("MediaStorageSOPClassUID", "")) == _DIRECTORY:
        raise DataError(
            f"{name}: a DICOMDIR lists the files of a disc and holds no image; give the image "
            "files that lie beside it."
        )
    if syntax in _JPIP:
        raise DataError(
            f"{name}: the pixels are on a server (JPIP), not in the file; export the image with "
            "its pixels."
        )
    if syntax in _NEWER_SYNTAXES:
        raise DataError(
            f"{name}: {_NEWER_SYNTAXES[syntax]} is not read; export the image uncompressed or as "
            "JPEG 2000."
        )
    if syntax and syntax.is_private:
        raise DataError(
            f"{name}: the transfer syntax is a manufacturer's own; export the image uncompressed "
            "or as JPEG 2000."
        )
    if not syntax.is_transfer_syntax:
        raise DataError(
            f"{name}: the transfer syntax is missing or unknown; export the file again."
        )


def no_pixel_data(dataset: Dataset, name: str) -> DataError:
    """Returns the error for a data set without pixel data, by what it is instead."""
    sop_class = uid.UID(str(dataset.get("SOPClassUID", "")))
    if sop_class.startswith(_REPORTS):
        kind = "a structured report (SR)"
    elif sop_class.type == "SOP Class" and "Image" not in sop_class.name:
        kind = f"of the kind {sop_class.name}"
    else:
        return DataError(
            f"{name}: there is no pixel data: the file is cut off or holds no image; copy it again."
        )
    return DataError(f"{name}: the file is {kind} and holds no image; leave it out.")


def damaged(name: str) -> DataError:
    """Returns the error for a header that cannot be parsed."""
    return DataError(f"{name}: the DICOM header is damaged or cut off; copy the file again.")


def too_costly(name: str) -> DataError:
    """Returns the error for a header that is not worth parsing."""
    return DataError(
        f"{name}: the DICOM header has more elements or items than any mammogram's; the file is "
        "damaged, export it again."
    )
