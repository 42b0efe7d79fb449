"""View, laterality, the rest of the allow-list, and that nothing identifying gets out."""

import copy
import dataclasses
import hashlib
import hmac
import logging
import pickle
import traceback

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from mammo_tf.dicom import patient_key, read_mammogram
from mammo_tf.errors import DataError, UserError
from mammo_tf.testing import make_breast, write_mammogram


def facts(tmp_path, *, salt=None, read_view=None, read_laterality=None, **options):
    path = write_mammogram(tmp_path / "a.dcm", **options)
    return read_mammogram(path, salt=salt, view=read_view, laterality=read_laterality).metadata


def coded_view(code, *modifiers, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code, scheme
    item.ViewModifierCodeSequence = []
    for modifier in modifiers:
        sub_item = Dataset()
        sub_item.CodeValue, sub_item.CodingSchemeDesignator = modifier, scheme
        item.ViewModifierCodeSequence.append(sub_item)
    return [item]


# PS3.16 CID 4014: SNOMED CT, and the SNOMED RT codes of files written before 2017.
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("399162004", "CC"),
        ("R-10242", "CC"),
        ("399368009", "MLO"),
        ("R-10226", "MLO"),
        ("399260004", "ML"),
        ("R-10224", "ML"),
        ("399352003", "LM"),
        ("399099002", "LMO"),
        ("399192008", "XCCL"),
    ],
)
def test_view_from_its_code(tmp_path, code, expected):
    assert facts(tmp_path, view=None, ViewCodeSequence=coded_view(code)).view == expected


@pytest.mark.parametrize("view", ["CC", "MLO", "ML", "LM", "LMO", "XCCL", "XCCM"])
def test_view_from_view_position(tmp_path, view):
    assert facts(tmp_path, view=view).view == view


@pytest.mark.parametrize(
    ("description", "laterality", "view"),
    [
        ("L CC", "L", "CC"),
        ("R-MLO", "R", "MLO"),
        ("LMLO", "L", "MLO"),
        ("RCC", "R", "CC"),
        ("Left MLO view", "L", "MLO"),
        ("R ML", "R", "ML"),
        ("LML", "L", "ML"),
        ("RLM", "R", "LM"),
        ("LMO R", "R", "LMO"),
        ("L_XCCL", "L", "XCCL"),
    ],
)
def test_both_from_the_series_description(tmp_path, description, laterality, view):
    found = facts(tmp_path, laterality=None, view=None, SeriesDescription=description)
    assert (found.laterality, found.view) == (laterality, view)


@pytest.mark.parametrize("description", ["RCC LCC", "Mammogram", "Right and left", "CC MLO"])
def test_an_ambiguous_description_says_nothing(tmp_path, description):
    found = facts(tmp_path, laterality=None, view="MLO", SeriesDescription=description)
    assert found.laterality is None


def test_view_and_side_where_cbis_ddsm_has_them(tmp_path):
    path = write_mammogram(
        tmp_path / "a.dcm",
        laterality=None,
        view=None,
        PatientOrientation="CC",
        BodyPartExamined="LEFT BREAST",
        SeriesDescription="full mammogram images",
    )
    path.write_bytes(path.read_bytes().replace(b"LEFT BREAST", b"Left Breast"))  # no valid CS
    found = read_mammogram(path).metadata
    assert (found.view, found.laterality, found.orientation_source) == ("CC", "L", "pixels")


def test_laterality_of_the_series(tmp_path):
    assert facts(tmp_path, laterality=None, Laterality="R").laterality == "R"


