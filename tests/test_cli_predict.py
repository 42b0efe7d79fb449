"""`mammo-tf predict`: its boxes, millimetres and pictures, and what wrong inputs get."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mammo_tf import __version__
from mammo_tf.cli import main as cli_main
from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import UserError
from mammo_tf.images import read_display_image
from mammo_tf.models.ssd import SSD
from mammo_tf.pipelines.detection.card import FOUND, write_card
from mammo_tf.pipelines.detection.detector import Detector, describe_detector, load_detector
from mammo_tf.report import overlay
from mammo_tf.report.overlay import DETECTION_COLOUR
from mammo_tf.testing import make_breast, write_mammogram

NAMES = ("benign", "malignant")
SECRETS = (b"Secret", b"Surname", b"4711-pid", b"19500102")


@pytest.fixture(scope="module")
def detector():
    """A network of random weights; about two thirds of its boxes have a score above 0.5."""
    keras.utils.set_random_seed(3)
    model = SSD(num_classes=2, backbone="light", image_shape=(64, 48, 3), dropout=0.1)
    return Detector(model, NAMES, num_symmetries=2, threshold=0.45)


@pytest.fixture(scope="module")
def trained(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    detector.model.save_weights(folder / "model.weights.h5")
    describe_detector(detector, folder)
    return folder / "model.weights.h5"


@pytest.fixture
def copied(trained, tmp_path):
    """The weights and their description, to be damaged."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in trained.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / trained.name


@pytest.fixture
def breast():
    return make_breast(90, 60, bits=8)


@pytest.fixture
def png(tmp_path, breast):
    path = tmp_path / "left.png"
    Image.fromarray(breast).save(path)
    return path


@pytest.fixture
def run(tmp_path):
    """Runs the command, with its results in the folder `out`."""

    def predict(*arguments, out=tmp_path / "out"):
        words = ["predict", *map(str, arguments), "--out", str(out)]
        return CliRunner().invoke(cli_main.cli, words)

    return predict


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path):
    """(exit code, stderr) as a user's shell would see them."""

    def predict(*arguments):
        words = ["mammo-tf", "predict", *map(str, arguments), "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            cli_main.main()
        return caught.value.code, capsys.readouterr().err

    return predict


def write_pgm(path, pixels, maximum):
    wide = pixels.astype(">u2" if maximum > 255 else np.uint8)
    path.write_bytes(b"P5\n%d %d\n%d\n" % (*pixels.shape[::-1], maximum) + wide.tobytes())
    return path


def edges(result):
    """(n, 4) yxyx in pixels."""
    names = ("top", "left", "bottom", "right")
    return np.array([[one["box_px"][name] for name in names] for one in result["detections"]])


@pytest.mark.parametrize("options", [(), ("--by-class", "--threshold", "0.2", "--max-boxes", "7")])
def test_the_boxes_are_the_detector_s_in_pixels(run, detector, trained, png, breast, options):
    done = run("--model", "ssd", trained, png, "--json", *options)
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    by_class = bool(options)
    limits = {"min_score": 0.2, "max_boxes": 7} if by_class else {"min_score": 0.5, "max_boxes": 20}
    (found,) = detector.detect([breast], by_class=by_class, **limits)
    assert len(found) == limits["max_boxes"]
    expected = found.boxes_yxyx.astype(float) * [90, 60, 90, 60]
    np.testing.assert_allclose(edges(result), expected, atol=0.0051)
    scores = [one["score"] for one in result["detections"]]
    np.testing.assert_allclose(scores, found.scores, atol=5.1e-5)
    for one, label, values in zip(
        result["detections"], found.labels, found.probabilities, strict=True
    ):
        assert one["label"] == ("lesion", *NAMES)[label]
        shown = [one["probabilities"][name] for name in ("background", *NAMES)]
        np.testing.assert_allclose(shown, values, atol=5.1e-5)
        assert one["box_mm"] is None
    assert by_class == any(found.labels)


def test_what_is_written(run, trained, png, tmp_path):
    done = run(trained.parent, png, "--json", "--threshold", "0.6")  # the weights' folder will do
    (result,) = json.loads(done.stdout)
    assert json.loads((tmp_path / "out" / "left.json").read_text("utf-8")) == result
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "left.json",
        "left.png",
        "predictions.csv",
    ]
    assert result["file"] == "left.png"
    assert (result["height_px"], result["width_px"], result["orientation"]) == (90, 60, "as stored")
    assert result["pixel_spacing_mm"] is None and result["pixel_spacing_source"] is None
    assert result["mammo_tf"] == __version__
    assert result["model"] == {
        "kind": "ssd",
        "weights": "model.weights.h5",
        "sha256": hashlib.sha256(trained.read_bytes()).hexdigest(),
        "class_names": list(NAMES),
        "card": None,
    }
    assert result["settings"]["threshold"] == 0.6
    assert "not a medical device" in result["notice"]
    assert str(tmp_path) not in json.dumps(result)


