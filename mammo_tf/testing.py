"""Helpers for tests: small synthetic breasts, and DICOM mammograms of any form.

Imports no TensorFlow. Everything is seeded; no real image is involved.
"""

import importlib
import io
import os
import struct
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from mammo_tf.record import Finding

_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG2000_LOSSY = "1.2.840.10008.1.2.4.91"
_SEVERITIES = ("benign", "malignant")
_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"


def make_breast(
    height: int = 96, width: int = 64, *, chest_wall: str = "L", bits: int = 12, seed: int = 0
) -> np.ndarray:
    """Draws a bright half-ellipse on a dark ground: a breast seen from the side.

    The upper half is a little brighter than the lower one, so that an upside-down image shows.

    Args:
        height: Rows.
        width: Columns.
        chest_wall: "L" or "R", the edge that the breast touches.
        bits: Values run from 0 to 2^bits − 1.
        seed: Of the texture.

    Returns:
        (height, width) uint8 up to 8 bits, else uint16.
    """
    rng = np.random.default_rng(seed)
    rows = (np.arange(height)[:, None] - (height - 1) / 2) / (0.45 * height)
    columns = np.arange(width)[None, :] / (0.7 * width)
    inside = rows**2 + columns**2 < 1.0
    tissue = 0.55 + 0.2 * (rows < 0) + 0.1 * rng.random((height, width))
    values = np.where(inside, tissue, 0.02 * rng.random((height, width)))
    values = values if chest_wall == "L" else values[:, ::-1]
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.round(values * (2**bits - 1)).astype(dtype)


def draw_lesions(
    num_patients: int,
    shape: tuple[int, int] = (176, 160),
    *,
    radius: int = 30,
    unplaced: Collection[str] = (),
    split: Callable[[int], str] | None = None,
) -> list[tuple[np.ndarray, dict]]:
    """Draws dark noise, two images a patient, with a bright disc or ring for a lesion.

    Every second patient has a lesion in the left breast, in turn a benign disc and a malignant
    ring.

    Args:
        num_patients: Number of patients.
        shape: (height, width) of the images.
        radius: Of the lesions, in pixels.
        unplaced: Ids of images that get a finding without a place.
        split: The split that holds a patient, by its number; None for none.

    Returns:
        (pixels, arguments of `MammogramRecord`) of "mdb001", "mdb002", ….
    """
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    images = []
    for patient in range(num_patients):
        for breast, side in enumerate("LR"):
            number = 2 * patient + breast
            name = f"mdb{number + 1:03}"
            pixels = rng.integers(40, 90, shape).astype(np.uint8)
            findings = (Finding(label="benign", kind="mass"),) if name in unplaced else ()
            if side == "L" and patient % 2:
                label = _SEVERITIES[patient // 2 % 2]
                row, column = (int(rng.integers(size - 2 * radius) + radius) for size in shape)
                distance = np.hypot(rows - row, columns - column)
                inner = 0 if label == "benign" else radius * 2 // 3
                pixels[(inner <= distance) & (distance <= radius)] += 100
                box = (row - radius, column - radius, row + radius + 1, column + radius + 1)
                findings = (
                    Finding(
                        label=label, kind="mass", mark="circle", box_yxyx_px=tuple(map(float, box))
                    ),
                )
            known = {
                "image_id": name,
                "patient_id": f"p{patient + 1:03}",
                "laterality": side,
                "label": findings[0].label if findings else "normal",
                "pixel_spacing_mm": (0.2, 0.2),
                "findings": findings,
            }
            images.append((pixels, known if split is None else known | {"split": split(patient)}))
    return images


def write_mammogram(
    path: str | os.PathLike,
    pixels: np.ndarray | None = None,
    *,
    laterality: str | None = "L",
    view: str | None = "MLO",
    orientation: tuple[str, str] | None = None,
    bits_stored: int = 12,
    photometric: str = "MONOCHROME2",
    transfer_syntax: str = _EXPLICIT_LITTLE_ENDIAN,
    frame: bytes | None = None,
    **elements: Any,
) -> Path:
    """Writes a DICOM mammogram; everything about it can be made wrong on purpose.

    Args:
        path: The file to write.
        pixels: (height, width) uint8 or uint16 stored values, exactly as they go into the file;
            `make_breast()` with the chest wall at the side of `laterality` if None.
        laterality: Image Laterality, or None to leave it out.
        view: View Position, or None to leave it out.
        orientation: Patient Orientation; the one that fits a canonical image of `laterality` and
            `view` if None. Leave the element out with `PatientOrientation=None`.
        bits_stored: Bits Stored.
        photometric: Photometric Interpretation.
        transfer_syntax: Its UID. Native, deflated, RLE, JPEG 2000 and 8-bit JPEG Baseline are
            encoded here; for others give `frame`.
        frame: An encoded frame to wrap instead of encoding `pixels`.
        **elements: Further elements by keyword; they replace the defaults, and None removes one.

    Returns:
        `path`.
    """
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    if pixels is None:
        pixels = make_breast(chest_wall=laterality or "L", bits=bits_stored)
    dataset = _dataset(pixels, syntax, bits_stored, photometric)
    dataset.ImageLaterality = laterality
    dataset.ViewPosition = view
    dataset.PatientOrientation = list(orientation or _canonical(laterality, view))
    pixels_on_disk = pixels
    if not syntax.is_little_endian:
        pixels_on_disk = pixels.astype(pixels.dtype.newbyteorder(">"))
    if frame is None and syntax.is_encapsulated:
        frame = encode_frame(pixels, syntax, bits_stored)
    content = encapsulate([frame]) if frame is not None else _even(pixels_on_disk.tobytes())
    dataset.PixelData = content
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated or pixels.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    for keyword in [e.keyword for e in dataset if e.keyword and e.value is None]:
        delattr(dataset, keyword)
    path = Path(path)
    dataset.save_as(path, enforce_file_format=True)
    return path


def encode_frame(
    pixels: np.ndarray, transfer_syntax: str, bits_stored: int, compression_ratio: float = 8.0
) -> bytes:
    """Encodes one grey frame as RLE, JPEG 2000 (lossless, lossy) or 8-bit JPEG Baseline.

    Args:
        pixels: (height, width) uint8 or uint16.
        transfer_syntax: UID of the transfer syntax.
        bits_stored: Bits that carry the image.
        compression_ratio: Of lossy JPEG 2000.

    Returns:
        The encoded frame, without encapsulation.
    """
    from pydicom.pixels import get_encoder

    if transfer_syntax == _JPEG_BASELINE:
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="JPEG", quality=90)
        return stream.getvalue()
    options = {"j2k_cr": [compression_ratio]} if transfer_syntax == _JPEG2000_LOSSY else {}
    encoded = get_encoder(transfer_syntax).encode(
        np.ascontiguousarray(pixels).tobytes(),
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=8 * pixels.itemsize,
        bits_stored=bits_stored,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
        encoding_plugin="pylibjpeg",
        **options,
    )
    return bytes(encoded)


