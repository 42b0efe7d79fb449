"""Scorers: what they are given, what of their answers counts, and that every case is asked once."""

import dataclasses
import sys

import numpy as np
import pytest
from scipy.special import expit, softmax

from mammo_tf.errors import UserError
from mammo_tf.pipelines import records
from mammo_tf.pipelines.catalog import Catalog, read_catalog
from mammo_tf.record import ImageInfo
from mammo_tf.scoring.answer import pick_class, read_answer, to_probability
from mammo_tf.scoring.cases import Case, list_cases
from mammo_tf.scoring.config import ScorerConfig
from mammo_tf.scoring.load import load_scorer
from mammo_tf.scoring.network import read_input_shape
from mammo_tf.scoring.run import gather, score_cases, scores_key
from mammo_tf.scoring.store import ScoreStore
from mammo_tf.scoring.views import ScoredView, make_view

FUNCTION = "some.module:score"


def info(image_id="a", **known):
    base = {"image_id": image_id, "patient_id": image_id, "exam_id": image_id}
    return ImageInfo(**base | {"bits_stored": 12, "laterality": "R", "view": "CC"} | known)


def config(model=FUNCTION, **settings):
    return ScorerConfig(model=model, **settings)


PIXELS = np.array([[0, 4095, 5000], [1000, 2000, 3000]], np.uint16)  # 5000 is above 12 bits


def test_pixels_are_the_stored_values_within_their_bits():
    made = make_view(PIXELS, info(pixel_spacing_mm=(0.07, 0.08)), config())
    assert made.pixels.dtype == np.uint16
    assert made.pixels.tolist() == [[0, 4095, 4095], [1000, 2000, 3000]]
    assert (made.view, made.laterality, made.bits_stored) == ("CC", "R", 12)
    assert made.pixel_spacing_mm == (0.07, 0.08)
    assert make_view(PIXELS, info(), config()).pixel_spacing_mm is None


def test_display_is_zero_to_one_as_the_reader_shows_a_file_without_window():
    from mammo_tf.dicom.display import DisplayTransform

    made = make_view(PIXELS, info(), config(input="display")).pixels
    table = DisplayTransform(bits_stored=12, inverted=False).table()
    np.testing.assert_allclose(made, table[np.minimum(PIXELS, 4095)], rtol=1e-6)
    eight = make_view(PIXELS, info(), config(input="255")).pixels
    np.testing.assert_allclose(eight, made * 255, rtol=1e-6)


def test_a_view_tells_no_label_and_no_patient():
    fields = {field.name for field in dataclasses.fields(ScoredView)}
    known = {"pixels", "view", "laterality", "pixel_spacing_mm", "bits_stored", "vendor"}
    assert fields == known


def test_standardised_is_as_the_feed_gives_it():
    from mammo_tf.pipelines.feed import standardise

    made = make_view(PIXELS, info(bits_stored=16), config(input="standardised")).pixels
    ours = np.asarray(standardise(PIXELS[None, ..., None].astype(np.float32)))[0, ..., 0]
    np.testing.assert_allclose(made, ours, rtol=1e-4)
    flat = make_view(np.full((2, 2), 7, np.uint16), info(), config(input="standardised"))
    assert (flat.pixels == 0).all()


def test_mirroring_is_for_right_breasts_and_only_where_asked():
    asked = config(mirror=True)
    assert make_view(PIXELS, info(), asked).pixels[1].tolist() == [3000, 2000, 1000]
    left = make_view(PIXELS, info(laterality="L"), asked)
    assert left.pixels[1].tolist() == [1000, 2000, 3000]


