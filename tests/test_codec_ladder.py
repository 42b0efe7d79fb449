"""The ladder against decoders and encoders that are not ours."""

import io
import itertools
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mammo_tf.codecs import coder, openjpeg
from mammo_tf.codecs.jpeg2000 import PAPER_CRATIOS, encode_ladder
from mammo_tf.codecs.measure import psnr
from mammo_tf.errors import CodecError, UserError


def textured(height, width, dtype=np.uint16, bits=12, seed=0):
    """A dark margin and a bright area with fine and coarse texture, `bits` of `dtype` in use."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    coarse = np.kron(rng.normal(size=(height // 16 + 1, width // 16 + 1)), np.ones((16, 16)))
    values = 0.5 + 0.2 * np.sin(rows / 37) * np.cos(columns / 23)
    values += 0.03 * coarse[:height, :width] + 0.01 * rng.normal(size=(height, width))
    values[:, width * 2 // 3 :] = 0
    return (np.clip(values, 0, 1) * (2**bits - 1)).astype(dtype)


def from_pillow(codestream):
    return np.array(Image.open(io.BytesIO(codestream)))


def from_glymur(codestream, folder, layer=0, step=1):
    openjpeg.configure()
    import glymur

    path = folder / "image.j2k"
    path.write_bytes(codestream)
    file = glymur.Jp2k(path)
    file.layer = layer
    return file[::step, ::step]


@pytest.fixture(scope="module")
def image():
    return textured(700, 500)


@pytest.fixture(scope="module")
def ladder(image):
    return encode_ladder(image, PAPER_CRATIOS[:8])


def test_each_ratio_is_a_file_that_pillow_decodes_to_the_same_pixels(ladder):
    for entry in ladder.entries:
        file = ladder.codestream(entry.cratio)
        assert len(file) == entry.num_bytes
        assert entry.achieved_cratio == 700 * 500 * 2 / len(file)
        np.testing.assert_array_equal(from_pillow(file), ladder.decode(entry.cratio))


def test_a_layer_is_what_glymur_decodes_from_the_whole_stream(ladder, tmp_path):
    whole = ladder.streams[0].data
    for step in ladder.steps:
        if step.stream == 0 and step.num_layers < len(ladder.steps):
            theirs = from_glymur(whole, tmp_path, layer=step.num_layers)
            np.testing.assert_array_equal(theirs, ladder.decode(step.cratio))


def test_layers_are_as_good_as_files_made_by_glymur_alone(image, ladder, tmp_path):
    import glymur

    for entry in ladder.entries:
        path = tmp_path / f"{entry.cratio}.j2k"
        glymur.Jp2k(path, data=image, cratios=[entry.cratio])
        alone = psnr(image, from_pillow(path.read_bytes()))
        # The layers' own headers weigh more in a small file: 0.05 dB is for a whole mammogram.
        assert psnr(image, ladder.decode(entry.cratio)) == pytest.approx(alone, abs=0.1)


@pytest.mark.slow
def test_on_a_real_mammogram(real_data, tmp_path):
    """Every layer within 5 % of its ratio and 0.05 dB of glymur's own file; CR 11000 as close."""
    from pydicom.pixels import pixel_array

    image = pixel_array(real_data / "dicom" / "MG1_J2KI.dcm")
    ladder = encode_ladder(image, PAPER_CRATIOS, threads=2)
    for entry in ladder.entries[1:-1]:
        assert entry.achieved_cratio == pytest.approx(entry.cratio, rel=0.05)
    np.testing.assert_array_equal(ladder.decode(1), image)
    import glymur

    for cratio in (15, 100, 5000, 11000):
        path = tmp_path / f"{cratio}.j2k"
        glymur.Jp2k(path, data=image, cratios=[cratio])
        alone = psnr(image, from_pillow(path.read_bytes()))
        assert psnr(image, ladder.decode(cratio)) == pytest.approx(alone, abs=0.05)
    assert ladder.codestream(11000) == path.read_bytes()