def encode_jpeg_lossless(pixels: np.ndarray, precision: int, predictor: int) -> bytes:
    """Encodes JPEG Lossless (ISO/IEC 10918-1, Annex H), slowly: one table of seventeen 5-bit codes.

    Args:
        pixels: (height, width) whole numbers.
        precision: Bits of a sample, 2 to 16.
        predictor: 1 to 7.

    Returns:
        The stream.
    """
    rows, columns = pixels.shape
    values = pixels.astype(int).tolist()
    bits = []
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            left, above = row[x - 1], values[y - 1][x]
            if y == 0:
                predicted = left if x else 2 ** (precision - 1)
            elif x == 0:
                predicted = above
            else:
                corner = values[y - 1][x - 1]
                predicted = {
                    1: left,
                    2: above,
                    3: corner,
                    4: left + above - corner,
                    5: left + ((above - corner) >> 1),
                    6: above + ((left - corner) >> 1),
                    7: (left + above) >> 1,
                }[predictor]
            difference = (value - predicted + 32767) % 65536 - 32767  # H.1.2.1: modulo 2^16
            category = abs(difference).bit_length()
            bits.append(f"{category:05b}")
            if 0 < category < 16:  # 32768, the only one of category 16, has no further bits
                code = difference if difference > 0 else difference + 2**category - 1
                bits.append(f"{code:0{category}b}")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    data = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame_header = struct.pack(">BHHBBBB", precision, rows, columns, 1, 1, 0x11, 0)
    table = bytes([0]) + bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    scan_header = bytes([1, 1, 0x00, predictor, 0, 0])
    segments = [(0xC3, frame_header), (0xC4, table), (0xDA, scan_header)]
    markers = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body
        for marker, body in segments
    )
    return b"\xff\xd8" + markers + data + b"\xff\xd9"


def _dataset(pixels: np.ndarray, syntax, bits_stored: int, photometric: str):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = _FOR_PRESENTATION
    dataset.SOPClassUID = _FOR_PRESENTATION
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["mammo_tf.testing"])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PatientID = "test-patient"
    dataset.PatientName = "Test^Patient"
    dataset.Manufacturer = "Test vendor"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = bits_stored
    dataset.HighBit = bits_stored - 1
    dataset.PixelRepresentation = 0
    return dataset


def _canonical(laterality: str | None, view: str | None) -> tuple[str, str]:
    """Returns the Patient Orientation of a canonical image."""
    row = "P" if laterality == "R" else "A"
    if view is not None and "CC" in view:
        return row, "L" if laterality == "R" else "R"
    return row, "F"


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)


def loaded_modules(names: tuple[str, ...]) -> list[str]:
    """Imports some modules and returns which heavy libraries this process has then loaded."""
    for name in names:
        importlib.import_module(name)
    return [name for name in ("tensorflow", "tensorflow_datasets", "keras") if name in sys.modules]