def test_the_picture_has_the_image_s_shape_and_its_boxes(run, trained, png, breast, tmp_path):
    run(trained, png, "--max-boxes", "1")
    result = json.loads((tmp_path / "out" / "left.json").read_text("utf-8"))
    drawn = np.asarray(Image.open(tmp_path / "out" / "left.png"))
    assert drawn.shape[1:] == (60, 3) and len(drawn) > 90  # a strip of text below
    assert (drawn[90:].min(axis=2) > 200).any()
    ((top, left, bottom, right),) = edges(result)
    row, column = int((top + bottom) / 2), int((left + right) / 2)
    assert tuple(drawn[row, int(left)]) == DETECTION_COLOUR
    assert tuple(drawn[int(np.ceil(bottom)) - 1, column]) == DETECTION_COLOUR


def test_a_large_image_gives_a_smaller_picture_of_the_same_aspect(run, trained, tmp_path):
    path = write_pgm(tmp_path / "large.pgm", make_breast(2400, 1800, bits=8), 255)
    assert run(trained, path).exit_code == 0
    with Image.open(tmp_path / "out" / "large.png") as drawn:
        assert drawn.width == 1200 and 1600 < drawn.height < 1700  # a strip of text below


def test_the_picture_says_threshold_and_research_only(run, trained, png, monkeypatch):
    said = []
    add = overlay.add_footer
    monkeypatch.setattr(overlay, "add_footer", lambda *words: said.append(words[1]) or add(*words))
    assert run(trained, png, "--threshold", "0.35").exit_code == 0
    (text,) = said
    assert "Research only, not a medical device" in text and "at least 0.35" in text


def test_an_image_without_a_breast_is_told_of(run, trained, png, tmp_path):
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((90, 60), np.uint8)).save(black)
    done = run(trained, black, "--json")
    assert "Note: black.png: no breast is to be seen" in done.stderr
    assert "no breast" in json.loads(done.stdout)[0]["notes"][-1]
    done = run(trained, png, "--json")
    assert "no breast" not in done.stderr and json.loads(done.stdout)[0]["notes"] == []


@pytest.mark.parametrize(("value", "warned"), [(0.0, True), (0.4, False)])
def test_a_detector_that_found_nothing_is_warned_of(run, copied, png, value, warned):
    measured = {FOUND: (value, value, 0.5)}
    write_card(copied.parent, data="phantom", split="folds", measured=measured)
    done = run(copied, png, "--json")
    assert ("found none of the lesions" in done.stderr) == warned
    card = json.loads(done.stdout)[0]["model"]["card"]
    assert card["measured"][FOUND]["value"] == value


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_millimetres_of_a_dicom_file(run, detector, trained, tmp_path, keyword):
    spacing = {keyword: [0.1, 0.05]}  # rows, columns: not the same, so that a swap shows
    path = write_mammogram(tmp_path / "exam.dcm", **spacing)
    done = run(trained, path, "--json", "--max-boxes", "3", "--pixel-spacing-mm", "7")
    (result,) = json.loads(done.stdout)
    assert result["pixel_spacing_mm"] == [0.1, 0.05]
    assert result["pixel_spacing_source"] == "file"
    assert result["orientation"] == "canonical"
    shown = np.rint(read_mammogram(path).display() * 255).astype(np.uint8)
    (found,) = detector.detect([shown], min_score=0.5, max_boxes=3)
    assert len(found) == 3
    for one, (top, left, bottom, right) in zip(
        result["detections"], found.boxes_yxyx.astype(float), strict=True
    ):
        mm = one["box_mm"]  # the image has 96 rows and 64 columns: 9.6 by 3.2 mm
        assert mm["height"] == pytest.approx((bottom - top) * 9.6, abs=0.006)
        assert mm["width"] == pytest.approx((right - left) * 3.2, abs=0.006)
        assert mm["center_row"] == pytest.approx((bottom + top) * 4.8, abs=0.006)
        assert mm["center_column"] == pytest.approx((right + left) * 1.6, abs=0.006)