def test_resizing_pads_with_the_image_s_own_dark_or_stretches():
    image = np.full((2, 4), 1000, np.uint16)
    image[:, 3] = 3
    padded = make_view(image, info(laterality="L"), config(), (2, 2)).pixels
    assert padded.shape == (2, 2) and padded[0, 0] == 1000  # 2×4 fits as 1×2, the rest is air
    assert (padded[1] < 600).all()
    stretched = make_view(image, info(laterality="L"), config(fit="stretch"), (2, 2)).pixels
    # Between whole grey levels: the triangle filter of width 4 about the middle of each half.
    assert stretched[0].tolist() == stretched[1].tolist()
    assert stretched[0, 0] > stretched[0, 1] and stretched[0, 1] % 1 != 0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        (0.25, 0.25),
        (np.float32([[0.5]]), 0.5),
        ([[1, 2, 3, 4, 0.3], [1, 2, 3, 4, 0.7]], 0.7),
        (np.zeros((0, 5)), 0.0),
        ([], 0.0),
    ],
)
def test_an_answer_is_a_number_or_boxes_of_which_the_surest_counts(answer, score):
    assert read_answer(answer, "x") == pytest.approx(score)


@pytest.mark.parametrize("answer", [None, "high", [0.1, 0.9], np.zeros((2, 4)), object()])
def test_any_other_answer_is_refused(answer):
    with pytest.raises(UserError, match=r"mine: expected one probability, or boxes as \(n, 5\)"):
        read_answer(answer, "mine")


def test_a_score_is_finite_and_a_probability_unless_it_is_a_logit():
    assert to_probability(2.0, "logit", "x") == pytest.approx(expit(2.0))
    assert to_probability(-800.0, "logit", "x") == 0.0
    for value in (-0.1, 1.5):
        with pytest.raises(UserError, match=r"scorer\.output=logit"):
            to_probability(value, "probability", "x")
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match="must be finite"):
            to_probability(value, "logit", "x")


def test_the_positive_class_of_several():
    outputs = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
    picked = pick_class(outputs, 1, "logit", "x")
    scores = [to_probability(value, "logit", "x") for value in picked]
    np.testing.assert_allclose(scores, softmax(outputs, axis=1)[:, 1])
    assert pick_class(outputs, 2, "probability", "x").tolist() == [0.5, 3.0]
    assert pick_class(outputs[:, :1], None, "logit", "x").tolist() == [1.0, 0.0]
    for index in (None, 3):
        with pytest.raises(UserError, match="gives 3 values"):
            pick_class(outputs, index, "probability", "x")


