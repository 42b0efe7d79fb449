"""PGM, PNG and TIFF files that would cost minutes or gigabytes, and masks that are damaged."""

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mammo_tf.codecs.images import read_grey_image
from mammo_tf.errors import DataError
from mammo_tf.hostile import image_bombs
from mammo_tf.hostile.capped import REFUSED, CappedWorker
from mammo_tf.ingest import read_mask

DATA = Path(__file__).parent / "data" / "hostile"
REFUSED_AS = {
    "pgm_blanks": "header",
    "pgm_comments": "header",
    "pgm_blank_comments": "header",
    "png_chunks": "more than 100000 chunks",
    "png_ztxt": "cut off or damaged",
    "png_claim": "cut off or damaged|at most",
    "tiff_chain": "holds (at least )?[0-9]+ images",
    "tiff_loop": "holds at least 1000 images",
    "tiff_overlapping": "more than the file can hold",
    "tiff_few_overlapping": "more than the file can hold",
    "tiff_value_claim": "more than the file can hold",
}


@pytest.fixture(scope="module")
def worker():
    with CappedWorker("mammo_tf.hostile.targets:grey_image") as worker:
        yield worker


@pytest.fixture(scope="module")
def mask_worker():
    with CappedWorker("mammo_tf.hostile.targets:mask") as worker:
        yield worker


@pytest.mark.slow
def test_every_image_bomb_is_refused_or_read_in_time_and_memory(tmp_path, worker):
    outcomes = {}
    for name, content in image_bombs.image_bombs(np.random.default_rng(1)):
        path = tmp_path / name
        path.write_bytes(content)
        outcomes[name] = worker.run(path)
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.is_bad}
    for name, message in REFUSED_AS.items():
        assert outcomes[name].kind == REFUSED
        assert re.search(message, outcomes[name].message), name


def test_blanks_in_a_pgm_header_end(worker):
    outcome = worker.run(DATA / "redos.pgm")
    assert (outcome.kind, outcome.is_bad) == (REFUSED, False)


def test_every_mask_bomb(tmp_path, mask_worker):
    for name, content in image_bombs.png_bombs(np.random.default_rng(1)):
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        outcome = mask_worker.run(path)
        assert not outcome.is_bad, (name, outcome)


def test_damaged_masks_are_named_as_such(tmp_path):
    good = image_bombs._png()
    path = tmp_path / "mask.png"
    path.write_bytes(good)
    assert read_mask(path, (64, 48)).sum() == 20 * 20
    text = image_bombs._chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**24)))
    stream = bytearray(good)
    stream[50] ^= 0xFF
    for content in (good[:33] + text + good[33:], bytes(stream), good[:60], b"", b"hello"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not a PNG that can be read"):
            read_mask(path, (64, 48))
    with pytest.raises(FileNotFoundError):
        read_mask(tmp_path / "none.png", (64, 48))


def test_an_ordinary_tiff_is_no_bomb(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(image_bombs.tiff())
    np.testing.assert_array_equal(read_grey_image(path).pixels, np.zeros((64, 48)))
    path.write_bytes(image_bombs.tiff(chain=2))
    with pytest.raises(DataError, match="holds 2 images"):
        read_grey_image(path)
    pixels = np.random.default_rng(0).integers(0, 256, (5000, 48)).astype(np.uint8)
    for options in ({"compression": "tiff_lzw"}, {"tiffinfo": {278: 1}}):  # a strip for each row
        Image.fromarray(pixels).save(path, **options)
        np.testing.assert_array_equal(read_grey_image(path).pixels, pixels)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_black_film_packs_as_small_as_it_can(tmp_path, compression):
    path = tmp_path / "a.tif"
    pixels = np.zeros((6000, 5000), np.uint8)
    Image.fromarray(pixels).save(path, compression=compression)
    assert read_grey_image(path).pixels.shape == (6000, 5000)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=9)
    path.write_bytes(stream.getvalue())
    assert read_grey_image(path).pixels.shape == (6000, 5000)


def test_a_png_that_claims_more_than_deflate_can_hold(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(image_bombs._png_claim(9000, 9000, zlib.compress(bytes(1000))))
    with pytest.raises(DataError, match="9000×9000 pixels cannot be packed into"):
        read_grey_image(path)


def test_a_big_tiff_that_claims_entries_without_end(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(10**6))
    with pytest.raises(DataError, match="more than the file can hold"):
        read_grey_image(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: no such file, or not an ordinary one"):
        read_grey_image(tmp_path / "pipe.png")


@pytest.mark.parametrize("side", [10_001, 15_000, 60_000])
def test_too_large_an_image_is_called_so(tmp_path, side):
    path = tmp_path / "a.img"
    for content in (
        image_bombs._png_claim(side, side, zlib.compress(bytes(1000))),
        image_bombs.tiff(height=side, width=side),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"at most 100,000,000 pixels.*{side}×{side}"):
            read_grey_image(path)
