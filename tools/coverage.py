"""How often a 95 % interval over repeated trainings holds the truth, by simulation.

    python tools/coverage.py [--of change] [--runs 3000]

prints the table of docs/statistics.md. The two conditions of a change are alike but for their
trainings: the true change is 0.
"""

import argparse

import numpy as np
from scipy import stats

from mammo_tf.evaluation.auroc import ScoredFold
from mammo_tf.evaluation.repeats import (
    mean_auprc_over_repeats,
    mean_auroc_difference_over_repeats,
    mean_auroc_over_repeats,
)

PATIENTS, SPREADS, REPEATS, FOLDS = 60, (0.0, 0.1, 0.3, 0.6), (1, 2, 3, 5), (1, 5)


def draw_pair(rng, *, repeats: int, folds: int, spread: float, patients: int = PATIENTS):
    """Draws the scores of two conditions that differ in nothing but their trainings.

    Args:
        rng: NumPy generator.
        repeats: Trainings of each fold and condition.
        folds: Number of folds.
        spread: Standard deviation between trainings of the distance between the classes, which is
            1 on average, in standard deviations of a class.
        patients: Patients of a fold, each with two cases of one class.

    Returns:
        `repeats` and `reference` as `mean_auroc_difference_over_repeats` takes them.
    """
    drawn = ([[None] * folds for _ in range(repeats)], [[None] * folds for _ in range(repeats)])
    groups = np.repeat(np.arange(patients), 2)
    labels = (groups % 2).astype(int)
    for fold in range(folds):
        case = rng.normal(size=patients)[groups] * 0.6 + rng.normal(size=2 * patients) * 0.6
        for condition in drawn:
            for repeat in range(repeats):
                distance = 1 + spread * rng.normal()
                own = rng.normal(size=2 * patients) * np.sqrt(1 - 2 * 0.6**2)
                condition[repeat][fold] = ScoredFold(labels, distance * labels + case + own, groups)
    return drawn


def coverage(*, runs: int, seed: int, of: str = "change", **options) -> float:
    """Returns the share of runs whose interval holds the truth.

    Args:
        runs: Number of simulated studies.
        seed: Seed of the simulation.
        of: "change" of AUROC between two conditions, "auroc" or "auprc" of one.
        options: As `draw_pair`.
    """
    rng, truth = np.random.default_rng(seed), _truth(of, options["spread"])
    held = 0
    for _ in range(runs):
        repeats, reference = draw_pair(rng, **options)
        if of == "change":
            estimate = mean_auroc_difference_over_repeats(repeats, reference)
        elif of == "auroc":
            estimate = mean_auroc_over_repeats(repeats)
        else:
            estimate = mean_auprc_over_repeats(repeats, num_resamples=200, seed=0)
        held += estimate.low <= truth <= estimate.high
    return held / runs


def _truth(of: str, spread: float) -> float:
    """The distance of the classes is N(1, spread²) over trainings, a class has variance 1."""
    if of == "change":
        return 0.0
    if of == "auroc":
        return float(stats.norm.cdf(1 / np.sqrt(2 + spread**2)))
    distances = 1 + spread * stats.norm.ppf((np.arange(200) + 0.5) / 200)
    return float(np.mean([_average_precision(distance) for distance in distances]))


def _average_precision(distance: float) -> float:
    """Of N(distance, 1) against N(0, 1), as many of both."""
    scores = distance + stats.norm.isf((np.arange(4000) + 0.5) / 4000)
    hits = stats.norm.sf(scores - distance)
    return float(np.mean(hits / (hits + stats.norm.sf(scores))))


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--of", choices=("change", "auroc", "auprc"), default="change")
    arguments = parser.parse_args()
    print(f"| folds | repeats | {' | '.join(f'spread {spread:g}' for spread in SPREADS)} |")
    print("|---|---|" + "---|" * len(SPREADS))
    for folds in FOLDS:
        for repeats in REPEATS:
            options = {"repeats": repeats, "folds": folds, **vars(arguments)}
            shares = [coverage(seed=1, spread=spread, **options) for spread in SPREADS]
            print(f"| {folds} | {repeats} | {' | '.join(f'{100 * s:.1f}' for s in shares)} |")


if __name__ == "__main__":
    main()
