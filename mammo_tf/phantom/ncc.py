"""A phantom screening set in the `ncc` layout: studies.csv, DICOM studies, masks."""

import csv
import hashlib
import io
import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mammo_tf.errors import UserError
from mammo_tf.files import atomic_path, write_json, write_text
from mammo_tf.parallel import imap_bounded
from mammo_tf.phantom.anatomy import VIEWS
from mammo_tf.phantom.config import PhantomConfig
from mammo_tf.phantom.dicom_writer import write_view
from mammo_tf.phantom.exam import draw_breasts, render_view
from mammo_tf.phantom.marker import MARKER, claim, read_marker
from mammo_tf.phantom.plan import LATERALITIES, StudyPlan, plan_studies
from mammo_tf.phantom.vendors import VENDOR_TABLE
from mammo_tf.progress import progress

VERSION = 2
"""Of the generator; raised whenever the same seed gives other pixels."""
SCALE_RANGE = (0.125, 1.75)
COLUMNS = (
    "patient_id",
    "study_id",
    "laterality",
    "view",
    "path",
    "finding",
    "birads",
    "age",
    "vendor",
    "mask",
)


def write_ncc(
    out_dir: str | os.PathLike,
    *,
    num_studies: int,
    seed: int,
    scale: float = 1.0,
    workers: int | None = None,
    malignant_fraction: float = 0.4,
    benign_fraction: float = 0.3,
) -> Path:
    """Writes a phantom data set, or completes one that was interrupted.

    The same arguments give the same bytes, however many workers there are. A folder that already
    holds the complete set is left as it is.

    Args:
        out_dir: A new or empty folder, or one that this function wrote with the same arguments.
        num_studies: Four-view studies, one per invented woman.
        seed: Of everything random, at least 0.
        scale: 1 for 2294×1914 pixels of 0.1 mm; 0.5 for 1147×957 of 0.2 mm; from 0.125 to 1.75.
        workers: Processes; None means one per core.
        malignant_fraction: Share of women with a cancer.
        benign_fraction: Share of women with a benign mass and no cancer.

    Returns:
        The path of studies.csv.

    Raises:
        UserError: If an argument is out of range, or `out_dir` holds something else.
    """
    if not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        raise UserError(
            f"The scale must be between {SCALE_RANGE[0]:g} and {SCALE_RANGE[1]:g} (below, the "
            f"paper's CNN3 has too few pixels). Received: {scale:g}."
        )
    plans = plan_studies(
        num_studies=num_studies,
        seed=seed,
        malignant_fraction=malignant_fraction,
        benign_fraction=benign_fraction,
    )
    parameters = {
        "phantom": "ncc",
        "version": VERSION,
        "num_studies": num_studies,
        "seed": seed,
        "scale": scale,
        "malignant_fraction": malignant_fraction,
        "benign_fraction": benign_fraction,
    }
    root = Path(out_dir)
    table = root / "studies.csv"
    claim(root, parameters)
    if not is_complete(root):
        missing = [plan for plan in plans if not _has_all_files(root, plan)]
        _write_studies(root, missing, seed=seed, scale=scale, workers=workers)
        write_text(root / "salt.txt", _salt(seed) + "\n")
        write_text(table, _table(plans))
        write_json(root / MARKER, {**parameters, "complete": True})
    return table


def is_complete(root: str | os.PathLike) -> bool:
    """Whether `write_ncc` has finished in the folder `root` and its files are still there.

    Raises:
        UserError: If the folder's PHANTOM.json cannot be read.
    """
    root = Path(root)
    table = root / "studies.csv"
    if not (root / MARKER).is_file() or not table.is_file() or not (root / "salt.txt").is_file():
        return False
    if not read_marker(root).get("complete"):
        return False
    with table.open(newline="", encoding="utf-8") as lines:
        named = [row[name] for row in csv.DictReader(lines) for name in ("path", "mask")]
    return all((root / name).is_file() for name in named if name)


def _dicom_path(plan: StudyPlan, laterality: str, view: str) -> str:
    return f"dicom/{plan.patient_id}/{laterality}{view}.dcm"


def _mask_path(plan: StudyPlan, laterality: str, view: str) -> str:
    if plan.findings[laterality] == "normal":
        return ""
    return f"masks/{plan.patient_id}_{laterality}{view}.png"


def _has_all_files(root: Path, plan: StudyPlan) -> bool:
    names = [
        name(plan, laterality, view)
        for laterality in LATERALITIES
        for view in VIEWS
        for name in (_dicom_path, _mask_path)
    ]
    return all((root / name).is_file() for name in names if name)


def _write_studies(root, plans, *, seed: int, scale: float, workers) -> None:
    write = partial(write_study, str(root), seed=seed, scale=scale)
    workers = min(workers, len(plans)) if workers is not None else workers
    results = imap_bounded(write, plans, workers=workers)
    for _ in progress(results, description="Phantom", total=len(plans), unit="study"):
        pass


def write_study(root: str, plan: StudyPlan, *, seed: int, scale: float) -> None:
    """Draws and writes the four views and the masks of one study.

    Args:
        root: Folder of the data set.
        plan: The study.
        seed: Seed of the data set.
        scale: Scale of the images.
    """
    vendor = VENDOR_TABLE[plan.vendor]
    breasts = draw_breasts(np.random.default_rng([seed, 1, plan.index]), plan.findings)
    for number, (laterality, view) in enumerate(
        (laterality, view) for laterality in LATERALITIES for view in VIEWS
    ):
        rng = np.random.default_rng([seed, 2, plan.index, number])
        pixels, mask = render_view(breasts[laterality], view, vendor.exposure, scale=scale, rng=rng)
        if mask is not None:
            with atomic_path(Path(root) / _mask_path(plan, laterality, view)) as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, format="PNG")
        write_view(
            Path(root) / _dicom_path(plan, laterality, view),
            pixels,
            plan=plan,
            vendor=vendor,
            laterality=laterality,
            view=view,
            pixel_mm=0.1 / scale,
            seed=seed,
        )


def _salt(seed: int) -> str:
    """A salt that is no secret: the patients are invented."""
    return hashlib.sha256(f"mammo-tf phantom {seed}".encode()).hexdigest()


def _table(plans) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for plan in plans:
        for laterality in LATERALITIES:
            for view in VIEWS:
                writer.writerow(
                    [
                        plan.patient_id,
                        plan.patient_id,
                        laterality,
                        view,
                        _dicom_path(plan, laterality, view),
                        plan.findings[laterality],
                        plan.birads[laterality],
                        plan.age,
                        plan.vendor,
                        _mask_path(plan, laterality, view),
                    ]
                )
    return text.getvalue()


def write_phantom(folder: str | os.PathLike, config: PhantomConfig) -> None:
    """Writes the set that `config` describes; see `write_ncc`."""
    write_ncc(
        folder,
        num_studies=config.num_studies,
        seed=config.seed,
        scale=config.scale,
        malignant_fraction=config.malignant_fraction,
        benign_fraction=config.benign_fraction,
    )