def test_millimetres_from_the_option(run, trained, png):
    done = run(trained, png, "--json", "--pixel-spacing-mm", "0.2", "--max-boxes", "1")
    (result,) = json.loads(done.stdout)
    assert (result["pixel_spacing_mm"], result["pixel_spacing_source"]) == ([0.2, 0.2], "option")
    (one,) = result["detections"]
    box = one["box_px"]
    assert one["box_mm"]["height"] == pytest.approx((box["bottom"] - box["top"]) / 5, abs=0.01)
    assert one["box_mm"]["width"] == pytest.approx((box["right"] - box["left"]) / 5, abs=0.01)


def test_dicom_is_shown_as_a_viewer_shows_it(tmp_path):
    """MONOCHROME1 with a window, by the formula of PS3.3 C.11.2.1.2.1."""
    stored = make_breast(40, 30, bits=12)
    path = write_mammogram(
        tmp_path / "a.dcm",
        (4095 - stored).astype(np.uint16),
        photometric="MONOCHROME1",
        WindowCenter=2048,
        WindowWidth=1001,
    )
    image = read_display_image(path)
    window = np.clip((4095.0 - stored - 2047.5) / 1000 + 0.5, 0, 1)
    assert image.pixels.dtype == np.uint8 and image.orientation == "canonical"
    np.testing.assert_allclose(image.pixels, (1 - window) * 255, atol=0.51)


@pytest.mark.parametrize("kind", ["png", "pgm", "tif"])
def test_16_bits_are_spread_over_their_own_range_and_it_is_said(
    run, detector, trained, tmp_path, kind
):
    pixels = make_breast(80, 70, bits=12) // 2 + 100
    path = tmp_path / f"wide.{kind}"
    if kind == "pgm":
        write_pgm(path, pixels, 4095)
    else:
        Image.fromarray(pixels).save(path)
    done = run(trained, path, "--json", "--max-boxes", "4")
    assert "wide" in done.stderr and "spread over 0 to 255" in done.stderr
    (result,) = json.loads(done.stdout)
    assert result["spread_to_8_bits"]
    low, high = int(pixels.min()), int(pixels.max())
    spread = np.rint((pixels - float(low)) * 255 / (high - low)).astype(np.uint8)
    (found,) = detector.detect([spread], min_score=0.5, max_boxes=4)
    np.testing.assert_allclose(edges(result), found.boxes_yxyx * [80, 70, 80, 70], atol=0.01)


def test_the_table(run, trained, png):
    done = run(trained, png, "--max-boxes", "2", "--pixel-spacing-mm", "0.2")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("left.png: 2 lesions with a score of at least 0.45 (90×60 px")
    assert lines[1].split()[:2] == ["score", "top"]
    assert len(lines) == 5 and "×" in lines[2] and "lesion (benign 0." in lines[2]
    assert "not a medical device" in lines[4]
    none = run(trained, png, "--threshold", "1").stdout.splitlines()
    assert none[0].startswith("left.png: 0 lesions") and len(none) == 2


def test_a_blank_image(run, trained, tmp_path):
    path = write_pgm(tmp_path / "blank.pgm", np.zeros((50, 40)), 255)
    assert run(trained, path).exit_code == 0


