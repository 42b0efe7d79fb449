"""Small DICOM files that claim much: each would cost a careless reader gigabytes or minutes."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from pydicom import uid

from mammo_tf.testing import encode_frame, make_breast, write_mammogram

_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
_UNDEFINED = b"\xff\xff\xff\xff"
_SOT, _COD = b"\xff\x90", b"\xff\x52"


def dicom_bombs(folder, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yields (name, content) of one file of each kind, their sizes drawn from `rng`.

    Args:
        folder: Where files may be written meanwhile.
        rng: Draws sizes and claims.
    """
    plain = _written(folder)
    yield "tiny_elements", _inserted(plain, _tiny_elements(int(rng.integers(10**5, 2 * 10**6))))
    elements = _tiny_elements(int(rng.integers(10**6, 2 * 10**7)))
    yield "deflated_elements", _deflated(folder, elements)
    yield "deflated_zeros", _deflated(folder, bytes(int(rng.integers(2**27, 2**29))))
    count = int(rng.integers(10**4, 10**6))
    view = b"\x08\x00\x00\x01SH\x08\x00R-10242 "
    yield "view_codes", _inserted(plain, _sequence(0x00540220, [view] * count))
    yield "view_codes_open", _inserted(plain, _open_sequence(0x00540220, view, count))
    table = _element(0x00283002, b"US", struct.pack("<3H", 2, 0, 16))
    table += _element(0x00283006, b"US", struct.pack("<2H", 0, 65535))
    count = int(rng.integers(10**3, 10**5))
    yield "voi_luts", _inserted(plain, _sequence(0x00283010, [table] * count))
    numbers = b"UN\0\0" + struct.pack("<L", 2 * 10**7) + bytes(2 * 10**7)
    wide = _element(0x00283002, b"US", struct.pack("<3H", 0, 0, 16)) + b"\x28\x00\x06\x30" + numbers
    yield (
        "lut_of_millions",
        _inserted(plain, _sequence(0x00283010, [wide.replace(b"US\0\0", b"UN\0\0")])),
    )
    backslashes = b"UC\0\0" + struct.pack("<L", 10**7) + b"\\" * 10**7
    yield "character_sets", _inserted(plain, b"\x08\x00\x05\x00" + backslashes, at=0x0008)
    yield "window_values", _inserted(plain, b"\x28\x00\x50\x10" + backslashes, at=0x0028)
    depth = int(rng.integers(500, 50_000))
    opening = b"\x08\x00\x40\x11SQ\0\0" + _UNDEFINED + _ITEM + _UNDEFINED
    yield "deep_sequences", _inserted(plain, opening * depth)
    yield "fragments", _wrapped(folder, _fragments(int(rng.integers(10**5, 2 * 10**6))))
    yield from _windows(folder, rng)
    yield from _shapes(folder, rng)
    yield from _frames(folder, rng)


def _written(folder, **options) -> bytes:
    return write_mammogram(folder / "bomb.dcm", make_breast(64, 48), **options).read_bytes()


def _element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _tiny_elements(count: int) -> bytes:
    return b"\x09\x00\x10\x10CS\0\0" * count


def _sequence(tag: int, items: list[bytes]) -> bytes:
    content = b"".join(_ITEM + struct.pack("<L", len(item)) + item for item in items)
    return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(content)) + content


def _open_sequence(tag: int, item: bytes, count: int) -> bytes:
    start = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"SQ", 0) + _UNDEFINED
    whole = _ITEM + _UNDEFINED + item + _ITEM_END + bytes(4)
    return start + whole * count + _SEQUENCE_END + bytes(4)


def _inserted(content: bytes, extra: bytes, at: int | None = None) -> bytes:
    """Puts elements before the group `at`, or before Pixel Data."""
    mark = b"\xe0\x7f\x10\x00OW" if at is None else struct.pack("<H", at)
    start = content.index(mark, 132 + 200 if at == 0x0028 else 300)
    return content[:start] + extra + content[start:]


def _deflated(folder, extra: bytes) -> bytes:
    content = _written(folder, transfer_syntax=uid.DeflatedExplicitVRLittleEndian)
    end = 144 + struct.unpack_from("<L", content, 140)[0]
    inflated = zlib.decompress(content[end:], -15)
    start = inflated.index(b"\xe0\x7f\x10\x00OW")
    compressor = zlib.compressobj(1, wbits=-15)
    parts = (inflated[:start], extra, inflated[start:])
    return content[:end] + b"".join(map(compressor.compress, parts)) + compressor.flush()


def _fragments(count: int) -> bytes:
    return _ITEM + bytes(4) + (_ITEM + struct.pack("<L", 0)) * count + _SEQUENCE_END + bytes(4)


def _wrapped(folder, fragments: bytes) -> bytes:
    return _written(folder, transfer_syntax=uid.JPEG2000Lossless, PixelData=fragments)