def test_the_separate_method_is_glymur_byte_for_byte(image, tmp_path):
    import glymur

    ladder = encode_ladder(image, (1, 20, 500), method="separate")
    for entry in ladder.entries:
        path = tmp_path / f"{entry.cratio}.j2k"
        glymur.Jp2k(path, data=image, cratios=[entry.cratio])
        assert ladder.codestream(entry.cratio) == path.read_bytes()
        assert entry.source == "separate"


def test_the_first_layer_is_a_lone_encode_byte_for_byte(image, ladder):
    """Why the ladder does not encode its highest ratio again where it misses."""
    alone = encode_ladder(image, (1000,), method="separate")
    assert ladder.codestream(1000) == alone.codestream(1000)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (33, 70), (48, 32)])
def test_ratio_1_is_lossless_to_the_container_s_last_bit(dtype, shape):
    rng = np.random.default_rng(1)
    image = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    image.flat[0], image.flat[-1] = 0, np.iinfo(dtype).max
    for method in ("layered", "separate"):
        decoded = encode_ladder(image, (50, 1), method=method).decode(1)
        assert decoded.dtype == dtype
        np.testing.assert_array_equal(decoded, image)


def test_12_bits_in_16_keep_their_maximum():
    image = textured(40, 60)
    image[0, 0] = 4095
    ladder = encode_ladder(image, (1,))
    assert ladder.decode(1).max() == 4095
    np.testing.assert_array_equal(from_pillow(ladder.codestream(1)), image)


def test_ratios_count_against_the_container(image):
    """CR 10 of 16-bit pixels is 700 × 500 × 2 / 10 bytes, of 8-bit ones half of that."""
    assert encode_ladder(image, (10,)).entries[0].num_bytes == pytest.approx(70_000, rel=0.05)
    narrow = textured(700, 500, np.uint8, bits=8)
    assert encode_ladder(narrow, (10,)).entries[0].num_bytes == pytest.approx(35_000, rel=0.05)