def test_nothing_that_identifies_a_person_comes_out(run, trained, tmp_path):
    folder = tmp_path / "Surname^Secret"
    folder.mkdir()
    path = write_mammogram(
        folder / "im1.dcm",
        PatientName="Surname^Secret",
        PatientID="4711-pid",
        PatientBirthDate="19500102",
        PixelSpacing=[0.1, 0.1],
    )
    done = run(trained, path, "--json")
    assert done.exit_code == 0, done.output
    written = [file.read_bytes() for file in (tmp_path / "out").iterdir()]
    assert len(written) == 3
    for content in (*written, done.stdout.encode(), done.stderr.encode()):
        assert not any(secret in content for secret in SECRETS)
    with Image.open(tmp_path / "out" / "im1.png") as drawn:
        assert not drawn.info


def test_a_bad_image_is_named_and_the_others_are_done(shell, trained, png, breast, tmp_path):
    cut = write_pgm(tmp_path / "cut.pgm", breast, 255)
    cut.write_bytes(cut.read_bytes()[:500])
    colour = tmp_path / "colour.png"
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(colour)
    good = write_pgm(tmp_path / "good.pgm", breast, 255)
    code, said = shell(trained, cut, png, colour, good)
    assert code == 2
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 3, said
    assert "cut.pgm is cut off" in errors[0]
    assert "colour.png is a colour image" in errors[1]
    assert errors[2].startswith("Error: 2 of 4 images could not be read")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [
        "good.json",
        "good.png",
        "left.json",
        "left.png",
        "predictions.csv",
    ]


def test_the_json_list_has_the_images_that_were_read(run, trained, png, tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"\0" * 200)
    done = run(trained, bad, png, "--json")
    assert isinstance(done.exception, UserError)
    assert [result["file"] for result in json.loads(done.stdout)] == ["left.png"]


def test_for_processing_is_refused_with_advice_that_works(shell, run, trained, tmp_path):
    raw = write_mammogram(tmp_path / "raw.dcm", PresentationIntentType="FOR PROCESSING")
    code, said = shell(trained, raw)
    assert (code, said.count("\n")) == (2, 1)
    assert "raw.dcm: the image is FOR PROCESSING" in said
    assert "Or add --allow-for-processing." in said and "=True" not in said
    done = run(trained, raw, "--allow-for-processing", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["settings"]["allow_for_processing"] is True


def test_what_was_left_out_is_said_and_written(run, trained, tmp_path):
    # Millimetres of such a spacing would be nonsense; the lesions' places in pixels are not.
    metres = write_mammogram(
        tmp_path / "metres.dcm", PixelSpacing=["1e30", "1e30"], WindowCenter=1, WindowWidth=0
    )
    done = run(trained, metres, "--json")
    assert done.exit_code == 0, done.output
    (result,) = json.loads(done.stdout)
    assert result["pixel_spacing_mm"] is None
    assert result["notes"] == [
        "WindowCenter and WindowWidth: 1 unusable; left out.",
        "PixelSpacing unusable; left out.",
    ]
    for note in result["notes"]:
        assert f"Note: metres.dcm: {note}" in done.stderr


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(("A", "F"), "as stored"), (("A", "H"), "upright, side unknown")],
)
def test_an_image_of_an_unknown_side_is_not_called_canonical(
    run, trained, tmp_path, orientation, expected
):
    path = write_mammogram(tmp_path / "side.dcm", laterality=None, orientation=orientation)
    done = run(trained, path, "--json")
    assert json.loads(done.stdout)[0]["orientation"] == expected
    assert f"{expected})" in run(trained, path).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "1.5"), "--threshold must be between 0 and 1"),
        (("--threshold", "nan"), "--threshold must be between 0 and 1"),
        (("--pixel-spacing-mm", "0"), "--pixel-spacing-mm must be above 0"),
        (("--pixel-spacing-mm", "-0.2"), "--pixel-spacing-mm must be above 0"),
        (("--pixel-spacing-mm", "inf"), "--pixel-spacing-mm must be above 0"),
        (("--max-boxes", "0"), "--max-boxes must be 1 to 200"),
        (("--model", "yolo"), "'yolo' is not one of 'ssd', 'glam'"),
    ],
)
def test_impossible_options(shell, trained, png, tmp_path, options, message):
    code, said = shell(trained, png, *options)
    assert code == 2 and message in said
    assert not (tmp_path / "out").exists()


