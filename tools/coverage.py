"""How often the 95 % interval of a change in AUROC holds the truth, by simulation.

    python tools/coverage.py [--runs 2000]

prints the table of docs/statistics.md. Two conditions are alike but for their trainings; the true
change is 0.
"""

import argparse

import numpy as np

from mammo_tf.evaluation.auroc import ScoredFold
from mammo_tf.evaluation.repeats import mean_auroc_difference_over_repeats

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


def coverage(*, runs: int, seed: int, **options) -> float:
    """Returns the share of runs whose interval of the change holds 0; options as `draw_pair`."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(runs):
        change = mean_auroc_difference_over_repeats(*draw_pair(rng, **options))
        held += change.low <= 0 <= change.high
    return held / runs


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    print(f"| folds | repeats | {' | '.join(f'spread {spread:g}' for spread in SPREADS)} |")
    print("|---|---|" + "---|" * len(SPREADS))
    for folds in FOLDS:
        for repeats in REPEATS:
            shares = [
                coverage(runs=runs, seed=1, repeats=repeats, folds=folds, spread=spread)
                for spread in SPREADS
            ]
            print(f"| {folds} | {repeats} | {' | '.join(f'{100 * s:.1f}' for s in shares)} |")


if __name__ == "__main__":
    main()