def test_the_table_fills_in_what_the_file_lacks(tmp_path):
    found = facts(tmp_path, laterality=None, view=None, read_view="CC", read_laterality="L")
    assert (found.view, found.laterality) == ("CC", "L")
    silent = facts(tmp_path, laterality=None, view=None)
    assert (silent.view, silent.laterality) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"view": "ML", "read_view": "MLO"},
            "a.dcm: the table says view MLO, the file says ML; correct the table",
        ),
        (
            {"laterality": "R", "read_laterality": "L"},
            "a.dcm: the table says laterality L, the file says R; correct the table",
        ),
        (
            {"view": "CC", "ViewCodeSequence": coded_view("399368009")},
            r"a.dcm: the file contradicts itself about the view \(CC and MLO\)",
        ),
        ({"laterality": "L", "Laterality": "R"}, "contradicts itself about the laterality"),
        ({"laterality": "B"}, "both breasts in one image"),
    ],
)
def test_contradictions_are_errors(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        facts(tmp_path, **options)


@pytest.mark.parametrize("option", [{"read_view": "mlo"}, {"read_laterality": "left"}])
def test_bad_arguments(tmp_path, option):
    with pytest.raises(UserError, match=r"must be .* Received: "):
        facts(tmp_path, **option)


def test_modifiers_and_implants(tmp_path):
    sequence = coded_view("399162004", "399209000", "399163009", "12345")
    found = facts(tmp_path, view="CC", ViewCodeSequence=sequence, BreastImplantPresent="YES")
    assert found.view_modifiers == ("ID", "M", "OTHER")
    assert found.implant_displaced
    assert found.implant_present is True
    plain = facts(tmp_path, BreastImplantPresent="NO")
    assert (plain.implant_present, plain.implant_displaced) == (False, False)
    assert facts(tmp_path).implant_present is None
    for description in ("L CC ID", "LCCID", "L MLO Eklund"):
        assert facts(tmp_path, view=None, SeriesDescription=description).implant_displaced
    assert not facts(tmp_path, SeriesDescription="Study ID").implant_displaced


@pytest.mark.parametrize(
    ("age", "expected"),
    [("075Y", 75), ("018M", 1), ("089Y", 89), ("090Y", 90), ("102Y", 90), ("", None)],
)
def test_age_in_years_up_to_ninety(tmp_path, age, expected):
    assert facts(tmp_path, PatientAge=age).age_years == expected


def test_pixel_spacing(tmp_path):
    both = {"ImagerPixelSpacing": [0.07, 0.08], "PixelSpacing": [0.065, 0.066]}
    assert facts(tmp_path, **both).pixel_spacing_mm == (0.065, 0.066)
    both.pop("PixelSpacing")
    assert facts(tmp_path, **both).pixel_spacing_mm == (0.07, 0.08)
    assert facts(tmp_path).pixel_spacing_mm is None


@pytest.mark.parametrize("spacing", [[0, 0], [0.07, 0], [0.07], [-0.07, -0.07], [70, 70]])
def test_a_spacing_that_no_mammogram_has_is_left_out_with_a_note(tmp_path, spacing):
    found = facts(tmp_path, PixelSpacing=spacing)
    assert found.pixel_spacing_mm is None
    assert found.notes == ("PixelSpacing unusable; left out.",)
    # The detector's is taken instead where it is one.
    found = facts(tmp_path, PixelSpacing=spacing, ImagerPixelSpacing=[0.07, 0.08])
    assert found.pixel_spacing_mm == (0.07, 0.08)


def test_a_decimal_comma_is_read(tmp_path):
    path = write_mammogram(
        tmp_path / "a.dcm", ImagerPixelSpacing=[0.071, 0.082], RescaleSlope=2.5, RescaleIntercept=0
    )
    content = path.read_bytes().replace(b"0.071\\0.082", b"0,071\\0,082").replace(b"2.5", b"2,5")
    path.write_bytes(content)
    mammogram = read_mammogram(path)
    assert mammogram.metadata.pixel_spacing_mm == (0.071, 0.082)
    assert mammogram.display_transform.slope == 2.5


@pytest.mark.parametrize("vr", ["LO", "UT", "FD", "OB", "UN", "ST"])
def test_an_odd_value_representation_of_the_spacing(tmp_path, vr):
    path = write_mammogram(tmp_path / "a.dcm", ImagerPixelSpacing=None)
    dataset = pydicom.dcmread(path)
    text = "0.07\\0.08"
    value = {"FD": [0.07, 0.08], "OB": text.encode() + b" ", "UN": text.encode() + b" "}
    dataset.add_new("ImagerPixelSpacing", vr, value.get(vr, text))
    dataset.save_as(path)
    assert read_mammogram(path).metadata.pixel_spacing_mm == (0.07, 0.08)


@pytest.mark.parametrize(
    "keyword",
    ["RescaleSlope", "WindowWidth", "PixelPaddingValue", "VOILUTSequence", "ViewCodeSequence"],
)
def test_an_element_of_nonsense_that_is_not_needed_is_left_out(tmp_path, keyword):
    path = write_mammogram(tmp_path / "a.dcm", **{keyword: None})
    dataset = pydicom.dcmread(path)
    dataset.add_new(keyword, "OB", b"\xff\xfe\xfd\xfc\xfb\xfa")
    dataset.save_as(path)
    mammogram = read_mammogram(path)
    np.testing.assert_array_equal(mammogram.pixels, make_breast())
    assert [note for note in mammogram.metadata.notes if keyword in note]


def test_device_and_compression(tmp_path):
    found = facts(tmp_path, ManufacturerModelName=" Model 7 ", LossyImageCompression="01")
    assert (found.vendor, found.model, found.lossy) == ("Test vendor", "Model 7", True)


def test_patient_key_is_the_shortened_hmac(tmp_path):
    expected = hmac.new(b"pepper", b"12345", hashlib.sha256).hexdigest()[:16]
    assert patient_key("12345", "pepper") == expected
    assert patient_key(" 12345 ", b"pepper") == expected
    assert facts(tmp_path, salt="pepper", PatientID="12345").patient_key == expected
    assert facts(tmp_path, PatientID="12345").patient_key == ""
    assert facts(tmp_path, salt="pepper", PatientID=None).patient_key == ""
    assert patient_key("12345", "other") != expected
    with pytest.raises(UserError, match="salt must not be empty"):
        patient_key("12345", "")


def test_an_empty_salt_is_an_error_not_an_empty_key(tmp_path):
    with pytest.raises(UserError, match="salt must not be empty"):
        facts(tmp_path, salt="")


SECRET = "ZQXSECRET"
IDENTIFYING = {
    "PatientName": f"{SECRET}^Name",
    "PatientID": f"{SECRET}id",
    "PatientBirthName": f"{SECRET}^Birth",
    "PatientAddress": f"{SECRET} Street",
    "PatientTelephoneNumbers": f"{SECRET}",
    "PatientComments": f"{SECRET}",
    "OtherPatientIDs": f"{SECRET}",
    "PatientMotherBirthName": f"{SECRET}",
    "AccessionNumber": f"{SECRET}",
    "InstitutionName": f"{SECRET} hospital",
    "InstitutionAddress": f"{SECRET}",
    "InstitutionalDepartmentName": f"{SECRET}",
    "ReferringPhysicianName": f"{SECRET}^Dr",
    "PerformingPhysicianName": f"{SECRET}^Dr",
    "OperatorsName": f"{SECRET}^Op",
    "StationName": f"{SECRET}",
    "DeviceSerialNumber": f"{SECRET}",
    "StudyDescription": f"{SECRET}",
    "SeriesDescription": f"{SECRET} R MLO",
    "StudyID": f"{SECRET}",
    "ImageComments": f"{SECRET}",
    "ProtocolName": f"{SECRET}",
    "DerivationDescription": f"{SECRET}",
    "RequestedProcedureDescription": f"{SECRET}",
    "BodyPartExamined": f"BREAST{SECRET}",
    "StudyInstanceUID": "1.2.3.987654321",
    "SeriesInstanceUID": "1.2.3.987654321.1",
    "StudyDate": "19870605",
    "PatientBirthDate": "19470605",
}
TRACES = (SECRET[:8], SECRET.lower(), "987654321", "19870605", "19470605")


def assert_no_trace(text):
    assert not [trace for trace in TRACES if trace in text]


def test_nothing_identifying_leaves_the_module(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    mapped = coded_view("399368009", SECRET)
    mapped[0].CodeMeaning = SECRET
    path = write_mammogram(
        tmp_path / "a.dcm",
        view=None,
        ViewCodeSequence=mapped,
        SOPClassUID="1.2.3.77",
        **IDENTIFYING,
    )
    # No valid UID: pydicom's warning, which it also logs, would quote it.
    path.write_bytes(path.read_bytes().replace(b"1.2.3.77", SECRET[:8].encode()))
    mammogram = read_mammogram(path, salt="salt")
    assert mammogram.metadata.view == "MLO"
    for text in (
        repr(mammogram),
        repr(dataclasses.asdict(mammogram)),
        repr(dataclasses.asdict(mammogram.metadata)),
        str(copy.copy(mammogram.metadata)),
    ):
        assert_no_trace(text)
    assert_no_trace(pickle.dumps(mammogram).decode("latin-1"))
    assert_no_trace(caplog.text)


def test_free_text_in_places_for_codes_does_not_leave_either(tmp_path):
    found = facts(
        tmp_path,
        view=None,
        salt="salt",
        PresentationIntentType=SECRET,
        BreastImplantPresent=SECRET,
        PatientAge="999Y",
        LossyImageCompression=SECRET,
        FieldOfViewHorizontalFlip=SECRET,
        PatientID=SECRET,
    )
    assert_no_trace(repr(found))


@pytest.mark.parametrize(
    "wrong",
    [
        {"Modality": f"{SECRET}"},
        {"PhotometricInterpretation": SECRET},
        {"NumberOfFrames": 3},
        {"laterality": "B"},
        {"Rows": 9},
        {"PatientOrientation": None},
        {"BitsStored": 40},
        {"PresentationIntentType": "FOR PROCESSING"},
        {"ViewCodeSequence": coded_view("399162004")},
    ],
)
def test_error_messages_and_tracebacks_name_nobody(tmp_path, caplog, wrong):
    caplog.set_level(logging.DEBUG)
    elements = {**IDENTIFYING, **wrong}
    path = write_mammogram(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16), **elements)
    with pytest.raises(DataError) as caught:
        read_mammogram(path, salt="salt")
    message = str(caught.value)
    assert message.startswith("a.dcm: ")
    assert "\n" not in message
    assert_no_trace(message)
    assert_no_trace("".join(traceback.format_exception(caught.value)))
    assert_no_trace(caplog.text)


def test_notes_and_what_display_refuses_name_nobody(tmp_path):
    elements = {**IDENTIFYING, "VOILUTFunction": SECRET, "WindowCenter": 1, "WindowWidth": 1}
    path = write_mammogram(tmp_path / "a.dcm", **elements)
    dataset = pydicom.dcmread(path)
    dataset.add_new("PixelSpacing", "LO", SECRET)
    dataset.save_as(path)
    mammogram = read_mammogram(path, salt="salt")
    assert len(mammogram.metadata.notes) == 2
    assert_no_trace(repr(mammogram))
    with pytest.raises(DataError) as caught:
        mammogram.display()
    assert_no_trace(str(caught.value))