def test_missing_files(shell, trained, copied, png, tmp_path):
    assert "does not exist" in shell(tmp_path / "none.weights.h5", png)[1]
    assert "does not exist" in shell(trained, tmp_path / "none.png")[1]
    code, said = shell(png, png)
    assert code == 2 and "WEIGHTS must be a .weights.h5 file" in said
    code, said = shell(tmp_path, png)  # a folder without weights
    assert code == 2 and "WEIGHTS must be a .weights.h5 file" in said
    (copied.parent / "detector.json").unlink()
    code, said = shell(copied, png)
    assert code == 2 and said.startswith("Error: detector.json must lie beside the weights")


def test_results_never_replace_each_other_or_what_is_read(shell, run, trained, png, tmp_path):
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "LEFT.pgm"
    write_pgm(other, np.zeros((50, 40)), 255)
    code, said = shell(trained, png, other)
    assert code == 2 and "left.png and LEFT.pgm would have the same name" in said
    before = png.read_bytes()
    done = run(trained, png, out=tmp_path)
    assert isinstance(done.exception, UserError) and "--out must be another" in str(done.exception)
    assert png.read_bytes() == before
    named = tmp_path / "detector.pgm"
    write_pgm(named, np.zeros((50, 40)), 255)
    done = run(trained, named, out=trained.parent)
    assert "detector.json would replace a file that is read" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_only_known_endings_are_cut_off(run, trained, tmp_path):
    first = write_mammogram(tmp_path / "1.2.840.1")
    second = write_mammogram(tmp_path / "1.2.840.2")
    assert run(trained, first, second).exit_code == 0
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    names = ["1.2.840.1.json", "1.2.840.1.png", "1.2.840.2.json", "1.2.840.2.png"]
    assert written == [*names, "predictions.csv"]


def test_a_long_or_unprintable_name(shell, run, trained, png, tmp_path):
    long = tmp_path / ("x" * 240 + ".png")
    long.write_bytes(png.read_bytes())
    code, said = shell(trained, long)
    assert code == 2 and "shorter name" in said
    odd = tmp_path / "red\x1b[31m.png"
    odd.write_bytes(png.read_bytes())
    done = run(trained, odd)
    assert done.exit_code == 0 and "\x1b" not in done.output
    odd.write_bytes(b"P5 nothing")
    code, said = shell(trained, odd)
    assert code == 2 and "\x1b" not in said and "red?[31m.png" in said


def sign(weights):
    """Lets the description vouch for the weights as they are now."""
    path = weights.parent / "detector.json"
    known = json.loads(path.read_bytes())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    path.write_text(json.dumps(known | {"weights_sha256": digest}), "utf-8")
    return weights


@pytest.mark.parametrize("content", [b"", b"\x00\x01" * 5000, b"\x89HDF\r\n\x1a\n" + b"7" * 3000])
def test_weights_of_random_bytes(shell, copied, png, content):
    copied.write_bytes(content)
    code, said = shell(sign(copied), png)
    assert (code, said.count("\n")) == (2, 1)
    assert "does not hold the weights" in said


@pytest.mark.parametrize("share", [0.3, 0.999])
def test_weights_that_are_cut_off(shell, copied, png, share):
    content = copied.read_bytes()
    copied.write_bytes(content[: int(share * len(content))])
    code, said = shell(sign(copied), png)
    assert (code, said.count("\n")) == (2, 1)
    assert "does not hold the weights" in said


def test_weights_of_another_network(shell, copied, png):
    other = SSD(num_classes=3, backbone="light", image_shape=(64, 48, 3))
    other.save_weights(copied, overwrite=True)
    code, said = shell(sign(copied), png)
    assert (code, said.count("\n")) == (2, 1) and "does not hold the weights" in said


