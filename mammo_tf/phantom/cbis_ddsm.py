"""A phantom of CBIS-DDSM: the four label files and a DICOM tree, with the archive's oddities."""

import csv
import io
import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mammo_tf.errors import UserError
from mammo_tf.files import write_bytes, write_json, write_text
from mammo_tf.parallel import imap_bounded
from mammo_tf.phantom.cbis_files import (
    LAYOUTS,
    finding_names,
    image_name,
    write_file,
)
from mammo_tf.phantom.cbis_plan import (
    TABLES,
    AbnormalityPlan,
    FilmPlan,
    PatientPlan,
    plan_patients,
)
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.phantom.exam import Breast, Exposure, draw_breasts, render_lesions
from mammo_tf.phantom.lesions import draw_lesion
from mammo_tf.phantom.marker import MARKER, claim, read_marker
from mammo_tf.phantom.ncc import SCALE_RANGE
from mammo_tf.progress import progress

VERSION = 1
"""Of the generator; raised whenever the same seed gives other pixels."""
FILM = Exposure(offset=900, gain=1800, edge_power=0.55, air_level=60, air_noise=12)
FILM_BITS = 16
OTHER_SIZE = 1.149
"""How much larger a mask of another size is; so in most of the archive's cases."""
CROP_MARGIN = 0.25
"""Of the lesion's box, on each side of the crop."""

_TYPE_COLUMNS = {
    "mass": ("mass shape", "mass margins"),
    "calc": ("calc type", "calc distribution"),
}


def write_cbis_ddsm(
    out_dir: str | os.PathLike,
    *,
    layout: str = "uid",
    num_patients: int = 16,
    seed: int = 1,
    scale: float = 0.25,
    damaged: bool = True,
    workers: int | None = None,
) -> Path:
    """Writes a phantom of the archive, or completes one that was interrupted.

    The same arguments give the same bytes, and every layout the same pixels, however many
    workers there are. A folder that already holds the complete set is left as it is.

    Args:
        out_dir: A new or empty folder, or one that this function wrote with the same arguments.
        layout: "uid", "nbia" or "idc": which of the archive's downloaders is imitated.
        num_patients: At least 12; each has one breast in two views, one has a mass that is in
            the training set and a calcification that is in the test set.
        seed: Of everything random, at least 0.
        scale: 1 for 2294×1914 pixels of 0.1 mm, 1.75 for 4014×3350, about a film's; from 0.125.
        damaged: Whether an image and a mask are missing and a mask's file is cut off.
        workers: Processes; None means one per core.

    Returns:
        The folder.

    Raises:
        UserError: If an argument is out of range, or `out_dir` holds something else.
    """
    if layout not in LAYOUTS:
        raise UserError(f"layout must be one of {', '.join(LAYOUTS)}. Received: {layout!r}.")
    if not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        raise UserError(
            f"The scale must be between {SCALE_RANGE[0]:g} and {SCALE_RANGE[1]:g}. "
            f"Received: {scale:g}."
        )
    patients = plan_patients(num_patients=num_patients, seed=seed, damaged=damaged)
    parameters = {
        "phantom": "cbis_ddsm",
        "version": VERSION,
        "layout": layout,
        "num_patients": num_patients,
        "seed": seed,
        "scale": scale,
        "damaged": damaged,
    }
    root = Path(out_dir)
    claim(root, parameters)
    if not read_marker(root).get("complete"):
        write = partial(write_patient, str(root), layout=layout, seed=seed, scale=scale)
        results = imap_bounded(write, patients, workers=workers)
        for _ in progress(results, description="Phantom", total=num_patients, unit="patient"):
            pass
        for table in TABLES:
            write_text(
                root / "{}_case_description_{}_set.csv".format(*table),
                _table(table, patients, seed),
            )
        write_json(root / MARKER, {**parameters, "complete": True})
    return root


def write_patient(root: str, patient: PatientPlan, *, layout: str, seed: int, scale: float) -> None:
    """Draws and writes the films, crops and masks of one patient.

    Args:
        root: Folder of the data set.
        patient: The patient.
        layout: One of `LAYOUTS`.
        seed: Seed of the data set.
        scale: Scale of the images.
    """
    rng = np.random.default_rng([seed, 4, patient.index])
    findings = {"L": "normal", "R": "normal"}
    breast = draw_breasts(rng, findings)[patient.laterality]
    lesions = [_draw_lesion(rng, breast, plan) for plan in patient.abnormalities]
    drawn = {}
    for number, view in enumerate(("CC", "MLO")):
        noise = np.random.default_rng([seed, 5, patient.index, number])
        pixels, masks = render_lesions(breast, view, lesions, FILM, scale=scale, rng=noise)
        drawn[view] = _as_film(pixels, patient.laterality), masks
    for film in patient.films:
        _write_film(Path(root), patient, film, *drawn[film.view], layout=layout, seed=seed)


