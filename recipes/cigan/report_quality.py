"""The pictures and judges of painted patches in the cigan recipe's report."""

import numpy as np

from mammo_tf.pipelines.task import Task
from mammo_tf.recipes.cigan.config import CiganRecipeConfig
from mammo_tf.recipes.cigan.quality import Judged, Quality
from mammo_tf.report import Figure, Section, Table
from mammo_tf.report.panel import numbered_sheet, rows_sheet

NUM_SHOWN = 4


def quality_sections(
    quality: Quality, task: Task, config: CiganRecipeConfig, *, seed: int
) -> list[Section]:
    """Returns the numbers, how patches were made, the nearest real ones, and the blind panel."""
    return [_numbers(quality), _pictures(quality, task), _panel(quality, task, config, seed)]


def _numbers(quality: Quality) -> Section:
    return Section(
        "How real are the painted patches?",
        [
            f"Fold {quality.fold}; features: {quality.embedding}. Each set is held against real "
            "lesion patches of test patients. “Told apart” is the AUROC of a classifier that is "
            "to tell the set from them, 0.5 if nobody can (two-sample test); the distance is the "
            "kernel distance of Bińkowski et al. with these features, 0 for one distribution. "
            "“Nearer” is how often a patch is nearer to some patch that was trained on than a "
            "real one of a test patient is: 0.5 is no sign of copying, 1 says that each is. A "
            "painted patch keeps the tissue round its lesion, and what is pasted keeps all.",
        ],
        [
            Table(
                ["Set", "Patches", "Told apart", "Kernel distance", "Nearer"],
                [_row(one) for one in quality.judged],
                "In brackets: 95 % intervals over patients.",
            )
        ],
    )


def _row(judged: Judged) -> list[str]:
    distance = f"{judged.distance:.3f}" if np.isfinite(judged.distance) else "–"
    nearer = f"{judged.nearer:.2f}" if np.isfinite(judged.nearer) else "itself"
    return [judged.name, str(judged.count), str(judged.two_sample), distance, nearer]


def _pictures(quality: Quality, task: Task) -> Section:
    row_of = {name: row for row, name in enumerate(task.example_ids)}
    images, painted = task.images(1), quality.painted
    rows = []
    for number in range(min(NUM_SHOWN, len(painted))):
        nearest = quality.references[quality.nearest.indices[number]]
        rows.append(
            [
                images[row_of[painted.normal_ids[number]]],
                painted.masks[number],
                painted.images[number],
                images[nearest],
            ]
        )
    captions = ("normal", "outline", "painted", "nearest real")
    return Section(
        "Pictures",
        ["The first ones drawn, not the best: as in the paper's Fig. 2, and the nearest patch of "
         "the training part by the features above."],
        [Figure(rows_sheet(rows, captions), "", "Normal patch, outline, painted, nearest real.")],
    )  # fmt: skip


def blind_panel(
    quality: Quality, task: Task, most: int, seed: int
) -> tuple[list[np.ndarray], list[bool]]:
    """Returns patches in a drawn order, half of them painted, and which are.

    Args:
        quality: Whose painted patches.
        task: Its real patches with a lesion, of the training part, are the other half.
        most: Patches.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng([seed, 17])
    lesions = [row for row in quality.references if task.labels[row] > 0]
    half = min(most // 2, len(lesions), len(quality.painted))
    images = task.images(1)
    real = [np.asarray(images[row]) for row in rng.permutation(lesions)[:half]]
    made = list(quality.painted.images[rng.permutation(len(quality.painted))[:half]])
    order = rng.permutation(2 * half)
    return [(real + made)[one] for one in order], [bool(one >= half) for one in order]


def _panel(quality: Quality, task: Task, config: CiganRecipeConfig, seed: int) -> Section:
    patches, is_painted = blind_panel(quality, task, config.quality.num_panel, seed)
    key = ", ".join(str(number) for number, made in enumerate(is_painted, start=1) if made)
    return Section(
        "Which are painted?",
        ["Real lesion patches and painted ones, mixed. The key is below the picture."],
        [
            Figure(numbered_sheet(patches), "", "Real and painted patches, numbered."),
            Table(["Key"], [[f"Painted: {key}."]]),
        ],
    )