def test_weights_that_are_not_finite(shell, copied, png, tmp_path):
    with h5py.File(copied, "r+") as file:
        variable = file["layers/conv2d/vars/0"]
        variable[...] = np.full(variable.shape, np.nan)
    code, said = shell(sign(copied), png)
    assert (code, said.count("\n")) == (2, 1)
    assert "not finite" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"image_shape": [10**6, 10**6, 3]},
        {"image_shape": [64, 48, 1]},
        {"image_shape": [-64, 48, 3]},
        {"image_shape": [float("inf"), 48, 3]},
        {"image_shape": None},
        {"class_names": []},
        {"class_names": ["a"] * 1000},
        {"class_names": ["benign", "benign"]},
        {"class_names": ["benign", "background"]},
        {"class_names": ["benign", "\x1b[2J"]},
        {"backbone": "resnet"},
        {"variant": "../../etc"},
        {"dropout": 7},
        {"dropout": float("nan")},
        {"num_symmetries": 0},
        {"threshold": 1.5},
        {"threshold": None},
        {"num_symmetries": 10**9},
        {"format": 3},
        {"format": [1]},
        {"model": "yolo"},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_a_description_that_cannot_be_right(shell, copied, png, changes):
    path = copied.parent / "detector.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")
    code, said = shell(copied, png)
    assert (code, said.count("\n")) == (2, 1)
    assert "detector.json" in said and "\x1b" not in said


def test_a_description_of_the_first_format_is_read(trained, copied):
    path = copied.parent / "detector.json"
    known = json.loads(path.read_bytes())
    assert (known["format"], known["num_symmetries"]) == (2, 2)
    number = known.pop("num_symmetries")
    path.write_text(json.dumps({**known, "format": 1, "num_views": number}))
    old, new = load_detector(copied), load_detector(trained)
    assert (old.num_symmetries, old.threshold) == (new.num_symmetries, new.threshold) == (2, 0.45)


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"{" * 3, b"[" * 90_000, b"\xff\xfe\x00", b"1"],
    ids=["empty", "list", "cut off", "deep", "binary", "number"],
)
def test_a_description_that_is_none(shell, copied, png, content):
    (copied.parent / "detector.json").write_bytes(content)
    code, said = shell(copied, png)
    assert (code, said.count("\n")) == (2, 1)
    assert "is no description of a detector" in said


@pytest.mark.parametrize("name", ["jax", "abacus"])
def test_a_backend_that_is_not_there(trained, png, tmp_path, name):
    code = "import sys; sys.modules['jax'] = None; from mammo_tf.cli.main import main; main()"
    words = ["predict", str(trained), str(png), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "KERAS_BACKEND": name}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"Error: Keras' backend '{name}' cannot be used")
    assert done.stderr.count("\n") == 1


def test_help_teaches_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from mammo_tf.cli.main import cli\n"
        "print(CliRunner().invoke(cli, ['predict', '--help']).output)\n"
        "print([n for n in ('keras', 'tensorflow', 'numpy', 'pydicom', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mammo-tf predict --model ssd" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_real_film(run, trained, real_data, tmp_path):
    with tarfile.open(real_data / "mini-mias" / "all-mias.tar.gz") as archive:
        film = archive.extractfile("mdb001.pgm").read()
    path = tmp_path / "mdb001.pgm"
    path.write_bytes(film)
    done = run(trained, path, "--json", "--pixel-spacing-mm", "0.2")
    (result,) = json.loads(done.stdout)
    assert (result["height_px"], result["width_px"]) == (1024, 1024)
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "out" / "mdb001.png").read_bytes())))
    # The film in its own size, and below it what the picture is for.
    assert drawn.shape[1:] == (1024, 3) and 1024 < drawn.shape[0] < 1100
    mean_level = np.frombuffer(film[-1024 * 1024 :], np.uint8).mean()
    assert abs(drawn[:1024].mean() - mean_level) < 25


def test_one_flipped_bit_in_the_weights_is_noticed(shell, copied, png):
    content = bytearray(copied.read_bytes())
    content[-1000] ^= 1
    copied.write_bytes(content)
    code, said = shell(copied, png)
    assert code == 2
    assert "its SHA-256 differs" in said and said.count("\n") == 1
