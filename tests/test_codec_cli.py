"""`mammo-tf codec measure`: the table, the files, and what wrong inputs get."""

import errno
import io
import json
import math
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mammo_tf import files
from mammo_tf.breast import breast_mask
from mammo_tf.cli import main as cli_main
from mammo_tf.testing import write_mammogram


def measure(*arguments):
    return CliRunner().invoke(cli_main.cli, ["codec", "measure", *map(str, arguments)])


def through_main(monkeypatch, capsys, *arguments):
    """(exit code, stderr) as a user's shell would see them."""
    monkeypatch.setattr(sys, "argv", ["mammo-tf", "codec", "measure", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli_main.main()
    return caught.value.code, capsys.readouterr().err


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(2000, 300, (120, 80)).astype(np.uint16)


@pytest.fixture
def png(tmp_path, pixels):
    path = tmp_path / "breast.png"
    Image.fromarray(pixels).save(path)
    return path


def write_pgm(path, pixels, maximum):
    height, width = pixels.shape
    wide = pixels.astype(">u2" if maximum > 255 else np.uint8)
    path.write_bytes(b"P5\n# by hand\n%d %d\n%d\n" % (width, height, maximum) + wide.tobytes())


def test_the_table(png, pixels):
    result = measure(png, "--cratios", "20,1,5000")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("120×80 uint16, 19,200 bytes; PSNR against 65535; layered")
    share = breast_mask(pixels).mean()
    assert lines[1].endswith(f"neither air nor padding, is {100 * share:.1f} % of the image.")
    assert [line.split()[0] for line in lines[4:7]] == ["1", "20", "5000"]
    assert lines[4].split()[3:] == ["100.00", "0.00", "100.00", "0.00", "layer"]
    assert "*" in lines[6] and lines[7].startswith("* more than 5 % off")


def test_json_and_files(png, pixels, tmp_path):
    out = tmp_path / "new" / "folder"
    result = measure(png, "--cratios", "1,20", "--json", "--out", out, "--method", "separate")
    report = json.loads(result.stdout)
    assert (report["height"], report["width"], report["dtype"]) == (120, 80, "uint16")
    for row in report["rows"]:
        content = (out / f"breast_cr{row['cratio']}.j2k").read_bytes()
        assert (len(content), row["source"]) == (row["num_bytes"], "separate")
        decoded = np.array(Image.open(io.BytesIO(content))).astype(float)
        error = np.mean((decoded - pixels) ** 2)
        expected = 10 * math.log10(65535**2 / error) if error else 100
        assert row["psnr_db"] == pytest.approx(expected)
    assert sorted(path.name for path in out.iterdir()) == ["breast_cr1.j2k", "breast_cr20.j2k"]


def test_the_breast_of_a_padded_mammogram(tmp_path):
    """Padding and air apart, with the file's own padding as the breast's outline."""
    tissue = np.random.default_rng(0).integers(1466, 2949, (120, 80)).astype(np.uint16)
    padding = np.arange(80)[np.newaxis] + np.zeros((120, 1), int) >= 45
    stored = np.where(padding, 3076, tissue).astype(np.uint16)
    path = write_mammogram(
        tmp_path / "a.dcm",
        stored,
        bits_stored=16,
        photometric="MONOCHROME1",
        PixelPaddingValue=3076,
    )
    out = tmp_path / "out"
    report = json.loads(measure(path, "--cratios", "1,40", "--json", "--out", out).stdout)
    assert report["breast_pixels"] == 120 * 45
    canonical = np.where(padding, 65535 - 2948, 65535 - stored.astype(int))
    for row in report["rows"]:
        decoded = np.array(Image.open(row["file"])).astype(float)
        squares = (decoded - canonical) ** 2
        for name, error in (("", squares.mean()), ("breast_", squares[~padding].mean())):
            assert row[f"{name}rmse"] == pytest.approx(math.sqrt(error))
            expected = 10 * math.log10(65535**2 / error) if error else 100
            assert row[f"{name}psnr_db"] == pytest.approx(expected)
    lossy = report["rows"][1]
    assert lossy["breast_rmse"] > 1.2 * lossy["rmse"] > 0


def test_an_image_without_a_breast(tmp_path):
    path = tmp_path / "flat.png"
    Image.fromarray(np.full((40, 30), 7, np.uint8)).save(path)
    report = json.loads(measure(path, "--cratios", "1,5", "--json").stdout)
    assert report["breast_pixels"] == 0
    assert [row["breast_psnr_db"] for row in report["rows"]] == [None, None]
    assert [row["breast_rmse"] for row in report["rows"]] == [None, None]
    lines = measure(path, "--cratios", "1").stdout.splitlines()
    assert lines[1] == "No breast is seen: the image is flat."
    assert lines[4].split()[3:7] == ["100.00", "0.00", "–", "–"]


def test_the_peak(tmp_path, pixels):
    path = tmp_path / "twelve.pgm"
    write_pgm(path, pixels, 4095)
    rows = {}
    for peak in ("container", "stored", "4095", "1000.5"):
        report = json.loads(measure(path, "--cratios", 30, "--json", "--max-value", peak).stdout)
        rows[peak] = report["max_value"], report["rows"][0]["psnr_db"]
    assert [value for value, _ in rows.values()] == [65535, 4095, 4095, 1000.5]
    assert rows["container"][1] - rows["stored"][1] == pytest.approx(20 * math.log10(65535 / 4095))


def test_a_dicom_mammogram(real_data):
    path = real_data / "dicom" / "MG1_J2KI.dcm"
    report = json.loads(
        measure(path, "--cratios", "1000", "--json", "--max-value", "stored").stdout
    )
    assert (report["height"], report["width"], report["max_value"]) == (4664, 3064, 4095)
    assert report["rows"][0]["achieved_cratio"] == pytest.approx(1000, rel=0.05)
    assert report["rows"][0]["psnr_db"] == pytest.approx(65.56 - 24.08, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cratios", "1,x"), "numbers with commas between, as 1,15,100. Received: '1,x'"),
        (("--cratios", "0.5"), "must be from 1 (lossless) to 1000000. Received: 0.5"),
        (("--cratios", "20,20"), "Compression ratios must be different"),
        (("--max-value", "-1"), "--max-value must be 'container', 'stored' or a positive number"),
        (("--max-value", "most"), "--max-value must be 'container', 'stored' or a positive number"),
        (("--threads", "0"), "--threads must be at least 1"),
        (("--method", "both"), "Invalid value for '--method'"),
        (("--out", "FILE"), "is a file"),
        (("--out", "FILE/below"), "Expected a folder, found a file"),
    ],
)
def test_wrong_arguments_exit_2(monkeypatch, capsys, png, arguments, message):
    arguments = [argument.replace("FILE", str(png)) for argument in arguments]
    code, shown = through_main(monkeypatch, capsys, png, *arguments)
    assert code == 2 and message in shown and "Traceback" not in shown


def test_a_missing_image_exits_2(monkeypatch, capsys, tmp_path):
    code, shown = through_main(monkeypatch, capsys, tmp_path / "none.png")
    assert code == 2 and "does not exist" in shown


def test_a_full_disk_leaves_no_half_files(monkeypatch, capsys, png, tmp_path):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(files.os, "replace", full)
    code, shown = through_main(monkeypatch, capsys, png, "--cratios", "1", "--out", tmp_path / "o")
    assert code == 2 and shown.count("\n") == 1 and "No space left on the disk" in shown
    assert not list((tmp_path / "o").iterdir())


def test_structural_similarity_is_measured_when_asked_for(png):
    plain = json.loads(measure(png, "--cratios", "1,20", "--json").stdout)
    assert [row["ssim"] for row in plain["rows"]] == [None, None]
    asked = json.loads(measure(png, "--cratios", "1,20", "--ssim", "--json").stdout)
    assert asked["rows"][0]["ssim"] == pytest.approx(1)
    assert 0 < asked["rows"][1]["ssim"] < 1
    assert "SSIM" in measure(png, "--cratios", "1,20", "--ssim").output
