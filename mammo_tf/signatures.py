"""Names what a file is that we do not read, by the first bytes of its content."""

SIGNATURE_BYTES = 512
_SIGNATURES = (
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ\0", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"PK\x03\x04", "a ZIP archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image (JP2); save it as 16-bit PNG or TIFF"),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 codestream; save it as 16-bit PNG or TIFF"),
    (b"\xff\xd8\xff", "a JPEG image; give the file that it was made from"),
    (b"\xff\x0a", "a JPEG XL image; save it as 16-bit PNG or TIFF"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image; save it as 16-bit PNG or TIFF"),
    (b"\x89PNG", "a PNG image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"II+\0", "a BigTIFF image; save it as ordinary TIFF"),
    (b"MM\0+", "a BigTIFF image; save it as ordinary TIFF"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image; save it as PNG"),
    (b"P5", "a PGM image"),
    (b"NRRD", "a NRRD volume; export the image as DICOM, PNG or TIFF"),
    (b"ObjectType", "a MetaImage header; export the image as DICOM, PNG or TIFF"),
    (b"\x89HDF", "an HDF5 file; export the image as DICOM, PNG or TIFF"),
    (b"\x93NUMPY", "a NumPy array; save it as 16-bit PNG or TIFF"),
    (b"%PDF", "a PDF document"),
)
_NIFTI_SIZES = {348: ((344, b"n+1\0"), (344, b"ni1\0")), 540: ((4, b"n+2\0"), (4, b"ni2\0"))}


def describe_signature(start: bytes) -> str | None:
    """Returns what a file of another kind is and what to do with it; None if it is not known.

    Args:
        start: The first `SIGNATURE_BYTES` bytes of the file, or all of it.

    Examples:
        >>> describe_signature(b"GIF89a")
        'a GIF image'
    """
    for order in ("little", "big"):
        for offset, magic in _NIFTI_SIZES.get(int.from_bytes(start[:4], order), ()):
            if start[offset : offset + 4] == magic:
                return "a NIfTI volume; export the image as DICOM, PNG or TIFF"
    for signature, kind in _SIGNATURES:
        if start.startswith(signature):
            return kind
    return None