def test_reduce_halves_and_rounds_up(ladder, tmp_path):
    for cratio, reduce in itertools.product((1, 100), (1, 2, 5)):
        size = (-(-700 // 2**reduce), -(-500 // 2**reduce))
        decoded = ladder.decode(cratio, reduce)
        assert decoded.shape == size and decoded.dtype == np.uint16
        theirs = from_glymur(ladder.codestream(cratio), tmp_path, step=2**reduce)
        np.testing.assert_array_equal(decoded, theirs)


@pytest.mark.parametrize("reduce", [-1, 6, 1.0, None])
def test_reduce_out_of_range_is_a_user_error(ladder, reduce):
    with pytest.raises(UserError, match="`reduce` must be a whole number from 0 to 5"):
        ladder.decode(1, reduce)


def test_order_is_kept_and_does_not_matter(image):
    forwards = encode_ladder(image, (1, 20, 100))
    mixed = encode_ladder(image, [20, 100.0, np.int64(1)])
    assert mixed.cratios == (20, 100, 1)
    for cratio in forwards.cratios:
        assert forwards.codestream(cratio) == mixed.codestream(cratio)


def test_without_ratio_1_the_ladder_is_lossy(image):
    ladder = encode_ladder(image, (10, 40))
    assert ladder.cratios == (10, 40)
    assert psnr(image, ladder.decode(10)) < 100


@pytest.mark.parametrize(
    "cratios",
    [(), (0.5,), (0,), (-3,), (float("nan"),), (float("inf"),), (1, 1.0), (True,), ("15",), 1e7],
)
def test_wrong_ratios_are_a_user_error(cratios):
    with pytest.raises(UserError, match="ompression ratio"):
        encode_ladder(np.zeros((8, 8), np.uint8), cratios)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((8, 8), np.int16),
        np.zeros((8, 8), np.float32),
        np.zeros((0, 8), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_wrong_images_are_a_user_error(image):
    with pytest.raises(UserError, match=r"`image` must be \(height, width\)"):
        encode_ladder(image, (1,))


def test_wrong_method_is_a_user_error():
    with pytest.raises(UserError, match=r"layered.*separate.*Received: method='both'"):
        encode_ladder(np.zeros((8, 8), np.uint8), (1,), method="both")


def test_an_unknown_ratio_names_those_there_are(ladder):
    with pytest.raises(UserError, match=r"1, 15, 20, 25, 50, 100, 500, 1000\. Received: 30"):
        ladder.decode(30)
    with pytest.raises(UserError, match="Received: 30"):
        ladder.codestream(30)


def test_layers_that_miss_are_encoded_alone_and_kept_if_closer():
    """White noise is hard to cut into layers: several come out wrong."""
    image = np.random.default_rng(0).integers(0, 65536, (801, 2023)).astype(np.uint16)
    cratios = (1000, 5000, 10000, 11000)
    strict = encode_ladder(image, cratios, tolerance=0)
    loose = encode_ladder(image, cratios, tolerance=1e9)
    assert {entry.source for entry in loose.entries} == {"layer"}
    assert "separate" in {entry.source for entry in strict.entries}
    for ours, layer in zip(strict.entries, loose.entries, strict=True):
        assert abs(ours.achieved_cratio - ours.cratio) <= abs(layer.achieved_cratio - layer.cratio)
        if ours.source == "separate":
            alone = encode_ladder(image, (ours.cratio,), method="separate")
            assert strict.codestream(ours.cratio) == alone.codestream(ours.cratio)


def test_ratios_out_of_reach_are_recorded_truthfully():
    image = textured(64, 48)
    ladder = encode_ladder(image, (1, 1000, 11000))
    for entry in ladder.entries[1:]:
        file = ladder.codestream(entry.cratio)
        assert entry.achieved_cratio == image.nbytes / len(file) < 60
        np.testing.assert_array_equal(from_pillow(file), ladder.decode(entry.cratio))
    # Nothing is smaller than the first layer, so both share it rather than store a copy.
    assert len(ladder.streams) == 1
    assert ladder.codestream(1000) == ladder.codestream(11000)


def test_a_blank_image_needs_no_lone_encodes():
    ladder = encode_ladder(np.full((300, 200), 7, np.uint16), PAPER_CRATIOS)
    assert len(ladder.streams) == 1
    assert ladder.entries[0].achieved_cratio > 500
    for cratio in PAPER_CRATIOS[:6]:
        assert (ladder.decode(cratio) == 7).all()


def test_fractional_ratios(image):
    ladder = encode_ladder(image, (2.5, 33.3))
    assert ladder.cratios == (2.5, 33.3)
    assert ladder.entries[1].achieved_cratio == pytest.approx(33.3, rel=0.05)


def test_a_strided_image_is_encoded_as_it_looks(image):
    flipped = image[::-1, ::-2]
    np.testing.assert_array_equal(encode_ladder(flipped, (1,)).decode(1), flipped)


def test_threads_give_the_same_bytes_and_leave_the_warning_filters_alone(image, ladder):
    before = list(warnings.filters)
    jobs = list(ladder.cratios) * 2
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(ladder.decode, jobs))
        encoded = list(pool.map(lambda _: encode_ladder(image, (1, 20)).to_bytes(), range(3)))
    for cratio, pixels in zip(jobs, decoded, strict=True):
        np.testing.assert_array_equal(pixels, ladder.decode(cratio, threads=2))
    assert set(encoded) == {encode_ladder(image, (1, 20), threads=2).to_bytes()}
    assert warnings.filters == before


def test_ladders_can_be_pickled(ladder):
    copy = pickle.loads(pickle.dumps(ladder))
    assert copy.entries == ladder.entries
    assert copy.codestream(100) == ladder.codestream(100)


def test_without_memfd_a_temporary_file_serves_and_goes(monkeypatch, tmp_path, image):
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ladder = encode_ladder(image, (1, 20))
    np.testing.assert_array_equal(ladder.decode(1), image)
    assert not list(tmp_path.iterdir())


def test_openjpeg_s_own_complaints_become_a_codec_error(image):
    stream = bytearray(encode_ladder(image, (1,)).codestream(1))
    with pytest.raises(CodecError, match="OpenJPEG"):
        coder.decode(bytes(stream[: len(stream) // 2]))
    with pytest.raises(CodecError, match="OpenJPEG could not decode"):
        coder.decode(b"no codestream at all")