def _windows(folder, rng) -> Iterator[tuple[str, bytes]]:
    numbers = ("1e308", "-1e308", "1e30", "-1e30", "1e-30", "0", "1", "1e-323", "nan", "inf")
    for k in range(8):
        slope, intercept, center, width = rng.choice(numbers, 4)
        values = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        if k % 2:
            values |= {"WindowCenter": center, "WindowWidth": width}
            values["VOILUTFunction"] = str(rng.choice(("LINEAR", "LINEAR_EXACT", "SIGMOID")))
        photometric = str(rng.choice(("MONOCHROME1", "MONOCHROME2")))
        elements = {key: str(value) for key, value in values.items()}
        content = _written(folder, photometric=photometric)
        for keyword, value in elements.items():
            content = _with_text(content, keyword, value)
        yield f"numbers_{k}", content


def _with_text(content: bytes, keyword: str, value: str) -> bytes:
    """Adds an element without pydicom's checks of its form."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    value = (value + " " * (len(value) % 2)).encode()
    element = _element(tag_for_keyword(keyword), dictionary_VR(keyword).encode(), value)
    return _inserted(content, element)


def _shapes(folder, rng) -> Iterator[tuple[str, bytes]]:
    for k in range(6):
        short, long = int(rng.integers(1, 12)), int(rng.integers(1, 5000))
        shape = (short, long) if k % 2 else (long, short)
        pixels = rng.integers(0, 4096, shape).astype(np.uint16)
        options = {"PatientOrientation": None} if k % 3 == 0 else {}
        path = write_mammogram(folder / "bomb.dcm", pixels, **options)
        yield f"shape_{shape[0]}x{shape[1]}", path.read_bytes()


def _frames(folder, rng) -> Iterator[tuple[str, bytes]]:
    """Frames whose own headers lie, the DICOM header agreeing with them."""
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    for k in range(6):
        height, width = (int(2 ** rng.uniform(7, 16)) for _ in range(2))
        tile = int(2 ** rng.uniform(0, 16)) if k % 2 else max(height, width)
        yield f"siz_{height}x{width}_{tile}", _claimed(folder, _sized(frame, height, width, tile))
    start = frame.index(_COD)
    for name, position, value in (
        ("layers", start + 6, int(rng.integers(1000, 65536)).to_bytes(2)),
        ("levels", start + 9, bytes([int(rng.integers(6, 33))])),
        ("blocks", start + 10, bytes(rng.integers(0, 9, 2).tolist())),
    ):
        damaged = frame[:position] + value + frame[position + len(value) :]
        yield f"cod_{name}", _claimed(folder, damaged)
    for k in range(3):
        size = int(2 ** rng.uniform(8, 13.2))
        precincts = bytes([int(rng.integers(0, 256))] * (frame[start + 9] + 1))
        yield (
            f"precincts_{k}",
            _claimed(folder, _sized(_divided(frame, precincts), size, size, size)),
        )
    yield from _tiles(folder, rng)
    yield from _run_lengths(folder, rng)
    yield from _markers(folder, rng)
    yield from _jpeg_claims(folder, rng)


def _markers(folder, rng) -> Iterator[tuple[str, bytes]]:
    """Marker segments, fill bytes and boxes without end, and a second frame header."""
    frame = encode_frame(make_breast(), uid.JPEG2000Lossless, 12)
    count = int(rng.integers(10**5, 5 * 10**6))
    comments = b"\xff\x64\x00\x02" * count
    for name, place in (("main", frame.index(_COD)), ("tile", frame.index(_SOT) + 12)):
        changed = bytearray(frame[:place] + comments + frame[place:])
        if name == "tile":
            length = struct.unpack_from(">L", frame, place - 6)[0] + len(comments)
            struct.pack_into(">L", changed, place - 6, length)
        yield f"j2k_{name}_markers", _claimed(folder, bytes(changed))
    box = struct.pack(">L4s", 8, b"free")
    jp2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + box * count + struct.pack(">L4s", 0, b"jp2c") + frame
    yield "jp2_boxes", _written(folder, transfer_syntax=uid.JPEG2000Lossless, frame=jp2)
    baseline = encode_frame(make_breast(bits=8), uid.JPEGBaseline8Bit, 8)
    options = {"bits_stored": 8, "transfer_syntax": uid.JPEGBaseline8Bit}
    pixels = make_breast(bits=8)
    start = baseline.index(b"\xff\xc0")
    second = struct.pack(">BBHBHHB", 0xFF, 0xC0, 11, 8, 60_000, 60_000, 1) + b"\x01\x11\x00"
    for name, extra in (
        ("fills", b"\xff" * count),
        ("markers", b"\xff\xfe\x00\x02" * count),
        ("frames", second),
    ):
        changed = baseline[:2] + extra + baseline[2:]
        if name == "frames":
            changed = baseline[: start + 13] + extra + baseline[start + 13 :]
        path = write_mammogram(folder / "bomb.dcm", pixels, frame=changed, **options)
        yield f"jpeg_{name}", path.read_bytes()


def _sized(frame: bytes, height: int, width: int, tile: int) -> bytes:
    changed = bytearray(frame)
    struct.pack_into(">2L", changed, 8, width, height)
    struct.pack_into(">2L", changed, 24, tile, tile)
    return bytes(changed)


def _divided(frame: bytes, precincts: bytes) -> bytes:
    """Writes explicit precinct sizes into COD."""
    start = frame.index(_COD)
    end = start + 2 + struct.unpack_from(">H", frame, start + 2)[0]
    style = bytearray(frame[start:end]) + precincts
    style[4] |= 1
    struct.pack_into(">H", style, 2, len(style) - 2)
    return frame[:start] + bytes(style) + frame[end:]


def _claimed(folder, frame: bytes) -> bytes:
    width, height = struct.unpack_from(">2L", frame, 8)
    return write_mammogram(
        folder / "bomb.dcm",
        transfer_syntax=uid.JPEG2000Lossless,
        frame=frame,
        Rows=min(height, 65535),
        Columns=min(width, 65535),
    ).read_bytes()


def _tiles(folder, rng) -> Iterator[tuple[str, bytes]]:
    """Some tiles of many; and very many tiles that are all there, but empty."""
    from PIL import Image

    pixels, stream = make_breast(64, 48, bits=8), io.BytesIO()
    options = {"tile_size": (16, 16), "irreversible": False, "no_jp2": True}
    Image.fromarray(pixels).save(stream, format="JPEG2000", **options)
    frame = stream.getvalue()
    position, parts = frame.index(_SOT), []
    header = frame[:position]
    while frame[position : position + 2] == _SOT:
        length = struct.unpack_from(">L", frame, position + 6)[0]
        parts.append(frame[position : position + length])
        position += length
    kept = rng.permutation(12)[: int(rng.integers(1, 12))]
    some = header + b"".join(parts[k] for k in sorted(kept)) + b"\xff\xd9"
    options = {"bits_stored": 8, "transfer_syntax": uid.JPEG2000Lossless}
    path = write_mammogram(folder / "bomb.dcm", pixels, frame=some, **options)
    yield f"tiles_{len(kept)}_of_12", path.read_bytes()
    side = int(rng.integers(20, 250))
    empty = (
        struct.pack(">HHHLBBH", 0xFF90, 10, k, 15, 0, 1, 0xFF93) + b"\0" for k in range(side**2)
    )
    many = _sized(header, 16 * side, 16 * side, 16) + b"".join(empty) + b"\xff\xd9"
    size = {"Rows": 16 * side, "Columns": 16 * side}
    path = write_mammogram(folder / "bomb.dcm", pixels, frame=many, **options, **size)
    yield f"empty_tiles_{side}x{side}", path.read_bytes()


def _run_lengths(folder, rng) -> Iterator[tuple[str, bytes]]:
    """RLE segments of runs that mean nothing, of short ones, and of too few."""
    count = int(rng.integers(10**6, 2 * 10**7))
    height, width = (int(2 ** rng.uniform(7, 13)) for _ in range(2))
    for name, segment in (
        ("nothing", b"\x80" * count),
        ("short", b"\x00\x07" * (count // 4)),
        ("long", b"\x81\x07" * (height * width // 128)),
        ("few", b"\x81\x07" * int(rng.integers(1, 100))),
    ):
        offsets = (2, 64, 64 + len(segment), *[0] * 13)
        yield (
            f"rle_{name}",
            write_mammogram(
                folder / "bomb.dcm",
                transfer_syntax=uid.RLELossless,
                frame=struct.pack("<16L", *offsets) + segment * 2,
                Rows=height,
                Columns=width,
            ).read_bytes(),
        )


def _jpeg_claims(folder, rng) -> Iterator[tuple[str, bytes]]:
    frames = {
        "baseline": (
            uid.JPEGBaseline8Bit,
            encode_frame(make_breast(bits=8), uid.JPEGBaseline8Bit, 8),
        ),
        "jpeg_ls": (uid.JPEGLSLossless, _JPEG_LS),
    }
    for name, (syntax, frame) in frames.items():
        for k in range(3):
            rows, columns = (int(2 ** rng.uniform(7, 16)) for _ in range(2))
            changed = bytearray(frame)
            marker = b"\xff\xf7" if syntax == uid.JPEGLSLossless else b"\xff\xc0"
            struct.pack_into(">HH", changed, frame.index(marker) + 5, rows, columns)
            padding = bytes([int(rng.integers(0, 128))]) * int(2 ** rng.uniform(0, 17))
            content = bytes(changed[:-2]) + padding + b"\xff\xd9"
            path = write_mammogram(
                folder / "bomb.dcm",
                make_breast(bits=8),
                bits_stored=8,
                transfer_syntax=syntax,
                frame=content,
                Rows=rows,
                Columns=columns,
            )
            yield f"{name}_{rows}x{columns}_{k}", path.read_bytes()


# An 8-bit JPEG-LS stream of 1 x 8 pixels, all 0: one run to the end of the line.
_JPEG_LS = (
    b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x01\x00\x08\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00\xff\x00\xff\xd9"
)
