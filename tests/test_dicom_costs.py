"""DICOM files that would cost minutes or gigabytes, read in a process that has neither."""

from pathlib import Path

import numpy as np
import pytest

from mammo_tf.dicom import read_mammogram
from mammo_tf.errors import DataError
from mammo_tf.hostile import dicom_bombs
from mammo_tf.hostile.capped import ACCEPTED, REFUSED, CappedWorker
from mammo_tf.testing import make_breast, write_mammogram

DATA = Path(__file__).parent / "data" / "hostile"
VIEW = b"\x08\x00\x00\x01SH\x08\x00R-10242 "  # CodeValue: CC
REFUSALS = {
    "tiny_elements": "more elements or items",
    "deflated_elements": "more elements or items",
    "deflated_zeros": "grows beyond 267108864 bytes",
    "view_codes": "more elements or items",
    "view_codes_open": "more elements or items",
    "character_sets": "more elements or items",
    "deep_sequences": "damaged or cut off",
    "fragments": "more than 100000 fragments",
}


@pytest.fixture(scope="module")
def worker():
    with CappedWorker("mammo_tf.hostile.targets:mammogram") as worker:
        yield worker


@pytest.mark.slow
def test_every_bomb_is_refused_or_read_in_time_and_memory(tmp_path, worker):
    outcomes = {}
    for name, content in dicom_bombs.dicom_bombs(tmp_path, np.random.default_rng(0)):
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(content)
        outcomes[name] = worker.run(path)
        path.unlink()
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.is_bad}
    for name, message in REFUSALS.items():
        assert outcomes[name].kind == REFUSED
        assert message in outcomes[name].message
    assert all(out.kind == REFUSED for name, out in outcomes.items() if name.startswith("tiles_"))
    assert sum(outcome.kind == ACCEPTED for outcome in outcomes.values()) > 10


@pytest.mark.parametrize("path", sorted(DATA.glob("*.dcm")), ids=lambda path: path.stem)
def test_kept_cases(worker, path):
    outcome = worker.run(path)
    assert not outcome.is_bad, outcome


@pytest.mark.parametrize("count", [1, 64, 65])
@pytest.mark.parametrize("is_open", [False, True])
def test_items_up_to_the_cap_are_read(tmp_path, count, is_open):
    plain = write_mammogram(tmp_path / "a.dcm", make_breast(64, 48), view=None).read_bytes()
    sequence = dicom_bombs._sequence(0x00540220, [VIEW] * count)
    if is_open:
        sequence = dicom_bombs._open_sequence(0x00540220, VIEW, count)
    path = tmp_path / "b.dcm"
    path.write_bytes(dicom_bombs._inserted(plain, sequence))
    facts = read_mammogram(path).metadata
    if count <= 64:
        assert (facts.view, facts.notes) == ("CC", ())
    else:
        assert facts.view is None
        assert facts.notes == ("ViewCodeSequence cannot be read; left out.",)


def test_a_thousand_private_elements_are_no_bomb(tmp_path):
    plain = write_mammogram(tmp_path / "a.dcm", make_breast(64, 48)).read_bytes()
    path = tmp_path / "b.dcm"
    path.write_bytes(dicom_bombs._inserted(plain, dicom_bombs._tiny_elements(20_000)))
    np.testing.assert_array_equal(read_mammogram(path).pixels, make_breast(64, 48))


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 400), (400, 1), (2, 2000), (2000, 2), (10, 4000), (4000, 10), (3, 193)]
)
def test_narrow_images(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 4096, shape).astype(np.uint16)
    path = write_mammogram(tmp_path / "a.dcm", pixels)
    np.testing.assert_array_equal(read_mammogram(path).pixels, pixels)
    path = write_mammogram(tmp_path / "a.dcm", pixels, PatientOrientation=None)
    try:
        assert read_mammogram(path).pixels.shape == shape
    except DataError as error:
        assert "chest wall cannot be found" in str(error)


@pytest.mark.parametrize(
    ("slope", "intercept"), [("1e308", "1e308"), ("1e30", "-1e30"), ("1e-30", "1"), ("2", "-7")]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_full_range_is_shown_whatever_the_slope(tmp_path, slope, intercept, photometric):
    bright = make_breast()
    pixels = bright if photometric == "MONOCHROME2" else 4095 - bright
    content = write_mammogram(tmp_path / "a.dcm", pixels, photometric=photometric).read_bytes()
    for keyword, value in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        content = dicom_bombs._with_text(content, keyword, value)
    path = tmp_path / "b.dcm"
    path.write_bytes(content)
    np.testing.assert_allclose(read_mammogram(path).display(), bright / 4095, atol=1e-6)


def test_a_negative_slope_turns_the_range(tmp_path):
    path = write_mammogram(tmp_path / "a.dcm", RescaleSlope="-1", RescaleIntercept="4095")
    np.testing.assert_allclose(read_mammogram(path).display(), 1 - make_breast() / 4095, atol=1e-6)


def test_the_worker_measures_time_memory_and_crashes(tmp_path):
    functions = tmp_path / "costly_functions.py"
    functions.write_text(
        "import os, signal, time\n"
        "def memory(path):\n    return len(bytearray(b'x') * 2**31) * 0\n"
        "def crash(path):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "def fault(path):\n    raise KeyError(path)\n"
        "def spin(path):\n    end = time.process_time() + 10.5\n"
        "    while time.process_time() < end: pass\n    return 0\n"
    )
    outcomes = {}
    for name in ("memory", "crash", "fault", "spin"):
        with CappedWorker(f"costly_functions:{name}", (tmp_path,)) as worker:
            outcomes[name] = worker.run("a")
    assert outcomes["memory"].is_large
    assert outcomes["memory"].kind == ACCEPTED
    assert (outcomes["crash"].kind, outcomes["fault"].kind) == ("killed", "error")
    assert outcomes["spin"].is_slow
    assert all(outcome.is_bad for outcome in outcomes.values())