def _draw_lesion(rng, breast: Breast, plan: AbnormalityPlan):
    malignant = plan.pathology == "MALIGNANT"
    kind = "calcifications"
    if plan.type == "mass":
        kind = "spiculated mass" if malignant else "smooth mass"
    return draw_lesion(rng, malignant=malignant, geometries=breast.geometries, kind=kind)


def _as_film(pixels: np.ndarray, laterality: str) -> np.ndarray:
    """Spreads 12 bits over 16 and adds the bright bands of a scanned film's edges."""
    film = (pixels.astype(np.uint32) << (FILM_BITS - 12)).astype(np.uint16)
    band = max(2, film.shape[1] // 120)
    outer = np.s_[:, -band:] if laterality == "L" else np.s_[:, :band]
    film[outer] = 62000
    film[: band // 2] = 58000
    return film


def _write_film(root: Path, patient, film: FilmPlan, pixels, masks, *, layout, seed) -> None:
    about = {"laterality": patient.laterality, "view": film.view}
    name = image_name(seed, patient, film)
    if film.damage != "no image":
        write_file(root / name.path(layout), name, pixels, **about)
    own = [
        (plan, mask)
        for plan, mask in zip(patient.abnormalities, masks, strict=True)
        if plan.type == film.type
    ]
    for plan, mask in own:
        crop_name, mask_name = finding_names(seed, patient, film, plan.number)
        write_file(root / crop_name.path(layout), crop_name, _crop(pixels, mask), **about)
        damage = film.damage if plan is own[-1][0] else ""
        if damage == "no mask":
            continue
        path = root / mask_name.path(layout)
        write_file(path, mask_name, _mask_pixels(mask, film), **about)
        if damage == "cut off mask":
            content = path.read_bytes()
            write_bytes(path, content[: len(content) // 2])


def _crop(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    margins = [int(CROP_MARGIN * (span[-1] - span[0] + 1)) for span in (rows, columns)]
    top, left = max(rows[0] - margins[0], 0), max(columns[0] - margins[1], 0)
    crop = pixels[top : rows[-1] + margins[0] + 1, left : columns[-1] + margins[1] + 1]
    return np.ascontiguousarray(crop)


def _mask_pixels(mask: np.ndarray, film: FilmPlan) -> np.ndarray:
    pixels = mask.astype(np.uint8) * 255
    if film.oddity != "other size":
        return pixels
    height, width = (round(OTHER_SIZE * side) for side in mask.shape)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


def _table(table: tuple[str, str], patients: tuple[PatientPlan, ...], seed: int) -> str:
    """A label file, byte for byte as the archive writes them: a newline ends one path of a row."""
    kind = table[0]
    density = "breast_density" if kind == "mass" else "breast density"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(
        [
            *("patient_id", density, "left or right breast", "image view", "abnormality id"),
            *("abnormality type", *_TYPE_COLUMNS[kind], "assessment", "pathology", "subtlety"),
            *("image file path", "cropped image file path", "ROI mask file path"),
        ]
    )
    for patient in patients:
        for film in patient.films:
            if (film.type, film.split) == table:
                for plan in patient.abnormalities:
                    if plan.type == kind:
                        writer.writerow(_row(patient, film, plan, seed))
    return text.getvalue()


def _row(patient: PatientPlan, film: FilmPlan, plan: AbnormalityPlan, seed: int) -> list:
    crop, mask = finding_names(seed, patient, film, plan.number)
    if film.oddity == "swapped":
        crop, mask = mask, crop
    newline = {"mass": ("", "\n"), "calc": ("\n", "")}[film.type]
    return [
        *(patient.patient_id, patient.density, {"L": "LEFT", "R": "RIGHT"}[patient.laterality]),
        *(film.view, plan.number, {"mass": "mass", "calc": "calcification"}[film.type]),
        *(*plan.texts, plan.assessment, plan.pathology, plan.subtlety),
        image_name(seed, patient, film).table_path,
        crop.table_path + newline[0],
        mask.table_path + newline[1],
    ]


def write_phantom(folder: str | os.PathLike, config: PhantomConfig) -> None:
    """Writes the set that `config` describes, a patient for each study; see `write_cbis_ddsm`.

    Every film has a finding, half of them cancers: the fractions of `config` do not count.
    """
    write_cbis_ddsm(folder, num_patients=config.num_studies, seed=config.seed, scale=config.scale)
