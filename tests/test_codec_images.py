"""Grey images from PNG, TIFF and PGM files: values as stored, and what is refused as what."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from mammo_tf.codecs.images import read_grey_image
from mammo_tf.errors import DataError
from mammo_tf.images import read_display_image


def write_pgm(path, pixels, maximum):
    height, width = pixels.shape
    wide = pixels.astype(">u2" if maximum > 255 else np.uint8)
    path.write_bytes(b"P5\n# by hand\n%d %d\n%d\n" % (width, height, maximum) + wide.tobytes())


def pack(pixels, bits, order):
    """Packs rows of samples; those of 12 bits are a stream of bits, each row whole bytes."""
    if bits != 12:
        return pixels.astype(f"{order}u{bits // 8}").tobytes()
    rows = ["".join(f"{value:012b}" for value in row) for row in pixels.tolist()]
    rows = [row + "0" * (-len(row) % 8) for row in rows]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)


def make_tiff(pixels, bits, *, photometric=1, order="<", data=None, kind=3, **tags):
    """Writes an uncompressed TIFF with one strip by hand; `tags` by number replace the defaults."""
    height, width = pixels.shape
    data = pack(pixels, bits, order) if data is None else data
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1}
    entries |= {278: height, 279: len(data), 339: 1}
    entries |= {int(tag.strip("t")): value for tag, value in tags.items()}
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8 + len(data))
    content += data + struct.pack(f"{order}H", sum(v is not None for v in entries.values()))
    for tag, value in sorted(entries.items()):
        if value is None:
            continue
        long = tag in (273, 279) or (tag == 262 and kind == 4)
        packed = struct.pack(
            f"{order}L" if long else f"{order}HH", *([value] if long else [value, 0])
        )
        content += struct.pack(f"{order}HHL", tag, 4 if long else 3, 1) + packed
    return content + bytes(4)


@pytest.mark.parametrize("maximum", [1, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", ["P5", "P2", "CR LF"])
def test_pgm_values_stay_as_they_are(tmp_path, maximum, kind):
    """Pillow would stretch a 12-bit PGM to 16 bits, and a plain one to 8 or 16."""
    pixels = np.random.default_rng(0).integers(0, maximum, (7, 11), endpoint=True)
    path = tmp_path / "x.pgm"
    write_pgm(path, pixels, maximum)
    if kind == "P2":
        lines = [" ".join(map(str, row)) for row in pixels.tolist()]
        path.write_text(f"P2\n# plain\n11 7 # size\n{maximum}\n" + "\n".join(lines))
    elif kind == "CR LF":
        header, data = path.read_bytes().split(b"%d\n" % maximum, 1)
        path.write_bytes(header.replace(b"\n", b"\r\n") + b"%d\r\n" % maximum + data)
    image = read_grey_image(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == (np.uint8 if maximum < 256 else np.uint16)
    assert image.max_stored == maximum


def test_a_plain_pgm_larger_than_a_block(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65535, (400, 700))
    path = tmp_path / "x.pgm"
    path.write_text("P2 700 400 65535\r\n" + "\t".join(map(str, pixels.ravel().tolist())) + "\r\n")
    assert path.stat().st_size > 1 << 20
    np.testing.assert_array_equal(read_grey_image(path).pixels, pixels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P5 2 2 100\n" + bytes([1, 2, 101, 3]), "a value of 101 is above the file's maximum 100"),
        (
            b"P5 2 1 1023\n" + bytes([0, 1, 4, 0]),
            "a value of 1024 is above the file's maximum 1023",
        ),
        (b"P2 2 2 100\n1 2 356 3\n", "a value of 356 is above the file's maximum 100"),
        (b"P2 2 2 100\n1 2 101 3\n", "a value of 101 is above the file's maximum 100"),
        (b"P2 2 2 100\n1 2 99999999999999999999999 3\n", "a value of 65535 is above"),
        (b"P2 2 2 100\n1 2 3\n   \n", "expected 4 numbers, received 3"),
        (b"P2 2 2 100\n1 2 3 4 5\n", "has more than 4 numbers"),
        (b"P2 2 2 100\n1 -2 3 4\n", "expected digits and white space only"),
        (b"P2 2 2 100\n1 2 3 0x4\n", "expected digits and white space only"),
        (b"P2 10000 10000 100\n1 2 3 4\n", "100000000 numbers need more than the 9 bytes"),
        (b"P5\r\n2 2\r\n255\r\n" + bytes(3), "expected 4 bytes of pixels, received 3"),
        (b"P5\r\n2 2\r\n255\r\n" + bytes(5), "where they begin cannot be told"),
        (b"P5 2 2 255", "header of x.pgm cannot be read"),
        (b"P5 2 2 255x" + bytes(4), "header of x.pgm cannot be read"),
        (b"P5 2 -2 255\n" + bytes(4), "header of x.pgm cannot be read"),
        (b"P2 1 1 255\n" + b"1" * (3 << 20), "holds a number of"),
    ],
)
def test_wrong_pgms(tmp_path, content, message):
    path = tmp_path / "x.pgm"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=message):
        read_grey_image(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_dim_pgm_is_shown_with_its_white_as_white(tmp_path):
    path = tmp_path / "x.pgm"
    write_pgm(path, np.array([[0, 50, 100]]), 100)
    np.testing.assert_array_equal(read_display_image(path).pixels, [[0, 128, 255]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("kind", [3, 4])
def test_tiff_of_every_depth_order_and_polarity(tmp_path, bits, order, photometric, kind):
    stored = np.random.default_rng(0).integers(0, 2**bits, (7, 11))
    path = tmp_path / "x.tif"
    path.write_bytes(make_tiff(stored, bits, photometric=photometric, order=order, kind=kind))
    if (bits, order) == (12, ">"):
        with pytest.raises(DataError, match=r"x\.tif is of 12 bits and big endian"):
            read_grey_image(path)
        return
    image = read_grey_image(path)
    expected = stored if photometric else 2**bits - 1 - stored
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert image.max_stored == 2**bits - 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_tiffs_in_which_0_is_white(tmp_path, compression, dtype):
    stored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (70, 110)).astype(dtype)
    path = tmp_path / "x.tif"
    Image.fromarray(stored).save(path, compression=compression)
    black = path.read_bytes()
    np.testing.assert_array_equal(read_grey_image(path).pixels, stored)
    # Tag 262 (0x0106), type SHORT, one value, 1.
    entry = struct.pack("<HHLH", 262, 3, 1, 1)
    assert black.count(entry) == 1
    path.write_bytes(black.replace(entry, struct.pack("<HHLH", 262, 3, 1, 0)))
    np.testing.assert_array_equal(read_grey_image(path).pixels, np.iinfo(dtype).max - stored)


@pytest.mark.parametrize(
    ("bits", "tags", "message"),
    [
        (16, {"t339": 2}, "of signed 16-bit numbers; save it as unsigned"),
        (8, {"t339": 2}, "of signed 8-bit numbers"),
        (16, {"t339": 3}, "of floating-point numbers"),
        (8, {"t262": None}, "does not say whether 0 is black or white"),
        (8, {"t262": 3}, "is a palette image"),
        (8, {"t262": 5}, r"a colour image \(CMYK\)"),
        (8, {"t277": 2}, "is grey with transparency"),
        (8, {"t258": 4}, "is of 4-bit numbers"),
        (16, {"t258": 10}, "is of 10-bit numbers"),
    ],
)
def test_other_tiffs_are_refused_by_what_they_are(tmp_path, bits, tags, message):
    path = tmp_path / "x.tif"
    path.write_bytes(make_tiff(np.zeros((7, 11), int), bits, **tags))
    with pytest.raises(DataError, match=message):
        read_grey_image(path)


def test_a_tiff_whose_directory_is_cut_off(tmp_path):
    path = tmp_path / "x.tif"
    content = make_tiff(np.zeros((7, 11), int), 8)
    for end in (5, len(content) - 20, len(content) - 60):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"x\.tif is cut off or damaged"):
            read_grey_image(path)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_png_of_few_bits_is_refused_not_stretched(tmp_path, bits):
    path = tmp_path / "x.png"
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[24] = bits
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"is of {bits}-bit numbers"):
        read_grey_image(path)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x1f\x8b\x08", "is compressed with gzip; unpack it first"),
        (struct.pack("<L", 348) + bytes(340) + b"n+1\0", "is a NIfTI volume; export"),
        (struct.pack(">L", 348) + bytes(340) + b"n+1\0", "is a NIfTI volume; export"),
        (struct.pack("<L", 540) + b"n+2\0\r\n\x1a\n", "is a NIfTI volume; export"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", r"is a JPEG 2000 image \(JP2\); save it as"),
        (b"\xff\x4f\xff\x51", "is a bare JPEG 2000 codestream; save it as"),
        (b"\xff\xd8\xff\xe0", "is a JPEG image"),
        (b"PK\x03\x04", "is a ZIP archive; unpack it first"),
    ],
)
@pytest.mark.parametrize("suffix", ["img", "dcm"])
def test_files_of_other_kinds_are_named(tmp_path, start, message, suffix):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(start + bytes(300))
    with pytest.raises(DataError, match=message):
        read_grey_image(path)
    with pytest.raises(DataError, match=message):
        read_display_image(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["x.png", "x.tif", "no-suffix"])
def test_png_and_tiff(tmp_path, dtype, name):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (7, 11)).astype(dtype)
    Image.fromarray(pixels).save(tmp_path / name, format="TIFF" if name == "x.tif" else "PNG")
    image = read_grey_image(tmp_path / name)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert (image.pixels.dtype, image.max_stored) == (dtype, np.iinfo(dtype).max)


def test_a_big_endian_tiff(tmp_path):
    pixels = np.arange(77, dtype=np.uint16).reshape(7, 11) * 800
    image = Image.frombytes("I;16B", (11, 7), pixels.astype(">u2").tobytes())
    image.save(tmp_path / "big.tif")
    np.testing.assert_array_equal(read_grey_image(tmp_path / "big.tif").pixels, pixels)


def wrong_images():
    grey = np.zeros((40, 30), np.uint8)
    png = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90)).astype(np.uint8)).save(
        png, "PNG"
    )
    tiff = io.BytesIO()
    pages = [Image.fromarray(grey)] * 2
    pages[0].save(tiff, "TIFF", save_all=True, append_images=pages[1:])
    yield "empty.png", b"", "none of these"
    yield "text.dat", b"hello", "none of these"
    yield "cut.png", png.getvalue()[:3000], "cut off or damaged"
    yield "cut.pgm", b"P5 30 40 255\n" + bytes(1199), "expected 1200 bytes of pixels, received 1199"
    yield "bomb.pgm", b"P5 999999999 999999999 255\n", "at most 100,000,000 pixels"
    yield "blank.pgm", b"P5 0 40 255\n", "40×0"
    yield "odd.pgm", b"P5 3 4 70000\n", "maximum must be 1 to 65535"
    yield "header.pgm", b"P5 # no end", "header of header.pgm cannot be read"
    yield "colour.ppm", b"P6 2 2 255\n" + bytes(12), r"a colour image \(RGB\)"
    yield "pages.tif", tiff.getvalue(), "holds 2 images"
    yield "cut.dcm", bytes(128) + b"DICM" + bytes(50), "cut.dcm"
    for mode, message in (
        ("RGB", r"a colour image \(RGB\)"),
        ("F", "of floating-point numbers"),
        ("I", "of signed 32-bit numbers"),
        ("1", "black and white"),
        ("P", "a palette image"),
        ("LA", "grey with transparency"),
    ):
        buffer = io.BytesIO()
        Image.new(mode, (30, 40)).save(buffer, "PNG" if mode in ("LA", "P") else "TIFF")
        yield f"{mode}.img", buffer.getvalue(), message


@pytest.mark.parametrize(("name", "content", "message"), list(wrong_images()))
def test_wrong_images_are_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_grey_image(path)
    assert "\n" not in str(caught.value)