def test_the_axes_of_a_network_s_input():
    keras = config("m.keras")
    assert read_input_shape(keras, (None, 64, 48, 1)) == ((64, 48), 1, True)
    assert read_input_shape(keras, ("batch", 3, 64, 48)) == ((64, 48), 3, False)
    free = config("m.onnx", input_shape=(32, 24), layout="nchw")
    assert read_input_shape(free, (1, 1, "h", "w")) == ((32, 24), 1, False)
    for shape, text in (
        ((None, 64, 48), "four axes"),
        ((None, None, None, None), "layout"),
        ((None, 3, 64, 1), "layout"),
        ((None, None, None, 1), "input_shape=HEIGHT,WIDTH"),
    ):
        with pytest.raises(UserError, match=text):
            read_input_shape(keras, shape)
    with pytest.raises(UserError, match="64×48"):
        read_input_shape(config("m.keras", input_shape=(64, 64)), (None, 64, 48, 1))
    with pytest.raises(UserError, match="1 or 3 channels"):
        read_input_shape(config("m.keras", layout="nhwc"), (None, 64, 48, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "model.pkl"},
        {"model": "a:b:c"},
        {"unit": "patient"},
        {"output_index": 1},
        {"layout": "nchw"},
        {"combine": "max"},
        {"input_shape": (0, 5)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(UserError):
        config(**settings)


# Keras and ONNX


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory):
    """Non-square, three channels, so that swapped axes show."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 4, 3))
    x = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, x)
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    return path, model


def decoded(seed, laterality="L", shape=(6, 4)):
    pixels = np.random.default_rng(seed).integers(0, 4096, shape).astype(np.uint16)
    return pixels, info(laterality=laterality)


def test_a_keras_model_is_given_standardised_images(keras_file):
    path, model = keras_file
    scorer = load_scorer(config(str(path)))
    cases = [decoded(0), decoded(1)]
    batch = np.stack([(p - p.mean()) / p.std() for p, _ in cases]).astype(np.float32)
    expected = model.predict(np.repeat(batch[..., None], 3, axis=-1), verbose=0)[:, 0]
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)
    assert scorer.score(cases, "x") == pytest.approx(expected.mean(), abs=1e-5)
    highest = load_scorer(config(str(path), combine="max")).score(cases, "x")
    assert highest == pytest.approx(expected.max(), abs=1e-5)


def test_this_project_s_own_networks_load_and_their_logits_become_probabilities(tmp_path):
    from mammo_tf.models.registry import ModelConfig, build_model

    model = build_model(ModelConfig(name="cnn3"), image_shape=(80, 64, 1))
    model.save(tmp_path / "own.keras")
    scorer = load_scorer(config(str(tmp_path / "own.keras"), output="logit"))
    pixels, known = decoded(3, shape=(80, 64))
    batch = ((pixels - pixels.mean()) / pixels.std()).astype(np.float32)[None, ..., None]
    logit = float(model.predict(batch, verbose=0)[0, 0])
    assert scorer.score([(pixels, known)], "x") == pytest.approx(expit(logit), abs=1e-5)


def test_a_keras_file_that_brings_code_is_not_run(tmp_path):
    import keras

    path = tmp_path / "lambda.keras"
    inputs = keras.Input((2, 2, 1))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(path)
    with pytest.raises(UserError, match="safe mode"):
        load_scorer(config(str(path)))
    (tmp_path / "no.keras").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_scorer(config(str(tmp_path / "no.keras")))
    with pytest.raises(UserError, match="no such file"):
        load_scorer(config(str(tmp_path / "absent.keras")))


def test_a_keras_model_must_give_one_score_an_image(tmp_path):
    import keras

    inputs = keras.Input((2, 2, 1))
    keras.Model(inputs, inputs).save(tmp_path / "image.keras")
    scorer = load_scorer(config(str(tmp_path / "image.keras")))
    with pytest.raises(UserError, match=r"expected \(1, K\) values for 1 images"):
        scorer.score([decoded(0, shape=(2, 2))], "x")


def onnx_file(folder, batch):
    """The second channel's mean minus the first pixel's, through a sigmoid, NCHW 3×6×4."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: ONNX files are not tested")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: not tested")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(5).normal(size=(72, 2)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["y"], axis=1),
        ],
        "g",
        [helper.make_tensor_value_info("x", kind, [batch, 3, 6, 4])],
        [helper.make_tensor_value_info("y", kind, [batch, 2])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx", weights


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_onnx_file_is_given_what_a_keras_file_is(tmp_path, batch):
    path, weights = onnx_file(tmp_path, batch)
    scorer = load_scorer(config(str(path), output_index=1, input="display"))
    cases = [decoded(0), decoded(1)]
    inputs = np.stack([np.repeat(p[None] / 4095, 3, axis=0) for p, _ in cases])
    expected = softmax(inputs.reshape(2, -1) @ weights, axis=1)[:, 1]
    assert scorer.score(cases, "x") == pytest.approx(expected.mean(), abs=1e-5)
    with pytest.raises(UserError, match="output_index"):
        load_scorer(config(str(path))).score(cases, "x")


def test_onnx_says_what_to_install_and_refuses_other_files(tmp_path, monkeypatch):
    path, _ = onnx_file(tmp_path, 1)
    path.write_bytes(b"no graph")
    with pytest.raises(UserError, match="no usable ONNX file"):
        load_scorer(config(str(path)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"mammo-tf\[onnx\]"):
        load_scorer(config(str(path)))


# A function


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of a new name into the current folder, and returns that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_a_function_is_given_an_image_or_a_unit_s_images(module):
    name = module(
        "scorer_units",
        "def one(i): return i.pixels.mean() / 4095 if i.view == 'CC' "
        "else 0\ndef many(images): return len(images) / 10\n",
    )
    pixels, known = decoded(0)
    score = load_scorer(config(f"{name}:one")).score([(pixels, known)], "x")
    assert score == pytest.approx(pixels.mean() / 4095)
    pair = load_scorer(config(f"{name}:many", unit="breast"))
    assert pair.score([decoded(0), decoded(1)], "x") == 0.2


def test_a_failing_function_is_one_line_and_its_traceback_only_where_asked(module, capsys):
    text = (
        "def fails(image):\n    return {}['weights']\ndef leaves(image):\n    raise SystemExit(0)\n"
    )
    name = module("scorer_fails", text)
    with pytest.raises(UserError, match=r"case 7: KeyError: 'weights' \(scorer_fails.py, line 2\)"):
        load_scorer(config(f"{name}:fails")).score([decoded(0)], "case 7")
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(UserError, match="SystemExit"):
        load_scorer(config(f"{name}:leaves")).score([decoded(0)], "x")
    shown = load_scorer(config(f"{name}:fails"), show_traceback=True)
    with pytest.raises(UserError):
        shown.score([decoded(0)], "x")
    assert "Traceback" in capsys.readouterr().err


def test_a_function_that_is_not_there_is_said(module):
    name = module("scorer_broken", "import no_such_thing_at_all\n")
    with pytest.raises(UserError, match="no_such_thing_at_all"):
        load_scorer(config(f"{name}:score"))
    with pytest.raises(UserError, match="No module named 'scorer_absent'"):
        load_scorer(config("scorer_absent:score"))
    name = module("scorer_empty", "score = 3\n")
    with pytest.raises(UserError, match="no function 'score'"):
        load_scorer(config(f"{name}:score"))


# Cases


def exam(patient, label="normal", views=("CC", "MLO"), sides="LR", **known):
    return [
        info(
            f"{patient}-{side}{view}",
            patient_id=patient,
            exam_id=patient,
            laterality=side,
            view=view,
            label=label,
            breast_label="malignant" if label == "malignant" and side == "L" else "normal",
            exam_label=label,
            **known,
        )
        for side in sides
        for view in views
    ]


def catalog(*exams, **known):
    images = sorted((i for images in exams for i in images), key=lambda image: image.image_id)
    return Catalog("toy", tuple(images), "source", **known)


def test_cases_of_each_unit():
    known = catalog(
        exam("a", "malignant"), exam("b"), exam("c", views=("MLO",)), exam("d", "unknown")
    )
    images, left_out = list_cases(known, "image")
    assert [case.case_id for case in images if case.label] == ["a-LCC", "a-LMLO", "a-RCC", "a-RMLO"]
    assert len(images) == 10 and left_out.startswith("4 of 14 are left out")
    breasts, left_out = list_cases(known, "breast")
    assert [(c.case_id, c.label) for c in breasts][:2] == [("a-left", 1), ("a-right", 0)]
    assert breasts[1].images == ("a-RCC", "a-RMLO") and breasts[1].group == "a"
    assert left_out.startswith("2 of 8")
    studies, left_out = list_cases(known, "study")
    assert [(c.case_id, c.label) for c in studies] == [("a", 1), ("b", 0)]
    assert studies[0].images == ("a-LCC", "a-LMLO", "a-RCC", "a-RMLO")
    assert left_out.startswith("2 of 4")


def test_the_test_part_alone_where_asked():
    known = catalog(
        exam("a", "malignant", split="test"),
        exam("b", split="test"),
        exam("c", split="train"),
        has_official_splits=True,
    )
    cases, _ = list_cases(known, "study", official=True)
    assert [case.case_id for case in cases] == ["a", "b"]
    assert len(list_cases(known, "study")[0]) == 3
    with pytest.raises(UserError, match="test part"):
        list_cases(catalog(exam("a", "malignant"), exam("b")), "image", official=True)
    with pytest.raises(UserError, match="0 malignant of 4"):
        list_cases(catalog(exam("a")), "image")


# Streaming and keeping


def as_records(names):
    return [{"image_id": name.encode(), "image": name.encode() * 4} for name in names]


@pytest.mark.parametrize(("budget", "num_passes"), [(0, 3), (32, 2), (10_000, 1)])
def test_views_far_apart_come_together_in_any_memory(monkeypatch, budget, num_passes):
    passes = []

    def iterate(_builder):
        passes.append(1)
        return iter(as_records(["a1", "b2", "c1", "b1", "x9", "c2", "a2"]))

    monkeypatch.setattr(records, "iterate_records", iterate)
    cases = [Case(case_id=n, images=(f"{n}1", f"{n}2"), group=n, label=0) for n in "abc"]
    found = {case.case_id: contents for case, contents in gather(cases, None, budget)}
    assert found == {n: [f"{n}1".encode() * 4, f"{n}2".encode() * 4] for n in "abc"}
    assert len(passes) == num_passes


def test_kept_scores_are_exact_and_damage_is_scored_anew(tmp_path, capsys):
    with ScoreStore(tmp_path, "key") as store:
        store.add("a", 1, 1 / 3)
        store.add("a", 100, 0.25)
        store.add("b", 1, 1e-17)
    with ScoreStore(tmp_path, "key") as store:
        assert [store.get("a", 1), store.get("a", 100), store.get("b", 1)] == [1 / 3, 0.25, 1e-17]
        assert store.get("b", 100) is None
    text = store.path.read_text()
    store.path.write_text(text.replace("0.25", "0.75")[:-5])  # changed, and killed in the last line
    with ScoreStore(tmp_path, "key") as store:
        assert (store.get("a", 1), store.get("a", 100), store.get("b", 1)) == (1 / 3, None, None)
        assert "2 lines" in capsys.readouterr().err
        store.add("a", 100, 0.5)
    with ScoreStore(tmp_path, "key") as store:
        assert store.get("a", 100) == 0.5
    assert capsys.readouterr().err == ""


class Recorder:
    """A scorer that remembers; its score follows from every pixel."""

    fingerprint = "recorder"
    config = ScorerConfig(model=FUNCTION, unit="breast")

    def __init__(self, fail_after=None):
        self.asked = []
        self.fail_after = fail_after

    def score(self, decoded, what):
        if len(self.asked) == self.fail_after:
            raise UserError("stopped")
        self.asked.append(what)
        return self.expected([pixels for pixels, _ in decoded])

    @staticmethod
    def expected(images):
        return float(images[0].mean() / 255 * 0.9 + images[1].std() / 2550)


@pytest.fixture(scope="module")
def toy(build_records):
    rng = np.random.default_rng(0)
    images = []
    for known in (*exam("a", "malignant", sides="L"), *exam("b", sides="L"), *exam("c", sides="L")):
        pixels = rng.integers(0, 256, (40, 30)).astype(np.uint8)
        names = ("image_id", "patient_id", "laterality", "view", "breast_label")
        images.append((pixels, {name: getattr(known, name) for name in names}))
    return build_records(images, cratios=(1, 20))


def test_every_case_is_asked_once_at_every_ratio_though_the_run_is_stopped(toy, tmp_path):
    known = read_catalog(toy)
    cases, _ = list_cases(known, "breast")
    arguments = (cases, known, toy, (1, 20))
    first = Recorder(fail_after=3)
    key = scores_key(first, known)
    with ScoreStore(tmp_path, key) as store, pytest.raises(UserError, match="stopped"):
        score_cases(first, *arguments, store)
    second = Recorder()
    with ScoreStore(tmp_path, key) as store:
        folds = score_cases(second, *arguments, store)
    names = {f"{patient}-left at CR {cr}" for patient in "abc" for cr in (1, 20)}
    assert sorted(first.asked + second.asked) == sorted(names)

    ladders = {
        record["image_id"].decode(): records.read_ladder(record["image"], "x")
        for record in records.iterate_records(toy)
    }
    for cratio, fold in folds.items():
        assert fold.labels.tolist() == [1, 0, 0]
        assert fold.groups.tolist() == ["a", "b", "c"]
        expected = [
            Recorder.expected(
                [ladders[f"{patient}-L{view}"].decode(cratio) for view in ("CC", "MLO")]
            )
            for patient in "abc"
        ]
        np.testing.assert_array_equal(fold.scores, expected)
    assert (folds[1].scores != folds[20].scores).all()


def test_another_scorer_or_another_question_has_other_scores():
    known = catalog(exam("a"))
    keys = {scores_key(Recorder(), known)}
    for changes in (
        {"fingerprint": "other"},
        {"config": ScorerConfig(model=FUNCTION, unit="breast", mirror=True)},
    ):
        other = Recorder()
        for name, value in changes.items():
            setattr(other, name, value)
        keys.add(scores_key(other, known))
    keys.add(scores_key(Recorder(), Catalog("toy", known.images, "another source")))
    assert len(keys) == 4
